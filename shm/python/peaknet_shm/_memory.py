"""NumPy arrays over memory that is ours for a while only.

A frame's slot is somebody else's the moment it is committed, and NumPy arrays live as long as somebody has them. So:
- `SlotArray` is what a producer writes through. It remembers every view that is made of it (slices, transposes,
  reshapes), and `retire` turns all of them read-only: a write after the end raises. Results of arithmetic are ordinary
  arrays. What gets away: arrays of other kinds made without a copy (np.asarray, memoryview, torch.from_numpy), and
  reading: an old view shows what the slot holds by then.
- `read_only` views cannot be made writeable at all. They too show what the slot holds later: copy what must stay.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from ctypes import byref, c_char
from functools import lru_cache
from typing import Any, Dict, Tuple

import numpy as np

from ._library import lib

_copy_image, _from_buffer = lib.peaknet_copy_image, c_char.from_buffer
_WORTH_IT = 256 << 10  # bytes; up to here it is one memcpy, as NumPy's own (shm/copy_image.hpp)


@lru_cache(maxsize=4096)  # the slots of a pool are few, and each is used again and again
def _bytes_at(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_uint8 * size).from_address(address)).cast("B")


def address_of(array: np.ndarray) -> Any:
    """Of its first byte, for a C function, while this array lives. None: its bytes do not lie one after the other."""
    try:
        return byref(_from_buffer(array))  # a third of what array.ctypes costs
    except (TypeError, ValueError):  # it is read-only, or empty, or has gaps
        return array.ctypes.data if array.flags.c_contiguous else None


class SlotArray(np.ndarray):
    _family: Dict[int, weakref.ref[SlotArray]]  # by id, all arrays that were made of the first one, without itself
    _address = 0  # of the first one, where a whole image is copied faster than NumPy does

    @classmethod
    def over(cls, address: int, shape: Tuple[int, ...], dtype: np.dtype) -> SlotArray:
        size = math.prod(shape) * dtype.itemsize
        array = np.ndarray.__new__(cls, shape, dtype, buffer=_bytes_at(address, size))
        array._family = {}
        if size > _WORTH_IT:
            array._address = address
        return array

    def __setitem__(self, key: Any, value: Any) -> None:
        if (key is Ellipsis and self._address and type(value) is np.ndarray and value.shape == self.shape
                and value.dtype == self.dtype and self.flags.writeable and (at := address_of(value)) is not None):
            _copy_image(self._address, at, value.nbytes)
        else:
            super().__setitem__(key, value)

    def _join(self, family: Dict[int, weakref.ref[SlotArray]]) -> None:
        key = id(self)
        self._family = family
        family[key] = weakref.ref(self, lambda _: family.pop(key, None))

    def __array_finalize__(self, parent: Any) -> None:
        family = getattr(parent, "_family", None)
        if family is not None:
            self._join(family)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if array is self:  # in-place arithmetic
            return self
        plain = array.view(np.ndarray)
        return plain[()] if plain.ndim == 0 else plain

    def retire(self) -> None:
        self.flags.writeable = False
        if not self._family:
            return
        first = self.__array_interface__["data"][0]
        for known in list(self._family.values()):
            array = known()
            # A copy, and views of a copy, are not in the slot.
            if array is not None and first <= array.__array_interface__["data"][0] < first + self.nbytes:
                array.flags.writeable = False


def read_only(address: int, shape: Tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    return np.frombuffer(_bytes_at(address, size).toreadonly(), dtype).reshape(shape)


def unpacked(bits: np.ndarray, width: int) -> np.ndarray:
    """From a packed mask (..., words) of 64 pixels a word, the lowest bit first, to bool (..., width); a copy."""
    octets = bits.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :width].view(bool)
