"""Makes the wheel of peaknet_shm: the package, and libpeaknet_shm.so.2 in it. Python's standard library alone.

    python3 wheel_backend.py LIBRARY FOLDER     # prints the wheel's path; what CMake's target python_wheel does
    PEAKNET_SHM_LIBRARY=LIBRARY pip install .   # as pip's build backend (PEP 517)

The wheel is for this machine's architecture, and for a glibc as new as the library was linked with: its tag says which, so that
pip refuses it on an older system, where it could not be imported.
"""

import base64
import ctypes
import hashlib
import os
import re
import sys
import sysconfig
import zipfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_LIBRARY_NAME = "libpeaknet_shm.so.2"
_METADATA = """\
Metadata-Version: 2.1
Name: peaknet-shm
Version: {version}
Summary: The clients of peaknetd for Python: NumPy views of frames in shared memory
License: BSD-3-Clause
Requires-Python: >=3.9
Requires-Dist: numpy
"""
_WHEEL = """\
Wheel-Version: 1.0
Generator: peaknet_shm wheel_backend
Root-Is-Purelib: false
Tag: {tag}
"""


def make_wheel(library: str, folder: str) -> Path:
    loaded = ctypes.CDLL(library)
    loaded.peaknet_version.restype = ctypes.c_char_p
    version = loaded.peaknet_version().decode()
    tag = "py3-none-" + _platform(Path(library).read_bytes())
    info = f"peaknet_shm-{version}.dist-info"
    sources = sorted(path for path in (_HERE / "peaknet_shm").iterdir() if path.suffix in (".py", ".typed"))
    contents = {f"peaknet_shm/{path.name}": path.read_bytes() for path in sources}
    contents[f"peaknet_shm/{_LIBRARY_NAME}"] = Path(library).read_bytes()
    contents[f"{info}/METADATA"] = _METADATA.format(version=version).encode()
    contents[f"{info}/WHEEL"] = _WHEEL.format(tag=tag).encode()
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in contents.items())
    contents[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()

    wheel = Path(folder) / f"peaknet_shm-{version}-{tag}.whl"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same input gives the same wheel
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name.endswith(_LIBRARY_NAME) else 0o100644) << 16
            archive.writestr(entry, data)
    part.replace(wheel)
    return wheel


def _platform(library: bytes) -> str:
    """manylinux_2_36_x86_64: the newest version of glibc whose symbols the library names. It needs no other library
    (wheel_test holds it to that)."""
    versions = [(int(major), int(minor)) for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?=[.\d]*\0)", library)]
    machine = sysconfig.get_platform().rsplit("-", 1)[1].replace(".", "_")
    major, minor = max(versions)
    return f"manylinux_{major}_{minor}_{machine}"


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    library = os.environ.get("PEAKNET_SHM_LIBRARY")
    if not library:
        raise SystemExit("set PEAKNET_SHM_LIBRARY to the libpeaknet_shm.so that the wheel shall hold")
    return make_wheel(library, wheel_directory).name


def build_sdist(sdist_directory, config_settings=None):
    raise SystemExit("there is no source distribution of peaknet_shm: build peaknetd and its target python_wheel")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(make_wheel(sys.argv[1], sys.argv[2]))
