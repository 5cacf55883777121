#!/usr/bin/env python3
"""MPI ranks as producers: `mpirun -n 8 mpi_ranks.py INSTANCE EVENTS`. Rank r takes the events r, r + n, r + 2n, ..., and attaches for itself:
a pool has as many producers as there are ranks, and they need not speak with each other.

Without mpi4py (or without mpirun) `mpi_ranks.py INSTANCE EVENTS [RANKS]` starts the ranks as processes, four if it is not said.
"""

import multiprocessing
import sys

import peaknet_shm


def rank_loop(rank, ranks, instance, events):
    """What one rank does. A forked rank attaches after the fork: a producer belongs to the process that attached."""
    with peaknet_shm.Producer.attach(instance, label=f"rank {rank}") as producer:
        for event in range(rank, events, ranks):
            with producer.claim(timeout=60.0) as frame:
                frame.image[...] = 10
                pixels = frame.image.reshape(-1)
                pixels[1000::3000] = pixels[1001::3000] = 2000
                frame.info.event_id = event
                frame.info.user = (rank, 0, 0, 0)


def mpi():
    """The communicator, if this was started by mpirun."""
    try:
        from mpi4py import MPI
    except ImportError:
        return None
    return MPI.COMM_WORLD if MPI.COMM_WORLD.Get_size() > 1 else None


def main(instance, events, ranks=4):
    world = mpi()
    if world is not None:
        rank_loop(world.Get_rank(), world.Get_size(), instance, int(events))
        world.Barrier()
        return
    processes = [multiprocessing.Process(target=rank_loop, args=(rank, int(ranks), instance, int(events))) for rank in range(int(ranks))]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit("a rank has failed")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: mpi_ranks.py INSTANCE EVENTS [RANKS]")
    try:
        main(*sys.argv[1:])
    except peaknet_shm.PeaknetError as error:
        sys.exit(str(error))
