"""A Bluesky plan takes hits from a running system through ophyd-async: StreamResource and StreamDatum lead to the events of our files.

    bluesky_test.py FOLDER-OF-PROGRAMS

Skipped (77) where ophyd-async and bluesky are not installed.
"""
import os
import socket
import sys
import tempfile
import unittest
from urllib.parse import urlparse

from epics_system import System, skip_without

skip_without("p4p", "bluesky", "ophyd_async.core", "h5py", "scipy", "yaml")
import bluesky.plan_stubs as bps  # noqa: E402
import bluesky.preprocessors as bpp  # noqa: E402
import h5py  # noqa: E402
from bluesky.run_engine import RunEngine  # noqa: E402
from bluesky.utils import FailedStatus  # noqa: E402
from ophyd_async.core import StaticFilenameProvider, StaticPathProvider, TriggerInfo, init_devices  # noqa: E402
from peaknet_epics.detector import PeaknetDetector, hits_during  # noqa: E402

PROGRAMS = sys.argv[1]
with socket.create_server(("127.0.0.1", 0)) as free:  # ophyd-async has one client for the whole process, which keeps its address
    PORT = free.getsockname()[1]


class Plans(unittest.TestCase):
    def setUp(self):
        self.begin(events_per_file=4)

    def begin(self, **output):
        self.system = System(PROGRAMS, **output)
        self.addCleanup(self.system.end)
        self.system.start_daemon()
        self.system.start_writer()
        self.system.start_epics(port=PORT)
        os.environ.update(self.system.client_environment())
        self.documents = []
        self.engine = RunEngine()
        self.engine.subscribe(lambda name, document: self.documents.append((name, document)))

    def detector(self, path_provider=None):
        with init_devices(timeout=60):  # a client that lost its server looks for it at growing intervals
            peaknet = PeaknetDetector(self.system.prefix, path_provider, name="peaknet")
        return peaknet

    def of(self, name):
        return [document for kind, document in self.documents if kind == name]

    def feeding(self, frames):
        self.system.feed("--frames", frames, "--hit-fraction", 1)
        yield from bps.null()

    def test_the_hits_of_a_run_are_a_stream(self):
        peaknet = self.detector(StaticPathProvider(StaticFilenameProvider("B1"), self.system.files))
        self.engine(hits_during(peaknet, self.feeding(10), run_number=9, proposal="mfxl1", user="first light", md={"sample": "lysozyme"}))
        written = self.system.stats()["frames"]["written"]
        self.assertEqual(written, 10)
        (resource,) = self.of("stream_resource")
        self.assertEqual(resource["mimetype"], "application/x-hdf5")
        self.assertEqual(urlparse(resource["uri"]).path, str(self.system.files / "epics_runB1_master.cxi"))
        ranges = [(datum["indices"]["start"], datum["indices"]["stop"]) for datum in self.of("stream_datum")]
        self.assertEqual((ranges[0][0], ranges[-1][1]), (0, written))
        self.assertEqual([a[1] for a in ranges[:-1]], [b[0] for b in ranges[1:]], "no event twice, none left out")
        (descriptor,) = self.of("descriptor")
        key = descriptor["data_keys"]["peaknet"]
        with h5py.File(urlparse(resource["uri"]).path) as file:
            images = file[resource["parameters"]["dataset"]]
            self.assertEqual((images.shape, images.dtype.str), ((written, *key["shape"][1:]), key["dtype_numpy"]))
            self.assertTrue(all(images[row].any() for row in range(written)), "the pixels are there, and not the value for absent ones")
            self.assertEqual(file["/entry_1/peaknet"].attrs["run_number"], 9)
        self.assertEqual(self.of("stop")[0]["exit_status"], "success")
        self.assertEqual(self.system.stats()["state"], "idle")

    def test_a_stream_grows_while_the_run_goes_on(self):
        peaknet = self.detector()

        @bpp.stage_decorator([peaknet])
        @bpp.run_decorator()
        def plan():
            yield from bps.prepare(peaknet, TriggerInfo(number_of_events=8, exposure_timeout=60), wait=True)
            yield from bps.declare_stream(peaknet, name="hits", collect=True)
            yield from bps.kickoff(peaknet, wait=True)
            yield from self.feeding(4)
            for frames in (0, 4):
                if frames:
                    yield from self.feeding(frames)
                seen = len(self.of("stream_datum"))
                while len(self.of("stream_datum")) == seen:  # each file of 4 comes into the master by itself
                    yield from bps.collect(peaknet, name="hits")
                    yield from bps.sleep(0.1)
            self.assertEqual(self.system.stats()["state"], "running")
            yield from bps.complete(peaknet, wait=True)

        self.engine(plan())
        self.assertEqual([(d["indices"]["start"], d["indices"]["stop"]) for d in self.of("stream_datum")], [(0, 4), (4, 8)])
        self.assertEqual(len(self.of("stream_resource")), 1)

    def test_the_shape_that_a_geometry_gives_is_known_with_the_first_file(self):
        self.doCleanups()
        panels = "".join(f"p{i}/min_fs = 0\np{i}/max_fs = 127\np{i}/min_ss = {70 * i}\np{i}/max_ss = {70 * i + 63}\np{i}/corner_x = 0\n"
                         f"p{i}/corner_y = {70 * i}\np{i}/fs = x\np{i}/ss = y\n" for i in range(2))
        with tempfile.NamedTemporaryFile("w", suffix=".geom") as geometry:
            geometry.write(f"clen = 0.1\nres = 10000\nphoton_energy = 9500\ndata = /entry_1/data_1/data\ndim0 = %\ndim1 = ss\ndim2 = fs\n{panels}")
            geometry.flush()
            self.begin(geometry=geometry.name)
            self.engine(hits_during(self.detector(), self.feeding(5)))
        self.assertEqual(self.of("descriptor")[0]["data_keys"]["peaknet"]["shape"], [1, None, None], "not known is not 0")
        (resource,) = self.of("stream_resource")
        with h5py.File(urlparse(resource["uri"]).path) as file:
            shape = file[resource["parameters"]["dataset"]].shape
        self.assertEqual((tuple(resource["parameters"]["chunk_shape"]), shape), ((1, 134, 128), (5, 134, 128)))

    def test_a_refusal_of_peaknetd_ends_the_plan_with_its_text(self):
        peaknet = self.detector()
        with self.assertRaises(FailedStatus) as failed:
            self.engine(hits_during(peaknet, self.feeding(1), proposal="../x"))
        self.assertIn("start.bad-proposal", repr(failed.exception.__cause__ or failed.exception))
        self.assertEqual(self.of("stop")[0]["exit_status"], "fail")


unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
