"""Launch a worker: a clean process for one job, whatever happens to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from toolkit.bench.job import Job, JobResult
from toolkit.records import FailureRecord, read_record, write_record

# Imports and loading, and per batch size a call that may be slow; far beyond what a sound worker takes.
_STARTUP_TIMEOUT_S, _ROW_TIMEOUT_S = 120.0, 60.0
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_worker(job: Job, scratch: Path) -> JobResult:
    """Run a job in a clean process; a crash or a hang is a failure of this row and of no other."""
    job_file, result_file, log_file = scratch / "job.json", scratch / "result.json", scratch / "stderr.txt"
    result_file.unlink(missing_ok=True)
    write_record(job, job_file)
    command = [sys.executable, "-P", "-m", "toolkit.bench.worker", str(job_file), str(result_file)]
    timeout = _STARTUP_TIMEOUT_S + _ROW_TIMEOUT_S * len(job.batch_sizes)
    with log_file.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own module under our own interpreter
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=worker_environment(job.threads)
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
    reason = f"no result within {timeout:.0f} s" if code is None else last_words(code, log_file)
    return JobResult(failures=(FailureRecord(target=job.target, format=job.format, device=job.device, reason=reason),))


def worker_environment(threads: int) -> dict[str, str]:
    """Return the worker's environment: thread counts are read when a runtime is imported."""
    environment = dict(os.environ)
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    environment["NVIDIA_TF32_OVERRIDE"] = "0"  # float32 rows are float32, whatever a library would choose
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path[1:]:  # run from a checkout that is not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return environment


def last_words(code: int, log: Path) -> str:
    """Return how a process ended, and the last line that it wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    words = f": {lines[-1][:300]}" if lines else ""
    if code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}{words}"
    return f"the worker ended with exit code {code}{words}"
