"""The chain that peaknetd replaces, in its form: Ray actors, written for this benchmark from its description.

Producer actors put batches of float32 images into a queue of sharded actors (a batch is an object in Ray's store, the queue holds
references); one actor takes them, keeps N batches in buffers, runs the network and puts logits, images and facts of the frames
into a second such queue; one writer takes the argmax, labels components, averages their pixels one by one, and writes HDF5 files.

  ray_form.py --frames FRAMES.npy [--model PATH] [--producers N] [--seconds S] ...

prints one JSON object. Kinder than the original in three ways: nobody loses anything (a full second queue is tried again), the images
are in memory before the run begins, and polls do not sleep between two shards.
"""
import argparse
import json
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any, Callable, List, Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from frames import THRESHOLD  # noqa: E402
from usage import WORD, memory_mib, quantile, usage  # noqa: E402

BATCH, LANES, SHARDS, SHARD_SIZE = 8, 3, 4, 4
LEAST_PEAKS, MOST_PEAKS, BATCHES_PER_FILE = 10, 2048, 10
IDLE = 0.01  # seconds between two looks at all shards, as there


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--model", default="threshold")
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=10.0)
    parser.add_argument("--disk", type=Path)
    return parser.parse_args()


plan = parsed()
word = f"ray-{os.getpid()}-{time.monotonic_ns()}"
os.environ[WORD] = word
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import ray  # noqa: E402
from scipy import ndimage  # noqa: E402


class Item:
    """What the queues hold: references, and what is known about the frames."""

    def __init__(self, images: Any, logits: Any, born: float, energies: Any) -> None:
        self.images, self.logits, self.born, self.energies = images, logits, born, energies


@ray.remote(num_cpus=0)
class Shard:
    def __init__(self) -> None:
        self.items: deque = deque()

    def put(self, item: Item) -> bool:
        if len(self.items) >= SHARD_SIZE:
            return False
        self.items.append(item)
        return True

    def get(self) -> Optional[Item]:
        return self.items.popleft() if self.items else None


class Queue:
    """Round robin over the shards to put, one after the other to get: a call of an actor each time."""

    def __init__(self, shards: List[Any]) -> None:
        self.shards, self.turn = shards, 0

    def put(self, item: Item) -> None:
        while True:
            for _ in self.shards:
                self.turn += 1
                if ray.get(self.shards[self.turn % len(self.shards)].put.remote(item)):
                    return
            time.sleep(IDLE)

    def get(self) -> Item:
        while True:
            for shard in self.shards:
                item = ray.get(shard.get.remote())
                if item is not None:
                    return item
            time.sleep(IDLE)


@ray.remote(num_cpus=0)
class Producer:
    def __init__(self, path: str, first: int) -> None:
        counts = np.load(path, mmap_mode="r")
        order = [(first + i) % len(counts) for i in range(len(counts))]
        self.batches = [counts[order[i : i + BATCH]].astype(np.float32) for i in range(0, len(order), BATCH)]

    def run(self, queue: Queue) -> None:
        number = 0
        while True:
            images = self.batches[number % len(self.batches)]
            born = time.monotonic()
            queue.put(Item([ray.put(images)], None, born, np.full(len(images), 9500.0)))
            number += 1


@ray.remote(num_cpus=0)
class Network:
    """N buffers, a batch in each: on a GPU its copies and kernels would overlap, here one runs after the other."""

    def __init__(self, model: str) -> None:
        self.forward = forward_of(model)
        self.buffers: List[Optional[np.ndarray]] = [None] * LANES

    def run(self, source: Queue, sink: Queue) -> None:
        number = 0
        while True:
            item = source.get()
            images = ray.get(item.images[0])
            rows = images.reshape(-1, 1, *images.shape[-2:])
            lane = number % LANES
            if self.buffers[lane] is None or self.buffers[lane].shape != rows.shape:
                self.buffers[lane] = np.empty_like(rows)
            np.copyto(self.buffers[lane], rows)
            logits = self.forward(self.buffers[lane])
            sink.put(Item([ray.put(images)], [ray.put(logits)], item.born, item.energies))
            number += 1


def forward_of(model: str) -> Callable[[np.ndarray], np.ndarray]:
    if model == "threshold":
        return lambda rows: np.concatenate([np.zeros_like(rows), rows - THRESHOLD], axis=1)
    import torch

    network = torch.jit.load(model).eval()

    def forward(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(rows)).numpy()

    return forward


