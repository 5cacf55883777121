"""What is known about a frame, as plain values: they stay when the frame goes."""

from __future__ import annotations

import ctypes
import operator
import struct
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

import numpy as np

from ._library import CDescriptor, CGeometry, CInfo

NORMALISED = 1  # Info.flags: the image is the network's input already, not detector counts

_NO_FIDUCIAL = 2**32 - 1
_DTYPES: Dict[int, np.dtype[Any]] = {1: np.dtype(np.uint16), 2: np.dtype(np.int16), 3: np.dtype(np.float32)}
PIXEL_TYPES = {dtype: number for number, dtype in _DTYPES.items()}
# CInfo, which takes what it is given without a look.
_INFO = struct.Struct("=QQdd32s6I4Q")
assert _INFO.size == ctypes.sizeof(CInfo)
_INTEGERS = [("event_id", 64), ("timestamp", 64), ("flags", 32), ("original_height", 32), ("original_width", 32),
             ("pad_top", 32), ("pad_left", 32), ("fiducial", 32), *[("user", 64)] * 4]
_RESULTS = {0: "none", 1: "mask", 2: "error", 3: "skipped"}
_STATES = ("free", "filling", "ready", "inferring", "done", "writing", "quarantined")


@dataclass(frozen=True)
class Geometry:
    """The same for every frame of a pool."""

    slots: int
    shape: Tuple[int, int, int]  # panels, height, width
    dtype: np.dtype
    words_per_row: int  # of a packed mask, 64 pixels a word

    @classmethod
    def _from_c(cls, c: CGeometry) -> Geometry:
        return cls(c.slots, (c.panels, c.height, c.width), _DTYPES[c.pixel_type], c.mask_words_per_row)


@dataclass
class Info:
    """What a producer says about its frame; set what you know before the commit."""

    event_id: int = 0
    timestamp: int = 0  # seconds since 1970 << 32 | nanoseconds; 0: not known
    photon_energy_ev: float = float("nan")  # NaN: not known; never 0
    encoder_value: float = float("nan")  # of the detector's stage, mm; NaN: not known
    fiducial: Optional[int] = None  # of the pulse, below 2**31; None: not known
    source_run: str = ""  # the producer's own name for its run, up to 31 bytes of UTF-8
    flags: int = 0
    original_shape: Tuple[int, int] = (0, 0)  # height, width of the part of a panel that holds data; (0, 0) in put: all of it
    padding: Tuple[int, int] = (0, 0)  # rows above it, columns left of it
    user: Tuple[int, ...] = field(default=(0, 0, 0, 0))  # four numbers of yours

    def set_time_ns(self, since_1970: int) -> None:
        """From time.time_ns()."""
        self.timestamp = since_1970 // 1_000_000_000 << 32 | since_1970 % 1_000_000_000

    @classmethod
    def _from_c(cls, c: CInfo) -> Info:
        return cls(c.event_id, c.timestamp, c.photon_energy_ev, c.encoder_value,
                   None if c.fiducial == _NO_FIDUCIAL else c.fiducial, c.source_run.decode(errors="replace"), c.flags,
                   (c.original_height, c.original_width), (c.pad_top, c.pad_left), tuple(c.user))

    def _into_c(self, c: CInfo) -> None:
        """Raises if a value does not fit its field; what is in `c` then means nothing."""
        source_run = self.source_run.encode()
        if len(source_run) > 31:
            raise ValueError(f"source_run has {len(source_run)} bytes, 31 is the most")
        if len(self.user) != 4:
            raise ValueError(f"user has {len(self.user)} numbers, it must have 4")
        (height, width), (top, left) = self.original_shape, self.padding
        energy, encoder = float(self.photon_energy_ev), float(self.encoder_value)
        fiducial = _NO_FIDUCIAL if self.fiducial is None else self.fiducial
        try:
            _INFO.pack_into(c, 0, self.event_id, self.timestamp, energy, encoder, source_run, self.flags, height, width,
                            top, left, fiducial, *self.user)
        except struct.error:  # which checks each value, and does not name it
            values = (self.event_id, self.timestamp, self.flags, height, width, top, left, fiducial, *self.user)
            for (name, bits), value in zip(_INTEGERS, values):
                if not 0 <= operator.index(value) < 1 << bits:
                    raise ValueError(f"{name} is {value}, it must be 0 to 2**{bits} - 1") from None
            raise


@dataclass(frozen=True)
class Descriptor:
    """What is known about a frame that was committed."""

    info: Info
    run: str  # run id of peaknetd, "" before a device took the frame
    producer: int  # never used twice by one instance
    producer_seq: int  # 0, 1, 2, ... of that producer: (producer, producer_seq) names the frame for ever
    sequence: int  # rises from frame to frame of the instance
    last_writer: int  # results: who had taken the frame before and did not finish it; 0: nobody
    attempts: int  # results: how many consumers died over this frame
    result: str  # "none" (not inferred yet), "mask", "error" (the model failed) or "skipped" (shedding)
    state: str  # taps: where the frame was when it was found
    shape: Tuple[int, int, int]
    dtype: np.dtype
    claim_ns: int  # time.CLOCK_MONOTONIC; 0: has not happened
    commit_ns: int
    take_ns: int
    done_ns: int

    @classmethod
    def _from_c(cls, c: CDescriptor) -> Descriptor:
        return cls(Info._from_c(c.info), c.run.decode(errors="replace"), c.producer, c.producer_seq, c.sequence,
                   c.last_writer, c.attempts, _RESULTS.get(c.result, "unknown"),
                   _STATES[c.state] if c.state < len(_STATES) else "unknown", (c.panels, c.height, c.width),
                   _DTYPES[c.pixel_type], c.claim_ns, c.commit_ns, c.take_ns, c.done_ns)
