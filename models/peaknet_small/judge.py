"""Judges peak finders by truth, and by CrystFEL where it is: patterns that train.py never saw, of lysozyme, which it never
draws, in sets of one difficulty each.

    python3 judge.py                                                    recall by strength, and what is wrong
    python3 judge.py --indexamajig PATH --folder FOLDER                 beside CrystFEL's peakfinder8
    python3 judge.py --indexamajig PATH --folder FOLDER --index         how many frames CrystFEL indexes (asdf)
    python3 judge.py --xtal lysozyme_sim.h5 --real FOLDER               on patterns that others made, and on published ones
    python3 judge.py --golden golden.h5                                 a normalised pattern, for export.py --golden
    python3 judge.py --time                                             what a frame of 1024 x 1024 costs on one thread

Networks: ../peaknet_small/peaknet_small.pt (normalised), ../contrast.pt (raw counts), and those of --network. Needs the
packages of ../requirements.txt."""

import argparse
import dataclasses
import pathlib
import re
import subprocess
import time
from typing import Optional

import h5py
import numpy as np
import torch
from scipy import ndimage

from scoring import NEAR, Score, centres, near, score_peaks
from simulator import ICE, Crystal, Detector, Jet, Pattern, Ring, Scene, normalised, radius_of, reciprocal, rotation, simulate

HERE = pathlib.Path(__file__).resolve().parent
FIRST = 5_000_000  # seeds of the judge; train.py stays below
CELL = (79.2, 79.2, 38.0, 90.0, 90.0, 90.0)
ENERGY = 9500.0  # eV
IMAGES, PEAKS = "/entry_1/data_1/data", "/entry_1/result_1"
MOST_PEAKS = 2048

PLAIN = Scene(shape=(1024, 1024), wavelength=12398.4193 / ENERGY, distance=1600.0, centre=(512.0, 512.0),
              detector=Detector(counts=10.0), flat=1.0, air=(2.0, 150.0), water=4.0, sigma=0.8)
PANELS = Detector(counts=10.0, panel=(185, 194), gap=8, origin=(20, 60), wide_edges=1.5, steps=0.02, hot=60, dead=300,
                  read_noise=0.3, pedestal=50.0)


@dataclasses.dataclass(frozen=True)
class Set:
    scene: Scene
    significance: float  # 0: no crystal
    decay: float = 25.0


def ice(width: float, height: float) -> tuple[Ring, ...]:
    return tuple(Ring(radius_of(PLAIN, d), width, height * share) for d, share in zip(ICE, (1, 0.6, 0.8, 0.3, 0.5, 0.4)))


def with_plain(**changed) -> Scene:
    return dataclasses.replace(PLAIN, **changed)


TENFOLD = with_plain(flat=10.0, air=(20.0, 150.0), water=40.0)
SETS: dict[str, Set] = {
    "normal": Set(PLAIN, 40.0),
    "weak": Set(PLAIN, 12.0),
    "very weak, 8 spots": Set(PLAIN, 6.0),
    "strong background": Set(TENFOLD, 40.0),
    "tenfold background, weak": Set(TENFOLD, 10.0),
    "ice rings": Set(with_plain(rings=ice(3.0, 30.0)), 40.0),
    "sharp ice rings, weak": Set(with_plain(rings=ice(1.5, 15.0)), 15.0),
    "panels, hot and dead pixels": Set(with_plain(detector=PANELS), 40.0),
    "jet": Set(with_plain(jets=(Jet(1.45, 2.5, 150.0, 120.0), Jet(0.1, 4.0, 20.0, 300.0, True)),
                          detector=Detector(counts=10.0, stop=12.0)), 40.0),
    "broad spots": Set(with_plain(sigma=2.2), 40.0),
    "float photons": Set(with_plain(detector=Detector(whole=False, counts=1.0, read_noise=0.15)), 40.0),
    "few photons": Set(with_plain(flat=0.02, air=(0.1, 100.0), water=0.1, detector=Detector()), 15.0),
    "sharp spots": Set(with_plain(sigma=0.3), 40.0),
    "sharp and bright spots": Set(with_plain(sigma=0.35), 1000.0),
    "blank": Set(PLAIN, 0.0),
    "blank, ice and hot pixels": Set(with_plain(rings=ice(2.5, 20.0), detector=PANELS), 0.0),
}


