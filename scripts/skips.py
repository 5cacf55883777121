#!/usr/bin/env python3
"""Fails if tests were skipped that tests/known_skips.txt does not allow to be.

    scripts/skips.py RESULTS.xml BUILD     what ctest --output-junit wrote, and the build folder that it ran in
    scripts/skips.py                       checks the list alone: each name is that of a test, each WHEN is known
"""
import os
import re
import sys
import xml.etree.ElementTree

import documents

ROOT = documents.ROOT
LIST = os.path.join(ROOT, "tests/known_skips.txt")


def cache_of(build):
    """What the build was configured with."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        return dict(re.findall(r"^(\w+):\w+=(.*)$", file.read(), re.M))


def conditions(cache):
    """Which of the reasons hold for this build on this machine."""
    with_torch = cache.get("PEAKNET_TORCH", "OFF").upper() not in ("OFF", "0", "FALSE", "NO")
    return {"data": not os.path.isdir(cache.get("PEAKNET_SHARED_DATA", "")),
            "gpu": not os.path.exists("/dev/nvidiactl"),
            "sanitizer": bool(cache.get("PEAKNET_SANITIZER")),
            "torch": with_torch,
            "no-torch": not with_torch,
            "packages": not os.path.isdir(os.path.join(ROOT, "build/package")),
            "machine": True}


def known(text):
    """(name, when) of each line."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, when, _why = line.split(None, 2)
            yield name, when


def matches(name, test):
    """`test` is as ctest names it: program.Suite.test, on_gpusim.program.Suite.test, or the name of a command."""
    if "." not in name:
        return test == name
    suite, case = re.sub(r"/[^./]*$", "", test).split(".")[-2:] if "." in test else ("", "")  # Instance/Suite.test/number
    suite_and_test = f"{suite.split('/')[-1]}.{case}"
    return suite_and_test == name or (name.endswith(".*") and suite_and_test.startswith(name[:-1]))


def skipped(results):
    root = xml.etree.ElementTree.parse(results).getroot()
    return sorted(case.get("name") for case in root.iter("testcase") if case.find("skipped") is not None)


def unknown(tests, lines, holds):
    """Tests that were skipped, and no line whose reason holds here allows it."""
    return [test for test in tests if not any(holds[when] and matches(name, test) for name, when in lines)]


def faults_of_list(lines, holds):
    files, tests, suites = documents.test_names()
    for name, when in lines:
        if when not in holds:
            yield f"{name}: '{when}' is no reason"
        if name.endswith(".*"):
            there = name[:-2] in suites
        elif "." in name:
            there = name in tests
        else:
            there = documents.is_test_file(name, files)
        if not there:
            yield f"{name}: there is no such test"


def main(results=None, build=None):
    with open(LIST, encoding="utf-8") as file:
        lines = list(known(file.read()))
    holds = conditions(cache_of(build) if build else {})
    found = [f"tests/known_skips.txt: {fault}" for fault in faults_of_list(lines, holds)]
    if results:
        tests = skipped(results)
        found += [f"{test} was skipped, and tests/known_skips.txt does not know why" for test in unknown(tests, lines, holds)]
        print(f"{len(tests)} tests were skipped")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
