"""``--images``, ``--labels`` and ``--num-workers``: own pictures in place of Fashion-MNIST."""

from pathlib import Path
from typing import Annotated

import typer

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
        help="Lines of file,label for --images: files below that folder, labels as numbers or names. Or of a label and "
        "784 pixels, as Kaggle has them.",
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
