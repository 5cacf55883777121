#!/usr/bin/python3
"""Are images and masks of a compressed CXI file, as another program unpacks them, those of the uncompressed file?

    read_compressed.py h5py|h5dump PLAIN.cxi COMPRESSED.cxi...

The events of the files are matched by their event_id. h5py unpacks with hdf5plugin (on PYTHONPATH), h5dump with what
HDF5_PLUGIN_PATH holds. Exit code 0: equal; 1: not, or it cannot be read; 77: h5py or h5dump is not installed (skipped).
"""
import shutil
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

DATASETS = ("/entry_1/data_1/data", "/entry_1/result_1/segmentation_map")


def by_h5py(path, name):
    import hdf5plugin  # noqa: F401  registers its filters

    assert h5py.h5z.filter_avail(32008)
    with h5py.File(path, "r") as file:
        return file[name][:]


def by_h5dump(path, name):
    with h5py.File(path, "r") as file:  # shape and type alone
        shape, dtype = file[name].shape, file[name].dtype
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(["h5dump", "-d", name, "-b", "LE", "-o", out.name, path], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"h5dump does not read {name} of {path}: {done.stderr.strip()}")
        return numpy.fromfile(out.name, dtype=dtype.newbyteorder("<")).reshape(shape)


def main():
    reader, plain, *compressed = sys.argv[1:]
    if reader == "h5dump" and shutil.which("h5dump") is None:
        print("skipped: h5dump is not installed")
        return 77
    read = {"h5py": by_h5py, "h5dump": by_h5dump}[reader]
    with h5py.File(plain, "r") as file:
        rows = {event: row for row, event in enumerate(file["/entry_1/peaknet/event_id"][:])}
        expected = {name: file[name][:] for name in DATASETS}
    assert all(values.any() for values in expected.values()), "nothing but zeros proves nothing"
    for path in compressed:
        with h5py.File(path, "r") as file:
            order = [rows.pop(event) for event in file["/entry_1/peaknet/event_id"][:]]
            filters = [file[name].id.get_create_plist().get_filter(0)[0] for name in DATASETS]
        assert filters == [32008, 32008], filters
        for name in DATASETS:
            found = read(path, name)
            assert found.dtype == expected[name].dtype, (found.dtype, expected[name].dtype)
            if not numpy.array_equal(found, expected[name][order]):
                print(f"{name} of {path} is not what was written, says {reader}")
                return 1
            print(f"{reader}: {name} of {path}: {found.shape} {found.dtype} equal")
        assert not rows, f"events {sorted(rows)} are missing in {path}"
        rows = {event: row for row, event in enumerate(h5py.File(plain, "r")["/entry_1/peaknet/event_id"][:])}
    return 0


sys.exit(main())
