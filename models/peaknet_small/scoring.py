"""How many reflections a mask finds, by strength, and what else it marks. Needs NumPy and SciPy."""

import dataclasses
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from peaknet_recipes.peaks import centres, near  # noqa: E402
from simulator import NOTHING, Pattern  # noqa: E402

STRENGTHS = (4.5, 6, 10, 30)  # lower ends of the classes of significance
NEAR = 2.0  # pixels within which a peak is a reflection's
REAL = 2.0  # significance from which a reflection makes the peak on it a true one


@dataclasses.dataclass
class Score:
    found: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(len(STRENGTHS), int))
    there: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(len(STRENGTHS), int))
    peaks: int = 0
    wrong: int = 0
    faults: int = 0  # of the wrong ones, on a hot pixel, line or track
    blank: int = 0  # of the wrong ones, in images without a crystal
    pixels: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(*(getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self)))

    def recall(self, strength: float) -> float:
        """Of the reflections of that strength or more; 0 where there are none."""
        chosen = slice(STRENGTHS.index(strength), None)
        return float(self.found[chosen].sum() / max(1, self.there[chosen].sum()))

    def __str__(self) -> str:
        ends = [*STRENGTHS[1:], "up"]
        recall = ", ".join(f"{low}-{high}: {found / there:.3f} of {there}" if there else f"{low}-{high}: none"
                           for low, high, found, there in zip(STRENGTHS, ends, self.found, self.there))
        right = self.peaks - self.wrong
        return (f"recall {recall}; precision {right / max(1, self.peaks):.4f} of {self.peaks}; wrong per megapixel "
                f"{self.wrong / max(1, self.pixels) * 2**20:.2f}, {self.faults} on faults, {self.blank} in blanks")


def score_peaks(peaks: np.ndarray, pattern: Pattern) -> Score:
    """Of the centres (y, x) of peaks. One on a pixel that belongs to a reflection is true, also a second on a broad one."""
    spots = pattern.reflections
    places = np.stack([spots["y"], spots["x"]], axis=1).astype(float)
    hit = near(places, peaks, NEAR)
    kind = np.searchsorted(STRENGTHS, spots["significance"], side="right") - 1
    y, x = np.rint(peaks).astype(int).T
    right = near(peaks, places[spots["significance"] >= REAL], NEAR) | (pattern.classes[y, x] != NOTHING)
    on_fault = near(peaks, np.argwhere(pattern.faults).astype(float), NEAR)
    count = lambda chosen: np.bincount(kind[chosen], minlength=len(STRENGTHS))[: len(STRENGTHS)]
    return Score(found=count(hit & (kind >= 0)), there=count(kind >= 0), peaks=len(peaks), wrong=int((~right).sum()),
                 faults=int((~right & on_fault).sum()), blank=0 if len(spots) else len(peaks), pixels=pattern.image.size)
