"""The peers of the peak finder on the masks that peaks_run made: one line of JSON, {"us", "peaks"}.

  peers.py PEER FOLDER SIZE ROUNDS

PEER: scipy (label + center_of_mass, weighted), skimage (regionprops_table, weighted), opencv (connectedComponentsWithStats,
BBDT; it knows no weights), cc3d (connected_components + statistics, no weights), numpy (flatnonzero of the mask alone: the least
that anything in Python costs).
"""
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Tuple

import numpy as np

Finder = Callable[[np.ndarray, np.ndarray], int]


def scipy_finder() -> Finder:
    from scipy import ndimage

    def find(mask: np.ndarray, image: np.ndarray) -> int:
        labels, count = ndimage.label(mask == 1, np.ones((3, 3)))
        ndimage.center_of_mass(image, labels, np.arange(1, count + 1))
        return int(count)

    return find


def skimage_finder() -> Finder:
    from skimage import measure

    def find(mask: np.ndarray, image: np.ndarray) -> int:
        labels = measure.label(mask == 1, connectivity=2)
        table = measure.regionprops_table(labels, image, properties=("centroid_weighted", "area", "bbox", "intensity_max"))
        return len(table["area"])

    return find


def opencv_finder() -> Finder:
    import cv2

    cv2.setNumThreads(1)

    def find(mask: np.ndarray, image: np.ndarray) -> int:
        count, _, _, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
        return int(count) - 1

    return find


def cc3d_finder() -> Finder:
    import cc3d

    def find(mask: np.ndarray, image: np.ndarray) -> int:
        labels, count = cc3d.connected_components(mask, connectivity=8, return_N=True)
        cc3d.statistics(labels)
        return int(count)

    return find


def numpy_finder() -> Finder:
    return lambda mask, image: int(np.flatnonzero(mask).size > 0)


FINDERS: Dict[str, Callable[[], Finder]] = {
    "scipy": scipy_finder, "skimage": skimage_finder, "opencv": opencv_finder, "cc3d": cc3d_finder, "numpy": numpy_finder}


def frames(folder: Path, size: int) -> Tuple[list, list]:
    """Enough of them to make each cold: more than the caches hold."""
    masks, images = [], []
    for path in sorted(folder.glob("mask_*.u8")):
        masks.append(np.fromfile(path, np.uint8).reshape(size, size))
        images.append(np.fromfile(folder / path.name.replace("mask", "image").replace(".u8", ".u16"), np.uint16).reshape(size, size))
    made = len(masks)
    while len(masks) * size * size * 3 < 160 << 20:
        masks.append(masks[len(masks) % made].copy())
        images.append(images[len(images) % made].copy())
    return masks, images


def main() -> None:
    name, folder, size, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    find = FINDERS[name]()
    masks, images = frames(folder, size)
    spans, peaks = [], 0
    for i in range(rounds):
        begin = time.perf_counter()
        found = find(masks[i % len(masks)], images[i % len(masks)])
        spans.append(time.perf_counter() - begin)
        peaks = max(peaks, found)
    print(json.dumps({"us": statistics.median(spans) * 1e6, "peaks": peaks}))


if __name__ == "__main__":
    main()
