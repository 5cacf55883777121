#!/usr/bin/env python3
"""Prints lines and branches that tests reach, by folder and by file, from what llvm-cov exported.

    scripts/coverage_table.py REPORT FOLDER...     REPORT has coverage.json; uncovered.txt is written there
    scripts/coverage_table.py --folders TABLE      of a table that was printed before, the rows of folders alone
"""
import collections
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def ways_of(file):
    """How often each condition turned out true, and false: of all instances of a template together."""
    ways = collections.Counter()
    for line, column, _, _, true, false, *_ in file["branches"]:
        ways[line, column, "true"] += true
        ways[line, column, "false"] += false
    return ways


def count(files, folders, uncovered):
    counts = collections.defaultdict(lambda: [0, 0, 0, 0])
    for file in files:
        name = os.path.relpath(file["filename"], ROOT)
        folder = max((f for f in folders if name.startswith(f + "/")), key=len, default=None)
        if folder is None:
            continue  # llvm-cov takes a folder for a part of a name
        ways, lines = ways_of(file), file["summary"]["lines"]
        for (line, column, way), times in sorted(ways.items()):
            if not times:
                print(f"{name}:{line}:{column}: never {way}", file=uncovered)
        numbers = (lines["count"], lines["covered"], len(ways), sum(times > 0 for times in ways.values()))
        for key in (folder, name):
            counts[key] = [a + b for a, b in zip(counts[key], numbers)]
    return counts


def share(part, whole):
    return f"{100 * part / whole:6.1f} %" if whole else "       –"


def print_table(counts):
    print(f"  {'':<44} {'lines':>14}  {'branches':>15}")
    for key in sorted(counts):
        lines, reached, branches, taken = counts[key]
        print(f"  {key:<44} {lines:>6}{share(reached, lines)}  {branches:>6} {share(taken, branches)}")


def main(report, *folders):
    if report == "--folders":
        with open(folders[0], encoding="utf-8") as table:
            sys.stdout.writelines(row for row in table if not re.match(r"\s+\S+\.\w+\s", row))
        return
    with open(os.path.join(report, "coverage.json"), encoding="utf-8") as file:
        files = json.load(file)["data"][0]["files"]
    with open(os.path.join(report, "uncovered.txt"), "w", encoding="utf-8") as uncovered:
        print_table(count(files, folders, uncovered))


if __name__ == "__main__":
    main(*sys.argv[1:])
