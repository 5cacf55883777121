"""Producer: the client for everything that fills the pool."""

from __future__ import annotations

import time
from ctypes import byref, c_uint64, c_void_p
from typing import Any, Callable, Dict, NoReturn, Optional

import numpy as np

from ._columns import Column, columns_of, set_column
from ._client import Client
from ._facts import PIXEL_TYPES, Geometry, Info
from ._library import NOTHING, CGeometry, CInfo, Ended, check, lib, nanoseconds, raise_last
from ._memory import SlotArray, address_of

_put, _ndarray = lib.peaknet_put_step, np.ndarray
_POLICIES = {"pool": -1, "block": 0, "drop_newest": 1, "drop_oldest": 2}


class Producer(Client):
    """Use `Producer.attach`."""

    _what = "producer"

    def __init__(self, handle: int, close: Callable[[int], None]) -> None:
        super().__init__(handle, close)
        self._c_geometry, self._known_geometry = CGeometry(), b""
        self._at_c_geometry = byref(self._c_geometry)
        self._geometry: Geometry
        self._put_shape: Any = None  # of the pixels that were put last, and the same for the C function
        self._put_dtype: Any = None
        self._at_put_geometry: Any = None
        self._put_timeout, self._put_timeout_ns = 0.0, 0
        self._number = c_uint64()
        self._at_number = byref(self._number)

    @classmethod
    def attach(cls, instance: str, label: str = "python", full: str = "pool") -> Producer:
        """`label` is what people see in peaknetctl stats. `full`: what a claim does when no slot is free: "block"
        (wait), "drop_newest" (refuse at once), "drop_oldest", or what the "pool" was configured for."""
        if full not in _POLICIES:
            raise ValueError(f"full is {full!r}, it must be one of {', '.join(_POLICIES)}")
        handle = c_void_p()
        check(lib.peaknet_producer_attach(instance.encode(), label.encode(), _POLICIES[full], byref(handle)))
        assert handle.value is not None
        return cls(handle.value, lib.peaknet_producer_detach)

    @property
    def geometry(self) -> Geometry:
        """Of the pool as of the last claim."""
        c = CGeometry()
        check(lib.peaknet_producer_geometry(self._require_open(), byref(c)))
        return Geometry._from_c(c)

    @property
    def columns(self) -> Dict[str, Column]:
        """Of the pool as of the last claim, by name."""
        return columns_of(lib.peaknet_producer_column, self._require_open())

    @property
    def number(self) -> int:
        """Under which the frames of this producer are known; never used twice by one instance."""
        return int(lib.peaknet_producer_number(self._require_open()))

    def claim(self, timeout: float = 1.0) -> Frame:
        """A free slot, waiting for it at most `timeout` seconds. Raises PoolFull (counted as refused),
        InstanceRemoved, Forked."""
        frame, handle, timeout_ns = Frame(self), c_void_p(), nanoseconds(timeout)
        with self._turn:
            try:
                client, at = self._require_open(), byref(handle)
                status = lib.peaknet_claim_step(client, timeout_ns, 0, at)
                if status == NOTHING:
                    status = _wait_on(lambda waited: lib.peaknet_claim_step(client, timeout_ns, waited, at))
                check(status)
                assert handle.value is not None
                frame._begin(handle.value, self._geometry_now())
            except BaseException:  # Ctrl-C comes between any two lines
                if frame._handle is None:
                    lib.peaknet_abandon(handle)
                raise
        return frame

    def put(self, pixels: Any, info: Optional[Info] = None, timeout: float = 1.0) -> int:
        """Claim, copy and commit in one call, for pixels that lie in an array of their own already: the shape and type
        of the pool, or two dimensions if it has one panel. Returns the frame's number, dense from 0 for this producer.
        Raises OtherShape (nothing was copied, and nothing is converted in silence), what `claim` raises, and ValueError
        for a value in `info` that does not fit; the frame never existed then."""
        array = pixels if type(pixels) is _ndarray else np.ascontiguousarray(pixels)
        at = address_of(array)
        if at is None:
            array = np.ascontiguousarray(pixels)
            at = address_of(array)
        self._begin_turn()  # and not `with self._turn`: this is what every frame of a Python producer pays for
        try:
            handle = self._handle or self._require_open()
            known = array.dtype is self._put_dtype or array.dtype == self._put_dtype
            if not known or array.shape != self._put_shape:
                self._at_put_geometry = byref(_c_geometry_of(array))
                self._put_shape, self._put_dtype = array.shape, array.dtype
            at_info = None
            if info is not None:
                c_info = CInfo()
                info._into_c(c_info)
                at_info = byref(c_info)
            if timeout != self._put_timeout:
                self._put_timeout, self._put_timeout_ns = timeout, nanoseconds(timeout)
            what = (handle, at, self._at_put_geometry, at_info, self._put_timeout_ns)
            status = _put(*what, 0, self._at_number)
            if status == NOTHING:
                status = _wait_on(lambda waited: _put(*what, waited, self._at_number))
            if status:
                raise_last(status)
            return self._number.value
        finally:
            self._release()

    def _geometry_now(self) -> Geometry:
        """The one that we have, unless the pool has become another: claims are too many to make one for each."""
        check(lib.peaknet_producer_geometry(self._handle, self._at_c_geometry))
        c = self._c_geometry
        known = bytes(c)
        if known != self._known_geometry:
            self._geometry, self._known_geometry = Geometry._from_c(c), known
        return self._geometry


