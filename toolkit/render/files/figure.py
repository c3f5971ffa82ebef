"""A gallery as PNG: the figure of the PyTorch tutorial, grey pictures with their labels above and no axes."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from typing import Final

from toolkit.render.words.gallery import Tile

#: Pixels per inch: a picture of 28 pixels is 228 wide, and letters of 12 points are 20 high.
DPI: Final = 120
_SIDE, _GAP, _MARGIN = 28, 4, 2
_INCHES_PER_UNIT: Final = 1.9 / _SIDE
_POINTS: Final = 12
_LINE: Final = 3  # units; 12 points are 2.5
_MOST_PIXELS: Final = 60_000  # matplotlib draws no side of 2¹⁶


def gallery_png(tiles: Sequence[Tile], columns: int, *, title: str, description: str, dpi: int = DPI) -> bytes:
    """Draw pictures in rows.

    Args:
        tiles: At least one.
        columns: Pictures in a row.
        title: Goes into the file's metadata.
        description: Goes there too: what is to be seen, in words.
        dpi: Pixels per inch.

    Returns:
        A PNG file.
    """
    from matplotlib import style
    from matplotlib.figure import Figure
    from PIL import Image

    lines = max(len(tile.lines) for tile in tiles)
    height = _SIDE + lines * _LINE + _GAP
    columns = min(columns, len(tiles))
    across, down = columns * (_SIDE + _GAP), ceil(len(tiles) / columns) * height - _GAP
    size = ((across + 2 * _MARGIN) * _INCHES_PER_UNIT, (down + 2 * _MARGIN) * _INCHES_PER_UNIT)
    buffer = BytesIO()
    with style.context("default"):  # whatever a matplotlibrc of the user says
        # Not pyplot: it would look for a screen, and keep the figure.
        figure = Figure(figsize=size, dpi=min(dpi, _MOST_PIXELS // max(size)))
        # One pair of axes for all: one for each picture would take seconds for a hundred.
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        for number, tile in enumerate(tiles):
            row, column = divmod(number, columns)
            left, top = column * (_SIDE + _GAP) + _GAP / 2, row * height + lines * _LINE
            axes.imshow(
                Image.frombytes("L", (_SIDE, _SIDE), tile.pixels),
                cmap="gray",
                vmin=0,
                vmax=255,
                interpolation="nearest",
                extent=(left, left + _SIDE, top + _SIDE, top),
            )
            text = "\n".join(tile.lines)
            axes.text(left + _SIDE / 2, top - 0.7, text, ha="center", va="bottom", fontsize=_POINTS, parse_math=False)
        axes.set_xlim(-_MARGIN, across + _MARGIN)
        axes.set_ylim(down + _MARGIN, -_MARGIN)
        facts = {"Title": title, "Description": description, "Software": "fmnist-tk"}
        figure.savefig(buffer, format="png", dpi="figure", metadata=facts)
    return buffer.getvalue()
