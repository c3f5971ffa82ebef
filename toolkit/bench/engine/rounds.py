"""The rounds: every worker measures for a short slice, in an order drawn anew each time, while the others wait."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from toolkit.bench.engine.job import Job
from toolkit.bench.engine.journal import Journal
from toolkit.bench.engine.launch import WorkerError
from toolkit.bench.engine.rows import Row
from toolkit.bench.engine.schedule import ENOUGH_ROUNDS, plan
from toolkit.bench.machine.counters import gpu_slowdowns
from toolkit.bench.machine.energy import power_w, read_energy
from toolkit.bench.machine.fitness import canary
from toolkit.records import FailureRecord, LatencyRecord, Unavailable
from toolkit.system.environment import usable_cpus
from toolkit.system.progress import Progress

#: Told after each round: the rows so far, how many rounds are done, and how many are planned.
Watch = Callable[[Sequence[LatencyRecord], int, int], None]
Item = TypeVar("Item")

_IDLE_S: Final = 1.0


@dataclass(frozen=True)
class Measurement:
    """What came of all rows.

    Attributes:
        rows: Those that were measured, in the order of the jobs.
        failures: The others.
        rounds: How many were finished.
        canaries_s: Seconds of the canary, before each slice.
        gpu_slowdowns: Why GPUs had lowered their clocks after a slice.
        interrupted: Whether Ctrl-C ended it.
        notes: What a person must know.
    """

    rows: tuple[LatencyRecord, ...]
    failures: tuple[FailureRecord, ...]
    rounds: int
    canaries_s: tuple[float, ...]
    gpu_slowdowns: tuple[str, ...]
    interrupted: bool
    notes: tuple[str, ...]


class Rounds:
    """Opens a worker per job, lets them take turns, and ends them, whatever happens."""

    def __init__(
        self,
        jobs: Sequence[Job],
        scratch: Path,
        *,
        budget_s: float,
        restarts: int,
        seed: int,
        journal: Journal,
        progress: Progress,
        watch: Watch,
    ) -> None:
        """Take the jobs of one run, a row each and all of one scenario; `toolkit.bench.run_bench` says the rest."""
        self._rows = [Row(job, number, scratch) for number, job in enumerate(jobs)]
        self._alive = list(self._rows)
        self._budget_s, self._restarts = budget_s, restarts
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311  an order, not a secret
        self._journal, self._progress, self._watch = journal, progress, watch
        self._failures: list[FailureRecord] = []
        self._canaries: list[float] = []
        self._slowdowns: set[str] = set()
        self._idle_power: dict[str, float | str] = {}
        self._planned = self._done = 0
        self._spent_s = 0.0

    def run(self) -> Measurement:
        """Measure until the budget is spent.

        Returns:
            What was measured; after Ctrl-C, the rounds that were finished before.

        Raises:
            UsageError: If the budget is too small for one round.
            KeyboardInterrupt: If Ctrl-C came before the first round was finished.
        """
        interrupted = False
        try:
            self._measure_idle_power()
            if any(row.job.scenario.kind == "cold" for row in self._rows):
                self._take_turns(lambda row, place: row.first_answer(self._done, place), self._budget_s)
            else:
                self._open()
                self._each("warming up", Row.warm)
                self._timed_rounds()
        except KeyboardInterrupt:
            if not self._done:
                raise
            interrupted = True
        finally:
            for row in self._rows:
                row.kill()
        for row in self._alive:  # of a round that was not finished, rows would not be comparable
            row.rounds = [each for each in row.rounds if each.number < self._done]
        return Measurement(
            rows=tuple(row.record(self._idle_power[row.job.entry.device]) for row in self._alive if row.rounds),
            failures=tuple(self._failures),
            rounds=self._done,
            canaries_s=tuple(self._canaries),
            gpu_slowdowns=tuple(sorted(self._slowdowns)),
            interrupted=interrupted,
            notes=tuple(self._notes(interrupted=interrupted)),
        )

    def _measure_idle_power(self) -> None:
        """Measure for a second what each device takes while nothing runs, where it has a counter."""
        for device in dict.fromkeys(row.job.entry.device for row in self._rows):
            before = read_energy(device=device)
            if isinstance(before, Unavailable):
                self._idle_power[device] = before.reason
                continue
            time.sleep(_IDLE_S)
            after = read_energy(device=device)
            self._idle_power[device] = after.reason if isinstance(after, Unavailable) else power_w(before, after)

    def _open(self) -> None:
        """Open the first worker of each entry alone, because that is timed, and then the others side by side."""
        first: dict[tuple[str, str, int], Row] = {}
        rest = [row for row in self._rows if first.setdefault(_entry(row), row) is not row]
        done = 0
        for group in [*([row] for row in first.values()), *_chunks(rest, usable_cpus())]:
            self._progress("opening", done, len(self._rows), group[0].job.entry.target)
            for row in group:
                row.start()
            for row in group:
                self._try(row, row.wait_until_open)
                alone = first[_entry(row)].opened
                if row.opened and alone:
                    row.opened = row.opened.changed(import_s=alone.import_s, load_s=alone.load_s)
            done += len(group)
        self._progress("opening", done, len(self._rows))

    def _each(self, task: str, step: Callable[[Row], None]) -> None:
        """Do something with each living row, one after the other."""
        rows = list(self._alive)
        for place, row in enumerate(rows):
            self._progress(task, place, len(rows), row.job.entry.target)
            self._try(row, lambda row=row: step(row))  # type: ignore[misc]  # the row of this turn
        self._progress(task, len(rows), len(rows))

    def _timed_rounds(self) -> None:
        if not self._alive:
            return
        calls_s = [max(row.call_s, row.job.scenario.interval_s or 0.0) for row in self._alive]
        schedule = plan(calls_s, self._budget_s)
        slices_s = {row.number: each for row, each in zip(self._alive, schedule.slices_s, strict=True)}
        self._planned = schedule.rounds

        def measure(row: Row, place: int) -> None:
            row.measure(self._done, place, slices_s[row.number], self._seed + self._done)  # the same arrivals for all

        # With fewer rounds than that, new workers would have next to none of them.
        generations = 1 + self._restarts if schedule.rounds >= ENOUGH_ROUNDS else 1
        for generation in range(generations):
            if generation:
                self._reopen()
            self._take_turns(measure, self._budget_s / generations)
            self._each("comparing", Row.finish)

    def _reopen(self) -> None:
        """Replace every worker by a new one: where its memory lies makes a process faster or slower for its life."""
        groups = list(_chunks(self._alive, usable_cpus()))
        for place, group in enumerate(groups):
            self._progress("opening anew", place, len(groups), group[0].job.entry.target)
            for row in group:
                row.start()
            for row in group:
                self._try(row, row.wait_until_open)
        self._each("warming up", Row.warm)

    def _take_turns(self, turn: Callable[[Row, int], None], budget_s: float) -> None:
        """Let rows take turns, round by round, until another round would not fit into the budget."""
        started, first = time.monotonic(), self._done
        while self._alive:
            self._progress("round", self._done, max(self._done, self._planned))
            self._watch([row.record() for row in self._alive if row.rounds], self._done, self._planned)
            order = list(self._alive)
            self._random.shuffle(order)
            for place, row in enumerate(order):
                self._canaries.append(canary())
                self._try(row, lambda row=row, place=place: turn(row, place))  # type: ignore[misc]  # of this turn
                if row.job.entry.device != "cpu":  # it tells this only while it is busy, or just was
                    self._slowdowns |= set(gpu_slowdowns(row.job.entry.device))
            self._done += 1
            self._journal.append((row.number, row.record()) for row in self._alive)
            spent, rounds = time.monotonic() - started, self._done - first
            if spent * (rounds + 1) / rounds > budget_s:
                break
        self._spent_s += time.monotonic() - started

    def _try(self, row: Row, step: Callable[[], None]) -> None:
        """Do a step of a row; a worker that does not answer is a failed row, and the others go on."""
        try:
            step()
        except WorkerError as error:
            row.kill()
            self._failures.append(row.failure(str(error)))
            self._journal.append_failure(row.number, self._failures[-1])
            self._alive.remove(row)

    def _notes(self, *, interrupted: bool) -> Iterator[str]:
        if self._alive and not interrupted and self._done < ENOUGH_ROUNDS:
            needed = 1.1 * ENOUGH_ROUNDS * self._spent_s / max(self._done, 1)
            yield (
                f"{self._done} of {ENOUGH_ROUNDS} rounds that intervals want fitted into the budget of "
                f"{self._budget_s:g} s; pass --budget {needed:.0f}"
            )
        if self._journal.trouble:
            yield f"The rounds could not be kept on disk while they were measured: {self._journal.trouble}"


def _entry(row: Row) -> tuple[str, str, int]:
    """Return what rows have in common that open the same thing in the same way."""
    return row.job.entry.target, row.job.entry.device, row.job.threads


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
