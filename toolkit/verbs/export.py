"""Export: from a checkpoint to verified artifacts, each in place only when it is complete and right."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import FormatError, OutputError, first_line
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats import FORMATS, FormatInfo, check_packages, find_format, import_format
from toolkit.formats.exported_here import note_exported
from toolkit.formats.golden import write_golden
from toolkit.formats.manifest import GOLDEN, LEDGER, MANIFEST, read_manifest
from toolkit.formats.resolve import skip_of
from toolkit.formats.target import Target
from toolkit.formats.verified import note_verified
from toolkit.parity import Reference, check_artifact, evaluate_reference, make_plan
from toolkit.parity.reference import make_golden
from toolkit.records import (
    ArtifactMetadata,
    ArtifactRecord,
    EvaluationRecord,
    FailureRecord,
    Manifest,
    ParityRecord,
    Report,
    SkipRecord,
)
from toolkit.system.arguments import checked
from toolkit.system.devices import leaving_torch_as_it_is
from toolkit.system.environment import new_report, versions
from toolkit.system.files import check_writable, folder_lock, make_folder, sha256_of, write_record
from toolkit.system.progress import Progress, silent
from toolkit.verbs.arguments import FOLDER, MOST_THREADS, Weights, loaded, whole

_STAGING = ".staging"


@checked
def export_formats(
    checkpoint: Weights = None,
    folder: str | Path = FOLDER,
    formats: str | Sequence[str] = (),
    *,
    verify: bool = True,
    threads: int | None = None,
    progress: Progress = silent,
) -> Report:
    """Write a checkpoint in each format, check parity of what was written, and put what matches into a folder.

    An artifact that cannot be made, or does not match, is a failure in the report and is not put in place; what stood
    there before stays as it was.

    Args:
        checkpoint: The weights, or their file; None for the bundled ones.
        folder: Where the artifacts, ``manifest.json`` and ``golden.npz`` go; it is made if need be.
        formats: ``torchscript``, ``onnx``, ``torch-export``, one or several; empty for all that can be written here.
        verify: Whether to check parity before an artifact is put in place.
        threads: Of the sessions that check it, on the CPU; None leaves it to each runtime.
        progress: Called as ``progress(task, done, total, detail)`` after each format.

    Returns:
        A report: ``artifacts`` that were put in place, ``parity`` of all, ``failures``, ``skips``; ``passed`` says
        whether nothing failed.

    Raises:
        CheckpointError: If the weights cannot be read.
        UnknownFormatError, MissingPackageError: If a named format cannot be had.
        OutputError: If something cannot be written, or another process is exporting to the folder.
        UsageError: If a value makes no sense.

    Example:
        >>> import toolkit
        >>> report = toolkit.export_formats("model.pth", "out", ["torchscript"])
        >>> report.passed, [artifact.file for artifact in report.artifacts]
        (True, ['model.ts.pt'])
    """
    whole("--threads", threads, MOST_THREADS)
    weights, folder = loaded(checkpoint), Path(folder)
    infos, skips = _choose([formats] if isinstance(formats, str) else formats)
    for name in (*(info.file_name for info in infos), GOLDEN, MANIFEST, LEDGER):
        check_writable(folder / name)
    with folder_lock(folder), leaving_torch_as_it_is():
        before = read_manifest(folder)
        staging = _empty_staging(folder)
        try:
            made = _make(infos, weights, staging, verify=verify, threads=threads, progress=progress)
            artifacts, notes = _put_in_place(made, folder, weights, before)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    if not verify:
        skips.append(
            SkipRecord(what="parity", reason="--no-verify: nothing was compared", remedy="run: fmnist-tk parity")
        )
    return new_report("export").changed(
        checkpoint=weights.record,
        artifacts=tuple(artifacts),
        parity=tuple(made.checked),
        evaluation=made.evaluation,
        failures=tuple(made.failures),
        skips=tuple(skips),
        notes=(*weights.notes, *notes),
    )


@dataclass
class _Made:
    """What an export has in its staging folder: the good artifacts, and what was found of all."""

    good: list[tuple[FormatInfo, Path]] = field(default_factory=list)
    failures: list[FailureRecord] = field(default_factory=list)
    checked: list[ParityRecord] = field(default_factory=list)
    evaluation: EvaluationRecord | None = None


def _choose(names: Sequence[str]) -> tuple[list[FormatInfo], list[SkipRecord]]:
    """Return the formats to write; one that is named must work, one that is not may be skipped."""
    if names:
        chosen = [find_format(name) for name in dict.fromkeys(names)]
        for info in chosen:
            check_packages(info)
        return chosen, []
    infos, skips = [], []
    for info in FORMATS.values():
        try:
            check_packages(info)
            infos.append(info)
        except FormatError as error:
            skips.append(skip_of(info.name, error))
    return infos, skips


def _empty_staging(folder: Path) -> Path:
    """Return an empty folder inside ``folder``; what a killed export left there is removed."""
    staging = folder / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    make_folder(staging)
    return staging


def _make(
    infos: list[FormatInfo],
    checkpoint: Checkpoint,
    staging: Path,
    *,
    verify: bool,
    threads: int | None,
    progress: Progress,
) -> _Made:
    """Write every format into ``staging`` and find out which are good."""
    plan, made = make_plan(Reference(checkpoint)) if verify else None, _Made()
    for number, info in enumerate(infos):
        progress("export", number, len(infos), info.name)
        path = staging / info.file_name
        reason = _export_one(info, checkpoint, path)
        if reason is None:
            note_exported([Target(info, path).digest()])
        if reason is None and plan:
            record = check_artifact(Target(info, path), plan, threads=threads)
            made.checked.append(record.changed(target=str(staging.parent / path.name)))
            failure = record.failure
            if failure:
                reason = f"does not match the checkpoint, not put in place: {failure.name}: {failure.detail}"
        if reason is None:
            made.good.append((info, path))
        else:
            made.failures.append(FailureRecord(target=path.name, format=info.name, device="cpu", reason=reason))
    if plan:
        made.evaluation = evaluate_reference(plan)
    progress("export", len(infos), len(infos))
    return made


def _export_one(info: FormatInfo, checkpoint: Checkpoint, path: Path) -> str | None:
    """Write one artifact; return why it could not be made, or None.

    Raises:
        OutputError: If the disk is full or the folder not writable: the other formats would fail likewise.
    """
    record = checkpoint.record
    metadata = ArtifactMetadata(
        format=info.name,
        config=record.config,
        labels=record.labels,
        preprocessing=record.preprocessing,
        weights_sha256=record.weights_sha256,
        training=record.training,
        versions=versions(),
    )
    try:
        import_format(info).export(checkpoint.model(), path, metadata)
    except OSError as error:
        raise OutputError(path.parent.parent / path.name, error.strerror or str(error)) from error
    except Exception as error:  # noqa: BLE001  an exporter that breaks fails its format, not the others
        return f"the exporter failed: {first_line(error)}"
    return None


def _put_in_place(
    made: _Made, folder: Path, checkpoint: Checkpoint, before: Manifest | None
) -> tuple[list[ArtifactRecord], list[str]]:
    """Rename the good artifacts to their final names; whatever stops it, the manifest tells what is there."""
    artifacts: list[ArtifactRecord] = []
    notes: list[str] = []
    try:
        for info, path in made.good:
            artifacts.append(_publish(path, info, folder, checkpoint))
    finally:
        if artifacts:
            notes = _write_companions(folder, checkpoint, before, artifacts, made.checked)
    return artifacts, notes


def _publish(staged: Path, info: FormatInfo, folder: Path, checkpoint: Checkpoint) -> ArtifactRecord:
    """Put a complete artifact in place of the one before."""
    final = folder / staged.name
    record = ArtifactRecord(
        format=info.name,
        file=final.name,
        size_bytes=staged.stat().st_size,
        sha256=sha256_of(staged),
        weights_sha256=checkpoint.record.weights_sha256,
        checkpoint=checkpoint.record.path,
    )
    try:
        with staged.open("rb+") as file:
            os.fsync(file.fileno())
        staged.replace(final)
    except OSError as error:
        raise OutputError(final, error.strerror or str(error)) from error
    return record


def _write_companions(
    folder: Path,
    checkpoint: Checkpoint,
    before: Manifest | None,
    artifacts: list[ArtifactRecord],
    checked: list[ParityRecord],
) -> list[str]:
    """Write golden.npz, manifest.json and the ledger; artifacts of other formats stay listed.

    Returns:
        A note when golden.npz is no longer that of every artifact in the folder.
    """
    written = {record.file for record in artifacts}
    kept = [
        record
        for record in (before.artifacts if before else ())
        if record.file not in written and (folder / record.file).is_file()
    ]
    write_golden(make_golden(Reference(checkpoint)), folder / GOLDEN)
    manifest = Manifest(
        artifacts=tuple(sorted([*kept, *artifacts], key=lambda record: record.file)),
        golden_sha256=sha256_of(folder / GOLDEN),
        golden_weights_sha256=checkpoint.record.weights_sha256,
    )
    write_record(manifest, folder / MANIFEST)
    passed = [record for record in checked if record.passed]
    notes = []
    try:
        note_verified(folder, passed)
    except OutputError as error:  # a file of someone else's in its place; the artifacts are right all the same
        notes.append(f"bench will not know that these artifacts passed: {error.reason}; {error.remedy}")
    others = [record.file for record in kept if record.weights_sha256 != checkpoint.record.weights_sha256]
    if not others:
        return notes
    note = (
        f"{', '.join(others)} in {folder} have other weights, and golden.npz is no longer theirs: "
        "export them again, or use another --folder for each checkpoint"
    )
    return [*notes, note]
