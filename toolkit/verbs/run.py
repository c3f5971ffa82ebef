"""The whole path: checkpoint, artifacts, parity, latency, one report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from toolkit.bench import Settings, run_benchmark
from toolkit.bench.engine.rounds import Watch
from toolkit.errors import FormatError
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats import FORMATS
from toolkit.formats.manifest import REPORT
from toolkit.formats.target import Target, check_runs, skip_of
from toolkit.parity import check_parity
from toolkit.records import Report, SkipRecord
from toolkit.system.files import write_record
from toolkit.system.progress import Progress, silent
from toolkit.verbs.export import export_formats

#: Seconds for all rounds of bench: a first look; ``fmnist-tk bench`` takes longer and is surer.
BUDGET_S: Final = 10.0


def run_pipeline(
    checkpoint: Checkpoint,
    folder: Path,
    *,
    formats: Sequence[str] = (),
    device: str = "cpu",
    settings: Settings | None = None,
    training: Report | None = None,
    arguments: Sequence[str] = (),
    progress: Progress = silent,
    watch: Watch = lambda *_: None,
) -> Report:
    """Export, check and time a checkpoint, and write ``report.json`` into ``folder``.

    What is exported is verified on the CPU before it is put in place; on another device parity runs
    once more there. Only what passed is timed.

    Args:
        checkpoint: The weights.
        folder: Where everything goes.
        formats: Names; empty for all that can be written here.
        device: Where parity and bench run.
        settings: How to time; its first number of threads is also that of parity's sessions. None for the defaults.
        training: The report of the training that made the checkpoint; it becomes part of this one.
        arguments: The words of the command line, for the report; empty for a call from Python.
        progress: Told after each step.
        watch: Told after each round of bench.

    Raises:
        ToolkitError: If a part cannot run at all.
    """
    settings = settings or Settings(budget_s=BUDGET_S, restarts=0)
    threads = next(iter(settings.threads), None)
    exported = export_formats(formats, checkpoint, folder, threads=threads, progress=progress)
    targets, skips = _runnable(exported, folder, device)
    parity = exported.parity
    if device != "cpu":
        parity += check_parity(targets, checkpoint, device=device, threads=threads, progress=progress).parity
        passed = {record.target for record in parity if record.passed and record.device == device}
        targets = [target for target in targets if str(target.path) in passed]
    timed = run_benchmark(
        targets,
        checkpoint,
        settings,
        device=device,
        skips=skips,
        progress=progress,
        watch=watch,
    )
    report = timed.changed(
        command="run",
        arguments=tuple(arguments),
        training=training.training if training else None,
        artifacts=exported.artifacts,
        parity=parity,
        evaluation=exported.evaluation,
        failures=(*exported.failures, *timed.failures),
        skips=(*exported.skips, *timed.skips),
        notes=(*exported.notes, *timed.notes),
    )
    write_record(report, folder / REPORT)
    return report


def _runnable(exported: Report, folder: Path, device: str) -> tuple[list[Target], list[SkipRecord]]:
    """Return the artifacts that were just put in place and run on ``device``; the others are skips."""
    targets: list[Target] = []
    skips: list[SkipRecord] = []
    for record in exported.artifacts:
        info = FORMATS[record.format]
        try:
            check_runs(Target(info, folder / record.file), device)
            targets.append(Target(info, folder / record.file))
        except FormatError as error:
            skips.append(skip_of(info.name, error))
    return targets, skips