def pattern_of(chosen: Set, number: int, frame: int) -> Pattern:
    rng = np.random.default_rng([FIRST + frame, number])
    if chosen.significance == 0:
        return simulate(chosen.scene, rng)
    crystal = Crystal(reciprocal(CELL) @ rotation(rng).T, thickness=4e-4, decay=chosen.decay, significance=chosen.significance)
    return simulate(dataclasses.replace(chosen.scene, crystals=(crystal,)), rng)


class Network:
    """A finished file, given what peaknetd would give it."""

    def __init__(self, path: pathlib.Path, normalise: bool) -> None:
        self.file, self.normalise = torch.jit.load(path), normalise

    @torch.inference_mode()
    def masks(self, event: np.ndarray) -> np.ndarray:
        """Of an event (panels, H, W)."""
        counts = np.pad(event, [(0, 0), (0, -event.shape[1] % 32), (0, -event.shape[2] % 32)])
        x = normalised(counts) if self.normalise else counts.astype(np.float32)
        marked = [logits[1] > logits[0] for logits in (self.file(torch.from_numpy(row)[None, None])[0] for row in x)]
        return torch.stack(marked).numpy()[:, : event.shape[1], : event.shape[2]]

    def mask(self, image: np.ndarray) -> np.ndarray:
        return self.masks(image[None])[0]


def by_truth(networks: dict[str, Network], frames: int, only: str, crystfel: Optional["CrystFel"]) -> None:
    for number, (name, chosen) in enumerate(SETS.items()):
        if only not in name:
            continue
        patterns = [pattern_of(chosen, number, frame) for frame in range(frames)]
        found = {finder: [centres(network.mask(pattern.image)) for pattern in patterns] for finder, network in networks.items()}
        if crystfel:
            images = crystfel.write("truth", chosen, patterns, None)
            for snr in (5, 4):
                stream = crystfel.run("truth", images, [*eight(snr), "--indexing=none"])
                found[f"peakfinder8 snr {snr}"] = crystfel.peaks_of(stream)
        for finder, peaks in found.items():
            total = sum((score_peaks(places, pattern) for places, pattern in zip(peaks, patterns)), Score())
            print(f"{name} | {finder} | {total.peaks / frames:.1f} peaks a frame; {total}", flush=True)


GEOMETRY = """photon_energy = 9500 eV
adu_per_photon = {counts}
res = 13333.3
clen = 0.120 m
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
peak_list = /entry_1/result_1
p0/min_fs = 0
p0/max_fs = 1023
p0/min_ss = 0
p0/max_ss = 1023
p0/fs = +1.0x +0.0y
p0/ss = +0.0x +1.0y
p0/corner_x = -512
p0/corner_y = -512
"""
CELL_FILE = """CrystFEL unit cell file version 1.0

lattice_type = tetragonal
centering = P
unique_axis = c
a = 79.2 A
b = 79.2 A
c = 38.0 A
al = 90.0 deg
be = 90.0 deg
ga = 90.0 deg
"""


