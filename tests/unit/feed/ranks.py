"""Sends like lclstreamer's MPI ranks: each a process with one PUSH socket (SNDHWM 5, LINGER 0, connect), one message a batch
made by numpy.savez or savez_compressed, the last batch partial. The images of an event hold its number in every pixel.

    ranks.py ADDRESS RANKS EVENTS BATCH CLOSE

CLOSE: `at-once`, or `when-told`: ranks close their sockets after SIGUSR1. Prints "sent" when every rank has handed
its last message to ZeroMQ.
"""

import io
import multiprocessing
import signal
import sys

import numpy as np
import zmq

PANELS, HEIGHT, WIDTH = 1, 16, 24


def messages(rank, events, batch):
    for first in range(0, events, batch):
        numbers = np.arange(first, min(first + batch, events))
        blob = io.BytesIO()
        save = np.savez_compressed if rank % 2 else np.savez
        save(
            blob,
            detector_data=np.broadcast_to(
                (rank * events + numbers).astype(np.float32)[:, None, None, None], (len(numbers), PANELS, HEIGHT, WIDTH)
            ),
            timestamp=(np.uint64(1_700_000_000 + rank) << np.uint64(32)) | numbers.astype(np.uint64),
            photon_wavelength=np.full(len(numbers), 0.127),
            detector_data_original_shape=np.array([len(numbers), PANELS, HEIGHT, WIDTH], np.int32),
        )
        yield blob.getvalue()


def send(address, rank, events, batch, sent, close):
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, 5)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    for message in messages(rank, events, batch):
        socket.send(message)
    sent.wait()
    close.wait()
    socket.close()
    context.term()


def main():
    address, ranks, events, batch = sys.argv[1], *map(int, sys.argv[2:5])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    multiprocessing.set_start_method("fork")
    sent, close = multiprocessing.Barrier(ranks + 1), multiprocessing.Event()
    if sys.argv[5] == "at-once":
        close.set()
    processes = [
        multiprocessing.Process(target=send, args=(address, rank, events, batch, sent, close)) for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    sent.wait()
    print("sent", flush=True)
    if not close.is_set():
        signal.sigwait({signal.SIGUSR1})
        close.set()
    for process in processes:
        process.join()
    return max(process.exitcode for process in processes)


if __name__ == "__main__":
    sys.exit(main())