def _wait_on(step: Callable[[int], int]) -> int:
    """Goes on with a wait whose first step brought nothing. A signal ends a step, and Python sees it then (Ctrl-C).
    When that step began nobody noted, for the sake of all that need no second: the end may come 0.1 s late."""
    start = time.monotonic_ns()
    while (status := step(time.monotonic_ns() - start)) == NOTHING:
        pass
    return status


def _c_geometry_of(array: np.ndarray) -> CGeometry:
    pixel_type = PIXEL_TYPES.get(array.dtype)
    if pixel_type is None:
        raise ValueError(f"the pixels are {array.dtype}; a pool has {', '.join(map(str, PIXEL_TYPES))}: convert them as "
                         "you see fit, nothing is converted in silence")
    if array.ndim not in (2, 3):
        raise ValueError(f"the pixels have the shape {array.shape}; a frame is (panels, height, width) or (height, width)")
    panels, height, width = (1, *array.shape)[-3:]
    return CGeometry(panels=panels, height=height, width=width, pixel_type=pixel_type)


class Frame:
    """A claimed slot. Use it in a with statement: it is committed at the end of the block, and abandoned (it never
    existed) if the block raises; or call `commit` or `abandon` yourself. One that is forgotten is abandoned."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._image: SlotArray
        self._info: Optional[Info] = None
        self.producer_seq: Optional[int] = None  # the frame's number once it is committed
        self._handle: Optional[int] = None

    def _begin(self, handle: int, geometry: Geometry) -> None:
        self._image = SlotArray.over(lib.peaknet_frame_image(handle), geometry.shape, geometry.dtype)
        self._handle = handle  # last: from here on the frame ends the claim

    @property
    def info(self) -> Info:
        """What you say about the frame: set what you know before the commit. It stays when the frame has ended, if you
        had looked at it before."""
        if self._info is None:  # made when first asked for: it costs as much as all the rest of a claim
            self._info = Info._from_c(lib.peaknet_frame_info(self._require_handle()).contents)
        return self._info

    @info.setter
    def info(self, value: Info) -> None:
        self._info = value

    @property
    def image(self) -> np.ndarray:
        """The slot's pixels, (panels, height, width) of the pool's type; they hold what the last frame left there.
        After the end of the frame this raises Ended, and the arrays that you kept, with all views made of them, are
        read-only: the slot belongs to somebody else. (np.asarray or torch.from_numpy of it cannot be guarded.)"""
        self._producer._require_own_process()
        self._require_handle()
        return self._image

    @image.setter
    def image(self, value: Any) -> None:  # frame.image += 1 assigns what it has changed in place
        if value is not self._image:
            raise AttributeError("write into the image: frame.image[...] = pixels")

    def set(self, name: str, value: Any) -> None:
        """What the event has in the pool's column of that name; what is not set is not known. Raises OtherColumn (with
        the nearest name, or the column's type and length), and ValueError for numbers that the column cannot hold."""
        with self._producer._turn:
            handle = self._require_handle()
            set_column(handle, self._producer.columns.get(name), name, value)

    def commit(self) -> int:
        """From here on the frame exists. Returns its number, dense from 0 for this producer. Whatever this raises, the
        frame has ended; a value in `info` that does not fit raises ValueError and the frame never existed."""
        with self._producer._turn:
            handle = self._require_handle()
            if self._info is not None:
                try:
                    self._info._into_c(lib.peaknet_frame_info(handle).contents)
                except BaseException:
                    self._give_up(lib.peaknet_abandon)
                    raise
            self._handle = None
            self._image.retire()  # before anybody else can own the slot
            check(lib.peaknet_commit(handle, self._producer._at_number))
            self.producer_seq = seq = self._producer._number.value
            return seq

    def abandon(self) -> None:
        """The frame never existed. May be called again, and after commit, without effect."""
        if self._handle is None:
            return
        with self._producer._turn:
            self._give_up(lib.peaknet_abandon)

    def _give_up(self, end: Callable[[int], Any]) -> None:
        handle, self._handle = self._require_handle(), None
        self._image.retire()
        end(handle)

    def _require_handle(self) -> int:
        if self._handle is None:
            raise Ended("this frame has ended: its slot belongs to somebody else")
        return self._handle

    def __enter__(self) -> Frame:
        self._require_handle()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._handle is None:
            return
        if kind is None:
            self.commit()
        else:
            self.abandon()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self._give_up(lambda handle: self._producer._end_later(lib.peaknet_abandon, handle))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a frame cannot be sent to another process")
