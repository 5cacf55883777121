"""The suite shm: hand-over of frames from producers to consumers, ours beside its peers, memcpy and a bare futex."""
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from handover import TRANSPORTS, Plan, RunFailed, measure  # noqa: E402
from suite import Bench, Spread, interleaved, missing_modules, short, table  # noqa: E402

TARGETS = ["handover_bench", "peaknet_shm_c"]

NEEDS = {"iceoryx2": "iceoryx2", "pyzmq": "zmq", "ray": "ray"}  # modules of Python
OURS = ["peaknet", "peaknet-put", "peaknet-python", "peaknet-results"]
TITLES = {"peaknet": "C++", "peaknet-put": "Python producer that puts", "peaknet-python": "Python producer that fills"}
PEERS = ["iceoryx2", "zeromq", "pyzmq", "boost", "mp", "ray"]
KIB, MIB = 1 << 10, 1 << 20
DEFAULT_SLOTS = 64  # of pool.slots in the configuration
Results = Dict[str, List[Optional[Dict[str, Any]]]]  # by transport, one per round; None: that run failed

# Why, where we are slower than somebody or miss a target: looked into with perf and the CPU clocks of the processes.
CAUSES = """
- **64 B**: Boost's queue is one lock and a copy of 64 bytes; ZeroMQ hands over in batches. We search the state words for the oldest frame
  (twice, so that the frames of a producer stay in order), and keep a journal, counters and a checked description of 256 bytes for every
  frame, which is what makes `kill -9` harmless: about 1 µs for producer and consumer together, where the copy of a detector's frame
  takes 20 µs per MiB and more.
- **1 MiB, 16 slots**: 16 MiB fit into the last cache of the processor it was looked at on (32 MiB), so that *memcpy* is at its best there, while
  our consumer is faster than the producer and sleeps after every frame: the call that wakes it is all that perf shows beside the
  copy, and a fifth of the producer's CPU in a virtual machine, whose idle processor has to be called back. A consumer that spins would save it, and cost a core.
- **Python producers against C++**: `put` is one call of ctypes, 1.7 µs beside the copy (the bare call with ready arguments: 1.0), and 1.3 µs more than
  the bare call where the copy has driven the interpreter's own data out of the inner caches. The faster the copy, the more that weighs.
  A frame that is filled in place costs claim, an array with its guard, and commit, 4 to 5 µs; a whole image that is assigned to it
  (`frame.image[...] = image`) is copied as `put` does. Filling in place is for who can have the detector write there: then there is no copy to compare with.
- **Python producer against iceoryx2 at 64 B**: our consumer, in C++, is so much faster than the producer that it sleeps after 0.87 of all
  frames and has to be woken; that of iceoryx2, in Python, after 0.15. iceoryx2 in this table is always Python.
- **Two consumers**: a commit wakes all who sleep, for it cannot know who of them is alive; with 4 → 2 the consumers slept 1.4 times per
  frame, those of iceoryx2, which have a queue each, 0.67 times.
- **Other programs on the machine**: a memcpy needs one core, a hand-over two or more at once; and where Linux shares the
  processor between sessions (sched_autogroup), all processes of a run together get what one would. Then rounds differ by a factor of two and
  more, as the brackets show, and the rows of CPU per frame tell more than those of frames per second.
- **memcpy always to one place** stays in the cache of one core; it is no hand-over, only the bound that nothing can pass.
- **Busy**: a spinning process takes a core; where others compete for it, p99 is a time slice of the scheduler for everybody.
"""


@dataclass(frozen=True)
class Cell:
    """What one table of throughput is about."""

    bytes: int
    producers: int
    consumers: int
    slots: int
    near: bool = False  # beside memcpy, iceoryx2 and ourselves alone

    def __str__(self) -> str:
        return f"{size_of(self.bytes)}, {self.producers} → {self.consumers}, {self.slots} slots"


def cells_of(effort: str) -> List[Cell]:
    """A pool of 64 slots, but of 16 for the largest frames, which are a quarter of a GiB then; and for 1 MiB also a pool that fits
    into the cache of the processor, where memcpy is at its best."""
    if effort == "smallest":
        return [Cell(64 * KIB, 2, 1, 16)]
    topologies = [(1, 1)] if effort == "quick" else [(1, 1), (2, 1), (4, 2)]
    cells = [Cell(count, *topology, 16 if count > MIB else DEFAULT_SLOTS) for count in (64, MIB, 16 * MIB) for topology in topologies]
    if effort == "quick":
        return cells + [Cell(MIB, 2, 1, DEFAULT_SLOTS, near=True)]
    return cells + [Cell(MIB, 1, 1, 16, near=True), Cell(MIB, 2, 1, 16, near=True)]


