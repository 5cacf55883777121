#!/usr/bin/env python3
"""A producer in Python: `producer.py INSTANCE FRAMES` commits so many frames of a detector that it plays itself."""

import sys

import peaknet_shm


class Detector:
    """Spots of 1 x 2 pixels on a dark ground, in any geometry."""

    def __init__(self, frames):
        self.event = frames

    def next(self):
        self.event -= 1
        return self.event >= 0

    def read_into(self, image):
        image[...] = 10
        pixels = image.reshape(-1)
        pixels[1000::3000] = pixels[1001::3000] = 2000


def main(instance, frames):
    detector = Detector(int(frames))
    with peaknet_shm.Producer.attach(instance, label="my detector") as producer:
        while detector.next():
            with producer.claim(timeout=1.0) as frame:
                detector.read_into(frame.image)
                frame.info.event_id = detector.event


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: producer.py INSTANCE FRAMES")
    try:
        main(*sys.argv[1:])
    except peaknet_shm.PeaknetError as error:
        sys.exit(str(error))
