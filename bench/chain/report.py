"""The suite chain: from producers to CXI files, beside the Ray pipeline that peaknetd replaces and beside its own parts."""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from frames import SPOTS, THRESHOLD, saved  # noqa: E402
from ours import Plan, bare_load_seconds, idle_cores, seconds_to_ready, status_ms, tried  # noqa: E402
from suite import Bench, Spread, interleaved, missing_modules, short, table  # noqa: E402
from usage import quantile  # noqa: E402

TARGETS = ["peaknetd", "peaknet-writer", "peaknetctl", "peaknet_shm_c", "large_model"]

FOLDER = Path(__file__).resolve().parent
CONTRAST = FOLDER.parent.parent / "models" / "contrast.pt"
RAY_NEEDS = ["ray", "scipy", "h5py"]
HITS = 0.2
Outcome = Optional[Dict[str, Any]]


def slots_for(shape: Tuple[int, int, int]) -> int:
    """A pool of 256 MiB, but at least 16 frames."""
    return max(16, min(512, (256 << 20) // (2 * shape[0] * shape[1] * shape[2])))


def ours(bench: Bench, plan: Plan) -> Outcome:
    return tried(plan, bench.programs, bench.python, bench.say)


def ray_form(bench: Bench, plan: Plan, producers: int) -> Outcome:
    model = "threshold" if plan.model.startswith("builtin:") else plan.model
    command = [bench.python, str(FOLDER / "ray_form.py"), "--frames", str(plan.frames), "--model", model,
               "--producers", str(producers), "--seconds", str(plan.seconds), "--warm-up", str(bench.pick(2, 5, 10))]
    done = subprocess.run(command + (["--disk", str(plan.disk)] if plan.disk else []), capture_output=True, text=True)
    if done.returncode != 0:
        bench.say(f"Ray form: {done.stderr.strip()[-500:]}")
        return None
    answer: Dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def of(rounds: List[Outcome], *keys: str) -> List[Optional[float]]:
    found: List[Optional[float]] = []
    for outcome in rounds:
        value: Any = outcome
        for key in keys:
            value = value.get(key) if value else None
        found.append(value)
    return found


def side_by_side(bench: Bench, plan: Plan, title: str, with_ray: bool, targets: List[List[object]], judged: bool) -> str:
    names = ["ours-1", "ours-2"] + (["ray-2"] if with_ray else [])

    def one(name: str) -> Outcome:
        who, _, producers = name.partition("-")
        bench.say(f"{title}: {name}")
        return ours(bench, replace(plan, producers=int(producers))) if who == "ours" else ray_form(bench, plan, int(producers))

    results = interleaved(names, int(bench.pick(1, 1, 3)), one)
    titles = {"ours-1": "**peaknet**, 1 producer", "ours-2": "**peaknet**, 2 producers", "ray-2": "the Ray form, 2 producers"}
    rows = [[titles[name], Spread.of(of(rounds, "frames_per_s")), Spread.of(of(rounds, "cpu_us_per_frame")), Spread.of(of(rounds, "cores")),
             Spread.of(of(rounds, "memory_mib")), Spread.of(of(rounds, "latency_ms", "p50")), Spread.of(of(rounds, "latency_ms", "p99"))]
            for name, rounds in results.items()]
    if with_ray:
        faster = Spread.of_ratios(of(results["ours-2"], "frames_per_s"), of(results["ray-2"], "frames_per_s"))
        cheaper = Spread.of_ratios(of(results["ray-2"], "cpu_us_per_frame"), of(results["ours-2"], "cpu_us_per_frame"))
        for what, wanted, got in ((f"{title}: frames/s ÷ the Ray form", 50.0, faster), (f"{title}: CPU per frame, the Ray form ÷ ours", 10.0, cheaper)):
            if got is not None:
                verdict = ("met" if got.median >= wanted else "**missed**") if judged else ""
                targets.append([what, f"≥ {wanted:.0f}" if judged else "", got, verdict])
    return f"### {title}\n\n" + table(["", "frames/s", "CPU µs/frame", "cores", "memory MiB", "p50 ms", "p99 ms"], rows)


def highest_rate(bench: Bench, plan: Plan) -> Tuple[float, float]:
    """Of paced producers, to within a tenth: the highest rate at which the pool refused nobody, and the least at which it did."""
    good, bad = 0.0, float("inf")
    rate = 500.0
    while bad / max(good, 1.0) > 1.1:
        outcome = ours(bench, replace(plan, rate=rate))
        came = outcome is not None and outcome["refused"] == 0 and outcome["frames_per_s"] > 0.97 * rate
        bench.say(f"{plan.producers} producers at {rate:.0f}/s: {'all in' if came else 'refused, or not reached'}")
        good, bad = (rate, bad) if came else (good, rate)
        if rate < 10:
            break
        rate = rate * 2 if bad == float("inf") else (rate / 2 if good == 0 else (good * bad) ** 0.5)
    return good, bad


def four_at_once(bench: Bench, plan: Plan, with_torch: bool) -> str:
    """Four instances, each with a model, a producer, a writer and a pool of its own."""
    models = [f"builtin:threshold={THRESHOLD}", f"builtin:threshold={2 * THRESHOLD}", f"builtin:threshold={3 * THRESHOLD}",
              str(CONTRAST) if with_torch else f"builtin:threshold={4 * THRESHOLD}"]
    bench.say("four instances at once")
    with ThreadPoolExecutor(len(models)) as at_once:
        outcomes = list(at_once.map(lambda model: ours(bench, replace(plan, model=model, slots=128)), models))
    rows = [[Path(model).name, *("–" if outcome is None else short(outcome[key]) for key in ("frames_per_s", "cpu_us_per_frame"))]
            for model, outcome in zip(models, outcomes)]
    return ("### Four instances with four models at once\n\nOne producer each, as fast as its pool takes the frames; the counters of each say what was sent to it.\n\n"
            + table(["model", "frames/s", "CPU µs/frame"], rows))


def section(bench: Bench) -> str:
    absent = missing_modules(bench.python, [*RAY_NEEDS, "torch"])
    with_ray = not absent.intersection(RAY_NEEDS)
    shapes = [(1, 512, 512)] if bench.effort != "full" else [(1, 512, 512), (1, 1920, 1920), (16, 352, 384)]
    targets: List[List[object]] = []
    parts: List[str] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("PEAKNET_BENCH_DISK"), prefix="bench_chain_") as name:
        folder = Path(name)

        def plan_of(shape: Tuple[int, int, int], **more: Any) -> Plan:
            count = max(8, min(64, (128 << 20) // (2 * shape[0] * shape[1] * shape[2])) // 8 * 8)
            return Plan(saved(folder, shape, count, HITS), slots=slots_for(shape), disk=folder, seconds=bench.pick(1, 4, 10), **more)

        for shape in shapes:
            title = f"{'×'.join(map(str, shape))}, threshold network"
            parts.append(side_by_side(bench, plan_of(shape), title, with_ray, targets, judged=shape == (1, 512, 512)))
        plan = plan_of((1, 512, 512), model=str(CONTRAST))
        # A peaknetd without LibTorch refuses the model.
        with_torch = bench.effort != "smallest" and ours(bench, replace(plan, seconds=0.5)) is not None
        if with_torch:
            parts.append(side_by_side(bench, plan, "1×512×512, network contrast (TorchScript)", with_ray and "torch" not in absent, targets, judged=False))

        small = plan_of((1, 512, 512))
        roomy = replace(small, slots=2048)  # 1 GiB: what a disk that pauses for half a second needs
        rows = []
        for producers in (1, 2, 4) if bench.effort == "full" else (2,):
            good, bad = highest_rate(bench, replace(roomy, producers=producers, seconds=bench.pick(1, 3, 15)))
            if bench.effort == "full" and good:
                long_run = ours(bench, replace(roomy, producers=producers, rate=0.9 * good, seconds=60))
                held = "–" if long_run is None else ("yes" if long_run["refused"] == 0 else f"no, {long_run['refused']} refused")
            else:
                held = "–"
            rows.append([producers, short(good), short(bad), held])
        parts.append("### Highest rate without a refusal\n\nPaced producers, 1×512×512, a pool of 1 GiB, `pool.full: drop_newest`. The last column: 0.9 of that rate held for 60 s.\n\n"
                     + table(["producers", "all in at", "refused, or not reached, at", "60 s without a refusal"], rows))
        half = ours(bench, replace(roomy, producers=2, rate=max(50.0, good / 2), seconds=bench.pick(1, 5, 20)))
        if half is not None:
            stages = half["stages_us"]
            to_q2 = (stages["q1_wait"]["p99"] + stages["infer"]["p99"]) / 1e3
            targets.append(["commit to Q2 at half that rate: p99 of waiting + p99 of inference, ms (the network itself takes about 0.05)", "≤ 2", short(to_q2),
                            "met" if to_q2 <= 2 else "**missed**"])
        crowd = 100 if bench.effort == "full" else 20
        many = ours(bench, replace(small, producers=crowd))
        if many is not None:
            parts.append(f"### {crowd} producers at once\n\n{short(many['frames_per_s'])} frames/s, {short(many['cpu_us_per_frame'])} µs of CPU a frame; every frame that "
                         "was committed is accounted for.")
        parts.append(four_at_once(bench, small, with_torch))

        idle = idle_cores(small, bench.programs, bench.pick(2, 10, 30))
        targets.append(["idle: processor time of daemon and writer, % of a core", "< 0.5", short(100 * idle), "met" if idle < 0.005 else "**missed**"])
        status, nothing = status_ms(replace(small, producers=2), bench.programs, bench.python, int(bench.pick(10, 50, 300)))
        targets.append([f"peaknetctl status under full load, whole program, p99 ms (p50 {short(quantile(status, 0.5))}; beside it `true`: "
                        f"p50 {short(quantile(nothing, 0.5))}, p99 {short(quantile(nothing, 0.99))})", "≤ 20", short(quantile(status, 0.99)),
                        "met" if quantile(status, 0.99) <= 20 else "**missed**"])
        starts = int(bench.pick(1, 3, 5))
        ready = Spread.of([seconds_to_ready(small, bench.programs) for _ in range(starts)])
        targets.append(["from nothing to running and a writer attached, threshold network, s", "≤ 3", ready, "met" if ready and ready.median <= 3 else "**missed**"])
        if with_torch:
            large = folder / "large.pt"
            subprocess.run([str(bench.programs / "large_model"), "--write", str(large)], check=True)
            with_large = replace(small, model=str(large))
            seconds_to_ready(with_large, bench.programs)  # the file is in the cache then
            beyond = Spread.of([seconds_to_ready(with_large, bench.programs) - bare_load_seconds(large, bench.programs) for _ in range(starts)])
            targets.append([f"the same with a TorchScript model of {large.stat().st_size / 1e6:.0f} MB, beyond loading it and one run of each batch in a bare program, s",
                            "≤ 3", beyond, "met" if beyond and beyond.median <= 3 else "**missed**"])

    missing = sorted(absent.intersection(RAY_NEEDS))
    intro = f"""
Producers (Python, `put`) hand over frames of counts (uint16), {HITS:.0%} of them with {SPOTS} spots, the others empty; the network, the search for
peaks and CXI files follow. The *threshold network* subtracts {THRESHOLD} counts and compares: what is left is the chain itself. The Ray form (`bench/chain/ray_form.py`)
is what peaknetd replaces, written for this benchmark from its description: actors for producers, queue shards, network and
writer, scipy's labels with a loop over the components, h5py, no fsync. Our batches are of 2 (frames of more do not stay in a processor's caches from step to
step), its are of 8. CPU is that of all processes of a chain, whoever started them; memory
counts shared pages once. Latency is from commit to the durable file, or to the frame's being filtered (Ray: from the batch's creation to the
closed, not synced, file). Everything shares {len(os.sched_getaffinity(0))} cores, the producers too.{f" Not in this run: the Ray form ({', '.join(missing)} missing)." if missing else ""}{" The Ray form has no network of torch in this run (scripts/bench --help says how it can)." if with_torch and "torch" in absent else ""}""".strip()
    return "\n\n".join(["## chain: from producers to files", intro, "### Targets", table(["", "wanted", "measured", ""], targets), *parts])

