"""What producers, consumers and taps have in common: an end, one thread at a time, one process."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Any, Callable, Deque, NoReturn, Optional, Tuple, TypeVar

from ._library import Ended, Forked


ClientType = TypeVar("ClientType", bound="Client")


class _Process:
    """Which process this is, without a system call for every question."""

    pid = os.getpid()

    @classmethod
    def has_forked(cls) -> None:
        cls.pid = os.getpid()


os.register_at_fork(after_in_child=_Process.has_forked)


class Client:
    _what = "client"

    def __init__(self, handle: int, close: Callable[[int], None]) -> None:
        self._handle: Optional[int] = handle
        self._close = close
        self._pid = _Process.pid
        self._lock = threading.Lock()
        self._acquire, self._release = self._lock.acquire, self._lock.release
        self._left_over: Deque[Tuple[Callable[[int], None], int]] = deque()
        self._turn = _Turn(self)

    def __enter__(self: ClientType) -> ClientType:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Take leave. May be called again. Frames and results that are still held can be ended afterwards."""
        if _Process.pid != self._pid:  # the parent's: only this process' memory is given back, and its lock is of no use
            self._detach()
            return
        with self._lock:
            self._end_left_over()
            self._detach()

    def _detach(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._close(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {self._what} cannot be sent to another process: attach there, by the instance's name")

    def _require_own_process(self) -> None:
        if _Process.pid != self._pid:
            raise Forked(f"this {self._what} was attached by process {self._pid}, the parent of this process; nothing "
                         "was changed. Try: attach again after a fork [member.forked]", "member.forked", 32)

    def _begin_turn(self) -> None:
        """To be followed by `_release`, unless it raises."""
        if _Process.pid != self._pid:
            self._require_own_process()
        if not self._acquire(False):
            raise RuntimeError(f"two threads use one {self._what} at once; attach one for each thread")
        if self._left_over:
            self._end_left_over()

    def _require_open(self) -> int:
        if self._handle is None:
            raise Ended(f"this {self._what} is closed")
        return self._handle

    def _end_later(self, end: Callable[[int], None], handle: int) -> None:
        """Give back what was forgotten. The collector runs in any thread: if ours is at work, its next call does it."""
        self._left_over.append((end, handle))
        if self._acquire(False):
            try:
                self._end_left_over()
            finally:
                self._release()

    def _end_left_over(self) -> None:
        while self._left_over:
            end, handle = self._left_over.popleft()
            end(handle)


class _Turn:
    """`with client._turn:` around all that a thread does in a client. Two threads in one client would spoil its books; better
    an exception."""

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = weakref.proxy(client)  # no ring of references: a client that is forgotten ends at once

    def __enter__(self) -> None:
        self._client._begin_turn()

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self._client._release()
