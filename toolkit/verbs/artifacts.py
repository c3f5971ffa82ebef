"""``toolkit.export_formats`` and ``toolkit.check_parity``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from toolkit import parity
from toolkit.fashion.data import load_test_set
from toolkit.formats import target as sessions
from toolkit.parity.probes import SEED
from toolkit.records import Precision, Report
from toolkit.system.devices import leaving_torch_as_it_is, resolve_device
from toolkit.system.progress import Progress, silent
from toolkit.verbs import export
from toolkit.verbs.arguments import (
    FOLDER,
    Artifacts,
    Weights,
    check_session,
    loaded,
    names_of,
    path_of,
    pictures_of,
    reference_of,
)

_GATES: Final = parity.Gates()


def export_formats(
    checkpoint: Weights = None,
    folder: str | Path = FOLDER,
    formats: Sequence[str] = (),
    *,
    verify: bool = True,
    threads: int | None = None,
    progress: Progress = silent,
) -> Report:
    """Write a checkpoint in each format, check parity of what was written, and put what matches into a folder.

    An artifact that cannot be made, or does not match, is a failure in the report and is not put in place.

    Args:
        checkpoint: The weights, or their file; None for the bundled ones.
        folder: Where the artifacts, ``manifest.json`` and ``golden.npz`` go; it is made if need be.
        formats: ``torchscript``, ``onnx``, ``torch-export``; empty for all that can be written here.
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

    Example:
        >>> import toolkit
        >>> report = toolkit.export_formats("model.pth", "out", ["torchscript"])
        >>> report.passed, [artifact.file for artifact in report.artifacts]
        (True, ['model.ts.pt'])
    """
    check_session(threads, None)
    names = [formats] if isinstance(formats, str) else formats
    with leaving_torch_as_it_is():
        return export.export_formats(
            names, loaded(checkpoint), Path(folder), verify=verify, threads=threads, progress=progress
        )


def check_parity(
    artifacts: Artifacts = None,
    reference: Weights = None,
    *,
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
    seed: int = SEED,
    reproduce: str | Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Check that artifacts compute the function of a checkpoint, or of another artifact.

    What passed is noted beside the artifacts; `run_benchmark` times nothing else.

    Args:
        artifacts: A file, the name of a format, several of these, or a folder; None for all of ``folder``.
        reference: What they must compute: a checkpoint or its file, None for the bundled one; or the file of an
            artifact, which is opened on the CPU in float32.
        folder: Where the artifacts lie that are named by their format.
        device: Where they run: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: Of each session on the CPU; None for the physical cores.
        precision: What the artifacts are declared to compute in; None for what each file says, which for files of this
            toolkit must be that of their format. Float32 is judged by its rounding error, anything lower by its
            classification.
        max_drop: Lower precision: largest drop of accuracy, in percentage points.
        min_agreement: Lower precision: smallest fraction, 0 to 1, of labels equal to the reference's.
        significance: Lower precision: accuracy that is worse with a p-value below this fails even within
            ``max_drop``; 0 turns that off.
        full: Whether to compare on all 10,000 test images as well.
        data: Folder of Fashion-MNIST, which implies ``full``; None for the usual places, without a download.
        images: Folder of own pictures to compare on, and to judge lower precision by: with ``labels``, or one folder
            per class.
        labels: CSV of ``file,label`` for ``images``.
        seed: Of the random inputs and of the search.
        reproduce: Folder for a small input and a script that show what fails; None for none.
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
    check_session(threads, precision)
    device = resolve_device(device)
    names, place = names_of(artifacts, folder)
    own = pictures_of(images, labels, progress, full=full, data=data)
    with leaving_torch_as_it_is():
        targets, skips = sessions.resolve_targets(names, place, device, precision)
        return parity.check_parity(
            targets,
            reference_of(reference),
            device=device,
            threads=threads,
            gates=parity.Gates(max_drop, min_agreement, significance),
            full=load_test_set(path_of(data)) if (full or data) and not own else None,
            own=own,
            seed=seed,
            reproduce=path_of(reproduce),
            skips=skips,
            progress=progress,
        )
