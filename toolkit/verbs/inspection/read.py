"""Read one file for inspection. What can be known of it is shown; what keeps the rest from it becomes a note."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from toolkit.errors import (
    ArtifactNotFoundError,
    CheckpointError,
    CorruptArtifactError,
    FormatError,
    ReportError,
    UnsafeArtifactError,
)
from toolkit.fashion.checkpoint import StoredWeights, read_stored
from toolkit.fashion.weights import checked_weights, weights_sha256
from toolkit.formats import FormatInfo, format_of, import_format
from toolkit.formats.companions import artifact_files
from toolkit.formats.graphs import StoredTensor, describe_artifact
from toolkit.formats.graphs.libtorch import stored_tensor
from toolkit.records import (
    ArtifactMetadata,
    FileRecord,
    InspectRecord,
    LayerRecord,
    ModelConfig,
    Precision,
    Signature,
    TensorRecord,
    parse_record,
)
from toolkit.system.files import sha256_of
from toolkit.verbs.inspection.names import compute_weights_sha256
from toolkit.verbs.inspection.statistics import describe_tensor

_STACK = "linear_relu_stack"
_MOST_NAMED = 4


@dataclass(frozen=True)
class Inspected:
    """What was read of a file, and its tensors, whose values wait until they are asked for."""

    record: InspectRecord
    tensors: tuple[StoredTensor, ...]


def read_file(path: Path) -> Inspected:
    """Read an artifact, told by the suffix of its format, or else a checkpoint.

    Raises:
        ArtifactNotFoundError: If there is no such file.
        FormatError, CheckpointError: If it cannot be read.
    """
    if path.is_dir():
        raise ArtifactNotFoundError(path, "pass a file that is in it", "it is a folder")
    if not path.is_file():
        raise ArtifactNotFoundError(path, "check the path, a format is inspected as exported/model.SUFFIX")
    info = format_of(path)
    return _artifact(path, info) if info else _checkpoint(path)


def _artifact(path: Path, info: FormatInfo) -> Inspected:
    contents = describe_artifact(info, path)
    files, outside = _files(path, info)
    metadata, undescribed = _metadata(path, info)
    precision, signature, unopened = (None, None, None) if outside else _session(path, info)
    tensors = tuple(map(describe_tensor, contents.tensors))
    digest = compute_weights_sha256(contents.tensors)
    recorded = metadata.weights_sha256 if metadata else None
    record = InspectRecord(
        path=str(path),
        kind="artifact",
        format=info.name,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        files=files,
        metadata=metadata,
        config=metadata.config if metadata else None,
        signature=signature or contents.signature,
        precision=precision,
        graph=contents.graph,
        tensors=tensors,
        weights_sha256=recorded,
        computed_weights_sha256=digest,
        notes=tuple(
            note for note in (outside, undescribed, unopened, *_warnings(tensors, recorded, digest)) if note is not None
        ),
    )
    return Inspected(record, contents.tensors)


def _files(path: Path, info: FormatInfo) -> tuple[tuple[FileRecord, ...], str | None]:
    """Return the files beside an artifact, or why they cannot be had."""
    try:
        beside = artifact_files(info, path)[1:]
    except CorruptArtifactError as error:
        return (), error.reason
    except UnsafeArtifactError as error:
        return (), f"it asks for {', '.join(error.requested)}, which was not read"
    return tuple(
        FileRecord(
            name=each.relative_to(path.parent).as_posix(), size_bytes=each.stat().st_size, sha256=sha256_of(each)
        )
        for each in beside
    ), None


def _metadata(path: Path, info: FormatInfo) -> tuple[ArtifactMetadata | None, str | None]:
    """Return what this tool has written into an artifact, or why that cannot be read; None twice without any."""
    text = import_format(info).read_metadata(path)
    try:
        return (parse_record(text, ArtifactMetadata, path) if text else None), None
    except ReportError as error:
        return None, f"its description {error.reason}; {error.remedy}"


def _session(path: Path, info: FormatInfo) -> tuple[Precision | None, Signature | None, str | None]:
    """Return what a session on the CPU reads back, or why none opens here."""
    try:
        session = import_format(info).load(path, "cpu", None)
    except FormatError as error:
        reason = error.reason if isinstance(error, CorruptArtifactError) else str(error)
        return None, None, f"{info.runtime} does not open it here: {reason}"
    return session.precision, session.signature, None


def _checkpoint(path: Path) -> Inspected:
    stored = read_stored(path)
    found = {name: each for name, each in stored.found.items() if isinstance(each, Tensor)}
    if not found:
        raise CheckpointError(path, "holds no tensors", "pass a file of torch.save(model.state_dict(), path)")
    values = tuple(stored_tensor(str(name), "parameter", each) for name, each in found.items())
    tensors = tuple(map(describe_tensor, values))
    config, digest, foreign = _model(stored, path)
    other = [f"{name} ({type(each).__name__})" for name, each in stored.found.items() if name not in found]
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
            *([f"it also holds {_some(other)}, no tensors"] if other else []),
            *([foreign] if foreign else []),
            *_warnings(tensors, recorded, digest),
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


def _warnings(tensors: Sequence[TensorRecord], recorded: str | None, digest: str | None) -> list[str]:
    notes = []
    broken = [each for each in tensors if each.statistics and each.statistics.non_finite]
    if broken:
        count = sum(each.statistics.non_finite for each in broken if each.statistics)
        places = _some([each.name for each in broken])
        notes.append(f"values that are not finite: {count:,}, in {places}; no result of it can be right")
    if recorded and digest and recorded != digest:
        notes.append("its weights do not have the SHA-256 that it records: they were changed after it was written")
    return notes


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
