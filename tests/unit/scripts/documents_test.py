"""scripts/documents.py: wrapping moves no word and breaks no block, and what is not there is found."""
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
import documents  # noqa: E402

LONG = "word " * 30


class ReflowTest(unittest.TestCase):
    def test_a_long_paragraph_is_wrapped_and_a_short_one_is_left_as_it_is(self):
        short = "one\ntwo\n\n"
        wrapped = documents.reflow(short + LONG.strip())
        self.assertTrue(wrapped.startswith(short))
        self.assertTrue(all(len(line) <= 120 for line in wrapped.split("\n")))
        self.assertEqual(wrapped.split(), (short + LONG).split())

    def test_tables_headings_and_code_stay(self):
        for text in ("| " + LONG + "|", "# " + LONG, "```\n" + LONG + "\n```", "    " + LONG):
            self.assertEqual(documents.reflow(text), text)

    def test_code_and_links_are_not_broken(self):
        for whole in ("`" + "a " * 20 + "b`", "[" + "a " * 20 + "b](docs/design.md)"):
            wrapped = documents.reflow("x " * 50 + whole + " " + LONG.strip())
            self.assertIn(whole, wrapped)

    def test_a_list_keeps_its_items_and_their_indentation(self):
        wrapped = documents.reflow("- " + LONG + "\n- second\n1. " + LONG)
        lines = wrapped.split("\n")
        self.assertEqual([line[:2] for line in lines], ["- ", "  ", "- ", "1.", "  "])

    def test_no_line_begins_as_another_block_would(self):
        for word in ("-", "1.", "#", "+", ">"):
            wrapped = documents.reflow(f"{'x' * 117} {word} " + LONG.strip())
            self.assertNotIn("\n" + word, wrapped)

    def test_a_line_that_ends_in_a_hard_break_keeps_it(self):
        self.assertEqual(documents.reflow(LONG + " \nnext"), LONG + " \nnext")


class FaultsTest(unittest.TestCase):
    def test_files_tests_and_links_that_are_not_there_are_named(self):
        for prose, fault in (("`shm/absent.cpp`", "there is no shm/absent.cpp"),
                             ("[x](absent.md)", "the link to absent.md leads nowhere"),
                             ("`no_such_test`", "there is no test no_such_test"),
                             ("`UpstreamTest.nothing`", "there is no test UpstreamTest.nothing"),
                             ("../shared/data", "../shared/data is not in the repository")):
            self.assertEqual([*documents.path_faults("README.md", prose), *documents.link_faults("README.md", prose),
                              *documents.test_faults(prose), *documents.outside_faults(prose)], [fault])

    def test_what_is_there_is_no_fault(self):
        prose = "`shm/pool.cpp`, `shm/pool`, [x](docs/design.md), `pool_test`, `shm_pool_test`, `docs/`"
        self.assertEqual([*documents.path_faults("README.md", prose), *documents.link_faults("README.md", prose),
                          *documents.test_faults(prose)], [])

    def test_a_long_row_of_a_table_is_no_fault_and_a_long_line_is_one(self):
        self.assertEqual(list(documents.length_faults("docs/x.md", "| " + LONG + "|\n")), [])
        self.assertEqual(len(list(documents.length_faults("docs/x.md", LONG + "\n"))), 1)
        self.assertEqual(len(list(documents.length_faults("docs/x.md", "```\n" + LONG + "\n```\n"))), 1)

    def test_the_readme_is_short(self):
        self.assertEqual(len(list(documents.length_faults("README.md", "x\n" * 91))), 1)


if __name__ == "__main__":
    unittest.main()
