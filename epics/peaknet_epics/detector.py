"""PeaknetDetector: a peaknetd instance as a detector of ophyd-async (0.21 or later, so Python 3.11 or later), and a plan.

    detector = PeaknetDetector("MFX:PEAKNET:", name="peaknet")
    RE(hits_during(detector, bps.sleep(60), run_number=217))

ophyd-async's own class for odin (`OdinDataLogic`) asks for the variables of this package too, but names files as odin does
(PREFIX_000001.h5, dataset /data). So this is a data logic of our own over the same variables.

A run of peaknetd is one StreamResource, its master, which can be opened from the first finished file on. It grows by events
that a reader finds in it (FramesInFiles): StreamDatum documents name no event before it is there. How many hits will come
nobody knows before, so a plan is open-ended: `hits_during` ends the run when its inner plan has ended. With
`TriggerInfo(number_of_events=N)` `complete` ends when N events are in files.

Errors: a put that peaknetd refuses raises with its text. A run with several masters (a source with runs of its own) raises:
one StreamResource cannot show it. After a death of peaknetd the next put raises; the run goes on when peaknetd is back.
"""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Dict, List, Optional, Sequence

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResource, DataKey
from ophyd_async.core import (
    DetectorDataLogic,
    Device,
    PathProvider,
    SignalR,
    StandardDetector,
    StreamableDataProvider,
    TriggerInfo,
    wait_for_value,
)
from ophyd_async.epics.core import epics_signal_r, epics_signal_rw, epics_triggerable_command

_INVALID = -1  # as readings of Bluesky have it
_DATASET = "/entry_1/data_1/data"
_BEGIN_SECONDS, _END_SECONDS = 90.0, 150.0  # of peaknetctl, with its own patience in it


class PeaknetIO(Device):
    """The variables, by the names that ophyd-async's odin classes give them."""

    def __init__(self, prefix: str, name: str = "") -> None:
        def pv(suffix: str) -> str:
            return f"pva://{prefix}{suffix}"

        self.file_path = epics_signal_rw(str, pv("FilePath"))
        self.file_prefix = epics_signal_rw(str, pv("FilePrefix"))
        self.acquisition_id = epics_signal_rw(str, pv("AcquisitionId"))
        self.run_number = epics_signal_rw(int, pv("RunNumber"))
        self.proposal = epics_signal_rw(str, pv("Proposal"))
        self.user = epics_signal_rw(str, pv("User"))
        self.start_writing = epics_triggerable_command(pv("StartWriting"), timeout=_BEGIN_SECONDS)
        self.stop_writing = epics_triggerable_command(pv("StopWriting"), timeout=_END_SECONDS)
        self.writing = epics_signal_r(bool, pv("Writing"))
        self.frames_written = epics_signal_r(int, pv("FramesWritten"))
        self.frames_in_files = epics_signal_r(int, pv("FramesInFiles"))
        self.master_file = epics_signal_r(str, pv("MasterFile"))
        self.data_dims_0 = epics_signal_r(int, pv("DataDims0"))
        self.data_dims_1 = epics_signal_r(int, pv("DataDims1"))
        self.data_datatype = epics_signal_r(str, pv("DataDatatype"))
        self.data_compression = epics_signal_r(str, pv("DataCompression"))
        self.state = epics_signal_r(str, pv("State"))
        self.health = epics_signal_r(str, pv("Health"))
        self.error = epics_signal_r(str, pv("Error"))
        self.hit_rate = epics_signal_r(float, pv("HitRate"))
        super().__init__(name=name)


async def _shape(io: PeaknetIO) -> List[Optional[int]]:
    """Of an image in files; None where it is not known yet: with output.geometry the first file says it."""
    readings = await asyncio.gather(*[signal.read() for signal in (io.data_dims_0, io.data_dims_1)])
    return [None if one["alarm_severity"] == _INVALID else int(one["value"]) for reading in readings for one in reading.values()]


