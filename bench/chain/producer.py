"""A producer of our chain: puts the frames of a file round and round, as fast as it may or at a rate, until stdin ends.

  producer.py INSTANCE FRAMES.npy [--rate HZ] [--first N]

prints "ready" once it is attached, and at the end, as JSON, how many it committed and how many the pool refused.
"""
import argparse
import json
import select
import sys
import time

import numpy as np
import peaknet_shm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance")
    parser.add_argument("frames")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--first", type=int, default=0)
    plan = parser.parse_args()
    frames = list(np.asarray(np.load(plan.frames, mmap_mode="c")))  # what an array is made of once costs nothing for each frame
    info = peaknet_shm.Info(photon_energy_ev=9500.0)
    committed = refused = 0
    number, due = plan.first, time.monotonic()
    with peaknet_shm.Producer.attach(plan.instance, label="bench") as producer:
        print("ready", flush=True)
        while not (number % 64 == 0 and select.select([sys.stdin], [], [], 0)[0]):
            if plan.rate > 0:
                due += 1 / plan.rate
                if (ahead := due - time.monotonic()) > 0:
                    time.sleep(ahead)
            info.event_id = number
            try:
                producer.put(frames[number % len(frames)], info, timeout=0.1)
                committed += 1
            except peaknet_shm.PoolFull:
                refused += 1
            number += 1
    print(json.dumps({"committed": committed, "refused": refused}))


main()
