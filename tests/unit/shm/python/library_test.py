"""ctypes has no compiler that would read the header: what it declares is compared with the recorded C ABI."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

import peaknet_shm
from peaknet_shm import _library

RECORDED = Path(os.environ["PEAKNET_SOURCE_DIR"], "tests/unit/shm/c_abi.txt").read_text().splitlines()
STRUCTS = {"peaknet_geometry": _library.CGeometry, "peaknet_column": _library.CColumn, "peaknet_info": _library.CInfo, "peaknet_descriptor": _library.CDescriptor}


class LibraryTest(unittest.TestCase):
    def recorded(self, kind):
        return [line.split()[1:] for line in RECORDED if line.startswith(kind + " ")]

    def test_structs_are_laid_out_as_in_c(self):
        for name, size in self.recorded("struct"):
            self.assertEqual(_library.ctypes.sizeof(STRUCTS[name]), int(size), name)
        fields = {name: [field for field, _ in struct._fields_] for name, struct in STRUCTS.items()}
        for path, offset, size in self.recorded("field"):
            struct, field = path.split(".")
            entry = getattr(STRUCTS[struct], field)
            self.assertEqual((entry.offset, entry.size), (int(offset), int(size)), path)
            fields[struct].remove(field)
        self.assertEqual([left for left in fields.values() if left], [])

    def test_every_function_is_declared(self):
        declared = {"peaknet_" + name for name in _library._FUNCTIONS}
        self.assertEqual(declared, {name for name, in self.recorded("symbol")})

    def test_numbers_are_those_of_the_header(self):
        numbers = {name: int(value) for name, value in self.recorded("number")}
        self.assertEqual(_library.ABI, numbers["PEAKNET_ABI"])
        self.assertEqual((_library.OK, _library.NOTHING, _library.CLOSE),
                         tuple(numbers["PEAKNET_" + name] for name in ("OK", "NOTHING", "CLOSE")))
        classes = {numbers["PEAKNET_E_" + name]: kind for name, kind in {
            "ABSENT": peaknet_shm.Absent, "DENIED": peaknet_shm.Denied, "NO_POOL": peaknet_shm.NoPool,
            "POOL_FULL": peaknet_shm.PoolFull, "REMOVED": peaknet_shm.InstanceRemoved, "FORKED": peaknet_shm.Forked,
            "SHAPE": peaknet_shm.OtherShape, "COLUMN": peaknet_shm.OtherColumn,
            "OVERRUN": peaknet_shm.TapOverrun}.items()}
        self.assertEqual(_library._CLASSES, classes)
        self.assertEqual(peaknet_shm.NORMALISED, numbers["PEAKNET_NORMALISED"])

    def test_a_library_that_is_not_there_is_named_with_what_to_do(self):
        environment = {**os.environ, "PEAKNET_SHM_LIBRARY": "/nowhere/libpeaknet_shm.so"}
        failed = subprocess.run([sys.executable, "-c", "import peaknet_shm"], env=environment, capture_output=True, text=True)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("ImportError: peaknet_shm: /nowhere/libpeaknet_shm.so does not load", failed.stderr)
        self.assertIn("PEAKNET_SHM_LIBRARY", failed.stderr)


if __name__ == "__main__":
    unittest.main()
