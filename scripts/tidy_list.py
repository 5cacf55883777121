#!/usr/bin/env python3
"""Finds which files clang-tidy has to look at (again).

    scripts/tidy_list.py BUILD FILE...

Prints "stamp<TAB>file" for each of FILE that is compiled in the folder BUILD, includes no torch, is no test and has no
stamp yet. A stamp is build/lint/<hash of all that the outcome depends on>. Writes build/lint/compile_commands.json:
that of BUILD without what gcc alone understands.
"""
import functools
import hashlib
import json
import os
import subprocess
import sys

ROOT = os.getcwd()
GCC_ONLY = ("-ftrivial-auto-var-init=zero", "-Wtrampolines", "-Wbidi-chars=any", "-Wno-error=tsan",
            "-Wno-maybe-uninitialized", "-Werror", "-fstack-clash-protection")


@functools.cache
def digest(path):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return "gone"


def includes_of(build):
    """Our own headers that each object was compiled with, as ninja knows them."""
    includes, target = {}, None
    shown = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=False).stdout
    for line in shown.splitlines():
        if line and not line[0].isspace():
            target = line.split(":")[0]
            includes[target] = []
        elif line.strip():
            path = os.path.normpath(os.path.join(build, line.strip()))
            if path.startswith(ROOT):
                includes[target].append(path)
    return includes


def is_wanted(entry, wanted):
    name = os.path.relpath(entry["file"], ROOT)
    return (name in wanted and name.endswith(".cpp") and not name.startswith("tests/")
            and "/torch/csrc/api/include" not in entry["command"])


def stamp_of(entry, includes):
    parts = [entry["command"], digest(".clang-tidy"), digest(entry["file"])]
    parts += [digest(path) for path in sorted(includes.get(entry.get("output", ""), []))]
    return "build/lint/" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def main(build, *files):
    includes = includes_of(build)
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        kept = [entry for entry in json.load(file) if is_wanted(entry, set(files))]
    os.makedirs("build/lint", exist_ok=True)
    for entry in kept:
        entry["command"] = " ".join(word for word in entry["command"].split(" ") if word not in GCC_ONLY)
        stamp = stamp_of(entry, includes)
        if not os.path.exists(stamp):
            print(stamp, os.path.relpath(entry["file"], ROOT), sep="\t")
    with open("build/lint/compile_commands.json", "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
