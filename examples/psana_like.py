#!/usr/bin/env python3
"""A psana loop as a producer: `psana_like.py INSTANCE EVENTS` commits so many events of a run that it plays itself.

What is psana's has psana's names: put `DataSource(exp=..., run=...)` in place of `PlayedRun`, and keep the loop. Calibrated images
are float32 (pool.dtype: float32); `det.raw.raw` are the counts (uint16). An event without an image is left out, not made up.
"""

import sys

import numpy as np
import peaknet_shm


class PlayedRun:
    """Stands for psana's run: events with a time, a detector and a wavelength; every tenth event has no image."""

    def __init__(self, events, shape):
        self.left, self.shape = events, shape

    def events(self):
        for number in range(self.left):
            image = np.full(self.shape, 10, np.float32)
            image.reshape(-1)[1000::3000] = image.reshape(-1)[1001::3000] = 2000
            # psana2's timestamp: seconds and nanoseconds in one number.
            yield (1_700_000_000 << 32) | number * 8_333_333, None if number % 10 == 9 else image, 0.127


def main(instance, events):
    committed = refused = without_image = 0
    with peaknet_shm.Producer.attach(instance, label="psana loop") as producer:
        for timestamp, image, wavelength_nm in PlayedRun(int(events), producer.geometry.shape).events():
            if image is None:
                without_image += 1
                continue
            try:
                with producer.claim(timeout=10.0) as frame:
                    frame.image[...] = image.astype(frame.image.dtype, copy=False)
                    frame.info.timestamp = timestamp
                    frame.info.photon_energy_ev = 1239.84193 / wavelength_nm
                    frame.info.event_id = committed
            except peaknet_shm.PoolFull:
                refused += 1  # peaknetctl stats counts it, too
                continue
            committed += 1
    print(f"{committed} committed, {refused} refused, {without_image} without an image")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: psana_like.py INSTANCE EVENTS")
    try:
        main(*sys.argv[1:])
    except peaknet_shm.PeaknetError as error:
        sys.exit(str(error))
