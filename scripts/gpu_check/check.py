"""A run from the archive to the table."""
import json
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import bundle
import report
from machine import Machine, find_torch
from runner import Outcome, exit_code, run_steps
from steps import BUDGET, FULL, SMALL, Check


class UnknownStep(Exception):
    pass


@dataclass
class Request:
    archive: Path
    output: Path
    command: str
    torch: Optional[Path] = None
    simulated: bool = False
    only: Sequence[str] = ()     # names of steps, empty: all; what they need is run too
    budget: float = BUDGET
    path: Optional[str] = None   # where nvidia-smi is looked for; None: as always
    extra: Dict[str, str] = field(default_factory=dict)  # environment of our programs alone


def chosen(check: Check, only: Sequence[str]) -> list:
    steps = check.steps()
    if unknown := set(only) - {step.name for step in steps}:
        raise UnknownStep(f"there is no step {', '.join(sorted(unknown))}; there are: {', '.join(step.name for step in steps)}")
    wanted = set(only) | {need for step in steps if step.name in only for need in step.needs}
    return [step for step in steps if not only or step.name in wanted]


def run(request: Request, say: Callable[[str], None] = print) -> int:
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        work = Path(folder)
        machine = Machine(bundle.unpack(request.archive, work), request.torch or find_torch(), request.simulated, request.extra)
        if request.path is not None:
            machine.path = request.path
        machine.settle_libstdcxx()
        check = Check(machine, SMALL if request.simulated else FULL, work)
        steps = chosen(check, request.only)
        about: Dict[str, object] = {
            "commit": json.loads((machine.bundle / "about.json").read_text())["commit"], "command": request.command,
            "rehearsal": request.simulated, "time": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"}

        def told(outcomes: List[Outcome]) -> None:
            last = outcomes[-1]
            say(f"{last.verdict:<10} {last.seconds:6.1f} s  {last.name}: {last.text}")
            unfinished = exit_code(outcomes) if len(outcomes) == len(steps) else 1  # a report that was cut off is no success
            report.write(report.document(outcomes, unfinished, about), request.output)

        with request.output.with_suffix(".log").open("w") as log:
            outcomes, code = run_steps(steps, request.budget, log, told)
        report.write(report.document(outcomes, code, about), request.output)
    say(f"exit code {code}; {request.output}, {request.output.with_suffix('.md').name} and .log beside it")
    return code
