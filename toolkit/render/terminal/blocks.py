"""Pictures made of characters: half blocks in grey where there is colour, a ramp of characters where there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from toolkit.render.words.gallery import Tile

_SIDE: Final = 28
# Below 14 columns a shirt can no longer be told from a coat.
_LEAST_SIDE: Final = 14
_GAP: Final = 2
# What else stands on the screen: the heading, the file that was written, the prompt.
_OTHER_LINES: Final = 5
#: From black to white. Letters of one height, so that a garment keeps its outline.
RAMP: Final = " .:-=+*#%@"
_UPPER_HALF: Final = "▀"


@dataclass(frozen=True)
class Layout:
    """How pictures are laid out.

    Attributes:
        across: Pictures in a row.
        side: Columns of a picture, an even number; it has half as many lines.
        cell: Columns of a picture with its title.
    """

    across: int
    side: int
    cell: int

    @property
    def width(self) -> int:
        """Columns of all."""
        return self.across * (self.cell + _GAP) - _GAP


def fit(count: int, width: int, height: int, *, title: tuple[int, int] = (11, 1), columns: int | None = None) -> Layout:
    """Return the layout with the largest pictures that fits a screen.

    Args:
        count: Pictures.
        width: Columns of the screen; it is kept.
        height: Its lines. Pictures are made smaller for it, though not smaller than can be made out.
        title: Columns and lines of the longest title.
        columns: Pictures in a row that are asked for; fewer if that many do not fit.
    """
    best: Layout | None = None
    for side in range(_SIDE, _LEAST_SIDE - 1, -2):
        cell = max(side, title[0])
        if cell > width:
            continue
        layout = Layout(_across(count, width, cell, columns), side, cell)
        if columns and layout.across < min(columns, count):
            continue  # smaller ones may do
        # The first that keeps the width is the one with the largest pictures; without a wish for columns, the last
        # has the fewest lines.
        best = layout if best is None or not columns else best
        if ceil(count / layout.across) * (side // 2 + title[1] + 1) <= height - _OTHER_LINES:
            return layout
    if best:
        return best
    side = max(2, min(_LEAST_SIDE, width // 2 * 2))
    cell = min(max(side, title[0]), width)
    return Layout(_across(count, width, cell, columns), side, cell)


def _across(count: int, width: int, cell: int, columns: int | None) -> int:
    """Return how many pictures stand in a row: as many as fit, or as few as need no further row."""
    across = max(1, min(columns or count, count, (width + _GAP) // (cell + _GAP)))
    return across if columns else ceil(count / ceil(count / across))


@dataclass(frozen=True)
class Blocks:
    """Pictures in rows under their titles, fitted to the console.

    Attributes:
        tiles: The pictures.
        shades: Whether the console has shades of grey; else characters stand for them.
        columns: Pictures in a row; None for as many as fit.
    """

    tiles: Sequence[Tile]
    shades: bool
    columns: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        arrow = "->" if options.ascii_only else "→"
        titles = [tuple(line.replace("→", arrow) for line in tile.lines) for tile in self.tiles]
        lines = max(map(len, titles), default=0)
        longest = max((cell_len(line) for title in titles for line in title), default=0)
        layout = fit(len(self.tiles), options.max_width, console.height, title=(longest, lines), columns=self.columns)
        for start in range(0, len(self.tiles), layout.across):
            row = self.tiles[start : start + layout.across]
            for number in range(lines):
                words = (title[number] if number < len(title) else "" for title in titles[start:][: layout.across])
                yield _line([Text(_centred(word, layout.cell, options)) for word in words])
            pictures = [(_half_blocks if self.shades else _ramp)(tile.pixels, layout.side) for tile in row]
            left = (layout.cell - layout.side) // 2
            right = layout.cell - layout.side - left
            for parts in zip(*pictures, strict=True):
                yield _line([Text.assemble(" " * left, part, " " * right) for part in parts])
            yield Text("")


def _line(parts: list[Text]) -> Text:
    line = Text(" " * _GAP, no_wrap=True, end="\n").join(parts)
    line.rstrip()
    return line


def _centred(title: str, width: int, options: ConsoleOptions) -> str:
    if cell_len(title) > width:
        return set_cell_size(title, width - 1) + ("." if options.ascii_only else "…")
    return set_cell_size(" " * ((width - cell_len(title)) // 2) + title, width)


def _half_blocks(pixels: bytes, side: int) -> list[Text]:
    """Return ``side / 2`` lines of ``side`` half blocks: the letter is the upper half, its ground the lower."""
    grey = _resized(pixels, side, side)
    pairs = (zip(grey[y * side :][:side], grey[(y + 1) * side :][:side], strict=True) for y in range(0, side, 2))
    # Runs, because each change of style is twenty bytes to the terminal.
    return [
        Text.assemble(*((_UPPER_HALF * len(list(same)), _shade(*pair)) for pair, same in groupby(line)))
        for line in pairs
    ]


def _shade(upper: int, lower: int) -> Style:
    return Style(color=Color.from_rgb(upper, upper, upper), bgcolor=Color.from_rgb(lower, lower, lower))


def _ramp(pixels: bytes, side: int) -> list[Text]:
    """Return ``side / 2`` lines of ``side`` characters, each darker or brighter."""
    grey = _resized(pixels, side, side // 2)
    letters = "".join(RAMP[value * len(RAMP) // 256] for value in grey)
    return [Text(letters[start : start + side]) for start in range(0, len(letters), side)]


def _resized(pixels: bytes, width: int, height: int) -> bytes:
    from PIL import Image

    # A box takes the mean of what it covers: nothing rings, and thin straps do not vanish.
    return Image.frombytes("L", (_SIDE, _SIDE), pixels).resize((width, height), Image.Resampling.BOX).tobytes()
