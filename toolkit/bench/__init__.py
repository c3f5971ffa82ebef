"""Bench: how fast is each verified artifact on this machine? One process per artifact.

First version: the rows are measured one after the other, closed loop, inputs on the device already.
"""

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.bench.fitness import canary, judge, read_counters
from toolkit.bench.job import Job, JobResult
from toolkit.bench.launch import run_worker
from toolkit.bench.limits import bound, measure_limits, moved_bytes
from toolkit.environment import default_threads, installed_version, new_report
from toolkit.errors import UnverifiedArtifactError
from toolkit.formats import EAGER, runtime_version
from toolkit.golden import write_golden
from toolkit.manifest import check_verified
from toolkit.progress import Progress, silent
from toolkit.records import FailureRecord, LatencyRecord, LimitsRecord, ModelConfig, Report, SkipRecord
from toolkit.sessions import Target

if TYPE_CHECKING:
    from toolkit.checkpoint import Checkpoint

__all__ = ["DEFAULT_BATCH_SIZES", "run_benchmark"]

#: One image as a service sees it, a small batch, and one large enough to fill the machine.
DEFAULT_BATCH_SIZES = (1, 64, 1024)
_WARMUP_S, _MEASURE_S = 0.3, 1.0
_CANARIES = 5


def run_benchmark(
    targets: Sequence[Target],
    checkpoint: "Checkpoint",
    *,
    device: str = "cpu",
    batch_sizes: Sequence[int] = DEFAULT_BATCH_SIZES,
    threads: int | None = None,
    unverified: bool = False,
    against_limits: bool = True,
    skips: Sequence[SkipRecord] = (),
    progress: Progress = silent,
) -> Report:
    """Time eager and every target, each in a clean process.

    Args:
        targets: The artifacts.
        checkpoint: What they compute; eager, the baseline row, runs it.
        device: Where to run, as `toolkit.devices.resolve_device` returned it.
        batch_sizes: Images per call.
        threads: For each runtime on the CPU; None for the physical cores.
        against_limits: Whether to measure what the machine can do at most; about ten seconds, on the CPU only.
        unverified: Whether to time artifacts that parity has not passed; their rows are marked.
        skips: What was left out already; it goes into the report.
        progress: Told after each artifact.

    Returns:
        A report with a `LatencyRecord` per target and batch size, or a `FailureRecord` in its place. After
        Ctrl-C it holds what was measured until then and says so.

    Raises:
        UnverifiedArtifactError: If parity has not passed a target, unless ``unverified``.
    """
    # Not at the top: a worker imports this package, and must load no runtime but its own.
    from toolkit.parity.reference import Reference, make_golden

    before, canaries = read_counters(), _canaries()
    verified = [_is_verified(target, checkpoint, device=device, tolerate=unverified) for target in targets]
    record = checkpoint.record
    with tempfile.TemporaryDirectory(prefix="fmnist-tk-bench-") as scratch:
        golden = Path(scratch) / "golden.npz"
        write_golden(make_golden(Reference(checkpoint)), golden)
        eager = Job(
            target=EAGER,
            format=EAGER,
            checkpoint=None if record.form == "bundled" else str(Path(record.path).absolute()),
            golden=str(golden),
            device=device,
            threads=threads or default_threads(),
            batch_sizes=tuple(batch_sizes),
            runtime="libtorch",
            runtime_version=installed_version("torch") or "",
            verified=True,  # it is the checkpoint itself
            warmup_s=_WARMUP_S,
            measure_s=_MEASURE_S,
        )
        result, interrupted = _run_jobs(_jobs(eager, targets, verified), Path(scratch), progress, canaries)
        limits = None
        if against_limits and not interrupted and device == "cpu":
            progress("bench", len(targets) + 1, len(targets) + 2, "the machine's limits")
            sizes = [moved_bytes(record.config, size, "float32") for size in batch_sizes]
            limits = measure_limits(eager.threads, sizes, Path(scratch))
    rows = result.rows if limits is None else tuple(_bounded(row, record.config, limits) for row in result.rows)
    return new_report("bench").model_copy(
        update={
            "checkpoint": record,
            "latency": rows,
            "fitness": judge(before, read_counters(), canaries, None),
            "limits": limits,
            "failures": result.failures,
            "skips": tuple(skips),
            "interrupted": interrupted,
        }
    )


def _canaries() -> list[float]:
    """Time the same small work a few times: machines that are busy take other times for it."""
    return [canary() for _ in range(_CANARIES)]


def _bounded(row: LatencyRecord, config: ModelConfig, limits: LimitsRecord) -> LatencyRecord:
    """Return a row with the least time that the machine needs for its call."""
    return row.model_copy(update={"bound": bound(config, row.batch_size, row.precision, limits)})


def _run_jobs(jobs: list[Job], scratch: Path, progress: Progress, canaries: list[float]) -> tuple[JobResult, bool]:
    """Run one job after the other; after Ctrl-C return what was measured, and that it is not all.

    Between two of them the canary is timed again, into ``canaries``.
    """
    rows: list[LatencyRecord] = []
    failures: list[FailureRecord] = []
    try:
        for number, job in enumerate(jobs):
            progress("bench", number, len(jobs), job.target)
            result = run_worker(job, scratch)
            rows += result.rows
            failures += result.failures
            canaries += _canaries()
        progress("bench", len(jobs), len(jobs))
    except KeyboardInterrupt:
        if not rows:
            raise
        return JobResult(rows=tuple(rows), failures=tuple(failures)), True
    return JobResult(rows=tuple(rows), failures=tuple(failures)), False


def _is_verified(target: Target, checkpoint: "Checkpoint", *, device: str, tolerate: bool) -> bool:
    source = [] if checkpoint.record.form == "bundled" else ["--checkpoint", checkpoint.record.path]
    words = shlex.join([str(target.path), *source, *([] if device == "cpu" else ["--device", device])])
    try:
        check_verified(target, checkpoint.record.weights_sha256, device, f"run: fmnist-tk parity {words}")
    except UnverifiedArtifactError:
        if not tolerate:
            raise
        return False
    return True


def _jobs(eager: Job, targets: Sequence[Target], verified: Sequence[bool]) -> list[Job]:
    """Return a job for eager and one for each target, alike but for what they open."""
    changes = [
        {
            "target": target.path.name,
            "format": target.info.name,
            "path": str(target.path.absolute()),
            "runtime": target.info.runtime,
            "runtime_version": runtime_version(target.info),
            "verified": passed,
        }
        for target, passed in zip(targets, verified, strict=True)
    ]
    return [eager, *(eager.model_copy(update=change) for change in changes)]
