"""The system under test: the real programs of one instance, and who starts them again when they die, as systemd would. Where mounting is allowed
this process has mounts of its own: a small /dev/shm and a small disk, so that both can be filled and nobody else notices."""
import ctypes
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
sys.path.insert(0, str(FOLDER))
from frames import SHAPE, SPOTS, THRESHOLD  # noqa: E402

EVENTS_OF_A_LIFE = 1 << 24  # of a producer; events below the first life's are the feed's
SHM_BYTES, DISK_BYTES = 64 << 20, 512 << 20
# Debian's package faketime: the time of day of the programs is what a file says, and can jump.
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Broken(Exception):
    """The system did what it must not."""


def mount(folder: Path, size: int) -> bool:
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "chaos", str(folder)], capture_output=True).returncode == 0


@functools.lru_cache(maxsize=None)
def own_mounts() -> bool:
    """Once for this process and all it starts."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x20000) != 0:  # CLONE_NEWNS
        return False
    if subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode != 0:
        return False
    return mount(Path("/dev/shm"), SHM_BYTES)


@dataclass
class Program:
    name: str
    command: List[str]
    process: Optional[subprocess.Popen] = None
    since: float = 0.0  # monotonic
    expected: List[int] = field(default_factory=list)  # exit codes that somebody of us brought about


class System:
    def __init__(self, programs: Path, writers: int = 2, producers: int = 3, gpus: int = 0) -> None:
        """`gpus`: simulated ones (tests/gpusim) in place of the processor."""
        self.programs = programs
        self.gpus = gpus
        self.gpu_findings_of_nonsense = 0  # that are no fault of the daemon
        self.gpu_fault: Dict[str, str] = {}  # of the daemon's next life
        self.folder = Path(tempfile.mkdtemp(prefix="chaos_"))
        self.sockets = Path(tempfile.mkdtemp(prefix="pkc_"))  # a socket's name is short
        self.files = self.folder / "files"
        self.files.mkdir()
        self.mounted = own_mounts() and mount(self.files, DISK_BYTES)
        self.clock = self.folder / "clock" if FAKETIME else None
        self.set_clock(0)
        self.instance = f"chaos-{os.getpid()}-{time.monotonic_ns() % 10**9}"
        self.config = self.folder / "peaknet.yaml"
        self.config.write_text(f"""
