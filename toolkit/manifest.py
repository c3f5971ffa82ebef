"""The files beside the artifacts: what is in the folder, and what parity has passed."""

from pathlib import Path

from toolkit.errors import ReportError, UnverifiedArtifactError
from toolkit.files import sha256_of
from toolkit.formats import runtime_version
from toolkit.records import Ledger, Manifest, ParityRecord, VerificationRecord, read_record, write_record
from toolkit.sessions import Target

MANIFEST, LEDGER, GOLDEN = "manifest.json", "verified.json", "golden.npz"
# The oldest entries go: they are of artifacts that were replaced long ago.
_MOST_ENTRIES = 200


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, or None if it has none.

    Raises:
        ReportError: If it cannot be read.
    """
    path = folder / MANIFEST
    return read_record(path, Manifest) if path.exists() else None


def note_verified(folder: Path, records: list[ParityRecord]) -> None:
    """Write down beside the artifacts in ``folder`` which of them passed, and forget those that failed.

    Raises:
        OutputError: If that cannot be written.
    """
    if not records:
        return
    entries = {_key(entry): entry for entry in _ledger(folder).verified}
    for record in records:
        if record.passed:
            entries[_key(record)] = _entry(record)
        else:
            entries.pop(_key(record), None)
    write_record(Ledger(verified=tuple(entries.values())[-_MOST_ENTRIES:]), folder / LEDGER)


def check_verified(target: Target, weights_sha256: str, remedy: str) -> None:
    """Make sure that parity has passed the artifact as it is, with the runtime as it is.

    A pass on one device counts for the others: bench itself compares the outputs on its device
    with the reference before it times them.

    Raises:
        UnverifiedArtifactError: If it has not, with the reason.
    """
    digest, version = sha256_of(target.path), runtime_version(target.info)
    same_bytes = [entry for entry in _ledger(target.path.parent).verified if entry.sha256 == digest]
    against = [entry for entry in same_bytes if entry.weights_sha256 == weights_sha256]
    if any(entry.runtime_version == version for entry in against):
        return
    if against:
        reason = f"parity passed it with {target.info.runtime} {against[-1].runtime_version}, installed is {version}"
    elif same_bytes:
        reason = "parity passed it against another checkpoint than this one"
    else:
        reason = "parity has not passed this file"
    raise UnverifiedArtifactError(target.path, reason, remedy)


def _ledger(folder: Path) -> Ledger:
    """Read what was verified; a ledger that cannot be read has verified nothing."""
    try:
        return read_record(folder / LEDGER, Ledger)
    except ReportError:
        return Ledger()


def _key(record: ParityRecord | VerificationRecord) -> tuple[str, str, str]:
    """Return what a judgement is about: these bytes, against these weights, on this device."""
    return record.sha256, record.weights_sha256, record.device


def _entry(record: ParityRecord) -> VerificationRecord:
    assert record.precision is not None  # it opened, or it would not have passed
    return VerificationRecord(
        sha256=record.sha256,
        weights_sha256=record.weights_sha256,
        device=record.device,
        precision=record.precision,
        runtime=record.runtime,
        runtime_version=record.runtime_version,
    )
