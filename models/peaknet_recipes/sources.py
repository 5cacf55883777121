"""Where a network comes from. `load` makes an nn.Module (rows, 1, H, W) -> (rows, 2 or more classes, H, W) of

    contrast:Contrast      any `module:function` (or class) that is called without arguments, or with `options` alone;
                           modules beside export.py and in the current folder are found
    peaknet.yaml           PeakNet from upstream's configuration, of its pipeline or its training
    network.onnx           ONNX, converted with onnx2torch (requirements-onnx.txt)
    network.keras, folder  Keras or a TensorFlow SavedModel, by tf2onnx and then as ONNX (requirements-keras.txt)
    network.pt2            a program of torch.export.save

The first two may get `weights`, a checkpoint. Networks with the channel last, (rows, H, W, 1), as Keras has them, and those
with one output for "peak" instead of two classes are wrapped so that they fit."""

import contextlib
import dataclasses
import importlib
import inspect
import os
import pathlib
import sys
import tempfile
from typing import Any, Callable, Iterator, NoReturn, Optional

import numpy as np
import torch
from torch import Tensor, nn

from . import checkpoints, onnx_networks, peaknet, weights as checkpoint_weights
from .refused import Refused, refusing

Tell = Callable[[str], None]
Runtime = Callable[[np.ndarray], np.ndarray]  # images (rows,1,H,W) -> logits, by the network's own runtime


@dataclasses.dataclass
class Source:
    network: nn.Module
    runtime: Optional[Runtime] = None
    size: Optional[tuple[int, int]] = None  # the only one that it takes; None: several


