"""Bench: how fast is each verified artifact on this machine, and how sure is that?

One process per row, rounds in random order, eager twice beside everything, the machine's own limit beside the rows.
This package is imported by its workers: at module level it may import no runtime and no scipy.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolkit.bench.engine.inputs import keep_pictures, with_pictures
from toolkit.bench.engine.job import Entry, Job
from toolkit.bench.engine.journal import Journal, journal_path
from toolkit.bench.engine.launch import work_apart
from toolkit.bench.engine.prepare import Prepared, prepare_entries
from toolkit.bench.engine.rounds import Measurement, Rounds, Watch
from toolkit.bench.engine.schedule import expected_s
from toolkit.bench.limits import bound, measure_limits, moved_bytes
from toolkit.bench.machine.fitness import canary, judge, read_counters, with_slowdowns
from toolkit.bench.selfcheck import ClockJob, check_clock
from toolkit.errors import ToolkitError
from toolkit.formats.target import Target
from toolkit.records import (
    BenchRecord,
    LatencyRecord,
    LimitsRecord,
    ModelConfig,
    Report,
    Scenario,
    SelfCheckRecord,
    SkipRecord,
)
from toolkit.system.accelerators import accelerators
from toolkit.system.environment import default_threads, new_report, usable_cpus
from toolkit.system.progress import Progress, silent
from toolkit.system.scratch import scratch_folder

if TYPE_CHECKING:
    from toolkit.fashion.checkpoint import Checkpoint
    from toolkit.pictures.own_data import OwnPictures

__all__ = ["DEFAULT_BATCH_SIZES", "DEFAULT_BUDGET_S", "DEFAULT_THRESHOLD", "Settings", "run_bench", "run_benchmark"]

#: One image as a service sees it, a small batch, and one large enough to fill the machine.
DEFAULT_BATCH_SIZES: Final = (1, 64, 1024)
#: Seconds for all rounds of the table.
DEFAULT_BUDGET_S: Final = 30.0
#: With less for all rounds, new workers and limits would take longer than what is measured.
SHORT_S: Final = 15.0
#: Differences up to 2 % do not matter to anyone who chooses a format.
DEFAULT_THRESHOLD: Final = 0.02
_SELF_CHECK_TIMEOUT_S: Final = 120.0
_FIRST_CANARIES: Final = 5
#: Scenarios whose times are those of a call; nothing bounds waiting or opening.
_BOUNDED: Final = {"latency", "throughput"}


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        batch_sizes: Images per call.
        threads: For each runtime on the CPU; each number makes rows of its own. Empty for the physical cores.
        scenario: How calls follow one another.
        budget_s: Seconds for all rounds; opening, self check and limits come on top.
        seed: Of the order in each round; None for a new one.
        threshold: Differences up to this do not matter: 0.02 is 2 %.
        max_slowdown: What a row may lose against its base before the report fails; None to let it.
        against_limits: Whether to measure what the machine can do at most.
        control: Whether to measure eager twice, for the noise of the run.
        restarts: How often, in even parts of the budget, every worker is replaced by a new one.
    """

    batch_sizes: Sequence[int] = DEFAULT_BATCH_SIZES
    threads: Sequence[int] = ()
    scenario: Scenario = field(default_factory=Scenario)
    budget_s: float = DEFAULT_BUDGET_S
    seed: int | None = None
    threshold: float = DEFAULT_THRESHOLD
    max_slowdown: float | None = None
    against_limits: bool = True
    control: bool = True
    restarts: int = 1


def expected_duration_s(entries: int, rows: int, settings: Settings) -> float:
    """Return about how many seconds `run_bench` takes for so many entries and so many rows of these, controls too."""
    counts = max(len(settings.threads), 1)
    limits = counts if settings.against_limits and settings.scenario.kind in _BOUNDED else 0
    return expected_s(
        min(entries * counts, rows),
        rows,
        usable_cpus(),
        budget_s=settings.budget_s,
        restarts=settings.restarts,
        limits=limits,
    )


