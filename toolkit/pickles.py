"""Files of ``torch.save``: read without running what they contain.

Unpickling can call any function, so nothing here ever unpickles freely. torch's weights-only
unpickler does the reading; it is given the quickstart's layer classes beside its own short list, and
an inert class in place of the user's own model class, whose code is neither needed nor looked for.
"""

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolkit.errors import CheckpointError, UnsafeCheckpointError, first_line

_LAYERS: tuple[type[nn.Module], ...] = (nn.Sequential, nn.Flatten, nn.Linear, nn.ReLU)
_LAYER_NAMES = {f"{layer.__module__}.{layer.__qualname__}" for layer in _LAYERS}
# A class of the user's script, or the quickstart's class wherever it was defined.
_MODEL_CLASS = re.compile(r"^(__main__\.[A-Z]\w*|[\w.]+\.NeuralNetwork)$")
# What weights themselves are pickled with; used only to name what else was asked for.
_WEIGHTS = re.compile(
    r"^(collections\.OrderedDict|(__builtin__|builtins)\.set|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)"
    r"|torch\.storage\.\w+|torch\.\w*Storage|torch\.(float|double|half|bfloat)\w*)$"
)
_STATE_KEYS = ("model_state_dict", "state_dict", "model")


class PickledModule(nn.Module):
    """Stands in for the class of a pickled model; it has no behaviour, only what was pickled."""


def read_torch_file(path: Path) -> object:
    """Return what ``torch.save`` wrote: a dict of tensors, a dict around one, or a `PickledModule`.

    Raises:
        UnsafeCheckpointError: If the pickle asks for a class or function that weights do not need.
        CheckpointError: If the file is damaged or no checkpoint.
    """
    globals_ = _requested_globals(_pickle_bytes(path))
    allowed: list[Any] = [*_LAYERS, *((PickledModule, name) for name in globals_ if _MODEL_CLASS.match(name))]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols other than torch's own: it reads them or fails
            return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        foreign = [
            name for name in globals_ if not (_WEIGHTS.match(name) or name in _LAYER_NAMES or _MODEL_CLASS.match(name))
        ]
        if foreign:
            raise UnsafeCheckpointError(path, foreign) from error
        raise CheckpointError(
            path,
            f"cannot be read as weights ({_reason(error)})",
            "save it again with torch.save(model.state_dict(), path)",
        ) from error


def find_weights(value: object, path: Path) -> tuple[dict[str, object], bool | None, dict[str, object]]:
    """Find the weights in what `read_torch_file` returned.

    Returns:
        The tensors by name; whether a ReLU ends the model, None where the file cannot tell; and the
        other entries of a dict around the weights.

    Raises:
        CheckpointError: If there are none.
    """
    if isinstance(value, PickledModule):
        return *_module_weights(value, path), {}
    if not isinstance(value, dict):
        raise CheckpointError(path, f"holds a {type(value).__name__}, not a state dict or a model")
    for key in _STATE_KEYS:
        if isinstance(value.get(key), dict | PickledModule):
            weights, final_relu, _ = find_weights(value[key], path)
            return weights, final_relu, {name: item for name, item in value.items() if name != key}
    return dict(value), None, {}


def _module_weights(module: PickledModule, path: Path) -> tuple[dict[str, object], bool]:
    """Read layers and parameters off a pickled module; only its dicts are touched, nothing is called."""
    stack = vars(module).get("_modules", {}).get("linear_relu_stack")
    layers = list(vars(stack).get("_modules", {}).values()) if type(stack) is nn.Sequential else []
    kinds = [type(layer) for layer in layers]
    expected = [nn.Linear if i % 2 == 0 else nn.ReLU for i in range(len(layers))]
    if not layers or kinds != expected:
        names = ", ".join(kind.__name__ for kind in kinds) or "nothing"
        raise CheckpointError(
            path,
            f"its model has {names} as linear_relu_stack, not Linear and ReLU in turn",
            "pass a model of the quickstart's family",
        )
    weights = {
        f"linear_relu_stack.{i}.{name}": tensor
        for i, layer in enumerate(layers)
        for name, tensor in vars(layer).get("_parameters", {}).items()
        if tensor is not None
    }
    return weights, kinds[-1] is nn.ReLU


def _pickle_bytes(path: Path) -> bytes:
    """Return the bytes that hold the pickle, after the container was checked.

    torch writes a zip since version 1.6 and a run of bare pickles before; torch.load does not compare
    the CRC of the zip's members, so a flipped bit would become a wrong weight.
    """
    data = path.read_bytes()
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any("/code/" in name or name.endswith("/archive_format") for name in names):
                raise CheckpointError(
                    path,
                    "is an exported artifact, not a checkpoint",
                    "pass it as a target: fmnist-tk parity FILE",
                )
            damaged = archive.testzip()
            member = next((name for name in names if name.endswith("data.pkl")), None)
            if damaged or not member:
                raise CheckpointError(path, f"is damaged: {damaged or 'data.pkl'} is not what was written")
            return archive.read(member)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise CheckpointError(path, f"is truncated or damaged ({_reason(error)})") from error


def _requested_globals(data: bytes) -> tuple[str, ...]:
    """Name every class and function that the pickles in ``data`` ask for, without running them."""
    found: dict[str, None] = {}
    strings: list[str] = []  # the last two are what STACK_GLOBAL takes
    memo: dict[int, str] = {}
    for opcode, argument in _opcodes(data):
        if opcode in {"GLOBAL", "INST"}:
            found[str(argument).replace(" ", ".")] = None
        elif opcode == "STACK_GLOBAL":
            found[".".join(strings[-2:])] = None
        elif opcode in {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"} and strings:
            memo[len(memo) if argument is None else int(argument)] = strings[-1]
        elif opcode in {"GET", "BINGET", "LONG_BINGET"} and argument in memo:
            strings.append(memo[argument])
        elif "UNICODE" in opcode or opcode.endswith("STRING"):
            strings.append(str(argument))
    return tuple(found)


def _opcodes(data: bytes) -> Iterable[tuple[str, Any]]:
    """Yield opcodes and arguments of all pickles that follow one another, until something else comes."""
    rest = data
    while rest[:1] == b"\x80":
        end = 0
        try:
            for opcode, argument, position in pickletools.genops(rest):
                yield opcode.name, argument
                end = (position or 0) + 1
        except ValueError:
            return
        rest = rest[end:]


def _reason(error: Exception) -> str:
    """Return the first line of torch's often very long message, without its advice to trust the file."""
    text = first_line(error)
    return "not a weights-only file" if text.startswith("Weights only") else text
