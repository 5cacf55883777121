"""One instance of the real programs, in a folder of its own: daemon, writer, feed, and what their files say in the end."""
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from machine import Machine
from runner import Failed, Task

LINES_OF_A_LOG = 60
PYTHONS = [sys.executable, "/usr/bin/python3"]  # the first that has h5py
Peaks = Dict[int, List[Tuple[float, float]]]  # of each event that is in a file, sorted


class Node:
    """Threads: one. Errors: Failed with the end of the log of the program that failed. All programs end with the task, the shared
    memory with the node."""
    count = 0

    def __init__(self, machine: Machine, task: Task, work: Path, device: str, model: str, shape: Sequence[int], batch: int = 8,
                 slots: int = 32, precision: str = "float32", stuck_seconds: float = 60) -> None:
        Node.count += 1
        self.machine, self.task = machine, task
        self.instance = f"gpucheck{os.getpid()}x{Node.count}"
        self.folder = work / self.instance
        self.folder.mkdir(mode=0o700)
        self.output = self.folder / "out"
        self.config = self.folder / "check.yaml"
        self.config.write_text(
            f"instance: {self.instance}\n"
            f"pool: {{slots: {slots}, shape: {list(shape)}, dtype: uint16, full: block}}\n"
            f"engine: {{devices: [{device}], batch: {batch}, precision: {precision}, stuck_seconds: {stuck_seconds}}}\n"
            f"model: {{path: \"{model}\"}}\n"
            "peaks: {min_num_peak: 1}\n"
            "output: {dir: out, images: none}\n"
            f"control: {{endpoint: \"ipc://{self.folder}/ctl\", monitor: \"ipc://{self.folder}/mon\"}}\n")
        self.config.chmod(0o644)
        self.daemon: Optional["subprocess.Popen[str]"] = None

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *what: object) -> None:
        self.task.end()
        for log in sorted(self.folder.glob("*.log")):
            self.task.say("\n".join([f"--- the end of {log.name}", *log.read_text(errors="replace").splitlines()[-LINES_OF_A_LOG:]]))
        for path in [Path("/dev/shm") / f"peaknet.{self.instance}", *Path("/dev/shm").glob(f"peaknet.{self.instance}.*")]:
            path.unlink(missing_ok=True)

    def command(self, program: str, *arguments: str) -> List[str]:
        verb, rest = ([arguments[0]], arguments[1:]) if program in ("peaknet-feed", "peaknetd") and arguments else ([], arguments)
        return [self.machine.program(program), *verb, "--config", str(self.config), *rest]

    def log_of(self, program: str) -> Path:
        return self.folder / f"{program}.log"

    def end_of_log(self, program: str) -> str:
        path = self.log_of(program)
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return " | ".join(lines[-3:])

    def launch(self, program: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return self.task.start(self.command(program, *arguments), self.log_of(program), self.machine.environment(**environment))

    def ctl(self, *arguments: str) -> str:
        done = self.task.call(self.command("peaknetctl", *arguments), self.machine.environment())
        if done.returncode != 0:
            raise Failed(f"peaknetctl {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()} "
                         f"(peaknetd: {self.end_of_log('peaknetd')})")
        return done.stdout

    def ctl_json(self, *arguments: str) -> Dict[str, object]:
        answer = json.loads(self.ctl("--json", *arguments))
        assert isinstance(answer, dict)
        return answer

    def stats(self) -> dict:
        return self.ctl_json("stats")

    def start(self, **environment: str) -> None:
        self.daemon = daemon = self.launch("peaknetd", **environment)
        waited = self.task.start(self.command("peaknetctl", "wait", "--for", "running", "--timeout", f"{self.task.left():.0f}s"),
                                 self.log_of("wait"), self.machine.environment())
        self.task.until(lambda: daemon.poll() is not None or waited.poll() is not None)
        if daemon.poll() is not None or waited.returncode != 0:
            raise Failed(f"peaknetd did not come up (exit code {daemon.poll()}): {self.end_of_log('peaknetd')}")

    def write(self) -> None:
        self.launch("peaknet-writer")

    def feed(self, frames: int, producers: int = 1) -> "subprocess.Popen[str]":
        return self.launch("peaknet-feed", "simulate", "--frames", str(frames), "--producers", str(producers), "--hit-fraction", "0.5")

    def fed(self, feed: "subprocess.Popen[str]") -> None:
        if code := self.task.wait(feed):
            raise Failed(f"peaknet-feed ended with {code}: {self.end_of_log('peaknet-feed')}")

    def inferred(self) -> int:
        return int(self.stats()["lifetime"]["inferred"])

    def kill_daemon(self) -> None:
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def end_daemon(self) -> None:
        """As systemd does; what a device or a simulated one has against its end is in the exit code."""
        assert self.daemon is not None
        self.daemon.terminate()
        if code := self.task.wait(self.daemon):
            raise Failed(f"peaknetd ended with {code}: {self.end_of_log('peaknetd')}")

    def stop(self, frames: int) -> dict:
        """The run's end: the frame accounting balances and the files prove each frame. The last statistics."""
        self.ctl("stop", "--timeout", f"{self.task.left():.0f}s")
        stats = self.stats()
        life = stats["lifetime"]
        if life["committed"] != frames or life["imbalance"] != 0 or life["in_flight"] != 0:
            raise Failed(f"of {frames} frames {life['committed']} were committed, {life['in_flight']} are on their way, "
                         f"imbalance {life['imbalance']}")
        if any(life["failed"].values()) or any(life["dropped"].values()):
            raise Failed(f"frames failed or were dropped: {life['failed']}, {life['dropped']}")
        audit = self.task.call([self.machine.program("peaknetctl"), "audit", str(self.output)], self.machine.environment())
        if audit.returncode != 0:
            raise Failed(f"peaknetctl audit: {audit.stdout.strip()} {audit.stderr.strip()}")
        self.end_daemon()
        return stats

    def peaks(self) -> Peaks:
        reader = str(Path(__file__).with_name("peaks_of.py"))
        for python in PYTHONS:
            done = self.task.call([python, reader, str(self.output)], self.machine.tools_environment(), logged=False)
            if done.returncode == 0:
                break
        else:
            raise Failed(f"the peaks cannot be read: {done.stderr.strip().splitlines()[-1:]} ({' and '.join(PYTHONS)} were tried)")
        events = json.loads(done.stdout)
        found = {event: [(x, y) for x, y in peaks] for event, peaks in events}
        if len(found) != len(events):
            raise Failed(f"of {len(events)} events in the files {len(events) - len(found)} are there twice")
        return found


def difference(one: Peaks, other: Peaks) -> Tuple[int, int]:
    """How many peaks are in one of the two alone, and how many there are in the larger."""
    apart = 0
    for event in one.keys() | other.keys():
        apart += len(set(one.get(event, [])) ^ set(other.get(event, [])))
    return apart, max(sum(map(len, one.values())), sum(map(len, other.values())))
