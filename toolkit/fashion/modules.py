"""Pickled modules: layers and weights are read off the dicts in which `torch.nn.Module` keeps its parts.

A pickle has a module's parts and not its ``forward``. Of `torch.nn.Sequential` the forward is known. Of the user's own
class with one Sequential it is assumed to be that; whatever else the class has could be part of its function, so it is
refused. A layer is what evaluation makes of it: a name that is in no table here is refused, never left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from toolkit.errors import CheckpointError
from toolkit.fashion.unpickle import Global, Thing
from toolkit.system.strangers import shown, some

_NN: Final = "torch.nn.modules"
_SEQUENTIAL, _LINEAR, _RELU = f"{_NN}.container.Sequential", f"{_NN}.linear.Linear", f"{_NN}.activation.ReLU"
_LOSS: Final = f"{_NN}.loss."
_FLATTEN: Final = f"{_NN}.flatten.Flatten"
_DROPOUTS: Final = tuple(
    f"{_NN}.dropout.{name}"
    for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
)
#: What returns its input in evaluation, as far as this model's ``(N, features)`` are concerned.
_IDENTITIES: Final = (_FLATTEN, f"{_NN}.linear.Identity", *_DROPOUTS)
_WRAPPERS: Final = (
    "torch.nn.parallel.data_parallel.DataParallel",
    "torch.nn.parallel.distributed.DistributedDataParallel",
    "torch.optim.swa_utils.AveragedModel",
)
_MOST_MODULES: Final = 10_000
#: What to do with a model that is not of this family.
OTHER_TOOL: Final = "export this model with torch.onnx.export, fmnist-tk takes Linear layers with ReLU between"
_AS_SEQUENTIAL: Final = (
    "save all that it computes, in order, as one nn.Sequential: "
    "torch.save(nn.Sequential(nn.Flatten(), ...), path); it is read without being run"
)


def is_module(value: object) -> bool:
    """Say whether a value is a pickled module that has something in it: the module of a loss has not."""
    return isinstance(value, Thing) and bool(_entries(value, "_modules") or _entries(value, "_parameters"))


def module_weights(module: Thing, path: Path) -> tuple[dict[str, object], bool, tuple[str, ...]]:
    """Return a module's weights under the quickstart's names, whether a ReLU ends it, and what a person must know.

    Raises:
        CheckpointError: If it is another function than flatten, then Linear and ReLU in turn.
    """
    for _ in range(len(_WRAPPERS)):
        inner = list(_entries(module, "_modules").values())
        if module.name in _WRAPPERS and len(inner) == 1 and isinstance(inner[0], Thing):
            module = inner[0]
    layers = list(_leaves(module, path))
    for name, layer in layers:
        if layer.name not in (_LINEAR, _RELU, *_IDENTITIES):
            remedy = _AS_SEQUENTIAL if layer.name.startswith(_LOSS) else OTHER_TOOL
            raise CheckpointError(path, f"its model has a {_short(layer)} ({shown(name)})", remedy)
    notes = []
    if _is_own(module):
        place = _only_stack(module, path)
        layers = [(name, layer) for name, layer in layers if name.split(".", 1)[0] == place]
        what = f"that its class {shown(module.name)} computes flatten, then {shown(place)}"
        notes.append(f"assumed: {what}; a pickle has no code")
    dropped = [f"{_short(layer)} ({name})" for name, layer in layers if layer.name in _DROPOUTS]
    if dropped:
        notes.append(f"left out: {some(dropped)}, which in evaluation returns its input")
    stack = [layer for _, layer in layers if layer.name not in _IDENTITIES]
    if not stack or [each.name for each in stack] != [_RELU if i % 2 else _LINEAR for i in range(len(stack))]:
        found = some([_short(each) for each in stack]) or "nothing"
        raise CheckpointError(path, f"its model has {found} in a row, not Linear and ReLU in turn", OTHER_TOOL)
    weights = {
        f"linear_relu_stack.{place}.{name}": tensor
        for place, layer in enumerate(stack)
        for name, tensor in _entries(layer, "_parameters").items()
        if tensor is not None
    }
    return weights, stack[-1].name == _RELU, tuple(notes)


def _only_stack(module: Thing, path: Path) -> str:
    """Return the name of the one Sequential that a class of the user's has, where it has nothing else of weight."""
    parts = {
        name: part
        for name, part in _entries(module, "_modules").items()
        if isinstance(part, Thing) and part.name not in _IDENTITIES
    }
    stacks = [name for name, part in parts.items() if part.name == _SEQUENTIAL]
    place = "linear_relu_stack" if "linear_relu_stack" in stacks else next(iter(stacks), None)
    if place is None:
        raise CheckpointError(path, f"its model has {some(list(parts)) or 'nothing'} and no Sequential", _AS_SEQUENTIAL)
    state = module.state if isinstance(module.state, dict) else {}
    functions = [name for name, value in state.items() if isinstance(value, Global) and value.name.startswith("torch.")]
    others = [name for name in (*parts, *_held(module), *functions) if name != place]
    if others:
        raise CheckpointError(path, f"its model also has {some(others)}", _AS_SEQUENTIAL)
    return place


