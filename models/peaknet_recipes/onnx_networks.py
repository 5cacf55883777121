"""ONNX as an nn.Module, by onnx2torch, which knows the operators of opset 17 and earlier. What is newer is brought there: by
ONNX's own converter of versions, and for operators that have no older form (GroupNormalization, Gelu) by layers here. What
onnx2torch computes from a shape in Python, a trace would fix to the shape it was made with: those layers are replaced.

The result is compared with ONNX Runtime before it is used (`runtime_of`)."""

import pathlib
from typing import Any, Callable, Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .refused import Refused, refusing

OPSET = 17  # the newest that onnx2torch knows whole
DOMAIN = "peaknetd"  # of the operators that are layers here
NEWER = {"GroupNormalization": 18, "Gelu": 20}  # operator -> the opset it came with


@torch.jit.script
def reshaped(x: Tensor, shape: Tensor) -> Tensor:
    sizes: list[int] = shape.tolist()
    for i in range(len(sizes)):
        if sizes[i] == 0:
            sizes[i] = x.shape[i]
    return x.reshape(sizes)


class Reshape(nn.Module):
    def forward(self, x: Tensor, shape: Tensor) -> Tensor:
        return reshaped(x, shape)


class Shape(nn.Module):
    def __init__(self, start: int, end: Optional[int]) -> None:
        super().__init__()
        self.start, self.end = start, end

    def forward(self, x: Tensor) -> Tensor:
        return torch._shape_as_tensor(x)[self.start : self.end]


class GroupNormalization(nn.Module):
    """Scale and bias by group (opset 18) or by channel (from 21)."""

    def __init__(self, groups: int, epsilon: float, by_group: bool) -> None:
        super().__init__()
        self.groups, self.epsilon, self.by_group = groups, epsilon, by_group

    def forward(self, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        if self.by_group:
            each = x.shape[1] // self.groups
            scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
        return F.group_norm(x, self.groups, scale, bias, self.epsilon)


class Gelu(nn.Module):
    def __init__(self, approximate: str) -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate=self.approximate)


def register_layers() -> None:
    """With onnx2torch, once in a process."""
    from onnx2torch.node_converters import registry
    from onnx2torch.utils.common import OperationConverterResult, onnx_mapping_from_node

    def add(operation: str, make: Callable[[dict[str, Any]], nn.Module]) -> None:
        if registry.OperationDescription(DOMAIN, operation, 1) not in registry._CONVERTER_REGISTRY:
            registry.add_converter(operation, 1, DOMAIN)(lambda node, graph: OperationConverterResult(
                torch_module=make(node.attributes), onnx_mapping=onnx_mapping_from_node(node=node)))

    add("GroupNormalization", lambda a: GroupNormalization(a["num_groups"], a.get("epsilon", 1e-5), bool(a["by_group"])))
    add("Gelu", lambda a: Gelu(a.get("approximate", "none")))


def lowered(document: Any, onnx: Any) -> Any:
    """The same network in the opset that onnx2torch knows, with the ranks of all values."""
    document = onnx.inliner.inline_local_functions(document)
    document.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    opset = next((entry.version for entry in document.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
    for node in document.graph.node:
        if node.domain in ("", "ai.onnx") and node.op_type in NEWER and opset >= NEWER[node.op_type]:
            node.domain = DOMAIN
            if node.op_type == "GroupNormalization":
                node.attribute.append(onnx.helper.make_attribute("by_group", int(opset < 21)))
    document = onnx.shape_inference.infer_shapes(document, data_prop=True)
    if opset != OPSET:
        document = onnx.version_converter.convert_version(document, OPSET)
    if all(entry.domain != DOMAIN for entry in document.opset_import):
        document.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    onnx.checker.check_model(document)
    return onnx.shape_inference.infer_shapes(document, data_prop=True)


def convert(document: Any, onnx: Any, converter: Any) -> nn.Module:
    register_layers()
    network = converter.convert(lowered(document, onnx))
    for name, layer in list(network.named_modules()):
        if type(layer).__name__ == "OnnxReshape":
            network.set_submodule(name, Reshape())
        elif type(layer).__name__ == "OnnxShape":
            network.set_submodule(name, Shape(layer._start, layer._end))
    return network


def runtime_of(path: pathlib.Path, last_in: bool, last_out: bool) -> Callable[[np.ndarray], np.ndarray]:
    """What ONNX Runtime makes of images (rows,1,H,W), as (rows,classes,H,W)."""
    with refusing("the comparison of an ONNX file needs the package onnxruntime",
                  "python3 -m pip install -r models/requirements-onnx.txt"):
        import onnxruntime
    with refusing(f"{path} cannot be run by ONNX Runtime", "is it a whole network?"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

    def run(images: np.ndarray) -> np.ndarray:
        with refusing(f"{path} fails in ONNX Runtime on images of {images.shape}", "--size must be one that it takes"):
            given = np.ascontiguousarray(np.moveaxis(images, 1, -1)) if last_in else images
            logits = session.run(None, {name: given})[0]
        return np.moveaxis(logits, -1, 1) if last_out else logits

    return run


def sides(document: Any) -> tuple[bool, bool, Optional[tuple[int, int]]]:
    """Whether the channel is the last dimension of the input, and of the output; and the size, if there is only one. Raises
    Refused for what is no network of images."""
    graph = document.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise Refused(f"the network has {len(inputs)} inputs and {len(graph.output)} outputs, one of each is needed; nothing was "
                      "written; export it again with the image alone as input and the logits alone as output")

    def sizes(value: Any) -> list[int]:
        return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]

    taken, given = sizes(inputs[0]), sizes(graph.output[0])
    if len(taken) != 4 or 1 not in (taken[1], taken[3]):
        raise Refused(f"the network's input is {taken} (0: free), it must be (rows,1,H,W) or (rows,H,W,1); nothing was written")
    if len(given) not in (0, 4):
        raise Refused(f"the network's output is {given} (0: free), it must be (rows,classes,H,W) or (rows,H,W,classes); nothing "
                      "was written")
    last_in = taken[1] != 1
    few = lambda n: 1 <= n <= 64
    height, width = taken[1:3] if last_in else taken[2:]
    last_out = last_in if not given or few(given[1]) == few(given[3]) else few(given[3])
    return last_in, last_out, (height, width) if height and width else None
