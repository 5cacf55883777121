"""The suite growth: what a frame costs as the work grows, one quantity at a time, and whether a long run grows by itself."""
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "chain"))
from frames import SPOTS, saved  # noqa: E402
from ours import Chain, Plan, tried  # noqa: E402
from plot import Line, Panel, draw  # noqa: E402
from suite import Bench, Spread, interleaved, short, table  # noqa: E402
from usage import processes, usage  # noqa: E402

TARGETS = ["peaknetd", "peaknet-writer", "peaknetctl", "peaknet_shm_c"]

SMALL = (1, 512, 512)
Shape = Tuple[int, int, int]


@dataclass
class Sweep:
    title: str
    axis: str
    values: Sequence[float]
    plan: Callable[[float], Plan]
    work: Optional[Callable[[float], float]] = None  # of a frame; None: it stays as it is
    unit: str = ""  # of the work
    log: bool = True


def cost(outcome: Optional[Dict[str, Any]], what: str) -> Optional[float]:
    return None if outcome is None else outcome[what]


def median(rounds: List[Optional[Dict[str, Any]]], what: str) -> float:
    spread = Spread.of(cost(outcome, what) for outcome in rounds)
    return float("nan") if spread is None else spread.median


def sentence(sweep: Sweep, line: List[Tuple[float, float]]) -> str:
    """Of (value, µs per frame)."""
    costs = [us for _, us in line]
    if sweep.work is None:
        return f"The work of a frame stays; its cost is between {short(min(costs))} and {short(max(costs))} µs."
    work = [sweep.work(value) for value, _ in line]
    steps = [(costs[i + 1] - costs[i]) / (work[i + 1] - work[i]) for i in range(len(costs) - 1)]
    return (f"From the least to the most a frame costs {short(costs[-1] - costs[0])} µs more: {short(steps[0])} µs {sweep.unit} in the first step, "
            f"{short(steps[-1])} µs in the last.")


def run(bench: Bench, plan: Plan, title: str) -> Optional[Dict[str, Any]]:
    bench.say(title)
    return tried(plan, bench.programs, bench.python, bench.say)


def swept(bench: Bench, sweep: Sweep, rounds: int) -> str:
    values = sweep.values if bench.effort == "full" else [sweep.values[0], sweep.values[-1]]
    found = interleaved(values, rounds, lambda value: run(bench, sweep.plan(value), f"{sweep.title}: {value:g}"))
    rows: List[List[object]] = []
    line: List[Tuple[float, float]] = []
    for value in values:
        cpu = Spread.of(cost(outcome, "cpu_us_per_frame") for outcome in found[value])
        rows.append([f"{value:g}", Spread.of(cost(outcome, "frames_per_s") for outcome in found[value]), cpu,
                     Spread.of(cost(outcome, "memory_mib") for outcome in found[value])])
        if cpu is not None:
            line.append((value, cpu.median))
    text = f"### {sweep.title}\n\n"
    if len(line) > 1:
        x = [value for value, _ in line]
        text += sentence(sweep, line) + "\n\n" + draw(bench.plots / f"growth_{sweep.title.lower().replace(' ', '_')}.svg", [
            Panel("CPU of all processes", sweep.axis, "µs per frame", [Line("", x, [us for _, us in line])], log_x=sweep.log),
            Panel("rate", sweep.axis, "frames/s", [Line("", x, [median(found[value], "frames_per_s") for value in x])], log_x=sweep.log),
        ]) + "\n\n"
    return text + table([sweep.axis, "frames/s", "CPU µs/frame", "memory MiB"], rows)


# --- a long run ---------------------------------------------------------------------------------------------------------

