"""``fmnist-tk train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.console import finish, say, showing_progress
from toolkit.cli.options import DataOption, DebugOption, JsonOption, QuietOption, ThreadsOption, parse_percent
from toolkit.cli.picture_options import ImagesOption, LabelsOption, NumWorkersOption, check_pictures, read_pictures
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.train import Course

__all__ = ["train"]

# A layer of more features would need tens of gigabytes.
_MOST_DIGITS = 5
_COURSE = "What to train (not with --resume)"


def _option(
    name: str, *, help: str, metavar: str | None = None, min: float | None = None, max: float | None = None
) -> Any:
    """Return an option that belongs to the course of training."""
    return typer.Option(name, help=help, metavar=metavar, min=min, max=max, rich_help_panel=_COURSE, show_default=False)


def train(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Checkpoint to write.")] = Path(
        "model.safetensors"
    ),
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
        _option("--recipe", metavar="NAME", help="strong (91 %) or quickstart (the tutorial). Default: strong."),
    ] = "strong",
    seed: Annotated[
        int, _option("--seed", min=0, max=2**63 - 1, help="Of weights, order and augmentation. Default: 0.")
    ] = 0,
    device: Annotated[
        str, _option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps. Default: auto.")
    ] = "auto",
    threads: ThreadsOption = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Data files unpacked at the same time.")] = 2,
    epochs: Annotated[int | None, _option("--epochs", min=1, help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, _option("--batch-size", min=1, help="Images per step.")] = None,
    lr: Annotated[float | None, _option("--lr", help="Learning rate, the largest one of the schedule.")] = None,
    optimizer: Annotated[str | None, _option("--optimizer", metavar="NAME", help="sgd, adam or adamw.")] = None,
    momentum: Annotated[float | None, _option("--momentum", help="Of sgd.")] = None,
    weight_decay: Annotated[float | None, _option("--weight-decay", help="Of the weights, not of biases.")] = None,
    schedule: Annotated[str | None, _option("--schedule", metavar="NAME", help="constant or one-cycle.")] = None,
    label_smoothing: Annotated[float | None, _option("--label-smoothing", help="0 to below 1.")] = None,
    hidden: Annotated[
        str, _option("--hidden", metavar="N[,N]...", help="Widths of the hidden layers. Default: 512,512.")
    ] = "512,512",
    final_relu: Annotated[bool, _option("--final-relu", help="End the model in one more ReLU.")] = False,
    holdout: Annotated[
        int, _option("--holdout", min=0, help="Training images kept back to judge each epoch. Default: 0.")
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

    Examples:
        fmnist-tk train --output model.safetensors

        fmnist-tk train --recipe quickstart --epochs 10 --device cuda

        fmnist-tk train --images photos --labels labels.csv
    """
    if resume:
        _refuse_changes(context)
    check_pictures(images, labels, num_workers, data=data, workers=_is_given(context, "workers"))
    if test_share is not None and images is None:
        raise UsageError("--test-share is for own pictures, Fashion-MNIST has a test set; pass --images DIR with it")
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "label_smoothing": label_smoothing,
    }
    from toolkit.train import train as run_training

    course = make_course(
        recipe,
        changes,
        hidden=hidden,
        final_relu=final_relu,
        seed=seed,
        device=device,
        threads=threads,
        holdout=holdout,
        test_share=test_share,
    )
    with showing_progress(quiet=quiet) as progress:
        own = read_pictures(images, labels, num_workers, progress)
        report = run_training(course, output, data=data, workers=workers, own=own, resume=resume, progress=progress)
    if not (quiet or as_json):
        say(f"Next: fmnist-tk run --checkpoint {output}")
    finish(report, as_json=as_json, output=None, quiet=quiet)


def _refuse_changes(context: typer.Context) -> None:
    """A training that goes on follows its own course, or its result would be nobody's.

    Raises:
        UsageError: If an option asks for something else.
    """
    places = {"output", "data", "resume", "workers", "images", "labels", "num_workers"}
    free = {*places, "as_json", "quiet", "debug"}
    given = [name for name in context.params if name not in free and _is_given(context, name)]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"--resume goes on as the training was begun: leave out {options}")


def _is_given(context: typer.Context, name: str) -> bool:
    """Say whether a parameter stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def make_course(
    recipe: str,
    changes: dict[str, str | float | None],
    *,
    hidden: str = "512,512",
    final_relu: bool = False,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    holdout: int = 0,
    test_share: str | None = None,
) -> "Course":
    """Return what to train, from a recipe's name and what the options change of it.

    Raises:
        UsageError: If a value makes no sense.
        DeviceUnavailableError: If the device is not here.
    """
    from pydantic import ValidationError

    from toolkit.devices import resolve_device
    from toolkit.environment import default_threads
    from toolkit.records import LABELS, PIXELS, ModelConfig
    from toolkit.train import Course, Recipe, find_recipe

    widths = [part.strip() for part in hidden.split(",") if part.strip()]
    if not all(width.isdecimal() and len(width) <= _MOST_DIGITS and int(width) for width in widths):
        raise UsageError(f"--hidden {hidden}: write widths from 1 to 99999, such as --hidden 512,512")
    given = {name: value for name, value in changes.items() if value is not None}
    share = {} if test_share is None else {"test_share": parse_percent("--test-share", test_share)}
    try:
        return Course(
            recipe=Recipe.model_validate({**find_recipe(recipe).model_dump(), **given}),
            config=ModelConfig(layer_sizes=(PIXELS, *map(int, widths), len(LABELS)), final_relu=final_relu),
            seed=seed,
            holdout=holdout,
            device=resolve_device(device),
            threads=threads or default_threads(),
            **share,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][-1]).replace("_", "-")
        raise UsageError(f"{option} {first['input']}: {first['msg']}; see fmnist-tk train --help") from error
