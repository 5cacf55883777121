"""Masters: the files that show all events of a run (docs/writer.md), found by what they say of themselves.

A source that names its own runs (lclstreamer) has a master for each of them, so a run may have several.
Threads: one. Errors: none; a file that cannot be read now is looked at again when it was replaced.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import h5py

_IMAGES = "/entry_1/data_1/data"
_NAMES = "/entry_1/experiment_identifier"
_SETTLED_SECONDS = 2.0  # after that a change has another time of the folder than the one before
_OF_RUN = re.compile(r"run (\S+) producer ")  # the name of an event


@dataclass(frozen=True)
class Master:
    path: Path
    run: str
    events: int
    shape: Tuple[int, ...]  # of an image


class Masters:
    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        self._folder_then: Optional[int] = None
        self._changed = time.monotonic()
        self._seen: Dict[str, Tuple[Tuple[int, int, int], Optional[Master]]] = {}

    def of(self, run: str, started: float) -> List[Master]:
        """`started`: seconds since 1970; older masters are not opened."""
        try:
            now = os.stat(self._folder).st_mtime_ns
            if now != self._folder_then:  # a master that is replaced changes it
                self._folder_then, self._changed = now, time.monotonic()
            if time.monotonic() - self._changed < _SETTLED_SECONDS:
                self._look(started)
        except FileNotFoundError:
            return []  # the writer makes it
        return [master for _, master in self._seen.values() if master is not None and master.run == run]

    def _look(self, started: float) -> None:
        seen = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not (entry.name.startswith(self._prefix + "_run") and entry.name.endswith("_master.cxi")):
                    continue
                try:
                    stat = entry.stat()
                except FileNotFoundError:
                    continue
                if stat.st_mtime < started - 60:  # clocks of a file server may be off
                    continue
                which = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                before = self._seen.get(entry.name)
                seen[entry.name] = before if before is not None and before[0] == which else (which, _read(Path(entry.path)))
        self._seen = seen


def _read(path: Path) -> Optional[Master]:
    try:
        with h5py.File(path, "r") as file:
            name = file[_NAMES][0]
            of_run = _OF_RUN.match(name.decode() if isinstance(name, bytes) else name)
            if of_run is None:
                return None
            return Master(path, of_run[1], int(file.attrs["num_events"]), tuple(file[_IMAGES].shape[1:]))
    except (OSError, KeyError, IndexError, ValueError):
        return None
