"""Board: what the variables show, and what puts said of the next run.

The numbers of a run are believed only from the second look at it on: peaknetd sets counters back before it shows a new run,
and one document may have been read across that moment. So `is_new` is asked first, and FramesWritten is 0 before Writing is
true. While a start is under way the numbers of the run before are not shown again.

Threads: any, under one lock; nothing is asked of anybody while it is held. Errors: none.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from . import readings
from .ctl import Document
from .images import Images
from .variables import MAJOR, SPECS, Reading, Spec, Variable, unknown

_JUDGED = ("State", "Health", "HealthReason")  # what can be said of a peaknetd that is dead
_OWN = ("Error", "StartWriting", "StopWriting")
_OF_NEW_RUN = ("Writing", "FramesWritten", "FramesInFiles")


class Board:
    def __init__(self, images: Images, handler: Callable[[str, Spec], Any]) -> None:
        self._images = images
        self._lock = threading.Lock()
        self.variables = {name: Variable(spec, handler(name, spec)) for name, spec in SPECS.items()}
        self._run: Optional[Tuple[int, Optional[str]]] = None  # that is shown
        self._wanted: Dict[str, Any] = {}
        self._starting = False
        self._before: Dict[str, Reading] = {}  # a start
        self._failed_order = ""
        self.variables["Error"].show(Reading(""))

    def _show(self, readings_of: Mapping[str, Reading]) -> None:
        for name, reading in readings_of.items():
            self.variables[name].show(reading)

    # --- looks ---

    def is_new(self, status: Document) -> bool:
        """Of a run that is not shown yet: it is begun, and the document is not to be taken."""
        run = (status["run"]["ordinal"], status["run"].get("started"))  # ordinals begin anew where the memory was removed
        if status["daemon"]["alive"] is False or run == self._run:
            return False
        with self._lock:
            first = self._run is None  # whether it has just begun is not known then
            self._run = run
            self._starting = False
            if first:
                return True
            self._show({"Writing": Reading(False), "FramesWritten": Reading(0), "FramesInFiles": Reading(0), "MasterFile": readings.NO_MASTER})
        return True

    def take(self, status: Document, more: Mapping[str, Reading]) -> None:
        """`more`: what is known beside the document."""
        with self._lock:
            text = self._failed_order or status.get("failure", "")
            self._show({**readings.of_daemon(status), "Error": Reading(text, MAJOR if text else 0, text)})
            if status["daemon"]["alive"] is False:
                self._forget("no peaknetd is running")
                return
            shown = {**readings.of_run(status), **readings.of_said(status), **more}
            if self._starting:
                for name in _OF_NEW_RUN:
                    shown.pop(name, None)
            shown.update({name: Reading(value, 0, "for the next run") for name, value in self._wanted.items()})
            writing = {"Writing": shown.pop("Writing")} if "Writing" in shown else {}
            self._show(shown)
            self._show(writing)  # last: who waits for it finds the rest in place

    def absent(self, why: str) -> None:
        with self._lock:
            self._show({"State": Reading("absent", MAJOR, why), "Health": Reading("failing", MAJOR, why), "HealthReason": Reading(why, MAJOR)})
            self._forget(why)

    def unknown(self, why: str) -> None:
        with self._lock:
            self._show(dict.fromkeys(_JUDGED, unknown(why)))
            self._forget(why)

    def _forget(self, why: str) -> None:
        self._show({name: unknown(why) for name in self.variables if name not in _JUDGED + _OWN})
        self._images.unknown(why)

    # --- puts and orders ---

    def want(self, name: str, value: Any) -> None:
        """Of the next run; None: nothing."""
        with self._lock:
            if value is None:
                self._wanted.pop(name, None)
                self.variables[name].show(unknown(readings.NOT_SAID))
            else:
                self._wanted[name] = value
                self.variables[name].show(Reading(value, 0, "for the next run"))

    def begin_start(self) -> Dict[str, Any]:
        """What is wanted of the run."""
        with self._lock:
            self._before = {name: self.variables[name].shown() for name in _OF_NEW_RUN}
            self._starting = True
            self._show({"FramesWritten": Reading(0), "FramesInFiles": Reading(0)})
            return dict(self._wanted)

    def end_start(self, wanted: Dict[str, Any], begun: bool) -> None:
        with self._lock:
            if begun:  # what was put meanwhile is for the one after it
                self._wanted = {name: value for name, value in self._wanted.items() if wanted.get(name) != value}
            elif self._starting:
                self._show(self._before)
            self._starting = False

    def order_ended(self, failed: str) -> None:
        with self._lock:
            self._failed_order = failed
            self.variables["Error"].show(Reading(failed, MAJOR if failed else 0, failed))
