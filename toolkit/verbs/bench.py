"""Bench: ``toolkit.run_benchmark``, and whether the clock can be believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from toolkit import bench
from toolkit.bench.engine.inputs import keep_pictures, with_pictures
from toolkit.bench.engine.journal import keep_result
from toolkit.bench.engine.prepare import Request, prepare_apart
from toolkit.bench.engine.rounds import Watch
from toolkit.bench.engine.scenario import parse_scenario
from toolkit.errors import UsageError
from toolkit.records import Report
from toolkit.system.arguments import checked
from toolkit.system.devices import resolve_device
from toolkit.system.progress import Progress, in_seconds, silent, unwatched
from toolkit.system.scratch import scratch_folder
from toolkit.verbs.arguments import (
    FOLDER,
    LARGEST_SEED,
    LARGEST_SHARE,
    MOST_IMAGES,
    MOST_THREADS,
    SECONDS,
    Artifacts,
    Weights,
    check_pictures,
    check_range,
    file_of,
    names_of,
    path_of,
    pictures_of,
    whole,
)

_T = TypeVar("_T")

_MOST_RESTARTS: Final = 100


@checked
def run_benchmark(
    artifacts: Artifacts = None,
    checkpoint: Weights = None,
    *,
    folder: str | Path = FOLDER,
    device: str | Sequence[str] = "cpu",
    batch_sizes: int | Sequence[int] = bench.DEFAULT_BATCH_SIZES,
    threads: int | Sequence[int] | None = None,
    scenario: str = "latency",
    budget_s: float | None = None,
    restarts: int | None = None,
    seed: int | None = None,
    against: str | Path | None = None,
    max_slowdown: float | None = None,
    threshold: float = bench.DEFAULT_THRESHOLD,
    unverified: bool = False,
    trust: bool = False,
    limits: bool | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    num_workers: int | None = None,
    journal: str | Path | None = None,
    progress: Progress = silent,
    watch: Watch = unwatched,
) -> Report:
    """Time verified artifacts beside eager PyTorch, each row in a process of its own, in rounds of random order.

    The processes are started as ``python -m toolkit…``, so that a script needs no ``if __name__ == "__main__"`` and a
    notebook will do.

    Args:
        artifacts: A file, the name of a format, several of these, or a folder; None for all of ``folder``.
        checkpoint: What they compute, or its file, which each process reads anew; None for the bundled one.
        folder: Where the artifacts lie that are named by their format.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, or several of these.
        batch_sizes: Images per call, one number or several.
        threads: On the CPU; several make rows of their own. None for the physical cores.
        scenario: ``latency``, ``throughput``, ``paced:10ms``, ``poisson:100`` (arrivals per second) or ``cold``.
        budget_s: Seconds for all rounds; opening, self check and limits come on top, and ``progress`` is told how long
            all of it takes. None for 30.
        restarts: How often, in even parts of the budget, every process is replaced by a new one. None for once, and for
            never within a budget of less than 15 s.
        seed: Of the order in each round; None for a new one, which the report names.
        against: Another folder of artifacts, or another checkpoint, to be measured in the same rounds and compared.
        max_slowdown: Largest loss of a row against its base before the report fails: 0.05 is 5 %.
        threshold: Differences up to this do not matter: 0.02 is 2 %.
        unverified: Whether to time what parity has not passed as well; its rows say so.
        trust: Whether to time artifacts that ask for more than to compute, each in its own process as all are.
        limits: Whether to measure what the machine can do at most, ten seconds on a CPU; None to do so unless the
            budget is less than 15 s.
        images: Folder of own pictures that the timed calls get: with ``labels``, or one folder per class.
        labels: CSV of ``file,label`` for ``images``.
        num_workers: Processes that read ``images``; None for this one alone.
        journal: A file that is written after each round, so that whatever ends the process costs no finished round:
            ``fmnist-tk report FILE.partial`` shows them. It stays; None for none.
        progress: Called as ``progress(task, done, total, detail)`` before and after the rounds.
        watch: Called as ``watch(rows, done, planned)`` before the first round and after each.

    Returns:
        A report with a `LatencyRecord` for each row in ``latency``, in seconds; a row that crashed is in ``failures``.
        ``fastest`` names the best of each batch size. After Ctrl-C it holds what was finished, and ``interrupted`` is
        True.

    Raises:
        UnverifiedArtifactError: If parity has not passed an artifact, unless ``unverified``.
        FormatError, CheckpointError, DeviceUnavailableError: If something named is not there or does not work.
        OwnDataError: If own pictures cannot be used.
        UsageError: If a value makes no sense, or the budget is too small for one round.

    Example:
        >>> import toolkit
        >>> report = toolkit.run_benchmark(  # for a first look: seconds, not a minute
        ...     "exported/model.onnx", batch_sizes=[1], budget_s=0.3, restarts=0, limits=False
        ... )
        >>> [row.target for row in report.latency if row.role == "row"]
        ['eager', 'model.onnx']
        >>> all(row.median_s > 0 for row in report.latency)
        True
    """
    check_range(*SECONDS, budget=budget_s)
    check_range(0, LARGEST_SHARE, threshold=threshold, max_slowdown=max_slowdown)
    whole("--restarts", restarts, _MOST_RESTARTS, least=0)
    whole("--seed", seed, LARGEST_SEED, least=0)
    budget_s = bench.DEFAULT_BUDGET_S if budget_s is None else budget_s
    short = budget_s < bench.SHORT_S
    settings = bench.Settings(
        batch_sizes=_given("batch_sizes", whole("--batch", batch_sizes, MOST_IMAGES), "such as 1 or (1, 64)"),
        threads=whole("--threads", threads, MOST_THREADS),
        scenario=parse_scenario(scenario),
        budget_s=budget_s,
        seed=seed,
        threshold=threshold,
        max_slowdown=max_slowdown,
        against_limits=not short if limits is None else limits,
        restarts=int(not short) if restarts is None else restarts,
    )
    if max_slowdown is not None and against is None:
        raise UsageError("--max-slowdown needs something to be slower than:", "pass --against DIR or a checkpoint")
    devices = _devices(device)
    check_pictures(images, labels, num_workers)
    names, place = names_of(artifacts, folder)
    with scratch_folder("bench") as scratch:
        own = pictures_of(images, labels, num_workers, progress)
        request = Request(
            names=tuple(names),
            folder=str(place),
            checkpoint=file_of(checkpoint),
            devices=devices,
            unverified=unverified,
            trusted=trust,
            against=None if against is None else str(against),
            scratch=str(scratch),
            pictures=str(keep_pictures(own, scratch)) if own else None,
        )
        prepared = prepare_apart(request)
        if own:
            prepared = with_pictures(prepared, own, path_of(against))
        expected = bench.expected_duration_s(len(prepared.entries), bench.count_rows(prepared, settings), settings)
        told = in_seconds(progress, "bench", expected)
        report = bench.run_bench(prepared, settings, scratch, journal=path_of(journal), progress=told, watch=watch)
    folders = {Path(each.path).parent for each in prepared.entries if each.path and each.role == "row"}
    if len(folders) == 1:  # of files from several, no folder could tell which of its own was meant
        keep_result(report, *folders)
    return report


@checked
def check_clock(device: str | Sequence[str] = "cpu") -> Report:
    """Prove that the clock is honest, and find out what it adds; no model is run.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, or several of these.

    Returns:
        A report with a `SelfCheckRecord` for each device in ``self_checks``.

    Raises:
        DeviceUnavailableError: If a device is not here.
        ToolkitError: If the clock cannot be checked.

    Example:
        >>> import toolkit
        >>> [check.device for check in toolkit.check_clock("cpu").self_checks]
        ['cpu']
    """
    return bench.self_check(tuple(dict.fromkeys(map(resolve_device, _devices(device)))))


def _devices(device: str | Sequence[str]) -> tuple[str, ...]:
    return _given("device", (device,) if isinstance(device, str) else tuple(device), "such as 'cpu'")


def _given(name: str, several: tuple[_T, ...], example: str) -> tuple[_T, ...]:
    if not several:
        raise UsageError(f"{name} is empty", f"pass at least one, {example}")
    return several
