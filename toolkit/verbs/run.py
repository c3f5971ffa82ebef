"""Run, the whole path: checkpoint, artifacts, parity, latency, one report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from toolkit.bench import DEFAULT_BATCH_SIZES, SHORT_S, Settings, expected_duration_s, run_benchmark
from toolkit.bench.engine.rounds import Watch
from toolkit.errors import FormatError, UsageError
from toolkit.fashion import training
from toolkit.formats import FORMATS
from toolkit.formats.manifest import REPORT
from toolkit.formats.resolve import check_runs, skip_of
from toolkit.formats.target import Target
from toolkit.parity import check_parity
from toolkit.records import Report, SkipRecord
from toolkit.system.arguments import checked
from toolkit.system.devices import resolve_device
from toolkit.system.files import write_record
from toolkit.system.progress import Progress, in_seconds, silent, unwatched
from toolkit.verbs.arguments import (
    FOLDER,
    LARGEST_SEED,
    MOST_IMAGES,
    MOST_THREADS,
    SECONDS,
    Weights,
    check_range,
    loaded,
    path_of,
    whole,
)
from toolkit.verbs.export import export_formats

#: Seconds for all rounds of bench: a first look; ``fmnist-tk bench`` takes longer and is surer.
BUDGET_S: Final = 7.0
# Of a process that starts, and of a format that is written and checked, on two cores of an AMD EPYC (Zen 5).
_START_S, _EXPORT_S = 2.0, 2.5
#: Of the checkpoint that is trained first, in the folder of the artifacts.
TRAINED: Final = "model.safetensors"


@checked
def run_pipeline(
    checkpoint: Weights = None,
    folder: str | Path = FOLDER,
    formats: str | Sequence[str] = (),
    *,
    train: bool = False,
    data: str | Path | None = None,
    device: str = "cpu",
    batch_sizes: int | Sequence[int] = DEFAULT_BATCH_SIZES,
    threads: int | None = None,
    budget_s: float | None = None,
    seed: int | None = None,
    arguments: Sequence[str] = (),
    progress: Progress = silent,
    watch: Watch = unwatched,
) -> Report:
    """Export, check and time a checkpoint, and write ``report.json`` into ``folder``.

    What is exported is verified on the CPU before it is put in place; on another device parity runs
    once more there. Only what passed is timed.

    Args:
        checkpoint: The weights, or their file; None for the bundled ones.
        folder: Where everything goes.
        formats: Names; empty for all that can be written here.
        train: Whether to train the checkpoint first, with the strong recipe, into ``folder``.
        data: Folder of Fashion-MNIST for ``train``; None to look for it, and to download it at last.
        device: Where training, parity and bench run.
        batch_sizes: Images per call, one number or several.
        threads: On the CPU; None for the physical cores.
        budget_s: Seconds for all rounds; None for 7; within less than 15 the machine's limits are not measured.
        seed: Of the order in each round; None for a new one.
        arguments: The words of the command line, for the report; empty for a call from Python.
        progress: Called as ``progress(task, done, total, detail)`` after each step.
        watch: Called as ``watch(rows, done, planned)`` before the first round of bench and after each.

    Returns:
        A report of all: ``artifacts``, ``parity`` and ``latency``; what failed is in ``failures``.

    Raises:
        UsageError: If a value makes no sense.
        ToolkitError: If a part cannot run at all.

    Example:
        >>> import toolkit
        >>> report = toolkit.run_pipeline("model.pth", "all", ["torchscript"], batch_sizes=1, budget_s=1)
        >>> [each.file for each in report.artifacts], report.fastest[0].batch_size
        (['model.ts.pt'], 1)
    """
    if train and checkpoint is not None:
        raise UsageError("--train and --checkpoint exclude each other:", "leave one of them out")
    if data is not None and not train:
        raise UsageError("--data is for --train: without it no training data is needed", "leave it out")
    check_range(*SECONDS, budget=budget_s)
    whole("--seed", seed, LARGEST_SEED, least=0)
    budget_s = BUDGET_S if budget_s is None else budget_s
    settings = Settings(
        batch_sizes=whole("--batch", batch_sizes, MOST_IMAGES) or DEFAULT_BATCH_SIZES,
        threads=whole("--threads", threads, MOST_THREADS),
        budget_s=budget_s,
        seed=seed,
        against_limits=budget_s >= SHORT_S,
        restarts=0,
    )
    device, folder = resolve_device(device), Path(folder)
    trained = None
    if train:
        checkpoint = folder / TRAINED
        run = training.new_run("strong", {}, device=device, threads=threads)
        trained = training.train(run, checkpoint, data=path_of(data), progress=progress)
    count = len([formats] if isinstance(formats, str) else formats) or len(FORMATS)
    rows = (count + 2) * len(settings.batch_sizes)  # eager twice beside them
    expected = _START_S + count * _EXPORT_S + expected_duration_s(count + 1, rows, settings)
    progress = in_seconds(progress, "run", expected)
    weights = loaded(checkpoint)
    exported = export_formats(weights, folder, formats, threads=threads, progress=progress)
    targets, skips = _runnable(exported, folder, device)
    parity = exported.parity
    if device != "cpu":
        parity += check_parity(targets, weights, device=device, threads=threads, progress=progress).parity
        passed = {record.target for record in parity if record.passed and record.device == device}
        targets = [target for target in targets if str(target.path) in passed]
    timed = run_benchmark(
        targets,
        weights,
        settings,
        device=device,
        skips=skips,
        progress=progress,
        watch=watch,
    )
    report = timed.changed(
        command="run",
        arguments=tuple(arguments),
        training=trained.training if trained else None,
        artifacts=exported.artifacts,
        parity=parity,
        evaluation=exported.evaluation,
        failures=(*exported.failures, *timed.failures),
        skips=(*exported.skips, *timed.skips),
        notes=tuple(dict.fromkeys((*exported.notes, *timed.notes))),
    )
    write_record(report, folder / REPORT)
    return report


def _runnable(exported: Report, folder: Path, device: str) -> tuple[list[Target], list[SkipRecord]]:
    """Return the artifacts that were just put in place and run on ``device``; the others are skips."""
    targets: list[Target] = []
    skips: list[SkipRecord] = []
    for record in exported.artifacts:
        target = Target(FORMATS[record.format], folder / record.file)
        try:
            check_runs(target, device)
            targets.append(target)
        except FormatError as error:
            skips.append(skip_of(target.format.name, error))
    return targets, skips
