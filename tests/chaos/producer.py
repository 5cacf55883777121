"""A producer under test: puts frames until SIGTERM, follows the instance wherever it goes, and keeps a ledger.

  producer.py INSTANCE LEDGER FIRST_EVENT

SIGUSR1: forks a child that tries to use the parent's client. It must be refused, or this process ends with 3."""
import os
import signal
import sys
import time
from pathlib import Path

import frames
import peaknet_shm
from ledger import COMMITTED, INTENDED, REFUSED, Ledger


class Wishes:
    stop = fork = False


def try_inherited(producer: peaknet_shm.Producer, event_id: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            producer.put(frames.image(event_id), timeout=0.01)
        except peaknet_shm.Forked:
            os._exit(0)
        except BaseException:
            os._exit(2)
        os._exit(1)  # it committed a frame that is in no ledger
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        sys.exit(3)


def main() -> None:
    instance, path, first = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: setattr(Wishes, "stop", True))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(Wishes, "fork", True))
    ledger, event_id = Ledger(path), first
    while not Wishes.stop:
        try:
            with peaknet_shm.Producer.attach(instance, label=f"chaos {first}") as producer:
                while not Wishes.stop:
                    if Wishes.fork:
                        Wishes.fork = False
                        try_inherited(producer, event_id)
                    image = frames.image(event_id)
                    ledger.write(event_id, INTENDED)
                    try:
                        producer.put(image, peaknet_shm.Info(event_id=event_id), timeout=0.2)
                    except peaknet_shm.PeaknetError:
                        ledger.write(event_id, REFUSED)
                        event_id += 1
                        raise
                    ledger.write(event_id, COMMITTED)
                    event_id += 1
        except peaknet_shm.PoolFull:
            continue
        except (peaknet_shm.Absent, peaknet_shm.NoPool, peaknet_shm.InstanceRemoved):
            time.sleep(0.01)  # the daemon is away; nothing tells a process that shared memory has come


main()
