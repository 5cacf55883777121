#!/usr/bin/env python3
"""Unpacks from wheels of LibTorch and of CUDA what a C++ program needs: headers, shared libraries, licences.

    scripts/unpack_wheels.py WHEELS TARGET     each .whl file in folder WHEELS, into folder TARGET

Left out: Python modules, static libraries, bindings.
"""
import pathlib
import re
import sys
import zipfile


def is_wanted(name):
    if "dist-info" in name:
        return "licen" in name.lower() or "notice" in name.lower()
    if name.endswith(".a") or "libtorch_python" in name or "libshm" in name:
        return False
    return re.match("torch/(include|lib)/|nvidia/[^/]+/lib/", name) is not None


def main(wheels, target):
    for wheel in sorted(pathlib.Path(wheels).glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, [name for name in archive.namelist() if is_wanted(name)])


if __name__ == "__main__":
    main(*sys.argv[1:])
