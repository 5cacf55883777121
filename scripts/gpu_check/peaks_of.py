"""Prints the peaks of each event in the CXI files of a folder as JSON: [[event, [[x, y], ...]], ...]. Needs h5py.

  peaks_of.py FOLDER
"""
import json
import sys
from pathlib import Path

import h5py


def main():
    events = []
    for path in sorted(Path(sys.argv[1]).glob("*_chunk*.cxi")):
        with h5py.File(path, "r") as file:
            result = file["entry_1/result_1"]
            columns = [result[name][:] for name in ("nPeaks", "peakXPosRaw", "peakYPosRaw")]
            for event, count, x, y in zip(file["entry_1/peaknet/event_id"][:], *columns):
                events.append([int(event), sorted([float(a), float(b)] for a, b in zip(x[:count], y[:count]))])
    print(json.dumps(events))


if __name__ == "__main__":
    main()
