"""The whole check on a machine without a GPU: the devices are those of tests/gpusim, nvidia-smi is a stand-in made here."""
import os
import tempfile
from pathlib import Path
from typing import Dict, Sequence

import bundle
import check
from steps import BUDGET

# Answers what the check asks, in the form of the real one.
NVIDIA_SMI = """#!/bin/sh
case "$*" in
  -L) echo "GPU 0: Simulated (UUID: GPU-00000000-0000-0000-0000-000000000000)" ;;
  -q) echo "a stand-in of scripts/gpu-check --rehearse: there is no GPU" ;;
  *query-gpu=name*) echo "a simulated device" ;;
  *query-gpu=memory.used*) echo 0 ;;
  *query-gpu=*) echo "none (simulated)" ;;
  dmon*) echo "# gpu   sm  mem  enc  dec"; echo "# Idx    %    %    %    %"; echo "    0    0    0    0    0" ;;
  *) echo "stand-in: unknown: $*" >&2; exit 2 ;;
esac
"""


def gpusim(build: Path, extra: Dict[str, str]) -> Dict[str, str]:
    return {"LD_PRELOAD": str(build / "lib/libgpusim.so"), "GPUSIM_KERNELS": str(build / "lib/libgpusim_kernels.so"), "GPUSIM_DEVICES": "1",
            **extra}


def rehearse(build: Path, output: Path, only: Sequence[str] = (), budget: float = BUDGET, listed: bool = True,
             **extra: str) -> int:
    """Exit code of the run. `listed`: does nvidia-smi list a GPU? `extra`: settings of gpusim (tests/gpusim/settings.hpp)."""
    with tempfile.TemporaryDirectory(prefix="gpu-check-rehearsal-") as folder:
        tools = Path(folder) / "tools"
        tools.mkdir()
        if listed:
            smi = tools / "nvidia-smi"
            smi.write_text(NVIDIA_SMI)
            smi.chmod(0o755)
        archive = Path(folder) / "bundle.tar.gz"
        print(f"bundle: {bundle.pack(build, archive):.1f} MiB")
        request = check.Request(archive, output, "scripts/gpu-check --rehearse", simulated=True, only=only, budget=budget,
                                path=f"{tools}:{os.environ.get('PATH', '')}", extra=gpusim(build, extra))
        return check.run(request)
