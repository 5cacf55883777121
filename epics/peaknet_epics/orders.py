"""Orders: begins and ends runs, one after another: a stop takes as long as the last frames take.

Threads: one of its own; `take` from any. Errors: an order that fails ends its put with peaknetctl's text, which the board
shows with an alarm until the next order is done. At the end of the program nobody waits for an order: peaknetd carries out
what it was asked, whoever hears of it.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Callable, Dict, Tuple

from .board import Board
from .ctl import Ctl, Refused
from .log import say
from .watch import Watch

SETTINGS = {"AcquisitionId": "--run", "RunNumber": "--run-number", "Proposal": "--proposal", "User": "--user"}
_MOST = 16
_MASTER_SECONDS = 10.0  # the writer makes one within some seconds of its last file
_LOOK_SECONDS = 0.1


class Orders:
    def __init__(self, ctl: Ctl, board: Board, watch: Watch) -> None:
        self._ctl, self._board, self._watch = ctl, board, watch
        self._known: Dict[str, Callable[[], None]] = {"StartWriting": self._start, "StopWriting": self._stop}
        self._waiting: "queue.Queue[Tuple[str, Any]]" = queue.Queue(_MOST)
        self._thread = threading.Thread(target=self._run, name="orders", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, name: str, op: Any) -> None:
        """Its put ends when it is done. Raises Refused where too many wait."""
        say(f"{name} asked by {op.account()!r} at {op.peer()!r}")
        try:
            self._waiting.put_nowait((name, op))
        except queue.Full:
            raise Refused("epics.busy", f"{_MOST} starts and stops wait already", "wait for them") from None

    def _run(self) -> None:
        while True:
            name, op = self._waiting.get()
            failed = ""
            try:
                self._known[name]()
            except Refused as refusal:
                failed = str(refusal)
            except Exception as error:  # a fault of ours: the put has an end, and the next order its turn
                failed = f"peaknet-epics failed: {error!r}"
            self._board.order_ended(failed)
            if failed:
                say(failed)
                op.done(error=failed)
            else:
                op.done()

    def _start(self) -> None:
        wanted = self._board.begin_start()
        begun = False
        try:
            self._ctl.order("start", *[f"{option}={wanted[name]}" for name, option in SETTINGS.items() if name in wanted])
            begun = True
        finally:
            self._board.end_start(wanted, begun)
        self._watch.look_now()

    def _stop(self) -> None:
        reply = self._ctl.order("stop")
        written = reply["frames"]["written"]
        until = time.monotonic() + _MASTER_SECONDS
        while True:
            status = self._watch.look_now()
            if status is None or status["run"]["id"] != reply["run"]:
                return
            in_files = self._board.variables["FramesInFiles"].shown().value
            if in_files >= written:
                return
            if time.monotonic() >= until or not self._watch.rest(_LOOK_SECONDS):
                raise Refused("epics.no-master", f"run {reply['run']} has ended, and its master shows {in_files} of {written} events",
                              "peaknet-writer's log; the files are whole, and their list has all of them")
