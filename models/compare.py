"""What a precision costs, in peaks: precision, recall and F1 against the same network in float32, on frames of yours.

    compare.py peaknet.yaml --weights peaknet-673m.bin --frames run12.cxi:/entry_1/data_1/data --normalise
    compare.py contrast:Contrast --frames hits.h5:/data --file other.pt other.pt2

Peaks are the 8-connected components of the mask, centres unweighted, as peaknet-writer finds them. Each peak is matched to at
most one of the other side, nearest pairs first, within --distance pixels. A frame is one image (panel), padded with zeros
to a multiple of 32. --file compares finished files instead, in their precision. Needs scipy and h5py beside torch."""

import argparse
import pathlib
import sys
import time
import warnings
from typing import Callable, Optional

import numpy as np
import torch
from scipy.spatial import cKDTree

HERE = str(pathlib.Path(__file__).resolve().parent)
if sys.path and sys.path[0] == HERE:  # behind the packages: what lies here hides no module that a network imports
    sys.path.append(sys.path.pop(0))

from peaknet_recipes import formats, golden, sources  # noqa: E402
from peaknet_recipes.peaks import centres  # noqa: E402
from peaknet_recipes.refused import Refused  # noqa: E402


def matches(ours: np.ndarray, theirs: np.ndarray, distance: float) -> int:
    """How many pairs of peaks there are within the distance, each peak in one pair at most."""
    if not len(ours) or not len(theirs):
        return 0
    near = cKDTree(ours).sparse_distance_matrix(cKDTree(theirs), distance, output_type="ndarray")
    taken_i, taken_j = set(), set()
    for pair in near[np.lexsort((near["j"], near["i"], near["v"]))]:
        if pair["i"] not in taken_i and pair["j"] not in taken_j:
            taken_i.add(pair["i"])
            taken_j.add(pair["j"])
    return len(taken_i)


class Score:
    """Counts over frames. A side without peaks has no precision (or recall) to speak of: NaN."""

    def __init__(self) -> None:
        self.ours = self.reference = self.common = self.pixels = self.differing = 0

    def add(self, mask: np.ndarray, reference: np.ndarray, distance: float) -> None:
        ours, theirs = centres(mask), centres(reference)
        self.ours += len(ours)
        self.reference += len(theirs)
        self.common += matches(ours, theirs, distance)
        self.differing += int((mask != reference).sum())
        self.pixels += mask.size

    def figures(self) -> tuple[float, float, float]:
        ratio = lambda part, whole: part / whole if whole else float("nan")
        return ratio(self.common, self.ours), ratio(self.common, self.reference), \
            ratio(2 * self.common, self.ours + self.reference)


