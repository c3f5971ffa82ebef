"""In what two inspected files differ, as tables, and the answer in one sentence."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from toolkit.records import Report, TensorPairRecord
from toolkit.records.units import size
from toolkit.render.words.contents import (
    LONGEST_VALUE,
    WIDE,
    Sized,
    both_ends,
    fitted,
    hidden_rows,
    number_in_words,
    shape_in_words,
    shortened,
)
from toolkit.render.words.inspection import notes
from toolkit.render.words.plain import plain
from toolkit.render.words.sheet import NONE, Sheet, column
from toolkit.render.words.tables import BAD, GOOD, make_table


def comparison_tables(report: Report, *, whole: bool) -> Iterator[RenderableType]:
    """Yield what differs between the two files of a report of ``inspect A B``, and the answer."""
    a, b = report.inspected
    table = make_table("Inspected", "", "file", "is", "size", "SHA-256", right=("size",))
    for name, each in zip("AB", report.inspected, strict=True):
        table.add_row(name, each.path, f"{each.kind}, {each.format}", size(each.size_bytes), each.sha256[:16] + "…")
    yield table
    yield from _differences(report, whole=whole)
    if any(not pair.same for pair in report.tensor_pairs):
        yield from _pairs(report.tensor_pairs, whole=whole)
    for record in (a, b) if a != b else (a,):
        yield from notes(record)
    sign, style = GOOD if report.passed else BAD
    yield Text(f"{sign} {files_verdict(report)}", style=style)


def files_verdict(report: Report) -> str:
    """Return in one sentence in what the two files of a report of ``inspect A B`` differ."""
    a, b = report.inspected
    if (a.sha256, a.files) == (b.sha256, b.files):
        return "The same: byte-identical"
    counted = dict.fromkeys(each.what.partition(",")[0] for each in report.differences if each.counts)
    weights = [pair for pair in report.tensor_pairs if pair.weight]
    same_weights = bool(weights) and all(pair.same for pair in weights)
    if counted:
        rest = "; the weights are the same" if same_weights else ""
        return f"Different: {', '.join(counted)}{rest}"
    if same_weights and a.format != b.format:
        return f"Same weights, other format: {a.format} and {b.format}"
    return "The same content in other bytes"


def _differences(report: Report, *, whole: bool) -> Iterator[RenderableType]:
    if not report.differences:
        return
    table = make_table("Differences", "what", "A", "B", "detail")
    rows = sorted(report.differences, key=lambda each: not each.counts)
    for each in both_ends(rows, whole):
        style = "" if each.counts else "dim"
        detail = each.detail if each.counts else "; ".join(filter(None, (each.detail, "does not count")))
        table.add_row(
            *(plain(shortened(word, LONGEST_VALUE)) for word in (each.what, each.a, each.b, detail)), style=style
        )
    yield table
    yield from hidden_rows(len(rows), "differences", whole)


def _pairs(pairs: Sequence[TensorPairRecord], *, whole: bool) -> Iterator[RenderableType]:
    different = [pair for pair in pairs if not pair.same]
    rows = both_ends(different, whole)
    yield Sized(lambda width: fitted(_pair_sheet(rows, len(different), len(pairs), width)))
    yield from hidden_rows(len(different), "tensors", whole)


def _pair_sheet(rows: Sequence[TensorPairRecord], different: int, count: int, width: int) -> Sheet:
    most = 40 if width >= WIDE else 20
    return Sheet(
        f"Tensors that differ: {different:,} of {count:,}",
        (
            column(rows, "A", lambda each: shortened(each.a or NONE, most), right=False),
            column(rows, "B", lambda each: shortened(each.b or NONE, most), right=False),
            column(rows, "dtype", lambda each: _both(each.a_dtype, each.b_dtype), right=False),
            column(
                rows,
                "shape",
                lambda each: _both(
                    *(None if each is None else shape_in_words(each) for each in (each.a_shape, each.b_shape))
                ),
                right=False,
            ),
            column(rows, "differ", lambda each: NONE if each.different is None else f"{each.different:,}"),
            column(rows, "max |d|", lambda each: number_in_words(each.largest_difference)),
        ),
    )


def _both(a: str | None, b: str | None) -> str:
    return f"{a} → {b}" if a and b and a != b else a or b or NONE
