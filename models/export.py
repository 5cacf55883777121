"""Makes a model that peaknetd loads: NAME.pt (TorchScript) or NAME.pt2 (AOTInductor), and beside it the golden files.

    export.py contrast:Contrast contrast.pt                              the demo network
    export.py peaknet.yaml peaknet.pt2 --weights peaknet-673m.bin \\
              --size 352x384 --panels 16 --batch 8 --device cuda --precision bfloat16
    export.py mymodule:make_network network.pt2 --size 512x512
    export.py network.onnx network.pt                                    also .keras and the folder of a SavedModel

The file is run here before it gets its name, and its mask compared with that of the network it was made from. Needs the
packages of requirements.txt; models/README.md has the rest."""

import argparse
import hashlib
import math
import pathlib
import sys
import tempfile
import time
import warnings
from typing import NoReturn, Optional

import numpy as np
import torch

HERE = str(pathlib.Path(__file__).resolve().parent)
if sys.path and sys.path[0] == HERE:  # behind the packages: what lies here hides no module that a network imports
    sys.path.append(sys.path.pop(0))

from peaknet_recipes import formats, golden, sources, weights as checkpoint_weights  # noqa: E402
from peaknet_recipes.refused import Refused, cause_of, refusing  # noqa: E402

SMALL = (64, 96)  # the golden image of a .pt: any size would do


def size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) > 0 and int(width) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not HEIGHTxWIDTH, as 512x512")
    return int(height), int(width)


