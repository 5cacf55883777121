"""What the suites of scripts/bench share: how hard to measure, interleaved rounds, medians and spreads, tables.

A suite is a folder bench/<suite> with a report.py that has
  TARGETS             the CMake targets it needs, built in build/release before it is called
  section(bench)      measures, and returns its part of docs/benchmarks.md as text that begins with "## <title>"
and nothing else is needed for scripts/bench to find it.
"""
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Set, TypeVar

Key = TypeVar("Key")
Outcome = TypeVar("Outcome")


@dataclass
class Bench:
    """How a suite is to measure in this call of scripts/bench."""

    effort: str  # "smallest" (does it work at all: for tests), "quick" or "full"
    programs: Path  # the folder of the programs that were built
    python: str = sys.executable  # one that has the peers of bench/requirements.txt
    plots: Path = Path("docs/plots")  # see bench/plot.py

    def pick(self, smallest: float, quick: float, full: float) -> float:
        return {"smallest": smallest, "quick": quick, "full": full}[self.effort]

    def say(self, text: str) -> None:
        print("           " + text, flush=True)


def interleaved(keys: Sequence[Key], rounds: int, measure: Callable[[Key], Outcome]) -> Dict[Key, List[Outcome]]:
    """All of `keys` once per round, so that whatever disturbs the machine disturbs all alike. The n-th outcomes of two keys
    are of one round: divide them before you take a median."""
    found: Dict[Key, List[Outcome]] = {key: [] for key in keys}
    for turn in range(rounds):
        # Every second round backwards: nobody always runs behind the same neighbour.
        for key in keys if turn % 2 == 0 else reversed(keys):
            found[key].append(measure(key))
    return found


@dataclass
class Spread:
    """Of the rounds of one cell."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[Optional[float]]) -> "Optional[Spread]":
        known = [value for value in values if value is not None]
        return cls(statistics.median(known), min(known), max(known)) if known else None

    @classmethod
    def of_ratios(cls, above: Iterable[Optional[float]], below: Iterable[Optional[float]]) -> "Optional[Spread]":
        """Round by round."""
        return cls.of(a / b for a, b in zip(above, below) if a is not None and b)

    def __str__(self) -> str:
        if self.least == self.most:
            return short(self.median)
        return f"{short(self.median)} ({short(self.least)}–{short(self.most)})"


def short(value: Optional[float]) -> str:
    """Three figures, for people."""
    if value is None:
        return "–"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M"
    if abs(value) >= 1e5:
        return f"{value / 1e3:.0f} k"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.1f} k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown; None is a dash."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1)]
    lines += [["–" if cell is None else str(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def missing_modules(python: str, modules: Iterable[str]) -> Set[str]:
    """Those that `python` cannot import."""
    import subprocess

    code = "import importlib.util, sys\nprint(*[m for m in sys.argv[1:] if importlib.util.find_spec(m) is None])"
    done = subprocess.run([python, "-c", code, *modules], check=True, capture_output=True, text=True)
    return set(done.stdout.split())
