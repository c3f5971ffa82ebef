"""The worker: a process that opens one artifact, compares its outputs, and times it whenever it is its turn.

``python -m toolkit.bench.engine.worker``: reads a `Job` and then one `Order` per line, answers each with one `Answer`.
Runtimes slow each other down in one process, so each row has its own, and imports no runtime but its own. Between its
turns it waits for the next line; when the parent ends, it ends.
"""

import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from toolkit.bench.engine.job import Answer, Finished, Job, Measured, Opened, Order, Warmed
from toolkit.bench.engine.measure import CallTimes, closed_loop, even_gaps, open_loop, pipeline, random_gaps, settle
from toolkit.bench.engine.memory import peak_growth_bytes, read_memory
from toolkit.bench.engine.outputs import batch_of, wrong_outputs
from toolkit.errors import first_line
from toolkit.formats import FORMATS, VARIANTS, Session, import_format
from toolkit.formats.golden import Golden, read_golden
from toolkit.formats.target import Target
from toolkit.records import MemoryReading
from toolkit.system.processes import die_with_parent

_DEVICE_CALLS: Final = 20
_WAKE_S: Final = 0.002


class Worker:
    """One row: what `Job` says, and the session once it is open."""

    def __init__(self, job: Job) -> None:
        self._job, self._entry = job, job.entry
        self._runtime: Any = None
        self._opened: Session | None = None
        self._empty: MemoryReading | None = None
        self._golden: Golden | None = None
        self._images: NDArray[np.float32] | None = None

    def carry_out(self, order: Order) -> Answer:
        """Do what an order says."""
        match order.do:
            case "open":
                return Answer(opened=self._open())
            case "warm":
                return Answer(warmed=self._warm(order))
            case "measure":
                return Answer(measured=self._measure(order))
            case "time on device":
                return Answer(device_s=self._device_times())
            case "finish":
                return Answer(finished=self._finish())

    def _open(self) -> Opened:
        started = time.perf_counter()
        self._runtime = self._import_runtime()
        imported = time.perf_counter()
        target = self._target
        if target:
            target.check_safe()
            target = replace(target, trusted=True)  # scanned once, outside of what is timed
        self._empty = read_memory(reset=True)
        begun = time.perf_counter()
        session = self._load(target)
        load_s = time.perf_counter() - begun
        self._opened = target.fit(session) if target else session
        return Opened(import_s=imported - started, load_s=load_s, precision=self._session.precision)

    def _warm(self, order: Order) -> Warmed:
        """Make the first calls of this process, and compare what they give only afterwards."""
        self._golden = read_golden(Path(self._entry.golden))
        self._images = batch_of(self._golden, self._job.batch_size)
        calls = closed_loop(
            self._session, self._images, seconds=order.seconds, min_calls=order.min_calls, max_calls=order.max_calls
        )
        wrong = self._wrong_outputs()
        gc.freeze()  # what is there now stays: no collection between slices has to look through it again
        settle()
        return Warmed(trace_ns=calls.compute_ns, wrong=wrong)

    def _measure(self, order: Order) -> Measured:
        match self._job.scenario.kind:
            case "throughput":
                measured = self._throughput(order)
            case "paced" | "poisson":
                measured = self._scheduled(order)
            case _:
                measured = self._closed(order)
        return measured.changed(settled=settle())

    def _closed(self, order: Order) -> Measured:
        calls = self._calls(order)
        return Measured(
            times_ns=calls.compute_ns,
            calls=len(calls.compute_ns),
            wall_s=sum(calls.compute_ns) / 1e9,
            copy_in_ns=calls.copy_in_ns,
            copy_out_ns=calls.copy_out_ns,
            settled=True,
        )

    def _calls(self, order: Order) -> CallTimes:
        """Call, first without counting: what slept since its last turn wakes up, in threads and in caches."""
        images, session = self._ready_images, self._session
        closed_loop(session, images, seconds=_WAKE_S, min_calls=1, max_calls=order.max_calls)
        return closed_loop(session, images, seconds=order.seconds, min_calls=order.min_calls, max_calls=order.max_calls)

    def _throughput(self, order: Order) -> Measured:
        """Call as often as the device takes; on the CPU other processes do the same meanwhile, copies included."""
        if self._entry.device == "cpu":
            parts = self._calls(order)
            calls = len(parts.compute_ns)
            wall_ns = sum(parts.copy_in_ns) + sum(parts.compute_ns) + sum(parts.copy_out_ns)
        else:
            calls, wall_ns = pipeline(
                self._session, self._ready_images, seconds=order.seconds, max_calls=order.max_calls
            )
        return Measured(times_ns=(round(wall_ns / calls),), calls=calls, wall_s=wall_ns / 1e9, settled=True)

    def _scheduled(self, order: Order) -> Measured:
        interval = self._job.scenario.interval_s
        assert interval is not None  # the scenario's validator
        gaps = even_gaps(interval) if self._job.scenario.kind == "paced" else random_gaps(interval, order.seed)
        arrivals = open_loop(
            self._session,
            self._ready_images,
            gaps,
            seconds=order.seconds,
            min_calls=order.min_calls,
            max_calls=order.max_calls,
        )
        return Measured(
            times_ns=arrivals.latency_ns,
            calls=len(arrivals.latency_ns),
            wall_s=arrivals.wall_ns / 1e9,
            service_ns=arrivals.service_ns,
            settled=True,
        )

    def _finish(self) -> Finished:
        assert self._empty is not None  # it was opened
        device_memory_bytes = getattr(self._runtime, "device_memory_bytes", None)
        return Finished(
            wrong=self._wrong_outputs(),
            peak_memory_bytes=peak_growth_bytes(self._empty, read_memory()),
            device_memory_bytes=device_memory_bytes(self._entry.device) if device_memory_bytes else None,
        )

    def _device_times(self) -> tuple[float, ...]:
        """Return seconds of a few more calls by the device's own clock, where its runtime can ask it."""
        device_times = getattr(self._runtime, "device_times", None)
        if self._entry.device == "cpu" or device_times is None:
            return ()
        batch = self._session.to_device(self._ready_images)
        settle()
        return device_times(self._session, batch, self._entry.device, _DEVICE_CALLS) or ()

    def _wrong_outputs(self) -> str | None:
        assert self._golden is not None  # it was warmed
        return wrong_outputs(self._session, self._golden, self._ready_images)

    def _load(self, target: Target | None) -> Session:
        """Open what the job names; this alone is timed."""
        entry, threads = self._entry, self._job.threads
        if target:
            return target.load(entry.device, threads)
        from toolkit.fashion.checkpoint import load_checkpoint

        model = load_checkpoint(Path(entry.checkpoint) if entry.checkpoint else None).model()
        session: Session = self._runtime.open_model(model, entry.device, threads)
        return session

    @property
    def _target(self) -> Target | None:
        entry = self._entry
        if not entry.path:
            return None
        return Target(FORMATS[entry.format], Path(entry.path), entry.precision, trusted=entry.trusted)

    def _import_runtime(self) -> Any:
        if self._entry.path:
            return import_format(FORMATS[self._entry.format])
        import_module("toolkit.fashion.checkpoint")  # reading weights is part of it
        return import_format(VARIANTS[self._entry.format])

    @property
    def _session(self) -> Session:
        assert self._opened is not None
        return self._opened

    @property
    def _ready_images(self) -> NDArray[np.float32]:
        assert self._images is not None  # it was warmed
        return self._images


def _lines(stream: TextIO) -> Iterator[str]:
    """Yield lines as they come; at the end of the stream, which is the parent's end, end this process at once.

    A thread reads, so that the end is seen during a call as well. It sleeps in the system: it takes nothing away.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            waiting.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    """Carry out orders from stdin; answer on what was stdout, so that whatever a library prints goes to stderr."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines = _lines(sys.stdin)
    worker = Worker(Job.model_validate_json(next(lines)))
    for line in lines:
        order = Order.model_validate_json(line)
        try:
            answer = worker.carry_out(order)
        except Exception as error:  # noqa: BLE001  out of memory, or what else a runtime raises
            answer = Answer(fault=first_line(error))
        answers.write(answer.model_dump_json(exclude_unset=True) + "\n")
        answers.flush()
        if order.do == "finish" or answer.fault:
            return


if __name__ == "__main__":
    main()
    os._exit(0)  # the thread that reads must not keep it, and a runtime has nothing to tidy
