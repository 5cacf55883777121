"""The files and folders of the repository, for the checks beside this file."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIBRARIES = ["base", "hdf5", "shm", "config", "control", "peaks", "cxi", "hits", "imaging"]  # each may include those before it
PROGRAMS = ["daemon", "writer", "live", "feed", "ctl"]  # each may include every library


def files(root=ROOT):
    """Paths below `root` of what git tracks, or would if it were added."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in listed if name and os.path.isfile(os.path.join(root, name))]


def product(root=ROOT):
    """Of the folders that programs and libraries are made of."""
    return [name for name in files(root) if name.split("/")[0] in LIBRARIES + PROGRAMS]
