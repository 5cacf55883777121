"""Was anything lost, doubled, spoiled or invented? Three witnesses that know nothing of each other: the producers' ledgers, the files as
h5py reads them, and the books with peaknetctl audit."""
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

import h5py
import numpy as np

import ledger
from frames import image, is_hit
from system import EVENTS_OF_A_LIFE, Broken, System


@dataclass
class Verdict:
    committed: int = 0  # by the ledgers, for certain
    perhaps: int = 0  # of producers that were killed between commit and ledger
    in_files: int = 0
    set_aside: int = 0  # after several processes died over them: failed{quarantined}, by the books
    spoiled: int = 0  # by somebody hostile, and told
    findings: List[str] = None  # type: ignore[assignment]


def finished(folder: Path) -> List[Path]:
    return [path for path in sorted(folder.rglob("*.cxi")) if "_chunk" in path.name]


def every_finished_file_is_whole(folder: Path) -> None:
    for path in finished(folder):
        try:
            with h5py.File(path, "r") as file:
                count = len(file["/entry_1/result_1/nPeaks"])
                if len(file["/entry_1/data_1/data"]) != count or count == 0:
                    raise Broken(f"{path.name}: {count} events, {file['/entry_1/data_1/data'].shape} images")
        except OSError as failure:
            raise Broken(f"{path.name} has its final name and does not open: {failure}") from None


@dataclass
class Contents:
    """Of all finished files. Frames of the feed are not in any ledger: that each is in one place is the audit's to say."""
    times: Counter  # event id: in so many rows
    frames: Counter  # (producer, sequence): in so many rows
    strange: Dict[int, bytes]  # event id: an image that is not the one it must have
    rows: List[str]  # where those are


def contents(folder: Path) -> Contents:
    every_finished_file_is_whole(folder)
    seen = Contents(Counter(), Counter(), {}, [])
    for path in finished(folder):
        with h5py.File(path, "r") as file:
            facts = file["/entry_1/peaknet"]
            for row, (event_id, producer, sequence) in enumerate(zip(*(map(int, facts[name][:]) for name in ("event_id", "producer", "producer_seq")))):
                seen.frames[producer, sequence] += 1
                if event_id < EVENTS_OF_A_LIFE:
                    continue
                seen.times[event_id] += 1
                pixels = file["/entry_1/data_1/data"][row]
                if not np.array_equal(pixels.reshape(image(event_id).shape), image(event_id)):
                    seen.strange[event_id] = pixels.tobytes()
                    seen.rows.append(f"{path.name} row {row}: the image of event {event_id} is another one")
    return seen


def judge(system: System) -> Verdict:
    committed, perhaps = ledger.read(system.folder)
    seen = contents(system.files)
    findings = list(seen.rows)
    doubled = [event for event, times in seen.times.items() if times > 1]
    foreign = [event for event in seen.times if event not in committed and event not in perhaps]
    empty = [event for event in seen.times if not is_hit(event)]
    missing = [event for event in committed if is_hit(event) and event not in seen.times]
    books = system.stats()["lifetime"]
    failed = sum(books["failed"].values())
    for what, events in (("in more than one place", doubled), ("that no producer made", foreign), ("without a hit, in a file", empty)):
        if events:
            findings.append(f"{len(events)} events {what}: {events[:5]}")
    if len(missing) > failed:
        findings.append(f"{len(missing)} hits are in no file, and the books know of {failed} failures: {missing[:5]}")
    if books["imbalance"] or books["in_flight"] or sum(books["dropped"].values()):
        findings.append(f"the books: {books}")
    left = [path.name for path in system.files.rglob("*.part")]
    if left:
        findings.append(f"unfinished files are left: {left}")
    audit = system.ctl("audit", str(system.files))
    if audit.returncode != 0:
        findings.append(f"peaknetctl audit: {audit.stdout}{audit.stderr}")
    return Verdict(len(committed), len(perhaps), sum(seen.times.values()), len(missing), system.spoiled, findings)


def judge_after_hostility(system: System, books: Dict) -> Tuple[int, List[str]]:
    """Somebody wrote into the shared memory. That may spoil frames and books, but not in silence: where a ledger and the files do not agree,
    the books or the audit say that something is wrong. How many hits were spoiled, and what nobody would have known.

    What is believed, and has to be: the facts of a frame that is written over with others that are possible as well. Its image tells us here
    which frame it is."""
    committed, perhaps = ledger.read(system.folder)
    seen = contents(system.files)
    foreign = {event for event in seen.times if event not in committed and event not in perhaps}
    renamed = {seen.strange[event] for event in foreign | {e for e, n in seen.times.items() if n > 1} if event in seen.strange}
    missing = [event for event in committed if is_hit(event) and event not in seen.times and image(event).tobytes() not in renamed]
    torn = [event for event in seen.strange if event not in foreign and seen.times[event] == 1]
    twice = [frame for frame, times in seen.frames.items() if times > 1]
    told = books["imbalance"] or books["in_flight"] or system.ctl("audit", str(system.files)).returncode != 0
    counted = sum(books["failed"].values())
    silent = []
    if not told:
        if len(missing) > counted:
            silent.append(f"{len(missing)} hits are in no file, {counted} are counted, and neither books nor audit say so: {missing[:5]}")
        for what, found in (("twice in files", twice), ("with another's image", torn)):
            if found:
                silent.append(f"{len(found)} frames are {what}, and neither books nor audit say so: {found[:5]}")
    return len(missing) + len(foreign) + len(twice) + len(torn), silent
