"""One run of our chain: producers -> peaknetd -> peaknet-writer -> CXI files, timed while it flows.

  ours.py --bin build/release/bin --frames FRAMES.npy [--model PATH] [--producers N] [--rate HZ] ...

prints one JSON object.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from frames import THRESHOLD  # noqa: E402
from usage import here, memory_mib, usage  # noqa: E402

FOLDER = Path(__file__).resolve().parent


class RunFailed(Exception):
    pass


@dataclass
class Plan:
    frames: Path
    model: str = f"builtin:threshold={THRESHOLD}"
    producers: int = 1
    rate: float = 0.0  # frames a second of all producers together; 0: as fast as the pool takes them
    seconds: float = 5.0
    warm_up: float = 2.0
    slots: int = 64
    batch: int = 2  # of small frames more do not stay in the caches between the steps on a CPU
    devices: str = "cpu"
    compression: str = "none"
    disk: Optional[Path] = None  # where the files go; None: the system's folder for temporary files
    older_files: int = 0  # of runs before, that lie where the files go


class Chain:
    """The programs of one instance; ended, and their files removed, at the end of the block."""

    def __init__(self, plan: Plan, programs: Path, python: str) -> None:
        self.plan, self.programs, self.python = plan, programs, python
        self.word = f"ours-{os.getpid()}-{time.monotonic_ns()}"
        self.folder = Path(tempfile.mkdtemp(prefix="bench_chain_", dir=plan.disk))
        self.sockets = Path(tempfile.mkdtemp(prefix="pkn_"))  # a socket's name is short
        self.config = self.folder / "peaknet.yaml"
        self.processes: List[subprocess.Popen] = []
        shape = list(np.load(plan.frames, mmap_mode="r").shape[1:])
        full = "drop_newest" if plan.rate > 0 else "block"
        self.instance = f"bench-{os.getpid()}-{time.monotonic_ns() % 10**9}"
        self.config.write_text(f"""
