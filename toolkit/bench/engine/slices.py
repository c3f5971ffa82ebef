"""What a slice of a row becomes: its record, a histogram of it, its energy. Pure."""

from collections.abc import Sequence

from toolkit.bench.engine.job import Measured
from toolkit.records import EnergyRecord, RoundRecord, quantile


def together(parts: Sequence[Measured]) -> Measured:
    """Return what processes did side by side: calls of all, and the time of a call by the sum of their rates."""
    if len(parts) == 1:
        return parts[0]
    calls_per_s = sum(each.calls / each.wall_s for each in parts)
    calls = sum(each.calls for each in parts)
    return Measured(
        times_ns=(round(1e9 / calls_per_s),),
        calls=calls,
        wall_s=calls / calls_per_s,
        settled=all(each.settled for each in parts),
    )


def round_of(measured: Measured, number: int, place: int, closed: bool) -> RoundRecord:
    """Return the record of a slice, without the calls at its start that were not steady yet."""
    from toolkit.bench.statistics import steady_from

    cut = steady_from([each / 1e9 for each in measured.times_ns]) if closed else 0
    times = measured.times_ns[cut:]
    return RoundRecord(
        number=number,
        place=place,
        dropped_calls=cut,
        calls=measured.calls - cut,
        wall_s=sum(times) / 1e9 if closed else measured.wall_s,
        times_ns=times,
        copy_in_s=_median_s(measured.copy_in_ns[cut:]),
        copy_out_s=_median_s(measured.copy_out_ns[cut:]),
        service_s=_median_s(measured.service_ns),
        slice_calls=measured.calls,
    )


def larger(one: int | None, other: int | None) -> int | None:
    """Return the larger of two sizes, of which one may be unknown."""
    return max((each for each in (one, other) if each is not None), default=None)


def _median_s(times_ns: Sequence[int]) -> float | None:
    return quantile(times_ns, 0.5) / 1e9 if times_ns else None


def condensed(record: RoundRecord) -> RoundRecord:
    """Return a round with a histogram in place of its times, where that is smaller."""
    from toolkit.bench.statistics import histogram

    pairs = histogram(record.times_ns)
    if 2 * len(pairs) >= len(record.times_ns):
        return record
    return record.changed(times_ns=(), histogram_ns=pairs)


def energy_of(rounds: Sequence[RoundRecord], batch_size: int, idle_power_w: float | str) -> EnergyRecord | None:
    """Return the energy of all slices, idle power subtracted; None when a slice's is not known."""
    joules = [each.energy_j for each in rounds if each.energy_j is not None]
    if isinstance(idle_power_w, str) or len(joules) < len(rounds):
        return None
    idle_j = idle_power_w * sum(each.slice_s for each in rounds)
    return EnergyRecord(
        joules=sum(joules) - idle_j,
        images=batch_size * sum(each.slice_calls for each in rounds),
        idle_power_w=idle_power_w,
    )
