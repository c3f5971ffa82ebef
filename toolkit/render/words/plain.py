"""Parts of a report that are drawn without what would steer the terminal."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from toolkit.plain import plain


@dataclass(frozen=True)
class Plain:
    """A part of a report whose words may be anybody's, drawn without what would steer the terminal.

    What rich itself sends as control, such as a picture in the terminal, stays.
    """

    part: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self.part, options):
            yield Segment(text if control else plain(text), style, control)
