"""The process variables of a running system, asked by p4p: they are what peaknetctl says, runs begin and end by them, and what
fails or is not known is an alarm.

    epics_test.py FOLDER-OF-PROGRAMS

Skipped (77) where p4p is not installed.
"""
import argparse
import math
import os
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from epics_system import PACKAGES, SOURCE, Client, System, skip_without

skip_without("p4p", "h5py", "numpy", "scipy", "yaml")
os.environ["PEAKNET_SHM_LIBRARY"] = str(Path(sys.argv[1]).parent / "lib" / "libpeaknet_shm.so.2")
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import peaknet_shm  # noqa: E402
from p4p.client.thread import RemoteError  # noqa: E402
from peaknet_epics import readings  # noqa: E402
from peaknet_epics.ctl import Ctl, Refused  # noqa: E402
from peaknet_epics.images import peaks_in  # noqa: E402
from peaknet_epics.masters import Masters  # noqa: E402
from peaknet_epics.server import Server  # noqa: E402
from peaknet_epics.variables import INVALID, MAJOR, MINOR, NO_ALARM, SPECS  # noqa: E402

PROGRAMS = sys.argv[1]
ENDED = {"FramesWritten": ("written",), "FramesCommitted": ("committed",), "FramesFiltered": ("filtered",), "FramesInFlight": ("in_flight",)}


