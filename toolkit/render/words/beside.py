"""What a row costs before and beside its calls, and what a call costs by its batch size, in words."""

from collections.abc import Callable
from typing import Final

from toolkit.records import CostRecord, LatencyRecord, Report, RoundRecord, quantile
from toolkit.records.units import joules, seconds, size
from toolkit.render.words.sheet import NONE, Column, Sheet, breaks_between, column, placed, told
from toolkit.render.words.speeds import memory_in_words, ordered, row_name

_OF_ROUNDS: Final[tuple[tuple[str, Callable[[RoundRecord], float | None], int], ...]] = (
    ("copy\nin", lambda each: each.copy_in_s, 3),
    ("copy\nout", lambda each: each.copy_out_s, 3),
    ("device\ntime", lambda each: each.device_s, 0),
    ("call\nalone", lambda each: each.service_s, 0),
)


def beside_sheet(report: Report) -> Sheet:
    """Return what comes before the calls that count, and beside them; columns that no row has are left out.

    Args:
        report: With at least one latency that is no control.
    """
    rows = ordered(report)
    where, words = placed(rows)
    columns = told(
        column(rows, "batch", lambda row: f"{row.batch_size:,}"),
        column(rows, "format", row_name, right=False),
        *where,
        column(rows, "import", lambda row: seconds(row.cold.import_s)),
        column(rows, "load", lambda row: seconds(row.cold.load_s)),
        column(rows, "first\ncall", lambda row: seconds(row.cold.first_call_s)),
        column(rows, "to\nsteady", lambda row: seconds(row.cold.steady_s), spare=2),
        *(
            Column(name, tuple(_median(row, of) for row in rows), right=True, spare=spare)
            for name, of, spare in _OF_ROUNDS
        ),
        column(rows, "memory", lambda row: memory_in_words(row.peak_memory_bytes)),
        column(rows, "device\nmemory", lambda row: _size(row.device_memory_bytes)),
        column(rows, "file\nsize", lambda row: _size(row.file_bytes), spare=4),
        column(rows, "energy\nper image", _energy),
    )
    return Sheet(f"Before and beside the calls{words}", columns, breaks_between(row.batch_size for row in rows))


def _median(row: LatencyRecord, of: Callable[[RoundRecord], float | None]) -> str:
    """Return the median over rounds of what each round has as a median."""
    values = [value for part in row.rounds if (value := of(part)) is not None]
    return seconds(quantile(values, 0.5)) if values else NONE


def _size(value: int | None) -> str:
    return NONE if value is None else size(value)


def _energy(row: LatencyRecord) -> str:
    return joules(row.energy.joules_per_image) if row.energy else NONE


def cost_sheet(report: Report) -> Sheet | None:
    """Return latency as a line over the batch size; None where it was not fitted."""
    costs = report.costs
    if not costs:
        return None
    where, words = placed(costs)
    columns = told(
        column(costs, "format", lambda each: each.format, right=False),
        *where,
        column(costs, "fixed cost", lambda each: _with_interval(each.fixed_s, each.fixed_interval_s)),
        column(costs, "cost per image", lambda each: _with_interval(each.per_image_s, each.per_image_interval_s)),
        column(costs, "saturates at batch", _saturation),
    )
    return Sheet(f"A call as a fixed cost and a cost per image (with 95 % intervals){words}", columns)


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{seconds(value)} ({seconds(interval[0])} to {seconds(interval[1])})"


def _saturation(cost: CostRecord) -> str:
    """Return the batch size from which on nine tenths of a call are its images."""
    return NONE if cost.saturates_at is None else f"{max(cost.saturates_at, 1):,.0f}"
