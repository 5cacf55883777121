"""The wheel holds all that a program needs beside NumPy: its package and library alone do the main job."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from instance import Instance

MAKER = Path(os.environ["PEAKNET_SOURCE_DIR"]) / "shm/python/wheel_backend.py"
LIBRARY = os.environ["PEAKNET_SHM_LIBRARY"]
JOB = """
import sys, peaknet_shm
with peaknet_shm.Producer.attach(sys.argv[1]) as producer, producer.claim(timeout=5) as frame:
    frame.image[...] = 12
print(peaknet_shm.__file__)
print([line.split()[-1] for line in open('/proc/self/maps') if 'libpeaknet_shm' in line][0])
"""


class WheelTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        made = subprocess.run([sys.executable, MAKER, LIBRARY, self.folder], check=True, capture_output=True, text=True)
        self.wheel = Path(made.stdout.strip())
        # Nothing of the build tree is found by what the test starts.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def run_job(self, site):
        with Instance() as instance:
            job = subprocess.run([sys.executable, "-c", JOB, instance.name], env={**self.environment, "PYTHONPATH": str(site)},
                                 capture_output=True, text=True, cwd=self.folder)
            self.assertEqual(job.returncode, 0, job.stderr)
            instance.wait_until(lambda books: books["written"] == 1)
            self.assertEqual([entry[3] for entry in instance.ask("finished")], [12])
        return job.stdout.split()

    def test_its_record_is_right(self):
        with zipfile.ZipFile(self.wheel) as archive:
            self.assertIsNone(archive.testzip())
            record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
            lines = dict(line.split(",", 1) for line in archive.read(record).decode().splitlines())
            self.assertEqual(set(lines), set(archive.namelist()))
            for name in lines.keys() - {record}:
                digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
                self.assertEqual(lines[name], f"sha256={digest},{archive.getinfo(name).file_size}")

    def test_its_tag_says_how_old_the_c_library_may_be(self):
        if not shutil.which("objdump"):
            self.skipTest("there is no objdump")
        said = subprocess.run(["objdump", "-p", LIBRARY], check=True, capture_output=True, text=True).stdout
        versions = [(int(major), int(minor)) for major, minor in re.findall(r"\bGLIBC_(\d+)\.(\d+)", said)]
        self.assertIn("manylinux_%d_%d_" % max(versions), self.wheel.name)
        # Nothing else than the C library: then it is what manylinux allows.
        needed = {name for name in re.findall(r"NEEDED +(\S+)", said) if not name.startswith("ld-linux")}
        self.assertLessEqual(needed, {"libc.so.6", "libm.so.6", "libpthread.so.0", "libgcc_s.so.1"})
        if os.confstr("CS_GNU_LIBC_VERSION") == "glibc 2.36":  # Debian 12 makes wheels for RHEL 9
            self.assertLessEqual(max(versions), (2, 34))
        with zipfile.ZipFile(self.wheel) as archive:
            tag = archive.read(next(name for name in archive.namelist() if name.endswith("/WHEEL"))).decode()
        self.assertIn(f"Tag: {'-'.join(self.wheel.stem.split('-')[2:])}\n", tag)

    def test_pip_refuses_it_for_an_older_c_library(self):
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            self.skipTest("this Python has no pip")
        own = self.wheel.stem.split("-")[-1]
        for platform, taken in ((re.sub(r"^manylinux_2_\d+", "manylinux_2_17", own), False), (own, True)):
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-index", "--no-deps", "--only-binary=:all:", "--platform", platform,
                   "--dest", self.folder / platform, "--find-links", self.folder, "peaknet-shm"]
            done = subprocess.run(pip, env=self.environment, capture_output=True, text=True)
            self.assertEqual(done.returncode == 0, taken, done.stderr)

    def test_unpacked_it_works_with_its_own_library(self):
        site = self.folder / "site"
        with zipfile.ZipFile(self.wheel) as archive:
            archive.extractall(site)
        package, library = self.run_job(site)
        self.assertTrue(package.startswith(str(site)), package)
        self.assertEqual(library, str(site / "peaknet_shm/libpeaknet_shm.so.2"))

    def test_pip_installs_it(self):
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            self.skipTest("this Python has no pip")
        site = self.folder / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, self.wheel]
        done = subprocess.run(pip, env=self.environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_job(site)


if __name__ == "__main__":
    unittest.main()
