"""``--images``, ``--labels`` and ``--num-workers``: own pictures in place of Fashion-MNIST."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.pictures.own_data import OwnPictures
    from toolkit.system.progress import Progress

_PICTURES = "Own pictures"

ImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Own pictures in place of Fashion-MNIST: a folder with --labels, or one that holds a folder per class, "
        "named 0 to 9 or ankle-boot and the like.",
        show_default=False,
        rich_help_panel=_PICTURES,
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="CSV",
        help="Lines of file,label for --images: files below that folder, labels as numbers or names.",
        show_default=False,
        rich_help_panel=_PICTURES,
    ),
]
NumWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--num-workers",
        min=0,
        max=256,
        metavar="N",
        help="Processes that read the pictures. Default: 0, this one; more pay for thousands of photos.",
        show_default=False,
        rich_help_panel=_PICTURES,
    ),
]


def check_pictures(images: Path | None, labels: Path | None, num_workers: int | None, **excluded: object) -> None:
    """Refuse options that would have no effect, before the work.

    Args:
        images: As given.
        labels: As given.
        num_workers: As given.
        excluded: By the names of options, a true value for each that was given and does not go with ``--images``.

    Raises:
        UsageError: Naming them.
    """
    if images is None:
        given = {"--labels": labels, "--num-workers": num_workers}
        lonely = [name for name, value in given.items() if value is not None]
        if lonely:
            raise UsageError(
                f"{' and '.join(lonely)} belong{'s' if len(lonely) == 1 else ''} to --images", "pass --images DIR"
            )
        return
    others = [f"--{name.replace('_', '-')}" for name, value in excluded.items() if value]
    if others:
        raise UsageError(
            f"--images is in place of Fashion-MNIST, so {', '.join(others)} would have no effect", "leave one out"
        )


def read_pictures(
    images: Path | None, labels: Path | None, num_workers: int | None, progress: "Progress"
) -> "OwnPictures | None":
    """Return the pictures that the options name; None without ``--images``.

    Raises:
        OwnDataError: If they cannot be used.
    """
    if images is None:
        return None
    from toolkit.fashion.labels import read_label
    from toolkit.pictures.own_data import own_pictures

    return own_pictures(images, labels, read_label=read_label, num_workers=num_workers or 0, progress=progress)
