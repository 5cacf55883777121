"""The suite writer: events from the pool into durable files, beside write() + fsync and beside the compression alone."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, Spread, interleaved, table  # noqa: E402

TARGETS = ["writer_run"]

TITLES = {"raw": "write() + fsync of the same bytes", "reserved": "the same, space reserved first",
          "dropped": "the same, every 32 images synced and dropped from the page cache",
          "none": "peaknet-writer, no compression", "codec": "bitshuffle + LZ4 alone, one thread",
          "lz4-1": "peaknet-writer, bitshuffle + LZ4, 1 thread", "lz4-2": "the same, 2 threads", "lz4-4": "the same, 4 threads",
          "peaks": "peaknet-writer, peaks alone, 1000 events a file", "peaks-memory": "the same into memory (tmpfs)"}

Outcome = Optional[Dict[str, Any]]


def measure(bench: Bench, folder: Path, name: str, size: int) -> Outcome:
    what, _, threads = name.partition("-")
    events = int(bench.pick(100, 400, 1000))
    if what == "peaks":
        events *= 10
    where = Path("/dev/shm") if name == "peaks-memory" else folder
    command = [str(bench.programs / "writer_run"), what, "--size", str(size), "--events", str(events), "--slots", "128"]
    if threads.isdigit():
        command += ["--threads", threads]
    if what == "peaks":
        command += ["--events-per-file", "1000"]
    with tempfile.TemporaryDirectory(dir=where, prefix="writer_run_") as out:
        done = subprocess.run(command + ["--folder", out], capture_output=True, text=True)
    if done.returncode != 0:
        bench.say(f"{name}: {done.stderr.strip()}")
        return None
    answer: Dict[str, Any] = json.loads(done.stdout)
    return answer


def values(rounds: List[Outcome], key: str) -> List[Optional[float]]:
    return [outcome[key] if outcome else None for outcome in rounds]


def section(bench: Bench) -> str:
    size = 1024
    names = ["raw", "reserved", "dropped", "none", "codec", "lz4-1", "lz4-2", "lz4-4", "peaks", "peaks-memory"]
    if bench.effort == "smallest":
        names = ["raw", "reserved", "dropped", "none", "codec", "lz4-1", "peaks-memory"]
    with tempfile.TemporaryDirectory(dir=os.environ.get("PEAKNET_BENCH_DISK", "."), prefix="bench_writer_") as folder:
        def one(name: str) -> Outcome:
            bench.say(name)
            return measure(bench, Path(folder), name, size)

        results = dict(interleaved(names, int(bench.pick(1, 2, 5)), one))

    targets: List[List[object]] = []

    def target(what: str, wanted: str, got: Optional[Spread], at_least: float) -> None:
        if got is not None:
            targets.append([what, wanted, got, "met" if got.median >= at_least else "**missed**"])

    def ratio(above: str, below: str) -> Optional[Spread]:
        if above not in results or below not in results:
            return None
        return Spread.of_ratios(values(results[above], "events_per_s"), values(results[below], "events_per_s"))

    target("no compression ÷ write() + fsync", "≥ 0.9", ratio("none", "raw"), 0.9)
    target("no compression ÷ the same, space reserved first", "≥ 0.9", ratio("none", "reserved"), 0.9)
    target("no compression ÷ the same, dropped from the page cache as the writer does", "≥ 0.9", ratio("none", "dropped"), 0.9)
    target("bitshuffle + LZ4, 1 thread ÷ the compression alone", "≥ 0.9", ratio("lz4-1", "codec"), 0.9)
    target("2 threads ÷ 1 thread", "≥ 1.2, until the disk or the cores are the limit", ratio("lz4-2", "lz4-1"), 1.2)
    for name in ("peaks", "peaks-memory"):
        if name in results:
            target(f"{TITLES[name]}: events/s", "≥ 6000", Spread.of(values(results[name], "events_per_s")), 6000)
    rows = [[TITLES[name], Spread.of(values(rounds, "events_per_s")), Spread.of(values(rounds, "mb_per_s")), Spread.of(values(rounds, "cpu_us_per_event"))]
            for name, rounds in results.items()]
    intro = """
Frames of 1024 × 1024 counts (uint16, 2 MiB, 100 peaks) wait in a pool whose slots were filled before; the time runs until all are counted
as written and every file is finished, so each event is on the disk (image, ledger and file synced). *write() + fsync* writes the same
images into files of 100 and syncs each once. MB are those of the images before compression. Where fewer cores are free than threads at
work, or others use the disk, compare the processor time.""".strip()
    return "\n\n".join(["## writer: events into durable files", intro, "### Targets", table(["", "wanted", "measured", ""], targets),
                        "### Figures", table(["", "events/s", "MB/s of images", "CPU µs/event"], rows)])
