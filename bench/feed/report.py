"""The suite feed: lclstreamer's npz messages over loopback into slots, beside a bare receive loop, beside the inflating library alone,
and beside the Python reader that is used upstream."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, Spread, interleaved, missing_modules, table  # noqa: E402

TARGETS = ["feed_run"]
HERE = Path(__file__).resolve().parent

# One message of B events, as numpy writes it: photon counts on a water ring, as float32.
MESSAGE = """
import sys
import numpy as np
folder, events, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(1)
y, x = np.mgrid[0:size, 0:size]
r = np.hypot(y - 0.51 * size, x - 0.49 * size) / size
mean = 0.15 + 3 * np.exp(-r / 0.35) + 6 * np.exp(-0.5 * ((r - 0.3) / 0.035) ** 2)
images = np.stack([random.poisson(mean) for _ in range(events)])[:, None].astype(np.float32)
fields = dict(detector_data=images, timestamp=np.arange(events, dtype=np.uint64) + (np.uint64(1) << np.uint64(60)),
              photon_wavelength=np.full(events, 0.127),
              detector_data_original_shape=np.array([events, 1, size, size], np.int32))
np.savez(folder + "/stored.npz", **fields)
np.savez_compressed(folder + "/deflated.npz", **fields)
"""

Outcome = Optional[Dict[str, Any]]


class Runs:
    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.program = str(bench.programs / "feed_run")
        self.events, self.size = (8, 1920) if bench.effort != "smallest" else (2, 256)

    def make_messages(self) -> None:
        subprocess.run([self.bench.python, "-c", MESSAGE, str(self.folder), str(self.events), str(self.size)], check=True)

    def measure(self, what: str) -> Outcome:
        """`what`: NAME[-THREADS][:FILE]; with a file the messages come over loopback from another process."""
        self.bench.say(what)
        name, _, file = what.partition(":")
        name, _, threads = name.rpartition("-") if name[-1].isdigit() else (name, "", "1")
        messages = int(self.bench.pick(4, 24, 60)) if file == "stored" else int(self.bench.pick(2, 5, 10))
        more = ["--messages", str(messages)]
        receiver = [self.program, name, "--events", str(self.events), "--size", str(self.size), "--threads", threads] + more
        if name == "python":
            receiver = [self.bench.python, str(HERE / "python_reader.py")] + more
        if not file:
            done = subprocess.run(receiver + ["--file", str(self.folder / "deflated.npz")], capture_output=True, text=True)
            return self.answer(done.returncode, done.stdout, done.stderr)
        with subprocess.Popen(receiver, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            word, _, address = process.stdout.readline().strip().partition(" ")
            if word != "at":
                process.kill()
                return self.answer(1, "", process.communicate()[1])
            with subprocess.Popen([self.program, "send", address, "--file", str(self.folder / f"{file}.npz"),
                                   "--messages", str(messages + 2)]) as sender:
                out, err = process.communicate()
                sender.terminate()
        return self.answer(process.returncode, out, err)

    def answer(self, code: int, out: str, err: str) -> Outcome:
        if code != 0:
            self.bench.say(err.strip())
            return None
        found: Dict[str, Any] = json.loads(out)
        return found


def section(bench: Bench) -> str:
    cores = len(os.sched_getaffinity(0))
    names = ["recv:stored", "recv-message:stored", "listen:stored", "python:stored", "inflate", "decode", "listen:deflated",
             "python:deflated"]
    counts = [] if bench.effort == "smallest" else [n for n in (2, 4, 8, 16) if n <= cores]
    names += [f"{what}-{n}" for n in counts for what in ("inflate", "decode")]
    if missing_modules(bench.python, ["zmq"]):
        bench.say("python: pyzmq is not to be had")
        names = [name for name in names if not name.startswith("python")]
    with tempfile.TemporaryDirectory(prefix="bench_feed_") as folder:
        runs = Runs(bench, Path(folder))
        runs.make_messages()
        packed = (Path(folder) / "deflated.npz").stat().st_size
        whole = (Path(folder) / "stored.npz").stat().st_size
        found = dict(interleaved(names, int(bench.pick(1, 3, 5)), runs.measure))

    def rates(name: str) -> List[Optional[float]]:
        return [outcome["messages_per_s"] if outcome else None for outcome in found.get(name, [])]

    targets: List[List[object]] = []

    def target(what: str, above: str, below: str, at_least: float) -> None:
        got = Spread.of_ratios(rates(above), rates(below))
        if got is not None:
            targets.append([what, f"≥ {at_least}", got, "met" if got.median >= at_least else "**missed**"])

    target("stored, over loopback into slots ÷ bare zmq_recv loop", "listen:stored", "recv:stored", 0.8)
    target("deflated, into slots ÷ libdeflate alone, 1 thread", "decode", "inflate", 0.9)
    for n in counts:
        target(f"the same, {n} threads each", f"decode-{n}", f"inflate-{n}", 0.9)
        target(f"{n} threads ÷ 1 thread", f"decode-{n}", "decode", 0.8 * n)
    titles = {"recv:stored": "bare zmq_recv loop, stored", "recv-message:stored": "bare zmq_msg_recv loop, stored (no copy)",
              "listen:stored": "peaknet-feed listen, stored, into slots", "python:stored": "Python: numpy.load of BytesIO + queue, stored",
              "inflate": "libdeflate alone, 1 thread", "decode": "npz decoder into slots, deflated, 1 thread",
              "listen:deflated": "peaknet-feed listen, deflated, 1 thread, over loopback",
              "python:deflated": "Python: numpy.load of BytesIO + queue, deflated"}
    rows = []
    for name, rounds in found.items():
        base, _, threads = name.rpartition("-")
        title = titles.get(name) or f"{titles[base].replace(', 1 thread', '')}, {threads} threads"
        rate = Spread.of(rates(name))
        images = Spread.of(value * runs.events if value else None for value in rates(name))
        mb = Spread.of(value * whole * 1e-6 if value else None for value in rates(name))
        cpu = Spread.of(outcome["cpu_ms_per_message"] if outcome else None for outcome in rounds)
        rows.append([title, rate, images, mb, cpu])
    peers = [[f"listen ÷ Python, {kind}", Spread.of_ratios(rates(f"listen:{kind}"), rates(f"python:{kind}"))]
             for kind in ("stored", "deflated")]
    intro = f"""
One message: numpy.savez (stored) or savez_compressed (deflated) of ({runs.events}, 1, {runs.size}, {runs.size}) float32 photon counts, with times and
wavelengths: {whole / 1e6:.0f} MB, deflated {packed / 1e6:.0f} MB. Over loopback a process of its own sends it again and again (PUSH, SNDHWM 5, without copying
it), so sender, ZeroMQ's thread and the receiver share the cores with each other. Slots: those of a pool of 48, which a thread takes and frees without a look at them.
The peer reads every array as upstream does, and a thread empties its queue. MB are those of the images, not packed. Checksums of all
members are verified in ours and in the peer, not in the bare loops.""".strip()
    return "\n\n".join(["## feed: messages into slots", intro, "### Targets", table(["", "wanted", "measured", ""], targets),
                        "### Figures", table(["", "messages/s", "images/s", "MB/s", "CPU ms/message"], rows),
                        "### Beside the peer", table(["", "ratio"], peers)])
