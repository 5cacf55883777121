#!/usr/bin/env python3
"""Actors of a Ray pipeline put images into a pool: `ray_producer.py INSTANCE EVENTS [ACTORS]`, on the node of peaknetd.

`ImageSource` plays the actor that your pipeline has. `PoolProducer` is what is new: it takes the place of a shard of the queue Q1,
and each of its actors is a producer of the pool. Two of each, if ACTORS is not said.
"""

import sys

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import peaknet_shm

BATCH = 8


@ray.remote(max_restarts=-1, max_task_retries=-1)
class PoolProducer:
    """Attaches in the actor's own process: a client cannot be pickled. If that dies, Ray starts another one, which is another
    producer, and calls `put` again with the batch. What had been put of it is in the pool already, so up to a batch of events then
    comes twice, under one event_id; with max_task_retries=0 it would be lost instead, unless the source sends it again."""

    def __init__(self, instance, shard):
        self._producer = peaknet_shm.Producer.attach(instance, label=f"ray producer {shard}")

    def geometry(self):
        return self._producer.geometry

    def put(self, images, events):
        """Puts a batch (B, panels, height, width) into the pool, straight from Ray's object store, and returns the events for
        which the pool had no room in time (they are counted there as refused)."""
        refused = []
        for image, event in zip(images, events):
            try:
                self._producer.put(image, peaknet_shm.Info(event_id=int(event)), timeout=60.0)
            except peaknet_shm.PoolFull:
                refused.append(event)
        return refused


@ray.remote
class ImageSource:
    """Events `first`, `first + step`, ... of a detector that it plays: spots of 1 x 2 pixels on a dark ground."""

    def __init__(self, geometry, first, step, events):
        self._geometry, self._events = geometry, range(first, events, step)

    def run(self, pool):
        """Where yours has `q1.put(batch)`. Waiting for `put` is the backpressure: a full pool slows the source down."""
        refused = []
        for begin in range(0, len(self._events), BATCH):
            events = self._events[begin : begin + BATCH]
            images = np.full((len(events), *self._geometry.shape), 10, self._geometry.dtype)
            pixels = images.reshape(len(events), -1)
            pixels[:, 1000::3000] = pixels[:, 1001::3000] = 2000
            refused += ray.get(pool.put.remote(images, list(events)))
        return refused


def main(instance, events, actors=2):
    events, actors = int(events), int(actors)
    ray.init(include_dashboard=False)  # or your pipeline's: RAY_ADDRESS, as ever
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)  # the pool is memory of this node
    pools = [PoolProducer.options(num_cpus=0, scheduling_strategy=here).remote(instance, i) for i in range(actors)]
    geometry = ray.get(pools[0].geometry.remote())
    sources = [ImageSource.options(num_cpus=0).remote(geometry, i, actors, events) for i in range(actors)]
    refused = [event for some in ray.get([source.run.remote(pool) for source, pool in zip(sources, pools)]) for event in some]
    print(f"{events - len(refused)} events are in the pool, {len(refused)} were refused")
    return 1 if refused else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: ray_producer.py INSTANCE EVENTS [ACTORS]")
    try:
        sys.exit(main(*sys.argv[1:]))
    except (peaknet_shm.PeaknetError, ray.exceptions.RayError) as error:
        sys.exit(str(error))
