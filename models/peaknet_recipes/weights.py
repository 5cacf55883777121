"""Puts the weights of a checkpoint into a network: finds the table of tensors that fits, under whatever key (model, state_dict,
ema, ...) and with whatever prefix (module., _orig_mod., model., ...), says what was taken, and names what does not fit."""

import dataclasses
import pathlib
import re
from typing import Any, Callable, Iterator, Optional

import torch
from torch import Tensor, nn

from . import checkpoints
from .refused import Refused

# Parts of a name that torch puts there when a module is compiled or sharded: they say nothing about the network.
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
AVERAGED = re.compile(r"(^|[_.])(ema|swa|shadow|averaged?|polyak)([_.]|$)", re.IGNORECASE)
DEEPEST = 6  # dictionaries within dictionaries

Explain = Callable[[dict[str, tuple[int, ...]]], str]


@dataclasses.dataclass
class Candidate:
    """One table of tensors with one prefix, held against the network."""
    where: str  # the keys that lead to the table, with dots
    prefix: str
    tensors: dict[str, Tensor]  # what is behind the prefix, by the names without it
    known: int  # of these, how many are names of the network
    missing: list[str]
    unexpected: list[str]
    other: list[str]  # with what is other
    left: list[str]  # names outside the prefix

    def faults(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.other)

    def label(self) -> str:
        return f"{self.where or 'the file itself'}{f', prefix {self.prefix}' if self.prefix else ''}"

    def averaged(self) -> bool:
        return AVERAGED.search(f"{self.where}.{self.prefix}") is not None

    def fits(self) -> bool:
        return not self.faults()


def tables(document: Any, where: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every dictionary that has tensors, with the keys that lead to it, outermost first."""
    if not isinstance(document, dict) or depth > DEEPEST:
        return
    tensors = {name: value for name, value in document.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for name, value in document.items():
        yield from tables(value, f"{where}.{name}" if where else str(name), depth + 1)


def plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def prefixes(names: list[str], ours: list[str]) -> list[str]:
    """Beginnings after which names of the file are names of the network. Some names of the network are enough to find them."""
    found = {""}
    for wanted in {ours[0], ours[len(ours) // 2], ours[-1], max(ours, key=len)} if ours else ():
        found |= {name[: -len(wanted)] for name in names if name.endswith("." + wanted)}
    return sorted(found, key=len)


def difference(name: str, tensor: Tensor, ours: Tensor) -> Optional[str]:
    if tensor.shape != ours.shape:
        return f"{name} {tuple(tensor.shape)} instead of {tuple(ours.shape)}"
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        return f"{name} without plain numbers ({'meta' if tensor.is_meta else tensor.layout}, {tensor.dtype})"
    if tensor.is_complex() or tensor.is_floating_point() != ours.is_floating_point():
        return f"{name} of {tensor.dtype} instead of {ours.dtype}"
    return None


def held_against(network: dict[str, Tensor], where: str, tensors: dict[str, Tensor], prefix: str) -> Candidate:
    inside = {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    other = [difference(name, inside[name], ours) for name, ours in network.items() if name in inside]
    return Candidate(where, prefix, inside, sum(name in inside for name in network),
                     [name for name in network if name not in inside], [name for name in inside if name not in network],
                     [text for text in other if text], [name for name in tensors if not name.startswith(prefix)])


def candidates(document: Any, network: dict[str, Tensor]) -> list[Candidate]:
    """The best first: those that fit, of these what was trained before what was averaged, then the outermost."""
    found = []
    for where, tensors in tables(document):
        named = {plain(name): tensor for name, tensor in tensors.items()}
        if len(named) == len(tensors):
            found += [held_against(network, where, named, prefix) for prefix in prefixes(list(named), list(network))]
    return sorted(found, key=lambda c: (not c.fits(), -c.known, c.faults(), c.averaged(), c.where.count(".")))


def misfit(path: pathlib.Path, best: Candidate, what: str, explain: Optional[Explain]) -> Refused:
    parts = [f"{len(found)} {kind} ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})" for kind, found in (
        ("missing", best.missing), ("unexpected", best.unexpected), ("of another shape or type", best.other)) if found]
    if not best.known:
        some = ", ".join(best.unexpected[:3])
        return Refused(f"{path} is of another network: none of its {len(best.unexpected)} names ({some}, ...) is in {what} "
                       f"({', '.join(best.missing[:3])}, ...); nothing was written; give the checkpoint of this network")
    remedy = explain({name: tuple(tensor.shape) for name, tensor in best.tensors.items()}) if explain else ""
    return Refused(f"{path} ({best.label()}) does not fit {what}: {'; '.join(parts)}; nothing was written; "
                   f"{remedy or 'build the network as it was when the checkpoint was made'}")


def chosen(path: pathlib.Path, found: list[Candidate], take: str, what: str, explain: Optional[Explain]) -> Candidate:
    if take:
        named = [candidate for candidate in found if take.lower() in f"{candidate.where}.{candidate.prefix}".lower()]
        if not named:
            labels = sorted({candidate.label() for candidate in found if candidate.known}) or ["no weights of this network"]
            raise Refused(f"{path} has no weights under {take}; nothing was written; it has: {'; '.join(labels[:8])}")
        found = named
    if not found[0].fits():
        raise misfit(path, found[0], what, explain)
    return found[0]


def refuse_not_finite(path: pathlib.Path, network: nn.Module) -> None:
    bad = not_finite(network)
    if bad:
        raise Refused(f"{path} has weights that are not finite in float32: {', '.join(bad[:3])}{', ...' if len(bad) > 3 else ''} "
                      f"({len(bad)} tensors); nothing was written; the training has diverged, take an earlier checkpoint")


def not_finite(network: nn.Module) -> list[str]:
    """Names of parameters with NaN or infinities, and of buffers with NaN: a mask may well hold an infinity."""
    bad = [name for name, tensor in network.named_parameters() if not tensor.isfinite().all()]
    return bad + [name for name, tensor in network.named_buffers() if tensor.is_floating_point() and tensor.isnan().any()]


def put_into(network: nn.Module, path: pathlib.Path, take: str = "", what: str = "the network",
             explain: Optional[Explain] = None) -> str:
    """Fills the network and returns what was taken, in words. `take`: part of the key or prefix, where a file has several.
    `explain`: a remedy, from names and shapes in the file. Raises Refused."""
    ours = network.state_dict()
    if not ours:
        raise Refused(f"{what} has no weights, so --weights is without use; nothing was written; leave it out")
    found = candidates(checkpoints.read(path), ours)
    if not found:
        raise Refused(f"{path} holds no tensors by name; nothing was written; {checkpoints.SAVE_WEIGHTS}")
    best = chosen(path, found, take, what, explain)
    network.load_state_dict(best.tensors)  # casts to float32
    refuse_not_finite(path, network)
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in best.tensors.values() if tensor.is_floating_point()}
    text = f"weights: {len(best.tensors)} tensors of {path.name} ({best.label()})"
    if types - {"float32"}:
        text += f", {' and '.join(sorted(types - {'float32'}))} as float32"
    if best.left:
        text += f"; left out: {', '.join(best.left[:3])}{', ...' if len(best.left) > 3 else ''}"
    others = sorted({c.label() for c in found if c.fits() and c.label() != best.label()})
    return text + (f"; also there (--take): {'; '.join(others)}" if others else "")
