"""The model that predicts: an artifact or a checkpoint, which one and why.

Whoever names none gets the fastest that parity has passed: the order is that of the folder's last bench, and whether an
artifact counts is asked of its present bytes, in a copy that is then opened.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from toolkit.bench.engine.outputs import wrong_outputs
from toolkit.errors import (
    CorruptArtifactError,
    FormatError,
    PrecisionError,
    ReportError,
    UnverifiedArtifactError,
    UsageError,
    first_line,
)
from toolkit.formats import BASELINE, FORMATS, Session, check_packages, format_of, open_model
from toolkit.formats.copied import Copy, copied
from toolkit.formats.golden import read_golden
from toolkit.formats.manifest import BENCH, GOLDEN, REPORT, read_manifest
from toolkit.formats.resolve import artifacts_in, resolve_targets
from toolkit.formats.verified import check_verified, last_pass
from toolkit.records import LABELS, LatencyRecord, Precision, PredictorRecord, Report, read_record
from toolkit.records.units import seconds
from toolkit.system.devices import resolve_device
from toolkit.system.files import sha256_of
from toolkit.verbs.arguments import MOST_THREADS, whole
from toolkit.workload.scores import softmax

#: What stands for the checkpoint that comes with the package.
BUNDLED = "bundled"


@dataclass(frozen=True)
class Predictor:
    """An opened model.

    Attributes:
        record: What it is.
        session: Takes ``(N, 1, 28, 28)`` float32.
        reason: Which one was taken and why, in words.
        warning: What a person should know before believing it, or None.
    """

    record: PredictorRecord
    session: Session
    reason: str
    warning: str | None = None

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return how probable the model takes each class to be.

        Args:
            pixels: ``(N, 28, 28)`` uint8, bright on black.

        Returns:
            ``(N, 10)`` float64, each row adds up to 1: the softmax in float64 of the session's logits.

        Raises:
            CorruptArtifactError: If the logits have another shape or are not finite, or the runtime gives up.
        """
        images = pixels[:, np.newaxis].astype(np.float32) / np.float32(255)
        size = _fixed_batch(self.session) or max(len(images), 1)
        parts = [self._logits(images[start : start + size], size) for start in range(0, len(images), size)]
        logits = np.concatenate([*parts, np.empty((0, len(LABELS)))])
        return softmax(logits)

    def _logits(self, images: NDArray[np.float32], size: int) -> NDArray[np.float64]:
        """Run a batch; one that is too short for an artifact of a fixed batch size is filled up with black."""
        count = len(images)
        if _fixed_batch(self.session) and count < size:
            images = np.concatenate([images, np.zeros((size - count, *images.shape[1:]), np.float32)])
        try:
            logits = self.session.run(self.session.to_device(images))
            self.session.synchronize()
            host = np.asarray(self.session.to_host(logits), np.float64)
        except Exception as error:  # runtimes raise classes of their own
            raise self._unusable(first_line(error)) from error
        if host.shape != (len(images), len(LABELS)):
            raise self._unusable(f"its logits of {len(images)} images have the shape {host.shape}")
        if not np.isfinite(host).all():
            raise self._unusable("its logits are not finite")
        return host[:count]

    def _unusable(self, reason: str) -> CorruptArtifactError:
        return CorruptArtifactError(Path(self.record.target), self.record.format, reason)


