"""Consumer: the client for whoever takes results out of the pool, as a writer of files does."""

from __future__ import annotations

import time
from ctypes import byref, c_void_p
from typing import Any, Callable, Dict, Iterator, NoReturn, Optional

import numpy as np

from ._columns import Column, columns_of, get_column
from ._client import Client
from ._facts import Descriptor, Geometry
from ._library import CLOSE, NOTHING, CGeometry, Ended, check, lib, nanoseconds
from ._memory import read_only, unpacked

_OUTCOMES = {"written": 1, "filtered": 2, "failed": 3}


class Consumer(Client):
    """Use `Consumer.attach`. It is one of the writers of the instance: each result goes to one of them."""

    _what = "consumer"
    _on_close: Optional[Callable[[], None]] = None

    @classmethod
    def attach(cls, instance: str, label: str = "python", on_close: Optional[Callable[[], None]] = None) -> Consumer:
        """`on_close` is called inside `take` when peaknetd waits for finished files (peaknetctl stop does): when it
        returns, everything that was finished must be durable. If it raises, peaknetd goes on waiting."""
        handle = c_void_p()
        check(lib.peaknet_consumer_attach(instance.encode(), label.encode(), byref(handle)))
        assert handle.value is not None
        consumer = cls(handle.value, lib.peaknet_consumer_detach)
        consumer._on_close = on_close
        return consumer

    @property
    def geometry(self) -> Geometry:
        c = CGeometry()
        check(lib.peaknet_consumer_geometry(self._require_open(), byref(c)))
        return Geometry._from_c(c)

    @property
    def columns(self) -> Dict[str, Column]:
        return columns_of(lib.peaknet_consumer_column, self._require_open())

    def take(self, timeout: float = 1.0) -> Optional[Result]:
        """The oldest result that nobody has taken, or None if there is none within `timeout` seconds. Raises
        InstanceRemoved, Forked."""
        nanoseconds(timeout)
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            result, handle = Result(self), c_void_p()
            with self._turn:
                try:
                    client, at = self._require_open(), byref(handle)
                    status = lib.peaknet_take_step(client, nanoseconds(max(0.0, left)), at)
                    if status not in (NOTHING, CLOSE):
                        check(status)
                        assert handle.value is not None
                        result._begin(handle.value)
                        return result
                except BaseException:  # Ctrl-C comes between any two lines
                    if result._handle is None:
                        lib.peaknet_give_back(handle)
                    raise
            if status == CLOSE:
                if self._on_close is not None:
                    self._on_close()
                with self._turn:
                    check(lib.peaknet_closed(self._require_open()))
            elif left <= 0:
                return None

    def __iter__(self) -> Iterator[Result]:
        """Results as they come, until the instance is removed (InstanceRemoved) or you stop."""
        while True:
            result = self.take()
            if result is not None:
                yield result


class Result:
    """A frame with its result. End it with `finish` when what you made of it is durable; at the end of a with statement,
    or forgotten, an unfinished one is given back and offered again."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._handle: Optional[int] = None
        self.descriptor: Descriptor

    def _begin(self, handle: int) -> None:
        self.descriptor = Descriptor._from_c(lib.peaknet_result_descriptor(handle).contents)
        self._handle = handle  # last: from here on the result ends what was taken

    @property
    def image(self) -> np.ndarray:
        """Read-only, straight from the slot: copy what must outlive this result."""
        address = lib.peaknet_result_image(self._require_handle())
        return read_only(address, self.descriptor.shape, self.descriptor.dtype)

    @property
    def mask_bits(self) -> Optional[np.ndarray]:
        """(panels, height, words of 64 pixels), bit x % 64 of word x // 64 is pixel x; None if the model failed.
        Read-only, straight from the slot."""
        address = lib.peaknet_result_mask(self._require_handle())
        panels, height, width = self.descriptor.shape
        return read_only(address, (panels, height, (width + 63) // 64), np.dtype("<u8")) if address else None

    @property
    def mask(self) -> Optional[np.ndarray]:
        """bool (panels, height, width), True where a peak is; None if the model failed. A copy of your own."""
        bits = self.mask_bits
        return None if bits is None else unpacked(bits, self.descriptor.shape[2])

    def get(self, name: str) -> Any:
        """What the event has in the column of that name: a number, or an array of your own; None: it does not know it.
        Raises OtherColumn."""
        handle = self._require_handle()
        return get_column(handle, self._consumer.columns.get(name), name)

    def finish(self, outcome: str = "written") -> None:
        """The frame's life is over: "written", "filtered" (not wanted) or "failed" (nothing can be done with it)."""
        if outcome not in _OUTCOMES:
            raise ValueError(f"outcome is {outcome!r}, it must be one of {', '.join(_OUTCOMES)}")
        with self._consumer._turn:
            handle, self._handle = self._require_handle(), None
            check(lib.peaknet_finish(handle, _OUTCOMES[outcome]))

    def give_back(self) -> None:
        """Offer it to the consumers again, at once. Without effect once it has ended."""
        if self._handle is None:
            return
        with self._consumer._turn:
            handle, self._handle = self._handle, None
            lib.peaknet_give_back(handle)

    def _require_handle(self) -> int:
        self._consumer._require_own_process()
        if self._handle is None:
            raise Ended("this result has ended: its slot belongs to somebody else")
        return self._handle

    def __enter__(self) -> Result:
        self._require_handle()
        return self

    def __exit__(self, *_: Any) -> None:
        self.give_back()

    def __del__(self) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            self._consumer._end_later(lib.peaknet_give_back, handle)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a result cannot be sent to another process")
