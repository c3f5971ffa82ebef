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
    from toolkit.formats.manifest import REPORT
    from toolkit.verbs.run import TRAINED, run_pipeline

    with showing_progress(quiet=quiet) as progress, showing_rounds(quiet=quiet) as watch:
        report = run_pipeline(
            checkpoint,
            folder,
            formats or (),
            train=train,
            data=data,
            device=device,
            batch_sizes=sizes,
            threads=threads,
            budget_s=budget,
            seed=seed,
            arguments=typed(),
            progress=progress,
            watch=watch,
        )
    try:
        finish(report, as_json=as_json, output=output, quiet=quiet)
    finally:
        if not (as_json or quiet):
            say(*_next_steps(folder, folder / TRAINED if train else checkpoint, folder / REPORT))


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
