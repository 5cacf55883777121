"""The suite peaks: mask -> peaks, beside SciPy, scikit-image, OpenCV and cc3d on the same masks."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from suite import Bench, Spread, interleaved, missing_modules, short, table  # noqa: E402

TARGETS = ["peaks_run"]

NEEDS = {"scipy": "scipy", "skimage": "skimage", "opencv": "cv2", "cc3d": "cc3d", "numpy": "numpy"}
TITLES = {"peaknet": "peaknet, weighted, with SNR", "scipy": "SciPy label + center_of_mass, weighted",
          "skimage": "scikit-image regionprops_table, weighted", "opencv": "OpenCV WithStats (BBDT), unweighted",
          "cc3d": "cc3d + statistics, unweighted", "numpy": "NumPy flatnonzero of the mask alone"}
CASES = [(1024, 100, 3.2), (2048, 500, 4.1)]  # size, peaks, target: at most so many bare scans of the byte mask

Outcome = Optional[Dict[str, Any]]


def run(command: List[str]) -> Dict[str, Any]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: Dict[str, Any] = json.loads(done.stdout)
    return answer


def case(bench: Bench, folder: Path, size: int, peers: List[str]) -> Dict[str, List[Outcome]]:
    calls = int(bench.pick(2, 5, 15))

    def one(name: str) -> Outcome:
        try:
            if name == "peaknet":
                return run([str(bench.programs / "peaks_run"), "--find", str(folder), str(size), str(calls)])
            return run([bench.python, str(Path(__file__).with_name("peers.py")), name, str(folder), str(size), str(calls)])
        except (subprocess.CalledProcessError, json.JSONDecodeError) as failure:
            bench.say(f"{name}: {failure} {getattr(failure, 'stderr', '')}")
            return None

    return dict(interleaved(["peaknet"] + peers, int(bench.pick(1, 2, 5)), one))


def values(rounds: List[Outcome], key: str) -> List[Optional[float]]:
    return [outcome[key] if outcome else None for outcome in rounds]


def section(bench: Bench) -> str:
    absent = missing_modules(bench.python, NEEDS.values())
    peers = [peer for peer, module in NEEDS.items() if module not in absent]
    left_out = [TITLES[peer] for peer, module in NEEDS.items() if module in absent]
    targets: List[List[object]] = []
    tables: List[str] = []

    def target(what: str, wanted: str, got: Optional[Spread], met: bool) -> None:
        if got is not None:
            targets.append([what, wanted, got, "met" if met else "**missed**"])

    for size, peaks, most_scans in CASES:
        bench.say(f"{size} x {size}, {peaks} peaks")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            subprocess.run([str(bench.programs / "peaks_run"), "--make", name, str(size), str(peaks), "4"], check=True)
            results = case(bench, folder, size, peers)
        ours = results["peaknet"]
        scans = Spread.of_ratios(values(ours, "us"), values(ours, "scan_bytes_us"))
        if scans:
            target(f"{size}², {peaks} peaks: time ÷ bare scan of the byte mask", f"≤ {most_scans}", scans, scans.median <= most_scans)
        rows = []
        best: Optional[Spread] = None
        for name, rounds in results.items():
            times = Spread.of(values(rounds, "us"))
            ratio = Spread.of_ratios(values(rounds, "us"), values(ours, "us"))
            rows.append([TITLES[name], times, ratio if name != "peaknet" else None, short(Spread.of(values(rounds, "peaks")).median)  # type: ignore[union-attr]
                         if times else None])
            if ratio and name not in ("peaknet", "numpy") and (best is None or ratio.median < best.median):
                best = ratio
        if best:
            target(f"{size}², {peaks} peaks: the fastest peer ÷ ours", "≥ 20", best, best.median >= 20)
        scan = Spread.of(values(ours, "scan_bytes_us"))
        bits = Spread.of(values(ours, "scan_bits_us"))
        tail = Spread.of(values(ours, "p99_us"))
        tables.append(f"### {size} × {size}, {peaks} peaks, cold\n\n" + table(["", "µs per frame", "÷ peaknet", "peaks"], rows)
                      + f"\n\nBare scan: of the byte mask {scan} µs, of the bit mask {bits} µs. Our p99: {tail} µs.")

    bench.say("hard masks")
    hard = [run([str(bench.programs / "peaks_run"), "--hard"]) for _ in range(int(bench.pick(1, 2, 5)))]
    spreads = {name: Spread.of([turn[name] for turn in hard]) for name in hard[0]}
    worst = max((s for s in spreads.values() if s), key=lambda s: s.median)
    target("any mask of 1024²: milliseconds", "≤ 10", Spread(worst.median / 1e3, worst.least / 1e3, worst.most / 1e3), worst.median <= 10e3)
    tables.append("### Masks that no network should make, 1024 × 1024\n\nMore than 8192 components are no data: the search stops there.\n\n"
                  + table(["", "µs"], [[name, spread] for name, spread in spreads.items()]))
    intro = f"""
Time of one frame in one thread, from the mask and the image to all peaks with centres, sums, boxes and (ours alone) signal to noise. Cold:
frames go round a ring larger than the caches. Ours reads the mask as bits, as the daemon leaves it; the peers read bytes, as they
must. {"Not in this run: " + ", ".join(left_out) + "." if left_out else ""}""".strip()
    return "\n\n".join(["## peaks: from the mask to the peaks", intro, "### Targets", table(["", "wanted", "measured", ""], targets)] + tables)
