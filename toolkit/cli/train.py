"""``fmnist-tk train``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.console import finish, say, showing_progress
from toolkit.cli.options import (
    DataOption,
    DebugOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    parse_percent,
)
from toolkit.cli.options.pictures import ImagesOption, LabelsOption, NumWorkersOption
from toolkit.cli.options.values import DEVICES, one_of
from toolkit.errors import UsageError

__all__ = ["train"]

# A layer of more features would need tens of gigabytes.
_MOST_DIGITS = 5
_COURSE = "What to train (not with --resume)"


def _option(
    name: str,
    *,
    help: str,
    metavar: str | None = None,
    min: float | None = None,
    values: Sequence[str] = (),
) -> Any:
    """Return an option that belongs to a training; the shell is offered its values."""
    return typer.Option(
        name,
        help=help,
        metavar=metavar,
        min=min,
        rich_help_panel=_COURSE,
        show_default=False,
        autocompletion=one_of(*values),
    )


def train(
    context: typer.Context,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Checkpoint to write. Default: model.safetensors.",
            show_default=False,
        ),
    ] = Path("model.safetensors"),
    data: DataOption = None,
    images: ImagesOption = None,
    labels: LabelsOption = None,
    num_workers: NumWorkersOption = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FILE",
            help="Go on with what an interrupted training saved.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str,
        _option(
            "--recipe",
            metavar="NAME",
            values=("strong", "quickstart"),
            help="strong (91 %) or quickstart (the tutorial). Default: strong.",
        ),
    ] = "strong",
    seed: Annotated[
        int,
        _option("--seed", metavar="N", help="Of weights, order and augmentation. Default: 0."),
    ] = 0,
    device: Annotated[
        str,
        _option("--device", metavar="DEVICE", values=DEVICES, help="auto, cpu, cuda, cuda:N or mps. Default: auto."),
    ] = "auto",
    threads: ThreadsOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Data files unpacked at the same time. Default: 2.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        _option("--epochs", min=1, metavar="N", help="Passes over the training images. Default: the recipe's."),
    ] = None,
    batch_size: Annotated[
        int | None, _option("--batch-size", min=1, metavar="N", help="Images per step. Default: the recipe's.")
    ] = None,
    lr: Annotated[
        float | None, _option("--lr", metavar="RATE", help="Learning rate, the largest one of the schedule.")
    ] = None,
    optimizer: Annotated[
        str | None, _option("--optimizer", metavar="NAME", values=("sgd", "adam", "adamw"), help="sgd, adam or adamw.")
    ] = None,
    momentum: Annotated[float | None, _option("--momentum", metavar="X", help="Of sgd, 0 to below 1.")] = None,
    weight_decay: Annotated[
        float | None, _option("--weight-decay", metavar="X", help="Of the weights, not of biases.")
    ] = None,
    schedule: Annotated[
        str | None,
        _option("--schedule", metavar="NAME", values=("constant", "one-cycle"), help="constant or one-cycle."),
    ] = None,
    label_smoothing: Annotated[float | None, _option("--label-smoothing", metavar="X", help="0 to below 1.")] = None,
    hidden: Annotated[
        str, _option("--hidden", metavar="N[,N]...", help="Widths of the hidden layers. Default: 512,512.")
    ] = "512,512",
    final_relu: Annotated[bool, _option("--final-relu", help="End the model in one more ReLU.")] = False,
    holdout: Annotated[
        int, _option("--holdout", min=0, metavar="N", help="Training images kept back to judge each epoch. Default: 0.")
    ] = 0,
    test_share: Annotated[
        str | None,
        _option(
            "--test-share",
            metavar="PERCENT",
            help="Of own pictures: so much of each class is held back as the test set. Default: 20%.",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train the model on Fashion-MNIST, or on own pictures, and write a checkpoint.

    The file is safetensors with its description inside. The loss, the accuracy
    and the confusion matrix of the test images come with the report; the test
    images choose nothing. Every few seconds, and by Ctrl-C, what is reached is
    saved as NAME.partial.pt, and --resume goes on from there to the same weights.
    Nothing is exported: fmnist-tk export or run does that.

    Exit code: 0 trained, 2 could not train, 130 stopped by Ctrl-C.

    Examples:
        fmnist-tk train --output model.safetensors

        fmnist-tk train --recipe quickstart --epochs 10 --device cuda

        fmnist-tk train --images photos --labels labels.csv
    """
    if resume:
        _refuse_changes(context)
    widths = _widths(hidden)
    share = None if test_share is None else parse_percent("--test-share", test_share)
    from toolkit.verbs.train import train as run_training

    with showing_progress(quiet=quiet) as progress:
        report = run_training(
            output,
            recipe=recipe,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,
            label_smoothing=label_smoothing,
            hidden=widths,
            final_relu=final_relu,
            holdout=holdout,
            seed=seed,
            device=device,
            threads=threads,
            data=data,
            images=images,
            labels=labels,
            num_workers=num_workers,
            test_share=share,
            workers=workers,
            resume=resume,
            progress=progress,
        )
    if not (quiet or as_json):
        say(f"Next: fmnist-tk run --checkpoint {output}")
    finish(report, as_json=as_json, output=None, quiet=quiet)


def _refuse_changes(context: typer.Context) -> None:
    """A training that goes on follows what it was begun with, or its result would be nobody's.

    Raises:
        UsageError: If an option asks for something else.
    """
    places = {"output", "data", "resume", "workers", "images", "labels", "num_workers"}
    free = {*places, "as_json", "quiet", "debug"}
    given = [name for name in context.params if name not in free and _is_given(context, name)]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError("--resume goes on as the training was begun:", f"leave out {options}")


def _is_given(context: typer.Context, name: str) -> bool:
    """Say whether a parameter stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _widths(text: str) -> list[int]:
    """Return the widths in ``512,512``; none in an empty text.

    Raises:
        UsageError: If one is no width.
    """
    widths = [part.strip() for part in text.split(",") if part.strip()]
    if not all(width.isdecimal() and len(width) <= _MOST_DIGITS and int(width) for width in widths):
        raise UsageError(f"--hidden {text}:", "write widths from 1 to 99999, such as --hidden 512,512")
    return [int(width) for width in widths]
