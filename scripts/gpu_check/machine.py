"""The machine that the check runs on: where the bundle, LibTorch and the driver lie, and the environment of our programs.

Only our programs see LD_LIBRARY_PATH as it is made here: nvidia-smi and python3 are the machine's own and run as they always do.
What LD_LIBRARY_PATH held before stays in it: on bare GPU machines the driver is often reached by that variable alone.
"""
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

DRIVER_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib")
DRIVER_DEVICE = Path("/dev/nvidiactl")


def find_torch() -> Optional[Path]:
    """The machine's own, by its python3; else what scripts/setup has fetched."""
    code = "import os, torch; print(os.path.dirname(torch.__file__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode == 0 and (Path(done.stdout.strip()) / "lib").is_dir():
        return Path(done.stdout.strip())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peaknetd"
    fetched = sorted(path for path in cache.glob("libtorch-*/torch") if (path / "lib").is_dir())
    return fetched[-1] if fetched else None


@dataclass
class Machine:
    bundle: Path                     # unpacked
    torch: Optional[Path]            # the folder that has lib in it
    simulated: bool = False          # a rehearsal: the devices are those of tests/gpusim
    extra: Dict[str, str] = field(default_factory=dict)  # for our programs alone
    path: str = field(default_factory=lambda: os.environ.get("PATH", ""))  # where nvidia-smi and other tools are looked for
    older_libstdcxx: bool = False    # the machine's own is older than what our programs were linked with

    def program(self, name: str) -> str:
        return str(self.bundle / "bin" / name)

    def model(self, name: str) -> str:
        return str(self.bundle / "models" / name)

    def tool(self, name: str, *folders: str) -> Optional[str]:
        return shutil.which(name, path=os.pathsep.join([self.path, *folders]))

    def libraries(self) -> List[str]:
        """In the order in which they are looked through: ours, the machine's, LibTorch's, and last what is needed without it."""
        found = [str(self.bundle / "lib")]
        if self.older_libstdcxx:
            found.append(str(self.bundle / "lib-libstdcxx"))
        found += [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
        if self.torch:
            found.append(str(self.torch / "lib"))
            found += sorted(str(folder) for folder in self.torch.parent.glob("nvidia/*/lib"))
        return found + [str(self.bundle / "lib-last"), *DRIVER_FOLDERS]

    def environment(self, **more: str) -> Dict[str, str]:
        """Of our programs."""
        return {**os.environ, "PATH": self.path, "LD_LIBRARY_PATH": ":".join(self.libraries()), "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                **self.extra, **more}

    def tools_environment(self) -> Dict[str, str]:
        """Of everybody else's."""
        return {**os.environ, "PATH": self.path}

    def settle_libstdcxx(self) -> None:
        """Takes the bundle's libstdc++ where the machine's own lacks symbols that our programs need."""
        done = subprocess.run([self.program("peaknetctl"), "version"], env=self.environment(), capture_output=True, text=True)
        self.older_libstdcxx = "GLIBCXX" in done.stderr or "CXXABI" in done.stderr
