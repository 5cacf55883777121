"""The archive that goes to the machine with a GPU: programs, their small libraries, the demo model. LibTorch and CUDA's libraries
are not in it, they are found there.

  bin/ libexec/  as in an installation, and the tests that mean something on a real GPU
  lib/           libraries that a machine need not have
  lib-last/      what comes with LibTorch, for a machine without it
  lib-libstdcxx/ for a machine whose own is older
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Dict, Iterable, List

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "gpu-check"
LARGEST_MIB = 60
OLDEST_GLIBC = "2.34"  # RHEL 9; Ubuntu 22.04 has 2.35
PROGRAMS = ["peaknetd", "peaknetctl", "peaknet-feed", "peaknet-writer"]
PART = Path("libexec/peaknet/peaknetctl-files")  # peaknetctl becomes it for audit, trace and view
# The tests that a real GPU can run; which step runs them is in steps.py. A new one is named here alone.
DEVICE_TESTS = ["gpu_device_test"]
KERNEL_TESTS = ["kernels_fuzz_test"]
ENGINE_TESTS = ["worker_test", "engine_test", "engine_flow_test"]
TESTS = DEVICE_TESTS + KERNEL_TESTS + ENGINE_TESTS
BREAKER = "libpeaknet_break_device.so"  # LD_PRELOAD of the step faults
MODELS = ["contrast.pt", "contrast.pt.golden.input.npy", "contrast.pt.golden.mask.npy"]

# The C library and its like belong to the machine, the rest to LibTorch.
NOT_OURS = re.compile(r"(libc|libm|libdl|librt|libpthread|libutil|libresolv|libnss\w*|ld-linux.*|libgcc_s|"
                      r"libtorch\w*|libc10\w*|libcupti)[.-]")
LAST = re.compile(r"(libcudart|libgomp)[.-]")
LIBSTDCXX = re.compile(r"libstdc\+\+[.-]")


class CannotPack(Exception):
    """What is missing, and what to do."""


def build(folder: Path) -> None:
    if not (folder / "CMakeCache.txt").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True)
    subprocess.run(["cmake", "--build", str(folder), "--target", *PROGRAMS, *TESTS, "peaknet_break_device"], check=True)


def libraries_of(programs: Iterable[Path]) -> Dict[str, Path]:
    """By the name under which the loader looks for them."""
    found: Dict[str, Path] = {}
    for program in programs:
        for line in subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout.splitlines():
            match = re.match(r"\s*(\S+) => (/\S+)", line)
            if match:
                found.setdefault(match.group(1), Path(match.group(2)))
    return found


def place_of(library: str) -> str:
    """The folder of the bundle for a library; "" for none."""
    if NOT_OURS.match(library):
        return ""
    if LAST.match(library):
        return "lib-last"
    return "lib-libstdcxx" if LIBSTDCXX.match(library) else "lib"


def exchange_newer_libraries(folders: Iterable[Path]) -> None:
    """Nodes with GPUs often have an older C library than the machine that builds. Where that cannot be met here, it is said."""
    done = subprocess.run([str(ROOT / "scripts/older_libraries"), OLDEST_GLIBC, *map(str, folders)], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"libraries stay as they are, so the machine with the GPU must be as new as this one: {done.stderr.strip()}", file=sys.stderr)


def gather(build_folder: Path, target: Path) -> None:
    sources = [build_folder / "bin" / name for name in PROGRAMS] + [build_folder / "tests" / name for name in TESTS]
    breaker = build_folder / "lib" / BREAKER
    missing = [str(path) for path in [*sources, build_folder / PART, breaker] if not path.exists()]
    if missing:
        raise CannotPack(f"not built: {', '.join(missing)}; run scripts/gpu-check --bundle without --no-build (CUDA tests need nvcc)")
    copied: List[Path] = []
    for source, place in [(path, Path("bin") / path.name) for path in sources] + [(build_folder / PART, PART)]:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        copied.append(Path(shutil.copy(source, target / place)))
    for name, library in libraries_of([*sources, build_folder / PART]).items():
        if folder := place_of(name):
            (target / folder).mkdir(exist_ok=True)
            shutil.copy(library, target / folder / name)
    shutil.copy(breaker, target / "lib")
    name_of_torch = build_folder / "lib/libpeaknet_torch_name.so"
    if name_of_torch.exists():
        shutil.copy(name_of_torch, target / "lib")
    for program in copied:  # smaller, no more: what cannot be stripped stays as it is
        subprocess.run(["strip", str(program)], capture_output=True)
    exchange_newer_libraries([target / "lib", target / "lib-libstdcxx"])
    (target / "models").mkdir()
    for model in MODELS:
        os.chmod(shutil.copy(ROOT / "models" / model, target / "models"), 0o644)


def commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def pack(build_folder: Path, archive: Path) -> float:
    """Its size in MiB."""
    with tempfile.TemporaryDirectory() as work:
        target = Path(work) / FOLDER
        target.mkdir()
        gather(build_folder, target)
        (target / "about.json").write_text(json.dumps({"commit": commit()}) + "\n")
        with tarfile.open(archive, "w:gz", compresslevel=6) as out:
            out.add(target, FOLDER)
    mib = archive.stat().st_size / 2**20
    if mib > LARGEST_MIB:
        raise CannotPack(f"{archive} has {mib:.0f} MiB, {LARGEST_MIB} are the most; see what is in it: tar tzvf {archive}")
    return mib


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as there:
        there.extractall(folder)
    return folder / FOLDER
