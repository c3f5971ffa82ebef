"""Series: the rows of a report that are one line of a chart, with a name and a style that last for the whole page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from toolkit.records import LatencyRecord, Report
from toolkit.render.page.svg import Style
from toolkit.render.words.sheet import threads_in_words
from toolkit.render.words.speeds import EAGER, ordered, row_name


def series_names(report: Report) -> dict[int, str]:
    """Return the name of the series of each row, by its identity: its format, and that in which the rows differ.

    Two artifacts of one format are told apart by their files.
    """
    rows = ordered(report)
    told = [(row.device, threads_in_words(row.threads), row.precision, row.scenario.kind) for row in rows]
    differing = [number for number in range(4) if len({each[number] for each in told}) > 1]
    # Threads follow from the device where each device has one number of them.
    if 1 in differing and len({each[:2] for each in told}) == len({each[0] for each in told}):
        differing.remove(1)
    targets: dict[tuple[str, ...], set[str]] = {}
    for row, facts in zip(rows, told, strict=True):
        targets.setdefault((row_name(row), *facts), set()).add(row.target)
    names = {}
    for row, facts in zip(rows, told, strict=True):
        several = len(targets[row_name(row), *facts]) > 1
        words = [row_name(row), *(facts[number] for number in differing), *([row.target] if several else [])]
        names[id(row)] = ", ".join(words)
    return names


def grouped(report: Report) -> dict[str, list[LatencyRecord]]:
    """Return the rows of each series by batch size; the baseline's series comes first."""
    names = series_names(report)
    groups: dict[str, list[LatencyRecord]] = {}
    for row in sorted(ordered(report), key=lambda each: (each.format != EAGER, names[id(each)], each.batch_size)):
        groups.setdefault(names[id(row)], []).append(row)
    return groups


@dataclass
class Styles:
    """Gives each name a style, the same one whenever it is asked for."""

    known: dict[str, Style] = field(default_factory=dict)

    @classmethod
    def of(cls, reports: Iterable[Report]) -> "Styles":
        """Return styles for the series of some reports; the baseline's is number 0."""
        names = sorted({name for report in reports for name in grouped(report)}, key=lambda name: (name != EAGER, name))
        first = 0 if names[:1] == [EAGER] else 1
        return cls({name: Style(number) for number, name in enumerate(names, first)})

    def __getitem__(self, name: str) -> Style:
        return self.known.setdefault(name, Style(max((each.number for each in self.known.values()), default=0) + 1))


def numbered(names: Sequence[str]) -> Styles:
    """Return styles that begin with the first colour, for series that have no baseline among them."""
    return Styles({name: Style(number) for number, name in enumerate(names, 1)})