instance: {self.instance}
pool: {{slots: 24, shape: {list(SHAPE)}, dtype: uint16, full: block}}
engine: {{devices: {[f"cuda:{i}" for i in range(gpus)] or "cpu"}, depth: 3, batch: 4, stuck_seconds: {2 if gpus else 30}}}
model: {{path: "builtin:threshold={THRESHOLD}"}}
peaks: {{min_num_peak: {SPOTS}}}
output: {{dir: "{self.files}", file_prefix: chaos, events_per_file: 25, max_seconds: 2, durable_ms: 50}}
control: {{endpoint: "ipc://{self.sockets}/ctl", monitor: "ipc://{self.sockets}/mon"}}
""")
        self.lives = 0
        self.spoiled = 0  # hits that a hostile process spoiled; each was told
        self.started: List[int] = []
        self.daemon = Program("peaknetd", [str(programs / "peaknetd"), "--config", str(self.config)])
        self.writers = [Program(f"writer {i}", [str(programs / "peaknet-writer"), "--config", str(self.config)]) for i in range(writers)]
        self.producers = [Program(f"producer {i}", []) for i in range(producers)]
        self.feed = Program("feed", [str(programs / "peaknet-feed"), "simulate", "--config", str(self.config), "--frames", str(EVENTS_OF_A_LIFE),
                                     "--rate", "50", "--hit-fraction", "0.5", "--wait", "600"])

    def set_clock(self, seconds: int) -> None:
        """How far the programs' time of day is off; a second or so passes before all have seen it. Monotonic time goes on."""
        if self.clock is not None:
            new = self.clock.with_suffix(".new")
            new.write_text(f"{seconds:+d}s\n")
            new.replace(self.clock)

    def all(self) -> List[Program]:
        return [self.daemon, *self.writers, *self.producers, self.feed]

    def bringers(self) -> List[Program]:
        return [*self.producers, self.feed]

    def device_environment(self) -> Dict[str, str]:
        """What a peaknetd needs to see the devices of the configuration."""
        if not self.gpus:
            return {}
        library = self.programs.parent / "lib"
        return {"LD_PRELOAD": str(library / "libgpusim.so"), "GPUSIM_KERNELS": str(library / "libgpusim_kernels.so"),
                "GPUSIM_DEVICES": str(self.gpus), "GPUSIM_SEED": str(1 + len(self.started))}

    def another_daemon(self, *options: str) -> subprocess.CompletedProcess:
        """With the configuration of this one; returns when it has ended."""
        return subprocess.run([*self.daemon.command, *options], env={**os.environ, **self.device_environment()}, capture_output=True,
                              text=True, timeout=60)

    def start(self, program: Program) -> None:
        if program in self.producers:
            self.lives += 1
            program.command = [sys.executable, str(FOLDER / "producer.py"), self.instance,
                               str(self.folder / f"{self.lives}.ledger"), str(self.lives * EVENTS_OF_A_LIFE)]
        environment = dict(os.environ, PEAKNET_SHM_LIBRARY=str(self.programs.parent / "lib" / "libpeaknet_shm.so"),
                           PYTHONPATH=f"{ROOT / 'shm' / 'python'}:{FOLDER}", PYTHONDONTWRITEBYTECODE="1")
        before: List[str] = []  # libraries
        if program is self.daemon:
            for_devices = self.device_environment()
            before += for_devices.pop("LD_PRELOAD", "").split()
            environment.update(for_devices, **self.gpu_fault)
            self.gpu_fault = {}
        if self.clock is not None and program not in self.producers:  # Python cannot sleep under it
            before.append(str(FAKETIME))
            environment.update(FAKETIME_TIMESTAMP_FILE=str(self.clock), FAKETIME_CACHE_DURATION="1",
                               FAKETIME_DONT_FAKE_MONOTONIC="1", NO_FAKE_STAT="1")
        if before:
            environment["LD_PRELOAD"] = ":".join(before)
        with open(self.folder / f"{program.name}.log", "ab") as log:
            program.process = subprocess.Popen(program.command, env=environment, stdout=log, stderr=log)
        self.started.append(program.process.pid)
        program.since = time.monotonic()
        program.expected = []

    def mend(self, programs: Optional[List[Program]] = None) -> None:
        """Start again what died of a fault, of these or of all; anything else that ended is a finding."""
        for program in programs or self.all():
            code = program.process.poll() if program.process else None
            if code is not None:
                if code not in program.expected:
                    raise Broken(f"{program.name} ended with {code} by itself:\n{self.log_of(program)}")
                self.start(program)

    def end(self, program: Program, how: int) -> None:
        """By a signal; returns when it is gone. SIGTERM: it must end well."""
        if program.process is None or program.process.poll() is not None:
            return
        # A program that has only just begun has not said yet that it wants to hear of SIGTERM.
        young = time.monotonic() - program.since < 2.0
        program.expected = [-how] if how == signal.SIGKILL else [0, -how] if young else [0]
        program.process.send_signal(how)
        try:
            program.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            raise Broken(f"{program.name} did not end within 60 s of signal {how}:\n{self.log_of(program)}") from None

    def ctl(self, *words: str, timeout: float = 90.0) -> subprocess.CompletedProcess:
        return subprocess.run([str(self.programs / "peaknetctl"), "--config", str(self.config), *words], capture_output=True, text=True,
                              timeout=timeout)

    def settled(self, *words: str) -> str:
        done = self.ctl(*words)
        if done.returncode != 0:
            raise Broken(f"peaknetctl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}\n{self.log_of(self.daemon)}")
        return done.stdout

    def begin_run(self) -> None:
        """Whatever an order that was cut off, or a stop, has left it doing; and every writer is there, for the stop that comes."""
        until = time.monotonic() + 60
        while (self.ctl("start").returncode != 0 and self.ctl("wait", "--for", "running", "--timeout", "0.5s").returncode != 0) or not self.all_attached():
            self.mend([self.daemon, *self.writers])  # who brings frames may have been ended for good
            if time.monotonic() > until:
                raise Broken(f"no run begins: {self.ctl('start').stderr}\n{self.log_of(self.daemon)}")

    def new_life(self) -> None:
        """All that there was is gone, shared memory, files and ledgers; the programs begin anew."""
        self.remove_memory()
        for path in self.files.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in self.folder.glob("*.ledger"):
            path.unlink()
        for program in self.all():
            self.start(program)
        self.settled("wait", "--for", "running", "--timeout", "60s")

    def all_attached(self) -> bool:
        """Do this daemon and these writers, and not those before them, know of each other?"""
        asked = self.ctl("--json", "stats")
        if asked.returncode != 0:
            return False
        attached = {one["pid"] for one in json.loads(asked.stdout)["writers"]}
        return all(program.process is not None and program.process.pid in attached for program in self.writers)

    def stats(self) -> Dict:
        answer: Dict = json.loads(self.settled("--json", "stats"))
        return answer

    def gpu_findings(self) -> int:
        return self.log_of(self.daemon, most=1 << 30).count("gpusim: FINDING")

    def log_of(self, program: Program, most: int = 2000) -> str:
        path = self.folder / f"{program.name}.log"
        return path.read_text(errors="replace")[-most:] if path.exists() else ""

    def remove_memory(self) -> None:
        subprocess.run([str(self.programs / "peaknetctl"), "instances", "--remove", self.instance, "--with-frames"], capture_output=True)
        for path in Path("/dev/shm").glob(f"peaknet.{self.instance}*"):  # so spoiled that nobody but an operator removes it
            path.unlink()

    def remove(self, keep: bool) -> None:
        for program in self.all():
            if program.process is not None:
                program.process.kill()
                program.process.wait()
        self.remove_memory()
        shutil.rmtree(self.sockets, ignore_errors=True)
        for pid in self.started:  # what libfaketime leaves of a process that was killed
            for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
                Path("/dev/shm", name).unlink(missing_ok=True)
        if self.mounted:
            aside = self.folder / "files.kept"
            if keep:  # the mount ends with this process
                shutil.copytree(self.files, aside)
            subprocess.run(["umount", str(self.files)], check=True)
            if keep:
                self.files.rmdir()
                aside.rename(self.files)
        if not keep:
            shutil.rmtree(self.folder)
