"""In what two inspected files differ, as tables, and the answer in one sentence."""

from collections.abc import Iterator, Sequence

from toolkit.records import DifferenceRecord, Report, TensorPairRecord
from toolkit.records.units import size
from toolkit.render.words.inspection import (
    LONGEST_VALUE,
    WIDE,
    both_ends,
    hidden_rows,
    notes,
    number_in_words,
    shape_in_words,
    shortened,
)
from toolkit.render.words.sheet import NONE, Content, Remark, Sheet, sheet_of


def comparison_tables(report: Report, *, whole: bool, width: int) -> Iterator[Content]:
    """Yield what differs between the two files of a report of ``inspect A B``, and the answer."""
    a, b = report.inspected
    files = list(zip("AB", report.inspected, strict=True))
    yield sheet_of(
        "Inspected",
        files,
        {
            "": lambda each: each[0],
            "file": lambda each: each[1].path,
            "is": lambda each: f"{each[1].kind}, {each[1].format}",
            "size": lambda each: size(each[1].size_bytes),
            "SHA-256": lambda each: each[1].sha256[:16] + "…",
        },
        right=("size",),
    )
    if report.differences:
        yield from _differences(report.differences, whole=whole)
    different = [pair for pair in report.tensor_pairs if not pair.same]
    if different:
        title = f"Tensors that differ: {len(different):,} of {len(report.tensor_pairs):,}"
        yield _pair_sheet(title, both_ends(different, whole), width)
        yield from hidden_rows(len(different), "tensors", whole)
    for record in (a, b) if a != b else (a,):
        yield from notes(record)
    yield Remark(files_verdict(report), "good" if report.passed else "bad")


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


def _differences(differences: Sequence[DifferenceRecord], *, whole: bool) -> Iterator[Content]:
    rows = both_ends(sorted(differences, key=lambda each: not each.counts), whole)
    yield sheet_of(
        "Differences",
        rows,
        {
            "what": lambda each: shortened(each.what, LONGEST_VALUE),
            "A": lambda each: shortened(each.a, LONGEST_VALUE),
            "B": lambda each: shortened(each.b, LONGEST_VALUE),
            "detail": _detail,
        },
    )
    yield from hidden_rows(len(differences), "differences", whole)


def _detail(each: DifferenceRecord) -> str:
    words = each.detail if each.counts else "; ".join(filter(None, (each.detail, "does not count")))
    return shortened(words, LONGEST_VALUE)


def _pair_sheet(title: str, rows: Sequence[TensorPairRecord], width: int) -> Sheet:
    most = 40 if width >= WIDE else 20
    return sheet_of(
        title,
        rows,
        {
            "A": lambda each: shortened(each.a or NONE, most),
            "B": lambda each: shortened(each.b or NONE, most),
            "dtype": lambda each: _both(each.a_dtype, each.b_dtype),
            "shape": lambda each: _both(_shape(each.a_shape), _shape(each.b_shape)),
            "differ": lambda each: NONE if each.different is None else f"{each.different:,}",
            "max |d|": lambda each: number_in_words(each.largest_difference),
        },
        right=("differ", "max |d|"),
    )


def _shape(sizes: tuple[int, ...] | None) -> str | None:
    return None if sizes is None else shape_in_words(sizes)


def _both(a: str | None, b: str | None) -> str:
    return f"{a} → {b}" if a and b and a != b else a or b or NONE
