"""Tap: a look at the newest frame, without owning it and without disturbing anybody."""

from __future__ import annotations

from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ._client import Client
from ._facts import Descriptor
from ._library import NOTHING, check, lib
from ._memory import read_only, unpacked


@dataclass(frozen=True)
class Snapshot:
    """A whole frame, copied: yours for as long as you like."""

    descriptor: Descriptor
    image: np.ndarray  # (panels, height, width)
    mask_bits: Optional[np.ndarray]  # (panels, height, words of 64 pixels); None if there is no result yet

    @property
    def mask(self) -> Optional[np.ndarray]:
        """bool (panels, height, width), True where a peak is; None if there is no result yet."""
        return None if self.mask_bits is None else unpacked(self.mask_bits, self.image.shape[2])


class Tap(Client):
    """Use `Tap.open`. It needs the right to read the shared memory and nothing more."""

    _what = "tap"

    @classmethod
    def open(cls, instance: str) -> Tap:
        handle = c_void_p()
        check(lib.peaknet_tap_open(instance.encode(), byref(handle)))
        assert handle.value is not None
        return cls(handle.value, lib.peaknet_tap_close)

    def latest(self, result: bool = False) -> Optional[Snapshot]:
        """The newest frame that was committed (`result`: that has a mask), or None if it is not newer than what this
        tap returned last. Never waits: look as often as you like to see something new. Raises InstanceRemoved,
        TapOverrun."""
        with self._turn:
            handle = self._require_open()
            status = lib.peaknet_tap_latest(handle, int(result))
            if status == NOTHING:
                return None
            check(status)
            descriptor = Descriptor._from_c(lib.peaknet_tap_descriptor(handle).contents)
            panels, height, width = descriptor.shape
            image = read_only(lib.peaknet_tap_image(handle), descriptor.shape, descriptor.dtype).copy()
            address = lib.peaknet_tap_mask(handle)
            words = (panels, height, (width + 63) // 64)
            return Snapshot(descriptor, image, read_only(address, words, np.dtype("<u8")).copy() if address else None)