def imported(name: str, needed_for: str, requirements: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as absent:
        raise Refused(f"{needed_for} needs the package {name}, which does not load ({absent}); nothing was written; "
                      f"python3 -m pip install -r {requirements}") from absent


class ChannelLast(nn.Module):
    """A network of (rows, H, W, channels) for (rows, channels, H, W); by side, because converters change only one."""

    def __init__(self, network: nn.Module, inputs: bool, outputs: bool) -> None:
        super().__init__()
        self.network, self.inputs, self.outputs = network, inputs, outputs

    def forward(self, image: Tensor) -> Tensor:
        logits = self.network(image.permute(0, 2, 3, 1).contiguous() if self.inputs else image)
        return logits.permute(0, 3, 1, 2) if self.outputs else logits


class Above(nn.Module):
    """A network with one output as two classes: a pixel is a peak where the output is above the threshold."""

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network, self.threshold = network, threshold

    def forward(self, image: Tensor) -> Tensor:
        output = self.network(image)
        return torch.cat([torch.full_like(output, self.threshold), output], dim=1)


def from_function(source: str, options: dict[str, float]) -> nn.Module:
    name, _, function = source.partition(":")
    if "" not in sys.path:
        sys.path.append("")  # the current folder, after the packages
    with refusing(f"{source} cannot be imported", "give module:function, with the module in the current folder, in models/ or "
                  "installed"):
        maker = getattr(importlib.import_module(name), function)
    with refusing(f"{source} fails when it is called", "it is called with what --option says, else without arguments, and "
                  "returns the network"):
        refuse_unknown_options(source, maker, options)
        made = maker(**options)
    if not isinstance(made, nn.Module):
        raise Refused(f"{source} returned a {type(made).__name__}, not a torch.nn.Module; nothing was written; the function "
                      "must return the network itself")
    return made


def refuse_unknown_options(source: str, maker: Callable[..., Any], options: dict[str, float]) -> None:
    taken = inspect.signature(maker).parameters if options else {}
    unknown = [] if any(p.kind is p.VAR_KEYWORD for p in taken.values()) else [name for name in options if name not in taken]
    if unknown:
        raise Refused(f"--option {unknown[0]}: {source} takes {', '.join(taken) or 'no options'}; nothing was written; correct "
                      "the name or leave it out")


def from_yaml(path: pathlib.Path, weights: Optional[pathlib.Path], seed: int, take: str, tell: Tell) -> nn.Module:
    yaml = imported("yaml", "an upstream configuration", "models/requirements.txt")
    try:
        config = peaknet.config_of(yaml.safe_load(path.read_text()))
        return peaknet.build(config, weights, seed, take, tell)
    except (OSError, ValueError, TypeError, RuntimeError, RecursionError, MemoryError, yaml.YAMLError) as failure:
        text = " ".join(str(failure).split())[:500] or type(failure).__name__
        raise Refused(f"{path}: {text}; nothing was written; correct the configuration") from failure


@contextlib.contextmanager
def weights_alone() -> Iterator[None]:
    """torch.export.load would unpickle what it finds: for its time torch reads tensors alone."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def from_program(path: pathlib.Path) -> Source:
    checkpoints.sound_archive(path)
    with refusing(f"{path} cannot be read as a program of torch.export", f"save it with torch.export.save and torch "
                  f"{torch.__version__.partition('+')[0]}"), weights_alone():
        program = torch.export.load(path)
        inputs = [node.meta["val"] for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
        network = program.module(check_guards=False)
    taken = [size if isinstance(size, int) else 0 for size in inputs[0].shape] if len(inputs) == 1 else []
    if len(taken) != 4 or taken[0] != 0 or taken[1] != 1:
        raise Refused(f"the program {path} takes {taken or f'{len(inputs)} inputs'} (0: free), it must be (0,1,H,W); nothing was "
                      "written; export it with any number of rows: torch.export.export(network, (image,), "
                      "dynamic_shapes=({0: torch.export.Dim('rows')},))")
    for name in ("train", "eval"):  # that refuse: there are no two modes in a program
        network.__dict__.pop(name, None)
    network._forward_pre_hooks.clear()  # they look at shapes in a way that no trace can follow; `size` keeps what they know
    return Source(network, size=(taken[2], taken[3]) if taken[2] and taken[3] else None)


def from_onnx(path: pathlib.Path) -> Source:
    onnx = imported("onnx", "an ONNX file", "models/requirements-onnx.txt")
    imported("onnx.inliner", "an ONNX file", "models/requirements-onnx.txt")
    imported("onnx.version_converter", "an ONNX file", "models/requirements-onnx.txt")
    converter = imported("onnx2torch", "an ONNX file", "models/requirements-onnx.txt")
    with refusing(f"{path} is not an ONNX file", "export the network again"):
        document = onnx.load(str(path))
    try:
        last_in, last_out, size = onnx_networks.sides(document)
    except Refused as refusal:
        raise Refused(f"{path}: {refusal}") from refusal
    with refusing(f"{path} cannot be converted", "the operators that onnx2torch knows are in its documentation; opset 17 has "
                  "the most"):
        network = onnx_networks.convert(document, onnx, converter)
    runtime = onnx_networks.runtime_of(path, last_in, last_out)
    return Source(ChannelLast(network, last_in, last_out) if last_in or last_out else network, runtime, size)


def from_keras(path: pathlib.Path) -> Source:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    tensorflow = imported("tensorflow", "a Keras or TensorFlow model", "models/requirements-keras.txt")
    tf2onnx = imported("tf2onnx", "a Keras or TensorFlow model", "models/requirements-keras.txt")
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "network.onnx"
        with refusing(f"{path} cannot be read as a Keras or TensorFlow model with one input and one output",
                      "save it with model.save('network.keras'), without layers of your own"):
            if path.is_dir():
                loaded = tensorflow.saved_model.load(str(path))
                function = loaded.signatures["serving_default"]
                signature = [tensorflow.TensorSpec(s.shape, s.dtype, n)
                             for n, s in function.structured_input_signature[1].items()]
                (output,) = function.structured_outputs
                call = lambda x: function(**{signature[0].name: x})[output]
            else:
                loaded = tensorflow.keras.models.load_model(path, compile=False)
                signature = [tensorflow.TensorSpec(loaded.inputs[0].shape, loaded.inputs[0].dtype, "image")]
                call = lambda x: loaded(x, training=False)
            wrapped = tensorflow.function(call, signature[:1])
            tf2onnx.convert.from_function(wrapped, input_signature=signature[:1], opset=17, output_path=str(target))
        source = from_onnx(target)
    network = source.network
    last_in, last_out = (network.inputs, network.outputs) if isinstance(network, ChannelLast) else (False, False)

    def runtime(images: np.ndarray) -> np.ndarray:
        with refusing(f"{path} fails in TensorFlow on images of {images.shape}", "--size must be one that it takes"):
            given = np.ascontiguousarray(np.moveaxis(images, 1, -1)) if last_in else images
            logits = np.asarray(wrapped(tensorflow.constant(given)))
        return np.moveaxis(logits, -1, 1) if last_out else logits

    return Source(network, runtime, source.size)


def refuse_kind(path: pathlib.Path) -> NoReturn:
    """A file that is no source: told for what it is, with the command that makes the right one."""
    kind = checkpoints.kind_of(path)
    if kind in ("checkpoint", "old checkpoint", "safetensors"):
        raise Refused(f"{path} is a checkpoint, weights without their network; nothing was written; give the network as SOURCE "
                      f"and this file as --weights: export.py peaknet.yaml OUTPUT --weights {path}")
    if kind in ("torchscript", "package"):
        name = "a TorchScript network" if kind == "torchscript" else "a compiled package"
        raise Refused(f"{path} is {name}, and finished: peaknetd takes it as it is (model.path); nothing was written; for "
                      "another kind of file export from the network it was made of")
    raise Refused(f"{path} is of no known kind: it is {kind}; nothing was written; known are module:function, .yaml, .onnx, "
                  ".keras, the folder of a SavedModel and the file of torch.export.save")


def load_any(source: str, weights: Optional[pathlib.Path], seed: int, take: str, tell: Tell,
             options: dict[str, float]) -> Source:
    path = pathlib.Path(source)
    kind = path.suffix.lower()
    if not path.exists():
        if ":" not in source:
            raise Refused(f"{source} is neither a file nor module:function; nothing was written; correct the name")
        network = from_function(source, options)
        if weights is not None:
            tell(checkpoint_weights.put_into(network, weights, take, source))
        return Source(network)
    if options:
        raise Refused(f"--option belongs to module:function, and {source} is none; nothing was written; leave it out")
    if kind in (".yaml", ".yml"):
        return Source(from_yaml(path, weights, seed, take, tell))
    if weights is not None:
        raise Refused(f"--weights belongs to a configuration (.yaml) or module:function, and {source} has its own; nothing was "
                      "written; leave it out")
    if kind == ".onnx":
        return from_onnx(path)
    if kind in (".keras", ".h5") or path.is_dir():
        return from_keras(path)
    if checkpoints.kind_of(path) != "program":
        refuse_kind(path)
    return from_program(path)


def load(source: str, weights: Optional[pathlib.Path] = None, seed: int = 0, take: str = "",
         tell: Tell = lambda text: None, options: Optional[dict[str, float]] = None) -> Source:
    """The network on the CPU, float32, as in evaluation, and for ONNX and Keras what their own runtime makes of images.
    `seed` is for PeakNet without weights; `take` and what is told: see weights.put_into. Raises Refused."""
    try:
        loaded = load_any(source, weights, seed, take, tell, options or {})
    except OSError as failure:
        raise Refused(f"{source} cannot be read ({failure}); nothing was written; check the file and its rights") from failure
    loaded.network.requires_grad_(False).eval()
    bad = checkpoint_weights.not_finite(loaded.network)
    if bad:
        raise Refused(f"{source} has weights that are not finite: {', '.join(bad[:3])}{', ...' if len(bad) > 3 else ''} "
                      f"({len(bad)} tensors); nothing was written; take weights from before the training diverged")
    return loaded
