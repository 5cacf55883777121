"""The board of a run, as bench/shm/board.hpp describes it: who is there, go and stop, frames and latencies."""
import mmap
import os
import tempfile
import time
from typing import List

MOST = 16
SAMPLES = 1 << 16
GO, STOP = 0, 8
PRODUCER_PIDS, CONSUMER_PIDS, HELPER_PIDS = 16, 32, 48  # the helpers have the words up to SENT
SENT, RECEIVED = 80, 208
LANE = 8 + SAMPLES
WORDS = RECEIVED + MOST * LANE


class Board:
    """Opened by every process of the run; made, and removed, by the one that times it."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), WORDS * 8)).cast("q")

    @classmethod
    def make(cls) -> "Board":
        file, path = tempfile.mkstemp(prefix="peaknet-board-", dir="/dev/shm")
        os.truncate(file, WORDS * 8)
        os.close(file)
        return cls(path)

    def remove(self) -> None:
        os.unlink(self.path)

    def stopped(self) -> bool:
        return self.words[STOP] != 0

    def stop(self) -> None:
        self.words[STOP] = 1

    def wait_for_go(self, who: int) -> None:
        """Says that this process is ready (`who`: PRODUCER_PIDS + its index, ...), and returns when the run begins."""
        self.words[who] = os.getpid()
        while self.words[GO] == 0 and not self.stopped():
            time.sleep(0.001)  # before the run is timed

    def received(self, consumer: int, latency_ns: int) -> None:
        lane = RECEIVED + consumer * LANE
        n = self.words[lane]
        self.words[lane + 8 + n % SAMPLES] = latency_ns
        self.words[lane] = n + 1

    # For the one that times the run.

    def pids(self, first: int, count: int) -> List[int]:
        return [pid for pid in self.words[first : first + count].tolist() if pid]

    def all_pids(self) -> List[int]:
        return self.pids(PRODUCER_PIDS, SENT - PRODUCER_PIDS)

    def frames_sent(self) -> List[int]:
        return self.words[SENT:RECEIVED:8].tolist()[:MOST]

    def frames_received(self) -> List[int]:
        return [self.words[RECEIVED + i * LANE] for i in range(MOST)]

    def latencies_us(self, since: List[int]) -> List[float]:
        """Of all frames that came after the counts in `since`, or the last SAMPLES of each consumer; sorted."""
        found: List[int] = []
        for consumer, last in enumerate(self.frames_received()):
            lane = RECEIVED + consumer * LANE + 8
            found += [self.words[lane + n % SAMPLES] for n in range(max(since[consumer], last - SAMPLES), last)]
        return sorted(ns * 1e-3 for ns in found)
