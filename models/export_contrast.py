"""Writes contrast.pt, the TorchScript form of contrast.py, beside this file; or, with --check, proves that the file
there is what the recipe makes and computes what contrast.py computes. Needs the packages of requirements.txt."""

import argparse
import io
import pathlib
import sys

import torch

from contrast import Contrast

TARGET = pathlib.Path(__file__).with_name("contrast.pt")


def export() -> bytes:
    """The archive: frozen (one function, constants inside) and without its debug records, which hold the path of the
    source file. What remains depends on contrast.py and the version of torch alone, in a process that exports once."""
    complete = io.BytesIO()
    torch.jit.save(torch.jit.freeze(torch.jit.script(Contrast().eval())), complete)
    complete.seek(0)
    reader = torch._C.PyTorchFileReader(complete)
    slim = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(slim)
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in ("version", ".data/serialization_id"):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return slim.getvalue()


def examples() -> list[torch.Tensor]:
    """Images that meet every branch: sizes that blocks of 4 do not fit, dead areas, few photons, lone pixels, NaN."""
    random = torch.Generator().manual_seed(2)
    shapes = [(1, 64, 96), (3, 185, 388), (2, 33, 30), (1, 16, 16), (1, 5, 7), (1, 1, 1), (2, 128, 128)]
    images = [1000 + 20 * torch.randn((rows, 1, h, w), generator=random) for rows, h, w in shapes]
    for image in images:
        image[:, :, 10:12, 12:14] += 400
        image[:, :, 20:21, 20:21] += 40000
    images[1][0, :, 60:80, :] = 0
    images[1][1] = float("nan")
    images[6][0] = torch.poisson(torch.full((1, 128, 128), 0.02), generator=random)
    images.append(images[0].round().to(torch.int16))
    return images


def check(archive: bytes) -> list[str]:
    """What the archive computes otherwise than contrast.py does; empty if nothing."""
    faults = []
    scripted, eager = torch.jit.load(io.BytesIO(archive)), Contrast().eval()
    with torch.inference_mode():
        for image in examples():
            expected = eager(image)
            for _ in range(3):  # the executor specialises on its first calls: later ones run other code
                got = scripted(image)
                if got.dtype != torch.float32 or not torch.equal(got, expected):
                    faults.append(f"scripted and eager differ for shape {tuple(image.shape)}")
            for row in range(image.shape[0]):
                if not torch.equal(eager(image[row : row + 1])[0], expected[row]):
                    faults.append(f"row {row} of shape {tuple(image.shape)} depends on its neighbours")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the existing file, write nothing")
    arguments = parser.parse_args()
    made = export()
    if not arguments.check:
        TARGET.write_bytes(made)
    archive = TARGET.read_bytes()
    faults = check(archive)
    if archive != made:
        faults.append(f"the file differs from what this recipe makes with torch {torch.__version__}")
    for fault in faults:
        print(f"{TARGET.name}: {fault}", file=sys.stderr)
    print(f"{TARGET.name}: {len(archive)} bytes, torch {torch.__version__}, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
