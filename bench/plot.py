"""Plots of the suites: SVG files beside docs/benchmarks.md, the same bytes for the same figures."""
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence


@dataclass
class Line:
    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass
class Panel:
    """One pair of axes; several stand side by side in a plot."""

    title: str
    x: str  # what is on the axis, with its unit
    y: str
    lines: List[Line]
    log_x: bool = False
    log_y: bool = False


def draw(path: Path, panels: Sequence[Panel]) -> str:
    """Writes the plot, and returns the Markdown that shows it; text that says so where there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return "(No plot: this Python has no matplotlib.)"
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "peaknetd", "svg.fonttype": "none", "font.size": 9, "axes.grid": True,
                                "grid.color": "#dddddd", "axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 2.8), squeeze=False)
    for panel, ax in zip(panels, axes[0]):
        for line in panel.lines:
            ax.plot(line.x, line.y, marker="o" if len(line.x) < 20 else None, markersize=4, linewidth=1.2, label=line.label)
        ax.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
        if panel.log_x:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if panel.log_y:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0)
        if len(panel.lines) > 1:
            ax.legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return f"![{'; '.join(panel.title for panel in panels)}]({path.parent.name}/{path.name})"
