#!/usr/bin/env python3
"""Actors of a Ray pipeline take results out of a pool: `ray_consumer.py INSTANCE RESULTS [ACTORS]`, on the node of peaknetd.

`PoolConsumer` takes the place of the queue Q2. `Analysis` plays the actor that your pipeline has: here it counts the pixels of peaks,
and a line is printed for each event. Two of the first, if ACTORS is not said.

These actors are writers of the instance: each result goes to one of them, or to a peaknet-writer where one runs too. To look at
results that are written to files anyway use a `peaknet_shm.Tap` in the actor (tap.py): it takes nothing away.
"""

import sys

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import peaknet_shm


@ray.remote
class Analysis:
    """What it is given twice it counts once: a frame whose PoolConsumer died on the way is offered again."""

    def __init__(self):
        self._pixels = {}

    def process(self, frame, event, image, mask):
        """Returns what becomes of the frame: "written", "filtered" or "failed"."""
        if mask is None:
            return "failed"  # the model did: there is no mask
        self._pixels[frame] = (event, int(image.max()), int(mask.sum()))
        return "written" if mask.any() else "filtered"

    def count(self):
        return len(self._pixels)

    def results(self):
        return list(self._pixels.values())


@ray.remote(max_restarts=-1, max_task_retries=-1)
class PoolConsumer:
    """Attaches in the actor's own process: a client cannot be pickled. If that dies, Ray starts another one and calls `run` again."""

    def __init__(self, instance, number):
        self._consumer = peaknet_shm.Consumer.attach(instance, label=f"ray consumer {number}")

    def run(self, analysis, most):
        """Hands on so many results, fewer if none comes for a second. A frame is finished when the analysis has it, so that an actor
        that dies before loses none. Call it on and on: `peaknetctl stop` waits for an answer, which is given in `take`."""
        while most > 0 and (result := self._consumer.take(timeout=1.0)) is not None:
            with result:
                of = result.descriptor
                image = result.image.copy()  # Ray's object store keeps the copy; the slot goes back to the pool
                frame = (of.producer, of.producer_seq)
                result.finish(ray.get(analysis.process.remote(frame, of.info.event_id, image, result.mask)))
            most -= 1


def main(instance, results, actors=2):
    ray.init(include_dashboard=False)  # or your pipeline's: RAY_ADDRESS, as ever
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)  # the pool is memory of this node
    analysis = Analysis.options(num_cpus=0).remote()
    consumers = [PoolConsumer.options(num_cpus=0, scheduling_strategy=here).remote(instance, i) for i in range(int(actors))]
    while (left := int(results) - ray.get(analysis.count.remote())) > 0:
        ray.get([consumer.run.remote(analysis, -(-left // len(consumers))) for consumer in consumers])
    for event, brightest, pixels in ray.get(analysis.results.remote()):
        print(f"event {event}: brightest pixel {brightest}, {pixels} pixels of peaks")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: ray_consumer.py INSTANCE RESULTS [ACTORS]")
    try:
        main(*sys.argv[1:])
    except (peaknet_shm.PeaknetError, ray.exceptions.RayError) as error:
        sys.exit(str(error))
