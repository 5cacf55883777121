"""How a recipe says no: one line for the operator, and never a traceback."""

import contextlib
import pathlib
import sysconfig
import traceback
from typing import Iterator

LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
OURS = str(pathlib.Path(__file__).parent)


class Refused(Exception):
    """What failed, with the number, and what to do next: one line for the operator."""


def cause_of(failure: BaseException, longest: int = 300) -> str:
    """The failure in one line, with the place if it is in a file of the user's own."""
    text = " ".join(str(failure).split()) or "no reason given"
    frames = [frame for frame in traceback.extract_tb(failure.__traceback__)
              if not frame.filename.startswith((*LIBRARIES, OURS, "<")) and pathlib.Path(frame.filename).parent != pathlib.Path(OURS).parent]
    place = f" ({pathlib.Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(failure).__name__}: {text[:longest]}{place}"


@contextlib.contextmanager
def refusing(what: str, remedy: str) -> Iterator[None]:
    """At the border to code or a file that is not ours, where anything may be raised: it refuses, with its own words."""
    try:
        yield
    except Refused:
        raise
    except (Exception, SystemExit) as failure:  # of code that is not ours: also a class that derives from nothing we know
        raise Refused(f"{what} ({cause_of(failure)}); nothing was written; {remedy}") from failure
