"""Ctl: what peaknetctl says, as values, and what it is asked to do.

Threads: any. Errors: `Refused`, with the id, text and remedy that peaknetctl gave; `--json` makes them one document.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any, Dict, List

Document = Dict[str, Any]

_LOOK_SECONDS = 20.0  # peaknetctl gives up by itself before
_ORDER_SECONDS = 600.0


class Refused(Exception):
    """peaknetctl did not do it."""

    def __init__(self, id: str, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} [{id}]" + (f"; try: {remedy}" if remedy else ""))
        self.id = id


class Ctl:
    def __init__(self, program: str, target: List[str]) -> None:
        self._command = [program, *target, "--json"]

    def ask(self, *arguments: str) -> Document:
        """A document of what is; takes what peaknetctl read from the segment where peaknetd does not answer."""
        return self._run(list(arguments), _LOOK_SECONDS)

    def order(self, *arguments: str) -> Document:
        """Returns when it is done."""
        return self._run(list(arguments), _ORDER_SECONDS)

    def _run(self, arguments: List[str], seconds: float) -> Document:
        command = [*self._command, *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Refused("epics.no-answer", f"peaknetctl {arguments[0]} did not end within {seconds:.0f} s") from None
        except OSError as error:
            raise Refused("epics.no-peaknetctl", f"{self._command[0]} cannot be run: {error}") from None
        try:
            document = json.loads(done.stdout)
        except ValueError:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise Refused("epics.no-document", f"peaknetctl {arguments[0]} ended with {done.returncode}: {said[0] if said else 'no word'}") from None
        said_no = document.get("error")
        if isinstance(said_no, dict):
            raise Refused(said_no.get("id", "unknown"), said_no.get("what", "unknown"), said_no.get("remedy", ""))
        return document  # also with an exit code that says what it was read from
