"""Bench: how fast is each verified artifact on this machine? One process per artifact.

First version: the rows are measured one after the other, closed loop, inputs on the device already.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.bench.job import Job, JobResult
from toolkit.environment import default_threads, installed_version, new_report
from toolkit.errors import UnverifiedArtifactError
from toolkit.formats import EAGER, runtime_version
from toolkit.golden import make_golden, write_golden
from toolkit.manifest import check_verified
from toolkit.parity.reference import Reference
from toolkit.progress import Progress, silent
from toolkit.records import FailureRecord, LatencyRecord, Report, SkipRecord, read_record, write_record
from toolkit.sessions import Target

if TYPE_CHECKING:
    from toolkit.checkpoint import Checkpoint

__all__ = ["DEFAULT_BATCH_SIZES", "run_benchmark"]

#: One image as a service sees it, a small batch, and one large enough to fill the machine.
DEFAULT_BATCH_SIZES = (1, 64, 1024)
_WARMUP_S, _MEASURE_S = 0.3, 1.0
# Imports and loading, and per row a call that may be slow; far beyond what a sound worker takes.
_STARTUP_TIMEOUT_S, _ROW_TIMEOUT_S = 120.0, 60.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_benchmark(
    targets: Sequence[Target],
    checkpoint: "Checkpoint",
    *,
    device: str = "cpu",
    batch_sizes: Sequence[int] = DEFAULT_BATCH_SIZES,
    threads: int | None = None,
    unverified: bool = False,
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
        unverified: Whether to time artifacts that parity has not passed; their rows are marked.
        skips: What was left out already; it goes into the report.
        progress: Told after each artifact.

    Returns:
        A report with a `LatencyRecord` per target and batch size, or a `FailureRecord` in its place. After
        Ctrl-C it holds what was measured until then and says so.

    Raises:
        UnverifiedArtifactError: If parity has not passed a target, unless ``unverified``.
    """
    threads = threads or default_threads()
    weights = checkpoint.record.weights_sha256
    verified = [_is_verified(target, checkpoint, weights, tolerate=unverified) for target in targets]
    rows: list[LatencyRecord] = []
    failures: list[FailureRecord] = []
    with tempfile.TemporaryDirectory(prefix="fmnist-tk-bench-") as scratch:
        golden = Path(scratch) / "golden.npz"
        write_golden(make_golden(Reference(checkpoint)), golden)
        jobs = _jobs(targets, verified, checkpoint, golden, device, tuple(batch_sizes), threads)
        interrupted = False
        try:
            for number, job in enumerate(jobs):
                progress("bench", number, len(jobs), job.target)
                result = _run_worker(job, Path(scratch))
                rows += result.rows
                failures += result.failures
            progress("bench", len(jobs), len(jobs))
        except KeyboardInterrupt:
            if not rows:
                raise
            interrupted = True  # what was measured is kept
    return new_report("bench").model_copy(
        update={
            "checkpoint": checkpoint.record,
            "latency": tuple(rows),
            "failures": tuple(failures),
            "skips": tuple(skips),
            "interrupted": interrupted,
        }
    )


def _is_verified(target: Target, checkpoint: "Checkpoint", weights: str, *, tolerate: bool) -> bool:
    source = "" if checkpoint.record.form == "bundled" else f" --checkpoint {checkpoint.record.path}"
    try:
        check_verified(target, weights, f"run: fmnist-tk parity {target.path}{source}")
    except UnverifiedArtifactError:
        if not tolerate:
            raise
        return False
    return True


def _jobs(
    targets: Sequence[Target],
    verified: Sequence[bool],
    checkpoint: "Checkpoint",
    golden: Path,
    device: str,
    batch_sizes: tuple[int, ...],
    threads: int,
) -> list[Job]:
    shared = Job(
        target=EAGER,
        format=EAGER,
        checkpoint=None if checkpoint.record.form == "bundled" else str(Path(checkpoint.record.path).absolute()),
        golden=str(golden),
        device=device,
        threads=threads,
        batch_sizes=batch_sizes,
        runtime="libtorch",
        runtime_version=installed_version("torch") or "",
        verified=True,  # it is the checkpoint itself
        warmup_s=_WARMUP_S,
        measure_s=_MEASURE_S,
    )
    return [
        shared,
        *(
            shared.model_copy(
                update={
                    "target": target.path.name,
                    "format": target.info.name,
                    "path": str(target.path.absolute()),
                    "runtime": target.info.runtime,
                    "runtime_version": runtime_version(target.info),
                    "verified": passed,
                }
            )
            for target, passed in zip(targets, verified, strict=True)
        ),
    ]


def _run_worker(job: Job, scratch: Path) -> JobResult:
    """Run a job in a clean process; a crash or a hang is a failure of this row and of no other."""
    job_file, result_file, log_file = scratch / "job.json", scratch / "result.json", scratch / "stderr.txt"
    result_file.unlink(missing_ok=True)
    write_record(job, job_file)
    command = [sys.executable, "-P", "-m", "toolkit.bench.worker", str(job_file), str(result_file)]
    timeout = _STARTUP_TIMEOUT_S + _ROW_TIMEOUT_S * len(job.batch_sizes)
    with log_file.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own module under our own interpreter
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(job.threads)
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()  # also on Ctrl-C: no worker survives the parent
            process.wait()
    if code == 0 and result_file.is_file():
        return read_record(result_file, JobResult)
    reason = f"no result within {timeout:.0f} s" if code is None else _last_words(code, log_file)
    return JobResult(
        failures=(FailureRecord(target=job.target, format=job.format, device=job.device, reason=reason),)
    )


def _environment(threads: int) -> dict[str, str]:
    """Return the worker's environment: thread counts are read when a runtime is imported."""
    environment = dict(os.environ)
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    environment["NVIDIA_TF32_OVERRIDE"] = "0"  # float32 rows are float32, whatever a library would choose
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path[1:]:  # run from a checkout that is not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return environment


def _last_words(code: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    words = f": {lines[-1][:300]}" if lines else ""
    if code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}{words}"
    return f"the worker ended with exit code {code}{words}"
