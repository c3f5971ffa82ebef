"""Compare two saved benches, row by row: reports in, a report out. Nothing is measured here.

The two runs are independent: no round of one was measured beside one of the other. `toolkit.bench` measures base and
head in the same rounds, and tells smaller differences; this is for reports that were kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from toolkit.bench import DEFAULT_THRESHOLD
from toolkit.bench.engine.journal import read_saved
from toolkit.bench.statistics import RoundTimes, independent_ratio
from toolkit.bench.statistics.summary import comparison_record, noise_of
from toolkit.errors import ComparisonError
from toolkit.records import (
    AcceleratorRecord,
    ComparisonRecord,
    FailureRecord,
    LatencyRecord,
    Report,
    Scenario,
    SkipRecord,
)
from toolkit.system.arguments import checked
from toolkit.system.environment import new_report
from toolkit.verbs.arguments import LARGEST_SEED, LARGEST_SHARE, check_range, whole

Key = tuple[str, str, int, int, Scenario]
Pair = tuple[LatencyRecord, LatencyRecord]

# A call of no duration at all is shorter than the clock can see.
_SHORTEST_S: Final = 1e-9
# Why a run is NOISY is told in full by its own report.
_MOST_REASONS: Final = 2


@checked
def compare_reports(
    base: Report | str | Path,
    head: Report | str | Path,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    max_slowdown: float | None = None,
    force: bool = False,
    seed: int = 0,
) -> Report:
    """Compare the rows that two reports have in common.

    Args:
        base: The earlier run: a report of bench or run, or its file.
        head: The later one, whose speed over base is told.
        threshold: Differences up to this do not matter: 0.02 is 2 %.
        max_slowdown: Largest loss of a row against its base before the report fails, 0.05 for 5 %; None if nothing was
            asked.
        force: Whether to compare runs of different machines all the same.
        seed: Of the resampling.

    Returns:
        A report with a `ComparisonRecord` per common row; rows that one of them lacks are skips, and what makes the
        numbers doubtful are notes. A row that is too slow is a result, not an exception.

    Raises:
        ReportError: If a file cannot be read.
        ComparisonError: If one has no latencies, both are the same, no row is common, or the machines differ.
        UsageError: If a value makes no sense.

    Example:
        >>> import toolkit
        >>> options = {"batch_sizes": 1, "budget_s": 1, "restarts": 0, "limits": False}
        >>> base, head = (toolkit.run_benchmark("eager", **options) for _ in range(2))
        >>> [row.target for row in toolkit.compare_reports(base, head).comparisons]
        ['eager']
    """
    check_range(0, LARGEST_SHARE, threshold=threshold, max_slowdown=max_slowdown)
    whole("--seed", seed, LARGEST_SEED, least=0)
    names = _name(base, "base"), _name(head, "head")
    base, head = (each if isinstance(each, Report) else read_saved(Path(each)) for each in (base, head))
    _check_latencies(base, names[0])
    _check_latencies(head, names[1])
    if base == head:
        raise ComparisonError(f"{names[0]} and {names[1]} hold the same report", "pass the reports of two runs")
    differences = list(_machine_differences(base, head))
    if differences and not force:
        raise ComparisonError(
            f"{names[0]} and {names[1]} come from different machines ({'; '.join(differences)})",
            "compare runs of one machine, or pass --force",
        )
    pairs, skips = _matched(base, head, names)
    if not pairs:
        raise ComparisonError(
            f"{names[0]} and {names[1]} have no row in common: {_what(base)} and {_what(head)}",
            "bench both with the same formats, --device, --threads and --batch",
        )
    compared = tuple(_compared(pair, _noise(pair, base, head), threshold, max_slowdown, seed) for pair in pairs)
    notes = [f"Different machines, compared with --force: {'; '.join(differences)}"] if differences else []
    devices = [row.device for row, _ in pairs]
    for report, name in zip((base, head), names, strict=True):
        notes += [f"{name} does not say which GPU {each} is" for each in _unknown_accelerators(report, devices)]
    notes += [*_notes(base, head, names), *_doubtful_rows(pairs), *_unchanged_rows(base, head, compared)]
    return new_report("compare").changed(
        machine=head.machine,
        accelerators=head.accelerators,
        comparisons=compared,
        skips=tuple(skips),
        notes=tuple(notes),
    )


def _name(report: Report | str | Path, role: str) -> str:
    return role if isinstance(report, Report) else str(report)


def _check_latencies(report: Report, name: str) -> None:
    if not _rows(report):
        raise ComparisonError(
            f"{name}: the report of fmnist-tk {report.command} has no latencies in it",
            "pass one that fmnist-tk bench or fmnist-tk run wrote",
        )


def _rows(report: Report) -> list[LatencyRecord]:
    """Return the rows that are compared; not the baseline's second time, and not the base of another comparison."""
    return [row for row in report.latency if row.role == "row"]


