"""From documents of peaknetctl to what the variables show. Pure functions."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping

from .ctl import Document
from .masters import Master
from .variables import INVALID, MAJOR, MINOR, NO_ALARM, Reading

_HEALTH = {"healthy": NO_ALARM, "degraded": MINOR, "failing": MAJOR}
_STATE = {"failed": MAJOR, "absent": MAJOR, "starting": MINOR}
_RATES = {"CommittedRate": "committed_per_s", "InferredRate": "inferred_per_s", "WrittenRate": "written_per_s", "FilteredRate": "filtered_per_s"}
NO_MASTER = Reading("", INVALID, "no file of this run is finished yet")
NOT_SAID = "not said when the run began"


def _known(value: Any, instead: Any, why_not: str) -> Reading:
    """A value of a document, where None says that it is not known."""
    return Reading(instead, INVALID, why_not) if value is None else Reading(value)


def is_writing(status: Document) -> bool:
    return status.get("state") in ("running", "draining")


def of_daemon(status: Document) -> Dict[str, Reading]:
    """What is true of a peaknetd that is dead too."""
    state = status.get("state")
    health: Mapping[str, Any] = status.get("health") or {}
    reasons = health.get("reasons") or []
    severity = _HEALTH.get(health.get("state", ""), INVALID)
    first = f"{reasons[0].get('what', '')} [{reasons[0].get('id', '')}]" if reasons else ""
    why = "; ".join(f"{r.get('what', '')}; try: {r.get('remedy', '')} [{r.get('id', '')}]" for r in reasons)
    return {"State": Reading(state, _STATE.get(str(state), NO_ALARM), f"peaknetd is {state}" if state in _STATE else ""),
            "Health": Reading(health.get("state", ""), severity, first),
            "HealthReason": Reading(why, severity)}


def of_run(status: Document) -> Dict[str, Reading]:
    frames = status["frames"]
    shown = {"FramesWritten": Reading(frames["written"]), "FramesCommitted": Reading(frames["committed"]),
             "FramesFiltered": Reading(frames["filtered"]), "FramesDropped": Reading(sum(frames["dropped"].values())),
             "FramesFailed": Reading(sum(frames["failed"].values())), "FramesInFlight": Reading(frames["in_flight"]),
             "HitRate": _known(status.get("hit_rate"), math.nan, "no frame of this run was looked at yet"), "Writing": Reading(is_writing(status))}
    for name, key in _RATES.items():
        shown[name] = _known(status["rates"].get(key), math.nan, "not known")
    return shown


def of_said(status: Document) -> Dict[str, Reading]:
    """What was said of the run when it began."""
    run = status["run"]
    return {"AcquisitionId": _known(run.get("id") or None, "", "there was no run yet"), "RunNumber": _known(run.get("number"), -1, NOT_SAID),
            "Proposal": _known(run.get("proposal"), "", NOT_SAID), "User": _known(run.get("user"), "", NOT_SAID)}


def of_output(config: Mapping[str, Any], status: Document) -> Dict[str, Reading]:
    output = config["output"]
    shown = {"FilePath": Reading(output["dir"]), "FilePrefix": Reading(output["file_prefix"]),
             "DataCompression": Reading(output["compression"])}
    pool = status.get("pool")
    if pool is None:
        return {**shown, **dict.fromkeys(("DataDatatype", "DataDims0", "DataDims1"), Reading(None, INVALID, "peaknetd has made no pool yet"))}
    panels, height, width = pool["shape"]
    shown["DataDatatype"] = Reading(pool["dtype"])
    if output["geometry"]:  # the places of its panels are the writer's to know; the master says them
        return {**shown, **dict.fromkeys(("DataDims0", "DataDims1"), Reading(None, INVALID, "known from the first file on: output.geometry places panels"))}
    return {**shown, "DataDims0": Reading(panels * height), "DataDims1": Reading(width)}


def of_masters(found: List[Master]) -> Dict[str, Reading]:
    """Of a run. A source with runs of its own has one for each of them."""
    shown = {"FramesInFiles": Reading(sum(master.events for master in found))}
    if not found:
        return {**shown, "MasterFile": NO_MASTER}
    if len(found) == 1:
        height, width = found[0].shape
        return {**shown, "MasterFile": Reading(str(found[0].path)), "DataDims0": Reading(height), "DataDims1": Reading(width)}
    names = ", ".join(sorted(master.path.name for master in found))
    return {**shown, "MasterFile": Reading("", MAJOR, f"this run has {len(found)} masters, one for each run of its source: {names}")}
