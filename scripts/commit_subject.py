#!/usr/bin/env python3
"""Checks the subject of a commit: at most 72 characters, an empty line below it.

    scripts/commit_subject.py FILE          a hook's file with the message
    scripts/commit_subject.py --range A..B  all commits of a range
"""
import subprocess
import sys

MOST = 72


def faults(message):
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if not subject:
        yield "there is no subject"
    if len(subject) > MOST:
        yield f"the subject has {len(subject)} characters, {MOST} may be: put the reason into the body"
    if subject.endswith("."):
        yield "the subject ends with a full stop"
    if len(lines) > 1 and lines[1]:
        yield "the line below the subject is not empty"


def messages(arguments):
    if arguments[0] == "--range":
        listed = subprocess.run(["git", "log", "--no-merges", "--format=%B%x00", arguments[1]], capture_output=True, text=True, check=True)
        return [message.strip("\n") for message in listed.stdout.split("\0") if message.strip()]
    with open(arguments[0], encoding="utf-8") as file:
        return [file.read()]


def main(*arguments):
    found = [f"{message.splitlines()[0] if message else ''}: {fault}" for message in messages(arguments) for fault in faults(message)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
