"""``fmnist-tk data show``."""

import os
import sys
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import finish, showing_progress, stdout_console, tell
from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.cli.console.view import GRAPHICS, View, cell_pixels, choose_view
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    DebugOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    OutputOption,
    QuietOption,
)
from toolkit.cli.options.files import artifacts_named, check_files_differ
from toolkit.cli.options.values import formats, one_of
from toolkit.errors import UsageError
from toolkit.system.files import check_writable, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from toolkit.fashion.gallery import Gallery
    from toolkit.records import Report
    from toolkit.render.words.gallery import Tile

__all__ = ["LocalDataOption", "show"]

_MOST_PICTURES = 400
_DEFAULT_PNG, _DEFAULT_WRONG_PNG = Path("fashion-mnist.png"), Path("fashion-mnist-wrong.png")
# A picture with its labels is as wide in a terminal that draws it, where there is room.
_CELLS_PER_PICTURE = 20


def _labels(incomplete: str) -> list[str]:
    from toolkit.records import LABELS

    return one_of(*(label.lower() for label in LABELS))(incomplete.lower())


LocalDataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of Fashion-MNIST. Default: $FMNIST_TK_DATA, the cache, or the Debian package.",
        show_default=False,
    ),
]


def show(
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Only this one: a name or 0 to 9.",
            show_default=False,
            autocompletion=_labels,
        ),
    ] = None,
    wrong: Annotated[
        str | None,
        typer.Option(
            "--wrong",
            metavar="ARTIFACT",
            autocompletion=formats,
            help="What this gets wrong, the most confident first: a format, an artifact or a checkpoint.",
            show_default=False,
        ),
    ] = None,
    train: Annotated[
        bool,
        typer.Option("--train/--test", help="Of the training or the test set. Default: --test.", show_default=False),
    ] = False,
    count: Annotated[
        int,
        typer.Option(
            "--count", "-n", min=1, max=_MOST_PICTURES, metavar="N", help="Pictures. Default: 9.", show_default=False
        ),
    ] = 9,
    columns: Annotated[
        int | None,
        typer.Option(
            "--columns",
            min=1,
            max=_MOST_PICTURES,
            metavar="N",
            help="Pictures in a row. Default: a square in the PNG, what fits in the terminal.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Of the choice; printed. Default: a new one.",
            show_default=False,
        ),
    ] = None,
    data: LocalDataOption = None,
    folder: FolderOption = DEFAULT_FOLDER,
    device: DeviceOption = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help=f"PNG to write. Default: {_DEFAULT_PNG}, with --wrong {_DEFAULT_WRONG_PNG}.",
            show_default=False,
        ),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png/--no-png", help="Write the PNG. Default: --png.", show_default=False)
    ] = True,
    view: Annotated[
        str,
        typer.Option(
            "--view",
            metavar="VIEW",
            autocompletion=one_of("auto", "kitty", "iterm2", "sixel", "blocks", "ascii", "table"),
            help="In the terminal: auto, kitty, iterm2, sixel, blocks, ascii or table. Default: auto.",
            show_default=False,
        ),
    ] = "auto",
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show pictures with their labels, or those that a model gets wrong: as a PNG, and in the terminal.

    A terminal that can show pictures does; in others they are made of blocks or
    letters, and where stdout is no terminal there is a table instead.
    Without the full data set the bundled sample of 1,000 test images is used.

    Examples:
        fmnist-tk data show

        fmnist-tk data show --class boot --count 16 --seed 1 --out boots.png

        fmnist-tk data show --wrong onnx
    """
    path = _png_path(out, wrong=wrong is not None) if png else None
    if not png and out:
        raise UsageError("--out and --no-png exclude each other", "leave one of them out")
    check_files_differ(
        {"--output": output, "--out": path}, {"--wrong": artifacts_named([wrong], folder) if wrong else []}
    )
    chosen = _view(view, silent=as_json or quiet)
    from toolkit.fashion.places import SAMPLE
    from toolkit.verbs.data import choose_pictures

    with stdout_to_stderr(), showing_progress(quiet=quiet) as progress:  # an artifact may print
        gallery = choose_pictures(
            label,
            wrong=wrong,
            part="train" if train else "test",
            count=count,
            seed=seed,
            data=data,
            folder=folder,
            device=device,
            progress=progress,
        )
    if gallery.report.datasets[0].name == SAMPLE and not quiet:
        tell(
            "The full data set is not here: these are of the bundled sample of 1,000 test images; "
            "get all with: fmnist-tk data fetch"
        )
    _finish(gallery, path, chosen, columns, as_json=as_json, output=output, quiet=quiet)


def _png_path(out: Path | None, *, wrong: bool) -> Path:
    path = out or (_DEFAULT_WRONG_PNG if wrong else _DEFAULT_PNG)
    if path.suffix.lower() != ".png":
        raise UsageError(f"--out {path}: only PNG is written", "end the name in .png")
    check_writable(path)
    return path


def _view(wanted: str, *, silent: bool) -> View:
    """Return how pictures are shown on stdout; none are where the report is all that it is for."""
    console = stdout_console()
    if silent:  # whatever it is, it must be one
        choose_view(wanted, environment={}, is_terminal=True, shades=True, encoding="utf-8")
        return "table"
    return choose_view(
        wanted,
        environment=os.environ,
        is_terminal=sys.stdout.isatty(),
        shades=not console.no_color and console.color_system in {"256", "truecolor"},
        encoding=sys.stdout.encoding,
    )


def _finish(
    gallery: "Gallery",
    path: Path | None,
    view: View,
    columns: int | None,
    *,
    as_json: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Draw, write and show a gallery and exit; where nothing was chosen, nothing is drawn."""
    from toolkit.render.words.gallery import make_tiles

    report, tiles = gallery.report, make_tiles(gallery.report, [image.tobytes() for image in gallery.images])
    if path and tiles and report.gallery:
        write_bytes(path, _drawn(report, tiles, columns))
        report = report.changed(gallery=report.gallery.changed(picture=str(path)))
    parts = None if view == "table" or not tiles else _pictures(report, tiles, view, columns)
    finish(report, as_json=as_json, output=output, quiet=quiet, instead=parts)


