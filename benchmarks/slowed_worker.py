"""A worker of bench whose calls take longer by what the name of its target says; `believable.py` starts it.

After each call it waits for a share of the time that this very call took: "eager slowed 5 %" takes 1.05 times as long
as eager would have, in quiet moments and in disturbed ones. Other targets are not slowed.
"""

import os
import re
import time
from typing import Any

from toolkit.bench.engine import worker
from toolkit.bench.engine.job import Job
from toolkit.formats import BASELINE, Session

#: Format of a slowed row: not eager's, or it would be a second baseline.
SLOWED = "slowed"


class SlowedWorker(worker.Worker):
    """Opens eager for what is called slowed."""

    def __init__(self, job: Job) -> None:
        found = re.search(r"slowed ([\d.]+) %", job.entry.target)
        self._share = float(found[1]) / 100 if found else 0.0
        entry = job.entry.changed(format=BASELINE.name if found else job.entry.format)
        super().__init__(job.changed(entry=entry))

    def _load(self) -> Session:
        session = super()._load()
        if self._share:
            session.run = slowed(session.run, self._share)  # type: ignore[method-assign]  # that is the purpose
        return session


def slowed(run: Any, share: float) -> Any:
    """Return ``run`` with a busy wait of ``share`` of its time behind it."""

    def slow_run(batch: Any) -> Any:
        started = time.perf_counter_ns()
        logits = run(batch)
        done = time.perf_counter_ns()
        end = done + share * (done - started)
        while time.perf_counter_ns() < end:
            pass
        return logits

    return slow_run


if __name__ == "__main__":
    worker.Worker = SlowedWorker  # type: ignore[misc]  # main() makes its worker by this name
    worker.main()
    os._exit(0)
