"""What scripts/lint asks scripts/words and scripts/folders: of this repository, and of small ones that break a rule."""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["PEAKNET_SOURCE_DIR"]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "scripts"))  # where a script finds what it imports


def script(name, root=SOURCE):
    path = os.path.join(SOURCE, "scripts", name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    module.ROOT = root
    return module


class Repository(unittest.TestCase):
    """A repository with these files, given as path=text."""

    def made(self, files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for path, text in files.items():
            full = os.path.join(folder.name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run(["git", "init", "-q"], cwd=folder.name, check=True)
        return folder.name


class Words(Repository):
    LIST = "[Gg]adgets?\tclient\nhunch\trule\t^physics/\n"

    def findings(self, glossary="- **pool**: slots.\n", **texts):
        root = self.made({"scripts/words.txt": self.LIST, "docs/glossary.md": glossary,
                          **{path.replace("__", "/"): text for path, text in texts.items()}})
        words = script("words", root)
        return [*words.replaced_words(), *words.glossary()]

    def test_this_repository_keeps_to_its_words(self):
        self.assertEqual(script("words").main(), 0)

    def test_a_word_that_went_is_named_with_its_successor(self):
        self.assertEqual(self.findings(a="one\nthe Gadget is open\n"), ["a:2: 'Gadget' is called client"])

    def test_only_whole_words_count_and_they_may_stand_where_the_list_says(self):
        self.assertEqual(self.findings(a="gadgetry unhunched\n", physics__bragg="a hunch\n", README="no hunch\n"),
                         ["README:1: 'hunch' is called rule"])

    def test_a_term_is_defined_once_and_in_one_line(self):
        found = self.findings("- **pool**: slots.\n- **Pool**: frames.\n- **slot**: a place\n  of a frame.\n")
        self.assertEqual([finding.split(": ")[0] for finding in found],
                         ["docs/glossary.md:2", "docs/glossary.md:3", "docs/glossary.md:4"])


class Folders(Repository):
    def test_no_include_of_this_repository_runs_up_or_into_a_program(self):
        self.assertEqual(script("folders").main(), 0)

    def test_programs_and_libraries_above_are_refused_and_what_is_below_is_not(self):
        forbidden = script("folders").forbidden
        self.assertIn("is a program", forbidden("ctl", "writer"))
        self.assertIn("is a program", forbidden("cxi", "writer"))
        self.assertIn("stands above", forbidden("base", "shm"))
        for folder, other in [("writer", "cxi"), ("imaging", "cxi"), ("ctl", "ctl"), ("ctl", "nlohmann")]:
            self.assertIsNone(forbidden(folder, other), (folder, other))

    def test_an_include_that_breaks_the_rule_ends_with_1(self):
        folders = script("folders", self.made({"live/a.cpp": '#include "base/text.hpp"\n#include "writer/b.hpp"\n'}))
        self.assertEqual(folders.main(), 1)


if __name__ == "__main__":
    unittest.main()