def resident_mib(word: str) -> Dict[str, Tuple[float, int, int]]:
    """By program: memory of its own (neither shared nor of files), open descriptors, threads."""
    found: Dict[str, Tuple[float, int, int]] = {}
    for pid in processes(word):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
            found[name] = (int(status["RssAnon"].split()[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"]))
        except (OSError, KeyError):
            continue  # has just ended
    return found


def long_run(bench: Bench, plan: Plan, seconds: float) -> str:
    """At full speed; files are looked at and removed as they are finished, so that the disk does not end it."""
    minutes: List[float] = []
    per_frame: List[float] = []
    memory: Dict[str, List[float]] = {"peaknetd": [], "peaknet-writer": []}
    counts: List[Tuple[int, int]] = []
    ledgers: List[float] = []
    files = 0
    with Chain(plan, bench.programs, bench.python) as chain:
        producers = chain.produce()
        time.sleep(plan.warm_up)
        begin, step = time.monotonic(), max(1.0, seconds / 120)
        before, frames = usage(chain.word), chain.stats()["frames"]
        while time.monotonic() - begin < seconds:
            time.sleep(step)
            after, now = usage(chain.word), chain.stats()["frames"]
            done = sum(now[what] - frames[what] for what in ("written", "filtered"))
            if done:
                minutes.append((time.monotonic() - begin) / 60)
                per_frame.append(after.cpu_s_since(before) * 1e6 / done)
                own = resident_mib(chain.word)
                for program, values in memory.items():
                    values.append(own[program][0] if program in own else float("nan"))
                counts.append((sum(one[1] for one in own.values()), sum(one[2] for one in own.values())))
                ledgers.append(sum(path.stat().st_size for path in (chain.folder / "files").glob("*.ledger")) / 2**20)
            before, frames = after, now
            for path in (chain.folder / "files").glob("*.cxi"):
                files += 1
                path.unlink()
        sent = [json.loads(producer.communicate("\n", timeout=60)[0])["committed"] for producer in producers]
        chain.ctl("stop", "--timeout", "120s")
        end = chain.stats()["frames"]
    lost = sum(sent) - end["written"] - end["filtered"]
    third = max(1, len(minutes) // 3)

    def growth(values: List[float]) -> str:
        first, last = sorted(values[:third])[third // 2], sorted(values[-third:])[third // 2]
        return f"{short(first)} → {short(last)}"

    rows = [["CPU µs/frame", growth(per_frame)], ["peaknetd, memory of its own, MiB", growth(memory["peaknetd"])],
            ["peaknet-writer, memory of its own, MiB", growth(memory["peaknet-writer"])],
            ["open descriptors of all programs", growth([float(fd) for fd, _ in counts])], ["threads of all programs", growth([float(n) for _, n in counts])],
            ["ledgers at a time, MiB", growth(ledgers)]]
    picture = draw(bench.plots / "growth_long_run.svg", [
        Panel("memory of its own", "minutes", "MiB", [Line(program, minutes, values) for program, values in memory.items()]),
        Panel("CPU of all processes", "minutes", "µs per frame", [Line("", minutes, per_frame)]),
    ])
    return (f"### A long run\n\n{short(seconds / 60)} minutes at full speed: {short(float(sum(sent)))} frames committed, {lost} of them neither written nor filtered, {files} files. "
            f"Medians of the first and the last third:\n\n" + table(["", "first → last"], rows) + f"\n\n{picture}")


def section(bench: Bench) -> str:
    rounds = int(bench.pick(1, 1, 3))
    seconds = bench.pick(1, 2, 4)
    parts: List[str] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("PEAKNET_BENCH_DISK"), prefix="bench_growth_") as name:
        folder = Path(name)

        def plan_of(shape: Shape = SMALL, hits: float = 0.2, spots: int = SPOTS, **more: Any) -> Plan:
            count = max(8, min(64, (64 << 20) // (2 * shape[0] * shape[1] * shape[2])) // 8 * 8)
            more.setdefault("slots", max(16, min(128, (128 << 20) // (2 * shape[0] * shape[1] * shape[2]))))
            return Plan(saved(folder, shape, count, hits, spots), disk=folder, seconds=seconds, warm_up=1.0, **more)

        # `work`: in the unit of the axis, plus what a frame without any of it is; the power then tells what grows.
        sweeps = [
            Sweep("Frame size", "pixels a side, one panel", (256, 512, 1024, 2048), lambda side: plan_of((1, int(side), int(side))),
                  lambda side: side * side / 2**20, "a million pixels"),
            Sweep("Hit fraction", "part of the frames that have peaks", (0.0, 0.125, 0.25, 0.5, 1.0), lambda part: plan_of(hits=part),
                  lambda part: part, "a frame that is a hit", log=False),
            Sweep("Peaks per frame", "spots in every frame", (10, 40, 160, 640), lambda spots: plan_of(hits=1.0, spots=int(spots)),
                  lambda spots: spots, "a spot"),
            Sweep("Producers", "producers", (1, 2, 4, 8, 16, 32), lambda n: plan_of(producers=int(n))),
            Sweep("Devices", "devices, a network that takes 10 ms a batch of 2", (1, 2, 4, 8),
                  lambda n: plan_of(model="builtin:delay=10", devices="[" + ", ".join(["cpu"] * int(n)) + "]", batch=2, slots=256)),
            Sweep("Pool size", "slots", (16, 64, 256, 1024, 4096), lambda n: plan_of((1, 128, 128), slots=int(n))),
            Sweep("Older files", "files of earlier runs in the folder", (1, 100, 1000, 10000, 50000), lambda n: plan_of((1, 128, 128), older_files=int(n))),
        ]
        for sweep in sweeps:
            parts.append(swept(bench, sweep, rounds))
        parts.append(long_run(bench, replace(plan_of(), producers=2), bench.pick(5, 20, 600)))
    intro = """
The whole chain of the suite *chain* with its threshold network, one producer at full speed, 512 × 512 and a fifth of the frames hits, unless
the table says otherwise; one quantity grows at a time. CPU is that of all processes, producers included, so it is what a frame costs whatever
the machine's size.""".strip()
    return "\n\n".join(["## growth: the cost of a frame as the work grows", intro, *parts])
