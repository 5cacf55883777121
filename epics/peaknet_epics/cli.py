"""The program peaknet-epics. Exit codes are those of peaknetctl: 0 it was told to end, 1 it cannot serve, 2 the command line is wrong."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import signal
import sys
import threading
from typing import List, Optional

from .ctl import Ctl
from .server import Server

OK, FAILED, USAGE = 0, 1, 2


def _version() -> str:
    try:
        return importlib.metadata.version("peaknet-epics")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise ValueError(text)
    return value


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="peaknet-epics", description="Serves the EPICS process variables of one peaknetd instance by PV Access (docs/epics.md).",
        epilog="Exit codes: 0 it was told to end (SIGTERM, SIGINT); 1 it cannot serve; 2 the command line is wrong. peaknetd may come, "
               "hang and die at any moment: the variables say so and recover.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", metavar="FILE", help="configuration of the instance, as for peaknetctl")
    which.add_argument("--instance", metavar="NAME", help="name of the instance, as for peaknetctl")
    parser.add_argument("--prefix", metavar="PV", help="first part of every variable's name (PEAKNET:INSTANCE: in capitals)")
    parser.add_argument("--interface", metavar="ADDRESS", default="127.0.0.1",
                        help="address to serve on (127.0.0.1); whoever reaches it may start and stop runs, unless --read-only")
    parser.add_argument("--port", metavar="N", type=int, help="TCP port; 0: any that is free (5075)")
    parser.add_argument("--search-port", metavar="N", type=int, help="UDP port of searches (5076)")
    parser.add_argument("--read-only", action="store_true", help="refuse every put")
    parser.add_argument("--every", metavar="S", type=_seconds, default=0.5, help="seconds from look to look (0.5)")
    parser.add_argument("--image-every", metavar="S", type=_seconds, default=1.0, help="at most one image in so many seconds (1)")
    parser.add_argument("--peaknetctl", metavar="PATH", default="peaknetctl", help="the program to ask (peaknetctl on PATH)")
    parser.add_argument("--version", action="version", version=f"peaknet-epics {_version()}")
    return parser


def main(arguments: Optional[List[str]] = None) -> int:
    options = _options().parse_args(arguments)  # ends with 2 where they are wrong
    program = shutil.which(options.peaknetctl)
    if program is None:
        print(f"error: there is no program {options.peaknetctl}\n  try: --peaknetctl PATH", file=sys.stderr)
        return USAGE
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    ctl = Ctl(program, ["--config", options.config] if options.config else ["--instance", options.instance])
    try:
        server = Server(ctl, options)
    except (OSError, RuntimeError) as error:
        print(f"error: cannot serve on {options.interface}: {error}\n  try: another --interface, --port or --search-port", file=sys.stderr)
        return FAILED
    with server:
        print(f"serving {server.prefix}* on {options.interface}:{server.port}", flush=True)
        while not end.wait(1):  # a signal alone does not wake a wait without an end
            pass
    return OK
