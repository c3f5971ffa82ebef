"""Inspect: what stands inside a checkpoint or an artifact."""

from pathlib import Path

from toolkit.checkpoint import load_checkpoint
from toolkit.environment import new_report
from toolkit.errors import ArtifactNotFoundError
from toolkit.files import sha256_of
from toolkit.formats import FormatInfo, check_packages, format_of, import_format
from toolkit.records import ArtifactMetadata, CheckpointMetadata, InspectRecord, Report, parse_record


def inspect_file(path: Path) -> Report:
    """Describe a file: an artifact by the suffix of its format, anything else as a checkpoint.

    Raises:
        ArtifactNotFoundError: If there is no such file.
        FormatError, CheckpointError, ReportError: If it cannot be read.
    """
    if not path.is_file():
        raise ArtifactNotFoundError(path, "check the path, a format is inspected as exported/model.SUFFIX")
    info = format_of(path)
    record = _artifact(path, info) if info else _checkpoint(path)
    return new_report("inspect").model_copy(update={"inspected": (record,)})


def _artifact(path: Path, info: FormatInfo) -> InspectRecord:
    check_packages(info)
    module = import_format(info)
    text = module.read_metadata(path)
    metadata = parse_record(text, ArtifactMetadata, path) if text else None
    return InspectRecord(
        path=str(path),
        kind="artifact",
        format=info.name,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        metadata=metadata,
        signature=module.load(path, "cpu", None).signature,
        weights_sha256=metadata.weights_sha256 if metadata else None,
    )


def _checkpoint(path: Path) -> InspectRecord:
    record = load_checkpoint(path).record
    metadata = CheckpointMetadata(
        config=record.config,
        labels=record.labels,
        preprocessing=record.preprocessing,
        weights_sha256=record.weights_sha256,
        training=record.training,
    )
    return InspectRecord(
        path=str(path),
        kind="checkpoint",
        format=record.form,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        metadata=metadata,
        weights_sha256=record.weights_sha256,
    )
