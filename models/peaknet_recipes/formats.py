"""The two files that peaknetd loads, made from an nn.Module: TorchScript (.pt) and AOTInductor (.pt2).

.pt   any number of rows of any size that the network takes, on every device. Made by scripting where the network can be
      scripted, else by a trace, and without debug records, which hold paths of this machine.
.pt2  machine code for one kind of device, one size, and the numbers of rows that were asked for; each number is a model
      rows_R of the package, with what peaknetd checks before it loads it (`metadata`)."""

import io
import pathlib
from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor, nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def in_precision(network: nn.Module, precision: str) -> nn.Module:
    """int8: the linear layers multiply 8-bit integers (weights by channel, inputs by their range), the rest is float32."""
    if precision == "int8":
        from torch.ao.quantization import quantize_dynamic

        return quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)
    return network.to(PRECISIONS[precision])


def input_type(precision: str) -> torch.dtype:
    return PRECISIONS.get(precision, torch.float32)


def slim(module: torch.jit.ScriptModule) -> bytes:
    """The archive without its debug records. What remains depends on the source and the version of torch alone, in a process
    that exports once."""
    complete = io.BytesIO()
    torch.jit.save(module, complete)
    complete.seek(0)
    reader = torch._C.PyTorchFileReader(complete)
    archive = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(archive)
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in ("version", ".data/serialization_id"):
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return archive.getvalue()


def torchscript(network: nn.Module, example: Tensor) -> tuple[bytes, str]:
    """The archive, and whether it was "scripted" or "traced". A network without parameters is frozen into one function; one
    with parameters is not, so that peaknetd can still cast them (engine.precision)."""
    try:
        module, how = torch.jit.script(network), "scripted"
    except Exception:  # the compiler of TorchScript raises what it likes on Python that it does not know
        module, how = torch.jit.trace(network, example, check_trace=False), "traced"
    if not any(True for _ in network.parameters()):
        module = torch.jit.freeze(module)
    return slim(module), how


def compile_options(mode: str) -> dict[str, Any]:
    """Of inductor, for upstream's compile_mode. reduce-overhead is CUDA graphs and nothing else: they are not in the package,
    so it is that of default."""
    if mode == "max-autotune":
        return {"max_autotune": True, "coordinate_descent_tuning": True}
    return {}


def metadata(rows: int, height: int, width: int, precision: str, classes: int, device: str) -> dict[str, str]:
    facts = {
        "peaknet.format": "1",
        "peaknet.rows": str(rows),
        "peaknet.shape": f"{rows},1,{height},{width}",
        "peaknet.dtype": precision,
        "peaknet.classes": str(classes),
        "peaknet.device": device,
        "peaknet.torch": torch.__version__.partition("+")[0],
    }
    if device == "cuda":
        facts["peaknet.capability"] = ".".join(str(n) for n in torch.cuda.get_device_capability())
    else:
        from torch._inductor.cpu_vec_isa import pick_vec_isa

        facts["peaknet.isa"] = str(pick_vec_isa() or "default")
    return facts


def package(network: nn.Module, buckets: Sequence[int], height: int, width: int, precision: str, classes: int, device: str,
            mode: str, target: pathlib.Path) -> None:
    """Writes the package. Threads on the CPU are those of the caller at run time (engine.cpu_threads), not of this process."""
    from torch._inductor import aot_compile
    from torch._inductor.package import package_aoti

    network = network.to(device)
    files = {}
    for rows in buckets:
        example = torch.zeros(rows, 1, height, width, dtype=input_type(precision), device=device)
        with torch.no_grad():
            program = torch.export.export(network, (example,), strict=False)
        options = {
            "aot_inductor.package": True,
            "aot_inductor.metadata": metadata(rows, height, width, precision, classes, device),
            "cpp.dynamic_threads": True,
            **compile_options(mode),
        }
        files[f"rows_{rows}"] = aot_compile(program.module(), (example,), options=options)
    package_aoti(str(target), files)


class Runner:
    """A finished file as peaknetd runs it: float32 in, logits out, the rows cut into what the file can take."""

    def __init__(self, path: pathlib.Path, device: str = "cpu", precision: str = "float32") -> None:
        self.path, self.device, self.type = path, device, input_type(precision)
        self.buckets: list[int] = []
        if path.suffix == ".pt2":
            from torch.export.pt2_archive._package import load_pt2

            runners = load_pt2(str(path), run_single_threaded=True).aoti_runners
            self.models = {int(name.removeprefix("rows_")): model for name, model in runners.items()}
            self.buckets = sorted(self.models)
        else:
            self.module = torch.jit.load(str(path), map_location=device).eval()
            if self.type != torch.float32:
                self.module.to(self.type)

    def __call__(self, images: np.ndarray) -> Tensor:
        batch = torch.from_numpy(images).to(self.device, self.type)
        with torch.inference_mode():
            if not self.buckets:
                return self.module(batch)
            rows = next((rows for rows in self.buckets if rows >= len(batch)), self.buckets[-1])
            parts = []
            for begin in range(0, len(batch), rows):
                part = batch[begin : begin + rows]
                full = torch.zeros((rows, *part.shape[1:]), dtype=part.dtype, device=part.device)
                full[: len(part)] = part
                parts.append(self.models[rows](full)[: len(part)])
            return torch.cat(parts)
