"""scripts/skips.py: a test that is skipped without a reason that holds here is named."""
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
import skips  # noqa: E402

RESULTS = """<testsuite><testcase name="shm_test.Pool.is_made" status="run"/>
<testcase name="feed_test.WireSamples.NpzIsRead" status="notrun"><skipped message="SKIPPED"/></testcase>
<testcase name="packages_test" status="notrun"><skipped message="SKIPPED"/></testcase></testsuite>"""


class SkipsTest(unittest.TestCase):
    def test_the_list_names_tests_that_are_there(self):
        self.assertEqual(skips.main(), 0)

    def test_what_was_skipped_is_read(self):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(RESULTS)
            file.flush()
            self.assertEqual(skips.skipped(file.name), ["feed_test.WireSamples.NpzIsRead", "packages_test"])

    def test_a_skip_is_known_only_where_its_reason_holds(self):
        lines = [("WireSamples.*", "data"), ("packages_test", "packages")]
        tests = ["feed_test.WireSamples.NpzIsRead", "packages_test"]
        holds = {"data": False, "packages": True}
        self.assertEqual(skips.unknown(tests, lines, holds), ["feed_test.WireSamples.NpzIsRead"])
        self.assertEqual(skips.unknown(tests, lines, {"data": True, "packages": True}), [])
        self.assertEqual(skips.unknown(["shm_test.Pool.is_made"], lines, holds), ["shm_test.Pool.is_made"])

    def test_names_of_ctest_are_those_of_tests(self):
        for test in ("t.Suite.case", "on_gpusim.t.Suite.case", "t.All/Suite.case/3"):
            self.assertTrue(skips.matches("Suite.case", test), test)
            self.assertTrue(skips.matches("Suite.*", test), test)
            self.assertFalse(skips.matches("Suite.cas", test), test)
            self.assertFalse(skips.matches("Sui.*", test), test)
        self.assertTrue(skips.matches("packages_test", "packages_test"))

    def test_a_reason_that_does_not_exist_and_a_test_that_is_gone_are_found(self):
        self.assertEqual(list(skips.faults_of_list([("Nothing.here", "never")], skips.conditions({}))),
                         ["Nothing.here: 'never' is no reason", "Nothing.here: there is no such test"])


if __name__ == "__main__":
    unittest.main()
