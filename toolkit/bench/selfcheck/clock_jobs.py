"""Sessions without a model, for checking the clock: each does a job whose length is known."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any, Final

from toolkit.formats import Session
from toolkit.records import Precision, Signature
from toolkit.system.devices import synchronize

#: What `Spinning` and `Threaded` take, in nanoseconds.
COPY_IN_NS: Final = 500_000
COMPUTE_NS: Final = 2_000_000
COPY_OUT_NS: Final = 1_000_000
_CHAIN_SIZE: Final = 2048


class NullSession:
    """Does nothing: what is measured of it is what measuring takes."""

    precision: Precision = "float32"
    signature = Signature(inputs=(), outputs=())

    def to_device(self, images: Any) -> Any:
        """Return what was given."""
        return images

    def run(self, batch: Any) -> Any:
        """Return what was given."""
        return batch

    def synchronize(self) -> None:
        """Return at once."""

    def to_host(self, logits: Any) -> Any:
        """Return what was given."""
        return logits


class Spinning(NullSession):
    """Keeps the CPU busy in each part of a call until a clock says that it is over; a sleep would wake up late."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns

    def to_device(self, images: Any) -> Any:
        """Take `COPY_IN_NS`."""
        return self._spin(COPY_IN_NS, images)

    def run(self, batch: Any) -> Any:
        """Take `COMPUTE_NS`."""
        return self._spin(COMPUTE_NS, batch)

    def to_host(self, logits: Any) -> Any:
        """Take `COPY_OUT_NS`."""
        return self._spin(COPY_OUT_NS, logits)

    def _spin(self, length_ns: int, value: Any) -> Any:
        end = self._now_ns() + length_ns
        while self._now_ns() < end:
            pass
        return value


class Threaded(NullSession):
    """Hands a job of `COMPUTE_NS` to a thread. The thread sleeps: a busy one would keep Python from going on here."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._jobs: list[Future[None]] = []

    def run(self, batch: Any) -> Any:
        """Begin the job."""
        self._jobs.append(self._threads.submit(_sleep_until, time.monotonic_ns() + COMPUTE_NS))
        return batch

    def synchronize(self) -> None:
        """Wait for all jobs."""
        while self._jobs:
            self._jobs.pop().result()


class Pausing(NullSession):
    """Lets a CUDA device count cycles, between two events."""

    def __init__(self, torch: ModuleType, device: str, cycles: int) -> None:
        self._torch, self._device, self._cycles = torch, device, cycles
        self._events: list[tuple[Any, Any]] = []

    def run(self, batch: Any) -> Any:
        """Launch the kernel and both events."""
        started, ended = (self._torch.cuda.Event(enable_timing=True) for _ in range(2))
        started.record()
        self._torch.cuda._sleep(self._cycles)
        ended.record()
        self._events.append((started, ended))
        return batch

    def synchronize(self) -> None:
        """Wait for the device, as every session does."""
        synchronize(self._device, self._torch)

    def least_event_s(self) -> float | None:
        """Wait for all calls, and return the seconds of the shortest by the device's clock; None without a call."""
        self.synchronize()
        return min((started.elapsed_time(ended) / 1e3 for started, ended in self._events), default=None)


class Chain(NullSession):
    """Multiplies matrices one after the other on Metal."""

    def __init__(self, torch: ModuleType, links: int) -> None:
        self._torch, self._links = torch, links
        self._first = torch.rand(_CHAIN_SIZE, _CHAIN_SIZE, device="mps")
        self._factor = torch.rand(_CHAIN_SIZE, _CHAIN_SIZE, device="mps") * (2 / _CHAIN_SIZE)  # so that nothing grows

    def run(self, batch: Any) -> Any:  # noqa: ARG002  the protocol's; the matrices are on the device already
        """Begin all products."""
        product = self._first
        for _ in range(self._links):
            product = self._torch.mm(product, self._factor)
        return product

    def synchronize(self) -> None:
        """Wait for the device, as every session does."""
        synchronize("mps", self._torch)


class Unsynchronized(NullSession):
    """The job of another session, whose end a timer cannot wait for."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def to_device(self, images: Any) -> Any:
        """Wait for the last job, so that they do not pile up: copies are timed apart."""
        self._session.synchronize()
        return self._session.to_device(images)

    def run(self, batch: Any) -> Any:
        """Begin the job."""
        return self._session.run(batch)


def _sleep_until(end_ns: int) -> None:
    while (left := end_ns - time.monotonic_ns()) > 0:
        time.sleep(left / 1e9)
