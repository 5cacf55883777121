"""The steps of the check, in their order: first what everything stands on, what might spoil the device last."""
import json
import os
import platform
import re
import resource
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Sequence

import bundle
from machine import DRIVER_DEVICE, Machine
from node import Node, difference
from runner import Failed, NoDevice, NotThere, Step, Task

BUDGET = 530.0  # seconds for all steps: under nine minutes
DEVICE = "cuda:0"
RESTART = 70  # peaknetd's exit code when no device is left
NO_LIBTORCH = "LibTorch's CUDA side does not run on simulated devices"
# Tests whose own model reads its input on the host, or whose device never lets go (as in tests/gpusim/CMakeLists.txt).
ON_THE_HOST = ["*a_second_load_is_refused*", "*a_device_that_is_stuck_is_given_up*", "*a_device_that_never_lets_go*"]
TWO_DEVICES = ["*two_devices_on_one_q1*"]
SHORT_TESTS = "*neighbouring_slots*:*what_was_recorded*"  # under compute-sanitizer, which slows them a hundredfold
SANITIZERS = ["memcheck", "initcheck", "racecheck", "synccheck"]


@dataclass(frozen=True)
class Effort:
    """How much of everything."""
    kernel_cases: int
    shape: Sequence[int]          # of the chains
    frames: int
    wide_shape: Sequence[int]     # of the throughput
    seconds: float                # of the throughput
    producers: int
    batch: int


FULL = Effort(400, (1, 512, 512), 2000, (1, 1920, 1920), 20, 8, 8)
SMALL = Effort(3, (2, 70, 90), 120, (1, 128, 128), 2, 2, 2)