def peaks_of(logits: np.ndarray) -> List[List[float]]:
    """Panel by panel: argmax, components of eight neighbours, the mean of each one's pixels."""
    found = []
    for panel, (background, peak) in enumerate(logits):
        labels, count = ndimage.label(peak > background, structure=np.ones((3, 3)))
        for label in range(1, count + 1):
            y, x = np.where(labels == label)
            found.append([panel, y.mean(), x.mean()])
    return found


@ray.remote(num_cpus=0)
class Writer:
    def __init__(self, folder: str) -> None:
        self.folder, self.file, self.done = folder, 0, 0
        self.images: List[np.ndarray] = []
        self.peaks: List[List[List[float]]] = []
        self.energies: List[float] = []
        self.born: List[float] = []
        self.latencies: List[float] = []
        self.wanted: Optional[Queue] = None

    def run(self, source: Queue, progress: str) -> None:
        board = np.memmap(progress, np.float64, "r+", shape=(1 << 20,))
        batches = 0
        while True:
            item = source.get()
            images, logits = ray.get(item.images[0]), ray.get(item.logits[0])
            panels = images.shape[1]
            for event in range(len(images)):
                peaks = peaks_of(logits[event * panels : (event + 1) * panels])
                if len(peaks) < LEAST_PEAKS:
                    self.finished(board, item.born)
                    continue
                self.images.append(images[event].reshape(-1, images.shape[-1]))
                self.peaks.append(peaks[:MOST_PEAKS])
                self.energies.append(item.energies[event])
                self.born.append(item.born)
            batches += 1
            if batches % BATCHES_PER_FILE == 0 and self.images:
                self.write()
                for born in self.born:
                    self.finished(board, born)
                self.images, self.peaks, self.energies, self.born = [], [], [], []

    def finished(self, board: np.ndarray, born: float) -> None:
        board[1 + self.done % (len(board) - 1)] = time.monotonic() - born
        self.done += 1
        board[0] = self.done

    def write(self) -> None:
        count = len(self.images)
        places = np.zeros((3, count, MOST_PEAKS), np.float32)
        for event, peaks in enumerate(self.peaks):
            places[:, event, : len(peaks)] = np.array(peaks, np.float32).T
        with h5py.File(f"{self.folder}/bench_chunk{self.file:04d}.cxi", "w") as file:
            file["/entry_1/data_1/data"] = np.stack(self.images)
            file["/entry_1/result_1/nPeaks"] = np.array([len(peaks) for peaks in self.peaks])
            for name, values in zip(("peakSegPosRaw", "peakYPosRaw", "peakXPosRaw"), places):
                file[f"/entry_1/result_1/{name}"] = values
            file["/LCLS/photon_energy_eV"] = np.array(self.energies, np.float32)
        self.file += 1


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench_ray_", dir=plan.disk) as folder:
        progress = f"{folder}/progress"
        board = np.memmap(progress, np.float64, "w+", shape=(1 << 20,))
        ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="error")
        try:
            q1, q2 = (Queue([Shard.remote() for _ in range(SHARDS)]) for _ in range(2))
            network, writer = Network.remote(plan.model), Writer.remote(folder)
            working = [writer.run.remote(q2, progress), network.run.remote(q1, q2)]
            producers = [Producer.remote(str(plan.frames), 7 * index) for index in range(plan.producers)]
            working += [producer.run.remote(q1) for producer in producers]
            end = time.monotonic() + 120
            while board[0] == 0:
                if time.monotonic() > end:
                    raise RuntimeError("no frame came through within two minutes")
                ready, _ = ray.wait(working, timeout=0.2)
                ray.get(ready)  # raises what an actor raised
            time.sleep(plan.warm_up)
            before, first = usage(word), int(board[0])
            time.sleep(plan.seconds)
            after, last = usage(word), int(board[0])
            memory = memory_mib(word)
            ready, _ = ray.wait(working, timeout=0)
            ray.get(ready)
        finally:
            ray.shutdown()
        count = last - first
        latencies = sorted(1e3 * board[1 + n % (len(board) - 1)] for n in range(first, last))
    seconds = after.at - before.at
    print(json.dumps({"frames_per_s": count / seconds, "cpu_us_per_frame": after.cpu_s_since(before) * 1e6 / count if count else None,
                      "cores": after.cores_since(before), "memory_mib": memory,
                      "latency_ms": {"p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99)}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