def _machine_differences(base: Report, head: Report) -> Iterator[str]:
    """Yield in which facts two machines differ that make times incomparable; versions are not among them."""
    first, second = base.machine, head.machine
    facts: list[tuple[str, object, object]] = [
        ("CPU", first.cpu, second.cpu),
        ("physical cores", first.physical_cores, second.physical_cores),
        ("usable CPUs", first.usable_cpus, second.usable_cpus),
        ("system", _without_release(first.system), _without_release(second.system)),
    ]
    for old, new in _same_accelerators(base, head):
        facts.append((old.device, old.name, new.name))
        facts.append((f"bytes of memory of {old.device}", old.memory_bytes, new.memory_bytes))
    yield from (f"{name}: {a} and {b}" for name, a, b in facts if None not in {a, b} and a != b)


def _same_accelerators(base: Report, head: Report) -> Iterator[tuple[AcceleratorRecord, AcceleratorRecord]]:
    """Yield the GPUs that both runs used, by what they call them."""
    of_head = {each.device: each for each in head.accelerators}
    yield from ((each, of_head[each.device]) for each in base.accelerators if each.device in of_head)


def _unknown_accelerators(report: Report, devices: Iterable[str]) -> Iterator[str]:
    """Yield the devices of which a report does not say what GPU they are, though it has rows of them."""
    known = {each.device for each in report.accelerators if each.name is not None}
    yield from (each for each in dict.fromkeys(devices) if each != "cpu" and each not in known)


def _without_release(system: str) -> str:
    """Return ``Linux x86_64`` of ``Linux 6.1.0 x86_64``: a new kernel does not make another machine."""
    words = system.split()
    return f"{words[0]} {words[-1]}" if len(words) > 2 else system


def _key(row: LatencyRecord) -> Key:
    return row.format, row.device, row.threads, row.batch_size, row.scenario


def _by_key(report: Report) -> dict[Key, list[LatencyRecord]]:
    found: dict[Key, list[LatencyRecord]] = {}
    for row in _rows(report):
        found.setdefault(_key(row), []).append(row)
    return found


def _matched(base: Report, head: Report, names: tuple[str, str]) -> tuple[list[Pair], list[SkipRecord]]:
    """Return the rows that both have, and skips of those that only one has."""
    of_base, of_head = _by_key(base), _by_key(head)
    pairs: list[Pair] = []
    of_base_alone, of_head_alone = list[LatencyRecord](), list[LatencyRecord]()
    for key in dict.fromkeys((*of_base, *of_head)):
        first, second = of_base.get(key, []), of_head.get(key, [])
        if len(first) == len(second) == 1:
            pairs.append((first[0], second[0]))
            continue
        # Several files of one format in one run: those of the same name belong together.
        files = {row.target: row for row in second}
        common = [(row, files[row.target]) for row in first if row.target in files]
        pairs += common
        met = {id(row) for pair in common for row in pair}
        of_base_alone += [row for row in first if id(row) not in met]
        of_head_alone += [row for row in second if id(row) not in met]
    skips = [*_skips(of_base_alone, names[0], head, names[1]), *_skips(of_head_alone, names[1], base, names[0])]
    return pairs, skips


def _skips(rows: Sequence[LatencyRecord], name: str, other: Report, other_name: str) -> Iterator[SkipRecord]:
    """Yield why only the report called ``name`` has some rows: the other could not measure them, or was not to."""
    remedy = "bench both with the same formats, --device, --threads and --batch"
    reasons: dict[str | None, list[LatencyRecord]] = {}
    for row in rows:
        failed = next((each.reason for each in other.failures if _is_of(each, row)), None)
        reasons.setdefault(failed, []).append(row)
    for failed, alike in reasons.items():
        them = "it" if len(alike) == 1 else "them"
        reason = f"{other_name} could not measure {them}: {failed}" if failed else f"only {name} has {them}"
        yield SkipRecord(what=_these(alike), reason=reason, remedy=remedy)


def _is_of(failure: FailureRecord, row: LatencyRecord) -> bool:
    return (
        (failure.format, failure.device) == (row.format, row.device)
        and failure.batch_size in {None, row.batch_size}
        and failure.threads in {None, row.threads}
    )


