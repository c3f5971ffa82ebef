"""One row: its worker, and what that has told so far."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from toolkit.bench.engine.job import Answer, Job, Opened, Order
from toolkit.bench.engine.launch import WorkerError, WorkerProcess
from toolkit.bench.engine.schedule import MOST_CALLS
from toolkit.bench.engine.slices import condensed, energy_of, larger, round_of, together
from toolkit.bench.machine.energy import energy_j, read_energy
from toolkit.records import ColdRecord, EnergyReading, FailureRecord, LatencyRecord, RoundRecord, quantile

_OPEN_TIMEOUT_S: Final = 180.0
_CALLS_TIMEOUT_S: Final = 60.0
_WARM_S, _WARM_CALLS, _MOST_WARMUPS = 0.3, 5, 4
#: A row with more calls than this keeps a histogram of each round.
_RAW_CALLS: Final = 100_000
_NO_READINGS: Final = "not available here: no slice of this scenario was read"


class Row:
    """A worker process for one job; what asks it something raises `WorkerError` when it gives no answer."""

    def __init__(self, job: Job, number: int, scratch: Path) -> None:
        """Take a job, the number of its row in the bench, and a folder for logs; nothing is started yet."""
        self.job, self.number = job, number
        self.rounds: list[RoundRecord] = []
        self.opened: Opened | None = None
        self.call_s = 0.0
        self.processes = 0
        self._log = scratch / f"worker-{number}.log"
        self._crew: list[WorkerProcess] = []
        self._cold: ColdRecord | None = None
        self._mismatch: str | None = None
        self._settled = True
        self._memory: tuple[int | None, int | None] = (None, None)

    @property
    def pid(self) -> int | None:
        """Of its worker, if that was started."""
        return self._crew[0].pid if self._crew else None

    def start(self) -> None:
        """Start a worker and let it open the artifact; `wait_until_open` waits for it."""
        self.kill()
        job, count = self.job, 1
        if job.scenario.kind == "throughput" and job.entry.device == "cpu":
            # In one process Python's lock would let only one of them call at a time.
            job, count = job.changed(threads=1), job.threads
        for number in range(count):
            log = self._log if not number else self._log.with_suffix(f".{number}.log")
            self._crew.append(WorkerProcess(job, log))
            self._crew[-1].order(Order(do="open"))
        self.processes += 1

    def wait_until_open(self) -> None:
        """Wait until the artifact is open."""
        answer, *_ = [each.answer(_OPEN_TIMEOUT_S) for each in self._crew]
        self.opened = self.opened or answer.opened  # of a later worker, load time is no cold start: it was not alone

    def warm(self) -> None:
        """Call until the times are steady, and compare the outputs."""
        from toolkit.bench.statistics import steady_from

        trace: list[int] = []
        cut = 0
        for _ in range(_MOST_WARMUPS):
            trace += self._first_calls(Order(do="warm", seconds=_WARM_S, min_calls=_WARM_CALLS, max_calls=MOST_CALLS))
            cut = steady_from([each / 1e9 for each in trace])
            if cut < len(trace) // 4:  # the rule cuts half at most: then it may not have seen the end
                break
        self.call_s = quantile([each / 1e9 for each in trace[cut:]], 0.5)
        interval_s = self.job.scenario.interval_s
        if interval_s and self.call_s >= interval_s:
            raise WorkerError(
                f"it cannot keep up: a call takes {self.call_s:.3g} s, and one arrives every {interval_s:.3g} s; "
                "choose a lower rate or a smaller batch"
            )
        if self._cold is None:
            self._note_cold(trace, max(cut, 1))

    def first_answer(self, number: int, place: int) -> None:
        """Open the artifact in a new process and call once: a round of the scenario ``cold``."""
        self.opened = None
        self.start()
        self.wait_until_open()
        trace = self._first_calls(Order(do="warm", min_calls=1, max_calls=1))
        assert self.opened
        if self._cold is None:
            self._note_cold(trace, 1)
        whole_s = self.opened.import_s + self.opened.load_s + trace[0] / 1e9
        process, times_ns = self.processes - 1, (round(whole_s * 1e9),)
        self.rounds.append(
            RoundRecord(number=number, place=place, process=process, calls=1, wall_s=whole_s, times_ns=times_ns)
        )
        self.finish()

    def measure(self, number: int, place: int, seconds: float, seed: int) -> None:
        """Measure one slice of a round, in which the row has a place: calls are begun for so many seconds."""
        device, closed = self.job.entry.device, self.job.scenario.kind == "latency"
        order = Order(do="measure", seconds=seconds, max_calls=MOST_CALLS, seed=seed)
        before, begun = read_energy(device=device), time.monotonic()
        parts = [each.measured for each in self._ask_all(order, _CALLS_TIMEOUT_S + 10 * seconds)]
        after, ended = read_energy(device=device), time.monotonic()
        measured = together([each for each in parts if each])
        self._settled &= measured.settled
        update: dict[str, Any] = {"process": self.processes - 1, "slice_s": ended - begun}
        if isinstance(before, EnergyReading) and isinstance(after, EnergyReading):
            update["energy_j"] = energy_j(before, after)
        if closed and device != "cpu":
            by_device = self._ask_all(Order(do="time on device"), _CALLS_TIMEOUT_S)[0].device_s
            update["device_s"] = quantile(by_device, 0.5) if by_device else None
        self.rounds.append(round_of(measured, number, place, closed).changed(**update))

    def finish(self) -> None:
        """Compare the outputs once more, ask for the memory, and end the worker."""
        for answer in self._ask_all(Order(do="finish"), _CALLS_TIMEOUT_S):
            assert answer.finished
            self._judge(answer.finished.wrong, "after it was timed ")
            found = answer.finished.peak_memory_bytes, answer.finished.device_memory_bytes
            self._memory = (larger(self._memory[0], found[0]), larger(self._memory[1], found[1]))
        self.kill()

    def kill(self) -> None:
        """End the worker, if there is one."""
        for each in self._crew:
            each.kill()
        self._crew = []

    def record(self, idle_power_w: float | str = "not measured") -> LatencyRecord:
        """Return what is known of a measured row, given the idle device's watts or why these are not known."""
        assert self.opened
        assert self._cold
        entry, rounds = self.job.entry, tuple(self.rounds)
        if sum(each.calls for each in rounds) > _RAW_CALLS:
            rounds = tuple(map(condensed, rounds))
        energy = energy_of(rounds, self.job.batch_size, idle_power_w)
        return LatencyRecord(
            target=entry.target,
            format=entry.format,
            runtime=entry.runtime,
            runtime_version=entry.runtime_version,
            device=entry.device,
            precision=self.opened.precision,
            threads=self.job.threads,
            batch_size=self.job.batch_size,
            baseline=entry.baseline,
            role=entry.role,
            scenario=self.job.scenario,
            verified=entry.verified,
            mismatch=self._mismatch,
            cold=self._cold,
            peak_memory_bytes=self._memory[0],
            device_memory_bytes=self._memory[1],
            file_bytes=entry.file_bytes,
            rounds=rounds,
            settled=self._settled,
            energy=energy,
            no_energy=None if energy else idle_power_w if isinstance(idle_power_w, str) else _NO_READINGS,
        )

    def failure(self, reason: str) -> FailureRecord:
        """Return the record of a row that gave nothing."""
        entry = self.job.entry
        return FailureRecord(
            target=f"{entry.target} (control)" if entry.role == "control" else entry.target,
            format=entry.format,
            device=entry.device,
            batch_size=self.job.batch_size,
            threads=self.job.threads,
            reason=reason,
        )

    def _first_calls(self, order: Order) -> tuple[int, ...]:
        traces = []
        for answer in self._ask_all(order, _CALLS_TIMEOUT_S):
            assert answer.warmed
            self._judge(answer.warmed.wrong, "")
            traces.append(answer.warmed.trace_ns)
        return traces[0]

    def _judge(self, wrong: str | None, when: str) -> None:
        """Refuse wrong outputs of what parity has passed; of the rest they are noted."""
        if wrong and self.job.entry.verified:
            raise WorkerError(when + wrong)
        self._mismatch = self._mismatch or wrong

    def _note_cold(self, trace: Sequence[int], cut: int) -> None:
        assert self.opened
        self._cold = ColdRecord(
            import_s=self.opened.import_s,
            load_s=self.opened.load_s,
            first_call_s=trace[0] / 1e9,
            steady_s=sum(trace[:cut]) / 1e9,
            warmup_calls=cut,
        )

    def _ask_all(self, order: Order, timeout_s: float) -> list[Answer]:
        """Ask all of the crew at once."""
        for each in self._crew:
            each.order(order)
        return [each.answer(timeout_s) for each in self._crew]
