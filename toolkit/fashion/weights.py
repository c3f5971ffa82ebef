"""Weights: check and hash tensors of torch. Knows the names and shapes of the quickstart's state dict."""

from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from toolkit.errors import CheckpointError
from toolkit.fashion.keys import KEY, arrays_sha256, split_prefix
from toolkit.fashion.unpickle import kind_of
from toolkit.records import ModelConfig
from toolkit.system.strangers import some

_AVERAGED = "n_averaged"  # how many models an AveragedModel is the mean of
_MOST_MISSHAPEN = 8
_WHOLE_MODEL = "save the whole model: torch.save(model, path); its layers are read, and nothing of it is run"


def weights_sha256(state: dict[str, Tensor]) -> str:
    """Return the digest of the weights, as `arrays_sha256`."""
    return arrays_sha256({name: _float32(tensor).numpy() for name, tensor in state.items()})


def checked_weights(
    found: dict[str, object], path: Path, config: ModelConfig | None, *, finite: bool = True
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return the model's shape and its weights as float32, after every key and shape was looked at.

    Args:
        found: What the file holds under each name.
        path: The file, for errors.
        config: The shape that the file declares, or None to infer it from the tensors.
        finite: Whether to refuse NaN and infinities.

    Raises:
        CheckpointError: Naming all missing, extra and misshapen keys at once, or what else is wrong.
    """
    named = _named(found, path)
    layers = sorted({int(match[1]) for name in named if (match := KEY.match(name))})
    if not layers:
        raise CheckpointError(
            path,
            f"holds no weights of this model: it has {some([*named] or [str(name) for name in found]) or 'nothing'}, "
            "not linear_relu_stack.0.weight",
            f"{_WHOLE_MODEL}; it must be Linear layers with ReLU between" if named else "pass a whole state dict",
        )
    if layers[-1] > 2 * len(named):  # or the list of what is missing would have no end
        raise CheckpointError(path, f"has a layer {layers[-1]} among {len(named)} keys", "pass a whole state dict")
    if layers != list(range(0, layers[-1] + 1, 2)) and _fit_without_gaps(named, layers):
        raise CheckpointError(
            path,
            f"its Linear layers stand at {some([str(each) for each in layers])} of linear_relu_stack, "
            "not at every second place from 0: what else stands there has no weights, a state dict does not name it",
            _WHOLE_MODEL,
        )
    problems = _problems(named, layers[-1])
    if problems:
        raise CheckpointError(path, "; ".join(problems), "pass weights of the quickstart's model family")
    inferred = _infer(named, layers, path, config.final_relu if config else False)
    declared = config is not None and "layer_sizes" in config.model_fields_set
    if config and declared and config.layer_sizes != inferred.layer_sizes:
        raise CheckpointError(
            path, f"its config says layers {config.layer_sizes}, its weights are {inferred.layer_sizes}"
        )
    state = {name: _float32(value) for name, value in named.items()}
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken and finite:
        raise CheckpointError(path, f"has weights that are not finite in {some(broken)}", "train the model again")
    return inferred, state


def _named(found: dict[str, object], path: Path) -> dict[str, object]:
    """Return what can be weights by the quickstart's names; all of them must stand under one prefix."""
    named: dict[str, object] = {}
    prefixes: dict[str, None] = {}
    for name, value in found.items():
        prefix, plain = split_prefix(str(name))
        if KEY.match(plain):
            prefixes[prefix] = None
        elif not isinstance(value, Tensor) or plain == _AVERAGED:
            continue
        named[plain] = value
    if len(prefixes) > 1:
        places = some([prefix or "no prefix" for prefix in prefixes])
        raise CheckpointError(path, f"holds keys of this model twice, under {places}", "save one model only")
    return named


def _fit_without_gaps(named: dict[str, object], layers: list[int]) -> bool:
    """Say whether weights would be whole if their layers stood at places 0, 2, 4 and so on."""
    places = {layer: 2 * number for number, layer in enumerate(layers)}
    matches = [(KEY.match(name), value) for name, value in named.items()]
    moved = {f"linear_relu_stack.{places[int(found[1])]}.{found[2]}": value for found, value in matches if found}
    return len(moved) == len(named) and not _problems(moved, places[layers[-1]])


def _problems(named: dict[str, object], last: int) -> list[str]:
    """Return a phrase for the missing, one for the extra and one for the misshapen keys."""
    expected = [f"linear_relu_stack.{i}.{part}" for i in range(0, last + 1, 2) for part in ("weight", "bias")]
    missing = [name for name in expected if name not in named]
    extra = [name for name in named if name not in expected]
    misshapen = []
    features: int | None = None
    for name in expected:
        value = named.get(name)
        if value is None:
            features = None if name.endswith(".weight") else features
        elif not isinstance(value, Tensor) or not _is_plain(value):
            misshapen.append(f"{name} is {_what(value)}, not a floating-point tensor")
        elif name.endswith(".weight"):
            if value.ndim != 2 or features not in {None, value.shape[1]}:
                misshapen.append(f"{name} is {tuple(value.shape)}, its input has {features or 'unknown'} features")
            features = value.shape[0] if value.ndim else None
        elif features is not None and tuple(value.shape) != (features,):
            misshapen.append(f"{name} is {tuple(value.shape)}, not ({features},)")
    lists = {"missing": some(missing), "extra": some(extra), "misshapen:": ", ".join(misshapen[:_MOST_MISSHAPEN])}
    return [f"{kind} {names}" for kind, names in lists.items() if names]


def _infer(named: dict[str, object], layers: list[int], path: Path, final_relu: bool) -> ModelConfig:
    weights = [named[f"linear_relu_stack.{i}.weight"] for i in layers]
    shapes = [weight.shape for weight in weights if isinstance(weight, Tensor)]
    try:
        return ModelConfig(layer_sizes=(shapes[0][1], *(shape[0] for shape in shapes)), final_relu=final_relu)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CheckpointError(path, f"wrong layer sizes: {reason}") from error


def _float32(value: object) -> Tensor:
    assert isinstance(value, Tensor)  # _problems has seen to it
    return value.detach().to("cpu", torch.float32).contiguous()


def _what(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {kind_of(value)}"
    return f"a tensor of {value.dtype}, {str(value.layout).removeprefix('torch.')}, on {value.device}"


def _is_plain(tensor: Tensor) -> bool:
    """Say whether a tensor holds ordinary floating-point numbers."""
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta
