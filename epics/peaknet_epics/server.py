"""Server: the variables of one instance, kept up to date, and the orders that come by them.

Threads: `watch` looks at peaknetd again and again, `orders` carries out starts and stops one after another (a stop takes as
long as the last frames take, and the variables go on meanwhile), `images` is the tap's; p4p's own take puts. What is shown
of a run is changed under one lock. Errors: an order that fails ends its put with peaknetctl's text, which `Error` shows with
an alarm until the next order is done. After a death of peaknetd: severity INVALID since then; what is said of it goes on.

The numbers of a run are believed only from the second look at it on: peaknetd sets counters back before it shows a new run,
and one document may have been read across that moment. So FramesWritten is 0 before Writing is true.
"""

from __future__ import annotations

import datetime
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import p4p.server
import yaml

from . import readings
from .ctl import Ctl, Document, Refused
from .images import Images
from .masters import Masters
from .variables import INVALID, MAJOR, SPECS, Reading, Variable, unknown

_MASTER_SECONDS = 10.0  # the writer makes one within some seconds of its last file
_LOOK_FOR_MASTER = 0.1
_MOST_ORDERS = 16
_LONGEST = 255  # characters of a put; peaknetd allows fewer
_SETTINGS = {"AcquisitionId": "--run", "RunNumber": "--run-number", "Proposal": "--proposal", "User": "--user"}
_NO_MASTER = Reading("", INVALID, "no file of this run is finished yet")
_OF_DAEMON = ("State", "Health", "HealthReason", "Error", "StartWriting", "StopWriting")


class _Put:
    """Takes the puts to one variable."""

    def __init__(self, take: Callable[[Any, Any], None]) -> None:
        self._take = take

    def put(self, pv: Any, op: Any) -> None:
        try:
            self._take(op, op.value().raw.value)  # plain: not p4p's text with its time
        except Refused as refusal:
            op.done(error=str(refusal))