def count_rows(prepared: Prepared, settings: Settings) -> int:
    """Return how many rows a bench has, controls too."""
    return len(_jobs(prepared.entries, settings))


def run_benchmark(
    targets: Sequence[Target],
    checkpoint: "Checkpoint",
    settings: Settings | None = None,
    *,
    device: str = "cpu",
    unverified: bool = False,
    skips: Sequence[SkipRecord] = (),
    own: "OwnPictures | None" = None,
    progress: Progress = silent,
    watch: Watch = lambda *_: None,
) -> Report:
    """Time eager and every target on one device, each row in a clean process.

    Args:
        targets: The artifacts.
        checkpoint: What they compute; eager, the baseline row, runs it.
        settings: How to measure; None for the defaults.
        device: Where to run, as `toolkit.system.devices.resolve_device` returned it.
        unverified: Whether to time artifacts that parity has not passed; their rows are marked.
        skips: What was left out already; it goes into the report.
        own: Pictures that the timed calls get, in place of images of the sample.
        progress: Told what is being done before and after the rounds.
        watch: Told after each round.

    Returns:
        As `run_bench`.

    Raises:
        UnverifiedArtifactError: If parity has not passed a target, unless ``unverified``.
        UsageError: If the budget is too small for one round.
    """
    with scratch_folder("bench") as scratch:
        kept = keep_pictures(own, scratch) if own else None
        entries = prepare_entries(targets, checkpoint, device, scratch, unverified=unverified, pictures=kept)
        prepared = Prepared(
            checkpoint=checkpoint.record, entries=tuple(entries), skips=tuple(skips), notes=checkpoint.notes
        )
        prepared = with_pictures(prepared, own) if own else prepared
        return run_bench(prepared, settings or Settings(), scratch, progress=progress, watch=watch)


def run_bench(
    prepared: Prepared,
    settings: Settings,
    scratch: Path,
    *,
    journal: Path | None = None,
    progress: Progress = silent,
    watch: Watch = lambda *_: None,
) -> Report:
    """Time everything that was prepared.

    Args:
        prepared: What to time.
        settings: How.
        scratch: A folder for files that nobody needs afterwards.
        journal: File to which each round is written as soon as it is finished, so that it survives a kill. It stays:
            the caller deletes it when the report is where it belongs. None for a file in ``scratch`` that is deleted.
        progress: Told what is being done before and after the rounds.
        watch: Told after each round.

    Returns:
        A report with a `LatencyRecord` per row, or a `FailureRecord` in its place. After Ctrl-C it holds the rounds
        that were finished until then and says so. Without rows when a device fails its self check: numbers of a clock
        that is not honest are not published.

    Raises:
        UsageError: If the budget is too small for one round.
    """
    jobs = _jobs(prepared.entries, settings)
    seed = secrets.randbits(32) if settings.seed is None else settings.seed
    devices = tuple(dict.fromkeys(entry.device for entry in prepared.entries))
    report = new_report("bench").changed(
        checkpoint=prepared.checkpoint,
        skips=prepared.skips,
        datasets=prepared.datasets,
        notes=prepared.notes,
        accelerators=accelerators(devices),
        self_checks=_self_checks(devices, scratch),
    )
    if not report.passed:
        return report
    how = BenchRecord(
        scenario=settings.scenario, seed=seed, budget_s=settings.budget_s, rounds=0, threshold=settings.threshold
    )
    report = report.changed(bench=how)
    before, canaries = read_counters(devices=devices), [canary() for _ in range(_FIRST_CANARIES)]
    kept = Journal(journal or journal_path(scratch / "bench"), report)
    try:
        rounds = Rounds(
            jobs,
            scratch,
            budget_s=settings.budget_s,
            restarts=settings.restarts,
            seed=seed,
            journal=kept,
            progress=progress,
            watch=watch,
        )
        measured = rounds.run()
        after = with_slowdowns(read_counters(devices=devices), measured.gpu_slowdowns)
        limits, stopped = _limits(measured, prepared.checkpoint.config, settings, scratch, progress)
    finally:
        kept.close()
        if not journal:
            kept.path.unlink(missing_ok=True)
    rows = tuple(_bounded(row, prepared.checkpoint.config, limits) for row in measured.rows)
    found = report.changed(
        latency=rows, limits=limits, failures=measured.failures, notes=(*report.notes, *measured.notes)
    )
    from toolkit.bench.statistics.summary import conclude

    found, controls = conclude(found, measured.rounds, settings.max_slowdown)
    fitness = judge(before, after, [*canaries, *measured.canaries_s], controls)
    return found.changed(fitness=fitness, interrupted=measured.interrupted or stopped)


