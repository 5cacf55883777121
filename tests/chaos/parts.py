"""The programs that prove one part each, by systematic means; the random faults in a whole system come on top. scripts/chaos --report
runs them all and writes docs/reliability.md."""
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List

SIZES = ("quick", "hour", "night")


@dataclass
class Part:
    title: str
    what: str
    program: str
    larger: str = ""  # instead, for "hour" and "night"
    keep: str = "$^"  # lines of its output that belong into the report
    environment: Dict[str, Dict[str, str]] = field(default_factory=dict)  # by size


@dataclass
class Outcome:
    part: Part
    program: str
    passed: bool
    seconds: float
    lines: List[str]
    tail: str


PARTS = [
    Part("Killed at every instruction", "The frame pool's operations, single-stepped: killed at each instruction that others can see, the others go on, "
         "and no frame or slot is lost.", "shm_kill_steps_test", "shm_kill_steps_soak", r"instructions, |^killed "),
    Part("Every pair of steps", "Each step of one participant against each step of another, one of them killed, from every state a slot can have.",
         "shm_step_pairs_test", "shm_step_pairs_soak", r"^operation|(ok|FAILED)\s*$"),
    Part("Every interleaving of a model", "The protocol of the pool as a model, all its states visited; and the model broken in fourteen ways, each "
         "of which must be noticed.", "shm_model_test", "shm_model_soak", r"states"),
    Part("Killed at random", "Producers, takers and releasers of a pool killed with SIGKILL at random moments under load.",
         "shm_kill_storm_test", "shm_kill_storm_soak", r"kills: "),
    Part("Stories of the engine", "The workers' own code on a device whose every step, fault and delay comes from a seed: out of memory, lost and stuck "
         "devices, failing models, rebuffers, full queues.", "engine_story_test", "engine_story_soak", r"^  [a-z].*: \d+"),
    Part("The writer killed, and the power cut", "SIGKILL of writers under load, and file systems that lose everything not yet synced: every acknowledged "
         "event is in exactly one readable file, by peaknetctl audit.", "writer_kill_test", "writer_durability_soak_test", r"power cuts: |kills: "),
    Part("Power cuts", "The short form of the same.", "writer_power_cut_test", "", r"power cuts: "),
    Part("The disk full, slow, failing", "No space at every moment, failing writes and syncs, a folder that goes away.", "writer_disk_test", "", r"^$"),
    Part("Faults of system calls", "Every call that the writer makes to the disk, failing in turn.", "writer_program_test", "", r"^$"),
]


def run(part: Part, size: str, tests: Path, environment: Dict[str, str]) -> Outcome:
    program = part.larger if part.larger and size != "quick" else part.program
    begin = time.monotonic()
    done = subprocess.run([str(tests / program), "--gtest_color=no"], cwd=tests, capture_output=True, text=True, errors="replace",
                          env={**os.environ, **environment, **part.environment.get(size, {})})
    lines = [line.rstrip() for line in done.stdout.splitlines() if re.search(part.keep, line) and not line.startswith("[")]
    counted = re.search(r"\[==========\] (\d+) tests? from .* ran", done.stdout)
    lines = lines or ([f"{counted.group(1)} tests"] if counted else [])
    return Outcome(part, program, done.returncode == 0, time.monotonic() - begin, lines, done.stdout[-1500:] + done.stderr[-500:])


def document(outcomes: List[Outcome], faults: List[str], facts: List[str]) -> str:
    """docs/reliability.md, whole."""
    parts = ["""# Reliability

Written by `scripts/chaos --report`; do not edit it by hand. What was done to peaknetd, how often, and what came of it: nothing is promised here that this run
did not show. The oracle is the same everywhere: every committed frame ends in exactly one finished file that can be read, or is counted as filtered,
dropped or failed with its cause, and the books balance (`peaknetctl audit`, `docs/writer.md`).
""", "\n".join(facts), "## Faults in a whole running system", """Three producers, a daemon and two writers; at random moments one of the faults below; whatever died is started again, as systemd would. At the end
three witnesses that know nothing of each other must agree: ledgers that the producers keep outside the system, the files as h5py reads them (each image
compared with the one its event must have), and the books with `peaknetctl audit`. `tests/chaos/oracle_test.py` spoils a good run in six ways and wants each found.""",
             "```\n" + "\n".join(faults) + "\n```", "## Part by part"]
    for outcome in outcomes:
        verdict = "passed" if outcome.passed else "**FAILED**"
        parts.append(f"### {outcome.part.title}\n\n{outcome.part.what} `{outcome.program}`: {verdict}, {outcome.seconds:.0f} s.")
        if outcome.lines:
            parts.append("```\n" + "\n".join(outcome.lines) + "\n```")
    return "\n\n".join(parts) + "\n"