class RunningSystem(unittest.TestCase):
    def setUp(self):
        self.system = System(PROGRAMS, run_name="{proposal}_{run_number}_{run}")
        self.addCleanup(self.system.end)

    def start_all(self, *arguments):
        self.system.start_daemon()
        self.system.start_writer()
        return self.start_epics(*arguments)

    def start_epics(self, *arguments):
        self.system.start_epics(*arguments)
        client = Client(self.system)
        self.addCleanup(client.close)
        return client

    def refused(self, client, name, value=True):
        with self.assertRaises(RemoteError) as refusal:
            client.put(name, value)
        return str(refusal.exception)

    def test_a_run_begins_and_ends_and_its_numbers_are_those_of_peaknetctl(self):
        client = self.start_all()
        self.assertEqual(client.until("State", lambda v: v == "idle").severity, NO_ALARM)
        self.assertFalse(client.get("Writing"))
        client.put("RunNumber", 217)
        client.put("Proposal", "mfxl1038923")
        client.put("User", "lysozyme, jet 2")
        client.put("AcquisitionId", "A7")
        self.assertEqual(client.get("RunNumber").raw.alarm.message, "for the next run")
        client.put("StartWriting", True)
        self.assertTrue(client.get("Writing"))
        self.assertEqual(client.get("FramesWritten"), 0)
        self.system.feed("--frames", 40, "--hit-fraction", 0.5)
        client.put("StopWriting", True)
        self.assertFalse(client.get("Writing"))
        stats = self.system.stats()
        self.assertEqual(stats["frames"]["committed"], 40)
        self.assertGreater(stats["frames"]["written"], 0)
        for name, (key,) in ENDED.items():
            value = client.get(name)
            self.assertEqual((value, value.severity), (stats["frames"][key], NO_ALARM), name)
        self.assertEqual(client.get("FramesInFiles"), stats["frames"]["written"])
        self.assertEqual(client.get("HitRate"), stats["hit_rate"])
        for name, key in (("AcquisitionId", "run"), ("RunNumber", "run_number"), ("Proposal", "proposal"), ("User", "user")):
            value = client.get(name)
            self.assertEqual((value, value.severity), (stats[key], NO_ALARM), name)
        self.assertIn("StartWriting asked by ", (self.system.folder / "epics.log").read_text())
        self.system.ctl("audit", str(self.system.files))  # which takes the new names, and proves that nothing was lost
        self.assertEqual((stats["run"], stats["run_number"], stats["proposal"], stats["user"]), ("A7", 217, "mfxl1038923", "lysozyme, jet 2"))
        master = Path(client.text("MasterFile"))
        self.assertEqual(master.name, "epics_runmfxl1038923_217_A7_master.cxi")
        with h5py.File(master) as file:
            said = file["/entry_1/peaknet"].attrs
            self.assertEqual((said["run_number"], said["proposal"], said["user"]), (217, "mfxl1038923", "lysozyme, jet 2"))
            self.assertEqual(file["/entry_1/title"][()].decode(), "lysozyme, jet 2")
            self.assertEqual(file["/entry_1/data_1/data"].shape, (stats["frames"]["written"], client.get("DataDims0"), client.get("DataDims1")))
            self.assertEqual(file["/entry_1/data_1/data"].dtype, np.dtype(client.text("DataDatatype")))

    def test_files_that_say_what_was_said_of_their_run_are_replayed(self):
        client = self.start_all()
        client.put("User", "to be replayed")
        client.put("StartWriting", True)
        self.system.feed("--frames", 20, "--hit-fraction", 1)
        client.put("StopWriting", True)
        master = client.text("MasterFile")
        client.put("StartWriting", True)
        self.assertEqual(client.get("User").severity, INVALID, "the next run is another")
        self.system.feed(master, command="replay")
        client.put("StopWriting", True)
        self.assertEqual(client.get("FramesWritten"), 20)
        with h5py.File(master) as before, h5py.File(client.text("MasterFile")) as after:
            images = [sorted(image.tobytes() for image in file["/entry_1/data_1/data"]) for file in (before, after)]
            self.assertEqual(images[0], images[1])

    def test_frames_written_is_0_before_a_run_is_writing(self):
        client = self.start_all()
        client.put("StartWriting", True)
        self.system.feed("--frames", 10, "--hit-fraction", 1)
        client.put("StopWriting", True)
        self.assertEqual(client.get("FramesWritten"), 10)
        self.system.ctl("start")  # also where somebody else begins it
        client.until("Writing", bool)
        self.assertEqual((client.get("FramesWritten"), client.get("FramesInFiles")), (0, 0))
        self.assertEqual(client.get("HitRate").severity, INVALID)
        self.assertTrue(math.isnan(client.get("HitRate")))

    def test_what_was_not_said_of_a_run_is_an_alarm_and_no_0(self):
        client = self.start_all()
        client.put("StartWriting", True)
        for name, instead in (("RunNumber", -1), ("Proposal", ""), ("User", "")):
            value = client.get(name)
            self.assertEqual((value, value.severity, value.raw.alarm.message), (instead, INVALID, "not said when the run began"), name)

    def test_a_start_that_is_refused_says_why(self):
        self.system.start_daemon()
        client = self.start_epics()
        said = self.refused(client, "StartWriting")
        self.assertIn("[start.no-writer]", said)
        self.assertEqual((client.text("Error"), client.get("Error").severity), (said, MAJOR))
        self.system.start_writer()
        for text in ("two\nlines", "\x1b[31m", "x" * 300):
            self.assertIn("[epics.bad-text]", self.refused(client, "User", text))
        client.put("Proposal", "../../etc")
        self.assertIn("[start.bad-proposal]", self.refused(client, "StartWriting"))
        self.assertFalse(client.get("Writing"))
        client.put("Proposal", "")
        client.put("StartWriting", True)
        self.assertEqual((client.get("Error"), client.get("Error").severity), ("", NO_ALARM))
        self.assertIn("[start.running]", self.refused(client, "StartWriting"))
        self.assertTrue(client.get("Writing"))

    def test_folder_and_prefix_are_those_of_the_configuration(self):
        client = self.start_all()
        self.assertEqual(client.until("FilePath", lambda v: v.severity == NO_ALARM), str(self.system.files))
        client.put("FilePath", f"{self.system.files}/")
        self.assertIn("[epics.fixed]", self.refused(client, "FilePath", "/tmp"))
        client.put("FilePrefix", "epics")
        self.assertIn("[epics.fixed]", self.refused(client, "FilePrefix", "other"))

    def test_the_newest_hit_is_an_image(self):
        client = self.start_all()
        self.assertEqual(client.get("Image").severity, INVALID)
        client.put("StartWriting", True)
        self.system.feed("--frames", 20, "--hit-fraction", 1)
        image = client.until("Image", lambda v: v.severity == NO_ALARM)
        self.assertEqual((image.shape, image.dtype), ((2 * 64, 128), np.uint16))
        self.assertGreaterEqual(image.attrib["peaks"], 3)
        self.assertEqual(image.attrib["run"], self.system.stats()["run"])
        client.put("StopWriting", True)
        with h5py.File(client.text("MasterFile")) as file:
            row = list(file["/entry_1/peaknet/event_id"]).index(image.attrib["event_id"])
            np.testing.assert_array_equal(file["/entry_1/data_1/data"][row], image)

    def test_a_death_of_peaknetd_is_seen_with_its_time_and_its_return_too(self):
        client = self.start_all()
        client.put("StartWriting", True)
        self.system.feed("--frames", 10, "--hit-fraction", 1)
        client.until("FramesWritten", lambda v: v == 10)
        before = client.get("FramesWritten").timestamp
        self.system.kill("daemon")
        dead = client.until("FramesWritten", lambda v: v.severity == INVALID)
        self.assertEqual((dead, dead.raw.alarm.message), (10, "no peaknetd is running"))
        self.assertGreater(dead.timestamp, before)
        state = client.until("State", lambda v: v == "absent")
        self.assertEqual(state.severity, MAJOR)
        self.assertEqual(client.get("Health"), "failing")
        client.until("Image", lambda v: v.severity == INVALID)
        self.assertIn("[control.not-running]", self.refused(client, "StopWriting"))
        self.assertEqual(client.get("FramesWritten").timestamp, dead.timestamp, "since when, not how lately it was seen")
        self.system.start("daemon", [self.system.programs / "peaknetd"], "--config", self.system.config)
        alive = client.until("Writing", lambda v: v.severity == NO_ALARM and v)
        self.assertTrue(alive)  # the run that was not ended goes on
        client.until("FramesWritten", lambda v: v.severity == NO_ALARM and v == 10)
        client.put("StopWriting", True)
        self.assertEqual(client.get("FramesInFiles"), 10)

    def test_a_peaknetd_that_hangs_is_failing_and_recovers(self):
        client = self.start_all()
        client.until("Health", lambda v: v == "healthy")
        daemon = self.system.processes["daemon"]
        daemon.send_signal(signal.SIGSTOP)
        hung = client.until("Health", lambda v: v == "failing")
        self.assertEqual(hung.severity, MAJOR)
        self.assertIn("[health.heartbeat]", client.text("HealthReason"))
        daemon.send_signal(signal.SIGCONT)
        client.until("Health", lambda v: v == "healthy" and v.severity == NO_ALARM)

    def test_a_source_with_runs_of_its_own_has_several_masters_and_that_is_said(self):
        client = self.start_all()
        client.put("StartWriting", True)
        with peaknet_shm.Producer.attach(self.system.instance, label="two runs") as producer:
            image = np.zeros((2, 64, 128), np.uint16)
            image[0, 5, 5::20] = 1000
            for event, source_run in enumerate(("r1", "r1", "r2")):
                producer.put(image, peaknet_shm.Info(event_id=event, source_run=source_run), timeout=30)
        client.put("StopWriting", True)
        master = client.get("MasterFile")
        self.assertEqual((master.raw.value, master.severity), ("", MAJOR))
        for source_run in ("r1", "r2"):
            self.assertIn(f".{source_run}_master.cxi", master.raw.alarm.message)
        self.assertEqual(client.get("FramesInFiles"), 3)

    def test_it_may_be_there_before_the_instance(self):
        client = self.start_epics()
        self.assertEqual(client.until("State", lambda v: v.severity == MAJOR), "absent")
        self.assertEqual(client.get("FramesWritten").severity, INVALID)
        self.system.start_daemon()
        client.until("State", lambda v: v == "idle")
        client.until("FramesCommitted", lambda v: v.severity == NO_ALARM and v == 0)

    def test_killed_and_started_again_it_knows_the_run_and_not_what_was_put_for_the_next(self):
        client = self.start_all()
        client.put("RunNumber", 5)
        client.put("StartWriting", True)
        client.put("RunNumber", 6)
        self.system.kill("epics")
        client = self.start_epics()
        self.assertTrue(client.until("Writing", lambda v: v.severity == NO_ALARM))
        self.assertEqual(client.until("RunNumber", lambda v: v.severity == NO_ALARM), 5)

    def test_read_only_refuses_every_put(self):
        client = self.start_all("--read-only")
        for name, spec in SPECS.items():
            if spec.settable or spec.command:
                self.assertIn("[epics.read-only]", self.refused(client, name, 1 if spec.kind in "l?" else "x"), name)

    def test_health_is_that_of_peaknetctl(self):
        self.system.start_daemon()
        client = self.start_epics()
        self.system.ctl("start", "--no-writer")
        self.system.feed("--frames", 5, "--hit-fraction", 1)
        client.until("Health", lambda v: v == "failing" and v.severity == MAJOR)
        self.assertIn("[health.no-writer]", client.get("HealthReason"))

    def test_it_ends_with_0_when_it_is_told(self):
        epics = self.system.start_epics()
        epics.terminate()
        self.assertEqual(epics.wait(), 0)


