"""columns_producer.py INSTANCE FRAMES FIRST: as columns_producer.c, in Python."""

import sys

import numpy as np
import peaknet_shm
from columns_check import codes_of, laser_of, spectrum_of

instance, frames, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with peaknet_shm.Producer.attach(instance, label="columns") as producer:
    for event in range(first, first + frames):
        with producer.claim(timeout=30.0) as frame:
            frame.image[...] = 0
            for spot in (20, 60, 100):
                frame.image[0, spot, spot] = 1024
            frame.info.event_id = event
            frame.set("event_codes", codes_of(event))
            frame.set("spectrum", spectrum_of(event))
            if laser_of(event) is not None:
                frame.set("laser_on", laser_of(event))
            for name, value, refusal in (("lasr_on", 1, peaknet_shm.OtherColumn), ("laser_on", 256, ValueError),
                                         ("spectrum", np.zeros(7), peaknet_shm.OtherColumn)):
                try:
                    frame.set(name, value)
                    sys.exit(f"{name} = {value} was taken")
                except refusal:
                    pass
    assert producer.columns["spectrum"].length == 2048 and producer.columns["laser_on"].unknown == 255
