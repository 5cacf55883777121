#!/usr/bin/env python3
"""Make lysozyme_hits.h5 from the full set of simulated patterns.

    python3 scripts/demo_data/make.py LYSOZYME_SIM.h5

The source has uint16 (12,1024,1024) at /entry_1/data_1/data and the photon energy (12,) in eV at /LCLS/photon_energy_eV. A few
patterns are kept, with gzip and shuffle, which every HDF5 reads without a plugin."""
import pathlib
import sys

import h5py

KEPT = [0, 3, 5]  # many, medium and few peaks

source = h5py.File(sys.argv[1])
with h5py.File(pathlib.Path(__file__).with_name("lysozyme_hits.h5"), "w") as out:
    images = source["/entry_1/data_1/data"]
    out.create_dataset("/entry_1/data_1/data", data=images[KEPT], chunks=(1,) + images.shape[1:], shuffle=True,
                       compression="gzip", compression_opts=9)
    out["/LCLS/photon_energy_eV"] = source["/LCLS/photon_energy_eV"][KEPT]
