"""A hostile member of the group: writes nonsense into the shared memory of a live instance, for a while.

  vandal.py INSTANCE PART SEED SECONDS

PART: descriptions, words, header, directory; `words, put back` and so on: each word has its value again a moment later.
Exit code 4: the memory is laid out otherwise than this file believes (shm/layout.hpp)."""
import mmap
import os
import random
import struct
import sys
import time
from pathlib import Path
from typing import Tuple

from frames import SHAPE

PAGE, STRIDE = 4096, 256  # shm/layout.hpp: PoolOffsets, kDescriptorStride
MAGIC = b"PEAKPOL1"


def newest_pool(instance: str) -> Path:
    return max(Path("/dev/shm").glob(f"peaknet.{instance}.g*[0-9]"), key=lambda path: int(path.name.rsplit(".g", 1)[1]))


def place_of(part: str, instance: str) -> Tuple[Path, int, int]:
    if part == "directory":
        path = Path("/dev/shm") / f"peaknet.{instance}"
        return path, 0, path.stat().st_size
    path = newest_pool(instance)
    with open(path, "rb") as file:
        header = file.read(PAGE)
    slots, *shape = struct.unpack_from("<4I", header, 56)
    if header[:8] != MAGIC or tuple(shape) != SHAPE or not 2 <= slots <= 4096:
        sys.exit(4)
    descriptions = PAGE + -(-slots * 8 // PAGE) * PAGE
    return {"header": (path, 0, PAGE), "words": (path, PAGE, slots * 8), "descriptions": (path, descriptions, slots * STRIDE)}[part]


def nonsense(dice: random.Random, was: int) -> int:
    kind = dice.randrange(4)
    if kind == 0:
        return dice.getrandbits(64)
    if kind == 1:
        return was ^ 1 << dice.randrange(64)
    if kind == 2:
        return (was + dice.randint(-8, 8)) % 2**64
    return dice.choice([0, 2**64 - 1, 1 << 63, 2**63 - 1, 0x7FF8_0000_0000_0000, 0xFFFF_FFFF, 1, 0x0101_0101_0101_0101])


def main() -> None:
    instance, part, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    put_back = part.endswith(", put back")
    path, begin, size = place_of(part.removesuffix(", put back"), instance)
    dice = random.Random(seed)
    descriptor = os.open(path, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as memory:
        words = memoryview(memory).cast("Q")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for at in range(begin // 8, (begin + size) // 8):
                was = words[at]
                words[at] = nonsense(dice, was)
                if put_back:
                    words[at] = was
            time.sleep(dice.uniform(0.0, 0.01))  # frames come by
        words.release()


if __name__ == "__main__":
    main()
