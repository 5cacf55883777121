"""Where a network comes from. `load` makes an nn.Module (rows, 1, H, W) -> (rows, 2 or more classes, H, W) of

    contrast:Contrast      any `module:function` (or class) that is called without arguments; modules beside this file and
                           in the current folder are found
    peaknet.yaml           PeakNet from upstream's configuration, with `weights` or random parameters
    network.onnx           ONNX, converted with onnx2torch (requirements-onnx.txt)
    network.keras, folder  Keras or a TensorFlow SavedModel, by tf2onnx and then as ONNX (requirements-keras.txt)

Networks with the channel last, (rows, H, W, 1), as Keras has them, and those with one output for "peak" instead of two
classes are wrapped so that they fit."""

import importlib
import pathlib
import sys
import tempfile
from typing import Any, Optional

import torch
from torch import Tensor, nn


class Refused(Exception):
    """What failed, with the number, and what to do next: one line for the operator."""


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


def from_function(source: str) -> nn.Module:
    name, _, function = source.partition(":")
    if "" not in sys.path:
        sys.path.append("")  # the current folder, after the packages
    try:
        made = getattr(importlib.import_module(name), function)()
    except (ImportError, AttributeError) as absent:
        raise Refused(f"{source} cannot be imported ({absent}); nothing was written; give module:function, with the module "
                      "in the current folder, in models/ or installed") from absent
    if not isinstance(made, nn.Module):
        raise Refused(f"{source} returned a {type(made).__name__}, not a torch.nn.Module; nothing was written; the function "
                      "must return the network itself")
    return made


def from_yaml(path: pathlib.Path, weights: Optional[pathlib.Path], seed: int) -> nn.Module:
    import peaknet
    yaml = imported("yaml", "an upstream configuration", "models/requirements.txt")
    try:
        config = peaknet.config_of(yaml.safe_load(path.read_text()))
        return peaknet.build(config, weights, seed)
    except (OSError, ValueError, RuntimeError, yaml.YAMLError) as failure:
        raise Refused(f"{path}: {failure}; nothing was written") from failure


def from_onnx(path: pathlib.Path) -> nn.Module:
    onnx = imported("onnx", "an ONNX file", "models/requirements-onnx.txt")
    converter = imported("onnx2torch", "an ONNX file", "models/requirements-onnx.txt")
    try:
        document = onnx.load(str(path))
        return onnx_network(document, converter)
    except (OSError, ValueError, RuntimeError, NotImplementedError, onnx.checker.ValidationError) as failure:
        raise Refused(f"{path} cannot be converted: {' '.join(str(failure).split())[:300]}; nothing was written; the "
                      "operators that onnx2torch knows are in its documentation") from failure
    except Exception as failure:  # protobuf's own classes have no common base
        if type(failure).__module__.split(".")[0] != "google":
            raise
        raise Refused(f"{path} is not an ONNX file ({failure}); nothing was written") from failure


def onnx_network(document: Any, converter: Any) -> nn.Module:
    graph = document.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(graph.output)} outputs, one of each is needed")

    def sizes(value: Any) -> list[int]:
        return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]

    taken, given = sizes(inputs[0]), sizes(graph.output[0])
    if len(taken) != 4 or 1 not in (taken[1], taken[3]):
        raise ValueError(f"its input is {taken} (0: free), it must be (rows,1,H,W) or (rows,H,W,1)")
    if len(given) not in (0, 4):
        raise ValueError(f"its output is {given} (0: free), it must be (rows,classes,H,W) or (rows,H,W,classes)")
    last_in = taken[1] != 1
    few = lambda n: 1 <= n <= 64
    last_out = last_in if not given or few(given[1]) == few(given[3]) else few(given[3])
    network = converter.convert(document)
    return ChannelLast(network, last_in, last_out) if last_in or last_out else network


def from_keras(path: pathlib.Path) -> nn.Module:
    tensorflow = imported("tensorflow", "a Keras or TensorFlow model", "models/requirements-keras.txt")
    tf2onnx = imported("tf2onnx", "a Keras or TensorFlow model", "models/requirements-keras.txt")
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "network.onnx"
        try:
            if path.is_dir():
                loaded = tensorflow.saved_model.load(str(path))
                function = loaded.signatures["serving_default"]
                signature = [tensorflow.TensorSpec(s.shape, s.dtype, n)
                             for n, s in function.structured_input_signature[1].items()]
                (output,) = function.structured_outputs
                wrapped = tensorflow.function(lambda x: function(**{signature[0].name: x})[output], signature[:1])
            else:
                loaded = tensorflow.keras.models.load_model(path, compile=False)
                signature = [tensorflow.TensorSpec(loaded.inputs[0].shape, loaded.inputs[0].dtype, "image")]
                wrapped = tensorflow.function(lambda x: loaded(x, training=False), signature)
            tf2onnx.convert.from_function(wrapped, input_signature=signature[:1], opset=17, output_path=str(target))
        except (OSError, ValueError, KeyError, TypeError) as failure:
            raise Refused(f"{path} cannot be read as a Keras or TensorFlow model with one input and one output: "
                          f"{' '.join(str(failure).split())[:300]}; nothing was written") from failure
        return from_onnx(target)


def load(source: str, weights: Optional[pathlib.Path] = None, seed: int = 0) -> nn.Module:
    """The network on the CPU, float32, in evaluation mode. `weights` and `seed` are for PeakNet alone. Raises Refused."""
    path = pathlib.Path(source)
    kind = path.suffix.lower()
    if weights is not None and kind not in (".yaml", ".yml"):
        raise Refused(f"--weights belongs to a peaknet_config (.yaml), not to {source}; nothing was written")
    if ":" in source and not path.exists():
        network = from_function(source)
    elif not path.exists():
        raise Refused(f"{source} is neither a file nor module:function; nothing was written")
    elif kind in (".yaml", ".yml"):
        network = from_yaml(path, weights, seed)
    elif kind == ".onnx":
        network = from_onnx(path)
    elif kind in (".keras", ".h5") or path.is_dir():
        network = from_keras(path)
    else:
        raise Refused(f"{source} is of no known kind; nothing was written; known are module:function, .yaml, .onnx, .keras "
                      "and the folder of a SavedModel")
    return network.requires_grad_(False).eval()
