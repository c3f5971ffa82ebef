"""What a bench needs to know before it starts: entries to time, the reference's outputs, what was left out.

This part loads weights and looks for devices, and so imports runtimes. ``fmnist-tk bench`` runs it in a process of its
own (`prepare_apart`), so that the process that measures imports none.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolkit.bench.engine.job import Entry
from toolkit.bench.engine.launch import work_apart
from toolkit.errors import ToolkitError, UnverifiedArtifactError, UsageError, from_fields, to_fields
from toolkit.formats import BASELINE, FORMATS, VARIANTS, FormatInfo, check_device, runtime_version
from toolkit.formats.golden import write_golden
from toolkit.formats.manifest import GOLDEN, read_manifest
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.target import Target
from toolkit.formats.verified import check_verified
from toolkit.records import CheckpointRecord, DatasetRecord, Record, SkipRecord, VerificationRecord
from toolkit.system.devices import device_type
from toolkit.system.environment import default_threads

if TYPE_CHECKING:
    from toolkit.fashion.checkpoint import Checkpoint


_TIMEOUT_S: Final = 300.0


class Request(Record):
    """What the command line asks for; ``pictures`` is what `toolkit.bench.engine.inputs.keep_pictures` wrote."""

    names: tuple[str, ...]
    folder: str
    checkpoint: str | None
    devices: tuple[str, ...]
    unverified: bool
    against: str | None
    scratch: str
    pictures: str | None = None
    trusted: bool = False


class Prepared(Record):
    """What can be timed."""

    checkpoint: CheckpointRecord
    entries: tuple[Entry, ...]
    skips: tuple[SkipRecord, ...]
    datasets: tuple[DatasetRecord, ...] = ()
    notes: tuple[str, ...] = ()


class Outcome(Record):
    """What the process that prepares has to say: exactly one of these, an error as `to_fields` gives it."""

    prepared: Prepared | None = None
    error: dict[str, str] | None = None


def prepare_request(request: Request) -> Prepared:
    """Find what a request names.

    Raises:
        ToolkitError: If something named is not there, does not work, or was not verified.
    """
    from toolkit.fashion.checkpoint import checkpoint_for, load_checkpoint
    from toolkit.system.devices import resolve_device

    if request.checkpoint:
        checkpoint = load_checkpoint(request.checkpoint)
    else:
        folders = {Path(name).parent for name in request.names if name not in {*FORMATS, *VARIANTS}}
        checkpoint = checkpoint_for(folders.pop() if len(folders) == 1 else Path(request.folder))
    scratch = Path(request.scratch)
    pictures = Path(request.pictures) if request.pictures else None
    entries: list[Entry] = []
    skips: list[SkipRecord] = []
    for device in dict.fromkeys(resolve_device(name) for name in request.devices):
        variants = [name for name in request.names if name in VARIANTS]
        artifacts = [name for name in request.names if name not in VARIANTS]
        if artifacts or not variants:
            targets, left_out = resolve_targets(artifacts, Path(request.folder), device, trusted=request.trusted)
        else:
            targets, left_out = [], []
        entries += prepare_entries(
            targets, checkpoint, device, scratch, variants=variants, unverified=request.unverified, pictures=pictures
        )
        skips += left_out
        if request.against:
            bases, missing = _bases(
                Path(request.against), targets, device, scratch, unverified=request.unverified, pictures=pictures
            )
            if missing and request.names:  # or a gate would be open for what was named
                raise UsageError(f"--against {request.against}: {missing[0].reason}", missing[0].remedy)
            entries += bases
            skips += missing
    left_out_once = tuple(dict.fromkeys(skips))
    return Prepared(checkpoint=checkpoint.record, entries=tuple(entries), skips=left_out_once, notes=checkpoint.notes)


def prepare_entries(
    targets: Sequence[Target],
    checkpoint: "Checkpoint",
    device: str,
    scratch: Path,
    *,
    variants: Sequence[str] = (),
    unverified: bool,
    pictures: Path | None = None,
) -> list[Entry]:
    """Return the baseline, other formats without a file, and every target, ready to be timed on one device.

    Args:
        targets: The artifacts.
        checkpoint: What they compute.
        device: Where.
        scratch: A folder for the reference's outputs.
        variants: Names of formats without a file, which run the checkpoint itself; empty for all that run there.
        unverified: Whether to take what parity has not passed; it is marked.
        pictures: Inputs of the calls, as `inputs.keep_pictures` wrote them; None for images of the sample.

    Raises:
        UnverifiedArtifactError: If parity has not passed a target, unless ``unverified``.
    """
    record = checkpoint.record
    source = [] if record.form == "bundled" else ["--checkpoint", record.path]
    entries = _without_file(_variants(variants, device), checkpoint, device, scratch, pictures)
    names = Counter(target.path.name for target in targets)
    for target in targets:
        words = shlex.join([str(target.path), *source, *([] if device == "cpu" else ["--device", device])])
        verified = _verified(target, record.weights_sha256, device, words, tolerate=unverified)
        name = target.path.name if names[target.path.name] == 1 else str(target.path)
        entries.append(_artifact(target, name, device, Path(entries[0].golden), verified))
    return entries


def _variants(names: Sequence[str], device: str) -> list[FormatInfo]:
    """Return the formats without a file that are timed, the baseline first.

    Raises:
        UnsupportedDeviceError: If one that is named does not run on ``device``.
    """
    for name in names:
        check_device(VARIANTS[name], device)
    chosen = names or [name for name, info in VARIANTS.items() if device_type(device) in info.devices]
    return [BASELINE, *(VARIANTS[name] for name in dict.fromkeys(chosen) if name != BASELINE.name)]


def _without_file(
    formats: Sequence[FormatInfo], checkpoint: "Checkpoint", device: str, scratch: Path, pictures: Path | None
) -> list[Entry]:
    import numpy as np

    from toolkit.parity.reference import Reference, make_golden

    record = checkpoint.record
    golden = scratch / f"golden-{record.weights_sha256[:16]}.npz"
    if not golden.exists():
        own = None if pictures is None else np.load(pictures)
        write_golden(make_golden(Reference(checkpoint), own), golden)
    return [
        Entry(
            target=info.name,
            format=info.name,
            checkpoint=None if record.form == "bundled" else str(Path(record.path).absolute()),
            golden=str(golden.absolute()),
            device=device,
            runtime=info.runtime,
            runtime_version=runtime_version(info),
            verified=True,  # it is the checkpoint itself
            baseline=info.baseline,
        )
        for info in formats
    ]


def _artifact(target: Target, name: str, device: str, golden: Path, verified: VerificationRecord | None) -> Entry:
    return Entry(
        target=name,
        format=target.format.name,
        path=str(target.path.absolute()),
        golden=str(golden.absolute()),
        device=device,
        runtime=target.format.runtime,
        runtime_version=runtime_version(target.format),
        precision=verified.precision if verified else target.declared,
        verified=verified is not None,
        trusted=target.trusted,
        file_bytes=target.path.stat().st_size,
    )


def _verified(
    target: Target, weights_sha256: str, device: str, words: str, *, tolerate: bool
) -> VerificationRecord | None:
    try:
        return check_verified(target, weights_sha256, device, f"run: fmnist-tk parity {words}")
    except UnverifiedArtifactError:
        if not tolerate:
            raise
        return None


def _bases(
    against: Path, targets: Sequence[Target], device: str, scratch: Path, *, unverified: bool, pictures: Path | None
) -> tuple[list[Entry], list[SkipRecord]]:
    """Return what ``--against`` names: a folder's artifacts of the same names, or another checkpoint in eager.

    Returns:
        Entries, and a skip for each artifact that the folder lacks.

    Raises:
        UsageError: If it is neither, or has none of them.
    """
    if against.is_file():
        from toolkit.fashion.checkpoint import load_checkpoint

        entries = _without_file(_variants((), device), load_checkpoint(against), device, scratch, pictures)
        return [each.changed(target=f"{each.target} of {against}", role="base") for each in entries], []
    if not against.is_dir():
        raise UsageError(f"--against {against}: nothing is there", "pass a folder of artifacts, or a checkpoint")
    manifest, golden = read_manifest(against), against / GOLDEN
    if manifest is None or manifest.golden_weights_sha256 is None or not golden.is_file():
        raise UsageError(
            f"--against {against}: it has no manifest.json with golden.npz",
            f"write them with: fmnist-tk export --folder {against}",
        )
    entries, missing = [], []
    for head in targets:
        info = head.format
        place = next((against / name for name in (head.path.name, info.file_name) if (against / name).is_file()), None)
        if place is None:
            remedy = f"write it with: fmnist-tk export {info.name} --folder {against}"
            missing.append(SkipRecord(what=f"{info.name} of {against}", reason=f"it has no {info.name}", remedy=remedy))
            continue
        target = Target(info, place, trusted=head.trusted)
        words = shlex.join([str(place)])
        verified = _verified(target, manifest.golden_weights_sha256, device, words, tolerate=unverified)
        entries.append(_artifact(target, str(place), device, golden, verified).changed(role="base"))
    if not entries:
        formats = ", ".join(dict.fromkeys(each.format.name for each in targets))
        raise UsageError(f"--against {against}: it has none of {formats}", "export them there first")
    return entries, missing


def prepare_apart(request: Request) -> Prepared:
    """Prepare in a process of its own, so that this one imports no runtime.

    Raises:
        ToolkitError: What the other process raised, or how it ended.
    """
    scratch, threads = Path(request.scratch), default_threads()
    outcome = work_apart(prepare_or_say_why, request, Outcome, scratch=scratch, threads=threads, timeout_s=_TIMEOUT_S)
    if isinstance(outcome, Outcome) and outcome.prepared:
        return outcome.prepared
    if isinstance(outcome, Outcome) and outcome.error:
        raise from_fields(outcome.error)
    raise ToolkitError(f"The bench cannot be prepared: {outcome}", "run fmnist-tk doctor, which says what works here")


def prepare_or_say_why(request: Request) -> Outcome:
    """Prepare, and put an error that the user can mend into words instead of raising it."""
    try:
        return Outcome(prepared=prepare_request(request))
    except ToolkitError as error:
        return Outcome(error=to_fields(error))
