"""A running system with its peaknet-epics on loopback, and a p4p client: what epics_test.py and bluesky_test.py share.

The packages are those of scripts/setup --judges (PEAKNET_EPICS_PACKAGES), or what this Python has. Without them a test says so
and is skipped (77).
"""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = [str(SOURCE / "epics"), str(SOURCE / "shm" / "python"), *filter(None, [os.environ.get("PEAKNET_EPICS_PACKAGES")])]
sys.path[:0] = PACKAGES


def skip_without(*modules):
    for module in modules:
        try:
            __import__(module)
        except ImportError as missing:
            print(f"skipped: {missing} (scripts/setup --judges)")
            sys.exit(77)


class System:
    """peaknetd, writer, feed and peaknet-epics in a folder of their own."""

    def __init__(self, programs, **output):
        self.programs = Path(programs)
        self.folder = Path(tempfile.mkdtemp(prefix="epics_"))
        self.files = self.folder / "out"
        self.files.mkdir()
        self.instance = f"epics_{os.getpid()}"
        self.prefix = "TEST:PEAKNET:"
        self.config = self.folder / "peaknet.yaml"
        more = "".join(f", {key}: {json.dumps(value)}" for key, value in output.items())
        self.config.write_text(f"""
instance: {self.instance}
autostart: false
pool: {{slots: 64, shape: [2, 64, 128], dtype: uint16, full: block}}
engine: {{devices: cpu, depth: 2, batch: 4}}
model: {{path: "builtin:threshold=120"}}
peaks: {{min_num_peak: 3}}
output: {{dir: {self.files}, file_prefix: epics{more}}}
control: {{endpoint: "ipc://{self.folder}/ctl", monitor: "ipc://{self.folder}/mon"}}
""")
        self.processes = {}

    def start(self, name, program, *arguments, **options):
        if name in self.processes:
            self.processes[name].stdout.close()
        with open(self.folder / f"{name}.log", "a") as log:
            self.processes[name] = subprocess.Popen([*program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=log, text=True, **options)
        return self.processes[name]

    def start_daemon(self):
        self.start("daemon", [self.programs / "peaknetd"], "--config", self.config)
        self.ctl("wait", "--for", "idle", "--timeout", "60s")

    def start_writer(self):
        self.start("writer", [self.programs / "peaknet-writer"], "--config", self.config)
        while not json.loads(self.ctl("--json", "writers"))["writers"]:
            self.processes["writer"].poll()

    def feed(self, *arguments, command="simulate"):
        """Returns when its frames are in the pool."""
        done = subprocess.run([self.programs / "peaknet-feed", command, "--config", self.config, "--wait", "60", *map(str, arguments)],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def ctl(self, *arguments):
        return subprocess.run([self.programs / "peaknetctl", "--config", self.config, *arguments], check=True, capture_output=True, text=True).stdout

    def stats(self):
        return json.loads(self.ctl("--json", "stats"))

    def start_epics(self, *arguments, port=0):
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(PACKAGES), PYTHONDONTWRITEBYTECODE="1",
                           PEAKNET_SHM_LIBRARY=str(self.programs.parent / "lib" / "libpeaknet_shm.so.2"))
        epics = self.start("epics", [sys.executable, "-m", "peaknet_epics"], "--config", self.config, "--prefix", self.prefix, "--peaknetctl",
                           self.programs / "peaknetctl", "--port", port, "--search-port", 0, "--every", 0.1, "--image-every", 0.1, *arguments,
                           env=environment)
        line = epics.stdout.readline()
        assert line, (self.folder / "epics.log").read_text()
        self.address = line.rsplit(" ", 1)[1].strip()
        return epics

    def client_environment(self):
        return {"EPICS_PVA_NAME_SERVERS": self.address, "EPICS_PVA_AUTO_ADDR_LIST": "NO", "EPICS_PVA_ADDR_LIST": ""}

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
            process.stdout.close()
        self.processes.clear()
        for memory in Path("/dev/shm").glob(f"peaknet.{self.instance}*"):
            memory.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    """Reads, puts, and waits for values by monitors."""

    def __init__(self, system):
        from p4p.client.thread import Context

        self._prefix = system.prefix
        self._context = Context("pva", conf=system.client_environment(), useenv=False)

    def close(self):
        self._context.close()

    def get(self, name):
        return self._context.get(self._prefix + name, timeout=30)

    def text(self, name):
        return self.get(name).raw.value  # str() of p4p's has the time in it

    def put(self, name, value):
        self._context.put(self._prefix + name, value, timeout=180)

    def until(self, name, wanted, seconds=60):
        """The first value that is as wanted."""
        found = []
        changed = threading.Condition()

        def take(value):
            with changed:
                if not isinstance(value, Exception) and not found and wanted(value):
                    found.append(value)
                    changed.notify()

        with contextlib.closing(self._context.monitor(self._prefix + name, take)):
            with changed:
                assert changed.wait_for(lambda: found, seconds), f"{name} is {self.get(name)!r}, {self.get(name).raw.alarm}"
        return found[0]
