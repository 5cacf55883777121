"""Was anything lost, doubled, spoiled or invented? Three witnesses that know nothing of each other: the producers' ledgers, the files as
h5py reads them, and the books with peaknetctl audit."""
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import List

import h5py
import numpy as np

import ledger
from frames import image, is_hit
from system import Broken, System


@dataclass
class Verdict:
    committed: int = 0  # by the ledgers, for certain
    perhaps: int = 0  # of producers that were killed between commit and ledger
    in_files: int = 0
    set_aside: int = 0  # after several processes died over them: failed{quarantined}, by the books
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


def judge(system: System) -> Verdict:
    committed, perhaps = ledger.read(system.folder)
    found: Counter = Counter()
    findings: List[str] = []
    every_finished_file_is_whole(system.files)
    for path in finished(system.files):
        with h5py.File(path, "r") as file:
            ids = file["/entry_1/peaknet/event_id"][:]
            for row, event_id in enumerate(map(int, ids)):
                found[event_id] += 1
                if not np.array_equal(file["/entry_1/data_1/data"][row].reshape(image(event_id).shape), image(event_id)):
                    findings.append(f"{path.name} row {row}: the image of event {event_id} is another one")
    doubled = [event for event, times in found.items() if times > 1]
    foreign = [event for event in found if event not in committed and event not in perhaps]
    empty = [event for event in found if not is_hit(event)]
    missing = [event for event in committed if is_hit(event) and event not in found]
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
    return Verdict(len(committed), len(perhaps), sum(found.values()), len(missing), findings)