class MasterProvider(StreamableDataProvider):
    """Documents of one run."""

    def __init__(self, io: PeaknetIO, data_key: str, shape: Sequence[Optional[int]], dtype: np.dtype) -> None:
        self._io, self._data_key, self._shape, self._dtype = io, data_key, list(shape), dtype
        self.collections_written_signal: SignalR[int] = io.frames_in_files
        self._bundle: Any = None
        self._emitted = 0

    async def make_datakeys(self, collections_per_event: int) -> Dict[str, DataKey]:
        return {self._data_key: DataKey(source=self._io.master_file.source, shape=[collections_per_event, *self._shape], dtype="array",
                                        dtype_numpy=self._dtype.str, external="STREAM:")}

    async def make_stream_docs(self, collections_written: int, collections_per_event: int) -> AsyncIterator[StreamAsset]:
        events = collections_written // collections_per_event
        if events <= self._emitted:
            return
        if self._bundle is None:
            master = await self._io.master_file.get_value()
            if not master:
                raise RuntimeError("this run has several masters, one for each run of its source, and one StreamResource shows one")
            self._bundle = ComposeStreamResource()(
                mimetype="application/x-hdf5", uri=f"file://localhost{master}", data_key=self._data_key,
                parameters={"dataset": _DATASET, "chunk_shape": (1, *await _shape(self._io))}, uid=None, validate=True)
            yield "stream_resource", self._bundle.stream_resource_doc
        indices = {"start": self._emitted, "stop": events}
        self._emitted = events
        yield "stream_datum", self._bundle.compose_stream_datum(indices)


class MasterLogic(DetectorDataLogic):
    def __init__(self, io: PeaknetIO, path_provider: Optional[PathProvider] = None) -> None:
        self._io, self._path_provider = io, path_provider

    async def prepare_unbounded(self, datakey_name: str) -> StreamableDataProvider:
        if self._path_provider is not None:  # the name of a run is the part of its files' names that can be chosen
            path = self._path_provider(datakey_name)
            await self._io.file_path.set(str(path.directory_path))
            await self._io.acquisition_id.set(path.filename)
        await self._io.start_writing.trigger()
        await wait_for_value(self._io.writing, True, timeout=_BEGIN_SECONDS)
        shape, dtype = await asyncio.gather(_shape(self._io), self._io.data_datatype.get_value())
        return MasterProvider(self._io, datakey_name, shape, np.dtype(dtype))

    async def stop(self) -> None:
        await self._io.stop_writing.trigger()

    def get_hinted_fields(self, datakey_name: str) -> Sequence[str]:
        return [datakey_name]


class PeaknetDetector(StandardDetector):
    """`path_provider`: its directory must be output.dir, its file name names the run; without one peaknetd names it."""

    def __init__(self, prefix: str, path_provider: Optional[PathProvider] = None, name: str = "") -> None:
        self.io = PeaknetIO(prefix)
        self.add_detector_logics(MasterLogic(self.io, path_provider))
        self.add_config_signals(self.io.data_compression, self.io.file_path, self.io.file_prefix)
        super().__init__(name=name)


def hits_during(detector: PeaknetDetector, inner: Any, run_number: Optional[int] = None, proposal: Optional[str] = None,
                user: Optional[str] = None, md: Optional[Dict[str, Any]] = None) -> Any:
    """A plan: a run of peaknetd around the plan `inner`, and its hits as the stream "hits" of a run of Bluesky."""

    @bpp.stage_decorator([detector])
    @bpp.run_decorator(md=md or {})
    def around() -> Any:
        for signal, value in ((detector.io.run_number, run_number), (detector.io.proposal, proposal), (detector.io.user, user)):
            if value is not None:
                yield from bps.abs_set(signal, value, wait=True)
        yield from bps.prepare(detector, TriggerInfo(number_of_events=0), wait=True)
        yield from bps.declare_stream(detector, name="hits", collect=True)
        yield from bps.kickoff(detector, wait=True)
        yield from inner
        yield from bps.trigger(detector.io.stop_writing, wait=True)
        yield from bps.complete(detector, wait=True)
        yield from bps.collect(detector, name="hits")

    return (yield from around())
