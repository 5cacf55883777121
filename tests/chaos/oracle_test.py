"""Does the verdict of the chaos test bite? A good run is spoiled in one way at a time, and each way must be found."""
import os
import shutil
import signal
import sys
import unittest
from pathlib import Path

import h5py

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ledger  # noqa: E402
import oracle  # noqa: E402
from frames import is_hit  # noqa: E402
from system import Broken, System  # noqa: E402


class OracleTest(unittest.TestCase):
    def setUp(self) -> None:
        self.system = System(Path(os.environ["PEAKNET_BIN_DIR"]), writers=1, producers=1)
        self.addCleanup(lambda: self.system.remove(keep=False))
        for program in (self.system.daemon, *self.system.writers, *self.system.producers):  # the feed keeps no ledger
            self.system.start(program)
        self.system.settled("wait", "--for", "running", "--timeout", "60s")
        while len(oracle.finished(self.system.files)) < 2:
            self.system.mend()
        self.system.end(self.system.producers[0], signal.SIGTERM)
        self.system.settled("stop", "--timeout", "60s")
        self.assertEqual(oracle.judge(self.system).findings, [])
        self.file, self.other = oracle.finished(self.system.files)[:2]

    def found(self) -> str:
        return "\n".join(oracle.judge(self.system).findings)

    def test_a_good_run_is_good_and_each_way_to_spoil_it_is_found(self) -> None:
        committed, perhaps = ledger.read(self.system.folder)
        self.assertGreater(len(committed), 100)
        self.assertEqual(perhaps, set())
        aside = self.system.folder / "aside"

        with self.subTest("a file is gone"):
            shutil.move(self.file, aside)
            self.assertRegex(self.found(), r"hits are in no file(.|\n)*peaknetctl audit")
            shutil.move(aside, self.file)

        with self.subTest("a frame is written twice"):
            copy = self.file.with_name(self.file.name.replace("_chunk", "_again_chunk"))
            shutil.copy(self.file, copy)
            self.assertRegex(self.found(), r"in more than one place(.|\n)*peaknetctl audit")
            copy.unlink()

        with self.subTest("a pixel is another one"):
            shutil.copy(self.file, aside)
            with h5py.File(self.file, "r+") as file:
                file["/entry_1/data_1/data"][0, 3, 3] += 1
            self.assertRegex(self.found(), r"the image of event \d+ is another one(.|\n)*peaknetctl audit")
            shutil.move(aside, self.file)

        with self.subTest("a file is cut"):
            shutil.copy(self.file, aside)
            os.truncate(self.file, self.file.stat().st_size // 2)
            with self.assertRaisesRegex(Broken, "does not open|events"):
                self.found()
            shutil.move(aside, self.file)

        with self.subTest("a frame that nobody made"):
            with h5py.File(self.file, "r") as file:
                event = int(file["/entry_1/peaknet/event_id"][0])
            path = next(self.system.folder.glob("*.ledger"))
            records = path.read_bytes()
            path.write_bytes(b"".join(records[i : i + 8] for i in range(0, len(records), 8)
                                      if int.from_bytes(records[i : i + 8], "little") & (1 << 60) - 1 != event))
            self.assertIn("that no producer made", self.found())
            path.write_bytes(records)

        with self.subTest("a commit of which no file knows"):
            lost = max(committed) + 1
            while not is_hit(lost):
                lost += 1
            ledger.Ledger(path).write(lost, ledger.COMMITTED)
            self.assertIn("hits are in no file", self.found())


if __name__ == "__main__":
    unittest.main()
