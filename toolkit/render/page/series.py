"""Series: the rows of a report that are one line of a chart, with a name and a style that last for the whole page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from toolkit.records import LatencyRecord, Report
from toolkit.render.page.svg import Style
from toolkit.render.words.sheet import threads_in_words
from toolkit.render.words.speeds import ordered, row_name


def series_names(*reports: Report) -> dict[int, str]:
    """Return the name of the series of each row, by its identity: its format, and that in which the rows differ.

    Rows of one name and batch size are the same in several reports. The file does not make them others, which may be
    elsewhere for each report, unless one report has two artifacts of a format, which nothing else would tell apart.
    """
    every = [[(row, _facts(row)) for row in ordered(report)] for report in reports]
    places = {facts[1:] for rows in every for _, facts in rows}
    differing = [number for number in range(4) if len({each[number] for each in places}) > 1]
    # Threads follow from the device where each device has one number of them.
    if 1 in differing and len({each[:2] for each in places}) == len({each[0] for each in places}):
        differing.remove(1)
    several = set()
    for rows in every:
        files = {(facts, row.target) for row, facts in rows}
        several |= {facts for facts, count in Counter(facts for facts, _ in files).items() if count > 1}
    return {
        id(row): ", ".join(
            [facts[0], *(facts[1 + number] for number in differing), *([row.target] if facts in several else [])]
        )
        for rows in every
        for row, facts in rows
    }


def _facts(row: LatencyRecord) -> tuple[str, ...]:
    return row_name(row), row.device, threads_in_words(row.threads), row.precision, row.scenario.kind


def grouped(report: Report) -> dict[str, list[LatencyRecord]]:
    """Return the rows of each series by batch size; the baseline's series comes first."""
    names = series_names(report)
    groups: dict[str, list[LatencyRecord]] = {}
    for row in sorted(ordered(report), key=lambda each: (not each.baseline, names[id(each)], each.batch_size)):
        groups.setdefault(names[id(row)], []).append(row)
    return groups


@dataclass
class Styles:
    """Gives each name a style, the same one whenever it is asked for."""

    known: dict[str, Style] = field(default_factory=dict)

    @classmethod
    def of(cls, reports: Iterable[Report]) -> "Styles":
        """Return styles for the series of some reports; that of the baseline, if there is one, is number 0."""
        series = [group for report in reports for group in grouped(report).items()]
        baselines = {name for name, rows in series if rows[0].baseline}
        names = sorted({name for name, _ in series}, key=lambda name: (name not in baselines, name))
        first = 0 if len(baselines) == 1 else 1
        return cls({name: Style(number) for number, name in enumerate(names, first)})

    def __getitem__(self, name: str) -> Style:
        return self.known.setdefault(name, Style(max((each.number for each in self.known.values()), default=0) + 1))


def numbered(names: Sequence[str]) -> Styles:
    """Return styles that begin with the first colour, for series that have no baseline among them."""
    return Styles({name: Style(number) for number, name in enumerate(names, 1)})
