"""Parity: does an artifact still compute the checkpoint's function?

First version. The rule: within 8 times eager float32's own error against float64, on the same inputs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.checkpoint import Checkpoint
from toolkit.environment import default_threads, new_report
from toolkit.errors import (
    CorruptArtifactError,
    FormatError,
    OutputError,
    PrecisionError,
    ReportError,
    UnsafeArtifactError,
    first_line,
)
from toolkit.files import sha256_of
from toolkit.formats import Session, import_format, runtime_version
from toolkit.manifest import note_verified, read_manifest
from toolkit.parity.checks import check_integrity, check_outputs, check_signature, failed
from toolkit.parity.probes import Probe, default_probes
from toolkit.parity.reference import Reference
from toolkit.progress import Progress, silent
from toolkit.records import (
    ArtifactMetadata,
    CheckpointRecord,
    CheckRecord,
    ParityRecord,
    Report,
    SkipRecord,
    parse_record,
)
from toolkit.sessions import Target, open_session

__all__ = ["Reference", "check_artifact", "check_parity"]


def check_parity(
    targets: Sequence[Target],
    checkpoint: Checkpoint,
    *,
    device: str = "cpu",
    threads: int | None = None,
    skips: Sequence[SkipRecord] = (),
    progress: Progress = silent,
) -> Report:
    """Check every target against the checkpoint, and note beside each whether it passed.

    Args:
        targets: The artifacts.
        checkpoint: What they must compute.
        device: Where they are opened.
        threads: For each session on the CPU; None for the physical cores.
        skips: What was left out already; it goes into the report.
        progress: Told after each target.

    Returns:
        A report with one `ParityRecord` per target. A mismatch is a result, not an exception.

    Raises:
        FormatError: If a target cannot be tried at all: no such device for it, a package missing.
    """
    threads = threads or default_threads()
    reference, probes = Reference(checkpoint), default_probes()
    records: list[ParityRecord] = []
    notes: list[str] = []
    for number, target in enumerate(targets):
        progress("parity", number, len(targets), target.path.name)
        record = check_artifact(target, reference, probes, device=device, threads=threads)
        records.append(record)
        try:
            note_verified(target.path.parent, [record])
        except OutputError as error:
            notes.append(f"bench will not know that {target.path.name} passed: {error.reason} in {target.path.parent}")
    progress("parity", len(targets), len(targets))
    return new_report("parity").model_copy(
        update={
            "checkpoint": checkpoint.record,
            "parity": tuple(records),
            "skips": tuple(skips),
            "notes": tuple(notes),
        }
    )


def check_artifact(
    target: Target,
    reference: Reference,
    probes: Sequence[Probe] | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
) -> ParityRecord:
    """Put all checks to one artifact.

    Args:
        target: The artifact.
        reference: What it must compute.
        probes: The inputs; None for the default ones.
        device: Where it is opened.
        threads: For the session; None leaves it to the runtime.

    Raises:
        FormatError: If it cannot be tried at all: no such device for its runtime, a package missing.
    """
    checks: list[CheckRecord] = []
    session: Session | None = None
    sha256 = sha256_of(target.path)  # of what is opened next, not of what may replace it meanwhile
    try:
        session = open_session(target, device, threads)
        checks.append(CheckRecord(name="opens", passed=True, detail=f"with {target.info.runtime} on {device}"))
        checks.append(_integrity(target, sha256, reference.checkpoint))
        checks.append(check_signature(session.signature))
        for probe in default_probes() if probes is None else probes:
            checks += _check_probe(session, probe, reference)
    except (CorruptArtifactError, PrecisionError, UnsafeArtifactError) as error:
        checks.append(failed("opens", str(error)))
    return ParityRecord(
        target=str(target.path),
        format=target.info.name,
        device=device,
        precision=session.precision if session else None,
        threads=threads,
        sha256=sha256,
        weights_sha256=reference.weights_sha256,
        runtime=target.info.runtime,
        runtime_version=runtime_version(target.info),
        checks=tuple(checks),
    )


def _check_probe(session: Session, probe: Probe, reference: Reference) -> list[CheckRecord]:
    """Run a probe at each of its batch sizes and check all outputs together."""
    expected = reference.logits(probe.images)
    outputs: list[NDArray[np.float32]] = []
    counts: list[int] = []
    for size in probe.batch_sizes:
        for start in range(0, len(probe.images), size):
            batch = probe.images[start : start + size]
            try:
                outputs.append(np.asarray(_infer(session, batch)))
            except Exception as error:  # noqa: BLE001  whatever a runtime raises for good inputs is a finding
                return [failed("runs", f"a batch of {len(batch)} fails: {first_line(error)}", probe.name)]
            counts.append(len(batch))
    repeated = np.concatenate([expected] * len(probe.batch_sizes))
    return check_outputs(probe.name, outputs, counts, repeated, reference.unit(probe.images, expected))


def _infer(session: Session, images: NDArray[np.float32]) -> NDArray[np.float32]:
    logits = session.run(session.to_device(images))
    session.synchronize()
    return session.to_host(logits)


def _integrity(target: Target, sha256: str, checkpoint: CheckpointRecord) -> CheckRecord:
    try:
        text = import_format(target.info).read_metadata(target.path)
        inside = parse_record(text, ArtifactMetadata, target.path) if text else None
        manifest = read_manifest(target.path.parent)
    except (FormatError, ReportError) as error:
        return failed("integrity", str(error))
    artifacts = manifest.artifacts if manifest else ()
    listed = next((each for each in artifacts if each.file == target.path.name), None)
    return check_integrity(sha256, checkpoint, listed, inside)