def _place(row: LatencyRecord) -> str:
    """Return ``onnx at batch 64 on cpu, threads 2``, with the scenario where it is not the usual one."""
    scenario = "" if row.scenario.kind == "latency" else f", {row.scenario.kind}"
    return f"{row.format} at batch {row.batch_size:,} on {row.device}, threads {row.threads}{scenario}"


def _what(report: Report) -> str:
    """Return what a report has rows of, in a few words."""
    return _these(_rows(report))


def _these(rows: Sequence[LatencyRecord]) -> str:
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"{_place(rows[0])}{more}"


def _noise(pair: Pair, base: Report, head: Report) -> float:
    """Return by how much two processes of eager differed in the noisier of the two runs."""
    reports = zip(pair, (base, head), strict=True)
    return max(noise_of(row, report.fitness.controls if report.fitness else ()) for row, report in reports)


def _compared(pair: Pair, noise: float, threshold: float, allowed: float | None, seed: int) -> ComparisonRecord:
    base, head = pair
    ratio = independent_ratio(_rounds(base), _rounds(head), seed=seed)
    return comparison_record(base, head, ratio, noise=noise, paired=False, threshold=threshold, allowed=allowed)


def _rounds(row: LatencyRecord) -> RoundTimes:
    return [[max(each, _SHORTEST_S) for each in part.seconds()] for part in row.rounds]


def _notes(base: Report, head: Report, names: tuple[str, str]) -> Iterator[str]:
    """Yield what a person must know of the two runs to read the numbers."""
    versions = list(_version_differences(base, head))
    if versions:
        yield f"Versions differ between {names[0]} and {names[1]}: {'; '.join(versions)}"
    if base.checkpoint and head.checkpoint and base.checkpoint.config != head.checkpoint.config:
        yield f"The checkpoints of {names[0]} and {names[1]} have different layers: these are speeds of two models"
    for report, name in zip((base, head), names, strict=True):
        if report.fitness and report.fitness.reasons:
            reasons = [each.sentence for each in report.fitness.reasons]
            more = f"; and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
            yield f"{name} is NOISY ({'; '.join(reasons[:_MOST_REASONS])}{more}); bench again when the machine is idle"
        if not all(each.passed for each in report.self_checks):
            yield f"{name} was measured with a clock that failed its self check; bench it again"
        if report.interrupted:
            yield f"{name} was interrupted: it has only what was finished before; bench it again for all of it"


def _version_differences(base: Report, head: Report) -> Iterator[str]:
    of_base = {"Python": base.machine.python, "system": base.machine.system, **base.machine.versions}
    of_head = {"Python": head.machine.python, "system": head.machine.system, **head.machine.versions}
    for name in dict.fromkeys((*of_base, *of_head)):
        first, second = of_base.get(name, "none"), of_head.get(name, "none")
        if first != second:
            yield f"{name} {first} and {second}"
    for old, new in _same_accelerators(base, head):
        if old.driver and new.driver and old.driver != new.driver:
            yield f"driver of {old.device} {old.driver} and {new.driver}"


def _doubtful_rows(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield what makes single rows incomparable, though their names are the same."""
    for base, head in pairs:
        if base.precision != head.precision:
            yield f"{_place(head)} computes in {head.precision}, and in {base.precision} in the base"
        if not (base.verified and head.verified):
            yield f"{_place(head)} is not verified: its speed counts for nothing until fmnist-tk parity has passed it"
    if any(len(row.rounds) == 1 for pair in pairs for row in pair):
        yield "Rows of one round have no interval, and so no verdict; bench again with a larger --budget"


def _unchanged_rows(base: Report, head: Report, compared: Sequence[ComparisonRecord]) -> Iterator[str]:
    """Yield that eager changed, though nothing that it consists of did: then the machine was another."""
    if base.machine.versions.get("torch") != head.machine.versions.get("torch"):
        return
    if base.checkpoint and head.checkpoint and base.checkpoint.config != head.checkpoint.config:
        return
    baselines = {row.format for row in head.latency if row.baseline}
    moved = [each for each in compared if each.format in baselines and each.speed.verdict in {"FASTER", "SLOWER"}]
    if moved:
        most = max(moved, key=lambda each: max(each.speed.ratio, 1 / each.speed.ratio))
        yield (
            f"Eager, which is the same in both, is {most.speed.verdict} ({most.speed.ratio:.3f} at batch "
            f"{most.batch_size:,} on {most.device}), so the machine was not: differences of that size tell nothing of "
            "the artifacts; measure base and head in one run with fmnist-tk bench --against"
        )
