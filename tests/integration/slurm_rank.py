#!/usr/bin/python3
"""A rank as lclstreamer's: `slurm_rank.py URL,URL,... MESSAGES LEDGER` sends so many messages to nodes and notes each that ZeroMQ took.

One PUSH socket that connects to every node (SNDHWM 5). With several ranks (SLURM_PROCID of SLURM_NTASKS) rank r sends the messages r,
r + n, r + 2n, ... The ledger is LEDGER.RANK with a line for each event: its time as in the message (seconds << 32 | nanoseconds).
SIGTERM ends the stream: what ZeroMQ has taken is still delivered.
"""
import io
import os
import signal
import sys

import numpy as np
import zmq

EVENTS = 4  # of a message
SIDE = 64
TIME = 1_700_000_000 << 32  # of event 0; event n has n nanoseconds more


def message(number):
    first = number * EVENTS
    images = np.zeros((EVENTS, 1, SIDE, SIDE), np.float32)
    for i in range(EVENTS):
        images[i, 0, 10 + (first + i) % 40, 20:22] = 1000 + first + i
    blob = io.BytesIO()
    times = np.arange(TIME + first, TIME + first + EVENTS, dtype=np.uint64)
    np.savez(blob, detector_data=images, timestamp=times, photon_wavelength=np.full(EVENTS, 0.127))
    return blob.getvalue()


def main(urls, messages, ledger):
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    rank, ranks = int(os.environ.get("SLURM_PROCID", 0)), int(os.environ.get("SLURM_NTASKS", 1))
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, 5)
    socket.setsockopt(zmq.SNDBUF, 32768)
    for url in urls.split(","):
        socket.connect(url)
    with open(f"{ledger}.{rank}", "a", buffering=1) as sent:
        for number in range(rank, int(messages), ranks):
            while not asked and not socket.poll(100, zmq.POLLOUT):
                pass
            if asked:
                break
            socket.send(message(number), zmq.NOBLOCK)
            for event in range(number * EVENTS, (number + 1) * EVENTS):
                sent.write(f"{TIME + event}\n")
    socket.close()
    context.term()  # returns when all have gone to a node


if __name__ == "__main__":
    main(*sys.argv[1:])
