"""Eight Python producers at once, four forked and four spawned; one of each is killed while it commits. Prints a line
"PRODUCER FRAME" for every commit that had returned. Usage: python_crowd.py INSTANCE FRAMES"""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from peaknet_shm import Producer

KILLED = (0, 4)


def produce(instance, log, frames):
    with Producer.attach(instance, label=f"crowd {os.getpid()}") as producer, open(log, "ab", buffering=0) as notes:
        while frames > 0:
            frames -= 1
            with producer.claim(timeout=60) as frame:
                frame.image[...] = 10
                frame.image[0, 8::32, 8::32] = 2000
            notes.write(b"%d %d\n" % (producer.number, frame.producer_seq))


def main():
    instance, frames = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / str(i) for i in range(8)]
        crowd = []
        for i, log in enumerate(logs):
            log.touch()
            context = multiprocessing.get_context("fork" if i < 4 else "spawn")
            crowd.append(context.Process(target=produce, args=(instance, log, 1 << 40 if i in KILLED else frames)))
        for process in crowd:
            process.start()
        for i in KILLED:
            while logs[i].stat().st_size == 0:
                if not crowd[i].is_alive():
                    sys.exit(f"producer {i} ended before it committed")
                time.sleep(0.001)
            os.kill(crowd[i].pid, signal.SIGKILL)
        for process in crowd:
            process.join()
        codes = [process.exitcode for process in crowd]
        if codes != [-9 if i in KILLED else 0 for i in range(8)]:
            sys.exit(f"exit codes {codes}")
        for log in logs:
            sys.stdout.write(log.read_text())


if __name__ == "__main__":
    main()
