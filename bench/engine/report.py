"""The suite engine: what the engine costs beside a bare loop over the same work, on the host device."""
import json
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, Spread, interleaved, table  # noqa: E402

TARGETS = ["engine_run"]
DEMO = Path(__file__).resolve().parents[2] / "models" / "contrast.pt"

Outcome = Dict[str, float]


def section(bench: Bench) -> str:
    rounds = int(bench.pick(1, 3, 7))
    frames = bench.pick(0.05, 0.4, 1)

    def one(arguments: List[str]) -> Outcome:
        done = subprocess.run([str(bench.programs / "engine_run"), *arguments], check=True, capture_output=True, text=True)
        answer: Outcome = json.loads(done.stdout)
        return answer

    def case(model: str, size: int, batch: int, depth: int, count: int, *more: str) -> List[str]:
        return ["--model", model, "--size", str(size), "--batch", str(batch), "--depth", str(depth), "--frames", str(max(2 * batch, int(count * frames))),
                "--rounds", "1", *more]

    cases: Dict[str, List[str]] = {
        "identity 1x512x512": case("builtin:identity", 512, 8, 3, 4000),
        "identity 1x1024x1024": case("builtin:identity", 1024, 8, 3, 1000),
        "sleeps 20 ms, depth 1": case("builtin:delay=20", 64, 8, 1, 800),
        "sleeps 20 ms, depth 2": case("builtin:delay=20", 64, 8, 2, 800),
        "sleeps 20 ms, depth 3": case("builtin:delay=20", 64, 8, 3, 800),
    }
    with_torch = subprocess.run([str(bench.programs / "engine_run"), *case(str(DEMO), 64, 1, 1, 1)], capture_output=True).returncode == 0
    if with_torch:
        cases["demo model 1x512x512"] = case(str(DEMO), 512, 8, 3, 400)
        cases["demo model 1x1024x1024"] = case(str(DEMO), 1024, 4, 3, 120)
        cases["demo model 1x1024x1024, heap as glibc has it"] = case(str(DEMO), 1024, 4, 3, 120, "--release-heap")

    bench.say(f"{len(cases)} cases, {rounds} rounds")
    found = interleaved(list(cases), rounds, lambda name: one(cases[name]))
    rows = []
    targets: List[List[object]] = []
    for name, outcomes in found.items():
        engine = [o["engine_us"] for o in outcomes]
        bare = [o["bare_us"] for o in outcomes]
        model = [o["model_us"] for o in outcomes]
        rest = Spread.of(a - b for a, b in zip(engine, bare))
        share = Spread.of_ratios(bare, engine)
        rows.append([name, Spread.of(engine), Spread.of(bare), Spread.of(model), rest, share])
        if rest is None or share is None:
            continue
        if name.startswith("identity"):
            targets.append([f"{name}: µs a frame beyond the bare loop", "≤ 10", rest, "met" if rest.median <= 10 else "**missed**"])
        elif name.startswith("sleeps"):
            wanted = name[-1] != "1"
            targets.append([f"{name}: throughput ÷ that of the longest stage", "≥ 0.95" if wanted else "–", share,
                            "–" if not wanted else "met" if share.median >= 0.95 else "**missed**"])
        elif "glibc" not in name:
            alone = Spread.of_ratios(model, engine)
            targets.append([f"{name}: throughput ÷ bare loop over counts, model and bits", "≥ 0.97", share, "met" if share.median >= 0.97 else "**missed**"])
            if alone:
                targets.append([f"{name}: throughput ÷ bare loop over the model alone", "–", alone, "–"])
    intro = f"""
The whole engine on the host device (frames from a producer, results to a writer that throws them away) beside bare loops in the same
process, over the same images, in the same batches and one thread for the model: `bare` is counts to float, model, logits to bits; `model` is the
model alone. What the engine adds is engine − bare. The host device reads and writes slots in place, so there are no copies.
The models that sleep stand for a GPU: the longest stage is the bare loop.{"" if with_torch else " The demo model is not in this run: it was built without LibTorch."}
Nothing was measured on a GPU.""".strip()
    return "\n\n".join(["## engine: what it costs beside a bare loop", intro, "### Targets", table(["", "wanted", "measured", ""], targets),
                        "### Microseconds per frame", table(["", "engine", "bare", "model", "engine − bare", "bare ÷ engine"], rows)])
