#!/usr/bin/env python3
"""A monitor: `tap.py INSTANCE RESULTS` prints a line for each of so many results, the newest whenever it looks.

It disturbs nobody and needs only the right to read. Look as often as you want to see something new; the frames that pass
in between are not waited for. Replace `show` by your plot."""

import sys
import time

import peaknet_shm


def show(shot):
    marked = int(shot.mask.sum())
    print(f"event {shot.descriptor.info.event_id} of producer {shot.descriptor.producer}: brightest pixel "
          f"{shot.image.max()}, {marked} pixels of peaks, {shot.descriptor.state}", flush=True)


def main(instance, results):
    left = int(results)
    with peaknet_shm.Tap.open(instance) as tap:
        while left > 0:
            shot = tap.latest(result=True)
            if shot is not None:
                show(shot)
                left -= 1
            time.sleep(0.02)  # 50 looks a second


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: tap.py INSTANCE RESULTS")
    try:
        main(*sys.argv[1:])
    except peaknet_shm.PeaknetError as error:
        sys.exit(str(error))
