"""What stands around weights in a file: a training loop's dict, Lightning's, an average; and the pickled module."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from toolkit.errors import CheckpointError
from toolkit.fashion.keys import KEY, without_prefix
from toolkit.fashion.modules import is_module, module_weights
from toolkit.fashion.unpickle import Thing, kind_of
from toolkit.system.strangers import shown, some

_DEEPEST: Final = 3


@dataclass(frozen=True)
class FoundWeights:
    """Weights, before anything of them was checked.

    Attributes:
        weights: Mostly tensors, by name.
        final_relu: Whether a ReLU ends the model; None where the file cannot tell.
        notes: What a person must know of how they were found.
    """

    weights: dict[str, object]
    final_relu: bool | None = None
    notes: tuple[str, ...] = ()


def find_weights(value: object, path: Path) -> FoundWeights:
    """Find the weights in what `read_torch_file` returned: the only dict or module that has some, a few levels down.

    Raises:
        CheckpointError: If there are none, or those of several models.
    """
    for fits in (_has_our_weights, _has_weights):
        for level in _levels(value):
            fitting = [(place, each) for place, each in level if fits(each)]
            if len(fitting) > 1:
                index = "".join(f"[{shown(key)!r}]" for key in fitting[0][0])
                raise CheckpointError(
                    path,
                    f"holds the weights of several models: {some(['.'.join(place) for place, _ in fitting])}",
                    f"save the one that is meant alone: torch.save(torch.load(path){index}, other_path)",
                )
            if fitting:
                return _take(fitting[0][1], path)
    return _take(value, path)


def _take(value: object, path: Path) -> FoundWeights:
    if isinstance(value, Thing) and is_module(value):
        return FoundWeights(*module_weights(value, path))
    if isinstance(value, dict):
        return FoundWeights({name: each for name, each in value.items() if isinstance(name, str)})
    raise CheckpointError(
        path, f"holds a {kind_of(value)}, not a model or its state dict", "save the model: torch.save(model, path)"
    )


def _levels(value: object) -> Iterator[list[tuple[tuple[str, ...], Any]]]:
    """Yield dicts and modules with their places: the outermost, those in it, and so on; each once."""
    level: list[tuple[tuple[str, ...], Any]] = [((), value)]
    seen = {id(value)}
    for _ in range(_DEEPEST):
        yield level
        inner: list[tuple[tuple[str, ...], Any]] = []
        for place, each in level:
            for key, item in each.items() if isinstance(each, dict) else ():
                if isinstance(item, dict | Thing) and id(item) not in seen:
                    seen.add(id(item))
                    inner.append(((*place, str(key)), item))
        level = inner


def _has_our_weights(value: Any) -> bool:
    keys = value if isinstance(value, dict) else ()
    return is_module(value) or any(isinstance(key, str) and KEY.match(without_prefix(key)) for key in keys)


def _has_weights(value: Any) -> bool:
    """Say whether a dict has weights of any model."""
    items = value.items() if isinstance(value, dict) else ()
    return any(isinstance(key, str) and key.endswith("weight") and isinstance(each, Tensor) for key, each in items)
