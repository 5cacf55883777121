"""Runs suites of benchmarks and writes their sections into docs/benchmarks.md; scripts/bench calls it.

  report.py [--quick | --smallest] --bin FOLDER --output FILE SUITE...
  report.py --list-targets SUITE...      # what has to be built for them
  report.py --list                       # the suites there are

The sections of suites that are not named stay in the file as they are. Each section says on which machine, when, from which
commit and by which command it was measured.
"""
import argparse
import importlib.util
import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Dict, List

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path.insert(0, str(FOLDER))
sys.path.insert(0, str(FOLDER.parent / "scripts"))
import documents  # noqa: E402
from suite import Bench, missing_modules  # noqa: E402

PREAMBLE = """# Benchmarks

Written by `scripts/bench`, section by section; do not edit it by hand. Figures of one section come from one run on one machine,
everything side by side in interleaved rounds: **only ratios within a section mean something elsewhere**. A cell is the median of
the rounds; in brackets the least and the most.
"""
PACKAGES = ("numpy", "iceoryx2", "zmq", "ray", "torch")


def suites() -> List[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/report.py"))


def load(name: str) -> ModuleType:
    path = FOLDER / name / "report.py"
    spec = importlib.util.spec_from_file_location(f"bench_{name}_report", path)
    if spec is None or spec.loader is None or not path.exists():
        sys.exit(f"report.py: there is no suite '{name}'; there are: {', '.join(suites())}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def first_line(command: List[str]) -> str:
    try:
        lines = subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    except OSError:
        lines = []
    return lines[0].strip() if lines else "unknown"


def facts(bench: Bench, name: str) -> str:
    """Where and how a section was measured. Nothing that names the machine or its user."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 2**20
    load_now = os.getloadavg()[0]
    changed = " with changes" if first_line(["git", "status", "--porcelain"]) != "unknown" else ""
    code = "from importlib.metadata import version\nimport sys\nfor m in sys.argv[1:]: print(m, version('pyzmq' if m == 'zmq' else m), end=', ')"
    there = [package for package in PACKAGES if package not in missing_modules(bench.python, PACKAGES)]
    packages = first_line([bench.python, "-c", code, *there]).rstrip(", ") if there else "none of the Python peers"
    option = {"full": "", "quick": " --quick", "smallest": " --smallest"}[bench.effort]
    return "\n".join([
        f"- Machine: {model.group(1) if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}; load average {load_now:.1f} when the run began"
        + (f", run with nice {os.nice(0)}" if os.nice(0) else "") + ".",
        f"- Versions: commit {first_line(['git', 'rev-parse', '--short=12', 'HEAD'])}{changed}, "
        f"{first_line(['c++', '--version'])}, Python {first_line([bench.python, '--version']).split()[-1]}, {packages}.",
        f"- Command: `scripts/bench{option} {name}`, {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC.",
    ])


def marks(name: str) -> List[str]:
    return [f"<!-- suite {name}: begin -->", f"<!-- suite {name}: end -->"]


def sections_of(text: str) -> Dict[str, str]:
    found = re.finditer(r"<!-- suite (\S+): begin -->\n(.*?)\n<!-- suite \1: end -->", text, re.DOTALL)
    return {match.group(1): match.group(2) for match in found}


def assemble(sections: Dict[str, str]) -> str:
    parts = [PREAMBLE]
    for name in sorted(sections):
        begin, end = marks(name)
        parts.append(f"{begin}\n{sections[name]}\n{end}\n")
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", dest="effort", action="store_const", const="quick", default="full")
    parser.add_argument("--smallest", dest="effort", action="store_const", const="smallest")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--list-targets", action="store_true")
    parser.add_argument("suites", nargs="*")
    arguments = parser.parse_args()
    if arguments.list:
        print(*suites(), sep="\n")
        return 0
    chosen = {name: load(name) for name in arguments.suites or suites()}
    if arguments.list_targets:
        print(*sorted({target for module in chosen.values() for target in module.TARGETS}), sep="\n")
        return 0
    for name, module in chosen.items():
        bench = Bench(arguments.effort, arguments.bin.resolve(), plots=arguments.output.parent / "plots")
        about = facts(bench, name)  # before the run is itself the load
        title, _, rest = module.section(bench).strip().partition("\n")
        old = arguments.output.read_text() if arguments.output.exists() else ""
        written = {**sections_of(old), name: f"{title}\n\n{about}\n\n{rest.strip()}"}
        # Whole or not at all: what hours have measured is not lost to a full disk.
        new = arguments.output.with_name(arguments.output.name + ".part")
        new.write_text(documents.reflow(assemble(written)))
        new.replace(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
