"""What the tests of the recipes share: a folder of their own, and export.py in this process, because torch takes seconds to
load. Imported by them alone."""

import contextlib
import io
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile

MODELS = pathlib.Path(__file__).resolve().parents[3] / "models"
sys.path.insert(0, str(MODELS))

try:
    import torch
    import yaml  # noqa: F401

    import export
except ImportError:
    torch = None

SMALL = {"backbone_hidden_sizes": [16, 24, 32, 40], "backbone_depths": [1, 1, 1, 1], "bifpn_num_blocks": 1,
         "bifpn_num_features": 32, "seg_out_channels": 32, "uses_learned_upsample": True}


@unittest.skipIf(torch is None, "needs the Python packages torch, numpy and PyYAML")
class RecipesTest(unittest.TestCase):
    def setUp(self):
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # torch's own words about TorchScript
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        self.addCleanup(sys.modules.pop, "ours", None)

    def export(self, *command):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = export.main([str(word) for word in command])
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    def assert_made(self, *command):
        done = self.export(*command)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_refused(self, text, *command):
        done = self.export(*command)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn(text, done.stderr)
        self.assertIn("nothing was written", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        made = pathlib.Path(str(command[1])).name
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith((made, ".export."))], [])
        return done.stderr


def flipped(path, record):
    """The bytes of an archive, with one bit of the record another."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(record).header_offset
    name, extra = struct.unpack("<HH", content[at + 26 : at + 30])
    content[at + 30 + name + extra] ^= 4
    return bytes(content)


def main():
    done = unittest.main(verbosity=2, exit=False)
    sys.exit(77 if torch is None else not done.result.wasSuccessful())  # 77: ctest calls it skipped
