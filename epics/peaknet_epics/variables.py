"""Variable: a process variable that is posted when it changes, with the alarm and the time that belong to its value.

Threads: any.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Dict, Optional

from p4p.nt import NTScalar
from p4p.server.thread import SharedPV

NO_ALARM, MINOR, MAJOR, INVALID = 0, 1, 2, 3
_UNKNOWN = {"d": math.nan, "s": "", "l": 0, "?": False}


@dataclass(frozen=True)
class Reading:
    """What a variable shall show; no value: the one that it has."""

    value: Any = None
    severity: int = NO_ALARM
    message: str = ""


def unknown(why: str) -> Reading:
    """The value that it had stays."""
    return Reading(None, INVALID, why)


@dataclass(frozen=True)
class Spec:
    kind: str  # of p4p: d, l, s, ?
    meaning: str
    units: str = ""
    settable: bool = False
    command: bool = False


# Names are those of FastCS' odin and of areaDetector where these have one.
SPECS: Dict[str, Spec] = {
    "State": Spec("s", "of peaknetd: starting, idle, running, draining, failed, absent"),
    "Health": Spec("s", "healthy, degraded (MINOR) or failing (MAJOR)"),
    "HealthReason": Spec("s", "why, and what to do"),
    "Error": Spec("s", "the last start or stop that failed, else why peaknetd failed; empty: neither"),
    "StartWriting": Spec("?", "begin a run; done when it has begun", command=True),
    "StopWriting": Spec("?", "end the run; done when all its events are in finished files", command=True),
    "Writing": Spec("?", "a run is on, or being ended"),
    "FilePath": Spec("s", "folder of the files; a put of another one is refused", settable=True),
    "FilePrefix": Spec("s", "first part of the files' names; a put of another one is refused", settable=True),
    "AcquisitionId": Spec("s", "id of the run; put: of the next one, empty: of its own", settable=True),
    "RunNumber": Spec("l", "of the run; put: of the next one, below 0: not said", settable=True),
    "Proposal": Spec("s", "of the run; put: of the next one", settable=True),
    "User": Spec("s", "line of text of the run; put: of the next one", settable=True),
    "FramesWritten": Spec("l", "hits of the run that are on the disk"),
    "FramesInFiles": Spec("l", "of those, in MasterFile"),
    "FramesCommitted": Spec("l", "frames of the run that came"),
    "FramesFiltered": Spec("l", "frames of the run that are no hits"),
    "FramesDropped": Spec("l", "frames of the run that were dropped"),
    "FramesFailed": Spec("l", "frames of the run that failed"),
    "FramesInFlight": Spec("l", "frames on their way"),
    "HitRate": Spec("d", "hits among the frames of the run that were looked at"),
    "CommittedRate": Spec("d", "frames that came, in the last second", "1/s"),
    "InferredRate": Spec("d", "frames from the devices, in the last second", "1/s"),
    "WrittenRate": Spec("d", "hits to files, in the last second", "1/s"),
    "FilteredRate": Spec("d", "frames that are no hits, in the last second", "1/s"),
    "MasterFile": Spec("s", "one file of all events of the run, while it goes on too"),
    "DataDims0": Spec("l", "height of an image in files", "pixels"),
    "DataDims1": Spec("l", "width of an image in files", "pixels"),
    "DataDatatype": Spec("s", "type of its pixels"),
    "DataCompression": Spec("s", "none or bitshuffle-lz4"),
}


class Variable:
    def __init__(self, spec: Spec, handler: Any = None) -> None:
        self.spec = spec
        self._lock = threading.Lock()
        self._shown: Optional[Reading] = None
        self._value = _UNKNOWN[spec.kind]
        self._nt = NTScalar(spec.kind, display=True)
        self.pv = SharedPV(nt=self._nt, initial=self._value, handler=handler) if handler else SharedPV(nt=self._nt, initial=self._value)
        self.show(Reading(False) if spec.command else unknown("peaknetd was not looked at yet"))

    def shown(self) -> Reading:
        with self._lock:
            assert self._shown is not None
            return self._shown

    def show(self, reading: Reading) -> None:
        with self._lock:
            value = self._value if reading.value is None else reading.value
            new = Reading(value, reading.severity, reading.message)
            if new == self._shown or (new.value != new.value and self._shown is not None and repr(new) == repr(self._shown)):
                return  # the time of the first stays, which says since when
            self._value, self._shown = value, new
            fields: Dict[str, Any] = {"value": value, "display.description": self.spec.meaning, "display.units": self.spec.units}
            self.pv.post(fields, severity=new.severity, message=new.message, timestamp=time.time())
