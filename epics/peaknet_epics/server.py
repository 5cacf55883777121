"""Server: the variables of one instance on the network, and the puts to them.

Threads: p4p's own take puts; `watch`, `orders` and `images` have one each. Errors: a put that is refused ends with the reason.
Raises RuntimeError where it cannot serve. After a death of peaknetd all goes on, and says so (board.py).
"""

from __future__ import annotations

from typing import Any, Callable

import p4p.server
import yaml

from .board import Board
from .ctl import Ctl, Refused
from .images import Images
from .orders import SETTINGS, Orders
from .variables import Spec
from .watch import Watch

_LONGEST = 255  # characters of a put; peaknetd allows fewer


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
        self.images = Images(options.image_every)
        self.board = Board(self.images, self._handler)
        self.watch = Watch(ctl, self.board, self.images, options.every)
        self._orders = Orders(ctl, self.board, self.watch)
        self.prefix = options.prefix or self._default_prefix()
        provider = p4p.server.StaticProvider("peaknet")
        for name, variable in self.board.variables.items():
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

    def __enter__(self) -> "Server":
        for part in (self.watch, self._orders, self.images):
            part.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.images.stop()
        self.watch.stop()
        self.close()

    def close(self) -> None:
        self._server.stop()

    def _default_prefix(self) -> str:
        name = self._options.instance
        if name is None:
            try:
                name = yaml.safe_load(self._ctl.ask("config", "show")["yaml"])["instance"]
            except Refused as refusal:
                raise RuntimeError(f"the instance's name is not known: {refusal}; --prefix names the variables") from None
        return f"PEAKNET:{name.upper()}:"

    # --- puts ---

    def _handler(self, name: str, spec: Spec) -> Any:
        if not (spec.settable or spec.command):
            return None
        if self._options.read_only:
            return _Put(self._refuse)
        take = self._want if name in SETTINGS else self._same if spec.settable else self._order
        return _Put(lambda op, value: take(name, op, value))

    def _refuse(self, op: Any, value: Any) -> None:
        raise Refused("epics.read-only", "this peaknet-epics serves for reading alone")

    def _want(self, name: str, op: Any, value: Any) -> None:
        """Checked by peaknetd, when the run begins."""
        if isinstance(value, str) and (len(value) > _LONGEST or not value.isprintable()):
            raise Refused("epics.bad-text", f"{name} has {len(value)} characters, or some that cannot be printed", "a short line of text")
        nothing = value == "" or (name == "RunNumber" and value < 0)
        self.board.want(name, None if nothing else value)
        op.done()

    def _same(self, name: str, op: Any, value: Any) -> None:
        if self.watch.config is None:
            raise Refused("epics.unknown", f"{name} is not known yet")
        has = self.watch.config["output"]["dir" if name == "FilePath" else "file_prefix"]
        if str(value).rstrip("/") != has.rstrip("/"):
            raise Refused("epics.fixed", f"{name} is {has}: files of one instance stay together",
                          "output.dir and output.file_prefix in its configuration, then a restart; AcquisitionId names a run")
        op.done()

    def _order(self, name: str, op: Any, value: Any) -> None:
        if value:
            self._orders.take(name, op)
        else:  # the put that sets a button back
            op.done()
