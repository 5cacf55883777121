"""Watch: looks at peaknetd again and again and keeps the board.

Threads: one of its own, which alone asks and reads files; `look_now` from any. Errors: where nothing is known of the instance
the board says so. A fault of ours, or a peaknetctl of another version, makes all unknown: nothing may look alive then.
"""

from __future__ import annotations

import datetime
import threading
import traceback
from pathlib import Path
from typing import Dict, Mapping, Optional

import yaml

from . import readings
from .board import Board
from .ctl import Ctl, Document, Refused
from .images import Images
from .log import say
from .masters import Masters
from .variables import Reading


class Watch:
    def __init__(self, ctl: Ctl, board: Board, images: Images, every: float) -> None:
        self._ctl, self._board, self._images, self._every = ctl, board, images, every
        self.config: Optional[Document] = None  # as peaknetd had it when it started
        self._starts: Optional[int] = None  # of peaknetd then
        self._masters: Optional[Masters] = None
        self._looked = threading.Condition()
        self._begun = self._finished = 0  # looks
        self._status: Optional[Document] = None  # of the last one
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._wake.set()
        with self._looked:
            self._looked.notify_all()
        self._thread.join()

    def look_now(self) -> Optional[Document]:
        """What a look that begins now sees. None: nothing is known of the instance, or it is the end."""
        with self._looked:
            wanted = self._begun + 1
            self._wake.set()
            self._looked.wait_for(lambda: self._finished >= wanted or self._end.is_set())
            return self._status if self._finished >= wanted else None

    def rest(self, seconds: float) -> bool:
        """False: it is the end."""
        return not self._end.wait(seconds)

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.clear()
            with self._looked:
                self._begun += 1
                begun = self._begun
            status = self.look()
            with self._looked:
                self._status, self._finished = status, begun
                self._looked.notify_all()
            self._wake.wait(self._every)

    def look(self) -> Optional[Document]:
        try:
            return self._look()
        except Refused as refusal:
            self._starts = None  # it may come back with another configuration
            self._board.absent(str(refusal))
        except Exception as error:
            say("".join(traceback.format_exception(type(error), error, error.__traceback__)))
            self._board.unknown(f"peaknet-epics failed: {error!r}")
        return None

    def _look(self) -> Document:
        """One document, and another where a new run has begun."""
        status = self._ctl.ask("status")
        if self._board.is_new(status):
            status = self._ctl.ask("status")
            if self._board.is_new(status):
                return status  # its numbers are for the next look
        more: Dict[str, Reading] = {}
        if status["daemon"]["alive"] is False:
            self._starts = None
        else:
            config = self._configuration(status["daemon"]["starts"])
            if config is not None:
                more = {**readings.of_output(config, status), **self._of_files(status["run"])}
        self._board.take(status, more)
        return status

    def _configuration(self, starts: int) -> Optional[Document]:
        if starts != self._starts or self.config is None:
            try:
                config = yaml.safe_load(self._ctl.ask("config", "show")["yaml"])
            except Refused as refusal:
                say(f"the configuration is not known: {refusal}")
                return None
            self.config, self._starts = config, starts
            self._masters = Masters(Path(config["output"]["dir"]), config["output"]["file_prefix"])
            self._images.look_at(config["instance"], config["peaks"]["min_num_peak"])
        return self.config

    def _of_files(self, run: Mapping[str, str]) -> Dict[str, Reading]:
        began = datetime.datetime.fromisoformat(run["started"].replace("Z", "+00:00")).timestamp() if run.get("started") else 0.0
        assert self._masters is not None
        return readings.of_masters(self._masters.of(run["id"], began) if run["id"] else [])
