"""Pictures inside a terminal, for those that can show them: three protocols, each an escape sequence around a PNG.

* kitty: https://sw.kovidgoyal.net/kitty/graphics-protocol/
* iTerm2: https://iterm2.com/documentation-images.html
* sixel: https://vt100.net/docs/vt3xx-gp/chapter14.html
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import ControlType, Segment

_ESCAPE, _END, _BELL = "\x1b", "\x1b\\", "\x07"
_KITTY_CHUNK: Final = 4096  # the most that kitty takes at once
_SIXEL_LEVELS: Final = 32
_SIXEL_ROWS: Final = 6
# From here on a run is shorter as !COUNT.
_SHORTEST_RUN: Final = 4


@dataclass(frozen=True)
class Inline:
    """An escape sequence that draws a picture; it takes no columns of text."""

    sequence: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # What is called control is neither measured, nor wrapped, nor cut, and is left out where there is no terminal.
        yield Segment(self.sequence, None, [(ControlType.CARRIAGE_RETURN,)])
        yield Segment.line()


def kitty(png: bytes, columns: int) -> str:
    """Return a PNG as kitty shows it, ``columns`` wide; it is asked not to answer, or the shell would read that."""
    data = b64encode(png).decode("ascii")
    chunks = [data[start : start + _KITTY_CHUNK] for start in range(0, len(data), _KITTY_CHUNK)]
    first, more = f"a=T,f=100,q=2,c={columns},", len(chunks) - 1
    return "".join(
        f"{_ESCAPE}_G{first if number == 0 else ''}m={int(number < more)};{chunk}{_END}"
        for number, chunk in enumerate(chunks)
    )


def iterm2(png: bytes, columns: int) -> str:
    """Return a PNG as iTerm2 and WezTerm show it, ``columns`` wide."""
    facts = f"inline=1;size={len(png)};width={columns};preserveAspectRatio=1"
    return f"{_ESCAPE}]1337;File={facts}:{b64encode(png).decode('ascii')}{_BELL}"


def sixel(png: bytes, width: int) -> str:
    """Return a PNG as sixels in 32 shades of grey, at most ``width`` pixels wide."""
    from PIL import Image

    with Image.open(BytesIO(png)) as opened:
        image = opened.convert("L")
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    shades: Callable[[int], int] = lambda value: value * _SIXEL_LEVELS // 256  # noqa: E731  point() wants a function of one line
    levels = image.point(shades).tobytes()
    palette = "".join(
        f"#{level};2;{part};{part};{part}"
        for level in range(_SIXEL_LEVELS)
        for part in (round(100 * level / (_SIXEL_LEVELS - 1)),)
    )
    rows = [levels[start : start + image.width] for start in range(0, len(levels), image.width)]
    bands = "-".join("$".join(_band(rows[start : start + _SIXEL_ROWS])) for start in range(0, len(rows), _SIXEL_ROWS))
    return f'{_ESCAPE}P0;1q"1;1;{image.width};{image.height}{palette}{bands}{_END}'


def _band(rows: list[bytes]) -> Iterator[str]:
    """Yield six rows of pixels, once for each shade in them: a letter is a column, each bit of it a pixel."""
    for level in sorted(set(b"".join(rows))):
        letters = (
            63 + sum((column[bit] == level) << bit for bit in range(len(rows))) for column in zip(*rows, strict=True)
        )
        yield f"#{level}" + "".join(_run(chr(letter), len(list(same))) for letter, same in groupby(letters))


def _run(letter: str, count: int) -> str:
    return letter * count if count < _SHORTEST_RUN else f"!{count}{letter}"
