"""``fmnist-tk predict``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    DebugOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    TrustOption,
    parse_choice,
    parse_numbers,
    writable,
)
from toolkit.cli.options.files import check_files_differ, check_pictures_kept
from toolkit.cli.options.pictures import ImagesOption, LabelsOption
from toolkit.cli.options.values import formats, one_of
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.pictures.sources import Source

__all__ = ["predict"]

_MODEL, _RESULT = "Model", "Result"
_LARGEST_BATCH = 65_536
# No picture that is read has as many bytes: 89 million pixels of 3 bytes.
_MOST_STDIN_BYTES = 1 << 28


def predict(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Pictures (PNG, JPEG, WebP and others), folders of them, patterns such as 'shoes/**/*.png', "
            "or - for one on stdin.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test",
            metavar="N[,N]...",
            help="Images of the test set by their number, from 0. The bundled sample has 1,000 of the 10,000.",
            show_default=False,
        ),
    ] = None,
    invert: Annotated[
        str,
        typer.Option(
            "--invert",
            metavar="auto|yes|no",
            autocompletion=one_of("auto", "yes", "no"),
            help="Whether pictures are dark on bright: the model knows bright on black. Default: auto, by the border.",
            show_default=False,
        ),
    ] = "auto",
    images: ImagesOption = None,
    labels: LabelsOption = None,
    num_workers: Annotated[
        int | None,
        typer.Option(
            "--num-workers",
            min=1,
            max=256,
            metavar="N",
            help="Threads that read pictures. Default: as many as there are CPUs.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of Fashion-MNIST, for --test. Default: the bundled sample, then the usual places.",
            show_default=False,
        ),
    ] = None,
    artifact: Annotated[
        str | None,
        typer.Option(
            "--artifact",
            metavar="TARGET",
            autocompletion=formats,
            help="A format, an artifact's or a checkpoint's file, eager or bundled. Default: the fastest verified "
            "artifact in the folder, else the bundled checkpoint.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    folder: FolderOption = DEFAULT_FOLDER,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            *("--checkpoint", "--weights", "-c"),
            metavar="FILE",
            help="Weights to predict with in eager PyTorch; with --artifact what it must be verified against.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            "-b",
            min=1,
            max=_LARGEST_BATCH,
            metavar="N",
            help="Pictures per call of the model. Default: 64.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = 64,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print a line per picture as CSV, and nothing else, on stdout.", rich_help_panel=_RESULT
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write the result to FILE: as CSV if it ends in .csv, else the report as JSON.",
            rich_help_panel=_RESULT,
            callback=writable,
        ),
    ] = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what is on pictures; exit 1 when one of them could not be read.

    A grey picture of 28 x 28 pixels is taken as it is. Any other is trimmed, reduced to 28 x 28 and sharpened as the
    photos of Fashion-MNIST were, with its background made black. What is broken is reported and the rest go on.
    With --images the labels are known, and the output says how many were right.

    Examples:
        fmnist-tk predict --test 0

        fmnist-tk predict shoe.jpg

        fmnist-tk predict photos --csv -o photos.json --artifact onnx

        fmnist-tk predict --images photos --labels labels.csv
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv are two formats of stdout:", "leave one out, or write it with -o FILE")
    if not pictures and test is None and images is None:
        raise UsageError("predict needs an IMAGE:", "pass files, folders, patterns, - for stdin, or --test 0")
    numbers = () if test is None else parse_numbers("--test", test, "0,25", least=0)
    from toolkit.cli.console.predictions import finish_predictions
    from toolkit.pictures.picture import Invert
    from toolkit.system.environment import default_threads
    from toolkit.verbs.predict import predict as predict_pictures

    how: Invert = parse_choice("--invert", invert, get_args(Invert), "way")
    with stdout_to_stderr():  # an artifact may print
        found = predict_pictures(
            _words(pictures or []),
            test=numbers,
            data=data,
            images=images,
            labels=labels,
            num_workers=num_workers,
            artifact=artifact,
            folder=folder,
            checkpoint=checkpoint,
            device=device,
            threads=threads or default_threads(),
            invert=how,
            batch_size=batch,
            trust=trust,
        )
    model = [Path(found.model.record.target)] if found.model.record.sha256 else []  # maybe one that was not named
    inputs = {"IMAGE": found.paths, "--labels": [labels], "--checkpoint": [checkpoint], "the model": model}
    check_files_differ({"--output": output}, inputs)
    check_pictures_kept({"--output": output}, [*found.paths, images])
    finish_predictions(found, as_json=as_json, as_csv=as_csv, output=output, quiet=quiet)


def _words(words: list[str]) -> "list[str | Source]":
    """Return the words of the command line, with the picture on stdin in place of ``-``."""
    from toolkit.pictures.sources import STDIN

    if words.count(STDIN) > 1:
        raise UsageError("- stands for the one picture on stdin:", "pass it once")
    return [_stdin() if word == STDIN else word for word in words]


def _stdin() -> "Source":
    from toolkit.pictures.sources import STDIN, Source

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "- reads a picture from stdin, and none is piped in:", "pipe one in, as in fmnist-tk predict - < shoe.png"
        )
    content = sys.stdin.buffer.read(_MOST_STDIN_BYTES + 1)
    if len(content) > _MOST_STDIN_BYTES:
        raise UsageError(f"- has more than {_MOST_STDIN_BYTES:,} bytes on stdin", "pipe in one picture")
    return Source(STDIN, content)
