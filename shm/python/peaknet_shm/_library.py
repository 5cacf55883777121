"""libpeaknet_shm.so as ctypes sees it: the structs and functions of peaknet_shm.h, and its errors as exceptions."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Dict, Tuple, Type

ABI = 2
OK, NOTHING, CLOSE = 0, 1, 2


class PeaknetError(Exception):
    """What failed, what was left untouched and what to do. `id` is stable ("pool.full"), `status` the C number."""

    def __init__(self, text: str, id: str, status: int) -> None:
        super().__init__(text)
        self.id = id
        self.status = status

    def __reduce__(self) -> Tuple[Any, ...]:  # so that it may cross processes
        return type(self), (str(self), self.id, self.status)


class Absent(PeaknetError):
    """There is no such instance: is peaknetd running?"""


class Denied(PeaknetError):
    """This user may not open the shared memory."""


class NoPool(PeaknetError):
    """peaknetd has not made its pool yet: try again."""


class PoolFull(PeaknetError):
    """No free slot in time; the frame is counted as refused."""


class InstanceRemoved(PeaknetError):
    """peaknetd has taken its shared memory away: attach again when it runs."""


class Forked(PeaknetError):
    """This client belongs to the parent of this process: attach again in the child."""


class OtherShape(PeaknetError):
    """The pixels have another shape or type than the frames of the pool; nothing was copied."""


class OtherColumn(PeaknetError):
    """The pool has no such column, or one of another type or length; the column stays as it was."""


class TapOverrun(PeaknetError):
    """Frames pass faster than they can be copied: look again."""


class Ended(ValueError):
    """The frame, result or client was used after its end."""


_CLASSES: Dict[int, Type[PeaknetError]] = {
    20: Absent, 21: Denied, 24: NoPool, 30: PoolFull, 31: InstanceRemoved, 32: Forked, 35: OtherShape,
    36: OtherColumn, 40: TapOverrun,
}


class CGeometry(ctypes.Structure):
    _fields_ = [(name, c_uint32) for name in ("slots", "panels", "height", "width", "pixel_type",
                                                  "mask_words_per_row")] + [
        ("image_bytes", c_uint64),
        ("mask_bytes", c_uint64),
    ]


class CColumn(ctypes.Structure):
    _fields_ = [
        ("name", c_char * 64),
        ("dataset", c_char * 128),
        ("unit", c_char * 32),
        ("type", c_uint32),
        ("length", c_uint32),
        ("unknown", ctypes.c_uint8 * 8),
    ]


class CInfo(ctypes.Structure):
    _fields_ = [
        ("event_id", c_uint64),
        ("timestamp", c_uint64),
        ("photon_energy_ev", c_double),
        ("encoder_value", c_double),
        ("source_run", c_char * 32),
        ("flags", c_uint32),
        ("original_height", c_uint32),
        ("original_width", c_uint32),
        ("pad_top", c_uint32),
        ("pad_left", c_uint32),
        ("fiducial", c_uint32),
        ("user", c_uint64 * 4),
    ]


class CDescriptor(ctypes.Structure):
    _fields_ = [
        ("info", CInfo),
        ("run", c_char * 32),
        ("producer", c_uint64),
        ("producer_seq", c_uint64),
        ("sequence", c_uint64),
        ("last_writer", c_uint64),
        ("attempts", c_uint32),
        ("result", c_uint32),
        ("state", c_uint32),
        ("pixel_type", c_uint32),
        ("panels", c_uint32),
        ("height", c_uint32),
        ("width", c_uint32),
        ("reserved", c_uint32),
        ("claim_ns", c_uint64),
        ("commit_ns", c_uint64),
        ("take_ns", c_uint64),
        ("done_ns", c_uint64),
    ]


# name: (what it returns, what it takes). Handles are addresses.
_FUNCTIONS = {
    "last_error": (c_char_p, []),
    "last_error_id": (c_char_p, []),
    "abi": (c_int32, []),
    "version": (c_char_p, []),
    "producer_attach": (c_int32, [c_char_p, c_char_p, c_int32, POINTER(c_void_p)]),
    "producer_detach": (None, [c_void_p]),
    "producer_geometry": (c_int32, [c_void_p, POINTER(CGeometry)]),
    "producer_number": (c_uint64, [c_void_p]),
    "producer_column": (c_int32, [c_void_p, c_uint32, POINTER(CColumn)]),
    "frame_set": (c_int32, [c_void_p, c_char_p, c_uint32, c_void_p, c_uint32]),
    "consumer_column": (c_int32, [c_void_p, c_uint32, POINTER(CColumn)]),
    "result_get": (c_int32, [c_void_p, c_char_p, c_uint32, c_void_p, c_uint32]),
    "claim": (c_int32, [c_void_p, c_int64, POINTER(c_void_p)]),
    "claim_step": (c_int32, [c_void_p, c_int64, c_int64, POINTER(c_void_p)]),
    "frame_image": (c_void_p, [c_void_p]),
    "copy_image": (c_int32, [c_void_p, c_void_p, c_uint64]),
    "frame_info": (POINTER(CInfo), [c_void_p]),
    "commit": (c_int32, [c_void_p, POINTER(c_uint64)]),
    "abandon": (None, [c_void_p]),
    "info_unknown": (None, [POINTER(CInfo)]),
    "put": (c_int32, [c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_void_p]),
    "put_step": (c_int32, [c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p]),
    "consumer_attach": (c_int32, [c_char_p, c_char_p, POINTER(c_void_p)]),
    "consumer_detach": (None, [c_void_p]),
    "consumer_geometry": (c_int32, [c_void_p, POINTER(CGeometry)]),
    "take": (c_int32, [c_void_p, c_int64, POINTER(c_void_p)]),
    "take_step": (c_int32, [c_void_p, c_int64, POINTER(c_void_p)]),
    "closed": (c_int32, [c_void_p]),
    "result_descriptor": (POINTER(CDescriptor), [c_void_p]),
    "result_image": (c_void_p, [c_void_p]),
    "result_mask": (c_void_p, [c_void_p]),
    "finish": (c_int32, [c_void_p, c_int32]),
    "give_back": (None, [c_void_p]),
    "tap_open": (c_int32, [c_char_p, POINTER(c_void_p)]),
    "tap_close": (None, [c_void_p]),
    "tap_latest": (c_int32, [c_void_p, c_int32]),
    "tap_descriptor": (POINTER(CDescriptor), [c_void_p]),
    "tap_image": (c_void_p, [c_void_p]),
    "tap_mask": (c_void_p, [c_void_p]),
    "tap_geometry": (c_int32, [c_void_p, POINTER(CGeometry)]),
}


def _load() -> ctypes.CDLL:
    """The one that PEAKNET_SHM_LIBRARY names, else the one in the wheel, else the one that the system has."""
    name = "libpeaknet_shm.so.%d" % ABI
    beside = Path(__file__).with_name(name)
    path = os.environ.get("PEAKNET_SHM_LIBRARY") or (str(beside) if beside.exists() else name)
    try:
        library = ctypes.CDLL(path)
    except OSError as failure:
        raise ImportError(
            f"peaknet_shm: {path} does not load: {failure}. Install peaknetd, or the wheel that its target "
            "python_wheel makes, or set PEAKNET_SHM_LIBRARY to the library's path"
        ) from None
    for function, (returns, takes) in _FUNCTIONS.items():
        try:
            entry = getattr(library, "peaknet_" + function)
        except AttributeError:
            raise ImportError(f"peaknet_shm: {path} has no peaknet_{function}: it is older than this package. Install "
                              "both from one version") from None
        entry.restype, entry.argtypes = returns, takes
    if library.peaknet_abi() != ABI:
        raise ImportError(f"peaknet_shm: {path} has ABI {library.peaknet_abi()}, this package needs {ABI}")
    return library


lib = _load()


def library_version() -> str:
    return str(lib.peaknet_version().decode())


def raise_last(status: int) -> None:
    text, id = lib.peaknet_last_error().decode(errors="replace"), lib.peaknet_last_error_id().decode()
    raise _CLASSES.get(status, PeaknetError)(text, id, status)


def check(status: int) -> None:
    if status != OK:
        raise_last(status)


def nanoseconds(timeout: float) -> int:
    if not 0 <= timeout <= 1e9:  # NaN too
        raise ValueError(f"timeout must be 0 to 1e9 seconds, not {timeout}")
    return int(timeout * 1e9)
