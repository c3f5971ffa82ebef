"""What every result of an experiment begins with, and how it is written."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit.records import FitnessRecord, Report
from toolkit.system.environment import machine
from toolkit.system.files import write_bytes


def conditions() -> dict[str, Any]:
    """Return where and when this is: machine, versions, time, load over the last minute."""
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_1min_before": os.getloadavg()[0],
        "machine": machine().model_dump(),
    }


def fitness_of(report: Report) -> FitnessRecord:
    """Return whether the machine was fit; a bench whose clock or rows failed ends the experiment."""
    if not report.passed or report.fitness is None:
        failed = [f"{each.target}, batch {each.batch_size}: {each.reason}" for each in report.failures]
        raise SystemExit(f"bench failed: {'; '.join(failed) or 'the clock is not honest here'}")
    return report.fitness


def reasons_of(report: Report) -> list[str]:
    """Return why bench calls its numbers noisy; nothing when they are valid."""
    return [each.sentence for each in fitness_of(report).reasons]


def save(result: dict[str, Any], path: Path) -> None:
    """Write a result as JSON, with the load of the last minute."""
    result = {**result, "load_1min_after": os.getloadavg()[0]}
    write_bytes(path, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
