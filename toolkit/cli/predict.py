"""``fmnist-tk predict``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from toolkit.cli.console import tell, typed
from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    DebugOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    parse_choice,
)
from toolkit.cli.options.files import check_files_differ, check_pictures_kept
from toolkit.cli.options.pictures import ImagesOption, LabelsOption
from toolkit.errors import UsageError
from toolkit.system.files import check_writable

if TYPE_CHECKING:
    from toolkit.pictures.sources import Found, Source
    from toolkit.verbs.predictor import Predictor

__all__ = ["predict"]

_MODEL, _RESULT = "Model", "Result"
_LARGEST_BATCH = 65_536
# No picture that is read has as many bytes: 89 million pixels of 3 bytes.
_MOST_STDIN_BYTES = 1 << 28
_MOST_DIGITS = 9


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
            "--checkpoint",
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
            min=1,
            max=_LARGEST_BATCH,
            metavar="N",
            help="Pictures per call of the model. Default: 64.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = 64,
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
    numbers = [] if test is None else _numbers(test)
    from toolkit.verbs.predict import find_places

    places, notes = find_places(_words(pictures or []), test=numbers, data=data, images=images, labels=labels)
    if output:
        check_writable(output)
        _check_inputs_kept(output, places, {"--labels": labels, "--checkpoint": checkpoint}, images)
    from toolkit.pictures.picture import Invert

    how: Invert = parse_choice("--invert", invert, get_args(Invert), "way")
    total, left = _count(places)
    model = _open(artifact, folder, checkpoint, device, threads, quiet=quiet)
    if model.record.sha256:  # it has a file, maybe one that was not named
        check_files_differ({"--output": output}, {"the model": [Path(model.record.target)]})
    from toolkit.cli.console.predictions import Stream, finish_stream
    from toolkit.system.environment import new_report

    notes = (*notes, *left)
    if not quiet:
        for note in notes:
            tell(f"note: {note}")
    report = new_report("predict").changed(
        arguments=typed(), predictor=model.record, notes=(*([model.warning] if model.warning else []), *notes)
    )
    stream = Stream(model, places, how, batch, total, num_workers)
    finish_stream(stream, report, as_json=as_json, as_csv=as_csv, output=output, quiet=quiet)


def _check_inputs_kept(
    output: Path, places: "list[Path | Found]", named: dict[str, Path | None], images: Path | None
) -> None:
    """Refuse to write the result over anything that is read.

    Raises:
        UsageError: Naming it.
    """
    from toolkit.pictures.sources import Source

    words = [each for each in places if isinstance(each, Path)]
    own = [each.content for each in places if isinstance(each, Source) and isinstance(each.content, Path)]
    check_files_differ(
        {"--output": output}, {"IMAGE": words, "--images": own, **{name: [path] for name, path in named.items()}}
    )
    check_pictures_kept({"--output": output}, [*words, images])


def _words(words: list[str]) -> "list[str | Source]":
    """Return the words of the command line, with the picture on stdin in place of ``-``."""
    from toolkit.pictures.sources import STDIN

    if words.count(STDIN) > 1:
        raise UsageError("- stands for the one picture on stdin:", "pass it once")
    return [_stdin() if word == STDIN else word for word in words]


def _numbers(text: str) -> list[int]:
    words = [part.strip() for part in text.split(",")]
    wrong = next((word for word in words if not word.isdecimal() or len(word) > _MOST_DIGITS), None)
    if wrong is not None:
        raise UsageError(f"--test {text}: {wrong!r} is not a whole number from 0", "write for example --test 0,25")
    return list(map(int, words))


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


def _count(places: "list[Path | Found]") -> tuple[int, list[str]]:
    """Return how many pictures there are, and what is left out.

    Raises:
        UsageError: If there is none.
    """
    from toolkit.pictures.folders import LeftOut
    from toolkit.pictures.sources import walk
    from toolkit.records import UnreadableRecord

    total, problem, left = 0, None, LeftOut()
    for each in walk(places, left):
        if isinstance(each, UnreadableRecord):
            problem = problem or each
        else:
            total += 1
    if not total and problem:
        raise UsageError(f"Nothing to predict: {problem.source}: {problem.reason}", problem.remedy)
    return total, left.notes()


def _open(
    artifact: str | None, folder: Path, checkpoint: Path | None, device: str, threads: int | None, *, quiet: bool
) -> "Predictor":
    """Open the model and say on stderr which one it is."""
    from toolkit.system.environment import default_threads
    from toolkit.verbs.predictor import open_predictor

    with stdout_to_stderr():  # an artifact may print
        model = open_predictor(
            artifact, folder, checkpoint=checkpoint, device=device, threads=threads or default_threads()
        )
    if not quiet:
        tell(f"Predicting with {model.reason}")
    if model.warning:
        tell(f"warning: {model.warning}")
    return model
