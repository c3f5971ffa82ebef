"""A bench while it runs: one line per row, cheap enough to be drawn between two rounds."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from toolkit.records import LatencyRecord, RoundRecord, quantile
from toolkit.records.units import seconds
from toolkit.render.words.sheet import Sheet, column
from toolkit.render.words.speeds import row_name

#: Calls looked at in a round. Their median has a standard error of 4 % of the spread of calls: too little to be seen.
_SAMPLE: Final = 999


def live_table(rows: Sequence[LatencyRecord], rounds_done: int, rounds_planned: int) -> Sheet:
    """Return a table of the rows so far, without a single interval.

    Args:
        rows: With the rounds that they have by now; none before the first.
        rounds_done: Finished rounds.
        rounds_planned: An estimate of all of them; the budget may end them before or after.
    """
    rows = sorted(rows, key=lambda each: each.batch_size)  # stable: a row keeps its line from round to round
    medians = [[_about_median_s(each) for each in row.rounds] for row in rows]
    several = len({row.threads for row in rows}) > 1
    return Sheet(
        f"Round {rounds_done} of {max(rounds_done, rounds_planned)}",
        (
            column(rows, "batch", lambda row: f"{row.batch_size:,}"),
            column(rows, "format", row_name, right=False),
            column(rows, "device", lambda row: row.device, right=False),
            *([column(rows, "threads", lambda row: str(row.threads))] if several else []),
            column(medians, "rounds", lambda each: str(len(each))),
            column(medians, "p50 so far", lambda each: seconds(quantile(each, 0.5))),
        ),
    )


def _about_median_s(part: RoundRecord) -> float:
    """Return the median seconds of a round, of a long one over calls evenly taken from it."""
    if part.times_ns:
        return quantile(part.times_ns[:: -(-len(part.times_ns) // _SAMPLE)], 0.5) / 1e9
    reached = accumulate(count for _, count in part.histogram_ns)
    half = sum(count for _, count in part.histogram_ns) / 2
    return next(value for (value, _), calls in zip(part.histogram_ns, reached, strict=True) if calls >= half) / 1e9