def number(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        if name.isidentifier() and math.isfinite(float(value)):
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is not NAME=NUMBER, as total=10")


def arguments_of(command: Optional[list[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="module:function, upstream's .yaml, .onnx, .keras, the folder of a SavedModel, or the "
                        ".pt2 of torch.export.save")
    parser.add_argument("output", type=pathlib.Path, help=".pt or .pt2")
    parser.add_argument("--weights", type=pathlib.Path,
                        help="checkpoint for a .yaml or module:function; without: random parameters")
    parser.add_argument("--take", default="", metavar="KEY", help="which weights of a checkpoint that has several, as ema")
    parser.add_argument("--seed", type=int, default=0, help="of the random parameters (%(default)s)")
    parser.add_argument("--threshold", type=float, default=0.0,
                        help="for a network with one output: peak where it is above (%(default)s; 0.5 behind a sigmoid)")
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=NUMBER",
                        help="what module:function is called with, as contrast's support, total and noise_floor; may come again")
    parser.add_argument("--size", type=size, metavar="HxW",
                        help="after padding: what a .pt2 takes, and nothing else (512x512); of a .pt its golden image")
    parser.add_argument("--panels", type=number, default=1, help="of an event (%(default)s)")
    parser.add_argument("--batch", type=number, default=8,
                        help="engine.batch: a .pt2 is made for 1, 2, 4, ... events (%(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of a .pt2 (%(default)s)")
    parser.add_argument("--precision", choices=(*formats.PRECISIONS, "int8"), default="float32",
                        help="engine.precision must be the same; with int8, a .pt for the CPU, float32 (%(default)s)")
    parser.add_argument("--compile", choices=("default", "reduce-overhead", "max-autotune"), default="default",
                        help="of a .pt2: upstream's compile_mode (%(default)s)")
    parser.add_argument("--golden", default="", metavar="counts|normalised|FILE:DATASET",
                        help="what the golden image is; default: normalised noise with peaks for a .yaml, else raw counts")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 0 if the files there are what would be made")
    return parser.parse_args(command)


def refuse_what_cannot_be(wanted: argparse.Namespace) -> None:
    kind = wanted.output.suffix
    if kind not in (".pt", ".pt2"):
        raise Refused(f"{wanted.output} is no name that peaknetd loads; nothing was written; end it with .pt or .pt2")
    if not wanted.output.parent.is_dir():
        raise Refused(f"{wanted.output.parent} is no folder; nothing was written; make it first")
    if kind == ".pt" and wanted.device == "cuda":
        raise Refused("a .pt is not made for a device, it runs on all; nothing was written; leave --device out or make a .pt2")
    if kind == ".pt" and wanted.compile != "default":
        raise Refused(f"--compile {wanted.compile} compiles, and a .pt is not compiled; nothing was written; make a .pt2")
    if kind == ".pt2" and wanted.precision == "int8":
        raise Refused("int8 is made as .pt for the CPU alone; nothing was written; end the name with .pt")
    if kind == ".pt2" and wanted.check:
        raise Refused("the bytes of a .pt2 depend on the compiler and are not compared; --check is for .pt")
    if wanted.device == "cuda" and not torch.cuda.is_available():
        raise Refused("--device cuda needs the kind of GPU that the package will run on, and torch sees none here; nothing was "
                      "written; run this on the node with the GPU")


def buckets_of(panels: int, batch: int) -> list[int]:
    """Rows at once for 1, 2, 4, ... events and for `batch` itself, as peaknetd forms its batches."""
    events = [1 << i for i in range(batch.bit_length()) if 1 << i < batch] + [batch]
    return [n * panels for n in events]


def golden_images(wanted: argparse.Namespace, rows: int, height: int, width: int) -> np.ndarray:
    normalised = wanted.golden == "normalised" or (
        wanted.golden != "counts" and pathlib.Path(wanted.source).suffix in (".yaml", ".yml"))
    if wanted.golden in ("", "counts", "normalised"):
        return golden.images(rows, height, width, normalised)
    try:
        return golden.frames(wanted.golden, rows, height, width, normalised=False)
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as failure:
        raise Refused(f"--golden {wanted.golden}: {failure}; nothing was written; give FILE:DATASET, as "
                      "run12.cxi:/entry_1/data_1/data") from failure


def logits_of(network: torch.nn.Module, images: np.ndarray, device: str, precision: str, source: str,
              ordinary: bool = True) -> torch.Tensor:
    """What the network makes of images, checked against the contract of peaknetd; finite, if the images are ordinary ones."""
    batch = torch.from_numpy(images).to(device, formats.input_type(precision))
    with refusing(f"{source} fails on an input of {tuple(batch.shape)}", "it must take (rows,1,H,W), and --size must be one that "
                  "it takes"), torch.inference_mode():
        logits = network.to(device)(batch)
    rows, _, height, width = batch.shape
    good = isinstance(logits, torch.Tensor) and logits.dim() == 4 and logits.shape[0] == rows and logits.shape[1] >= 2 and \
        tuple(logits.shape[2:]) == (height, width) and logits.dtype in formats.PRECISIONS.values()
    if not good:
        got = f"{tuple(logits.shape)} of {logits.dtype}" if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise Refused(f"{source} returned {got} for an input of {tuple(batch.shape)}; nothing was written; it must return "
                      f"({rows}, 2 or more classes, {height}, {width}) of float32, bfloat16 or float16")
    if ordinary and not logits.isfinite().all():
        refuse_not_finite(network, logits, precision, source)
    return logits


def refuse_not_finite(network: torch.nn.Module, logits: torch.Tensor, precision: str, source: str) -> NoReturn:
    bad = checkpoint_weights.not_finite(network)
    classes = [str(i) for i in range(logits.shape[1]) if not logits[:, i].isfinite().all()]
    count = int((~logits.isfinite()).sum())
    remedy = "take --precision bfloat16, which has the range of float32" if precision == "float16" else \
        "is the golden image of the kind that it was trained with? (--golden)"
    raise Refused(f"{source} in {precision} gives {count} logits of {logits.numel()} that are not finite (class "
                  f"{', '.join(classes)}){': its weights ' + ', '.join(bad[:3]) + ' are not' if bad else ''}; nothing was written; "
                  f"{remedy}")


def compare_with_its_runtime(source: sources.Source, images: np.ndarray, name: str) -> str:
    """The mask of a converted network must be that of its own runtime, but for rounding."""
    if source.runtime is None:
        return ""
    theirs = torch.from_numpy(np.ascontiguousarray(source.runtime(images)))
    with refusing(f"{name} fails on an input of {images.shape}", "--size must be one that it takes"), torch.inference_mode():
        ours = source.network(torch.from_numpy(images))
    if ours.shape != theirs.shape:
        raise Refused(f"{name} was converted to a network that returns {tuple(ours.shape)}, its own runtime returns "
                      f"{tuple(theirs.shape)}; nothing was written; export it again with another opset, 17 has the most operators")
    largest = float((ours - theirs).abs().max())
    scale = max(1.0, float(theirs.abs().max()))
    if not largest <= 1e-3 * scale:
        raise Refused(f"{name} was converted to a network whose output is {largest:.3g} away from that of its own runtime (which "
                      f"reaches {scale:.3g}); nothing was written; export it again with another opset, 17 has the most operators")
    return f"; at most {largest:.2g} from its own runtime"


def one_output(network: torch.nn.Module, images: np.ndarray) -> bool:
    try:
        with torch.inference_mode():
            output = network(torch.from_numpy(images))
    except Exception:
        return False  # logits_of says what is wrong
    return isinstance(output, torch.Tensor) and output.dim() == 4 and output.shape[1] == 1


def refuse_coupled_rows(network: torch.nn.Module, images: np.ndarray, source: str) -> None:
    """peaknetd pads batches with rows that hold anything: they must change nothing."""
    alone = golden.mask_of(logits_of(network, images, "cpu", "float32", source))
    beside = np.concatenate([images, 50 * images[:, :, ::-1]])
    together = golden.mask_of(logits_of(network, beside, "cpu", "float32", source, ordinary=False))[: len(alone)]
    differing, allowed = golden.apart(alone, together)
    if differing > allowed:
        raise Refused(f"{source} marks {differing} of {alone.size} pixels otherwise beside other images in a batch; nothing "
                      "was written; use normalisation that looks at one image at a time, in evaluation mode")


def run_file(runner: formats.Runner, images: np.ndarray) -> torch.Tensor:
    with refusing(f"the exported file fails on {len(images)} images, which the network takes",
                  "a network that computes with its own shape cannot be traced: make it scriptable"):
        return runner(images)


def beside_torchscript(network: torch.nn.Module, images: np.ndarray, package: formats.Runner, folder: pathlib.Path,
                       precision: str) -> str:
    """What one image takes in the package and in a .pt of the same network on this processor, in turn, after a warm-up."""
    try:
        archive, _ = formats.torchscript(network, torch.from_numpy(images[:1]).to(formats.input_type(precision)))
        (folder / "beside.pt").write_bytes(archive)
        runners = {".pt2": package, ".pt": formats.Runner(folder / "beside.pt", "cpu", precision)}
        times: dict[str, list[float]] = {name: [] for name in runners}
        for turn in range(3 + 5):
            for name, runner in runners.items():
                begin = time.perf_counter()
                runner(images)
                if turn >= 3:
                    times[name].append((time.perf_counter() - begin) / len(images) * 1e3)
    except Exception as failure:  # the package is good without: of the other nothing is known
        return f"not compared with a .pt ({cause_of(failure, 100)})"
    medians = {name: float(np.median(spans)) for name, spans in times.items()}
    faster, slower = sorted(medians, key=medians.__getitem__)
    return (f"one image takes {medians['.pt2']:.3g} ms in the .pt2 and {medians['.pt']:.3g} ms in a .pt, here and with "
            f"{torch.get_num_threads()} threads: the {slower} is the slower" +
            ("; give peaknetd the .pt" if faster == ".pt" else ""))


def make(wanted: argparse.Namespace, made: pathlib.Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Writes the model to `made`; returns the golden image, its mask, and a word about how."""
    compiled = wanted.output.suffix == ".pt2"
    source = sources.load(wanted.source, wanted.weights, wanted.seed, wanted.take, tell=print, options=dict(wanted.option))
    network = source.network
    buckets = buckets_of(wanted.panels, wanted.batch)
    if source.size and wanted.size and source.size != wanted.size:
        raise Refused(f"{wanted.source} takes images of {source.size[0]}x{source.size[1]} alone; nothing was written; leave --size "
                      "out, or export the network with free sizes")
    height, width = wanted.size or source.size or ((512, 512) if compiled else SMALL)
    images = golden_images(wanted, buckets[0] if compiled else 1, height, width)
    beside = compare_with_its_runtime(source, images, wanted.source)
    if one_output(network, images):
        network = sources.Above(network, wanted.threshold).eval()
    reference = golden.mask_of(logits_of(network, images, "cpu", "float32", wanted.source))
    if not compiled or buckets[-1] > 1:
        refuse_coupled_rows(network, images, wanted.source)
    with refusing(f"{wanted.source} cannot be put into {wanted.precision}", "export it in float32"):
        network = formats.in_precision(network, wanted.precision)
    logits = logits_of(network, images, wanted.device, wanted.precision, wanted.source)
    if compiled:
        with refusing(f"{wanted.source} cannot be compiled", "make a .pt, which is not compiled; is g++ installed?"):
            formats.package(network, buckets, height, width, wanted.precision, logits.shape[1], wanted.device, wanted.compile,
                            made)
        how = f"rows {', '.join(str(rows) for rows in buckets)} of {height}x{width} for {wanted.device}, {wanted.compile}"
    else:
        example = torch.from_numpy(images).to(formats.input_type(wanted.precision))
        with refusing(f"{wanted.source} can be neither scripted nor traced", "make it an ordinary torch.nn.Module, without "
                      "Python that depends on the image"):
            archive, how = formats.torchscript(network, example)
        made.write_bytes(archive)
    runner = formats.Runner(made, wanted.device, wanted.precision if wanted.precision != "int8" else "float32")
    differing = 0
    for rows in buckets if compiled else (1, 2):  # all that a package has; a trace must not know how many it was made with
        batch = np.resize(images, (rows, *images.shape[1:]))
        expected = golden.mask_of(logits_of(network, batch, wanted.device, wanted.precision, wanted.source))
        for _ in range(3):  # the executor of TorchScript specialises on its first calls: later ones run other code
            got = golden.mask_of(run_file(runner, batch))
        apart, allowed = golden.apart(got, expected)
        if apart > allowed or (apart and wanted.precision == "float32" and not compiled):
            raise Refused(f"the exported file marks {apart} of {got.size} pixels of {rows} images otherwise than "
                          f"{wanted.source} does; nothing was written; a network with branches that depend on the image cannot "
                          "be traced: make it scriptable")
        differing += apart
    if compiled and wanted.device == "cpu":
        print(beside_torchscript(network, batch, runner, made.parent, wanted.precision))
    mask = golden.mask_of(runner(images))
    rounding = int((mask != reference).sum())
    return images, mask, (f"{how}, {wanted.precision}; {differing} pixels differ from the network in Python, "
                          f"{rounding} of the golden mask from float32 there{beside}")


def run(command: Optional[list[str]] = None) -> int:
    wanted = arguments_of(command)
    refuse_what_cannot_be(wanted)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=wanted.output.parent, prefix=".export.") as folder:
        made = pathlib.Path(folder) / wanted.output.name
        images, mask, how = make(wanted, made)
        golden.write(made, images, mask)
        faults = 0
        for path in (*golden.names(made), made):  # the model last: it never has another one's golden files
            target = wanted.output.with_name(path.name)
            if not wanted.check:
                path.replace(target)
            elif not target.exists() or target.read_bytes() != path.read_bytes():
                faults += 1
                print(f"{target.name}: not what {wanted.source} makes with torch {torch.__version__}", file=sys.stderr)
    if faults == 0:
        marked = int(mask.sum())
        print(f"{wanted.output}: {how}")
        print(f"  golden: {marked} of {mask.size} pixels marked" +
              ("; a mask without both proves little: see --golden" if marked in (0, mask.size) else ""))
        print(f"  sha256 {hashlib.sha256(wanted.output.read_bytes()).hexdigest()}, {wanted.output.stat().st_size} bytes, "
              f"torch {torch.__version__}, {time.monotonic() - begin:.0f} s")
    return 1 if faults else 0


def main(command: Optional[list[str]] = None) -> int:
    warnings.filterwarnings("ignore", category=FutureWarning)  # torch's own, about TorchScript; README.md says what holds
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
    warnings.filterwarnings("ignore", message="The TorchScript type system")  # of a network that is then traced
    try:
        return run(command)
    except Refused as refusal:
        print(f"export.py: {refusal}", file=sys.stderr)
    except OSError as failure:
        print(f"export.py: {failure}; the model was not written; check the folder, its rights and its room", file=sys.stderr)
    except KeyboardInterrupt:
        print("export.py: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
