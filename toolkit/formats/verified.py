"""``verified.json``: what parity has passed, and what it has not."""

from pathlib import Path

from toolkit.errors import OutputError, ReportError, UnverifiedArtifactError
from toolkit.formats import runtime_version
from toolkit.formats.manifest import GOLDEN, LEDGER, MANIFEST, listed, read_manifest
from toolkit.formats.target import Target
from toolkit.records import Ledger, ParityRecord, VerificationRecord, read_record
from toolkit.system.files import folder_lock, sha256_of, write_record

# The oldest entries go: they are of artifacts that were replaced long ago.
_MOST_ENTRIES = 200
_LOCK, _WAIT_S = ".verified.lock", 30.0


def note_verified(folder: Path, records: list[ParityRecord]) -> None:
    """Write down beside the artifacts in ``folder`` which of them passed and which did not.

    Raises:
        OutputError: If that cannot be written, or another program's file of that name is there.
    """
    # Not those against another artifact, nor those that were declared what they are not: that says nothing of the file.
    records = [each for each in records if each.weights_sha256 and (each.precision or each.declared == "float32")]
    if not records:
        return
    with folder_lock(folder, _LOCK, _WAIT_S):  # or what another process notes at the same time would be lost
        entries = {_key(entry): entry for entry in _ledger_to_replace(folder).verified}
        entries.update({_key(record): _entry(record) for record in records})
        write_record(Ledger(verified=tuple(entries.values())[-_MOST_ENTRIES:]), folder / LEDGER)


def check_verified(
    target: Target, weights_sha256: str, device: str, remedy: str, *, digest: str | None = None
) -> VerificationRecord:
    """Make sure that parity has passed the artifact as it is, with the runtime as it is.

    A pass on one device counts on another, unless parity failed there: bench itself compares the outputs
    on its device with the reference before it times them.

    Args:
        target: The artifact; the ledger beside it tells.
        weights_sha256: Of the checkpoint that it must compute.
        device: Where it is to run.
        remedy: What to do if parity has not passed it.
        digest: Of the artifact, where that is known; None to compute it.

    Returns:
        What parity said last of it.

    Raises:
        UnverifiedArtifactError: If it has not, with the reason.
    """
    digest, version = digest or target.digest(), runtime_version(target.format)
    same_bytes = [entry for entry in _ledger(target.path.parent).verified if entry.sha256 == digest]
    against = [entry for entry in same_bytes if entry.weights_sha256 == weights_sha256]
    current = [entry for entry in against if entry.runtime_version == version]
    failed = next((entry for entry in current if entry.device == device and not entry.passed), None)
    passed = next((entry for entry in reversed(current) if entry.passed), None)
    if failed or passed is None:
        reason = "parity has not passed this file"
        if failed or current:
            reason = f"parity failed on {device if failed else current[-1].device}"
        elif against:
            reason = (
                f"parity judged it with {target.format.runtime} {against[-1].runtime_version}, installed is {version}"
            )
        elif same_bytes:
            reason = "parity judged it against another checkpoint than this one"
        raise UnverifiedArtifactError(target.path, reason, remedy)
    if contradiction := _contradiction(target.path, digest, weights_sha256):
        raise UnverifiedArtifactError(target.path, contradiction, remedy)
    return passed


def _contradiction(path: Path, digest: str, weights_sha256: str) -> str | None:
    """Return in what the manifest contradicts the ledger, a file that anybody can write; None if in nothing."""
    try:
        manifest, entry = read_manifest(path.parent), listed(path)
    except ReportError as error:
        return error.statement
    golden = path.parent / GOLDEN
    if manifest and golden.is_file() and manifest.golden_sha256 not in {None, sha256_of(golden)}:
        return f"{GOLDEN} is not the one that {MANIFEST} lists"
    if entry and entry.sha256 != digest:
        return f"it is not the file that {MANIFEST} lists"
    if entry and entry.weights_sha256 != weights_sha256:
        return f"{MANIFEST} lists it with other weights"
    return None


def last_pass(target: Target, device: str, digest: str) -> VerificationRecord | None:
    """Return what parity said when it passed an artifact of this digest; None if it has not.

    For who has an artifact and no checkpoint: whatever weights parity compared it with, the latest first.
    """
    entries = [entry for entry in _ledger(target.path.parent).verified if entry.sha256 == digest]
    for weights_sha256 in dict.fromkeys(entry.weights_sha256 for entry in reversed(entries)):
        try:
            return check_verified(target, weights_sha256, device, "", digest=digest)
        except UnverifiedArtifactError:
            continue
    return None


def _ledger(folder: Path) -> Ledger:
    """Read what was verified; a ledger that cannot be read has verified nothing."""
    try:
        return read_record(folder / LEDGER, Ledger)
    except ReportError:
        return Ledger()


def _ledger_to_replace(folder: Path) -> Ledger:
    """Read the ledger that is about to be written anew.

    Raises:
        OutputError: If something is there that cannot be read as one: it may be somebody's only copy.
    """
    path = folder / LEDGER
    if not path.exists() and not path.is_symlink():
        return Ledger()
    try:
        return read_record(path, Ledger)
    except ReportError as error:
        raise OutputError(
            path, f"it is not fmnist-tk's, or of another version (it {error.reason})", "move it away"
        ) from error


def _key(record: ParityRecord | VerificationRecord) -> tuple[str, str | None, str]:
    """Return what a judgement is about: these bytes, against these weights, on this device."""
    return record.sha256, record.weights_sha256, record.device


def _entry(record: ParityRecord) -> VerificationRecord:
    assert record.weights_sha256 is not None  # note_verified has left the others out
    return VerificationRecord(
        sha256=record.sha256,
        weights_sha256=record.weights_sha256,
        device=record.device,
        precision=record.precision,
        runtime=record.runtime,
        runtime_version=record.runtime_version,
        passed=record.passed,
    )