def _leaves(top: Thing, path: Path) -> Iterator[tuple[str, Thing]]:
    """Yield the layers of a module with their names, in the order in which it has them."""
    waiting: list[tuple[str, Any]] = [("", top)]
    for _ in range(_MOST_MODULES):
        if not waiting:
            return
        name, module = waiting.pop()
        if not isinstance(module, Thing):
            if module is not None:  # a layer that was set to None is none
                raise CheckpointError(path, f"its model has {shown(name)}, which is no layer", OTHER_TOOL)
            continue
        if module.name == _SEQUENTIAL or (module is top and _is_own(module)):
            parts = _entries(module, "_modules")
            waiting += [(f"{name}.{each}".lstrip("."), part) for each, part in reversed(parts.items())]
        else:
            yield name or "all of it", module
        if not _is_own(module):
            _check_plain(name, module, path)
    raise CheckpointError(path, f"its model has more than {_MOST_MODULES:,} layers", OTHER_TOOL)


def _check_plain(name: str, module: Thing, path: Path) -> None:
    """Refuse a layer that does more than its kind."""
    held = _held(module)
    state = module.state if isinstance(module.state, dict) else {}
    if module.name == _FLATTEN and (state.get("start_dim", 1), state.get("end_dim", -1)) != (1, -1):
        held = ["other dimensions than those of an image"]
    if held and module.name in (_SEQUENTIAL, _LINEAR, _RELU, *_IDENTITIES):
        raise CheckpointError(
            path, f"its model also has {some([f'{name}.{each}'.lstrip('.') for each in held])}", OTHER_TOOL
        )


def _held(module: Thing) -> list[str]:
    """Return the names of what a module holds beside layers, the parameters of a Linear and plain values."""
    known = {"weight", "bias"} if module.name == _LINEAR else set()
    held = {**_entries(module, "_parameters"), **_entries(module, "_buffers")}
    state = module.state if isinstance(module.state, dict) else {}
    hooks = [name for name in ("_forward_hooks", "_forward_pre_hooks") if _entries(module, name)]
    tensors = [name for name, value in state.items() if isinstance(value, Tensor)]
    own = [name for name in ("forward", "_call_impl") if name in state]
    return [*(name for name, value in held.items() if name not in known and value is not None), *hooks, *tensors, *own]


def _entries(module: object, name: str) -> dict[str, Any]:
    """Return one of the dicts in which a module keeps its parts; empty for anything that has none."""
    state = module.state if isinstance(module, Thing) else None
    found = state.get(name) if isinstance(state, dict) else None
    entries = enumerate(found.items()) if isinstance(found, dict) else ()
    return {key if isinstance(key, str) else f"entry {number}": value for number, (key, value) in entries}


def _is_own(module: Thing) -> bool:
    """Say whether a module's class is the user's."""
    return not module.name.startswith("torch.")


def _short(module: Thing) -> str:
    return shown(module.name.rpartition(".")[2])
