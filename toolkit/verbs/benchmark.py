"""``toolkit.run_benchmark``."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from toolkit.bench import DEFAULT_BATCH_SIZES, DEFAULT_BUDGET_S, DEFAULT_THRESHOLD, Settings, run_bench
from toolkit.bench.engine.inputs import keep_pictures, with_pictures
from toolkit.bench.engine.journal import keep_result
from toolkit.bench.engine.prepare import Request, prepare_request
from toolkit.bench.engine.scenario import parse_scenario
from toolkit.errors import UsageError
from toolkit.records import Report
from toolkit.system.devices import leaving_torch_as_it_is
from toolkit.system.progress import Progress, silent
from toolkit.verbs.arguments import (
    FOLDER,
    MOST_THREADS,
    Artifacts,
    Weights,
    check_whole,
    file_of,
    names_of,
    path_of,
    pictures_of,
)

# More images than that fit into no memory.
_MOST_BATCH: Final = 10**9 - 1


def run_benchmark(
    artifacts: Artifacts = None,
    checkpoint: Weights = None,
    *,
    folder: str | Path = FOLDER,
    device: str | Sequence[str] = "cpu",
    batch_sizes: Sequence[int] = DEFAULT_BATCH_SIZES,
    threads: int | Sequence[int] | None = None,
    scenario: str = "latency",
    budget_s: float = DEFAULT_BUDGET_S,
    restarts: int = 1,
    seed: int | None = None,
    against: str | Path | None = None,
    max_slowdown: float | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    unverified: bool = False,
    limits: bool = True,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Time verified artifacts beside eager PyTorch, each row in a process of its own, in rounds of random order.

    The processes are started as ``python -m toolkit…``, so that a script needs no ``if __name__ == "__main__"`` and a
    notebook will do.

    Args:
        artifacts: A file, the name of a format, several of these, or a folder; None for all of ``folder``.
        checkpoint: What they compute, or its file, which each process reads anew; None for the bundled one.
        folder: Where the artifacts lie that are named by their format.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, or several of these.
        batch_sizes: Images per call.
        threads: On the CPU; several make rows of their own. None for the physical cores.
        scenario: ``latency``, ``throughput``, ``paced:10ms``, ``poisson:100`` (arrivals per second) or ``cold``.
        budget_s: Seconds for all rounds; opening, self check and limits come on top.
        restarts: How often, in even parts of the budget, every process is replaced by a new one.
        seed: Of the order in each round; None for a new one, which the report names.
        against: Another folder of artifacts, or another checkpoint, to be measured in the same rounds and compared.
        max_slowdown: Largest loss of a row against its base before the report fails: 0.05 is 5 %.
        threshold: Differences up to this do not matter: 0.02 is 2 %.
        unverified: Whether to time what parity has not passed as well; its rows say so.
        limits: Whether to measure what the machine can do at most, ten seconds on a CPU.
        images: Folder of own pictures that the timed calls get: with ``labels``, or one folder per class.
        labels: CSV of ``file,label`` for ``images``.
        progress: Called as ``progress(task, done, total, detail)`` before and after the rounds.

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
    counts = [threads] if isinstance(threads, int) else list(threads or ())
    check_whole("batch_sizes", batch_sizes, _MOST_BATCH)
    check_whole("threads", counts, MOST_THREADS)
    if not batch_sizes:
        raise UsageError("batch_sizes is empty", "pass numbers of images per call, such as (1, 64)")
    for name, value in (("budget_s", budget_s), ("restarts", restarts), ("threshold", threshold)):
        if not value >= 0:
            raise UsageError(f"{name}={value}:", "pass a number from 0")
    if max_slowdown is not None and against is None:
        raise UsageError("max_slowdown needs something to be slower than", "pass against, a folder or a checkpoint")
    settings = Settings(
        batch_sizes=tuple(batch_sizes),
        threads=tuple(counts),
        scenario=parse_scenario(scenario),
        budget_s=budget_s,
        seed=seed,
        threshold=threshold,
        max_slowdown=max_slowdown,
        against_limits=limits,
        restarts=restarts,
    )
    names, place = names_of(artifacts, folder)
    own = pictures_of(images, labels, progress)
    with tempfile.TemporaryDirectory(prefix="fmnist-tk-bench-") as scratch:
        request = Request(
            names=tuple(names),
            folder=str(place),
            checkpoint=file_of(checkpoint),
            devices=(device,) if isinstance(device, str) else tuple(device),
            unverified=unverified,
            against=None if against is None else str(against),
            scratch=scratch,
            pictures=str(keep_pictures(own, Path(scratch))) if own else None,
        )
        with leaving_torch_as_it_is():
            prepared = prepare_request(request)
        if own:
            prepared = with_pictures(prepared, own, path_of(against))
        report = run_bench(prepared, settings, Path(scratch), progress=progress)
    keep_result(report, place)
    return report
