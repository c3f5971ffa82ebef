"""Read a checkpoint for inspection: the tensors of any, and of this model's family the layers."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from toolkit.errors import CheckpointError
from toolkit.fashion.stored import StoredWeights, read_stored
from toolkit.fashion.unpickle import kind_of
from toolkit.fashion.weights import checked_weights, weights_sha256
from toolkit.formats.libtorch_graph import stored_tensor
from toolkit.records import InspectRecord, LayerRecord, ModelConfig, TensorRecord
from toolkit.system.files import sha256_of
from toolkit.verbs.inspection.inspected import Inspected, some, warnings_of
from toolkit.verbs.inspection.statistics import describe_tensor

_STACK = "linear_relu_stack"


def read_checkpoint(path: Path) -> Inspected:
    """Read the tensors of a checkpoint; nothing of it is run.

    Raises:
        CheckpointError: If it cannot be read or holds none.
    """
    stored = read_stored(path)
    found = {name: each for name, each in stored.found.items() if isinstance(each, Tensor)}
    if not found:
        raise CheckpointError(path, "holds no tensors", "pass a file of torch.save(model.state_dict(), path)")
    values = tuple(stored_tensor(str(name), "parameter", each) for name, each in found.items())
    tensors = tuple(map(describe_tensor, values))
    config, digest, foreign = _model(stored, path)
    other = [f"{name} ({kind_of(each)})" for name, each in stored.found.items() if name not in found]
    recorded = stored.metadata.weights_sha256 if stored.metadata else None
    record = InspectRecord(
        path=str(path),
        kind="checkpoint",
        format=stored.form,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        metadata=stored.metadata,
        config=config,
        layers=_family_layers(config) if config else _named_layers(tensors),
        tensors=tensors,
        weights_sha256=recorded,
        computed_weights_sha256=digest,
        notes=(
            *([f"it also holds {some(other)}, no tensors"] if other else []),
            *([foreign] if foreign else stored.notes),
            *warnings_of(tensors, recorded, digest),
        ),
    )
    return Inspected(record, values)


def _model(stored: StoredWeights, path: Path) -> tuple[ModelConfig | None, str | None, str | None]:
    """Return shape and digest of weights of this model's family, or why they are not of it."""
    try:
        config, state = checked_weights(stored.found, path, stored.config, finite=False)
    except CheckpointError as error:
        return None, None, f"no other command takes it: it {error.reason}"
    if stored.final_relu is not None:
        config = config.changed(final_relu=stored.final_relu)
    return config, weights_sha256(state), None


def _family_layers(config: ModelConfig) -> tuple[LayerRecord, ...]:
    layers = [LayerRecord(name="flatten", kind="Flatten", shapes={}, parameters=0)]
    for place, (features, width) in enumerate(zip(config.layer_sizes, config.layer_sizes[1:], strict=False)):
        shapes = {"weight": (width, features), "bias": (width,)}
        layers.append(
            LayerRecord(name=f"{_STACK}.{2 * place}", kind="Linear", shapes=shapes, parameters=width * features + width)
        )
        if place < len(config.layer_sizes) - 2 or config.final_relu:
            layers.append(LayerRecord(name=f"{_STACK}.{2 * place + 1}", kind="ReLU", shapes={}, parameters=0))
    return tuple(layers)


def _named_layers(tensors: Sequence[TensorRecord]) -> tuple[LayerRecord, ...]:
    """Return the layers of a foreign checkpoint: what stands before the last dot of the names."""
    groups: dict[str, list[TensorRecord]] = {}
    for each in tensors:
        groups.setdefault(each.name.rpartition(".")[0], []).append(each)
    return tuple(
        LayerRecord(
            name=name,
            kind=None,
            shapes={each.name.rpartition(".")[2]: each.shape for each in group},
            parameters=sum(each.statistics.count for each in group if each.statistics),
        )
        for name, group in groups.items()
    )
