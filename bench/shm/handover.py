"""One run of the hand-over benchmark: starts its processes, lets them warm up, times them, and says what came of it.

  handover.py --bin build/release/bin --transport peaknet --bytes 1048576 --producers 2 --consumers 1 --seconds 1

prints one JSON object. CPU is that of producers, consumers and whatever stands between them, in the timed part alone.
Latency is from the stamp (frame filled, not yet handed over) to the consumer having read it; without --paced-us producers
send as fast as they can and it is that of a full queue.
"""
import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from board import CONSUMER_PIDS, GO, HELPER_PIDS, PRODUCER_PIDS, Board  # noqa: E402

FOLDER = Path(__file__).resolve().parent
READY_WITHIN = 60.0  # seconds
_runs = itertools.count()


@dataclass
class Transport:
    """Which processes a transport has, by program. `relays`: stand-ins of the daemon, of handover_bench."""

    title: str
    producers: str  # "C++", "Python" or "" for none
    consumers: str
    name: str  # for the programs' --transport
    relays: int = 0
    python_name: str = ""  # where the Python program has several clients to the same thing


CPP, PYTHON = "C++", "Python"
TRANSPORTS = {
    "peaknet": Transport("**peaknet** C++", CPP, CPP, "peaknet"),
    "peaknet-python": Transport("**peaknet** Python producer that fills, C++ consumer", PYTHON, CPP, "peaknet"),
    "peaknet-put": Transport("**peaknet** Python producer that puts, C++ consumer", PYTHON, CPP, "peaknet", python_name="peaknet-put"),
    "peaknet-results": Transport("**peaknet** Python producer, daemon's stand-in, Python consumer", PYTHON, PYTHON, "peaknet", 1),
    "iceoryx2": Transport("iceoryx2 (Python wheel)", PYTHON, PYTHON, "iceoryx2"),
    "zeromq": Transport("ZeroMQ ipc, C++", CPP, CPP, "zeromq"),
    "pyzmq": Transport("ZeroMQ ipc, pyzmq", PYTHON, PYTHON, "pyzmq"),
    "boost": Transport("Boost message_queue", CPP, CPP, "boost"),
    "mp": Transport("Python shared_memory + mp.Queue", PYTHON, PYTHON, "mp"),
    "ray": Transport("Ray put + Queue", PYTHON, PYTHON, "ray"),
    "futex": Transport("bare futex", CPP, CPP, "futex"),
    "memcpy": Transport("memcpy, one thread", CPP, "", "memcpy"),
    "memcpy-warm": Transport("memcpy, one thread, always to one place", CPP, "", "memcpy-warm"),
    "copy-image": Transport("our copy_image, one thread", CPP, "", "copy-image"),
}


@dataclass
class Plan:
    transport: str
    bytes: int = 1 << 20
    producers: int = 1
    consumers: int = 1
    slots: int = 16  # frames that may wait, for every transport
    paced_us: int = 0
    spin: bool = False
    seconds: float = 1.0
    warm_up: float = 0.25
    cpus: List[int] = field(default_factory=list)


class RunFailed(Exception):
    pass


def cpu_ns(pids: List[int]) -> Dict[int, int]:
    """Of all threads of each process, to the nanosecond (the kernel's clock of a process, see clock_getcpuclockid)."""
    used = {}
    for pid in pids:
        try:
            used[pid] = time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            continue  # has ended
    return used


def measure(plan: Plan, programs: Path, python: str = sys.executable) -> Dict[str, Any]:
    """`programs`: the folder with handover_bench; `python`: one that has the peers."""
    kind = TRANSPORTS[plan.transport]
    counts_of_senders = not kind.consumers  # nobody receives
    board = Board.make()
    groups: List[subprocess.Popen] = []
    name = f"bench-{os.getpid()}-{next(_runs)}"
    environment = dict(
        os.environ,
        PEAKNET_SHM_LIBRARY=str(programs.parent / "lib" / "libpeaknet_shm.so.2"),
        PYTHONPATH=str(FOLDER.parent.parent / "shm" / "python"),
    )

    def start(program: List[str], producers: int, consumers: int, *more: str) -> None:
        transport = kind.python_name if kind.python_name and program[0] == python else kind.name
        command = program + ["--board", board.path, "--name", name, "--transport", transport, "--bytes", str(plan.bytes),
                             "--producers", str(producers), "--consumers", str(consumers), "--slots", str(plan.slots),
                             "--paced-us", str(plan.paced_us), *more]
        if plan.spin:
            command.append("--spin")
        if plan.cpus:
            command += ["--cpus", ",".join(map(str, plan.cpus))]
        groups.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))

    def await_pids(first: int, count: int) -> None:
        end = time.monotonic() + READY_WITHIN
        while len(board.pids(first, 16)) < count:
            if any(group.poll() is not None for group in groups) or time.monotonic() > end:
                raise RunFailed(f"{plan.transport}: its processes did not start; see above")
            time.sleep(0.001)

    def of(language: str, what: str, count: int) -> int:
        return count if what == language else 0

    failure: Optional[str] = None
    try:
        # Whoever makes what is shared comes first, and its consumers before the producers of another program.
        cpp = [str(programs / "handover_bench")], of(CPP, kind.producers, plan.producers), of(CPP, kind.consumers, plan.consumers)
        with_cpp = cpp[1] or cpp[2] or kind.relays
        if with_cpp:
            start(*cpp, "--relays", str(kind.relays))
            if cpp[1] == 0:
                await_pids(HELPER_PIDS if kind.relays else CONSUMER_PIDS, kind.relays or plan.consumers)
        if PYTHON in (kind.producers, kind.consumers):
            start([python, str(FOLDER / "peers.py")], of(PYTHON, kind.producers, plan.producers),
                  of(PYTHON, kind.consumers, plan.consumers))
        await_pids(PRODUCER_PIDS, plan.producers)
        if kind.consumers:
            await_pids(CONSUMER_PIDS, plan.consumers)
        board.words[GO] = 1
        time.sleep(plan.warm_up)
        frames = board.frames_sent if counts_of_senders else board.frames_received
        pids, producers = board.all_pids(), board.pids(PRODUCER_PIDS, plan.producers)
        cpu_before, before, begin = cpu_ns(pids), frames(), time.monotonic()
        time.sleep(plan.seconds)
        after, took, cpu_after = frames(), time.monotonic() - begin, cpu_ns(pids)
        latencies = [] if counts_of_senders else board.latencies_us(before)
        if any(group.poll() is not None for group in groups):
            failure = "a process failed; see above"
    except BaseException:
        failure = "it was broken off"
        raise
    finally:
        board.stop()
        for group in reversed(groups):  # whoever made what is shared goes last
            assert group.stdin is not None
            group.stdin.close()
            try:
                if group.wait(timeout=20) != 0:
                    failure = failure or "a process failed; see above"
            except subprocess.TimeoutExpired:
                group.kill()
                group.wait()
                failure = failure or "a process did not end"
        board.remove()
    if failure:
        raise RunFailed(f"{plan.transport}: {failure}")
    count = sum(after) - sum(before)

    def cpu_us_per_frame(of: List[int]) -> Optional[float]:
        used = sum(cpu_after[pid] - cpu_before[pid] for pid in of if pid in cpu_after and pid in cpu_before)
        return used * 1e-3 / count if count else None

    return {
        **asdict(plan),
        "frames": count,
        "frames_per_s": count / took,
        "gb_per_s": count * plan.bytes / took * 1e-9,
        "cpu_us_per_frame": cpu_us_per_frame(pids),
        "producer_cpu_us_per_frame": cpu_us_per_frame(producers),
        "latency_us": {"p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99)},
    }


def quantile(ordered: List[float], q: float) -> Optional[float]:
    return ordered[int(q * (len(ordered) - 1))] if ordered else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=FOLDER.parent.parent / "build/release/bin")
    parser.add_argument("--transport", choices=TRANSPORTS, default="peaknet")
    for name, value in (("bytes", 1 << 20), ("producers", 1), ("consumers", 1), ("slots", 16), ("paced-us", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--warm-up", type=float, default=0.25)
    parser.add_argument("--spin", action="store_true")
    parser.add_argument("--cpus", type=lambda text: [int(cpu) for cpu in text.split(",")], default=[])
    arguments = vars(parser.parse_args())
    programs = arguments.pop("bin").resolve()
    try:
        print(json.dumps(measure(Plan(**arguments), programs)))
    except RunFailed as failure:
        print(f"handover.py: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
