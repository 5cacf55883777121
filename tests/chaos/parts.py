"""The programs that prove one part each, by systematic means; the random faults in a whole system come on top. scripts/chaos --report
runs them all and writes docs/reliability.md."""
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import documents  # noqa: E402

FOLDER = Path(__file__).resolve().parent
SIZES = ("quick", "hour", "night")


@dataclass
class Part:
    title: str
    what: str
    program: str  # for "quick"
    larger: str = ""  # instead, for "hour" and "night"
    hour: str = ""  # instead of that, for "hour"
    keep: str = "$^"  # lines of its output that belong into the report
    environment: Dict[str, Dict[str, str]] = field(default_factory=dict)  # by size
    alone: bool = False  # it measures a rate: nothing runs beside it


@dataclass
class Outcome:
    """Of one part, or of the faults in whole systems."""

    program: str
    findings: int
    seconds: float
    lines: List[str]
    when: str = ""
    commit: str = ""


FAULTS = "Faults in a whole running system"

# "hour": half an hour of faults and an hour of steady load.
PARTS = [
    Part("Killed at every instruction", "The frame pool's operations, single-stepped: killed at each instruction that others can see, the others go on, "
         "and no frame or slot is lost.", "shm_kill_steps_test", "shm_kill_steps_soak", keep=r"instructions, |^killed ",
         environment={"hour": {"PEAKNET_SOAK_SECONDS": "15"}}),
    Part("Every pair of steps", "Each step of one participant against each step of another, one of them killed, from every state a slot can have.",
         "shm_step_pairs_test", "shm_step_pairs_soak", "shm_step_pairs_test", r"^operation|(ok|FAILED)\s*$",
         {"hour": {"PEAKNET_SOAK_MILLISECONDS": "4000"}}),
    Part("Every interleaving of a model", "The protocol of the pool as a model, all its states visited; and the model broken in fourteen ways, each "
         "of which must be noticed.", "shm_model_test", "shm_model_soak", "shm_model_test", r"states"),
    Part("Killed at random", "Producers, takers and releasers of a pool killed with SIGKILL at random moments under load.",
         "shm_kill_storm_test", "shm_kill_storm_soak", keep=r"kills: ", environment={"hour": {"PEAKNET_SOAK_KILLS": "20000"}}),
    Part("Stories of the engine", "The workers' own code on a device whose every step, fault and delay comes from a seed: out of memory, lost and stuck "
         "devices, failing models, rebuffers, full queues.", "engine_story_test", "engine_story_soak", keep=r"^  [a-z].*: \d+",
         environment={"hour": {"PEAKNET_SOAK_STORIES": "20000"}}),
    Part("The writer killed", "SIGKILL of writers under load: every frame is in exactly one readable file, by peaknetctl audit.", "writer_kill_test", keep=r"kills, "),
    Part("Power cuts and full disks", "File systems that lose everything not yet synced: every acknowledged event is in exactly one readable file, by peaknetctl "
         "audit. Disks that are full again and again, at another page each time: the writer holds, goes on, and each frame is in one file.", "writer_power_cut_test",
         "writer_durability_soak_test", keep=r"power cuts: |kills, |full disks: ", environment={"night": {"PEAKNET_SOAK_TIMES": "10"}}),
    Part("The disk full, slow, failing", "No space at every moment, failing writes and syncs, a folder that goes away.", "writer_disk_test", keep=r"full disks: "),
    Part("Faults of system calls", "Every kind of call that the writer makes to the disk, failing in turn.", "writer_program_test"),
    Part("Steady load", "Three producers at four fifths of the rate that the whole system was measured to have, with rebuffers, other pools and restarts of daemon and "
         "writer all the while: each frame once, the frame accounting balances, no memory, thread or descriptor is left behind. The rate is that of the configuration it begins with; the "
         "small pools and batches that come by chance do less, and the producers wait then. Before it, the same without a limit, and with kills.",
         "soak_test", keep=r"^soak: ", environment={"quick": {"PEAKNET_SOAK_SECONDS": "36", "PEAKNET_SOAK_ROUNDS": "1"}, "hour": {"PEAKNET_SOAK_SECONDS": "3600"},
                                                     "night": {"PEAKNET_SOAK_SECONDS": "14400", "PEAKNET_SOAK_ROUNDS": "100"}}, alone=True),
]


def run(part: Part, size: str, tests: Path, environment: Dict[str, str]) -> Outcome:
    program = part.hour if part.hour and size == "hour" else part.larger if part.larger and size != "quick" else part.program
    begin = time.monotonic()
    done = subprocess.run([str(tests / program), "--gtest_color=no"], cwd=tests, capture_output=True, text=True, errors="replace",
                          env={**os.environ, **environment, **part.environment.get(size, {})})
    lines = [line.rstrip() for line in done.stdout.splitlines() if re.search(part.keep, line) and not line.startswith("[")]
    counted = re.search(r"\[==========\] (\d+) tests? from .* ran", done.stdout)
    lines = [line for line in lines if line] or ([f"{counted.group(1)} tests"] if counted else [])
    if done.returncode != 0:
        log = tests.parent / "chaos" / f"{program}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(done.stdout + done.stderr)
        said = log.read_text().splitlines()
        failures = [at for at, line in enumerate(said) if line.endswith(": Failure")] or [max(0, len(said) - 8)]  # it died
        print("\n".join(line for at in failures[:5] for line in said[at:at + 8]) + f"\n{program}: all that it said is in {log}", flush=True)
    return Outcome(program, int(done.returncode != 0), time.monotonic() - begin, lines)


