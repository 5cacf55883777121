"""scripts/errors.py: an id without a line, a line without an id and a document that is not made of the table are found."""
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
import errors  # noqa: E402


class ErrorsTest(unittest.TestCase):
    def test_the_repository_has_a_line_for_every_id_and_a_document_of_the_table(self):
        rows = errors.table()
        self.assertGreater(len(rows), 250)
        said = errors.said_ids(row[0] for row in rows)
        self.assertEqual(list(errors.faults(rows, said, errors.read(errors.DOCUMENT))), [])

    def test_every_line_of_the_table_is_read(self):
        self.assertEqual(len(errors.table()), errors.read(errors.TABLE).count("\nPEAKNET_ERROR("))

    def test_an_id_without_a_line_and_a_line_without_an_id_are_found(self):
        rows = [("a.known", 1, 0, "meaning", "remedy")]
        found = list(errors.faults(rows, {"a.new": "x.cpp:1"}, errors.document(rows)))
        self.assertEqual(found, ["x.cpp:1: [a.new] has no line in base/error_ids.inc", "base/error_ids.inc: [a.known] is said nowhere"])

    def test_numbers_that_do_not_exist_and_another_document_are_found(self):
        rows = [("a.known", 1, 0, "meaning", "remedy")]
        bad = [("a.known", 1, 7, "meaning", "remedy")]
        self.assertEqual(len(list(errors.faults(rows, {"a.known": "x:1"}, "something else"))), 1)
        self.assertEqual(len(list(errors.faults(bad, {"a.known": "x:1"}, errors.document(bad)))), 1)

    def test_ids_are_found_in_all_their_forms(self):
        text = 'return Error{"pool.full", x};\nfailing("no-writer", y);\n"... [shm.cut]\\n"'
        self.assertEqual(dict(errors.ids_in(text)), {"pool.full": 1, "health.no-writer": 2, "shm.cut": 3})


if __name__ == "__main__":
    unittest.main()
