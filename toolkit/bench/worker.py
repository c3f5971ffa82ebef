"""The worker: a process that opens one artifact, checks its outputs, and times it.

``python -m toolkit.bench.worker JOB.json RESULT.json``. Runtimes slow each other down in one process, so each
has its own, and imports no other.
"""

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.bench.job import Job, JobResult
from toolkit.bench.measure import Budget, measure
from toolkit.bench.memory import peak_growth_bytes, read_memory
from toolkit.errors import first_line
from toolkit.formats import EAGER, FORMATS, Session, import_format
from toolkit.golden import Golden, read_golden
from toolkit.records import FailureRecord, LatencyRecord, read_record, write_record
from toolkit.sessions import Target, open_session


def run_job(job: Job) -> JobResult:
    """Open the job's artifact and time it at each batch size."""
    if job.format != EAGER:
        import_format(FORMATS[job.format])  # importing is not loading
    empty = read_memory(reset=True)
    started = time.perf_counter()
    session = _open(job)
    load_s = time.perf_counter() - started
    golden = read_golden(Path(job.golden))
    rows: list[LatencyRecord] = []
    failures: list[FailureRecord] = []
    for size in job.batch_sizes:
        try:
            wrong = compare(session, golden, size)
            if wrong and job.verified:
                failures.append(_failure(job, wrong, size))
            else:
                row = _time(session, job, golden, size, load_s)
                grown = peak_growth_bytes(empty, read_memory())
                rows.append(row.model_copy(update={"mismatch": wrong, "peak_memory_bytes": grown}))
        except Exception as error:  # noqa: BLE001  out of memory, or what else a runtime raises: the next may be smaller
            failures.append(_failure(job, first_line(error), size))
    return JobResult(rows=tuple(rows), failures=tuple(failures))


def _failure(job: Job, reason: str, batch_size: int | None = None) -> FailureRecord:
    return FailureRecord(target=job.target, format=job.format, device=job.device, batch_size=batch_size, reason=reason)


def _open(job: Job) -> Session:
    if job.format == EAGER:
        from toolkit.checkpoint import load_checkpoint
        from toolkit.formats.eager import open_eager

        checkpoint = load_checkpoint(Path(job.checkpoint) if job.checkpoint else None)
        return open_eager(checkpoint.model(), job.device, job.threads)
    return open_session(Target(FORMATS[job.format], Path(job.path)), job.device, job.threads)


def compare(session: Session, golden: Golden, size: int) -> str | None:
    """Return what is wrong with a session's outputs at a batch size, or None: fast because wrong is no result.

    Args:
        session: On the device where it will be timed.
        golden: Inputs, repeated to fill the batch, and the reference's logits.
        size: Images in the batch.
    """
    logits = session.run(session.to_device(_batch(golden, size)))
    session.synchronize()
    actual = np.asarray(session.to_host(logits))
    expected = np.resize(golden.logits, (size, golden.logits.shape[1]))
    if actual.shape != expected.shape:
        return f"its outputs have shape {actual.shape}, not {expected.shape}; check it with: fmnist-tk parity"
    error = np.abs(actual - expected).max()
    if not error <= golden.limit:  # so that NaN is wrong, too
        return f"its outputs are off by {error:.2g}, allowed are {golden.limit:.2g}; check it with: fmnist-tk parity"
    return None


def _batch(golden: Golden, size: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.resize(golden.inputs, (size, *golden.inputs.shape[1:])))


def _time(session: Session, job: Job, golden: Golden, size: int, load_s: float) -> LatencyRecord:
    timings = measure(session, _batch(golden, size), Budget(warmup_s=job.warmup_s, measure_s=job.measure_s))
    from toolkit.bench.statistics import steady_from  # scipy: after the clock, so that it disturbs nothing

    cut = steady_from(timings.times_s)
    return LatencyRecord(
        target=job.target,
        format=job.format,
        runtime=job.runtime,
        runtime_version=job.runtime_version,
        device=job.device,
        precision=session.precision,
        threads=job.threads,
        batch_size=size,
        verified=job.verified,
        load_s=load_s,
        first_call_s=timings.first_call_s,
        warmup_calls=timings.warmup_calls + cut,
        times_s=tuple(round(each, 9) for each in timings.times_s[cut:]),
    )


def main(job_path: str, result_path: str) -> None:
    """Run the job in one file and write its result into the other."""
    write_record(run_job(read_record(Path(job_path), Job)), Path(result_path))


if __name__ == "__main__":
    main(*sys.argv[1:])
