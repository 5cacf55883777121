"""What came of a check: one JSON document, one table, and the section `gpu` of docs/benchmarks.md.

The documents are written anew after each step, whole or not at all.
"""
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Sequence

from runner import Outcome

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "peaknet.gpu-check/2"
SECTION = "gpu"
TITLE = "## gpu: one run on a machine with a GPU"
REHEARSAL = "**A rehearsal on simulated devices (`tests/gpusim`): no GPU ran anything, and no figure here says how fast one is.**"


class NotForTheDocuments(Exception):
    pass


def document(outcomes: Sequence[Outcome], code: int, about: Dict[str, object]) -> Dict[str, object]:
    return {"schema": SCHEMA, **about, "exit_code": code, "steps": [asdict(one) for one in outcomes]}


def cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ") or "–"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows])


def markdown(document_of_run: Dict[str, object]) -> str:
    steps: List[dict] = document_of_run["steps"]  # type: ignore[assignment]
    facts = next((step["figures"] for step in steps if step["name"] == "facts"), {})
    passed = sum(1 for step in steps if step["verdict"] == "passed")
    parts = [TITLE, ""]
    if document_of_run["rehearsal"]:
        parts += [REHEARSAL, ""]
    parts += [
        f"- Machine: {facts.get('GPU', 'not known')}, driver {facts.get('driver', 'not known')}, "
        f"{facts.get('processors', 'unknown')} processors, "
        f"Linux {str(facts.get('kernel', 'not known')).split('-')[0]}.",
        f"- Versions: commit {document_of_run['commit']}, LibTorch {facts.get('torch', 'not known')}.",
        f"- Command: `{document_of_run['command']}`, {document_of_run['time']}; exit code {document_of_run['exit_code']}, "
        f"{passed} of {len(steps)} steps passed.", "",
        table(["step", "what", "verdict", "seconds", "what came of it"],
              [[step["name"], step["title"], step["verdict"], f"{step['seconds']:.1f}", step["text"]] for step in steps]), "",
        "### Figures", "",
        table(["step", "figure", "value"], [[step["name"], name, value] for step in steps if step["name"] != "facts"
                                            for name, value in step["figures"].items()])]
    return "\n".join(parts)


def write_whole(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def write(document_of_run: Dict[str, object], output: Path) -> None:
    """OUTPUT.json, and OUTPUT.md beside it."""
    write_whole(output, json.dumps(document_of_run, indent=2, ensure_ascii=False) + "\n")
    write_whole(output.with_suffix(".md"), markdown(document_of_run) + "\n")


def publish(results: Path, benchmarks: Path) -> None:
    """Puts the section into docs/benchmarks.md; the others stay as they are."""
    document_of_run = json.loads(results.read_text())
    if document_of_run.get("schema") != SCHEMA:
        raise NotForTheDocuments(f"{results} is no {SCHEMA}, but {document_of_run.get('schema')}")
    if document_of_run["rehearsal"]:
        raise NotForTheDocuments(f"{results} is a rehearsal; figures of simulated devices are not a GPU's. Nothing was written")
    spec = importlib.util.spec_from_file_location("bench_report", ROOT / "bench/report.py")
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    sections = bench.sections_of(benchmarks.read_text())
    write_whole(benchmarks, bench.assemble({**sections, SECTION: markdown(document_of_run)}))