def _jobs(entries: Sequence[Entry], settings: Settings) -> list[Job]:
    """Return a job per row, and one more for each eager row: the baseline under a second name."""
    controls = [
        each.changed(role="control") for each in entries if settings.control and each.baseline and each.role == "row"
    ]
    return [
        Job(entry=entry, threads=threads, batch_size=size, scenario=settings.scenario)
        for place, threads in enumerate(dict.fromkeys(settings.threads or [default_threads()]))
        for entry in (*entries, *controls)
        if entry.device == "cpu" or not place  # a GPU's rows do not depend on the CPU's threads
        for size in settings.batch_sizes
    ]


def _self_checks(devices: Sequence[str], scratch: Path) -> tuple[SelfCheckRecord, ...]:
    """Let a process per device prove that the clock is honest there.

    Raises:
        ToolkitError: If it cannot.
    """
    found = []
    for device in devices:
        job, limit_s = ClockJob(device=device), _SELF_CHECK_TIMEOUT_S
        record = work_apart(check_clock, job, SelfCheckRecord, scratch=scratch, threads=1, timeout_s=limit_s)
        if isinstance(record, str):
            raise ToolkitError(f"The clock cannot be checked on {device}: {record}", "run fmnist-tk doctor")
        found.append(record)
    return tuple(found)


def self_check(devices: Sequence[str]) -> Report:
    """Check the clock on each of some resolved devices, and nothing else."""
    with scratch_folder("bench") as scratch:
        found = _self_checks(devices, scratch)
    return new_report("bench").changed(self_checks=found)


def _limits(
    measured: Measurement, config: ModelConfig, settings: Settings, scratch: Path, progress: Progress
) -> tuple[tuple[LimitsRecord, ...], bool]:
    """Measure what the machine can do at most on each device, at each number of threads that rows have.

    Returns:
        The limits, and whether Ctrl-C ended that: it must not cost the rows.
    """
    if measured.interrupted or not settings.against_limits or settings.scenario.kind not in _BOUNDED:
        return (), False
    wanted = list(dict.fromkeys((row.device, row.threads) for row in measured.rows))
    sizes = [moved_bytes(config, size, "float32") for size in settings.batch_sizes]
    found: list[LimitsRecord] = []
    try:
        for place, (device, threads) in enumerate(wanted):
            progress("the machine's limits", place, len(wanted), f"{device}, {threads} threads")
            found.append(measure_limits(threads, sizes, scratch, device))
    except KeyboardInterrupt:
        return tuple(found), True
    progress("the machine's limits", len(wanted), len(wanted))
    return tuple(found), False


def _bounded(row: LatencyRecord, config: ModelConfig, limits: Sequence[LimitsRecord]) -> LatencyRecord:
    """Return a row with the least time that the machine needs for its call."""
    mine = next((each for each in limits if (each.device, each.threads) == (row.device, row.threads)), None)
    if mine is None or row.scenario.kind not in _BOUNDED or row.role == "base":  # whose layers may be others
        return row
    return row.changed(bound=bound(config, row.batch_size, row.precision, mine))