def masks_of(run: Callable[[np.ndarray], torch.Tensor], images: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """One image at a time: memory stays that of one, and no batch plays a part. Cut to the size before the padding."""
    return [golden.mask_of(run(images[i : i + 1]))[0, :height, :width] for i in range(len(images))]


WARM_UPS = 3  # torch's first calls choose and compile: they are no measure


def timed_masks(run: Callable[[np.ndarray], torch.Tensor], images: np.ndarray, height: int, width: int) -> \
        tuple[list[np.ndarray], float]:
    """The masks, and the milliseconds that one image took, after a warm-up."""
    for _ in range(WARM_UPS):
        run(images[:1])
    begin = time.perf_counter()
    masks = masks_of(run, images, height, width)
    return masks, (time.perf_counter() - begin) / len(images) * 1e3


def row(name: str, peaks: int, figures: tuple[float, float, float], differing: int, pixels: int, took: float,
        whole: float) -> str:
    precision, recall, f1 = figures
    return (f"{name:24} {peaks:7d} {precision:10.4f} {recall:8.4f} {f1:8.4f} {differing:9d} of {pixels} {took:8.1f} "
            f"{whole / took:5.2f}x")


def network_runner(network: torch.nn.Module, device: str, precision: str) -> Callable[[np.ndarray], torch.Tensor]:
    def run(images: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return network(torch.from_numpy(images).to(device, formats.input_type(precision)))

    return run


def frames_of(where: str, most: int, normalise: bool) -> tuple[np.ndarray, int, int]:
    import h5py

    name, _, dataset = where.rpartition(":")
    try:
        with h5py.File(name) as file:
            data = file[dataset]
            if data.ndim not in (3, 4):
                raise ValueError(f"it is {data.shape}, it must be (N,H,W) or (N,panels,H,W)")
            panels, height, width = (1, *data.shape[1:]) if data.ndim == 3 else data.shape[1:]
            count = min(len(data) * panels, most)
    except (OSError, KeyError, ValueError) as failure:
        raise Refused(f"--frames {where}: {failure}; give FILE:DATASET, as run12.cxi:/entry_1/data_1/data") from failure
    images = golden.frames(where, count, height + -height % 32, width + -width % 32, normalise)
    return images, height, width


def run(command: Optional[list[str]] = None) -> int:
    precisions = ("bfloat16", "float16", "int8")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="as for export.py: module:function, .yaml, .onnx, .keras; its float32 is the reference")
    parser.add_argument("--weights", type=pathlib.Path)
    parser.add_argument("--take", default="", metavar="KEY", help="as for export.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", required=True, metavar="FILE:DATASET", help="HDF5, (N,H,W) or (N,panels,H,W)")
    parser.add_argument("--most", type=int, default=64, help="images that are looked at (%(default)s)")
    parser.add_argument("--normalise", action="store_true",
                        help="mean 0, variance 1 over an event: preprocess.normalize: instance")
    parser.add_argument("--precision", nargs="+", choices=precisions, default=precisions)
    parser.add_argument("--file", nargs="+", type=pathlib.Path, default=[],
                        help=".pt or .pt2 made by export.py, instead of precisions")
    parser.add_argument("--file-precision", choices=tuple(formats.PRECISIONS), default="float32", help="of the files' input")
    parser.add_argument("--distance", type=float, default=2.0,
                        help="pixels within which two centres are one peak (%(default)s)")
    parser.add_argument("--limit", type=float, metavar="PART", help="exit 1 where one loses more of F1 than this, as 0.01")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    wanted = parser.parse_args(command)
    images, height, width = frames_of(wanted.frames, wanted.most, wanted.normalise)

    def load() -> torch.nn.Module:
        return sources.load(wanted.source, wanted.weights, wanted.seed, wanted.take).network

    whole = network_runner(load().to(wanted.device), wanted.device, "float32")
    reference, took = timed_masks(whole, images, height, width)
    peaks = sum(len(centres(mask)) for mask in reference)
    print(f"{len(images)} images of {height} x {width}, {peaks} peaks in float32, a match is within {wanted.distance:g} pixels")
    if peaks == 0:
        raise Refused("the network finds no peak in these frames in float32: there is nothing to compare; is --normalise "
                      "right?")
    print(f"{'':24} {'peaks':>7} {'precision':>10} {'recall':>8} {'F1':>8} {'pixels that differ':>20} {'ms':>8} {'times':>6}")
    print(row("float32", peaks, (1.0, 1.0, 1.0), 0, sum(mask.size for mask in reference), took, took))

    def in_precision(name: str) -> Callable[[np.ndarray], torch.Tensor]:
        return network_runner(formats.in_precision(load().to(wanted.device), name), wanted.device, name)

    def in_file(name: str) -> Callable[[np.ndarray], torch.Tensor]:
        return formats.Runner(pathlib.Path(name), wanted.device, wanted.file_precision)

    beyond: list[str] = []
    make = in_file if wanted.file else in_precision
    for name in [str(path) for path in wanted.file] or wanted.precision:
        if name == "int8" and wanted.device != "cpu":
            print(f"{name:24} on the CPU alone")
            continue
        score = Score()
        masks, spent = timed_masks(make(name), images, height, width)
        for mask, expected in zip(masks, reference):
            score.add(mask, expected, wanted.distance)
        figures = score.figures()
        print(row(pathlib.Path(name).name, score.ours, figures, score.differing, score.pixels, spent, took))
        if wanted.limit is not None and not 1.0 - figures[2] <= wanted.limit:
            beyond.append(f"{pathlib.Path(name).name} loses {1.0 - figures[2]:.4f} of F1")
    if beyond:
        print(f"compare.py: {'; '.join(beyond)}: more than --limit {wanted.limit:g}; do not use it, or ask for less",
              file=sys.stderr)
        return 1
    return 0


def main() -> int:
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        return run()
    except Refused as refusal:
        print(f"compare.py: {refusal}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
