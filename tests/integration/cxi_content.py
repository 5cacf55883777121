#!/usr/bin/python3
"""Prints what CXI files hold, event by event, so that two sets of files can be compared as text.

    cxi_content.py FILE...

Left out is what says when, where and by whom a file was made, and what differs with how events fall into files: names, runs, books,
and the number of columns of the peak tables. One line an event and dataset, in the order of the producer's frames; values as they are
stored, images as their checksum.
"""
import hashlib
import sys

import h5py
import numpy

# Of the run and the file, not of the event.
LEFT_OUT = ("/entry_1/experiment_identifier", "/entry_1/data_1/experiment_identifier", "/entry_1/data_1/mask", "/entry_1/peaknet/run",
            "/entry_1/peaknet/producer")


def events_of(path):
    with h5py.File(path, "r") as file:
        count = int(file.attrs["num_events"])
        counts = file["/entry_1/result_1/nPeaks"][...]
        keys = list(zip(file["/entry_1/peaknet/producer"][...], file["/entry_1/peaknet/producer_seq"][...]))
        tables = {}

        def visit(name, item):
            name = "/" + name
            if isinstance(item, h5py.Dataset) and item.shape and item.shape[0] == count and name not in LEFT_OUT:
                tables[name] = item[...]

        file.visititems(visit)
        for i, key in enumerate(keys):
            for name, table in sorted(tables.items()):
                row = table[i]
                if name.startswith("/entry_1/result_1/") and numpy.ndim(row) == 1:
                    row = row[: counts[i]]
                row = numpy.ascontiguousarray(row)
                text = hashlib.sha256(row.tobytes()).hexdigest() if row.size > 4096 else " ".join(map(str, row.ravel().tolist()))
                yield (int(key[0]), int(key[1]), name), f"{row.dtype} {row.shape} {text}"


def main(paths):
    found = {}
    for path in paths:
        for key, text in events_of(path):
            if key in found:
                sys.exit(f"{key} is in two files")
            found[key] = text
    first = min((producer for producer, _, _ in found), default=0)
    for (producer, seq, name), text in sorted(found.items()):
        print(producer - first, seq, name, text)


if __name__ == "__main__":
    main(sys.argv[1:])