def open_predictor(
    artifact: str | None = None,
    folder: Path = Path("exported"),
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    trusted: bool = False,
) -> Predictor:
    """Open what shall predict.

    Args:
        artifact: A format, meaning its artifact in ``folder``; an artifact's file; a checkpoint's file; ``eager`` or
            ``bundled``. None for ``checkpoint`` if there is one, else the fastest verified artifact in ``folder``, else
            the bundled checkpoint.
        folder: Of the artifacts; it need not be there.
        checkpoint: Weights: run in eager PyTorch, or beside an artifact what it must have been verified against.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: On the CPU; None leaves it to the runtime.
        trusted: Whether to open an artifact that asks for more than to compute.

    Raises:
        UsageError: If a checkpoint is named twice, or ``threads`` makes no sense.
        DeviceUnavailableError: If the device is not here.
        FormatError, CheckpointError: If what is named cannot be used.
    """
    whole("--threads", threads, MOST_THREADS)
    device = resolve_device(device)
    if artifact in {BASELINE.name, BUNDLED} or (artifact is None and checkpoint):
        if artifact == BUNDLED:
            _refuse_second(artifact, checkpoint)
        file = None if artifact == BUNDLED else checkpoint
        return _open_checkpoint(file, device, threads, f"the {'checkpoint' if file else 'bundled checkpoint'} in eager")
    if artifact is None:
        return _choose(folder, device, threads)
    path = Path(artifact)
    if artifact not in FORMATS and path.is_file() and not format_of(path):
        _refuse_second(artifact, checkpoint)
        return _open_checkpoint(path, device, threads, "the checkpoint in eager")
    target = resolve_targets([artifact], folder, device, trusted=trusted)[0][0]
    with copied(target) as copy:
        warning = _doubt(copy, checkpoint, device)
        words = f"{target.path}: named{'' if warning else ', parity has passed it'}"
        return _open_artifact(copy, device, threads, words, warning)


def _refuse_second(artifact: str, checkpoint: Path | None) -> None:
    if checkpoint:
        raise UsageError(f"{artifact} and --checkpoint {checkpoint} are two checkpoints", "leave one of them out")


def _doubt(copy: Copy, checkpoint: Path | None, device: str) -> str | None:
    """Return why a named artifact is not to be believed without another look, or None."""
    target = copy.of
    remedy = f"check it with: fmnist-tk parity {target.path}"
    if checkpoint is None:
        return (
            None
            if last_pass(target, device, copy.sha256)
            else f"{target.path} is not verified: parity has not passed this file; {remedy}"
        )
    from toolkit.fashion.checkpoint import load_checkpoint

    remedy += f" --checkpoint {checkpoint}"
    try:
        weights_sha256 = load_checkpoint(checkpoint).record.weights_sha256
        check_verified(target, weights_sha256, device, remedy, digest=copy.sha256)
    except UnverifiedArtifactError as error:
        return f"{error.statement}; {error.check}"
    except FormatError as error:
        return str(error)
    return None


def _choose(folder: Path, device: str, threads: int | None) -> Predictor:
    """Open the fastest verified artifact that opens here, else the bundled checkpoint."""
    why = f"nothing in {folder} is verified" if folder.is_dir() else f"there is no folder {folder}"
    with ExitStack() as copies:
        for copy, words in _verified(folder, device, copies):
            try:
                check_packages(copy.of.format)
                return _open_artifact(copy, device, threads, f"{copy.of.path}: {words}", None)
            except FormatError as error:
                why = f"{copy.of.path} does not open here: {error}"
    words = f"the bundled checkpoint in eager ({why}; write artifacts with: fmnist-tk run)"
    return _open_checkpoint(None, device, threads, words)


def _verified(folder: Path, device: str, copies: ExitStack) -> Iterator[tuple[Copy, str]]:
    """Yield the verified artifacts of a folder, and why each is where it is.

    The fastest come first, but what is exact before what is of lower precision: nobody has asked for less. What was
    replaced since it was timed counts as not timed. Where the fastest opens, nothing else is copied.
    """
    source, timed = _measured(folder, device)
    places = {name: place for place, name in enumerate(timed)}
    others: list[tuple[bool, str, Copy]] = []
    for target in sorted(artifacts_in(folder), key=lambda each: places.get(each.path.name, len(places))):
        name = target.path.name
        record = None
        with suppress(FormatError):
            copy = copies.enter_context(copied(target))
            record = last_pass(target, device, copy.sha256)
        if record is None:
            continue
        time_s, sha256 = timed.get(name, (None, None))
        if time_s and record.precision == "float32" and sha256 in {None, copy.sha256}:
            yield copy, f"the fastest verified artifact ({seconds(time_s)} per image at batch 1, {source})"
        else:
            others.append((record.precision != "float32", name, copy))
    for _, _, copy in sorted(others, key=lambda each: each[:2]):
        yield copy, "a verified artifact (no bench of it here)"


