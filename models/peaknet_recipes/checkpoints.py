"""What a checkpoint holds, whatever made it: torch.save (also its old form), safetensors. Nothing of the file is executed:
torch's loader for weights alone does the reading, and of the other objects that people keep beside the weights (options,
numbers of NumPy, ...) those on a list are read past. What is not on the list refuses the file, by name."""

import _compat_pickle
import collections
import pathlib
import pickle
import pickletools
import zipfile
from typing import Any

import torch

from .refused import Refused, refusing

# Objects beside the weights: they are replaced by nothing, so it does not matter what they would do.
HARMLESS_PACKAGES = ("argparse", "numpy", "omegaconf", "pathlib", "datetime", "typing", "types", "enum", "decimal", "uuid",
                     "lightning", "lightning_fabric", "lightning_utilities", "pytorch_lightning")
HARMLESS_NAMES = ("_codecs.encode", *(f"builtins.{name}" for name in (
    "int", "float", "bool", "str", "bytes", "list", "dict", "tuple", "set", "frozenset", "complex", "slice", "range",
    "object", "NoneType")))
NO_TRUST = "an object of it could run code of the file's choice"
SAVE_WEIGHTS = "where it was made, save the weights alone: torch.save(network.state_dict(), 'weights.bin')"

BEGINNINGS = (  # of files that are taken for checkpoints
    (b"\x89HDF", "an HDF5 file (weights of Keras?)"), (b"\xff\xd8\xff", "a JPEG picture"), (b"\x89PNG", "a PNG picture"),
    (b"\x1f\x8b", "compressed with gzip"), (b"BZh", "compressed with bzip2"), (b"\xfd7zXZ", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"), (b"\x7fELF", "a program"), (b"\x93NUMPY", "an array of NumPy"),
    (b"version https://git-lfs", "a pointer of Git LFS, without the file itself (git lfs pull fetches it)"),
    (b"<", "a page of HTML or XML (a download that failed?)"), (b"%PDF", "a PDF"))
OLD_SAVE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before 1.6, pickled


def kind_of(path: pathlib.Path) -> str:
    """checkpoint, old checkpoint, safetensors, torchscript, program (torch.export), package (AOTInductor), or what else it is
    in words that go behind "it is". Raises OSError."""
    with path.open("rb") as file:
        begin = file.read(64)
    if not begin:
        return "empty"
    if begin.startswith(b"PK\x03\x04"):
        return kind_of_archive(path)
    if begin.startswith(OLD_SAVE):
        return "old checkpoint"
    length = int.from_bytes(begin[:8], "little")
    if len(begin) > 8 and begin[8:9] == b"{" and length <= path.stat().st_size - 8:
        return "safetensors"
    for mark, words in BEGINNINGS:
        if begin.startswith(mark):
            return words
    return "a pickle that torch.save did not write" if begin[:1] == b"\x80" and begin[1:2] in b"\2\3\4\5" else \
        "of no kind that is known here"


def kind_of_archive(path: pathlib.Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises many things on an archive that is damaged
        return "a ZIP archive that is cut or damaged"
    inner = {name.partition("/")[2] for name in names}
    if any(name.startswith("data/aotinductor/") for name in inner):
        return "package"
    if "models/model.json" in inner or "serialized_exported_program.json" in inner | set(names):
        return "program"
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        return "torchscript"
    if "data.pkl" in inner:
        return "checkpoint"
    if any(name.endswith(".npy") for name in names):
        return "an archive of NumPy"
    if "model.weights.h5" in names:
        return "a network of Keras"
    return "a ZIP archive without data.pkl, so not one of torch.save"


def sound_archive(path: pathlib.Path) -> None:
    """Refuses an archive of which a record is not what was written. torch does not compare the checksums."""
    with refusing(f"{path} is cut or damaged", "copy it again from where it was made"), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise Refused(f"{path} is damaged: the checksum of its record {damaged} is wrong; nothing was written; copy it again "
                      "from where it was made")


class Absent:
    """Stands for an object beside the weights: takes whatever it is given and keeps nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __new__(cls, *_: Any, **__: Any) -> "Absent":
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass


def absent_table(*_: Any) -> Any:
    """Of a class that the loader wants to fill like a dictionary."""
    return collections.OrderedDict()


def name_today(module: str, name: str) -> str:
    """Pickles name the modules of Python 2."""
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"


def pickled_names(path: pathlib.Path, kind: str) -> list[str]:
    """The classes and functions that the pickles of the file ask for."""
    names = []
    with refusing(f"{path} is no checkpoint of torch that can be read", SAVE_WEIGHTS):
        if kind == "checkpoint":
            with zipfile.ZipFile(path) as archive:
                record = next(name for name in archive.namelist() if name.partition("/")[2] == "data.pkl")
                steps = list(pickletools.genops(archive.read(record)))
        else:
            with path.open("rb") as file:  # magic number, protocol, machine, the object, its storages
                steps = [step for _ in range(5) for step in pickletools.genops(file)]
        names = [name_today(*argument.split(" ", 1)) for operation, argument, _ in steps
                 if operation.name in ("GLOBAL", "INST")]
    return list(dict.fromkeys(names))  # the outermost first


def is_torch_s(name: str) -> bool:
    return name in torch._weights_only_unpickler._get_allowed_globals()


def stand_ins(names: list[str]) -> list[tuple[Any, str]]:
    found = []
    for name in names:
        if name == "collections.defaultdict":
            found.append((absent_table, name))
        elif name.endswith(".AttributeDict"):
            found.append((collections.OrderedDict, name))
        elif not is_torch_s(name) and (name.split(".")[0] in HARMLESS_PACKAGES or name in HARMLESS_NAMES):
            found.append((Absent, name))
    return found


def refuse_code(path: pathlib.Path, names: list[str]) -> None:
    some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    what = "is a network pickled whole, with its classes" if any(name.startswith("torch.nn.modules.") for name in names) \
        else "holds objects beside the weights"
    raise Refused(f"{path} {what} ({some}), and {NO_TRUST}; nothing was executed, nothing was written; {SAVE_WEIGHTS}")


def read_pickled(path: pathlib.Path, kind: str) -> Any:
    names = pickled_names(path, kind)
    known = stand_ins(names)
    replaced = {name for _, name in known}
    strange = [name for name in names if name not in replaced and not is_torch_s(name)]
    if strange:
        refuse_code(path, strange)
    with refusing(f"{path} cannot be read as a checkpoint", SAVE_WEIGHTS), torch.serialization.safe_globals(known):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "checkpoint")
        except pickle.UnpicklingError as failure:  # torch's own words around it advise to trust the file
            reason = str(failure).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
            raise pickle.UnpicklingError(reason or "it is damaged") from failure


def read_safetensors(path: pathlib.Path) -> Any:
    with refusing("a .safetensors file needs the package safetensors", "python3 -m pip install -r models/requirements.txt"):
        import safetensors.torch
    with refusing(f"{path} is cut or damaged, or no safetensors file", "copy it again from where it was made"):
        return safetensors.torch.load_file(path)


def read(path: pathlib.Path) -> Any:
    """The tensors of the file in the dictionaries they are in. Raises Refused."""
    with refusing(f"{path} cannot be read", "--weights is the file of a checkpoint"):
        if path.is_dir():
            raise Refused(f"{path} is a folder, as sharded training leaves it; nothing was written; make one file of it first: "
                          f"python3 -m torch.distributed.checkpoint.format_utils dcp_to_torch {path} weights.bin (or what your "
                          "framework has for it)")
        kind = kind_of(path)
    if kind == "safetensors":
        return read_safetensors(path)
    if kind == "checkpoint":
        sound_archive(path)
    if kind in ("checkpoint", "old checkpoint"):
        return read_pickled(path, kind)
    known = {"empty": "empty: a copy that failed?", "torchscript": "a TorchScript network, which holds its own weights: "
             "peaknetd takes it as it is (model.path)", "package": "a compiled package, which holds its own weights: peaknetd "
             "takes it as it is (model.path)", "program": "a program of torch.export, which holds its own weights: give it as "
             "SOURCE, without --weights"}
    raise Refused(f"{path} is no checkpoint: it is {known.get(kind, kind)}; nothing was written; a checkpoint is a file of "
                  "torch.save or safetensors")
