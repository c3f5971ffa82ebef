"""How pictures are shown: what the terminal can do by its own word, which stands in the environment. Nothing is asked.

A terminal that was asked would have to answer through the keyboard's input, and one that does not know the question
prints it.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

# Of a character, where the terminal does not say.
_CELL_PIXELS: Final = 8

#: ``table``: no pictures, index and label.
View = Literal["kitty", "iterm2", "sixel", "blocks", "ascii", "table"]

#: What draws pictures by escape sequences: nothing but a terminal can read those.
GRAPHICS: Final = frozenset({"kitty", "iterm2", "sixel"})

_BY_PROGRAM: Final[dict[str, View]] = {
    "iTerm.app": "iterm2",
    "WezTerm": "iterm2",
    "mintty": "iterm2",
    "ghostty": "kitty",
    "kitty": "kitty",
}
_BY_TERM: Final[dict[str, View]] = {
    "xterm-kitty": "kitty",
    "xterm-ghostty": "kitty",
    "foot": "sixel",
    "foot-extra": "sixel",
    "mlterm": "sixel",
    "contour": "sixel",
}
_MULTIPLEXERS: Final = ("screen", "tmux")
# Konsole since 22.04 shows kitty's pictures.
_KONSOLE: Final = 220400


def choose_view(
    wanted: str,
    *,
    environment: Mapping[str, str],
    is_terminal: bool,
    shades: bool,
    encoding: str | None,
) -> View:
    """Return how to show pictures.

    Args:
        wanted: A `View`, or ``auto``.
        environment: Of the process.
        is_terminal: Whether stdout is one.
        shades: Whether it has 256 colours or more, and colour is wanted.
        encoding: Of stdout.

    Raises:
        UsageError: If there is no such view, or it cannot be had here.
    """
    if wanted != "auto":
        return _given(wanted, is_terminal=is_terminal, shades=shades and _has_blocks(encoding))
    if not is_terminal:
        return "table"
    graphics = _graphics(environment)
    if graphics:
        return graphics
    return "blocks" if shades and _has_blocks(encoding) else "ascii"


def _given(wanted: str, *, is_terminal: bool, shades: bool) -> View:
    if wanted not in get_args(View):
        raise UsageError(f"--view {wanted}: no such view", f"choose one of auto, {', '.join(get_args(View))}")
    view = cast("View", wanted)
    if view in GRAPHICS and not is_terminal:
        raise UsageError(f"--view {view}: stdout is no terminal", "choose --view ascii, or open the file of --out")
    if view == "blocks" and not shades:
        raise UsageError("--view blocks: stdout has no shades of grey, or no letters for them", "choose --view ascii")
    return view


def _graphics(environment: Mapping[str, str]) -> View | None:
    """Return the protocol by which the terminal shows pictures, or None."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    # A multiplexer inherits the variables of the terminal around it, but hands on no pictures.
    if environment.get("TMUX") or environment.get("STY") or term.startswith(_MULTIPLEXERS) or program == "tmux":
        return None
    if program:  # the innermost terminal sets it; what else is set may be of the one that it was started from
        return _BY_PROGRAM.get(program)
    if term in _BY_TERM:
        return _BY_TERM[term]
    konsole = environment.get("KONSOLE_VERSION", "")
    if environment.get("KITTY_WINDOW_ID") or (konsole.isdecimal() and int(konsole) >= _KONSOLE):
        return "kitty"
    # ssh hands this one on where TERM_PROGRAM is lost.
    return "iterm2" if environment.get("LC_TERMINAL") == "iTerm2" else None


def _has_blocks(encoding: str | None) -> bool:
    try:
        "▀".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def cell_pixels(console: "Console") -> int:
    """Return how many pixels wide a character of the terminal on stdout is."""
    try:
        import fcntl
        import struct
        import termios

        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError):
        return _CELL_PIXELS
    _rows, columns, width, _height = struct.unpack("HHHH", size)
    return width // columns if width and columns else _CELL_PIXELS
