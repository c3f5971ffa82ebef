"""What a model says of pictures, for people: bars for a few, a line each for many, and counts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from toolkit.plain import plain
from toolkit.records import LABELS, PredictionRecord, PredictorRecord, Report, UnreadableRecord
from toolkit.render.words.sheet import CROSS, NONE, TICK, Content, Remark, Sheet, column, filled, mark, sheet_of

#: Up to as many pictures get bars.
FEW: Final = 10
INVERTED: Final = "inverted: it is dark on bright"
_BAR: Final = 40
# From an eighth to a whole.
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_WIDTH: Final = max(map(len, LABELS))


@dataclass
class Tally:
    """Counts of what was said so far.

    Attributes:
        labels: Pictures by the class they were taken for.
        inverted: Pictures that were inverted.
        known: Pictures whose label is known.
        right: Those of them that were taken for what they are.
        unreadable: Pictures that could not be read; they count nowhere else.
    """

    labels: Counter[str] = field(default_factory=Counter)
    inverted: int = 0
    known: int = 0
    right: int = 0
    unreadable: int = 0

    def add(self, record: PredictionRecord | UnreadableRecord) -> None:
        """Count one more."""
        if isinstance(record, UnreadableRecord):
            self.unreadable += 1
            return
        self.labels[record.label] += 1
        self.inverted += record.inverted is True
        self.known += record.actual is not None
        self.right += record.actual == record.label


def prediction_parts(report: Report) -> Iterator[RenderableType]:
    """Yield what a person sees of a report's predictions; nothing if it has none."""
    if report.predictor is None:
        return
    yield predictor_line(report.predictor)
    tally = report_tally(report)
    many = len(report.predictions) + len(report.unreadable) > FEW
    for each in report.predictions:
        if many:
            yield Text(one_line(each))
        else:
            yield from few_parts(each)
    for broken in report.unreadable:
        yield Text(unreadable_line(broken), style="red")
    if report.predictions or report.unreadable:
        yield from tally_parts(tally, many=many)


def report_tally(report: Report) -> Tally:
    """Return the counts of all that a report's model said."""
    tally = Tally(unreadable=len(report.unreadable))
    for record in report.predictions:
        tally.add(record)
    return tally


def prediction_sheet(records: Sequence[PredictionRecord], title: str) -> Sheet:
    """Return what was said of each picture as a table, without the columns that have nothing to say."""
    return Sheet(
        title,
        filled(
            column(records, "picture", lambda each: plain(each.source), right=False),
            column(records, "label", lambda each: each.label, right=False),
            column(records, "probability", lambda each: _percent(each.probability).strip()),
            column(records, "actual", lambda each: each.actual or NONE, right=False),
            column(records, "right", _right, right=False),
            column(records, "inverted", lambda each: TICK if each.inverted else NONE, right=False),
            column(records, "remark", lambda each: each.remark or NONE, right=False),
        ),
    )


def _right(record: PredictionRecord) -> str:
    if record.actual is None:
        return NONE
    return mark(record.actual == record.label)


def predictor_line(record: PredictorRecord) -> Remark:
    """Say what predicted."""
    verified = "" if record.verified is None else ", verified" if record.verified else ", not verified"
    return Remark(f"Predicted by {record.target} ({record.format}, {record.precision}, {record.device}{verified})")


def few_parts(record: PredictionRecord) -> Iterator[RenderableType]:
    """Yield a picture with its most probable classes as bars."""
    yield Text()
    yield Text(plain(record.source, lines=False) + _in_brackets(record, INVERTED), style="bold")
    if record.actual is not None:
        yield Text(verdict(record))
    yield Bars(record)


def verdict(record: PredictionRecord) -> str:
    """Say what a picture of known label was taken for, in the words of PyTorch's quickstart."""
    return f'Predicted: "{record.label}", Actual: "{record.actual}"'


def one_line(record: PredictionRecord) -> str:
    """Return a picture among many as a line: what it is, how surely, which it is."""
    known = record.actual is not None
    said = verdict(record) if known else f"{record.label:{_WIDTH}}  {_percent(record.probability)}"
    return plain(f"{said}  {record.source}{_in_brackets(record, 'inverted')}", lines=False)


def _in_brackets(record: PredictionRecord, inverted: str) -> str:
    """Return what is odd about a picture, to stand after its name."""
    words = [*([inverted] if record.inverted else []), *([record.remark] if record.remark else [])]
    return f" ({'; '.join(words)})" if words else ""


def unreadable_line(record: UnreadableRecord) -> str:
    """Say which picture could not be read, why, and what to do."""
    return plain(f"{CROSS} {record.source}: {record.reason}; {record.remedy}", lines=False)


def tally_parts(tally: Tally, *, many: bool) -> Iterator[Content]:
    """Yield the counts at the end: by class for many pictures, and what was not as it should be."""
    read = tally.labels.total()
    if many and read:
        words = {
            "class": lambda each: each[0],
            "pictures": lambda each: f"{each[1]:,}",
            "share": lambda each: _percent(each[1] / read),
        }
        yield sheet_of("Pictures by class", tally.labels.most_common(), words, right=("pictures", "share"))
    if tally.known > 1:
        yield Remark(f"{tally.right:,} of {tally.known:,} right")
    if many and tally.inverted:
        yield Remark(f"{tally.inverted:,} of {read:,} inverted: they are dark on bright")
    if tally.unreadable:
        yield Remark(f"{tally.unreadable:,} of {read + tally.unreadable:,} could not be read", "bad")


@dataclass(frozen=True)
class Bars:
    """The most probable classes of a picture, drawn with blocks, or with # where there are none."""

    record: PredictionRecord

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        length = max(4, min(_BAR, options.max_width - _WIDTH - 12))
        for place, score in enumerate(self.record.scores):
            bar = _bar(score.probability, length, ascii_only=options.ascii_only)
            style = "green" if place == 0 else "dim"
            label = Text(f"  {score.label:{_WIDTH}} ", style="bold" if place == 0 else "")
            yield label + Text(f"{bar:{length}}", style=style) + Text(f" {_percent(score.probability)}")


def _bar(share: float, length: int, *, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(share * length)
    whole, part = divmod(round(share * length * 8), 8)
    return "█" * whole + (_BLOCKS[part] if part else "")


def _percent(share: float) -> str:
    return f"{share:6.1%}".replace("%", " %")
