"""Counts the peaks that contrast.pt finds in an HDF5 file, times it, and compares with a table of known peaks if given.

The images are padded as the engine pads them (zeros, bottom and right, to a multiple of 32). Peaks are the 8-connected
components of the mask, centres unweighted. The table (dataset "peaks") has the fields event, panel, y, x, npix.
Needs h5py and scipy beside the packages of requirements.txt."""

import argparse
import pathlib
import time

import h5py
import numpy as np
import torch

from peaknet_recipes.peaks import centres, near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--dataset", default="/entry_1/data_1/data", help="(N,H,W) or (N,panels,H,W)")
    parser.add_argument("--known", type=pathlib.Path, help="HDF5 file with the table of known peaks")
    parser.add_argument("--distance", type=float, default=2.0, help="pixels within which two centres are the same peak")
    parser.add_argument("--repeat", type=int, default=30, help="timed calls")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = torch.jit.load(pathlib.Path(__file__).with_name("contrast.pt"))
    with h5py.File(arguments.file) as file:
        images = file[arguments.dataset][:].astype(np.float32)
    if images.ndim == 3:
        images = images[:, None]
    events, panels, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (0, -height % 32), (0, -width % 32)))

    found = []
    with torch.inference_mode():
        for event in padded:
            logits = model(torch.from_numpy(event[:, None])).numpy()
            mask = logits[:, 1] > logits[:, 0]
            if mask[:, height:].any() or mask[:, :, width:].any():
                raise SystemExit("a peak lies in the padding")
            found.append([centres(panel[:height, :width]) for panel in mask])
        event = torch.from_numpy(padded[0][:, None])
        wall, cpu = [], []
        for call in range(arguments.repeat + 10):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            model(event)
            wall.append((time.perf_counter() - begin) * 1e3)
            cpu.append((time.process_time() - begin_cpu) * 1e3)
    print("peaks per event:", [sum(len(panel) for panel in event) for event in found])
    print(f"one event of {panels} x {height} x {width}, {arguments.threads} thread(s), {arguments.repeat} calls, "
          f"median: {np.median(wall[10:]):.1f} ms, of which {np.median(cpu[10:]):.1f} ms on a processor")

    if arguments.known:
        with h5py.File(arguments.known) as file:
            table = file["peaks"][:]
        where = lambda e, p: table[(table["event"] == e) & (table["panel"] == p)]
        points = lambda rows: np.stack([rows["y"], rows["x"]], axis=1)
        cells = [(e, p) for e in range(events) for p in range(panels)]
        total = sum(len(found[e][p]) for e, p in cells)
        true = sum(near(found[e][p], points(where(e, p)), arguments.distance).sum() for e, p in cells)
        print(f"precision: {true} of {total} are known ({true / max(total, 1):.3f})")
        for pixels in (1, 2, 3, 4):
            hits = [near(points(w[w["npix"] >= pixels]), found[e][p], arguments.distance)
                    for e, p in cells for w in [where(e, p)]]
            count, size = sum(h.sum() for h in hits), sum(len(h) for h in hits)
            print(f"recall of known peaks of {pixels} or more pixels: {count} of {size} ({count / max(size, 1):.3f})")


if __name__ == "__main__":
    main()