# What the report adds up: every number that one of these finds in a line of it.
TOTALS = {
    "kills with SIGKILL": [r"^(\d+) kills[:,] ", r"^killed (\d+) times at once, (\d+) times after", r"^killed at (\d+) places", r"^  kill -9 .* (\d+)$"],
    "power cuts": [r"^(\d+) power cuts: "],
    "full disks": [r"^full disks: (\d+);", r"^  full disk +(\d+)$"],
    "seconds of steady load": [r"^soak: (\d+) s at "],
}


def totals(outcomes: List[Outcome]) -> str:
    lines = [line for outcome in outcomes for line in outcome.lines]
    counts = {what: sum(int(number) for line in lines for form in forms for found in [re.search(form, line)] if found for number in found.groups())
              for what, forms in TOTALS.items()}
    return "- In total: " + ", ".join(f"{count} {what}" for what, count in counts.items()) + "."


def fuzzed(runs: Path) -> str:
    """The runs that scripts/fuzz has written down, by target."""
    rows = [line.split(",") for line in runs.read_text().splitlines()[1:]] if runs.exists() else []
    by_target: Dict[str, int] = {}
    for _, _, target, executions in rows:
        by_target[target] = by_target.get(target, 0) + int(executions)
    table = "".join(f"| {target} | {count:,} |\n" for target, count in sorted(by_target.items()))
    return f"| target | inputs |\n|---|---:|\n{table}| all | {sum(by_target.values()):,} |\n"


def told(outcome: Optional[Outcome]) -> str:
    """One sentence, and what it printed."""
    if outcome is None:
        return "Not run."
    verdict = "passed" if outcome.findings == 0 else f"**FAILED** ({outcome.findings})"
    text = f"`{outcome.program}`: {verdict}, {outcome.seconds:.0f} s, {outcome.when}, commit {outcome.commit}."
    return text + ("\n\n```\n" + "\n".join(outcome.lines) + "\n```" if outcome.lines else "")


def command(size: str) -> str:
    return f"- Command: `scripts/chaos --report {size}`;"


def document(size: str, outcomes: Dict[str, Outcome]) -> str:
    """docs/reliability.md, whole, of the outcomes by title."""
    run_ones = [outcomes[title] for title in (FAULTS, *(part.title for part in PARTS)) if title in outcomes]
    facts = [f"{command(size)} each part says when it was run, and of which commit.",
             f"- Findings: {sum(one.findings for one in run_ones)}.", totals(run_ones)]
    parts = ["""# Reliability

Written by `scripts/chaos --report`; do not edit it by hand. What was done to peaknetd, how often, and what came of it: nothing is promised here that this run
did not show. The oracle is the same everywhere: every committed frame ends in exactly one finished file that can be read, or is counted as filtered,
dropped or failed with its cause, and the frame accounting balances (`peaknetctl audit`, `docs/writer.md`).
""", "\n".join(facts), f"## {FAULTS}", """Three producers, a daemon and two writers; at random moments one of the faults below; whatever died is started again, as systemd would. At the end
three witnesses that know nothing of each other must agree: ledgers that the producers keep outside the system, the files as h5py reads them (each image
compared with the one its event must have), and the counters with `peaknetctl audit`. `tests/chaos/oracle_test.py` spoils a good run in six ways and wants each found.

A hostile process may write anywhere in the shared memory. Promised is then: daemon and writers stay up, answer, and end when asked; every finished file
opens; and nothing is lost in silence: where ledgers and files do not agree, frames are counted as failed, or the counters do not balance, or the audit says so.
Not promised: facts of a frame (its event number, its times) that are written over with others that are possible as well are believed. After it the instance is removed and begins anew.""",
             told(outcomes.get(FAULTS)), "## Part by part"]
    for part in PARTS:
        parts.append(f"### {part.title}\n\n{part.what}\n\n{told(outcomes.get(part.title))}")
    parts.append("## Fuzzed inputs\n\nOf all runs of `scripts/fuzz TARGET SECONDS` that `tests/fuzz/runs.csv` has, and of `feed_files_fuzz` (files); a run that found something is not written down before "
                 "that is mended.\n\n" + fuzzed(FOLDER.parent / "fuzz" / "runs.csv"))
    return documents.reflow("\n\n".join(parts) + "\n")


class Outcomes:
    """Of a report of one size, by title. The report itself is what remembers them, so any machine may run a part again, and each part is
    in it as soon as it has ended: what is run replaces what was shown before, and the others stay. A report of another size begins anew."""

    _TOLD = re.compile(r"`([^`\n]+)`: (?:passed|\*\*FAILED\*\* \((\d+)\)), (\d+) s, (.+? UTC), commit (.+?)\.\n(?:\n```\n(.*?)\n```\n)?", re.DOTALL)

    def __init__(self, report: Path, size: str, repository: Path) -> None:
        self.report, self.size, self.repository = report, size, repository

    def known(self) -> Dict[str, Outcome]:
        """As the report has them now: another call may run other parts at the same time."""
        text = self.report.read_text() if self.report.exists() else ""
        if command(self.size) not in text:
            return {}
        outcomes = {}
        for section in re.split(r"^##+ ", text, flags=re.MULTILINE):
            found = self._TOLD.search(section)
            if found:
                program, findings, seconds, when, commit, lines = found.groups()
                outcomes[section.partition("\n")[0]] = Outcome(program, int(findings or 0), float(seconds), (lines or "").splitlines(), when, commit)
        return outcomes

    def set(self, title: str, outcome: Outcome) -> None:
        outcome.when = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
        git = ["git", "-C", str(self.repository)]
        outcome.commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"
        if subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", ":!docs"], capture_output=True).returncode != 0:
            outcome.commit += " with changes"
        new = self.report.with_suffix(".new")
        new.write_text(document(self.size, {**self.known(), title: outcome}))
        new.replace(self.report)
