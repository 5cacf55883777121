"""Does the report of scripts/chaos keep what it was told? It is its own memory: a part that was run on another machine, on another day,
must still be in it, to the letter, when one part is run again."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
FIRST, SECOND = parts.PARTS[0].title, parts.PARTS[1].title


class ReportTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.report = Path(folder.name) / "reliability.md"
        self.hour = parts.Outcomes(self.report, "hour", REPOSITORY)

    def test_a_part_run_again_replaces_itself_and_leaves_the_others(self) -> None:
        self.hour.set(parts.FAULTS, parts.Outcome("scripts/chaos", 0, 12.4, ["  kill -9 of a writer       7", "", "7 faults: `all`: passed"]))
        self.hour.set(FIRST, parts.Outcome("one", 2, 3.0, ["killed 3 times at once, 4 times after others had acted"]))
        self.hour.set(SECOND, parts.Outcome("two", 0, 1.0, []))
        self.hour.set(FIRST, parts.Outcome("one", 0, 5.0, []))
        known = self.hour.known()
        self.assertEqual(list(known), [parts.FAULTS, FIRST, SECOND])
        self.assertEqual(known[parts.FAULTS].lines, ["  kill -9 of a writer       7", "", "7 faults: `all`: passed"])
        self.assertEqual((known[FIRST].program, known[FIRST].findings, known[FIRST].seconds, known[FIRST].lines), ("one", 0, 5.0, []))
        self.assertIn("Findings: 0.", self.report.read_text())
        self.assertIn("In total: 7 kills", self.report.read_text())

    def test_findings_are_told_and_kept(self) -> None:
        self.hour.set(FIRST, parts.Outcome("one", 2, 3.0, []))
        self.hour.set(SECOND, parts.Outcome("two", 0, 1.0, []))
        self.assertEqual(self.hour.known()[FIRST].findings, 2)
        self.assertIn("Findings: 2.", self.report.read_text())

    def test_a_report_of_another_size_begins_anew(self) -> None:
        self.hour.set(FIRST, parts.Outcome("one", 0, 3.0, []))
        night = parts.Outcomes(self.report, "night", REPOSITORY)
        self.assertEqual(night.known(), {})
        night.set(SECOND, parts.Outcome("two", 0, 1.0, []))
        self.assertEqual(list(night.known()), [SECOND])

    def test_the_report_of_this_repository_is_read_whole(self) -> None:
        there = REPOSITORY / "docs" / "reliability.md"
        size = next(size for size in parts.SIZES if parts.command(size) in there.read_text())
        self.assertEqual(parts.document(size, parts.Outcomes(there, size, REPOSITORY).known()), there.read_text())


if __name__ == "__main__":
    unittest.main()