instance: {self.instance}
pool: {{slots: {plan.slots}, shape: {shape}, dtype: uint16, full: {full}}}
engine: {{devices: {plan.devices}, depth: 3, batch: {plan.batch}}}
model: {{path: "{plan.model}"}}
output: {{dir: "{self.folder}/files", file_prefix: bench, compression: {plan.compression}}}
control: {{endpoint: "ipc://{self.sockets}/ctl", monitor: "ipc://{self.sockets}/mon"}}
""")

    def start(self, program: List[str], **more: Any) -> subprocess.Popen:
        environment = {**here(self.word), "PEAKNET_SHM_LIBRARY": str(self.programs.parent / "lib" / "libpeaknet_shm.so"),
                       "PYTHONPATH": str(FOLDER.parent.parent / "shm" / "python")}
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(program, env=environment, stderr=log, **more)
        self.processes.append(process)
        return process

    def ctl(self, *words: str) -> str:
        done = subprocess.run([str(self.programs / "peaknetctl"), "--config", str(self.config), *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RunFailed(f"peaknetctl {' '.join(words)}: {done.stderr.strip()}\n{(self.folder / 'log').read_text()[-2000:]}")
        return done.stdout

    def stats(self) -> Dict[str, Any]:
        answer: Dict[str, Any] = json.loads(self.ctl("--json", "stats"))
        return answer

    def __enter__(self) -> "Chain":
        try:
            for program in ("peaknetd", "peaknet-writer"):
                self.start([str(self.programs / program), "--config", str(self.config)], stdout=subprocess.DEVNULL)
            self.ctl("wait", "--for", "running", "--timeout", "120s")
            for number in range(self.plan.older_files):
                (self.folder / "files" / f"bench_run0_chunk0000_20260101_000000_{number:06d}_w1.cxi").touch()
        except BaseException:
            self.__exit__()
            raise
        return self

    def produce(self) -> List[subprocess.Popen]:
        """All of them are attached when this returns: what starting them costs is no part of a measurement."""
        rate = str(self.plan.rate / self.plan.producers)
        producers = [self.start([self.python, str(FOLDER / "producer.py"), self.instance, str(self.plan.frames), "--rate", rate,
                                 "--first", str(7 * index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                     for index in range(self.plan.producers)]
        for producer in producers:
            assert producer.stdout is not None
            if producer.stdout.readline().strip() != "ready":
                raise RunFailed(f"a producer did not attach\n{(self.folder / 'log').read_text()[-2000:]}")
        return producers

    def __exit__(self, *_: Any) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # The shared memory outlives its daemon, so that the next one finds its frames; here there is no next one.
        subprocess.run([str(self.programs / "peaknetctl"), "instances", "--remove", self.instance, "--with-frames"], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)


def measure(plan: Plan, programs: Path, python: str = sys.executable) -> Dict[str, Any]:
    with Chain(plan, programs, python) as chain:
        producers = chain.produce()
        time.sleep(plan.warm_up)
        before, first = usage(chain.word), chain.stats()
        time.sleep(plan.seconds)
        after, last = usage(chain.word), chain.stats()
        memory = memory_mib(chain.word)
        sent = [json.loads(producer.communicate("\n", timeout=60)[0]) for producer in producers]
        chain.ctl("stop", "--timeout", "120s")
        end = chain.stats()["frames"]
        lost = end["imbalance"] or sum(end["dropped"].values()) or sum(end["failed"].values()) or end["in_flight"]
        if lost or end["committed"] != sum(one["committed"] for one in sent):
            raise RunFailed(f"the counters do not say what was sent: {end}, producers {sent}")
        done = sum(last["frames"][what] - first["frames"][what] for what in ("written", "filtered"))
        seconds = after.at - before.at
        stages = last["latency_us"]
        return {"frames_per_s": done / seconds, "cpu_us_per_frame": after.cpu_s_since(before) * 1e6 / done if done else None,
                "cores": after.cores_since(before), "memory_mib": memory, "refused": sum(one["refused"] for one in sent),
                "stages_us": stages,
                "latency_ms": {"p50": stages["total"]["p50"] / 1e3, "p99": stages["total"]["p99"] / 1e3}}


def tried(plan: Plan, programs: Path, python: str, say: Callable[[str], None]) -> Optional[Dict[str, Any]]:
    """As `measure`; None, and a word, where the run failed: one cell of a table is missing then, and not the table."""
    try:
        return measure(plan, programs, python)
    except RunFailed as failure:
        say(f"ours: {failure}")
        return None


def idle_cores(plan: Plan, programs: Path, seconds: float) -> float:
    """Processor time of a system that waits for frames: all its processes, in cores."""
    with Chain(plan, programs, sys.executable) as chain:
        time.sleep(1.0)
        before = usage(chain.word)
        time.sleep(seconds)
        return usage(chain.word).cores_since(before)


def seconds_to_ready(plan: Plan, programs: Path) -> float:
    """From nothing to a daemon that is warm and a writer that is attached."""
    begin = time.monotonic()
    with Chain(plan, programs, sys.executable):
        return time.monotonic() - begin


def bare_load_seconds(model: Path, programs: Path) -> float:
    """Of a program that loads the model, runs each batch once, and has nothing else to do."""
    done = subprocess.run([str(programs / "large_model"), "--load", str(model)], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["seconds"])


def status_ms(plan: Plan, programs: Path, python: str, calls: int) -> Tuple[List[float], List[float]]:
    """Of whole runs of `peaknetctl status` while the chain is under full load, and of a program that does nothing; sorted."""
    with Chain(plan, programs, python) as chain:
        producers = chain.produce()
        time.sleep(plan.warm_up)
        status: List[float] = []
        nothing: List[float] = []
        for _ in range(calls):
            begin = time.monotonic()
            chain.ctl("status")
            between = time.monotonic()
            subprocess.run(["true"], capture_output=True, check=True)
            status.append(1e3 * (between - begin))
            nothing.append(1e3 * (time.monotonic() - between))
        for producer in producers:
            producer.communicate("\n", timeout=60)
        chain.ctl("stop", "--timeout", "120s")
        return sorted(status), sorted(nothing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=FOLDER.parent.parent / "build/release/bin")
    parser.add_argument("--frames", type=Path, required=True)
    for name, kind in (("model", str), ("producers", int), ("rate", float), ("seconds", float), ("slots", int), ("batch", int), ("disk", Path)):
        parser.add_argument("--" + name, type=kind, default=getattr(Plan, name))
    plan = vars(parser.parse_args())
    programs = plan.pop("bin").resolve()
    try:
        print(json.dumps(measure(Plan(**plan), programs)))
    except RunFailed as failure:
        print(f"ours.py: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
