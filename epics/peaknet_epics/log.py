"""One line of the log, for the journal or a terminal. Threads: any."""

import sys


def say(text: str) -> None:
    print(f"peaknet-epics: {text}", file=sys.stderr, flush=True)
