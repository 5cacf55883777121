"""shm/counters.inc: each counter is counted somewhere, has words and a name of its own in its metric."""
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LINE = re.compile(r'^PEAKNET_COUNTER\((\w+), (\w+), "([^"]*)", "([^"]*)",\s+"([^"]+)"\)', re.M)


class CountersTest(unittest.TestCase):
    def setUp(self):
        self.table = (ROOT / "shm/counters.inc").read_text()
        self.lines = LINE.findall(self.table)

    def test_every_line_is_read(self):
        self.assertEqual(len(self.lines), self.table.count("\nPEAKNET_COUNTER("))

    def test_none_is_dead(self):
        """Somebody counts it, or ends frames with it: what only documents and metrics name is dead (dropped{purged})."""
        counted = subprocess.run(["git", "-C", ROOT, "grep", "-hoE", r"Counter::\w+", "--", "daemon", "feed", "shm", "writer"],
                                 capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual([name for name, *_ in self.lines if f"Counter::{name}" not in counted], [])

    def test_causes_of_one_metric_differ(self):
        seen = [(metric, cause) for _, _, cause, metric, _ in self.lines if metric]
        self.assertEqual(len(seen), len(set(seen)))

    def test_ends_that_are_dropped_or_failed_are_named_after_their_place(self):
        for name, place, cause, _, _ in self.lines:
            if place in ("dropped", "failed"):
                self.assertEqual(name, f"{place}_{cause}")


if __name__ == "__main__":
    unittest.main()
