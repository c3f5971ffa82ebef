"""The model that predicts: an artifact or a checkpoint, which one and why.

Whoever names none gets the fastest that parity has passed: the order is that of the folder's last bench, and whether an
artifact counts is asked of its present bytes.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

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
from toolkit.formats.manifest import BENCH, REPORT
from toolkit.formats.target import Target, artifacts_in, resolve_targets
from toolkit.formats.verified import check_verified, last_pass
from toolkit.records import LABELS, Precision, PredictorRecord, Report, read_record
from toolkit.records.units import seconds
from toolkit.system.devices import resolve_device
from toolkit.system.files import sha256_of
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

    Raises:
        UsageError: If a checkpoint is named twice, or ``threads`` is less than 1.
        DeviceUnavailableError: If the device is not here.
        FormatError, CheckpointError: If what is named cannot be used.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}:", "pass 1 or more, or leave it out")
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
    target = resolve_targets([artifact], folder, device)[0][0]
    warning = _doubt(target, checkpoint, device)
    words = f"{target.path}: named{'' if warning else ', parity has passed it'}"
    return _open_artifact(target, device, threads, words, warning)


def _refuse_second(artifact: str, checkpoint: Path | None) -> None:
    if checkpoint:
        raise UsageError(f"{artifact} and --checkpoint {checkpoint} are two checkpoints", "leave one of them out")


def _doubt(target: Target, checkpoint: Path | None, device: str) -> str | None:
    """Return why a named artifact is not to be believed without another look, or None."""
    remedy = f"check it with: fmnist-tk parity {target.path}"
    if checkpoint is None:
        return (
            None
            if last_pass(target, device)
            else f"{target.path} is not verified: parity has not passed this file; {remedy}"
        )
    from toolkit.fashion.checkpoint import load_checkpoint

    remedy += f" --checkpoint {checkpoint}"
    try:
        check_verified(target, load_checkpoint(checkpoint).record.weights_sha256, device, remedy)
    except UnverifiedArtifactError as error:
        return f"{error.statement}; {error.check}"
    except FormatError as error:
        return str(error)
    return None


def _choose(folder: Path, device: str, threads: int | None) -> Predictor:
    """Open the fastest verified artifact that opens here, else the bundled checkpoint."""
    why = f"nothing in {folder} is verified" if folder.is_dir() else f"there is no folder {folder}"
    for target, words in _verified(folder, device):
        try:
            check_packages(target.format)
            return _open_artifact(target, device, threads, f"{target.path}: {words}", None)
        except FormatError as error:
            why = f"{target.path} does not open here: {error}"
    words = f"the bundled checkpoint in eager ({why}; write artifacts with: fmnist-tk run)"
    return _open_checkpoint(None, device, threads, words)


def _verified(folder: Path, device: str) -> Iterator[tuple[Target, str]]:
    """Yield the verified artifacts of a folder, and why each is where it is.

    The fastest come first, but what is exact before what is of lower precision: nobody has asked for less.
    """
    present = {target.path.name: target for target in artifacts_in(folder)}
    source, order = _measured(folder, device)
    places = {name: place for place, (name, _) in enumerate(order)}
    measured = dict(reversed(order))
    passed: list[tuple[bool, int, str]] = []
    for name, target in present.items():
        with suppress(FormatError, OSError):
            if record := last_pass(target, device):
                passed.append((record.precision != "float32", places.get(name, len(places)), name))
    for _, _, name in sorted(passed):
        time_s = measured.get(name)
        how = f"{seconds(time_s)} per image at batch 1, {source}" if time_s else "no bench of it here"
        yield present[name], f"the fastest verified artifact ({how})" if time_s else f"a verified artifact ({how})"


def _measured(folder: Path, device: str) -> tuple[Path, list[tuple[str, float]]]:
    """Return which report of the folder timed its files last, and those, with seconds per call, sorted.

    It is what `fmnist-tk run` or `fmnist-tk bench` left there, whichever came later and has rows of float32 at batch 1.
    """
    reports: list[tuple[Path, Report]] = []
    for path in (folder / REPORT, folder / BENCH):
        with suppress(ReportError):
            reports.append((path, read_record(path, Report)))
    for path, report in sorted(reports, key=lambda each: each[1].created_at, reverse=True):
        found = _timed(report, folder, device)
        if found:
            return path, found
    return folder / REPORT, []


def _timed(report: Report, folder: Path, device: str) -> list[tuple[str, float]]:
    """Return the files that a report has timed in float32 at batch 1, with seconds per call, sorted.

    A file that was replaced since the report keeps its place only if it has the report's digest, or the report knows
    none.
    """
    digests = {each.file: each.sha256 for each in report.artifacts}
    found = []
    for row in sorted(report.latency, key=lambda each: each.median_s):
        name = Path(row.target).name
        wanted = row.verified and row.role == "row" and row.device == device and row.precision == "float32"
        if wanted and row.batch_size == 1 and row.format in FORMATS and _unchanged(folder / name, row.format, digests):
            found.append((name, row.median_s))
    return found


def _unchanged(path: Path, format: str, digests: dict[str, str]) -> bool:
    with suppress(FormatError, OSError):
        return path.name not in digests or Target(FORMATS[format], path).digest() == digests[path.name]
    return False


def _open_artifact(target: Target, device: str, threads: int | None, reason: str, warning: str | None) -> Predictor:
    try:
        session = target.open(device, threads)
    except PrecisionError as error:  # what it computes in stands in the record; parity is where that is judged
        actual = next((each for each in get_args(Precision) if each == error.actual), None)
        if actual is None:
            raise
        session = replace(target, declared=actual).open(device, threads)
    record = PredictorRecord(
        target=str(target.path),
        format=target.format.name,
        device=device,
        precision=session.precision,
        sha256=target.digest(),
        verified=warning is None,
    )
    return Predictor(record, session, reason, warning)


def _open_checkpoint(path: Path | None, device: str, threads: int | None, reason: str) -> Predictor:
    from toolkit.fashion.checkpoint import load_checkpoint

    session = open_model(load_checkpoint(path).model(), device, threads)
    record = PredictorRecord(
        target=str(path) if path else BUNDLED,
        format=BASELINE.name,
        device=device,
        precision=session.precision,
        sha256=sha256_of(path) if path else None,
        verified=None,
    )
    return Predictor(record, session, f"{path}: {reason}" if path else reason)


def _fixed_batch(session: Session) -> int | None:
    """Return the batch size that an artifact insists on, or None."""
    shape = session.signature.inputs[0].shape if session.signature.inputs else None
    return shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None
