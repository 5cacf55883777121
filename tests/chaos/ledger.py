"""What producers say they did, kept outside the system under test: a file each, written before and after every commit.

A record is eight bytes, the event id with a mark in its highest bits. A process that is killed between commit and record leaves an
intention without an end: that one frame may or may not exist."""
import os
import struct
from pathlib import Path
from typing import Set, Tuple

INTENDED, COMMITTED, REFUSED = 0, 1, 2
_MARK = 60


class Ledger:
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, event_id: int, what: int) -> None:
        os.write(self._file, struct.pack("<Q", event_id | what << _MARK))


def read(folder: Path) -> Tuple[Set[int], Set[int]]:
    """Event ids that were committed, and those that may have been."""
    ids = {INTENDED: set(), COMMITTED: set(), REFUSED: set()}
    for path in folder.glob("*.ledger"):
        data = path.read_bytes()
        for (record,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8]):
            ids[record >> _MARK].add(record & (1 << _MARK) - 1)
    return ids[COMMITTED], ids[INTENDED] - ids[COMMITTED] - ids[REFUSED]