class Server:
    def __init__(self, ctl: Ctl, options: Any) -> None:
        self._ctl, self._options = ctl, options
        self._lock = threading.Lock()  # of what is shown and wanted; nothing is asked while it is held
        self._looked = threading.Condition()
        self._begun = self._finished = 0  # looks
        self._status: Optional[Document] = None  # of the last one
        self._wake = threading.Event()
        self._end = threading.Event()
        self._orders: "queue.Queue[Tuple[Any, Callable[[], None]]]" = queue.Queue(_MOST_ORDERS)
        self._wanted: Dict[str, Any] = {}  # what puts said of the next run
        self._config: Optional[Document] = None
        self._masters: Optional[Masters] = None
        self._ordinal: Optional[int] = None  # of the run that the variables show
        self._starts: Optional[int] = None  # of peaknetd, when the configuration was read
        self._starting = False
        self._order_failed = ""
        self.images = Images(options.image_every)
        self._variables = {name: Variable(spec, self._handler(name, spec)) for name, spec in SPECS.items()}
        self._variables["Error"].show(Reading(""))
        self.prefix = options.prefix or self._default_prefix()
        provider = p4p.server.StaticProvider("peaknet")
        for name, variable in self._variables.items():
            provider.add(self.prefix + name, variable.pv)
        provider.add(self.prefix + "Image", self.images.pv)
        conf = {"EPICS_PVAS_INTF_ADDR_LIST": options.interface, "EPICS_PVAS_BEACON_ADDR_LIST": options.interface,
                "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO"}
        if options.port is not None:
            conf["EPICS_PVAS_SERVER_PORT"] = str(options.port)
        if options.search_port is not None:
            conf["EPICS_PVAS_BROADCAST_PORT"] = str(options.search_port)
        self._server = p4p.server.Server(providers=[provider], conf=conf)
        self.port = int(self._server.conf()["EPICS_PVAS_SERVER_PORT"])
        self._watcher = threading.Thread(target=self._watch, name="watch")
        # Nobody waits for it at the end: peaknetd carries out what it was asked, whoever hears of it.
        self._orderly = threading.Thread(target=self._carry_out, name="orders", daemon=True)

    def __enter__(self) -> "Server":
        self._watcher.start()
        self._orderly.start()
        self.images.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._end.set()
        self._wake.set()
        with self._looked:
            self._looked.notify_all()
        self.images.stop()
        self._watcher.join()
        self._server.stop()

    def _default_prefix(self) -> str:
        name = self._options.instance
        if name is None:
            try:
                name = yaml.safe_load(self._ctl.ask("config", "show")["yaml"])["instance"]
            except Refused as refusal:
                raise RuntimeError(f"the instance's name is not known: {refusal}; --prefix names the variables") from None
        return f"PEAKNET:{name.upper()}:"

    # --- what is shown ---

    def _watch(self) -> None:
        while not self._end.is_set():
            self._wake.clear()
            with self._looked:
                self._begun += 1
                begun = self._begun
            status = self._look_or_say_why_not()
            with self._looked:
                self._status, self._finished = status, begun
                self._looked.notify_all()
            self._wake.wait(self._options.every)

    def _look_now(self) -> Optional[Document]:
        """What a look that begins now sees. None: nothing is known of the instance."""
        with self._looked:
            wanted = self._begun + 1
            self._wake.set()
            self._looked.wait_for(lambda: self._finished >= wanted or self._end.is_set())
            return self._status

    def _look_or_say_why_not(self) -> Optional[Document]:
        try:
            return self._look()
        except Exception as error:  # a fault of ours, or a peaknetctl of another version: nothing may look alive then
            _log("".join(traceback.format_exception(type(error), error, error.__traceback__)))
            with self._lock:
                for name in ("State", "Health", "HealthReason"):
                    self._variables[name].show(unknown(f"peaknet-epics failed: {error!r}"))
                self._all_unknown(f"peaknet-epics failed: {error!r}")
            return None

    def _look(self) -> Optional[Document]:
        """One document, and another where a new run has begun."""
        try:
            status = self._ctl.ask("status")
            with self._lock:
                if self._is_new(status):
                    self._begin_run(status["run"]["ordinal"])
                    status = {}
            if not status:
                status = self._ctl.ask("status")
        except Refused as refusal:
            self._show_absent(str(refusal))
            return None
        alive = status["daemon"]["alive"] is not False
        config = self._configuration(status) if alive else None
        files = self._of_files(status) if config is not None else {}
        with self._lock:
            if not self._is_new(status):  # else it is for the next look
                self._take(status, config, files)
        return status

    def _is_new(self, status: Document) -> bool:
        return status["daemon"]["alive"] is not False and status["run"]["ordinal"] != self._ordinal

    def _take(self, status: Document, config: Optional[Document], files: Dict[str, Reading]) -> None:
        for name, reading in readings.of_daemon(status).items():
            self._variables[name].show(reading)
        text = self._order_failed or status.get("failure", "")
        self._variables["Error"].show(Reading(text, MAJOR if text else 0, text))
        if status["daemon"]["alive"] is False:
            self._all_unknown("no peaknetd is running")
            return
        shown = {**readings.of_run(status), **readings.of_said(status)}
        if config is not None:
            shown.update({**readings.of_output(config, status), **files})
        if self._starting:  # until the run that was asked for is there, these are its
            for name in ("Writing", "FramesWritten", "FramesInFiles"):
                shown.pop(name, None)
        shown.update({name: Reading(value, 0, "for the next run") for name, value in self._wanted.items()})
        writing = shown.pop("Writing", None)
        for name, reading in shown.items():
            self._variables[name].show(reading)
        if writing is not None:  # last: who waits for it finds the rest in place
            self._variables["Writing"].show(writing)

    def _begin_run(self, ordinal: int) -> None:
        self._ordinal = ordinal
        self._starting = False
        self._variables["Writing"].show(Reading(False))
        for name in ("FramesWritten", "FramesInFiles"):
            self._variables[name].show(Reading(0))
        self._variables["MasterFile"].show(_NO_MASTER)

    def _show_absent(self, why: str) -> None:
        with self._lock:
            self._variables["State"].show(Reading("absent", MAJOR, why))
            self._variables["Health"].show(Reading("failing", MAJOR, why))
            self._variables["HealthReason"].show(Reading(why, MAJOR))
            self._all_unknown(why)

    def _all_unknown(self, why: str) -> None:
        for name, variable in self._variables.items():
            if name not in _OF_DAEMON:
                variable.show(unknown(why))
        self.images.unknown(why)
        self._starts = None  # it may come back with another configuration

    def _configuration(self, status: Document) -> Optional[Document]:
        starts = status["daemon"]["starts"]
        if starts != self._starts or self._config is None:
            try:
                config = yaml.safe_load(self._ctl.ask("config", "show")["yaml"])
            except Refused as refusal:
                _log(f"the configuration is not known: {refusal}")
                return None
            self._config, self._starts = config, starts
            self._masters = Masters(Path(config["output"]["dir"]), config["output"]["file_prefix"])
            self.images.look_at(config["instance"], config["peaks"]["min_num_peak"])
        return self._config

    def _of_files(self, status: Document) -> Dict[str, Reading]:
        run = status["run"]
        began = datetime.datetime.fromisoformat(run["started"].replace("Z", "+00:00")).timestamp() if run.get("started") else 0.0
        assert self._masters is not None
        found = self._masters.of(run["id"], began) if run["id"] else []
        shown = {"FramesInFiles": Reading(sum(master.events for master in found))}
        if len(found) == 1:
            height, width = found[0].shape
            return {**shown, "MasterFile": Reading(str(found[0].path)), "DataDims0": Reading(height), "DataDims1": Reading(width)}
        if not found:
            return {**shown, "MasterFile": _NO_MASTER}
        names = ", ".join(sorted(master.path.name for master in found))
        return {**shown, "MasterFile": Reading("", MAJOR, f"this run has {len(found)} masters, one for each run of its source: {names}")}

    # --- orders ---

    def _handler(self, name: str, spec: Any) -> Any:
        if not (spec.settable or spec.command):
            return None
        if self._options.read_only:
            def refuse(op: Any, value: Any) -> None:
                raise Refused("epics.read-only", "this peaknet-epics serves for reading alone")
            return _Put(refuse)
        if name in _SETTINGS:
            return _Put(lambda op, value: self._want(name, op, value))
        if spec.settable:
            return _Put(lambda op, value: self._same(name, op, value))
        return _Put(lambda op, value: self._order(name, op, value))

    def _want(self, name: str, op: Any, value: Any) -> None:
        """Checked by peaknetd, when the run begins."""
        if isinstance(value, str) and (len(value) > _LONGEST or not value.isprintable()):
            raise Refused("epics.bad-text", f"{name} has {len(value)} characters, or some that cannot be printed", "a short line of text")
        with self._lock:
            if value == "" or (name == "RunNumber" and value < 0):
                self._wanted.pop(name, None)
                self._variables[name].show(unknown(readings.NOT_SAID))
            else:
                self._wanted[name] = value
                self._variables[name].show(Reading(value, 0, "for the next run"))
        op.done()

    def _same(self, name: str, op: Any, value: Any) -> None:
        if self._config is None:
            raise Refused("epics.unknown", f"{name} is not known yet")
        has = self._config["output"]["dir" if name == "FilePath" else "file_prefix"]
        if str(value).rstrip("/") != has.rstrip("/"):
            raise Refused("epics.fixed", f"{name} is {has}: files of one instance stay together",
                          "output.dir and output.file_prefix in its configuration, then a restart; AcquisitionId names a run")
        op.done()

    def _order(self, name: str, op: Any, value: Any) -> None:
        if not value:  # the put that sets a button back
            op.done()
            return
        _log(f"{name} asked by {op.account()!r} at {op.peer()!r}")
        carry_out = self._start if name == "StartWriting" else self._stop
        try:
            self._orders.put_nowait((op, carry_out))
        except queue.Full:
            raise Refused("epics.busy", f"{_MOST_ORDERS} starts and stops wait already", "wait for them") from None

    def _carry_out(self) -> None:
        while True:
            op, carry_out = self._orders.get()
            try:
                carry_out()
                self._order_failed = ""
            except Exception as error:  # whatever it was: the put has an end, and the next order its turn
                self._order_failed = str(error) if isinstance(error, Refused) else f"peaknet-epics failed: {error!r}"
            failed = self._order_failed
            with self._lock:
                self._variables["Error"].show(Reading(failed, MAJOR if failed else 0, failed))
            if failed:
                _log(failed)
                op.done(error=failed)
            else:
                op.done()

    def _start(self) -> None:
        with self._lock:
            wanted = dict(self._wanted)
            was = {name: self._variables[name].shown() for name in ("Writing", "FramesWritten", "FramesInFiles")}
            self._starting = True
            for name in ("FramesWritten", "FramesInFiles"):
                self._variables[name].show(Reading(0))
        arguments: List[str] = []
        for name, option in _SETTINGS.items():
            if name in wanted:
                arguments += [f"{option}={wanted[name]}"]
        try:
            self._ctl.order("start", *arguments)
        except Refused:
            with self._lock:
                for name, reading in was.items():
                    self._variables[name].show(reading)
            raise
        finally:
            with self._lock:
                self._starting = False
        with self._lock:
            self._wanted = {name: value for name, value in self._wanted.items() if wanted.get(name) != value}
        self._look_now()

    def _stop(self) -> None:
        reply = self._ctl.order("stop")
        written = reply["frames"]["written"]
        until = time.monotonic() + _MASTER_SECONDS
        while True:
            status = self._look_now()
            in_files = self._variables["FramesInFiles"].shown().value
            if status is None or status["run"]["id"] != reply["run"] or in_files >= written:
                return
            if time.monotonic() >= until or self._end.is_set():
                raise Refused("epics.no-master", f"run {reply['run']} has ended, and its master shows {in_files} of {written} events",
                              "peaknet-writer's log; the files are whole, and their list has all of them")
            self._end.wait(_LOOK_FOR_MASTER)


def _log(text: str) -> None:
    print(f"peaknet-epics: {text}", file=sys.stderr, flush=True)
