"""Judges peak finders by truth, and by CrystFEL where it is: patterns that train.py never saw, of lysozyme, which it never
draws, in sets of one difficulty each.

    python3 judge.py --frames 30                                        recall by strength, and what is wrong
    python3 judge.py --frames 30 --indexamajig PATH --folder FOLDER     how many CrystFEL indexes, beside its peakfinder8
    python3 judge.py --xtal lysozyme_sim.h5 --real FOLDER               on patterns that others made, and on published ones
    python3 judge.py --time                                             what a frame of 1024 x 1024 costs on one thread

Networks: ../peaknet_small/peaknet_small.pt (normalised), ../contrast.pt (raw counts), and those of --network. Needs the
packages of ../requirements.txt."""

import argparse
import dataclasses
import pathlib
import re
import subprocess
import time

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


def by_truth(networks: dict[str, Network], frames: int, only: str) -> None:
    for number, (name, chosen) in enumerate(SETS.items()):
        if only not in name:
            continue
        totals = {finder: Score() for finder in networks}
        for frame in range(frames):
            pattern = pattern_of(chosen, number, frame)
            for finder, network in networks.items():
                totals[finder] = totals[finder] + score_peaks(centres(network.mask(pattern.image)), pattern)
        for finder, total in totals.items():
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


def write_peaks(file: h5py.File, found: list[tuple[np.ndarray, np.ndarray]]) -> None:
    table = {name: np.zeros((len(found), MOST_PEAKS), np.float32) for name in ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")}
    for row, (places, sums) in enumerate(found):
        n = min(len(places), MOST_PEAKS)
        table["peakXPosRaw"][row, :n], table["peakYPosRaw"][row, :n] = places[:n, 1], places[:n, 0]
        table["peakTotalIntensity"][row, :n] = np.maximum(sums[:n], 1)
    file[f"{PEAKS}/nPeaks"] = np.array([min(len(places), MOST_PEAKS) for places, _ in found])
    for name, values in table.items():
        file[f"{PEAKS}/{name}"] = values


def indexed(program: str, folder: pathlib.Path, name: str, images: pathlib.Path, options: list[str]) -> str:
    """How many frames CrystFEL indexes, with how many peaks."""
    listing = folder / f"{name}.lst"
    listing.write_text(f"{images}\n")
    stream = folder / f"{name}.stream"
    command = [program, "-g", str(folder / "set.geom"), "-p", str(folder / "lys.cell"), "-i", str(listing), "-o", str(stream),
               "-j", "1", "--indexing=asdf", "--asdf-fast", "--min-peaks=4", f"--temp-dir={folder}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"indexamajig failed: {done.stderr[-300:]}"
    text = stream.read_text()
    peaks = [int(n) for n in re.findall(r"^num_peaks = (\d+)", text, re.M)]
    return f"{len(re.findall(r'^indexed_by = (?!none)', text, re.M))} of {len(peaks)} ({np.mean(peaks):.0f} peaks)"


def by_indexing(networks: dict[str, Network], frames: int, program: str, folder: pathlib.Path, only: str) -> None:
    (folder / "lys.cell").write_text(CELL_FILE)
    for number, (name, chosen) in enumerate(SETS.items()):
        if only not in name or chosen.significance == 0:
            continue
        patterns = [pattern_of(chosen, number, frame) for frame in range(frames)]
        counts = chosen.scene.detector.counts
        (folder / "set.geom").write_text(GEOMETRY.format(counts=counts))
        results = []
        for finder, network in networks.items():
            path = folder / f"{finder}.cxi"
            with h5py.File(path, "w") as file:
                file[IMAGES] = np.stack([pattern.image for pattern in patterns])
                write_peaks(file, [weighted(network.mask(pattern.image), pattern.image) for pattern in patterns])
            results.append(f"{finder} {indexed(program, folder, finder, path, ['--peaks=cxi', '--no-revalidate'])}")
        for snr in (5, 4):  # CrystFEL's default, and what the issue calls tuned
            options = ["--peaks=peakfinder8", f"--min-snr={snr}", "--threshold=0", "--min-pix-count=2", "--max-pix-count=200"]
            results.append(f"peakfinder8 snr {snr} {indexed(program, folder, f'peakfinder8_{snr}', path, options)}")
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
    parser.add_argument("--indexamajig", default="", help="CrystFEL's program: judge by indexing")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("."), help="for its files")
    parser.add_argument("--only", default="", help="sets whose name has this")
    parser.add_argument("--xtal", type=pathlib.Path, help="HDF5 file as scripts/demo_data/lysozyme_hits.h5")
    parser.add_argument("--real", type=pathlib.Path, help="folder with published images and their tables of peaks")
    parser.add_argument("--time", action="store_true", help="measure what a frame costs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    networks = {"contrast": Network(HERE.parent / "contrast.pt", normalise=False)}
    for path in [HERE / "peaknet_small.pt", *arguments.network]:
        if path.exists():
            networks[path.stem] = Network(path, normalise=True)
    if arguments.time:
        by_time(networks)
    elif arguments.xtal or arguments.real:
        if arguments.xtal:
            by_lattice(networks, arguments.xtal)
        if arguments.real:
            by_known(networks, arguments.real)
    elif arguments.indexamajig:
        by_indexing(networks, arguments.frames, arguments.indexamajig, arguments.folder, arguments.only)
    else:
        by_truth(networks, arguments.frames, arguments.only)


if __name__ == "__main__":
    main()
