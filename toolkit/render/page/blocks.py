"""What a section of the page is made of. A template draws each kind; nothing here knows of markup but charts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from toolkit.render.page.svg import Style
from toolkit.render.words.sheet import CROSS, NONE, TICK, Remark, Sheet, grouped

_TONES: Final = {
    "FASTER": "good",
    TICK: "good",
    "CANNOT TELL": "warning",
    "NOISY": "warning",
    "baseline": "quiet",
    NONE: "quiet",
    "·": "quiet",
}


@dataclass(frozen=True)
class Heat:
    """A table whose cells are shaded, from 0 to 9; None for one that is not. The diagonal stands out."""

    sheet: Sheet
    shades: tuple[tuple[int | None, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class Charts:
    """Charts beside one another that share a legend."""

    charts: tuple[Chart, ...]
    legend: tuple[tuple[str, Style, Markup], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """Why a part is not there, and the command that gives it; its title where several are told together."""

    text: str
    command: str
    title: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Commands:
    """What can be typed again, each with what it is."""

    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Failure:
    """Why something failed: a name, the cause, further facts, and the command that shows it again."""

    target: str
    cause: str
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Picture:
    """An image of 28 by 28 pixels as a data URI, what it is taken for and what it is."""

    uri: str
    name: str
    predicted: str
    probability: str
    actual: str


@dataclass(frozen=True)
class Pictures:
    """Images in a grid."""

    caption: str
    pictures: tuple[Picture, ...]


#: A text is a paragraph, things of one kind are a list.
Lists = tuple[Remark, ...] | tuple[Missing, ...] | tuple[Failure, ...]
Block = Sheet | Heat | Charts | str | Missing | Lists | Facts | Commands | Pictures


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading; ``id`` is its own within a report."""

    id: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def is_missing(self) -> bool:
        """Whether it only tells which command would give it."""
        return len(self.blocks) == 1 and isinstance(self.blocks[0], Missing)


def section(id: str, title: str, blocks: Iterable[Block | Remark]) -> Section:
    """Return a section; remarks that follow one another become one list."""
    return Section(id, title, tuple(grouped(blocks)))


def kind_of(block: Block | Remark | Failure) -> str:
    """Return what the template calls a block; a list by what is in it."""
    return f"{kind_of(block[0])}s" if isinstance(block, tuple) else type(block).__name__.lower()


def tone_of(word: str) -> str:
    """Return what a word says by itself: the class of its cell, or nothing."""
    return "bad" if word.startswith(CROSS) else _TONES.get(word.strip(), "")
