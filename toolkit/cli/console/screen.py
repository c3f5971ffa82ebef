"""What is drawn anew at the end of a terminal while a command works: a bar, or a table of rounds; one at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from toolkit.plain import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.progress import Progress as Bar

    from toolkit.records import LatencyRecord
    from toolkit.system.progress import Progress

    D = TypeVar("D", Live, Bar)

#: Takes the rows so far, how many rounds are done, and how many are planned.
ShowRounds = Callable[[Sequence["LatencyRecord"], int, int], None]


class _Screen:
    """The place for one display; a new one ends the one before."""

    def __init__(self) -> None:
        self._display: Live | Bar | None = None

    def display(self, kind: "type[D]", make: "Callable[[], D]") -> "D":
        """Return what is drawn if it is of a kind, else a new one in its place.

        A display that has ended is not drawn again: it would erase as many lines as it had, which are others by then.
        """
        if isinstance(self._display, kind):
            return self._display
        self.clear()
        made = make()
        made.start()
        self._display = made
        return made

    def clear(self) -> None:
        """End what is drawn."""
        ended, self._display = self._display, None
        if ended:
            ended.stop()


_screen = _Screen()


@contextmanager
def drawing_rounds(console: "Console") -> Iterator[ShowRounds]:
    """Give a function that draws a table of rounds, only when it is called: no CPU time is taken from a round."""
    from rich.live import Live

    from toolkit.render.terminal.live import live_table
    from toolkit.render.words.plain import Plain

    def make() -> Live:
        return Live(console=console, auto_refresh=False, transient=True)

    def show(rows: Sequence["LatencyRecord"], done: int, planned: int) -> None:
        _screen.display(Live, make).update(Plain(live_table(rows, done, planned)), refresh=True)

    try:
        yield show
    finally:
        _screen.clear()


@contextmanager
def drawing_bar(console: "Console") -> Iterator["Progress"]:
    """Give a `Progress` that draws a bar, only when it is called: loading is timed too."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    def make() -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,  # results may be on their way to a file, which rich would send to the terminal
        )

    def update(task: str, done: int, total: int, detail: str = "") -> None:
        task, detail = plain(task, lines=False), plain(detail, lines=False)
        bar = _screen.display(Progress, make)
        for other in [each for each in bar.tasks if each.description != task]:
            bar.remove_task(other.id)
        number = bar.tasks[0].id if bar.tasks else bar.add_task(task, total=total, detail=detail)
        bar.update(number, completed=done, total=total, detail=detail, refresh=True)

    try:
        yield update
    finally:
        _screen.clear()