def _measured(folder: Path, device: str) -> tuple[Path, dict[str, tuple[float, str | None]]]:
    """Return which report of the folder timed its files last, and what it says of them, the fastest first.

    It is what `fmnist-tk run` or `fmnist-tk bench` left there, whichever came later and has rows of float32 at batch 1.

    Returns:
        The report, and by the names of files seconds per call, and the digest of what was timed where it is known.
    """
    reports: list[tuple[Path, Report]] = []
    for path in (folder / REPORT, folder / BENCH):
        with suppress(ReportError):
            reports.append((path, read_record(path, Report)))
    for path, report in sorted(reports, key=lambda each: each[1].created_at, reverse=True):
        digests = {each.file: each.sha256 for each in report.artifacts}
        found: dict[str, tuple[float, str | None]] = {}
        for row in sorted(report.latency, key=lambda each: each.median_s):
            name = Path(row.target).name
            if _tells_order(row, device):
                found.setdefault(name, (row.median_s, digests.get(name)))
        if found:
            return path, found
    return folder / REPORT, {}


def _tells_order(row: LatencyRecord, device: str) -> bool:
    """Say whether a row is of a verified file that was called with single images, in float32."""
    wanted = row.verified and row.role == "row" and row.device == device and row.precision == "float32"
    return wanted and row.batch_size == 1 and row.format in FORMATS


def _open_artifact(copy: Copy, device: str, threads: int | None, reason: str, warning: str | None) -> Predictor:
    try:
        session = copy.open(device, threads)
    except PrecisionError as error:  # what it computes in stands in the record; parity is where that is judged
        actual = next((each for each in get_args(Precision) if each == error.actual), None)
        if actual is None:
            raise
        session = copy.open(device, threads, actual)
    if warning is None and (wrong := _wrong(session, copy, device)):
        raise CorruptArtifactError(copy.of.path, copy.of.format.name, f"parity's note of it is not true: {wrong}")
    record = PredictorRecord(
        target=str(copy.of.path),
        format=copy.of.format.name,
        device=device,
        precision=session.precision,
        sha256=copy.sha256,
        verified=warning is None,
    )
    return Predictor(record, session, reason, warning)


def _wrong(session: Session, copy: Copy, device: str) -> str | None:
    """Return in what a session differs from the reference's outputs in the folder: its ledger is only a file there."""
    folder, passed = copy.of.path.parent, last_pass(copy.of, device, copy.sha256)
    manifest = read_manifest(folder)
    if not (passed and manifest and manifest.golden_weights_sha256 == passed.weights_sha256):
        return None  # the outputs, if there are any, are of other weights
    try:
        golden = read_golden(folder / GOLDEN)
        return wrong_outputs(session, golden, golden.inputs)
    except Exception as error:  # noqa: BLE001  whatever a runtime raises for good inputs
        return first_line(error)


def _open_checkpoint(path: Path | None, device: str, threads: int | None, reason: str) -> Predictor:
    from toolkit.fashion.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    session = open_model(checkpoint.model(), device, threads)
    record = PredictorRecord(
        target=str(path) if path else BUNDLED,
        format=BASELINE.name,
        device=device,
        precision=session.precision,
        sha256=sha256_of(path) if path else None,
        verified=None,
    )
    return Predictor(record, session, f"{path}: {reason}" if path else reason, "; ".join(checkpoint.notes) or None)


def _fixed_batch(session: Session) -> int | None:
    """Return the batch size that an artifact insists on, or None."""
    shape = session.signature.inputs[0].shape if session.signature.inputs else None
    return shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None
