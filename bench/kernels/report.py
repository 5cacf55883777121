"""The suite kernels: which memory the CUDA kernels touch, counted on simulated devices (tests/gpusim), not timed."""
import os
import subprocess
import sys
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, table  # noqa: E402

TARGETS = ["kernels_traffic_test"]

TITLE = "## kernels: which memory they touch, on simulated devices (gpusim)"
ABOUT = """
Counted, not timed: the kernels' own PTX runs on the processor (`tests/gpusim`), one normalised event through all of them, and
each load and store of a warp counts the 32-byte sectors that it touches. The least is what the same bytes would take side by
side from the begin of a sector on: for each instruction of a warp its different bytes / 32, rounded up. Caches are not
modelled: a sector that the next instruction touches again counts again. The last column is the number of divisions of 64-bit
integers in the kernel's text. `kernels_traffic_test` holds `pack` and `fill` to 1.15, beside this least and beside the bytes
that an event is, and to no such division.

Before they were rewritten (commit 47357bf, same program): loads of `pack` 8.00 times the least for float32 logits and 16.00
times for bfloat16, all others 1.00; `pack` and `fill` divided 64-bit integers at four places each, for each word and each
pixel; one thread added the 256 partial sums of an event.
"""
HEAD = ["event", "kernel", "sectors loaded", "least", "ratio", "sectors stored", "least", "ratio", "64-bit divisions"]


def section(bench: Bench) -> str:
    root = bench.programs.parent
    program = root / "tests" / TARGETS[0]
    if not program.exists():
        return f"{TITLE}\n\nThere is no nvcc here, so there are no kernels to count."
    environment = dict(os.environ, LD_PRELOAD=str(root / "lib/libgpusim.so"),
                       GPUSIM_KERNELS=str(root / "lib/libgpusim_kernels.so"))
    done = subprocess.run([str(program)], env=environment, check=True, capture_output=True, text=True)
    rows: List[List[object]] = []
    for line in done.stdout.splitlines():
        if line.startswith("|"):
            cells = line.strip("|").replace("peaknet::kernels::cuda_detail::", "").split("|")
            rows.append([cell.strip() for cell in cells])
    return "\n".join([TITLE, ABOUT, table(HEAD, rows)])