class ScriptedCtl:
    """Says these documents one after another."""

    def __init__(self, documents):
        self.documents = documents

    def ask(self, *arguments):
        if arguments == ("config", "show"):
            raise Refused("config.unknown", "not in this test")
        return self.documents.pop(0)


def status(ordinal, written, state="running"):
    frames = {"written": written, "committed": written, "filtered": 0, "dropped": {}, "failed": {}, "in_flight": 0}
    return {"state": state, "daemon": {"alive": True, "starts": 1}, "run": {"id": f"R{ordinal}", "ordinal": ordinal}, "frames": frames, "rates": {}}


class Looks(unittest.TestCase):
    """What is shown of documents that peaknetd gives."""

    def server(self, *documents):
        options = argparse.Namespace(instance="x", prefix="X:", interface="127.0.0.1", port=0, search_port=0, read_only=False, every=1,
                                     image_every=1)
        server = Server(ScriptedCtl(list(documents)), options)
        self.addCleanup(server.close)
        self.shown = []
        for name in ("Writing", "FramesWritten"):
            variable = server.board.variables[name]
            variable.show = lambda reading, name=name, show=variable.show: (self.shown.append((name, reading.value)), show(reading))
        return server

    def test_a_document_read_across_the_begin_of_a_run_shows_no_number_of_the_run_before(self):
        server = self.server(status(1, 10), status(1, 10), status(2, 10), status(2, 0))
        server.watch.look()
        self.assertEqual(self.shown[-2:], [("FramesWritten", 10), ("Writing", True)])
        self.shown.clear()
        server.watch.look()
        self.assertEqual(self.shown, [("Writing", False), ("FramesWritten", 0), ("FramesWritten", 0), ("Writing", True)])

    def test_numbers_are_put_right_before_writing_is_seen_to_end(self):
        server = self.server(status(1, 0), status(1, 0), status(1, 7, "idle"))
        server.watch.look()
        server.watch.look()
        self.assertEqual(self.shown[-2:], [("FramesWritten", 7), ("Writing", False)])

    def test_a_document_of_another_form_leaves_nothing_that_looks_alive(self):
        server = self.server(status(1, 5), status(1, 5), {"schema": "peaknet.status/9"}, status(1, 6))
        server.watch.look()
        server.watch.look()
        for name in ("State", "Writing", "FramesWritten", "HitRate"):
            self.assertEqual(server.board.variables[name].shown().severity, INVALID, name)
        server.watch.look()
        self.assertEqual(server.board.variables["FramesWritten"].shown().value, 6)

    def test_an_instance_that_was_made_anew_begins_its_runs_anew(self):
        again = status(1, 10)
        again["run"]["started"] = "2026-11-30T20:00:00.000Z"
        after = {**again, "frames": {**again["frames"], "written": 0}}
        server = self.server(status(1, 10), status(1, 10), again, after)
        server.watch.look()
        self.shown.clear()
        server.watch.look()
        self.assertEqual(self.shown, [("Writing", False), ("FramesWritten", 0), ("FramesWritten", 0), ("Writing", True)])

    def test_a_second_run_between_two_documents_is_for_the_next_look(self):
        server = self.server(status(1, 5), status(2, 5))
        server.watch.look()
        self.assertNotIn(("FramesWritten", 5), self.shown)
        self.assertNotIn(("Writing", True), self.shown)


