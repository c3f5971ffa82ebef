"""What is drawn anew at the end of a terminal while a command works: a bar, and below it a table of rounds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toolkit.plain import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from toolkit.records import LatencyRecord
    from toolkit.system.progress import Progress

#: Takes the rows so far, how many rounds are done, and how many are planned.
ShowRounds = Callable[[Sequence["LatencyRecord"], int, int], None]


class _Screen:
    """The one display of this process: nothing is drawn but when a part of it changes."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._parts: dict[str, RenderableType] = {}

    def draw(self, console: "Console", name: str, part: "RenderableType") -> None:
        """Draw everything anew, with this part in place of the one of its name."""
        from rich.console import Group
        from rich.live import Live

        if self._live is None:
            # Results may be on their way to a file, which rich would send to the terminal.
            self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        self._parts[name] = part
        self._live.update(Group(*(self._parts[each] for each in sorted(self._parts))), refresh=True)

    def clear(self) -> None:
        """End what is drawn."""
        ended, self._live = self._live, None
        self._parts = {}
        if ended:
            ended.stop()


_screen = _Screen()


@contextmanager
def drawing_rounds(console: "Console") -> Iterator[ShowRounds]:
    """Give a function that draws a table of rounds, only when it is called: no CPU time is taken from a round."""
    from toolkit.render.terminal.live import live_table
    from toolkit.render.words.plain import Plain

    def show(rows: Sequence["LatencyRecord"], done: int, planned: int) -> None:
        _screen.draw(console, "rounds", Plain(live_table(rows, done, planned)))

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

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=console,
        auto_refresh=False,
    )

    def update(task: str, done: int, total: int, detail: str = "") -> None:
        task, detail = plain(task, lines=False), plain(detail, lines=False)
        for other in [each for each in bar.tasks if each.description != task]:
            bar.remove_task(other.id)
        number = bar.tasks[0].id if bar.tasks else bar.add_task(task, total=total, detail=detail)
        bar.update(number, completed=done, total=total, detail=detail)
        _screen.draw(console, "bar", bar)

    try:
        yield update
    finally:
        _screen.clear()
