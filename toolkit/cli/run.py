"""``fmnist-tk run``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import finish, say, showing_progress, showing_rounds, typed
from toolkit.cli.options import (
    DEFAULT_BATCH,
    DEFAULT_FOLDER,
    BatchOption,
    BudgetOption,
    CheckpointOption,
    DataOption,
    DebugOption,
    DeviceOption,
    FolderOption,
    FormatsArgument,
    JsonOption,
    OutputOption,
    QuietOption,
    SeedOption,
    ThreadsOption,
    parse_batch_sizes,
)
from toolkit.errors import UsageError

__all__ = ["run"]

TrainOption = Annotated[
    bool,
    typer.Option("--train", help="First train a model with the strong recipe, into DIR/model.safetensors."),
]


def run(
    formats: FormatsArgument = None,
    checkpoint: CheckpointOption = None,
    train: TrainOption = False,
    data: DataOption = None,
    folder: FolderOption = DEFAULT_FOLDER,
    device: DeviceOption = "cpu",
    batch: BatchOption = DEFAULT_BATCH,
    threads: ThreadsOption = None,
    budget: BudgetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Do it all: export a checkpoint, check parity, time what passed, and say which format is fastest.

    Artifacts and report.json go into the folder; an artifact that does not
    match the checkpoint is not put in place, and nothing else is timed. This is
    a first look of about a minute: fmnist-tk bench takes longer and is surer.
    No network and no data set are needed, except for --train.

    Exit code: 0 all good, 1 an export, a check or a row failed, 2 could not run.

    Examples:
        fmnist-tk run

        fmnist-tk run --checkpoint model.pth --device cuda --batch 1,256

        fmnist-tk run onnx torchscript --train --folder strong
    """
    sizes = parse_batch_sizes(batch)
    if train and checkpoint:
        raise UsageError("--train and --checkpoint exclude each other:", "leave one of them out")
    if data and not train:
        raise UsageError("--data is for --train: without it no training data is needed", "leave it out")
    from toolkit.bench import Settings
    from toolkit.fashion.checkpoint import load_checkpoint
    from toolkit.formats.manifest import REPORT
    from toolkit.system.devices import resolve_device
    from toolkit.verbs.run import BUDGET_S, run_pipeline

    device = resolve_device(device)
    training = None
    with showing_progress(quiet=quiet) as progress, showing_rounds(quiet=quiet) as watch:
        if train:
            from toolkit.fashion.training import make_course
            from toolkit.fashion.training import train as run_training

            checkpoint = folder / "model.safetensors"
            course = make_course("strong", {}, device=device, threads=threads)
            training = run_training(course, checkpoint, data=data, progress=progress)
        report = run_pipeline(
            load_checkpoint(checkpoint),
            folder,
            formats=formats or [],
            device=device,
            settings=Settings(
                batch_sizes=sizes,
                threads=(threads,) if threads else (),
                budget_s=budget or BUDGET_S,
                seed=seed,
                restarts=0,
            ),
            training=training,
            arguments=typed(),
            progress=progress,
            watch=watch,
        )
    try:
        finish(report, as_json=as_json, output=output, quiet=quiet)
    finally:
        if not (as_json or quiet):
            say(*_next_steps(folder, checkpoint, folder / REPORT))


def _next_steps(folder: Path, checkpoint: Path | None, report: Path) -> list[str]:
    """Return the commands that a person may want now, ready to be copied."""
    where = "" if folder == DEFAULT_FOLDER else f" --folder {shlex.quote(str(folder))}"
    source = "" if checkpoint is None else f" --checkpoint {shlex.quote(str(checkpoint))}"
    return [
        f"Wrote {report}. Next:",
        f"  fmnist-tk parity{where}{source}",
        "      checks again, for example in CI; exits 1 on a mismatch",
        f"  fmnist-tk bench{where}{source} --batch 1,8",
        "      times other batch sizes; --device cuda or mps",
        f"  fmnist-tk inspect {shlex.quote(str(folder / 'model.onnx'))}",
        "      shows what stands inside an artifact",
        "  fmnist-tk run --checkpoint model.pth",
        "      does all this with your own weights",
    ]
