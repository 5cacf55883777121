"""Are the columns of events in files what they must be, bit for bit?

    columns_check.py numbered FILE...     what follows from the event's number; prints how many events there are
    columns_check.py content FILE...      prints a digest of each event's columns, sorted: to compare two runs
"""

import hashlib
import sys

import numpy as np

NAMES = ["laser_on", "event_codes", "spectrum"]


def codes_of(event):
    return ((event * 7 + np.arange(256)) % 3 == 0).astype(np.uint8)


def spectrum_of(event):
    return (np.uint32(0x3F800000) + np.uint32(event * 4096) + np.arange(2048, dtype=np.uint32)).view(np.float32)


def laser_of(event):
    """None: not known."""
    return None if event // 4 % 4 == 3 else event % 2


def check(path, h5py):
    with h5py.File(path) as file:
        laser, codes, spectrum = (file["/LCLS/laser_on"], file["/LCLS/event_codes"], file["/LCLS/fee/spectrum"])
        assert laser.dtype == np.uint8 and laser.ndim == 1 and laser.attrs["missing_value"] == 255
        assert codes.dtype == np.uint8 and codes.shape[1:] == (256,)
        assert spectrum.dtype == np.float32 and spectrum.shape[1:] == (2048,) and spectrum.attrs["units"] == "eV"
        assert np.isnan(spectrum.attrs["missing_value"])
        assert [name.decode() for name in file["/entry_1/peaknet/columns/name"]] == NAMES
        events = file["/entry_1/peaknet/event_id"][:]
        images = file["/entry_1/data_1/data"]
        assert len(events) == len(laser) == len(codes) == len(spectrum) == len(images)
        assert not laser.is_virtual and not spectrum.is_virtual
        for row, event in enumerate(int(number) for number in events):
            known = laser_of(event)
            assert laser[row] == (255 if known is None else known), (path, event, laser[row])
            assert codes[row].tobytes() == codes_of(event).tobytes(), (path, event)
            assert spectrum[row].tobytes() == spectrum_of(event).tobytes(), (path, event)
        return [int(number) for number in events]


def content(path, h5py):
    with h5py.File(path) as file:
        return [hashlib.sha256(b"".join(np.asarray(file[name][row]).tobytes() for name in (
            "/LCLS/laser_on", "/LCLS/event_codes", "/LCLS/fee/spectrum"))).hexdigest()
            for row in range(len(file["/LCLS/laser_on"]))]


if __name__ == "__main__":
    import h5py as library

    what, paths = sys.argv[1], sys.argv[2:]
    found = [one for path in paths for one in (check if what == "numbered" else content)(path, library)]
    if what == "numbered":
        assert len(found) == len(set(found)), "an event is there twice"
        print(len(found))
    else:
        print("\n".join(sorted(found)))
