"""Parity: ``toolkit.check_parity``, and judging again what was measured before."""

from pathlib import Path
from typing import Final

from toolkit import parity
from toolkit.errors import UsageError
from toolkit.fashion.checkpoint import checkpoint_for
from toolkit.fashion.data import load_test_set
from toolkit.formats.resolve import resolve_targets
from toolkit.parity.probes import SEED
from toolkit.records import Precision, Report, read_record
from toolkit.system.arguments import checked
from toolkit.system.devices import leaving_torch_as_it_is, resolve_device
from toolkit.system.progress import Progress, silent
from toolkit.verbs.arguments import (
    FOLDER,
    MOST_THREADS,
    Artifacts,
    Weights,
    check_pictures,
    check_range,
    names_of,
    path_of,
    pictures_of,
    reference_of,
    whole,
)

_GATES: Final = parity.Gates()
_LARGEST_SEED: Final = 2**31


@checked
def check_parity(
    artifacts: Artifacts = None,
    reference: Weights = None,
    *,
    against: str | Path | None = None,
    folder: str | Path = FOLDER,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision | None = None,
    max_drop: float = _GATES.max_drop_points,
    min_agreement: float = _GATES.min_agreement,
    significance: float = _GATES.significance,
    full: bool = False,
    data: str | Path | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    num_workers: int | None = None,
    seed: int = SEED,
    reproduce: str | Path | None = None,
    trust: bool = False,
    progress: Progress = silent,
) -> Report:
    """Check that artifacts compute the function of a checkpoint, or of another artifact.

    What passed is noted beside the artifacts; `run_benchmark` times nothing else.

    Args:
        artifacts: A file, the name of a format, several of these, or a folder; None for all of ``folder``.
        reference: What they must compute: a checkpoint or its file, None for the bundled one; or the file of an
            artifact, which is opened on the CPU in float32.
        against: An artifact in place of a reference: its file, or the name of a format in ``exported``.
        folder: Where the artifacts lie that are named by their format.
        device: Where they run: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: Of each session on the CPU; None for the physical cores.
        precision: What the artifacts are declared to compute in; None for what each file says, which for files that are
            listed in the manifest or called as this toolkit exports them must be that of their format. Float32 is
            judged by its rounding error, anything lower by its classification.
        max_drop: Lower precision: largest drop of accuracy, in percentage points.
        min_agreement: Lower precision: smallest fraction, 0 to 1, of labels equal to the reference's.
        significance: Lower precision: accuracy that is worse with a p-value below this fails even within
            ``max_drop``; 0 turns that off.
        full: Whether to compare on all 10,000 test images as well.
        data: Folder of Fashion-MNIST, which implies ``full``; None for the usual places, without a download.
        images: Folder of own pictures to compare on, and to judge lower precision by: with ``labels``, or one folder
            per class.
        labels: CSV of ``file,label`` for ``images``.
        num_workers: Processes that read ``images``; None for this one alone.
        seed: Of the random inputs and of the search.
        reproduce: Folder for a small input and a script that show what fails; None for none.
        trust: Whether to open artifacts that ask for more than to compute; still in a process apart that writes
            nothing.
        progress: Called as ``progress(task, done, total, detail)`` after each artifact.

    Returns:
        A report with a `ParityRecord` for each artifact in ``parity``; a mismatch is a result, and ``passed`` is then
        False.

    Raises:
        FormatError: If an artifact is not there or cannot be tried.
        CheckpointError, DataError, OwnDataError, DeviceUnavailableError: If weights, data or device are not there.
        UsageError: If a value makes no sense.

    Example:
        >>> import toolkit
        >>> report = toolkit.check_parity("out", "model.pth")
        >>> [(record.format, record.passed) for record in report.parity]
        [('torchscript', True)]
        >>> report.passed
        True
    """
    whole("--threads", threads, MOST_THREADS)
    whole("--seed", seed, _LARGEST_SEED, least=0)
    gates = _gates(max_drop, min_agreement, significance)
    check_pictures(images, labels, num_workers, data=data, full=full)
    device = resolve_device(device)
    names, place = names_of(artifacts, folder)
    with leaving_torch_as_it_is():
        targets, skips = resolve_targets(names, place, device, precision, trusted=trust)
        if reference or against:
            model = reference_of(reference, against, trusted=trust)
        else:
            folders = {target.path.parent for target in targets}
            model = checkpoint_for(folders.pop() if len(folders) == 1 else place)
        own = pictures_of(images, labels, num_workers, progress)
        return parity.check_parity(
            targets,
            model,
            device=device,
            threads=threads,
            gates=gates,
            full=load_test_set(path_of(data)) if (full or data) and not own else None,
            own=own,
            seed=seed,
            reproduce=path_of(reproduce),
            skips=skips,
            progress=progress,
        )


@checked
def rejudge_parity(
    report: Report | str | Path,
    *,
    max_drop: float = _GATES.max_drop_points,
    min_agreement: float = _GATES.min_agreement,
    significance: float = _GATES.significance,
) -> Report:
    """Judge what parity measured before anew, by this version's rule and other gates; nothing is run.

    Args:
        report: Of `check_parity`, or the file of one.
        max_drop: As in `check_parity`.
        min_agreement: As there.
        significance: As there.

    Returns:
        The report with its checks judged anew.

    Raises:
        ReportError: If the file cannot be read.
        UsageError: If there is no parity in it, or a value makes no sense.

    Example:
        >>> import toolkit
        >>> report = toolkit.check_parity("out", "model.pth")
        >>> toolkit.rejudge_parity(report, max_drop=0).passed
        True
    """
    gates = _gates(max_drop, min_agreement, significance)
    saved = report if isinstance(report, Report) else read_record(Path(report), Report)
    if not saved.parity:
        place = "" if isinstance(report, Report) else f" {report}"
        raise UsageError(
            f"--rejudge{place}: the report of fmnist-tk {saved.command} has no parity in it", "pass another"
        )
    return parity.rejudge(saved, gates)


def _gates(max_drop: float, min_agreement: float, significance: float) -> parity.Gates:
    check_range(0, 100, max_drop=max_drop)
    check_range(0, 1, min_agreement=min_agreement, significance=significance)
    return parity.Gates(max_drop, min_agreement, significance)
