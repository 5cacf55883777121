"""Steps in order, each under its time-out and all within one budget; what came of each, and a true exit code.

A step is a function of a Task. It returns what there is to say, in one line, and leaves numbers in task.figures. It raises
Failed, NotThere (this machine has not what it needs: no failure) or NoDevice (nothing of this run is possible). A step whose
`needs` did not pass is not run; all others go on after a failure. Programs are started by the Task alone: they get what is left
of the step's time, and none outlives it.
"""
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Callable, Dict, List, Optional, Sequence, Tuple

PASSED, FAILED, TIMED_OUT, NOT_THERE, NOT_RUN = "passed", "failed", "timed out", "not there", "not run"
LEAST_SECONDS = 1.0  # a step with less than that left is not begun


class Failed(Exception):
    """What went wrong, with the number."""


class NotThere(Exception):
    """What this machine, or this bundle, has not."""


class NoDevice(Exception):
    """There is no GPU at all: nothing was tested, exit code 3."""


class TimedOut(Exception):
    pass


class Task:
    """What a step has while it runs: its time, its programs, the log. One thread."""

    def __init__(self, seconds: float, log: IO[str]) -> None:
        self.deadline = time.monotonic() + seconds
        self.figures: Dict[str, object] = {}
        self._log = log
        self._started: List["subprocess.Popen[str]"] = []

    def left(self) -> float:
        """Raises TimedOut when nothing is left."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimedOut()
        return seconds

    def say(self, text: str) -> None:
        self._log.write(text.rstrip("\n") + "\n")
        self._log.flush()

    def start(self, command: Sequence[str], output: Path, environment: Optional[Dict[str, str]] = None) -> "subprocess.Popen[str]":
        """A program beside the step, in a process group of its own; what it prints goes to the file."""
        self.say("$ " + " ".join(map(str, command)))
        with output.open("a") as file:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                       text=True, env=environment, start_new_session=True)
        self._started.append(process)
        return process

    def wait(self, process: "subprocess.Popen[str]") -> int:
        try:
            return process.wait(self.left())
        except subprocess.TimeoutExpired:
            raise TimedOut() from None

    def call(self, command: Sequence[str], environment: Optional[Dict[str, str]] = None,
             logged: bool = True) -> "subprocess.CompletedProcess[str]":
        """A program to its end. A command that is not there has exit code 127, as in a shell. Not `logged`: its stderr alone is."""
        self.say("$ " + " ".join(map(str, command)))
        try:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True, errors="replace", env=environment, start_new_session=True)
        except OSError as error:
            return subprocess.CompletedProcess(command, 127, "", str(error))
        self._started.append(process)
        try:
            out, err = process.communicate(timeout=self.left())
        except subprocess.TimeoutExpired:
            kill_group(process)
            self.say("".join(process.communicate()))
            raise TimedOut() from None
        self.say(out + err if logged else err)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def until(self, condition: Callable[[], bool], every: float = 0.05) -> None:
        """Looks again and again; TimedOut ends it."""
        while not condition():
            time.sleep(min(every, self.left()))

    def end(self) -> None:
        for process in self._started:
            kill_group(process)
            process.wait()


def kill_group(process: "subprocess.Popen[str]") -> None:
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended


@dataclass(frozen=True)
class Step:
    name: str
    title: str
    limit: float  # seconds
    run: Callable[[Task], str]
    needs: Tuple[str, ...] = ()


@dataclass
class Outcome:
    name: str
    title: str
    verdict: str
    text: str
    seconds: float = 0.0
    figures: Dict[str, object] = field(default_factory=dict)


def run_one(step: Step, seconds: float, log: IO[str]) -> Tuple[Outcome, bool]:
    """What came of it, and whether there is no device at all."""
    task = Task(seconds, log)
    began = time.monotonic()
    no_device = False
    try:
        verdict, text = PASSED, step.run(task)
    except NotThere as what:
        verdict, text = NOT_THERE, str(what)
    except NoDevice as what:
        verdict, text, no_device = FAILED, str(what), True
    except TimedOut:
        verdict, text = TIMED_OUT, f"not done after {seconds:.0f} s"
    except Failed as what:
        verdict, text = FAILED, str(what)
    except Exception as error:  # a fault of the check itself, or an answer that it does not understand
        verdict, text = FAILED, f"{type(error).__name__}: {error}"
    finally:
        task.end()
    return Outcome(step.name, step.title, verdict, " ".join(text.split()), time.monotonic() - began, task.figures), no_device


def run_steps(steps: Sequence[Step], budget: float, log: IO[str], told: Callable[[List[Outcome]], None]) -> Tuple[List[Outcome], int]:
    """All outcomes and the exit code. `told` hears of each outcome when it is there, so that a run that is cut off leaves its report."""
    deadline = time.monotonic() + budget
    outcomes: List[Outcome] = []
    passed: List[str] = []
    no_device = False
    for step in steps:
        log.write(f"\n=== {step.name}: {step.title}\n")
        missing = [name for name in step.needs if name not in passed]
        left = deadline - time.monotonic()
        if missing:
            outcome = Outcome(step.name, step.title, NOT_RUN, "it needs " + ", ".join(missing))
        elif left < LEAST_SECONDS:
            outcome = Outcome(step.name, step.title, TIMED_OUT, f"not begun: {budget:.0f} s for all steps are used up")
        else:
            outcome, none_here = run_one(step, min(step.limit, left), log)
            no_device = no_device or none_here
        if outcome.verdict == PASSED:
            passed.append(step.name)
        log.write(f"=== {step.name}: {outcome.verdict}, {outcome.seconds:.1f} s: {outcome.text}\n")
        log.flush()
        outcomes.append(outcome)
        told(outcomes)
    return outcomes, exit_code(outcomes, no_device)


def exit_code(outcomes: Sequence[Outcome], no_device: bool = False) -> int:
    """0: all passed but what this machine cannot have; 3: there is no GPU at all; 1: anything else, nothing run included."""
    if no_device:
        return 3
    if not any(one.verdict == PASSED for one in outcomes):
        return 1
    return 0 if all(one.verdict in (PASSED, NOT_THERE) for one in outcomes) else 1
