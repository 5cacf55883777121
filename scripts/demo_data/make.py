"""Cuts the demo frames out of the project's simulated lysozyme patterns: make.py SOURCE.h5 (writes beside this file).

gzip and shuffle are part of every HDF5 library, so the frames need no plugin. Object times are switched off, so that
the same source gives the same bytes with the same HDF5 version."""

import pathlib
import sys

import h5py

FRAMES = [1, 2, 3, 8]  # four strong hits of the twelve
TARGET = pathlib.Path(__file__).with_name("lysozyme_hits.h5")
IMAGES = "/entry_1/data_1/data"
PER_FRAME = ["/LCLS/photon_energy_eV", "/truth/reciprocal_axes"]


def main(source: str) -> None:
    with h5py.File(source, "r") as full, h5py.File(TARGET, "w", libver="earliest") as cut:
        images = full[IMAGES][FRAMES]
        cut.create_dataset(IMAGES, data=images, chunks=(1, *images.shape[1:]), compression="gzip",
                           compression_opts=9, shuffle=True, track_times=False)
        for name in PER_FRAME:
            cut.create_dataset(name, data=full[name][FRAMES], track_times=False)
    print(f"{TARGET.name}: {len(FRAMES)} frames, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
