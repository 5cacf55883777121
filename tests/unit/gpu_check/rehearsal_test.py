"""scripts/gpu-check from the bundle to the table on simulated devices, and that its exit code is true where something is wrong.

  rehearsal_test.py BUILD_FOLDER
"""
import json
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts/gpu_check"))
from rehearsal import rehearse  # noqa: E402
from machine import DRIVER_DEVICE  # noqa: E402

BUILD = Path(sys.argv.pop(1)).resolve()
NEEDS_LIBTORCH = {"chain-contrast", "precisions"}
SKIPPING = """#!/bin/sh
for argument; do case $argument in --gtest_output=json:*) report=${argument#--gtest_output=json:} ;; esac; done
echo '{"testsuites": [{"testsuite": [{"name": "one", "result": "SKIPPED"}, {"name": "two", "result": "COMPLETED"}]}]}' > "$report"
"""


class RehearsalTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.output = self.folder / "results.json"

    def verdicts(self):
        return {step["name"]: step["verdict"] for step in json.loads(self.output.read_text())["steps"]}

    def build_with(self, program, script):
        """A build whose test `program` is a script."""
        build = self.folder / "build"
        (build / "tests").mkdir(parents=True)
        for name in ("bin", "lib", "libexec"):
            (build / name).symlink_to(BUILD / name)
        for test in (BUILD / "tests").glob("*_test"):
            (build / "tests" / test.name).symlink_to(test)
        (build / "tests" / program).unlink()
        (build / "tests" / program).write_text(script)
        (build / "tests" / program).chmod(0o755)
        return build

    def test_the_whole_run_passes_and_says_what_it_could_not_do(self):
        self.assertEqual(rehearse(BUILD, self.output), 0, self.output.with_suffix(".log").read_text()[-8000:])
        verdicts = self.verdicts()
        self.assertEqual({name for name, verdict in verdicts.items() if verdict != "passed"}, NEEDS_LIBTORCH | {"sanitizer"})
        self.assertEqual({verdicts[name] for name in NEEDS_LIBTORCH}, {"not there"})
        text = self.output.with_suffix(".md").read_text()
        for name in verdicts:
            self.assertIn(f"| {name} |", text)
        self.assertIn("A rehearsal on simulated devices", text)
        self.assertEqual([path.name for path in Path("/dev/shm").glob("peaknet.gpucheck*")], [])

    def test_a_device_that_is_listed_and_missing_is_a_failure(self):
        self.assertEqual(rehearse(BUILD, self.output, GPUSIM_COUNT_ERROR="100"), 1)
        verdicts = self.verdicts()
        self.assertEqual(verdicts.pop("facts"), "failed")
        self.assertEqual(set(verdicts.values()), {"not run"})
        self.assertIn("cudaErrorNoDevice", self.output.read_text())

    @unittest.skipIf(DRIVER_DEVICE.exists(), f"{DRIVER_DEVICE} is there")
    def test_no_gpu_at_all_is_three(self):
        self.assertEqual(rehearse(BUILD, self.output, only=["facts"], listed=False, GPUSIM_COUNT_ERROR="100"), 3)

    def test_a_skipped_test_is_a_failure(self):
        build = self.build_with("gpu_device_test", SKIPPING)
        self.assertEqual(rehearse(build, self.output, only=["gpu-tests"]), 1)
        self.assertEqual(self.verdicts(), {"facts": "passed", "gpu-tests": "failed"})
        self.assertIn("1 tests were skipped (one)", self.output.read_text())

    def test_a_step_that_does_not_end_is_a_failure(self):
        build = self.build_with("gpu_device_test", "#!/bin/sh\nsleep 600\n")
        self.assertEqual(rehearse(build, self.output, only=["gpu-tests"], budget=8), 1)
        self.assertEqual(self.verdicts(), {"facts": "passed", "gpu-tests": "timed out"})


if __name__ == "__main__":
    unittest.main()
