#!/usr/bin/python3
"""What other programs make of the NXmx tree of a file.

    nexus_judges.py nxcheck|nxmx|dxtbx|dials|silx FILE EVENTS X Y Z

EVENTS: how many stills the file has; X Y Z: where the outer corner of the first pixel of the first of its four panels is,
in millimetres and NeXus' axes. nexusformat (nxcheck) and nxmx are those that scripts/setup --judges has put into
PEAKNET_NEXUS_JUDGES, or installed; dxtbx and dials.import are Debian's packages python3-cctbx and dials, silx is PyPI's.
Exit code 0: taken as it is meant; 1: not; 77: the program is not here (skipped).
"""
import os
import shutil
import subprocess
import sys
import tempfile

if "PEAKNET_NEXUS_JUDGES" in os.environ and sys.argv[1] in ("nxcheck", "nxmx"):
    sys.path.insert(0, os.environ["PEAKNET_NEXUS_JUDGES"])

PANELS = 4


def skip(what):
    print(f"skipped: {what} is not installed")
    sys.exit(77)


def near(found, wanted, what):
    assert all(abs(f - w) <= 1e-3 for f, w in zip(found, wanted)), f"{what} is at {found}, not {wanted}"


def nxcheck(path, events, corner):
    try:
        from nexusformat.nexus.validate import logger, validate_application
    except ImportError:
        skip("nexusformat")
    import logging
    counts = {logging.WARNING: [], logging.ERROR: []}

    class Keep(logging.Handler):
        def emit(self, record):
            counts.setdefault(record.levelno, []).append(record.getMessage())

    logger.setLevel(logging.WARNING)
    logger.addHandler(Keep())
    validate_application(path, application="NXmx")
    print(f"nxcheck: {len(counts[logging.ERROR])} errors, {len(counts[logging.WARNING])} warnings")
    assert not counts[logging.ERROR], counts[logging.ERROR]


def nxmx(path, events, corner):
    try:
        import h5py
        import nxmx
    except ImportError:
        skip("nxmx")
    with h5py.File(path, "r") as file:
        entries = nxmx.NXmx(file).entries
        assert len(entries) == 1
        entry = entries[0]
        data = entry.data[0]
        assert data[data.signal].shape[0] == events
        detector = entry.instruments[0].detectors[0]
        assert len(detector.modules) == PANELS
        assert entry.samples[0].depends_on is None, "stills"
        module = detector.modules[0]
        chain = nxmx.get_dependency_chain(module.fast_pixel_direction.depends_on)
        near(nxmx.get_cumulative_transformation(chain)[0][:3, 3], corner, "the first panel")
        wavelength = entry.instruments[0].beams[0].incident_wavelength
        assert len(wavelength) == events and abs(wavelength[0].to("angstrom").magnitude - 12398.4193 / 9500) < 1e-6
        assert detector.pixel_mask.shape == data[data.signal].shape[1:]


def imgcif(corner):
    return -corner[0], corner[1], -corner[2]


def dxtbx(path, events, corner):
    try:
        from dxtbx.model.experiment_list import ExperimentListFactory
    except ImportError:
        skip("dxtbx")
    experiments = ExperimentListFactory.from_filenames([path])
    assert len(experiments) == events, len(experiments)
    wavelengths = []
    for experiment in experiments:
        assert experiment.is_still() and experiment.goniometer is None
        assert len(experiment.detector) == PANELS
        wavelengths.append(experiment.beam.get_wavelength())
        panels = experiment.imageset.get_raw_data(0)
        assert len(panels) == PANELS and panels[0].all() == (32, 65), [p.all() for p in panels]
    near(experiments[0].detector[0].get_origin(), imgcif(corner), "the first panel")
    assert all(abs(w - 12398.4193 / (9500 + i)) < 1e-6 for i, w in enumerate(wavelengths)), wavelengths


def dials(path, events, corner):
    program = shutil.which("dials.import")
    if program is None:
        skip("dials.import")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([program, path], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"num stills: {events}" in done.stdout, done.stdout


def silx(path, events, corner):
    try:
        import silx.io
        from silx.io import nxdata
    except ImportError:
        skip("silx")
    with silx.io.open(path) as file:
        shown = nxdata.get_default(file)
        assert shown is not None and shown.is_valid and shown.signal.shape[0] == events, "its default is the images"


def main():
    judge, path, events, corner = sys.argv[1], sys.argv[2], int(sys.argv[3]), [float(value) for value in sys.argv[4:7]]
    {"nxcheck": nxcheck, "nxmx": nxmx, "dxtbx": dxtbx, "dials": dials, "silx": silx}[judge](path, events, corner)


if __name__ == "__main__":
    main()
