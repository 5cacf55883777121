"""Images: the newest hit as an NTNDArray, from the instance's tap.

A hit here is a frame whose mask has as many groups of pixels (8-connected, panel by panel) as peaks.min_num_peak asks for:
the writer's rule. It sees every result that the tap shows, about ten a second, and posts one of them a second at most.
Threads: one of its own. Errors: where the instance cannot be looked at the variable is INVALID, and it is tried again.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Optional

import numpy as np
from p4p import Value
from p4p.nt import NTNDArray
from p4p.server.thread import SharedPV
from scipy import ndimage

from .variables import INVALID, NO_ALARM

_LOOK_SECONDS = 0.1  # a tap has no event to wait for
_AGAIN_SECONDS = 1.0
_TOUCHING = np.ones((3, 3), dtype=int)


def peaks_in(mask: np.ndarray) -> int:
    return sum(int(ndimage.label(panel, structure=_TOUCHING)[1]) for panel in mask)


class Images:
    def __init__(self, every: float) -> None:
        self._every = every
        self._nt = NTNDArray()
        self.pv = SharedPV(initial=self._nt.wrap(np.zeros((1, 1), np.uint16)))
        self._lock = threading.Lock()  # of what the variable shows
        self._why: Optional[str] = None
        self._instance: Optional[str] = None
        self._least_peaks = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="images")
        self.unknown("no hit was seen yet")

    def look_at(self, instance: str, least_peaks: int) -> None:
        self._least_peaks, self._instance = least_peaks, instance

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def unknown(self, why: str) -> None:
        """Until the next hit; the pixels stay. From any thread."""
        with self._lock:
            if why == self._why:
                return
            self._why = why
            self._post_with(Value(self._nt.type, {}), INVALID, why)

    def _follow(self) -> None:
        try:
            import peaknet_shm
        except (ImportError, OSError) as error:
            self.unknown(f"the Python package peaknet_shm cannot be loaded: {error}")
            return
        while not self._end.is_set():
            instance = self._instance
            if instance is not None:
                try:
                    with peaknet_shm.Tap.open(instance) as tap:
                        self._follow_tap(tap, instance)
                except peaknet_shm.PeaknetError as error:
                    self.unknown(str(error))
                except Exception as error:  # a fault of ours: the image must not look alive
                    self.unknown(f"peaknet-epics failed: {error!r}")
            self._end.wait(_AGAIN_SECONDS)

    def _follow_tap(self, tap: Any, instance: str) -> None:
        import peaknet_shm

        while not self._end.is_set() and self._instance == instance:
            try:
                snapshot = tap.latest(result=True)
            except peaknet_shm.TapOverrun:
                snapshot = None
            if snapshot is None or snapshot.mask_bits is None:
                self._end.wait(_LOOK_SECONDS)
                continue
            peaks = peaks_in(snapshot.mask)
            if peaks >= self._least_peaks:
                self._post(snapshot, peaks)
            self._end.wait(self._every if peaks >= self._least_peaks else _LOOK_SECONDS)

    def _post(self, snapshot: Any, peaks: int) -> None:
        frame = snapshot.descriptor
        panels, height, width = snapshot.image.shape
        image = snapshot.image.reshape(panels * height, width).view(NTNDArray.ntndarray)
        image.attrib = {"run": frame.run, "producer": frame.producer, "number": frame.producer_seq, "event_id": frame.info.event_id, "peaks": peaks}
        value = self._nt.wrap(image)
        value.uniqueId = frame.sequence & 0x7FFFFFFF
        seconds, nanoseconds = frame.info.timestamp >> 32, frame.info.timestamp & 0xFFFFFFFF
        if seconds:  # else the time of the event is not known
            value.dataTimeStamp = {"secondsPastEpoch": seconds, "nanoseconds": nanoseconds}
        with self._lock:
            self._why = None
            self._post_with(value, NO_ALARM, "")

    def _post_with(self, value: Value, severity: int, message: str) -> None:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        value.alarm = {"severity": severity, "message": message}
        value.timeStamp = {"secondsPastEpoch": seconds, "nanoseconds": nanoseconds}
        self.pv.post(value)