class Check:
    """What the steps share. Each method is a step."""

    def __init__(self, machine: Machine, effort: Effort, work: Path) -> None:
        self.machine, self.effort, self.work = machine, effort, work
        self.devices = 0
        contrast = machine.model("contrast.pt")
        self.model = "builtin:threshold=500" if machine.simulated else contrast

    # --- facts ---
    def facts(self, task: Task) -> str:
        smi = task.call(["nvidia-smi", "-L"], self.machine.tools_environment())
        listed = [line.strip() for line in smi.stdout.splitlines() if line.startswith("GPU ")] if smi.returncode == 0 else []
        task.call(["nvidia-smi", "-q"], self.machine.tools_environment())  # for the log
        asked = task.call([sys.executable, str(Path(__file__).with_name("cuda_probe.py"))], self.machine.environment())
        answer = json.loads(asked.stdout) if asked.returncode == 0 else {"code": None, "error": asked.stderr.strip(), "count": 0}
        self.devices = int(answer["count"])
        memory = shutil.disk_usage("/dev/shm")
        locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        task.figures.update({
            "nvidia-smi -L": listed, "driver": self.queried(task, "driver_version"), "GPU": self.queried(task, "name"),
            "cudaGetDeviceCount": answer, "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
            "kernel": platform.release(), "processors": len(os.sched_getaffinity(0)),
            "/dev/shm free MiB": memory.free >> 20, "ulimit -l": "unlimited" if locked == resource.RLIM_INFINITY else locked,
            "torch": self.torch_version(), "libstdc++": "of the bundle" if self.machine.older_libstdcxx else "the machine's"})
        if self.devices > 0:
            return f"{self.devices} devices: {task.figures['GPU']}, driver {task.figures['driver']}"
        said = f"cudaGetDeviceCount answers {answer['code']} ({answer['error']})"
        if listed or DRIVER_DEVICE.exists():
            raise Failed(f"a device is missing: {said}, and nvidia-smi lists {len(listed)}, {DRIVER_DEVICE} is "
                         f"{'there' if DRIVER_DEVICE.exists() else 'not there'}; libcuda.so.1: "
                         f"{'found' if answer.get('libcuda') else answer.get('libcuda_error', 'not known')}")
        raise NoDevice(f"there is no GPU here: nvidia-smi lists none, {DRIVER_DEVICE} is not there, {said}")

    def queried(self, task: Task, what: str) -> str:
        done = task.call(["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"], self.machine.tools_environment())
        lines = done.stdout.strip().splitlines() if done.returncode == 0 else []
        return lines[0].strip() if lines else "not known"

    def torch_version(self) -> str:
        if not self.machine.torch:
            return "none found"
        version = self.machine.torch / "version.py"
        match = re.search(r"__version__ = '([^']*)'", version.read_text()) if version.exists() else None
        return match.group(1) if match else "that of scripts/setup"

    # --- tests ---
    def tests(self, programs: Sequence[str], task: Task, left_out: Sequence[str] = (), **environment: str) -> str:
        count = 0
        for program in programs:
            report = self.work / f"{program}.json"
            command = [self.machine.program(program), f"--gtest_output=json:{report}"]
            if left_out:
                command.append("--gtest_filter=-" + ":".join(left_out))
            done = task.call(command, self.machine.environment(**environment))
            count += judge_tests(program, done.returncode, report)
        task.figures["tests"] = count
        return f"{count} tests passed, none was skipped"

    def device_tests(self, task: Task) -> str:
        return self.tests(bundle.DEVICE_TESTS, task)

    def kernels(self, task: Task) -> str:
        self.tests(bundle.KERNEL_TESTS, task, PEAKNET_TEST_STORIES=str(self.effort.kernel_cases))
        return f"{self.effort.kernel_cases} random layouts have the bits of the reference"

    def engine_tests(self, task: Task) -> str:
        left_out = ON_THE_HOST + (TWO_DEVICES if self.devices < 2 else [])
        said = self.tests(bundle.ENGINE_TESTS, task, left_out, PEAKNET_TEST_DEVICE="cuda")
        return said + ("; the one that needs two devices was left out" if self.devices < 2 else "")

    def sanitizer(self, task: Task) -> str:
        found = self.machine.tool("compute-sanitizer", "/usr/local/cuda/bin")
        if self.machine.simulated or found is None:
            raise NotThere("simulated devices check themselves" if self.machine.simulated else "no compute-sanitizer")
        program = self.machine.program(bundle.DEVICE_TESTS[0])
        for tool in SANITIZERS:
            done = task.call([found, "--tool", tool, "--error-exitcode", "9", program, f"--gtest_filter={SHORT_TESTS}"],
                             self.machine.environment())
            said = done.stdout + done.stderr
            if "Device not supported" in said:
                raise NotThere("compute-sanitizer does not support this device here")
            if done.returncode != 0:
                raise Failed(f"{tool}: exit code {done.returncode}: {said.strip().splitlines()[-1:]}")
        return ", ".join(SANITIZERS) + ": no errors"

    # --- whole chain ---
    def node(self, task: Task, device: str, model: str, **more: object) -> Node:
        settings: Dict[str, object] = {"shape": self.effort.shape, "batch": self.effort.batch, **more}
        return Node(self.machine, task, self.work, device, model, **settings)  # type: ignore[arg-type]

    def chain(self, model: str, tolerance: float, task: Task) -> str:
        """The same frames on the device, on the device with kill -9 of the daemon in the middle, and on the processor."""
        frames = self.effort.frames
        found = {}
        for form in ("device", "killed", "processor"):
            with self.node(task, "cpu" if form == "processor" else DEVICE, model) as node:
                node.start()
                node.write()
                feed = node.feed(frames)
                if form == "killed":
                    task.until(lambda node=node: node.inferred() >= frames // 4)
                    node.kill_daemon()
                    node.start()
                node.fed(feed)
                stats = node.stop(frames)
                found[form] = node.peaks()
                if form == "device":
                    self.note_device(task, stats)
        peaks = sum(map(len, found["device"].values()))
        task.figures.update(frames=frames, peaks=peaks)
        if peaks == 0:
            raise Failed("no peak was found: nothing was compared")
        for form in ("killed", "processor"):
            apart, total = difference(found["device"], found[form])
            task.figures[f"peaks that differ, {form}"] = apart
            if apart > tolerance * total:
                raise Failed(f"{apart} of {total} peaks are not those of the run \"{form}\"")
        return (f"{frames} frames three times, each proved by the audit; {peaks} peaks, "
                f"{task.figures['peaks that differ, processor']} differ from cpu")

    def note_device(self, task: Task, stats: dict) -> None:
        device = stats["devices"][0]
        task.figures.update(graphs=device["graphs"], h2d_mode=device["h2d_mode"], infer_p50_us=stats["latency_us"]["infer"]["p50"])
        if device["name"] != DEVICE or device["frames"] == 0 or device["state"] == "lost":
            raise Failed(f"{device['name']} is {device['state']} with {device['frames']} frames, {DEVICE} was to do them")

    def chain_builtin(self, task: Task) -> str:
        return self.chain("builtin:threshold=500", 0.0, task)

    def chain_contrast(self, task: Task) -> str:
        self.need_libtorch()
        return self.chain(self.machine.model("contrast.pt"), 1e-3, task)

    def need_libtorch(self) -> None:
        if self.machine.simulated:
            raise NotThere(NO_LIBTORCH)

    # --- models ---
    def precisions(self, task: Task) -> str:
        self.need_libtorch()
        said = []
        for precision in ("float32", "bfloat16", "float16"):
            with self.node(task, DEVICE, self.machine.model("contrast.pt"), precision=precision) as node:
                node.start()
                golden = str(node.ctl_json("model", "show")["golden"])
                graphs = node.stats()["devices"][0]["graphs"]
                task.figures[precision] = {"golden": golden, "graphs": graphs}
                said.append(f"{precision}: golden {golden}, {graphs}")
        return "; ".join(said)

    def model_loads(self, task: Task) -> str:
        """The model is loaded again five times while frames flow: what is the memory before and after?"""
        with self.node(task, DEVICE, self.model) as node:
            node.start()
            node.write()
            feed = node.feed(10**9)
            task.until(lambda: node.inferred() > 0)
            memory = [self.queried(task, "memory.used")]
            for _ in range(5):
                node.ctl("model", "load", self.model)
                memory.append(self.queried(task, "memory.used"))
            before = node.inferred()
            task.until(lambda: node.inferred() > before)
            feed.terminate()
            task.wait(feed)
            node.stop(int(node.stats()["lifetime"]["committed"]))
        task.figures["memory used MiB"] = memory
        return f"5 loads, frames went on; MiB used: {', '.join(memory)}"

    # --- figures ---
    def tune(self, task: Task) -> str:
        with self.node(task, DEVICE, self.model) as node:
            done = task.call(node.command("peaknetd", "tune", "--json"), self.machine.environment())
        if done.returncode != 0:
            raise Failed(f"peaknetd tune ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        device = json.loads(done.stdout)["devices"][0]
        if device["device"] != DEVICE:
            raise Failed(f"peaknetd tune measured {device['device']} and not {DEVICE}")
        task.figures["events/s by batch"] = {str(one["events"]): round(sorted(one["events_per_s"])[len(one["events_per_s"]) // 2])
                                             for one in device["batches"]}
        task.figures.update(h2d_mode=device["h2d_mode"], recommended=device["recommended"])
        return f"recommends batch {device['recommended']['batch']}, depth {device['recommended']['depth']} ({device['h2d_mode']})"

    def throughput(self, task: Task) -> str:
        """Events a second while Q1 never runs empty, if the producers can do that; how busy the device is meanwhile."""
        busy = self.work / "dmon.txt"
        with self.node(task, DEVICE, self.model, shape=self.effort.wide_shape, slots=64,
                       precision="float32" if self.machine.simulated else "bfloat16") as node:
            node.start()
            node.write()
            node.feed(10**9, self.effort.producers)
            task.until(lambda: node.inferred() >= 2 * self.effort.batch)
            if self.machine.tool("nvidia-smi"):
                task.start(["nvidia-smi", "dmon", "-s", "u", "-c", str(int(self.effort.seconds))], busy, self.machine.tools_environment())
            began, first, looks, waiting = time.monotonic(), node.inferred(), 0, 0
            while time.monotonic() - began < self.effort.seconds:
                time.sleep(min(0.25, task.left()))
                looks += 1
                waiting += 1 if node.stats()["queues"]["q1"] > 0 else 0
            rate = (node.inferred() - first) / (time.monotonic() - began)
        used = streaming_busy(busy.read_text() if busy.exists() else "")
        shape = "x".join(map(str, self.effort.wide_shape))
        task.figures.update({"shape": shape, "events/s": round(rate, 1), "looks at Q1": looks, "of them with frames": waiting,
                             "SM busy %": used})
        known = f"{sum(used) / len(used):.0f} %" if used else "not known"
        return f"{rate:.0f} events/s of {shape}; frames waited in {waiting} of {looks} looks; SM busy {known}"

    def faults(self, task: Task) -> str:
        """The device breaks, hangs in a batch, hangs in the warm-up: the daemon ends by itself with the code that restarts it, and the
        next one has every frame."""
        ends = [self.fault(task, how, error) for how, error in
                (("store", "device.lost"), ("spin", "device.stuck"), ("spin in warm-up", "device.stuck"))]
        return f"{', '.join(ends)}; no frame was lost"

    def fault(self, task: Task, how: str, error: str) -> str:
        frames = self.effort.frames
        with self.node(task, DEVICE, "builtin:threshold=500", stuck_seconds=1) as node:
            trigger = node.folder / "break"
            environment = self.breaking(how, trigger)
            feed = None
            if how == "spin in warm-up":
                trigger.write_text(how)
                node.daemon = node.launch("peaknetd", **environment)
            else:
                node.start(**environment)
                node.write()
                feed = node.feed(frames)
                task.until(lambda: node.inferred() > 0)
                trigger.write_text(how)
            daemon, began = node.daemon, time.monotonic()
            assert daemon is not None
            task.until(lambda: daemon.poll() is not None)
            seconds = time.monotonic() - began
            log = node.log_of("peaknetd").read_text(errors="replace")
            if daemon.returncode != RESTART or f"[{error}]" not in log:
                raise Failed(f"{how}: peaknetd ended with {daemon.returncode}, {RESTART} and {error} were wanted: {node.end_of_log('peaknetd')}")
            node.start()
            if feed is None:
                node.write()
                feed = node.feed(frames)
            node.fed(feed)
            node.stop(frames)
        task.figures[f"{how}: seconds to the daemon's end"] = round(seconds, 1)
        return f"{how}: {error}, ended after {seconds:.1f} s"

    def breaking(self, how: str, trigger: Path) -> Dict[str, str]:
        """What makes the device break; a simulated one does so by itself, at a launch that comes in the warm-up or well behind it."""
        if self.machine.simulated:
            launch = "threshold:1" if how == "spin in warm-up" else "threshold:60"
            return {"GPUSIM_STICKY_AT" if how == "store" else "GPUSIM_HANG_AT": launch}
        return {"LD_PRELOAD": str(self.machine.bundle / "lib" / bundle.BREAKER), "PEAKNET_BREAK_DEVICE": str(trigger)}

    def steps(self) -> List[Step]:
        def step(name: str, title: str, limit: float, run: Callable[[Task], str], needs: Sequence[str] = ("facts",)) -> Step:
            return Step(name, title, limit, run, tuple(needs))
        return [
            step("facts", "GPU, driver, libraries, limits", 40, self.facts, ()),
            step("gpu-tests", "device and kernels beside the host's", 60, self.device_tests),
            step("kernels", "kernels beside the reference", 60, self.kernels),
            step("engine-tests", "the engine's tests on the device", 80, self.engine_tests),
            step("sanitizer", "compute-sanitizer on short tests", 60, self.sanitizer),
            step("chain-builtin", "feed, peaknetd, writer, audit; kill -9; cpu: builtin:threshold", 70, self.chain_builtin),
            step("chain-contrast", "the same with contrast.pt", 90, self.chain_contrast),
            step("precisions", "contrast.pt in three precisions", 60, self.precisions),
            step("model-loads", "model load five times while frames flow", 60, self.model_loads),
            step("tune", "peaknetd tune", 110, self.tune),
            step("throughput", "events a second with frames waiting", 60, self.throughput),
            step("faults", "a device that breaks or hangs; no frame is lost", 90, self.faults)]


def judge_tests(program: str, code: int, report: Path) -> int:
    """How many tests ran. A skipped test is a failure: there is a GPU."""
    if not report.exists():
        raise Failed(f"{program} ended with {code} and left no report")
    all_tests = [test for suite in json.loads(report.read_text())["testsuites"] for test in suite["testsuite"]]
    skipped = [test["name"] for test in all_tests if test["result"] == "SKIPPED"]
    failed = [test["name"] for test in all_tests if test.get("failures")]
    ran = sum(1 for test in all_tests if test["result"] == "COMPLETED")
    if failed or code != 0:
        raise Failed(f"{program} ended with {code}; failed: {', '.join(failed) or 'none'}")
    if skipped or ran == 0:
        raise Failed(f"{program}: {len(skipped)} tests were skipped ({', '.join(skipped)}), {ran} ran")
    return ran


def streaming_busy(dmon: str) -> List[int]:
    """The column sm of nvidia-smi dmon, of GPU 0."""
    column, found = None, []
    for line in dmon.splitlines():
        words = line.lstrip("#").split()
        if line.startswith("#") and "sm" in words:
            column = words.index("sm")
        elif not line.startswith("#") and column is not None and len(words) > column and words[0] == "0" and words[column].isdigit():
            found.append(int(words[column]))
    return found
