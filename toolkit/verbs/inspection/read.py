"""Read one file for inspection. What can be known of it is shown; what keeps the rest from it becomes a note."""

from pathlib import Path

from toolkit.errors import (
    ArtifactNotFoundError,
    CorruptArtifactError,
    FormatError,
    ReportError,
    UnsafeArtifactError,
)
from toolkit.formats import format_of, import_format
from toolkit.formats.resolve import check_no_stranger
from toolkit.formats.target import Target
from toolkit.records import ArtifactMetadata, FileRecord, InspectRecord, Precision, Signature, parse_record
from toolkit.system.files import sha256_of
from toolkit.verbs.inspection.inspected import Inspected, warnings_of
from toolkit.verbs.inspection.names import compute_weights_sha256
from toolkit.verbs.inspection.statistics import describe_tensor


def read_file(path: Path, *, trusted: bool = False) -> Inspected:
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
    if info:
        check_no_stranger(path)
        return _artifact(Target(info, path, trusted=trusted))
    from toolkit.verbs.inspection.checkpoint import read_checkpoint  # which imports torch: not every format needs it

    return read_checkpoint(path)


def _artifact(target: Target) -> Inspected:
    target.check_file()
    info, path = target.format, target.path
    contents = target.contents()
    unread = None if contents else f"the toolkit has no reader for the graph of {info.name}"
    files, outside = _files(target)
    metadata, undescribed = _metadata(target)
    precision, signature, unopened = (None, None, None) if outside else _session(target)
    stored = contents.tensors if contents else ()
    tensors = tuple(map(describe_tensor, stored))
    digest = compute_weights_sha256(stored)
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
        signature=signature or (contents.signature if contents else None),
        precision=precision,
        graph=contents.graph if contents else None,
        tensors=tensors,
        weights_sha256=recorded,
        computed_weights_sha256=digest,
        notes=tuple(
            note
            for note in (unread, outside, undescribed, unopened, *warnings_of(tensors, recorded, digest))
            if note is not None
        ),
    )
    return Inspected(record, stored)


def _files(target: Target) -> tuple[tuple[FileRecord, ...], str | None]:
    """Return the files beside an artifact, or why they cannot be had."""
    try:
        beside = target.files()[1:]
    except CorruptArtifactError as error:
        return (), error.reason
    except UnsafeArtifactError as error:
        return (), f"it asks for {', '.join(error.requested)}, which was not read"
    return tuple(
        FileRecord(
            name=each.relative_to(target.path.parent).as_posix(), size_bytes=each.stat().st_size, sha256=sha256_of(each)
        )
        for each in beside
    ), None


def _metadata(target: Target) -> tuple[ArtifactMetadata | None, str | None]:
    """Return what this tool has written into an artifact, or why that cannot be read; None twice without any."""
    text = import_format(target.format).read_metadata(target.path)
    try:
        return (parse_record(text, ArtifactMetadata, target.path) if text else None), None
    except ReportError as error:
        return None, f"its description {error.reason}; {error.remedy}"


def _session(target: Target) -> tuple[Precision | None, Signature | None, str | None]:
    """Return what a session on the CPU reads back, or why none opens here."""
    try:
        session = target.session("cpu")
    except FormatError as error:
        reason = error.reason if isinstance(error, CorruptArtifactError) else str(error)
        return None, None, f"{target.format.runtime} does not open it here: {reason}"
    return session.precision, session.signature, None
