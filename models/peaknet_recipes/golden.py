"""The golden files beside a model: an input and the mask that the model made of it where it was exported. peaknetd runs the
model on the input before it goes into service and compares (float32: every pixel; else nearly).

    MODEL.golden.input.npy   float32 (rows, 1, H, W)   what the network gets: after normalisation and padding
    MODEL.golden.mask.npy    uint8 (rows, H, W)        1 where class 1 wins"""

import pathlib
from typing import Optional

import numpy as np
import torch
from torch import Tensor


def images(rows: int, height: int, width: int, normalised: bool) -> np.ndarray:
    """Noise with peaks of many strengths, in whole counts; `normalised`: mean 0, variance 1, as preprocess.normalize does."""
    random = np.random.default_rng(5)
    counts = random.normal(1000.0, 20.0, (rows, 1, height, width)).round()
    for row in counts[:, 0]:
        for _ in range(max(1, height * width // 600)):
            y, x = random.integers(0, height - 1), random.integers(0, width - 1)
            row[y : y + 2, x : x + 2] += random.integers(100, 2000)
    if normalised:
        axes = (1, 2, 3)
        counts = (counts - counts.mean(axes, keepdims=True)) / np.sqrt(counts.var(axes, keepdims=True) + 1e-5)
    return counts.astype(np.float32)


def frames(where: str, rows: int, height: int, width: int, normalised: bool) -> np.ndarray:
    """The first images of FILE:DATASET, (N,H,W) or (N,panels,H,W), padded with zeros or cut to the size; normalised over the
    padded event, as preprocess.normalize: instance does."""
    import h5py

    name, _, dataset = where.rpartition(":")
    with h5py.File(name) as file:
        data = file[dataset]
        panels = data.shape[1] if data.ndim == 4 else 1
        found = data[: -(-rows // panels)].astype(np.float64)
    events = found.reshape(-1, panels, *found.shape[-2:])[..., :height, :width]
    events = np.pad(events, ((0, 0), (0, 0), (0, height - events.shape[2]), (0, width - events.shape[3])))
    if normalised:
        axes = (1, 2, 3)
        events = (events - events.mean(axes, keepdims=True)) / np.sqrt(events.var(axes, keepdims=True) + 1e-5)
    if events.shape[0] * panels < rows:
        raise ValueError(f"{where} has {events.shape[0] * panels} images, {rows} are needed")
    return events.reshape(-1, 1, height, width)[:rows].astype(np.float32)


def mask_of(logits: Tensor) -> np.ndarray:
    """uint8, 1 where class 1 wins; of equal logits the lower class does."""
    return (logits.argmax(dim=1) == 1).to(torch.uint8).cpu().numpy()


def names(model: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    return (model.with_name(model.name + ".golden.input.npy"), model.with_name(model.name + ".golden.mask.npy"))


def write(model: pathlib.Path, images: np.ndarray, mask: np.ndarray) -> None:
    for path, array in zip(names(model), (images.astype("<f4"), mask.astype("u1"))):
        with path.open("wb") as file:
            np.save(file, np.ascontiguousarray(array))


def read(model: pathlib.Path) -> Optional[tuple[np.ndarray, np.ndarray]]:
    paths = names(model)
    return (np.load(paths[0]), np.load(paths[1])) if all(path.exists() for path in paths) else None


def apart(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """In how many pixels two masks differ, and in how many that may be away from float32: rounding moves the rim of a peak."""
    return int((one != other).sum()), int(((one | other) != 0).sum()) // 1000 + 8
