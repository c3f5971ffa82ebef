"""The process that measures one part of the machine's limits: ``python -m toolkit.bench.limits.child JOB RESULT``."""

import sys
from pathlib import Path

from toolkit.bench.engine.launch import die_with_parent
from toolkit.bench.limits import run_limits_job
from toolkit.records import read_record
from toolkit.records.machine import LimitsJob
from toolkit.system.files import write_record


def main(job_path: str, result_path: str) -> None:
    """Measure what the job in one file says and write the result into the other."""
    write_record(run_limits_job(read_record(Path(job_path), LimitsJob)), Path(result_path))


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])
