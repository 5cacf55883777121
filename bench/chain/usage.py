"""Processor time and memory of all processes of one chain, whoever started them: they inherit a word in their environment."""
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

WORD = "PEAKNET_BENCH_CHAIN"


@dataclass
class Usage:
    at: float  # seconds, monotonic
    cpu_ns: Dict[int, int]  # of each process

    def cpu_s_since(self, before: "Usage") -> float:
        """Of processes that still live; one that began in between counts from its beginning."""
        return sum(ns - before.cpu_ns.get(pid, 0) for pid, ns in self.cpu_ns.items()) * 1e-9

    def cores_since(self, before: "Usage") -> float:
        return self.cpu_s_since(before) / (self.at - before.at)


def processes(word: str) -> List[int]:
    wanted = f"{WORD}={word}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue  # has ended, or is another user's
    return found


def usage(word: str) -> Usage:
    cpu = {}
    for pid in processes(word):
        try:
            cpu[pid] = time.clock_gettime_ns((~pid << 3) | 2)  # see clock_getcpuclockid
        except OSError:
            continue
    return Usage(time.monotonic(), cpu)


def memory_mib(word: str) -> float:
    """What all of them hold together; pages that they share count once (proportional set size)."""
    kib = 0
    for pid in processes(word):
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
        except OSError:
            continue
    return kib / 1024


def quantile(ordered: List[float], q: float) -> float:
    return ordered[int(q * (len(ordered) - 1))] if ordered else float("nan")


def here(word: str) -> Dict[str, str]:
    return {**os.environ, WORD: word}
