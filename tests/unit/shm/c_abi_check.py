"""Has the C ABI changed? Compares the library's exported symbols, its soname, and the sizes, offsets and numbers of the
header (as the C program c_abi prints them) with those that are written down in c_abi.txt.

    c_abi_check.py NM READELF LIBRARY C_ABI_COMMAND... [--record]
"""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

RECORDED = Path(__file__).with_name("c_abi.txt")


def output_of(*command):
    # in English, as it is read here
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def main():
    record = sys.argv[-1] == "--record"
    nm, readelf, library, *program = sys.argv[1:-1] if record else sys.argv[1:]
    soname = re.search(r"soname: \[(.*)\]", output_of(readelf, "-d", library)).group(1)
    symbols = sorted(line.split()[-1] for line in output_of(nm, "-D", "--defined-only", library).splitlines())
    header = set(re.findall(r"\b(peaknet_\w+)\(", Path(__file__).resolve().parents[3].joinpath("shm/peaknet_shm.h").read_text()))
    now = [f"soname {soname}", *(f"symbol {name}" for name in symbols), *output_of(*program).splitlines()]
    if record:
        RECORDED.write_text("\n".join(now) + "\n")
        print(f"{RECORDED}: {len(now)} lines recorded")
        return 0
    if header != set(symbols):
        print(f"peaknet_shm.h and {library} differ in {sorted(header ^ set(symbols))}: export what is declared and no more")
        return 1
    difference = list(difflib.unified_diff(RECORDED.read_text().splitlines(), now, "recorded", "this build", n=0, lineterm=""))
    if not difference:
        print(f"the C ABI is as recorded: {len(symbols)} symbols, {len(now)} lines")
        return 0
    print("\n".join(difference))
    command = " ".join(["python3", *sys.argv, "--record"])
    print(f"""
The C ABI has changed. A new function or a new number is harmless: record it. If a symbol went, or a size, an offset or a
number is another one, programs that were compiled before break without a word: take the change back, or raise PEAKNET_ABI
(peaknet_shm.h) and ABI (shm/python/peaknet_shm/_library.py) by one. Then record it:
  {command}""")
    return 1


sys.exit(main())