def weighted(mask: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres weighted by counts, as peaknetd computes them, and the sums of the counts."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    which = range(1, count + 1)
    sums = np.asarray(ndimage.sum_labels(image, labels, which)).reshape(-1)
    return np.array(ndimage.center_of_mass(image.astype(np.float64), labels, which)).reshape(-1, 2), sums


def eight(snr: int) -> list[str]:
    """CrystFEL's default is 5; 4 is what the weak sets want."""
    return ["--peaks=peakfinder8", f"--min-snr={snr}", "--threshold=0", "--min-pix-count=2", "--max-pix-count=200"]


class CrystFel:
    """indexamajig in a folder of its own, on one set at a time."""

    def __init__(self, program: str, folder: pathlib.Path) -> None:
        self.program, self.folder = program, folder
        (folder / "lys.cell").write_text(CELL_FILE)

    def write(self, name: str, chosen: Set, patterns: list[Pattern], found: Optional[list]) -> pathlib.Path:
        """The images, and if given (centres, sums) for each."""
        (self.folder / "set.geom").write_text(GEOMETRY.format(counts=chosen.scene.detector.counts))
        path = self.folder / f"{name}.cxi"
        with h5py.File(path, "w") as file:
            file[IMAGES] = np.stack([pattern.image for pattern in patterns])
            found = found or [(np.zeros((0, 2)), np.zeros(0))] * len(patterns)
            table = {key: np.zeros((len(found), MOST_PEAKS), np.float32)
                     for key in ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")}
            for row, (places, sums) in enumerate(found):
                n = min(len(places), MOST_PEAKS)
                table["peakXPosRaw"][row, :n], table["peakYPosRaw"][row, :n] = places[:n, 1], places[:n, 0]
                table["peakTotalIntensity"][row, :n] = np.maximum(sums[:n], 1)
            file[f"{PEAKS}/nPeaks"] = np.array([min(len(places), MOST_PEAKS) for places, _ in found])
            for key, values in table.items():
                file[f"{PEAKS}/{key}"] = values
        return path

    def run(self, name: str, images: pathlib.Path, options: list[str]) -> str:
        """The stream, frames in their order."""
        listing, stream = self.folder / f"{name}.lst", self.folder / f"{name}.stream"
        listing.write_text(f"{images}\n")
        command = [self.program, "-g", str(self.folder / "set.geom"), "-p", str(self.folder / "lys.cell"), "-i", str(listing),
                   "-o", str(stream), "-j", "1", f"--temp-dir={self.folder}", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"indexamajig failed: {done.stderr[-300:]}")
        return stream.read_text()

    def peaks_of(self, stream: str) -> list[np.ndarray]:
        """(n, 2) y, x of each frame; in a stream the middle of the first pixel is 0.5."""
        frames = {}
        for chunk in stream.split("----- Begin chunk -----")[1:]:
            event = int(re.search(r"^Event: //(\d+)", chunk, re.M)[1])
            lines = chunk.partition("Peaks from peak search")[2].partition("End of peak list")[0].splitlines()[2:]
            rows = [[float(word) for word in line.split()[:2]] for line in lines if line.strip()]
            frames[event] = np.array(rows).reshape(-1, 2)[:, ::-1] - 0.5
        return [frames[event] for event in sorted(frames)]

    def indexed(self, name: str, images: pathlib.Path, options: list[str]) -> str:
        """How many frames are indexed, with how many peaks."""
        text = self.run(name, images, ["--indexing=asdf", "--asdf-fast", "--min-peaks=4", *options])
        peaks = [int(n) for n in re.findall(r"^num_peaks = (\d+)", text, re.M)]
        return f"{name} {len(re.findall(r'^indexed_by = (?!none)', text, re.M))} of {len(peaks)} ({np.mean(peaks):.0f} peaks)"


def by_indexing(networks: dict[str, Network], frames: int, only: str, crystfel: CrystFel, beside: bool) -> None:
    for number, (name, chosen) in enumerate(SETS.items()):
        if only not in name or chosen.significance == 0:
            continue
        patterns = [pattern_of(chosen, number, frame) for frame in range(frames)]
        results = []
        for finder, network in networks.items():
            found = [weighted(network.mask(pattern.image), pattern.image) for pattern in patterns]
            images = crystfel.write(finder, chosen, patterns, found)
            results.append(crystfel.indexed(finder, images, ["--peaks=cxi", "--no-revalidate"]))
        for snr in (5, 4) if beside else ():
            images = crystfel.write("images", chosen, patterns, None)
            results.append(crystfel.indexed(f"peakfinder8 snr {snr}", images, eight(snr)))
        print(f"{name} | " + " | ".join(results), flush=True)


def on_lattice(peaks: np.ndarray, axes: np.ndarray, energy: float) -> np.ndarray:
    """Whether each peak's indices are within 0.1 of whole numbers, for the detector of scripts/demo_data."""
    wavelength = 12398.4193e-10 / energy
    ray = np.stack([(peaks[:, 1] - 512) * 75e-6, (peaks[:, 0] - 512) * 75e-6, np.full(len(peaks), 0.120)], axis=1)
    q = (ray / np.linalg.norm(ray, axis=1, keepdims=True) - [0, 0, 1]) / wavelength
    indices = q @ np.linalg.inv(axes.astype(np.float64))
    return (np.abs(indices - np.rint(indices)) < 0.1).all(axis=1)


def by_lattice(networks: dict[str, Network], path: pathlib.Path) -> None:
    with h5py.File(path) as file:
        images, axes, energies = (file[name][:] for name in (IMAGES, "/truth/reciprocal_axes", "/LCLS/photon_energy_eV"))
    for finder, network in networks.items():
        counted = []
        for image, frame_axes, energy in zip(images, axes, energies):
            places = weighted(network.mask(image), image)[0]
            counted.append((len(places), int(on_lattice(places, frame_axes, energy).sum())))
        print(f"{path.name} | {finder} | peaks (on the lattice): " + ", ".join(f"{n} ({true})" for n, true in counted))


def by_known(networks: dict[str, Network], folder: pathlib.Path) -> None:
    """Beside the peaks of a local threshold on published images: no truth, but what a person would mark."""
    for images, table in (("lcls_cspad_thermolysin_4ev.h5", "golden_peaks_cspad_sparse.h5"),
                          ("lcls_mfx_rayonix_1920.h5", "golden_peaks_rayonix.h5")):
        with h5py.File(folder / images) as file, h5py.File(folder / table) as known:
            events, rows = file["data"][:], known["peaks"][:]
        for finder, network in networks.items():
            peaks, among, found, sought = 0, 0, 0, 0
            for e, event in enumerate(events):
                for p, mask in enumerate(network.masks(event if event.ndim == 3 else event[None])):
                    here = rows[(rows["event"] == e) & (rows["panel"] == p)]
                    places, ours = np.stack([here["y"], here["x"]], axis=1), centres(mask)
                    peaks, among = peaks + len(ours), among + int(near(ours, places, NEAR).sum())
                    large = places[here["npix"] >= 4]
                    sought, found = sought + len(large), found + int(near(large, ours, NEAR).sum())
            print(f"{images} | {finder} | {peaks} peaks, {among} known; found {found} of {sought} known of 4 or more pixels",
                  flush=True)


def write_golden(path: pathlib.Path) -> None:
    """What the network is shown before it is used: a crowded pattern on panels with gaps, hot and dead pixels."""
    rng = np.random.default_rng(FIRST)
    crystal = Crystal(reciprocal(CELL) @ rotation(rng).T, thickness=4e-3, decay=15.0, significance=60.0)
    image = normalised(simulate(dataclasses.replace(PLAIN, detector=PANELS, crystals=(crystal,)), rng).image)
    with h5py.File(path, "w") as file:
        file["data"] = image[None, None, 352:480, 352:512]


def by_time(networks: dict[str, Network]) -> None:
    """In turn, and time of the processor alone, so that others on the machine count little."""
    image = pattern_of(SETS["normal"], 0, 0).image
    spans: dict[str, list[float]] = {finder: [] for finder in networks}
    for _ in range(4 + 10):
        for finder, network in networks.items():
            begin = time.process_time()
            network.mask(image)
            spans[finder].append((time.process_time() - begin) * 1e3)
    for finder, times in spans.items():
        print(f"{finder} | {np.median(times[4:]):.0f} ms of the processor, with the normalisation in NumPy where there is one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=30, help="of each set (%(default)s)")
    parser.add_argument("--network", type=pathlib.Path, action="append", default=[], help="another .pt, of normalised images")
    parser.add_argument("--without", action="append", default=[], help="a finder that is not judged")
    parser.add_argument("--indexamajig", default="", help="CrystFEL's program")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("."), help="for its files")
    parser.add_argument("--index", action="store_true", help="judge by indexing")
    parser.add_argument("--only", default="", help="sets whose name has this")
    parser.add_argument("--xtal", type=pathlib.Path, help="HDF5 file as scripts/demo_data/lysozyme_hits.h5")
    parser.add_argument("--real", type=pathlib.Path, help="folder with published images and their tables of peaks")
    parser.add_argument("--golden", type=pathlib.Path, help="where to write an image")
    parser.add_argument("--time", action="store_true", help="measure what a frame costs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    networks = {"contrast": Network(HERE.parent / "contrast.pt", normalise=False)}
    for path in [HERE / "peaknet_small.pt", *arguments.network]:
        if path.exists():
            networks[path.stem] = Network(path, normalise=True)
    networks = {finder: network for finder, network in networks.items() if finder not in arguments.without}
    crystfel = CrystFel(arguments.indexamajig, arguments.folder) if arguments.indexamajig else None
    if arguments.index and not crystfel:
        parser.error("--index needs --indexamajig")
    if arguments.golden:
        write_golden(arguments.golden)
    elif arguments.time:
        by_time(networks)
    elif arguments.xtal or arguments.real:
        if arguments.xtal:
            by_lattice(networks, arguments.xtal)
        if arguments.real:
            by_known(networks, arguments.real)
    elif arguments.index:
        by_indexing(networks, arguments.frames, arguments.only, crystfel, "peakfinder8" not in arguments.without)
    else:
        by_truth(networks, arguments.frames, arguments.only, crystfel)


if __name__ == "__main__":
    main()
