"""``fmnist-tk run``."""

import shlex
from typing import Annotated

import typer

from toolkit.cli.console import finish, showing_progress, showing_rounds, typed
from toolkit.cli.options import (
    DEFAULT_BATCH,
    DEFAULT_FOLDER,
    BatchOption,
    BudgetOption,
    CheckpointOption,
    DataOption,
    DebugOption,
    DetailsOption,
    DeviceOption,
    FolderOption,
    FormatsArgument,
    JsonOption,
    OutputOption,
    QuietOption,
    SeedOption,
    ThreadsOption,
    parse_batch_sizes,
    same_place,
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
    details: DetailsOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Do it all: export a checkpoint, check parity, time what passed, and say which format is fastest.

    Artifacts and report.json go into the folder; an artifact that does not
    match the checkpoint is not put in place, and nothing else is timed. This is
    a first look of half a minute or so: fmnist-tk bench takes longer and is surer.
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
    where = same_place(folder, folder / TRAINED if train else checkpoint)
    if not report.passed:
        then = ["report", str(folder / REPORT), "--details"]  # which tells what failed
    elif train or checkpoint:
        then = ["bench", *where, "--device", device, "--batch", batch]  # which takes longer and is surer
    else:
        then = ["run", *where, "--checkpoint", "model.pth"]
    last = f"Wrote {folder / REPORT}; next: {shlex.join(['fmnist-tk', *then])}"
    finish(report, as_json=as_json, output=output, quiet=quiet, details=details, last=last)
