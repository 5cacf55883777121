"""The clients of a peaknetd instance for Python: NumPy views of frames in shared memory, nothing copied in between.

    import peaknet_shm

    with peaknet_shm.Producer.attach("mfx", label="my detector") as producer:
        while detector.read():
            with producer.claim(timeout=1.0) as frame:      # a free slot; PoolFull if there is none in time
                frame.image[...] = detector.image           # straight into shared memory
                frame.info.event_id = detector.event
            # committed here; a frame whose block raised never existed

Pixels that lie in an array of your own already are handed over in one call, which costs Python less:

    producer.put(image, peaknet_shm.Info(event_id=event))

What else is known of an event goes into the pool's columns, which peaknetd's feed.columns names:

    frame.set("laser_on", 1); frame.set("spectrum", spectrum)    # before the commit; what is not set is not known

A `Producer` fills the pool, a `Consumer` takes results out of it (what a writer of files does), a `Tap` looks at the
newest frame and disturbs nobody. What happens when a process dies is said in peaknet_shm.h, whose clients these are.

Threads: one thread uses a client, and the frames that came out of it, at a time; give each thread its own client. Waiting
lets other threads run. Ctrl-C is seen within 0.1 s.

Processes: a forked child (multiprocessing's "fork", os.fork) attaches for itself; what it inherited raises `Forked`,
and arrays that it inherited are its parent's, not to be written to. With "spawn" pass the instance's name, a client cannot
be pickled. `multiprocessing.shared_memory` must not be used on peaknetd's memory: it removes what it attached to.
"""

from ._columns import Column
from ._consumer import Consumer, Result
from ._facts import NORMALISED, Descriptor, Geometry, Info
from ._library import (
    Absent,
    Denied,
    Ended,
    Forked,
    InstanceRemoved,
    NoPool,
    OtherColumn,
    OtherShape,
    PeaknetError,
    PoolFull,
    TapOverrun,
    library_version,
)
from ._producer import Frame, Producer
from ._tap import Snapshot, Tap

__all__ = [
    "NORMALISED", "Absent", "Column", "Consumer", "Denied", "Descriptor", "Ended", "Forked", "Frame", "Geometry", "Info",
    "InstanceRemoved", "NoPool", "OtherColumn", "OtherShape", "PeaknetError", "PoolFull", "Producer", "Result", "Snapshot", "Tap", "TapOverrun",
    "library_version",
]
