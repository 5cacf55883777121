"""The suite matrix: what buffers and devices are worth, on simulated devices and on real ones.

The table that the replaced pipeline's tutorial promises: one buffer with a wait after each step, two buffers, three and
four, on one, two and four devices, without and with work on the processor after each batch. A simulated device
(tests/gpusim) has one engine for copies each way and one for kernels; each takes the time that STAGE_MS says.
"""
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, Spread, interleaved, short, table  # noqa: E402

TARGETS = ["matrix_run"]
STAGE_MS = 50.0  # of the upload, the kernels and the download of a batch, and of the processor's work where there is some
BATCH, SIZE = 8, 16
DEVICES = (1, 2, 4)
WANTED_OF_BOUND, WANTED_BUSY = 0.97, 0.97


class Cell(NamedTuple):
    devices: int
    lanes: int  # 0: sequential
    cpu_ms: float

    def bound_ms(self) -> float:
        """Of a batch on one device: no stage is faster than itself, and two buffers hide one stage of three at a time."""
        stages = [STAGE_MS] * 3 + ([self.cpu_ms] if self.cpu_ms else [])
        if self.lanes == 0:
            return sum(stages)
        return max([*stages, 3 * STAGE_MS / self.lanes])

    def bound(self) -> float:
        """Frames a second."""
        return 1000 * BATCH * self.devices / self.bound_ms()


# The tutorial's figures are speed-ups over its sequential form, approximate, for balanced copies and compute.
PROMISED = {Cell(1, 2, 0): "2.0–3.0", Cell(1, 3, STAGE_MS): "2.5–3.5", Cell(2, 2, 0): "4.0–5.0", Cell(2, 3, 0): "5.0–7.0"}
SEQUENTIAL = {cpu: Cell(1, 0, cpu) for cpu in (0.0, STAGE_MS)}
CELLS = [*SEQUENTIAL.values(), *(Cell(*one) for one in itertools.product(DEVICES, (1, 2, 3, 4), SEQUENTIAL))]


def simulated(bench: Bench, devices: int) -> Optional[Dict[str, str]]:
    library = bench.programs.parent / "lib"
    if not (library / "libgpusim.so").exists():
        return None
    image_bytes, mask_bytes = 2 * SIZE * SIZE, 8 * SIZE
    found_bytes = 2 * 8  # beside the mask of an event: its values that are not finite, in the image and in the network's answer
    return {"LD_PRELOAD": str(library / "libgpusim.so"), "GPUSIM_KERNELS": str(library / "libgpusim_kernels.so"),
            "GPUSIM_DEVICES": str(devices), "GPUSIM_KERNEL_MS": f"threshold:{STAGE_MS}",
            "GPUSIM_COPY_GBPS_UP": f"{BATCH * image_bytes / STAGE_MS / 1e6:.9f}",
            "GPUSIM_COPY_GBPS_DOWN": f"{BATCH * (mask_bytes + found_bytes) / STAGE_MS / 1e6:.9f}"}


def real_devices() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def measure(bench: Bench, cell: Cell, seconds: float, environment: Dict[str, str], more: List[str]) -> Dict[str, float]:
    done = subprocess.run([str(bench.programs / "matrix_run"), "--devices", str(cell.devices), "--lanes", str(cell.lanes), "--cpu-ms",
                           str(cell.cpu_ms), "--seconds", str(seconds), "--batch", str(BATCH), *more],
                          env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"matrix_run {cell}: {done.stderr.strip()}")
    outcome: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def rows(found: Dict[Cell, List[Dict[str, float]]], with_bound: bool) -> List[List[object]]:
    def rates(cell: Cell) -> List[float]:
        return [outcome["frames_per_s"] for outcome in found[cell]]

    lines: List[List[object]] = []
    for cell in found:
        speed_up = Spread.of_ratios(rates(cell), rates(SEQUENTIAL[cell.cpu_ms]))
        name = "sequential" if cell.lanes == 0 else f"{cell.devices} x {cell.lanes}"
        line = [name + (f", {short(cell.cpu_ms)} ms on the processor" if cell.cpu_ms else ""), Spread.of(rates(cell)), speed_up,
                PROMISED.get(cell)]
        if with_bound:
            line.append(Spread.of(rate / cell.bound() for rate in rates(cell)))
        line.append(Spread.of(outcome["busy"] for outcome in found[cell]))
        lines.append(line)
    return lines


def targets(found: Dict[Cell, List[Dict[str, float]]]) -> List[List[object]]:
    lines: List[List[object]] = []
    for devices in DEVICES:
        cell = Cell(devices, 3, 0.0)
        for text, wanted, values in (("frames/s of the bound", WANTED_OF_BOUND, [one["frames_per_s"] / cell.bound() for one in found[cell]]),
                                     ("devices busy while Q1 is never empty", WANTED_BUSY, [one["busy"] for one in found[cell]])):
            spread = Spread.of(values)
            good = spread is not None and spread.median >= wanted
            lines.append([f"{devices} x 3: {text}", f"≥ {wanted}", spread, "met" if good else "**missed**"])
    return lines


def section(bench: Bench) -> str:
    title = "## matrix: buffers and devices"
    environment = simulated(bench, max(DEVICES))
    if environment is None:
        return title + "\n\nNot measured: this was built without nvcc."
    cells = [cell for cell in CELLS if bench.effort != "smallest" or cell in (Cell(1, 0, 0.0), Cell(1, 3, 0.0))]
    rounds, seconds = int(bench.pick(1, 1, 3)), bench.pick(0.2, 1, 3)
    bench.say(f"{len(cells)} cells on simulated devices, {rounds} rounds")
    found = interleaved(cells, rounds, lambda cell: measure(bench, cell, seconds, environment, ["--size", str(SIZE)]))
    intro = f"""
**Simulated devices** (tests/gpusim): upload, kernels and download of a batch take {STAGE_MS:.0f} ms each, whatever this machine is. *2 x 3*: two
devices with three buffers each. *Sequential*: one buffer, and a wait after each step. The work on the processor is a pause of {STAGE_MS:.0f} ms
for each batch in a writer behind each device. Promised: the speed-ups that the tutorial of the replaced pipeline names. Bound: the slowest stage;
with two buffers half of the three stages' sum.""".strip()
    parts = [title, intro]
    if bench.effort != "smallest":
        parts += ["### Targets", table(["simulated devices", "wanted", "measured", ""], targets(found))]
    parts += ["### Simulated devices", table(["devices x buffers", "frames/s", "speed-up", "promised", "of the bound", "busy"], rows(found, True))]
    gpus = real_devices()
    if gpus == 0:
        return "\n\n".join([*parts, "### GPUs", "Not measured: there was none."])
    model = str(Path(__file__).resolve().parents[2] / "models" / "contrast.pt")
    there = [cell for cell in CELLS if cell.devices <= gpus]
    real = interleaved(there, rounds, lambda cell: measure(bench, cell, seconds, {}, ["--size", "512", "--model", model]))
    return "\n\n".join([*parts, "### GPUs", table(["devices x buffers", "frames/s", "speed-up", "promised", "busy"], rows(real, False))])
