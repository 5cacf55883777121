"""The masks that peaknetd puts beside the frames are those of PyTorch in Python, bit for bit.

A real peaknetd on the CPU gets frames through the Python Producer while it is idle, so that the start of the run finds all of
them and forms known batches; the Python Consumer takes the results. What is expected is computed here by torch from the same
file, with the same threads and the same batches. Every case: 1 to 9 frames through the buckets 1, 2, 4, 8.

    masks_test.py                               contrast.pt and a small PeakNet made by models/export.py
    masks_test.py --model peaknet.pt --model peaknet.pt2 [--shape 1x352x384 ...] [--batches 1,3,9]
    masks_test.py --model peaknet.pt2 --against peaknet.pt
    masks_test.py --base [--keep FOLDER]        PeakNet-base with random weights and contrast, both kinds of file, all shapes: hours

A .pt2 takes only images of its size, and buckets that it was made for. --against expects the masks of another file than the
one that peaknetd runs. What torch computes is otherwise the same file in Python: of a .pt2 the compiled code, and not the network that it was
made from; models/export.py compares these two. Exit 77: skipped, there is no torch for this Python.
Environment, as ctest sets it: PEAKNET_BIN_DIR, PEAKNET_SHM_LIBRARY, PYTHONPATH with shm/python."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Optional

try:
    import numpy as np
    import torch
except ImportError as absent:
    print(f"masks_test skipped: {absent}; python3 -m pip install -r models/requirements.txt")
    sys.exit(77)

from peaknet_shm import Consumer, Producer

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "models"))
from peaknet_recipes import formats, golden  # noqa: E402

THREADS = 2
FRAMES = 9
SMALL_PEAKNET = {"backbone_hidden_sizes": [32, 64, 96, 128], "backbone_depths": [1, 1, 2, 1], "bifpn_num_blocks": 1,
                 "bifpn_num_features": 64, "seg_out_channels": 64, "uses_learned_upsample": True}


def some_frames(contrast: bool, dtype: str, panels: int, height: int, width: int) -> np.ndarray:
    """Detector counts with peaks for the demo network, a few photons with peaks for a network with random weights."""
    random = np.random.default_rng(11)
    counts = random.normal(1000, 20, (FRAMES, panels, height, width)) if contrast else \
        random.poisson(1.0, (FRAMES, panels, height, width)).astype(float)
    for image in counts.reshape(-1, height, width):
        for _ in range(40):
            y, x = random.integers(0, height - 1), random.integers(0, width - 1)
            image[y : y + 2, x : x + 2] += random.integers(5, 500)
    if dtype == "float32":
        return (counts + random.normal(0, 0.3, counts.shape)).astype(np.float32)
    return counts.round().clip(0, 65535).astype(np.uint16)


def batches_of(frames: int, buckets: list[int]) -> list[tuple[int, int]]:
    """(frames, bucket) that a peaknetd forms of so many waiting frames: daemon/engine/batch_plan.hpp."""
    plan = []
    while frames > 0:
        up = next((bucket for bucket in buckets if bucket >= frames), buckets[-1])
        if frames < up and 4 * (up - frames) > up:
            up = max(bucket for bucket in buckets if bucket <= frames)
        plan.append((min(frames, up), up))
        frames -= plan[-1][0]
    return plan


class Expected:
    """Masks by PyTorch; each batch is computed once."""

    def __init__(self, runner: formats.Runner, frames: np.ndarray) -> None:
        self.runner, self.frames, self.known = runner, frames, {}
        height, width = frames.shape[2:]
        self.pad = ((0, 0), (0, 0), (0, -height % 32), (0, -width % 32))

    def masks(self, first: int, count: int, bucket: int) -> np.ndarray:
        key = (first, count, bucket)
        if key not in self.known:
            panels, height, width = self.frames.shape[1:]
            rows = self.frames[first : first + count].reshape(-1, 1, height, width).astype(np.float32)
            batch = np.zeros((bucket * panels, 1, height, width), np.float32)
            batch[: len(rows)] = rows
            mask = golden.mask_of(self.runner(np.pad(batch, self.pad)))[: len(rows), :height, :width]
            self.known[key] = mask.reshape(count, panels, height, width).astype(bool)
        return self.known[key]


class Daemon:
    """A peaknetd of its own, idle until a run is started."""

    def __init__(self, model: pathlib.Path, dtype: str, shape: tuple[int, int, int], largest: int,
                 folder: pathlib.Path) -> None:
        self.instance = f"masks-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
        self.bin, self.folder = pathlib.Path(os.environ["PEAKNET_BIN_DIR"]), folder
        self.config, self.log = folder / "masks.yaml", folder / "masks.log"
        self.config.write_text(json.dumps({  # JSON is YAML
            "instance": self.instance, "autostart": False,
            "pool": {"slots": FRAMES + 3, "shape": list(shape), "dtype": dtype},
            "engine": {"devices": "cpu", "batch": largest, "cpu_threads": THREADS, "stuck_seconds": 0},
            "model": {"path": str(model)},
            "control": {"endpoint": f"ipc://{folder}/ctl", "monitor": f"ipc://{folder}/mon"},
        }))

    def __enter__(self) -> "Daemon":
        with self.log.open("w") as log:
            self.process = subprocess.Popen([self.bin / "peaknetd", "--config", self.config], stdout=log, stderr=log)
        self.until(lambda: self.ctl("status").returncode == 0, "answer")
        self.until(lambda: self.stats()["state"] == "idle", "be idle")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=600)
        subprocess.run([self.bin / "peaknetctl", "instances", "--remove", self.instance, "--with-frames"],
                       capture_output=True, check=False)

    def until(self, holds, what: str) -> None:
        end = time.monotonic() + 600
        while not holds():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"peaknetd did not come to {what}: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def command(self, *words: str) -> list:
        return [self.bin / "peaknetctl", "--config", self.config, "--json", "--timeout", "600s", *words]

    def ctl(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False)

    def stats(self) -> dict:
        return json.loads(self.ctl("stats").stdout)

    def sizes(self) -> dict[int, int]:
        (device,) = self.stats()["devices"]
        return {entry["bucket"]: entry["count"] for entry in device["batch_sizes"]}

    def run(self, producer: Producer, consumer: Consumer, frames: np.ndarray) -> dict[int, np.ndarray]:
        """One run over these frames, all of them waiting before it starts: the masks by number of the frame."""
        for number, image in enumerate(frames):
            with producer.claim(timeout=60) as frame:
                frame.image[...] = image
                frame.info.event_id = number
        started = self.ctl("start")
        if started.returncode != 0:
            raise AssertionError(f"start: {started.stdout}{started.stderr}")
        masks = {}
        while len(masks) < len(frames):
            result = consumer.take(timeout=600)
            if result is None:
                raise AssertionError(f"{len(masks)} results of {len(frames)}: {self.log.read_text()[-2000:]}")
            with result:
                masks[result.descriptor.info.event_id] = result.mask
                result.finish("written")
        stop = subprocess.Popen(self.command("stop"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while stop.poll() is None:  # it waits until we have said that our files are closed
            assert consumer.take(timeout=0.2) is None
        if stop.returncode != 0:
            raise AssertionError(f"stop: {stop.communicate()[0]}")
        return masks


def compare(model: pathlib.Path, dtype: str, shape: tuple[int, int, int], counts: list[int], largest: int,
            against: Optional[pathlib.Path]) -> bool:
    """One line about one case. Raises if peaknetd does not do what it must."""
    panels, height, width = shape
    runner = formats.Runner(model)
    possible = [bucket for bucket in (1, 2, 4, 8) if bucket <= largest]
    buckets = [rows // panels for rows in runner.buckets if rows % panels == 0 and rows // panels in possible]
    if not buckets:  # of any size; or a package for fewer panels than an event has: one event at a time, in several passes
        buckets = [1] if runner.buckets else possible
    frames = some_frames(model.name.startswith("contrast"), dtype, *shape)
    expected = Expected(formats.Runner(against) if against else runner, frames)
    differing = pixels = marked = 0
    used: dict[int, int] = {}
    with tempfile.TemporaryDirectory(prefix="peaknet-masks-") as folder, \
            Daemon(model, dtype, shape, largest, pathlib.Path(folder)) as daemon, \
            Producer.attach(daemon.instance) as producer, Consumer.attach(daemon.instance) as consumer:
        before = daemon.sizes()
        for count in counts:
            masks = daemon.run(producer, consumer, frames[:count])
            first = 0
            for members, bucket in batches_of(count, buckets):
                used[bucket] = used.get(bucket, 0) + 1
                for number, mask in enumerate(expected.masks(first, members, bucket), first):
                    if masks[number] is None:
                        raise AssertionError(f"frame {number} has no mask: {daemon.log.read_text()[-2000:]}")
                    differing += int((masks[number] != mask).sum())
                    pixels, marked = pixels + mask.size, marked + int(mask.sum())
                first += members
        after = daemon.sizes()
    ran = {bucket: after[bucket] - before.get(bucket, 0) for bucket in after if after[bucket] != before.get(bucket, 0)}
    good = differing == 0 and 0 < marked < pixels and ran == used
    name = f"{model.name} against {against.name}" if against else model.name
    print(f"{'equal' if good else 'WRONG'}  {name} {dtype} {panels}x{height}x{width}: {differing} of {pixels} pixels "
          f"differ, {marked} marked, {sum(counts)} frames in batches {dict(sorted(ran.items()))}" +
          ("" if ran == used else f" instead of {dict(sorted(used.items()))}"), flush=True)
    return good


def base_models(folder: pathlib.Path, shapes: list[tuple[int, int, int]]) -> list[tuple[pathlib.Path, tuple[int, int, int], int]]:
    """(file, shape, largest batch) of the long run. Files that lie in the folder already are taken as they are.

    PeakNet-base takes 16 panels of an event at once as TorchScript, two events at most (memory); its packages are for one panel, so
    that an event of 16 runs in two passes of 8. Each size of it takes a quarter of an hour to compile, each network of a package 134 MB."""
    base = folder / "base.yaml"
    base.write_text("{}")  # of peaknet.py's own
    sources = {"base": str(base), "contrast": "contrast:Contrast"}

    def made(name: str, *options: str) -> pathlib.Path:
        path = folder / name
        if not path.exists():
            subprocess.run([sys.executable, SOURCE / "models" / "export.py", sources[name.partition("-")[0].partition(".")[0]],
                            path, *options], check=True)
        return path

    cases = []
    for panels, height, width in sorted(shapes):
        size, shape = f"{height}x{width}", (panels, height, width)
        eight = ("--size", size, "--batch", "8", "--device", "cpu", "--panels")
        cases += [(made(f"contrast-{panels}x{size}.pt2", *eight, str(panels)), shape, 8),
                  (made("base.pt"), shape, 8 if panels == 1 else 2),
                  (made(f"base-1x{size}.pt2", *eight, "1"), shape, 8)]
    return cases


def shape_of(text: str) -> tuple[int, int, int]:
    panels, height, width = (int(part) for part in text.split("x"))
    return panels, height, width


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--shape", type=shape_of, action="append", default=[], metavar="PxHxW")
    parser.add_argument("--batches", default="1,2,3,4,5,6,7,8,9", help="numbers of frames in a run (%(default)s)")
    parser.add_argument("--largest", type=int, choices=(1, 2, 4, 8), default=8, help="engine.batch (%(default)s)")
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--full", action="store_true", help="all shapes: many minutes")
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="where models of --base stay, and are found again")
    parser.add_argument("--dtype", choices=("uint16", "float32"), action="append", default=[])
    wanted = parser.parse_args()
    torch.set_num_threads(THREADS)
    counts = [int(part) for part in wanted.batches.split(",")]
    dtypes = wanted.dtype or ["uint16", "float32"]
    few, many = [(1, 352, 384), (1, 512, 512)], [(16, 352, 384), (16, 512, 512)]
    shapes = wanted.shape or (few + many if wanted.full or wanted.model or wanted.base else few)
    cases = []
    with tempfile.TemporaryDirectory(prefix="peaknet-models-") as folder:
        for model in wanted.model:
            stored = golden.read(model)
            one_size = stored[0].shape[2:] if model.suffix == ".pt2" and stored is not None else None
            cases += [(model.resolve(), dtype, shape, counts, wanted.largest) for shape in shapes for dtype in dtypes
                      if one_size is None or one_size == shape[1:]]
        if wanted.base:
            keep = (wanted.keep or pathlib.Path(folder)).resolve()
            keep.mkdir(parents=True, exist_ok=True)
            cases += [(model, dtype, shape, counts, min(largest, wanted.largest))
                      for model, shape, largest in base_models(keep, shapes) for dtype in dtypes]
        elif not wanted.model:
            small = pathlib.Path(folder) / "small.yaml"
            small.write_text(json.dumps(SMALL_PEAKNET))
            peaknet = small.with_suffix(".pt")
            subprocess.run([sys.executable, SOURCE / "models" / "export.py", small, peaknet], check=True)
            contrast = SOURCE / "models" / "contrast.pt"
            short = [(contrast, dtype, shape) for shape in shapes for dtype in dtypes]
            short += [(contrast, "uint16", (16, 64, 96)), (contrast, "uint16", (2, 185, 388)),
                      (peaknet, "uint16", (1, 100, 130)), (peaknet, "float32", (3, 64, 96))]
            cases += [(*case, counts, wanted.largest) for case in short]
        wrong = sum(not compare(*case, wanted.against) for case in cases)
    print(f"{len(cases) - wrong} passed, {wrong} failed")
    return 1 if wrong or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
