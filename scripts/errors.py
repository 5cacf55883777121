#!/usr/bin/env python3
"""Checks that base/error_ids.inc has every error id that the code says, and that docs/errors.md shows it.

    scripts/errors.py [--write]      --write: writes docs/errors.md

An id is a text "area.cause" in the code of the product that is no key of the configuration, no method of the control
protocol and none of NOT_IDS.
"""
import os
import re
import sys

import tree

ROOT = tree.ROOT
TABLE, DOCUMENT = "base/error_ids.inc", "docs/errors.md"
ROW = re.compile(r'PEAKNET_ERROR\("([^"]+)", (\d+), (\d+),\s+"((?:\\.|[^"\\])*)",\s+"((?:\\.|[^"\\])*)"\)')
LITERAL = re.compile(r'"([a-z][a-z0-9_]*(?:-[a-z0-9]+)*\.[a-z][a-z0-9]*(?:-[a-z0-9]+)*)"')
HEALTH = re.compile(r'\b(?:failing|degraded|counted)\("([a-z-]+)"')  # control/health.cpp puts "health." before these
# Texts that look like ids: fields of files, names of files, and words of other programs.
NOT_IDS = {"area.cause", "pool.no-space",  # examples in comments
           "data.shape", "data_source.shape", "peak_finding.connectivity", "precision.dtype", "ray.namespace",  # upstream's keys
           "peaknet.capability", "peaknet.classes", "peaknet.device", "peaknet.dtype", "peaknet.format", "peaknet.isa",
           "peaknet.rows", "peaknet.shape", "peaknet.torch",  # of a package
           "fabric.state", "memory.max", "pids.max", "seconds.nanoseconds", "x.cxi"}
NOT_ENDINGS = (".pkl", ".hpp", ".so", ".cxi", ".h5", ".json", ".py")
EXIT_CODES = {1: "failed", 2: "usage", 3: "not running", 4: "unknown", 5: "denied", 6: "version"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def table():
    """Rows of the table: id, exit code, C number, meaning, remedy."""
    return [(name, int(code), int(number), *(text.replace('\\"', '"') for text in texts))
            for name, code, number, *texts in ROW.findall(read(TABLE))]


def sources():
    return [name for name in tree.product() if name.endswith((".cpp", ".hpp", ".cu", ".cuh"))]


def other_names():
    keys = re.findall(r"^\| `([a-z_.0-9]+)`", read("docs/configuration.md"), re.M)
    methods = re.findall(r"^\| `([a-z_.]+)` \| (?:yes|no) \|", read("docs/protocol.md"), re.M)
    return NOT_IDS | set(keys) | set(methods)


def ids_in(text):
    """(id, line) of every id that a source says; "[shm.cut]" is said where no memory for an Error may be taken."""
    for pattern, before in ((LITERAL, ""), (HEALTH, "health."), (re.compile(r"\[([a-z]+\.[a-z-]+)\]\\n"), "")):
        for found in pattern.finditer(text):
            yield before + found[1], text.count("\n", 0, found.start()) + 1


def said_ids(known=()):
    """Where each id is said first. A key of the configuration may be an id too (pool.full) if the table has it."""
    others, said = other_names() - set(known), {}
    for path in sources():
        for name, line in ids_in(read(path)):
            if name not in others and not name.endswith(NOT_ENDINGS):
                said.setdefault(name, f"{path}:{line}")
    return said


def numbers():
    """PEAKNET_E_... by number."""
    return {int(number): name for name, number in re.findall(r"(PEAKNET_E_\w+) = (\d+)", read("shm/peaknet_shm.h"))}


def cell(text):
    return text.replace("|", "\\|")


def document(rows):
    c_names = numbers()
    lines = ["# Errors", "",
             "Made from `base/error_ids.inc` by `scripts/errors.py --write`; do not edit it by hand. The id stands in brackets at",
             "the end of each message, in `peaknetctl errors`, in `--json`, in the journal (`PEAKNET_EVENT`) and in the metric",
             "`peaknet_errors_total`. The message itself has the numbers of the case. An id never changes its meaning.", "",
             "*Exit* is the exit code of `peaknetctl`; of the other programs see their manual pages. *C* is the status of the C",
             "library where it is not `PEAKNET_E_OTHER`.", ""]
    area = None
    for name, code, number, meaning, remedy in rows:
        if name.split(".")[0] != area:
            area = name.split(".")[0]
            lines += ["", f"## {area}", "| Id | Meaning | What to try | Exit | C |", "|---|---|---|---|---|"]
        lines.append(f"| `{name}` | {cell(meaning)} | {cell(remedy)} | {code} {EXIT_CODES[code]} |"
                     f" {'`' + c_names.get(number, '?') + '`' if number else ''} |")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def faults(rows, said, shown):
    known = {row[0] for row in rows}
    for name, where in sorted(said.items()):
        if name not in known:
            yield f"{where}: [{name}] has no line in {TABLE}"
    for name in sorted(known - set(said)):
        yield f"{TABLE}: [{name}] is said nowhere"
    for name, code, number, meaning, remedy in rows:
        if code not in EXIT_CODES or (number and number not in numbers()):
            yield f"{TABLE}: [{name}] has an exit code or C number that does not exist"
        if not meaning or not remedy:
            yield f"{TABLE}: [{name}] has no meaning or no remedy"
    if shown != document(rows):
        yield f"{DOCUMENT} is not made from {TABLE}: scripts/errors.py --write"


def main():
    rows = table()
    if sys.argv[1:] == ["--write"]:
        with open(os.path.join(ROOT, DOCUMENT), "w", encoding="utf-8") as file:
            file.write(document(rows))
    elif sys.argv[1:]:
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    found = list(faults(rows, said_ids(row[0] for row in rows), read(DOCUMENT)))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
