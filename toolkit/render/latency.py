"""Latencies as tables in a terminal, with what they cost beside and whether the machine was fit for them."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from toolkit.records import FitnessRecord, LatencyRecord, Report
from toolkit.render.tables import make_table, mark, shared
from toolkit.render.units import rate, seconds, size

_NUMBERS = ("p50", "p99", "images/s", "× eager", "% of limit")


def latency_tables(report: Report) -> Iterator[RenderableType]:
    """Yield the latencies by batch and median, the fastest verified, what opening costs, and the machine's verdict.

    Args:
        report: With at least one latency.
    """
    rows = sorted(report.latency, key=lambda row: (row.device, row.batch_size, row.median_s))
    where = shared(f"{row.device}, {row.precision}, {row.threads} threads" for row in rows)
    verified = all(row.verified for row in rows)
    numbers = _NUMBERS if any(row.bound for row in rows) else _NUMBERS[:-1]
    columns = ["batch", "format", *numbers]
    if where is None:
        columns[2:2] = ["device", "precision", "threads"]
    if not verified:
        columns.append("verified")
    title = f"Latency of a call and throughput{f' on {where}' if where else ''}{', all verified' if verified else ''}"
    table = make_table(title, *columns, right=("batch", "threads", *numbers))
    eager = {(row.device, row.batch_size): row.median_s for row in rows if row.format == "eager"}
    for number, row in enumerate(rows):
        cells = _cells(row, eager.get((row.device, row.batch_size)))[: 2 + len(numbers)]
        if where is None:
            cells[2:2] = [row.device, row.precision, str(row.threads)]
        if not verified:
            cells.append(mark(row.verified) if row.verified else Text("✗ unverified", style="bold red"))
        last = number + 1 == len(rows) or rows[number + 1].batch_size != row.batch_size
        table.add_row(*cells, end_section=last)
    yield table
    if report.fastest:
        fastest = make_table("Fastest verified", "batch", "format", "p50", "× eager", right=("batch", "p50", "× eager"))
        for each in report.fastest:
            ratio = "—" if each.ratio_to_eager is None else f"{each.ratio_to_eager:.2f}"
            fastest.add_row(f"{each.batch_size:,}", each.format, seconds(each.median_s), ratio)
        yield fastest
    yield from _opening(rows)
    if report.fitness:
        yield from _fitness(report.fitness)


def _cells(row: LatencyRecord, eager_s: float | None) -> list[RenderableType]:
    share = row.share_of_limit
    return [
        f"{row.batch_size:,}",
        row.format,
        seconds(row.median_s),
        seconds(row.p99_s),
        rate(row.throughput_images_per_s),
        f"{eager_s / row.median_s:.2f}" if eager_s and row.median_s else "—",
        "—" if share is None or row.bound is None else f"{share:.0%} {row.bound.kind}",
    ]


def _opening(rows: list[LatencyRecord]) -> Iterator[RenderableType]:
    """Yield what each artifact costs before and beside its calls."""
    table = make_table("To open it", "format", "load", "first call", "memory", right=("load", "first call", "memory"))
    seen: dict[tuple[str, str], list[LatencyRecord]] = {}
    for row in rows:
        seen.setdefault((row.device, row.target), []).append(row)
    for group in seen.values():
        grown = [row.peak_memory_bytes for row in group if row.peak_memory_bytes is not None]
        first = min(group, key=lambda row: row.batch_size)
        memory = f"+{size(max(grown))}" if grown else "—"
        table.add_row(first.format, seconds(first.load_s), seconds(first.first_call_s), memory)
    yield table


def _fitness(record: FitnessRecord) -> Iterator[RenderableType]:
    """Yield the verdict on the machine, with a remedy for each reason."""
    if not record.reasons:
        spread = record.canary_spread
        steady = "" if spread is None else f": the same small work differed by {spread:.0%}"
        yield Text(f"✓ The machine was fit (VALID{steady})", style="green")
    for reason in record.reasons:
        yield Text(f"! NOISY: {reason.sentence}; {reason.remedy}", style="yellow")
    for remark in record.remarks:
        yield Text(f"– {remark.sentence}; {remark.remedy}", style="dim")
