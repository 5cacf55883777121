"""Frames that every chain of this suite gets: photon counts with known spots, most of them empty, as a beamline has them."""
from pathlib import Path
from typing import Tuple

import numpy as np

THRESHOLD = 40  # counts: above the background, below a spot's middle
SPOTS = 40  # of a hit


def make(shape: Tuple[int, int, int], count: int, hit_fraction: float, spots: int = SPOTS, seed: int = 1) -> np.ndarray:
    """(count, panels, height, width) uint16. A hit has `spots` spots, spread over its panels; a blank frame has none."""
    random = np.random.default_rng(seed)
    panels, height, width = shape
    frames = random.poisson(5.0, (count, *shape)).astype(np.uint16)
    y, x = np.mgrid[-3:4, -3:4]
    spot = (400 * np.exp(-(y**2 + x**2) / 4.5)).astype(np.uint16)
    for index in range(round(count * hit_fraction)):
        frame = frames[index * count // max(1, round(count * hit_fraction))]
        for _ in range(spots):
            p, top, left = random.integers(panels), random.integers(4, height - 12), random.integers(4, width - 12)
            frame[p, top : top + 7, left : left + 7] += spot
    return frames


def saved(folder: Path, shape: Tuple[int, int, int], count: int, hit_fraction: float, spots: int = SPOTS) -> Path:
    """As a file that producers map: all processes share its pages."""
    path = folder / f"frames-{'x'.join(map(str, shape))}-{hit_fraction:g}-{spots}.npy"
    if not path.exists():
        np.save(path, make(shape, count, hit_fraction, spots))
    return path