class CommandLine(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([sys.executable, "-m", "peaknet_epics", *arguments], capture_output=True, text=True,
                              env=dict(os.environ, PYTHONPATH=os.pathsep.join(PACKAGES), PYTHONDONTWRITEBYTECODE="1"))

    def test_help_is_0_and_a_wrong_line_2(self):
        self.assertEqual(self.run_it("--help").returncode, 0)
        self.assertEqual(self.run_it().returncode, 2)
        self.assertEqual(self.run_it("--instance", "a", "--every", "nan").returncode, 2)
        missing = self.run_it("--instance", "a", "--peaknetctl", "/no/such")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("there is no program /no/such", missing.stderr)

    def test_an_address_that_is_not_here_is_1(self):
        done = self.run_it("--instance", "a", "--peaknetctl", f"{PROGRAMS}/peaknetctl", "--interface", "203.0.113.1")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("203.0.113.1", done.stderr)


class Pieces(unittest.TestCase):
    STATUS = {"state": "running", "health": {"state": "degraded", "reasons": [{"id": "health.disk", "what": "full soon", "remedy": "make room"}]}}

    def test_health_gives_the_severity(self):
        shown = readings.of_daemon(self.STATUS)
        self.assertEqual((shown["Health"].value, shown["Health"].severity, shown["Health"].message), ("degraded", MINOR, "full soon [health.disk]"))
        self.assertIn("make room", shown["HealthReason"].value)

    def test_peaks_touch_by_corners_and_not_across_panels(self):
        mask = np.zeros((2, 4, 4), bool)
        mask[0, 0, 0] = mask[0, 1, 1] = mask[0, 3, 3] = mask[1, 0, 3] = True
        self.assertEqual(peaks_in(mask), 3)

    def test_a_program_that_says_nothing_is_an_error_with_its_exit_code(self):
        with self.assertRaises(Refused) as refusal:
            Ctl("/bin/false", []).ask("status")
        self.assertIn("ended with 1", str(refusal.exception))
        with self.assertRaises(Refused) as refusal:
            Ctl("/no/such/program", []).ask("status")
        self.assertIn("[epics.no-peaknetctl]", str(refusal.exception))

    def test_its_version_is_that_of_peaknetd(self):
        said = re.search(r'^version = "(.*)"', (SOURCE / "epics" / "pyproject.toml").read_text(), re.MULTILINE)
        project = re.search(r"project\(peaknetd VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text())
        self.assertEqual(said[1], project[1])

    def test_every_variable_is_in_the_document(self):
        document = (SOURCE / "docs" / "epics.md").read_text()
        self.assertEqual([name for name in (*SPECS, "Image") if f"`{name}`" not in document], [])

    def test_a_folder_that_is_not_there_has_no_masters(self):
        self.assertEqual(Masters(Path("/no/such/folder"), "p").of("1", 0.0), [])


unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
