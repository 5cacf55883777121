"""Columns: what is kept of an event beside image, time and energy, as feed.columns of peaknetd's file names it."""

from __future__ import annotations

from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional

import numpy as np

from ._library import NOTHING, CColumn, check, lib

_DTYPES = [np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
                                       "float32", "float64")]


@dataclass(frozen=True)
class Column:
    """The same for every frame of a pool."""

    name: str
    dataset: str  # in files
    unit: str
    dtype: np.dtype
    length: int  # values of an event; 0: a single one
    unknown: Any  # the value that says "not known"

    @property
    def shape(self) -> tuple:
        return (self.length,) if self.length else ()

    @property
    def number(self) -> int:
        return _DTYPES.index(self.dtype) + 1


def columns_of(ask: Callable[[Optional[int], int, Any], int], client: Optional[int]) -> Dict[str, Column]:
    """`ask`: one of the C functions that give a column by its index."""
    columns: Dict[str, Column] = {}
    c = CColumn()
    while (status := ask(client, len(columns), byref(c))) != NOTHING:
        check(status)
        dtype = _DTYPES[c.type - 1]
        unknown = np.frombuffer(bytes(c.unknown)[:dtype.itemsize], dtype)[0]
        name = c.name.decode()
        columns[name] = Column(name, c.dataset.decode(), c.unit.decode(), dtype, c.length, unknown)
    return columns


def set_column(handle: int, column: Optional[Column], name: str, value: Any) -> None:
    """Raises OtherColumn, and ValueError for values that the column's type cannot hold: nothing is rounded in silence
    but floating-point numbers."""
    given = np.atleast_1d(np.asarray(value))
    if column is None:  # the library says which name is near
        check(lib.peaknet_frame_set(handle, name.encode(), 1, given.ctypes.data_as(c_void_p), 0))
        return
    converted = np.ascontiguousarray(given, column.dtype)
    rounded = converted.dtype.kind == "f" and given.dtype.kind == "f"
    if not rounded and not np.array_equal(converted, given):
        raise ValueError(f"column {name}: {value!r} does not fit {column.dtype}")
    at = converted.ctypes.data_as(c_void_p)
    check(lib.peaknet_frame_set(handle, name.encode(), column.number, at, converted.size))


def get_column(handle: int, column: Optional[Column], name: str) -> Any:
    """None: the event does not know it."""
    values = np.empty(column.length or 1 if column else 1, column.dtype if column else np.uint8)
    number, at = column.number if column else 1, values.ctypes.data_as(c_void_p)
    status = lib.peaknet_result_get(handle, name.encode(), number, at, values.size)
    if status == NOTHING:
        return None
    check(status)
    assert column is not None
    return values if column.length else values[0]
