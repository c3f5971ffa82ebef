"""Files of ``torch.save``: read without running what they contain.

Unpickling can call any function, so nothing here ever unpickles freely. torch's weights-only
unpickler does the reading; it is given the quickstart's layer classes beside its own short list, and
an inert class in place of the user's own model class, whose code is neither needed nor looked for.
"""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from toolkit.errors import CheckpointError, UnsafeCheckpointError, first_line
from toolkit.formats.archives import WEIGHTS_GLOBAL, ZIP_ERRORS, damaged_member, requested_globals

_LAYERS: tuple[type[nn.Module], ...] = (nn.Sequential, nn.Flatten, nn.Linear, nn.ReLU)
_LAYER_NAMES = {f"{layer.__module__}.{layer.__qualname__}" for layer in _LAYERS}
# A class of the user's script, or the quickstart's class wherever it was defined.
_MODEL_CLASS = re.compile(r"^(__main__\.[A-Z]\w*|[\w.]+\.NeuralNetwork)$")
_STATE_KEYS = ("model_state_dict", "state_dict", "model")


class PickledModule(nn.Module):
    """Stands in for the class of a pickled model; it has no behaviour, only what was pickled."""


def read_torch_file(path: Path) -> object:
    """Return what ``torch.save`` wrote: a dict of tensors, a dict around one, or a `PickledModule`.

    Raises:
        UnsafeCheckpointError: If the pickle asks for a class or function that weights do not need.
        CheckpointError: If the file is damaged or no checkpoint.
    """
    globals_ = requested_globals(_pickle_bytes(path))
    allowed: list[Any] = [*_LAYERS, *((PickledModule, name) for name in globals_ if _MODEL_CLASS.match(name))]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols other than torch's own: it reads them or fails
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged pickle the unpickler raises whatever its stack gives
        known = (*_LAYER_NAMES, *(name for name in globals_ if WEIGHTS_GLOBAL.match(name) or _MODEL_CLASS.match(name)))
        foreign = [name for name in globals_ if name not in known]
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
    """Read layers and parameters off a pickled module; only its dicts are touched, nothing is called.

    Whatever else the module holds would be part of its function and not of ours, so it is refused.
    """
    parts = _entries(module, "_modules")
    stack = parts.get("linear_relu_stack")
    layers = list(_entries(stack, "_modules").values()) if type(stack) is nn.Sequential else []
    kinds = [type(layer) for layer in layers]
    remedy = "pass a model of the quickstart's family"
    if not layers or kinds != [nn.Linear if i % 2 == 0 else nn.ReLU for i in range(len(layers))]:
        names = ", ".join(kind.__name__ for kind in kinds) or "nothing"
        raise CheckpointError(path, f"its model has {names} as linear_relu_stack, not Linear and ReLU in turn", remedy)
    extra = [name for name in parts if name not in {"flatten", "linear_relu_stack"}]
    for owner in (module, stack, *layers):
        known = {"weight", "bias"} if type(owner) is nn.Linear else set()
        held = {**_entries(owner, "_parameters"), **_entries(owner, "_buffers")}
        extra += [name for name, value in held.items() if name not in known and value is not None]
        extra += [name for name in ("_forward_hooks", "_forward_pre_hooks") if _entries(owner, name)]
    if extra:
        raise CheckpointError(path, f"its model also has {', '.join(map(str, extra))}", remedy)
    weights = {
        f"linear_relu_stack.{i}.{name}": tensor
        for i, layer in enumerate(layers)
        for name, tensor in _entries(layer, "_parameters").items()
        if tensor is not None
    }
    return weights, kinds[-1] is nn.ReLU


def _entries(module: object, name: str) -> dict[str, Any]:
    """Return one of the dicts in which nn.Module keeps its parts; empty for anything that is none."""
    found = vars(module).get(name) if isinstance(module, nn.Module) else None
    return dict(found) if isinstance(found, dict) else {}


def _pickle_bytes(path: Path) -> bytes:
    """Return the bytes that hold the pickle, after the container was checked.

    torch writes a zip since version 1.6 and a run of bare pickles before; only the zip has checksums.
    """
    data = path.read_bytes()
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any("/code/" in name or name.endswith("/archive_format") for name in names):
                raise CheckpointError(
                    path, "is an exported artifact, not a checkpoint", "pass it as a target: fmnist-tk parity FILE"
                )
            damaged = damaged_member(archive)
            member = next((name for name in names if name.endswith("data.pkl")), None)
            if damaged or not member:
                raise CheckpointError(path, f"is damaged: {damaged or 'data.pkl'} is not what was written")
            return archive.read(member)
    except ZIP_ERRORS as error:
        raise CheckpointError(path, f"is truncated or damaged ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Return the first line of torch's often very long message, without its advice to trust the file."""
    text = first_line(error)
    return "not a weights-only file" if text.startswith("Weights only") else text