def _drawn(report: "Report", tiles: "tuple[Tile, ...]", columns: int | None) -> bytes:
    from toolkit.render.files.figure import gallery_png
    from toolkit.render.words.gallery import gallery_description, gallery_heading

    assert report.gallery  # what chooses pictures makes one
    return gallery_png(
        tiles,
        columns or ceil(sqrt(len(tiles))),
        title=gallery_heading(report, report.gallery).rstrip(":"),
        description=gallery_description(report, report.gallery),
    )


def _pictures(
    report: "Report", tiles: "tuple[Tile, ...]", view: View, columns: int | None
) -> "Iterator[RenderableType]":
    """Yield a gallery as the terminal shows it."""
    from rich.text import Text

    from toolkit.render.terminal.blocks import Blocks
    from toolkit.render.words.gallery import gallery_heading, written
    from toolkit.render.words.sheet import Remark

    assert report.gallery  # what chooses pictures makes one
    yield Text(gallery_heading(report, report.gallery))
    yield Text("")
    if view in GRAPHICS:
        yield _inline(report, tiles, view, columns)
    else:
        yield Blocks(tiles, shades=view == "blocks", columns=columns)
    yield from (Remark(note, "warning") for note in report.notes)
    yield from written(report.gallery)


def _inline(report: "Report", tiles: "tuple[Tile, ...]", view: View, columns: int | None) -> "RenderableType":
    """Return a gallery as one picture inside the terminal, as wide as there is room."""
    from toolkit.render.terminal.inline import Inline, iterm2, kitty, sixel

    console = stdout_console()
    if columns is None:
        columns = min(len(tiles), max(1, console.width // _CELLS_PER_PICTURE))
    drawn, cells = _drawn(report, tiles, columns), min(console.width, _CELLS_PER_PICTURE * columns)
    if view == "sixel":
        return Inline(sixel(drawn, cells * cell_pixels(console)))
    return Inline((kitty if view == "kitty" else iterm2)(drawn, cells))
