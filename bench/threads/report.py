"""The suite threads: a network on the processors, idle and beside other work, as peaknetd runs it and as LibTorch does."""
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, Spread, interleaved, table  # noqa: E402

TARGETS = ["threads_run"]
DEMO = Path(__file__).resolve().parents[2] / "models" / "contrast.pt"
CASES = {"8 rows of 512x512": (512, 8), "3 rows of 512x512": (512, 3), "1 row of 512x512": (512, 1), "1 row of 1920x1920": (1920, 1)}

Outcome = Dict[str, Dict[str, float]]  # by form


@contextmanager
def one_busy_process_a_core(busy: bool) -> Iterator[None]:
    busy_ones = []
    try:
        for core in sorted(os.sched_getaffinity(0)) if busy else []:
            busy_ones.append(subprocess.Popen(["taskset", "-c", str(core), "sh", "-c", "while :; do :; done"]))
        yield
    finally:
        for process in busy_ones:
            process.kill()
            process.wait()


def section(bench: Bench) -> str:
    title = "## threads: a network on the processors beside other work"
    program = bench.programs / "threads_run"
    if not program.exists():
        return title + "\n\nNot measured: this was built without LibTorch."
    rounds, seconds = int(bench.pick(1, 3, 5)), bench.pick(0.05, 0.5, 1)

    def one(key: Tuple[str, bool]) -> Outcome:
        size, batch = CASES[key[0]]
        with one_busy_process_a_core(key[1]):
            done = subprocess.run([str(program), "--model", str(DEMO), "--size", str(size), "--batch", str(batch), "--seconds", str(seconds),
                                   "--rounds", "2"], check=True, capture_output=True, text=True)
        answer: Outcome = json.loads(done.stdout.splitlines()[-1])
        return answer

    keys = [(name, busy) for name in CASES for busy in (False, True)]
    bench.say(f"{len(keys)} cases, {rounds} rounds")
    found = interleaved(keys, rounds, one)

    def values(name: str, busy: bool, form: str, what: str) -> List[float]:
        return [outcome[form][what] for outcome in found[name, busy]]

    targets: List[List[object]] = []
    rows: List[List[object]] = []

    def target(text: str, above: List[float], below: List[float], wanted: float, at_least: bool) -> None:
        ratio = Spread.of_ratios(above, below)
        good = ratio is not None and (ratio.median >= wanted if at_least else ratio.median <= wanted)
        targets.append([text, f"{'≥' if at_least else '≤'} {wanted}", ratio, "met" if good else "**missed**"])

    for name in CASES:
        idle, busy = values(name, False, "ours", "rate"), values(name, True, "ours", "rate")
        target(f"{name}, idle: rate ÷ LibTorch's own threads", idle, values(name, False, "libtorch", "rate"), 0.95, True)
        target(f"{name}: rate beside the busy processes ÷ idle", busy, idle, 0.4, True)
        target(f"{name}: p99 beside the busy processes ÷ idle", values(name, True, "ours", "p99_ms"), values(name, False, "ours", "p99_ms"), 3, False)
        for is_busy in (False, True):
            for form in ("ours", "libtorch"):
                rows.append([f"{name}, {'beside busy processes' if is_busy else 'idle'}, {'peaknetd' if form == 'ours' else 'LibTorch'}",
                             *(Spread.of(values(name, is_busy, form, what)) for what in ("rate", "p50_ms", "p99_ms"))])
    intro = """
The demo network (TorchScript) on all processors, without the engine around it; `engine.cpu_threads: 0`. *LibTorch*: one call for the batch,
its threads meet after each step of the network; peaknetd ran so before. Both forms run in turns in one process. The busy
processes: a loop of the shell for each core, kept on it, with the same nice. Then half of the idle rate is a fair share. A run that is
shorter than the turns of a scheduler (some milliseconds) cannot have a p99 near its idle one beside them.
Eight rows are a full batch, as it is made while frames wait: its rows run on threads of their own. One and three rows are what
a detector that is slower than the network leaves; there the threads of one row meet after each step, and each meeting waits
for the slower of two processors.
Nothing was measured on a GPU.""".strip()
    return "\n\n".join([title, intro, "### Targets", table(["", "wanted", "measured", ""], targets),
                        "### Rows per second, and milliseconds of a run", table(["", "rows/s", "p50 ms", "p99 ms"], rows)])