def size_of(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // KIB} KiB" if count >= KIB else f"{count} B"


def measured(bench: Bench, plan: Plan) -> Optional[Dict[str, Any]]:
    try:
        return measure(plan, bench.programs, bench.python)
    except RunFailed as failure:
        bench.say(str(failure))
        return None


def throughput(bench: Bench, peers: List[str], cell: Cell) -> Results:
    bench.say(str(cell))
    plan = Plan("", cell.bytes, cell.producers, cell.consumers, cell.slots, seconds=bench.pick(0.1, 0.25, 0.4),
                warm_up=bench.pick(0.05, 0.1, 0.2))
    references = ["memcpy", "copy-image", "memcpy-warm"] if cell.bytes > KIB else []
    if cell.near:
        peers = [peer for peer in peers if peer == "iceoryx2"]
    names = references + OURS + [peer for peer in peers if peer != "ray"]

    def one(name: str) -> Optional[Dict[str, Any]]:
        return measured(bench, replace(plan, transport=name, **({"producers": 1, "consumers": 0} if name in references else {})))

    found: Results = dict(interleaved(names, int(bench.pick(1, 1, 5)), one))
    if "ray" in peers:  # seconds to start, and slower by far: it has one longer round of its own
        found["ray"] = [measured(bench, replace(plan, transport="ray", seconds=1.0, warm_up=1.0))] * len(found["peaknet"])
    return found


def latency(bench: Bench, peers: List[str], spin: bool) -> Results:
    bench.say("latency, " + ("busy" if spin else "blocked"))
    cpus = sorted(os.sched_getaffinity(0))[:2]
    plan = Plan("", 64, paced_us=1000, spin=spin, seconds=bench.pick(0.1, 0.4, 1), warm_up=bench.pick(0.05, 0.1, 0.2),
                cpus=cpus if len(cpus) == 2 else [])
    names = ["futex"] + [n for n in OURS + peers if n != "ray" and not (spin and n == "peaknet-results")]
    if bench.effort == "smallest":
        names = ["futex", "peaknet"]
    found: Results = dict(interleaved(names, int(bench.pick(1, 2, 5)), lambda name: measured(bench, replace(plan, transport=name))))
    if "ray" in peers and not spin and bench.effort == "full":
        slow = replace(plan, transport="ray", paced_us=20000, seconds=2.0, warm_up=1.0, cpus=[])
        found["ray"] = [measured(bench, slow)] * len(found["peaknet"])
    return found


def values(rounds: List[Optional[Dict[str, Any]]], *path: str) -> List[Optional[float]]:
    found: List[Optional[float]] = []
    for outcome in rounds:
        value: Any = outcome
        for step in path:
            value = value[step] if value is not None else None
        found.append(value)
    return found


def ratio(results: Results, above: str, below: str, *path: str) -> Optional[Spread]:
    if above not in results or below not in results:
        return None
    return Spread.of_ratios(values(results[above], *path), values(results[below], *path))


def middle(results: Results, name: str, *path: str) -> Optional[str]:
    spread = Spread.of(values(results[name], *path))
    return short(spread.median) if spread else None


def throughput_table(results: Results) -> str:
    copied = "memcpy" in results
    head = ["", "frames/s"] + (["GB/s", "÷ memcpy", "÷ memcpy to one place"] if copied else [])
    head += ["peaknet C++ ÷ it", "CPU µs/frame", "of it producers", "latency p50 / p99 µs, queue full"]
    rows = []
    for name in results:
        row: List[object] = [TRANSPORTS[name].title, middle(results, name, "frames_per_s")]
        if copied:
            row += [middle(results, name, "gb_per_s"), ratio(results, name, "memcpy", "frames_per_s"),
                    ratio(results, name, "memcpy-warm", "frames_per_s")]
        ours = None if name in ("memcpy", "memcpy-warm", "copy-image") else ratio(results, "peaknet", name, "frames_per_s")
        late = [middle(results, name, "latency_us", q) for q in ("p50", "p99")]
        row += [ours, middle(results, name, "cpu_us_per_frame"), middle(results, name, "producer_cpu_us_per_frame"), " / ".join(late) if all(late) else None]  # type: ignore[arg-type]
        rows.append(row)
    return table(head, rows)


def latency_table(blocked: Results, busy: Results) -> str:
    rows = []
    for name in blocked:
        row: List[object] = [TRANSPORTS[name].title]
        for results in (blocked, busy):
            there = name in results
            row += [middle(results, name, "latency_us", q) if there else None for q in ("p50", "p99")]
            row += [ratio(results, name, "futex", "latency_us", "p50") if there else None]
            row += [middle(results, name, "cpu_us_per_frame") if there else None]
        rows.append(row)
    head = ["", "blocked p50 µs", "p99", "p50 ÷ futex", "CPU µs/frame", "busy p50 µs", "p99", "p50 ÷ futex", "CPU µs/frame"]
    return table(head, rows)


def targets(cells: Dict[Cell, Results], blocked: Results) -> str:
    rows: List[List[object]] = []

    def target(what: str, got: Optional[Spread], at_least: Optional[float] = None, at_most: Optional[float] = None) -> None:
        if got is None:
            return
        met = (at_least is None or got.median >= at_least) and (at_most is None or got.median <= at_most)
        wanted = f"≥ {at_least}" if at_least is not None else f"≤ {at_most}"
        rows.append([what, wanted, got, "met" if met else "**missed**"])

    for cell, results in cells.items():
        if cell.bytes >= MIB and cell.producers <= 2:
            for ours, title in TITLES.items():
                wanted = 1.0 if cell.producers == 1 else 1.2
                target(f"{cell}: {title} ÷ memcpy, one thread", ratio(results, ours, "memcpy", "frames_per_s"), at_least=wanted)
            rows.append([f"{cell}: CPU per frame, memcpy ÷ our C++ producers", None,
                         ratio(results, "memcpy", "peaknet", "producer_cpu_us_per_frame"), ""])
        for ours, title in TITLES.items():
            target(f"{cell}: {title} ÷ iceoryx2", ratio(results, ours, "iceoryx2", "frames_per_s"), at_least=1.0)
        if cell.bytes == MIB and cell.producers == 1:
            for ours in ("peaknet-put", "peaknet-python"):
                target(f"{cell}: {TITLES[ours]} ÷ C++", ratio(results, ours, "peaknet", "frames_per_s"), at_least=0.9)
    target("wake-up p50 ÷ bare futex", ratio(blocked, "peaknet", "futex", "latency_us", "p50"), at_most=1.5)
    return table(["", "wanted", "measured", ""], rows)


def losses(cells: Dict[Cell, Results], blocked: Results) -> List[str]:
    """In words, each cell in which a peer is ahead of us by more than the noise of a round: 5 %."""
    found = []
    for cell, results in cells.items():
        for name in results:
            lead = ratio(results, name, "peaknet", "frames_per_s")
            if name in PEERS and lead and lead.median > 1.05:
                found.append(f"{cell}: {TRANSPORTS[name].title} hands over {lead} times the frames of peaknet C++.")
    for name in PEERS:
        lead = ratio(blocked, "peaknet", name, "latency_us", "p50")
        if lead and lead.median > 1.05:
            found.append(f"Wake-up: peaknet C++ needs {lead} times the p50 of {TRANSPORTS[name].title}.")
    return found


def section(bench: Bench) -> str:
    absent = missing_modules(bench.python, NEEDS.values())
    peers = [peer for peer in PEERS if NEEDS.get(peer) not in absent and not (peer == "ray" and bench.effort != "full")]
    left_out = [TRANSPORTS[peer].title for peer in PEERS if peer not in peers]
    cores = len(os.sched_getaffinity(0))
    cells = {cell: throughput(bench, peers, cell) for cell in cells_of(bench.effort)}
    blocked, busy = latency(bench, peers, spin=False), latency(bench, peers, spin=True)

    parts = ["## shm: hand-over of frames", f"""
A frame goes from producers to consumers, each a process of its own, through a pool or queue of as many frames as the table says. The
producer copies every byte of an image into the frame (filling is part of the work) and stamps the time last. It goes round 64 MiB of
images, since those of a detector are new each time and in no cache; memcpy and all peers copy from the same. The
consumer reads first and last word and lets the frame go: it does not touch every byte, as the daemon does not, whose device copies.
*memcpy* is one thread that copies the same bytes round as many buffers, without anybody to hand them to; *to one place*, always into
the same one. Two things make a hand-over of ours faster than the memcpy that goes round: our pool gives the lowest free slot, which is
still in the cache, and our producers copy with `copy_image` (`Frame::fill` in C++, `put` in C and Python, a whole image assigned to a
frame's array), which below 4 MiB mostly leaves the copying to the processor and from there on stores past the caches (`shm/copy_image.hpp`
says when and why); the row *our copy_image* is that alone, round as many buffers. The peers copy with one memcpy. 64 slots are what `pool.slots` is by default.

C++ and Python of ours share the pool; its consumer is a C++ process in the daemon's place (Python has no client there), and in the
last row of ours that process hands on to a Python consumer of results. A Python producer *puts* an array in one call, or *fills*
the slot's own array (`with producer.claim() as frame`); the stamp of one that puts is older by its copy. iceoryx2 and Ray are Python on both sides, waiting by events. CPU
is that of all processes of a run. The row *CPU per frame, memcpy ÷ our producers* is what the first target would be if every process
had a core to itself: it suffers least from what else runs on the machine. {"Not in this run: " + ", ".join(left_out) + "." if left_out else ""}""".strip()]
    parts += ["### Targets", targets(cells, blocked)]
    lost = losses(cells, blocked)
    parts += ["### Where we lose, and why", "\n".join("- " + loss for loss in lost) or "No peer was ahead of us by more than 5 % in any cell.",
              CAUSES.strip()]
    for cell, results in cells.items():
        processes = cell.producers + cell.consumers
        parts.append(f"### {cell}")
        if processes > cores:
            parts.append(f"{processes} processes on {cores} cores: over-committed, the scheduler has its say in every row.")
        parts.append(throughput_table(results))
    parts += ["### Latency of single frames: 64 B, one per millisecond", "Producer and consumer bound to a core each (Ray is not, and has one "
              "frame per 20 ms). *Blocked*: the consumer sleeps until it is woken; *busy*: it looks all the time. The bare futex is the least "
              "that waking costs.", latency_table(blocked, busy)]
    return "\n\n".join(parts)
