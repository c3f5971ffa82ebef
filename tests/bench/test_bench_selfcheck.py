"""The self check of the clock: an honest timer passes everywhere, each kind of broken one fails."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.bench import selfcheck
from toolkit.bench.engine.launch import work_apart
from toolkit.bench.engine.measure import CallTimes, closed_loop
from toolkit.bench.selfcheck import ClockJob, check_clock, cuda_checks, host_checks, mps_checks, self_check
from toolkit.errors import DeviceUnavailableError
from toolkit.records import ClockCheck, SelfCheckRecord

ROOT = Path(selfcheck.__file__).parents[3]
Clock = Callable[[], int]


def broken_loop(
    session: Any,
    images: Any,
    *,
    seconds: float,
    min_calls: int,
    max_calls: int,
    compute: tuple[str, str] = ("copied in", "done"),
    waits: bool = True,
    scale: float = 1.0,
    idle_s: float = 0.0,
    clock_ns: Clock = time.perf_counter_ns,
) -> CallTimes:
    """A timer that takes the time of ``compute`` between two moments of a call, and may have other faults."""
    copies_in, times, copies_out = [], [], []
    for _ in range(min_calls):
        at = {"begun": clock_ns()}
        batch = session.to_device(images)
        session.synchronize()
        at["copied in"] = clock_ns()
        logits = session.run(batch)
        at["launched"] = clock_ns()
        if waits:
            session.synchronize()
        if idle_s:
            time.sleep(idle_s)
        at["done"] = clock_ns()
        session.to_host(logits)
        at["copied out"] = clock_ns()
        copies_in.append(round((at["copied in"] - at["begun"]) * scale))
        times.append(round((at[compute[1]] - at[compute[0]]) * scale))
        copies_out.append(round((at["copied out"] - at["done"]) * scale))
    return CallTimes(tuple(copies_in), tuple(times), tuple(copies_out))


def nothing(*_: object, **__: object) -> CallTimes:
    return CallTimes((), (), ())


def failed(checks: tuple[ClockCheck, ...] | list[ClockCheck]) -> set[str]:
    return {each.name for each in checks if not each.passed}


def test_the_timer_of_bench_is_honest_on_the_cpu() -> None:
    record = self_check("cpu")
    assert failed(record.checks) == set()
    assert record.passed
    assert 0 < record.overhead_s < 1e-6
    assert {each.name for each in record.checks} == {"overhead", "known length", "waits"}


# What must fail, and what may: a thread wakes up late, and by how much is the system's affair.
BROKEN: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "a loop like the real one": ({}, set(), set()),
    "forgets to synchronise": ({"waits": False}, {"waits"}, set()),
    "reads the clock before it synchronises": ({"compute": ("copied in", "launched")}, {"waits"}, set()),
    "starts the clock after run": ({"compute": ("launched", "done")}, {"known length"}, {"waits"}),
    "starts the clock before the copy in": ({"compute": ("begun", "done")}, {"known length"}, {"waits"}),
    "stops the clock after the copy out": ({"compute": ("copied in", "copied out")}, {"known length"}, set()),
    "returns microseconds": ({"scale": 1e-3}, {"known length", "waits"}, set()),
    "has a clock that is 3 % fast": ({"scale": 1.03}, {"known length"}, set()),
    "has a clock that is 3 % slow": ({"scale": 0.97}, {"known length"}, {"waits"}),
    "does something of its own": ({"idle_s": 1e-4}, {"overhead", "known length"}, set()),
}


@pytest.mark.parametrize(("faults", "must", "may"), BROKEN.values(), ids=BROKEN)
def test_a_broken_timer_fails_on_the_cpu(faults: dict[str, Any], must: set[str], may: set[str]) -> None:
    record = self_check("cpu", partial(broken_loop, **faults))
    assert must <= failed(record.checks) <= must | may
    assert record.passed is not bool(must)


def test_a_timer_without_times_fails_every_check() -> None:
    record = self_check("cpu", nothing)
    assert not any(each.passed for each in record.checks)
    assert (record.overhead_s, {each.measured for each in record.checks}) == (0.0, {None})


def test_each_part_of_a_call_is_checked_against_the_other_clock() -> None:
    now = 0

    def clock() -> int:
        nonlocal now
        now += 100
        return now

    checks = host_checks(partial(closed_loop, clock_ns=clock), clock)
    assert failed(checks) == set()
    assert [each.limit for each in checks] == pytest.approx([0.5e-3, 0.54e-3, 2e-3, 2.04e-3, 1e-3, 1.04e-3])
    assert all(each.measured == pytest.approx(each.limit, abs=41e-6) for each in checks)


class Gpu:
    """A GPU that works on its own, on a clock of its own and the host's. Launching takes 5 µs, waking up 20 µs."""

    def __init__(self, *, ghz: float = 1.5, product_ns: int = 3_000_000, asynchronous: bool = True) -> None:
        self.now, self.free, self.log = 0, 0, []
        self._asynchronous, self._ghz, self._product_ns = asynchronous, ghz, product_ns
        self.cuda = SimpleNamespace(
            _sleep=lambda cycles: self.launch(cycles / self._ghz),
            Event=lambda enable_timing: FakeEvent(self),
            device=self.select,
            synchronize=self.wait,
        )
        self.mps = SimpleNamespace(synchronize=lambda: self.wait("mps"))

    def clock(self) -> int:
        self.now += 50
        return self.now

    def launch(self, length_ns: float) -> None:
        self.now += 5_000
        self.free = max(self.now, self.free) + round(length_ns)
        if not self._asynchronous:
            self.now = self.free

    def wait(self, device: str) -> None:
        self.log.append(device)
        self.now = max(self.now, self.free) + 20_000

    def select(self, device: str) -> AbstractContextManager[None]:
        self.log.append(f"select {device}")
        return nullcontext()

    def rand(self, *shape: int, device: str) -> "Matrix":
        assert device == "mps"
        return Matrix()

    def mm(self, left: "Matrix", right: "Matrix") -> "Matrix":
        self.launch(self._product_ns)
        return Matrix()


class Matrix:
    def __mul__(self, factor: float) -> "Matrix":
        return self


class FakeEvent:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._at = gpu, 0

    def record(self) -> None:
        self._gpu.now += 2_000
        self._at = max(self._gpu.now, self._gpu.free)

    def elapsed_time(self, end: "FakeEvent") -> float:
        assert self._gpu.now >= end._at, "CUDA raises for an event that is still to come"
        return (end._at - self._at) / 1e6


GPU_BROKEN = {
    "a loop like the real one": ({}, set(), set()),
    "forgets to synchronise": ({"waits": False}, {"known length", "waits"}, {"waits"}),
    "starts the clock after run": ({"compute": ("launched", "done")}, set(), set()),  # found on the host: every device
    "returns microseconds": ({"scale": 1e-3}, {"known length"}, set()),
    "has a clock that is 3 % fast": ({"scale": 1.03}, {"known length"}, set()),
    "has a clock that is 6 % slow": ({"scale": 0.94}, {"known length"}, set()),
}


@pytest.mark.parametrize(("faults", "cuda", "mps"), GPU_BROKEN.values(), ids=GPU_BROKEN)
@pytest.mark.parametrize("ghz", [0.4, 1.5, 2.6])
def test_a_broken_timer_fails_on_a_gpu(ghz: float, faults: dict[str, Any], cuda: set[str], mps: set[str]) -> None:
    gpu: Any = Gpu(ghz=ghz)
    assert failed(cuda_checks(partial(broken_loop, clock_ns=gpu.clock, **faults), gpu, "cuda:1")) == cuda
    gpu = Gpu(product_ns=round(4_000_000 / ghz))
    assert failed(mps_checks(partial(broken_loop, clock_ns=gpu.clock, **faults), gpu)) == mps


def test_the_timer_of_bench_is_honest_on_gpus() -> None:
    gpu: Any = Gpu()
    checks = cuda_checks(partial(closed_loop, clock_ns=gpu.clock), gpu, "cuda:1")
    assert failed(checks) == set()
    assert [each.name for each in checks] == ["known length", "known length", "waits"]
    assert set(gpu.log) == {"select cuda:1", "cuda:1"}
    assert checks[0].measured == pytest.approx(20e-3, rel=0.01)
    gpu = Gpu()
    checks = mps_checks(partial(closed_loop, clock_ns=gpu.clock), gpu)
    assert failed(checks) == set()
    assert [each.name for each in checks] == ["linear", "linear", "waits"]
    assert checks[0].measured == pytest.approx(2, abs=0.02)


def test_a_device_that_does_not_work_on_its_own_fails() -> None:
    gpu: Any = Gpu(asynchronous=False)
    assert failed(cuda_checks(partial(closed_loop, clock_ns=gpu.clock), gpu, "cuda")) == {"waits"}
    assert failed(mps_checks(partial(closed_loop, clock_ns=gpu.clock), gpu)) == {"waits"}


def test_without_times_gpus_fail_every_check_and_end() -> None:
    gpu: Any = Gpu()
    assert not any(each.passed for each in (*cuda_checks(nothing, gpu, "cuda"), *mps_checks(nothing, gpu)))


def test_an_event_clock_that_stands_still_ends_and_fails() -> None:
    gpu: Any = Gpu()
    gpu.cuda.Event = lambda enable_timing: SimpleNamespace(record=lambda: None, elapsed_time=lambda end: 0.0)
    checks = cuda_checks(partial(closed_loop, clock_ns=gpu.clock), gpu, "cuda")
    assert "known length" in failed(checks)


def test_the_device_decides_what_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "resolve_device", lambda device, torch: device)
    check = ClockCheck(name="linear", measured=2.0, limit=2.2, bound="at most", unit="ratio", detail="")
    monkeypatch.setattr(selfcheck, "mps_checks", lambda measure, torch: [check])
    monkeypatch.setattr(selfcheck, "cuda_checks", lambda measure, torch, device: [check] if device == "cuda:1" else [])
    for device in ("mps", "cuda:1"):
        record = self_check(device)
        assert record.device == device
        assert record.checks[-1] == check
        assert {each.name for each in record.checks} == {"overhead", "known length", "linear"}


def test_a_device_that_is_not_here_is_an_error() -> None:
    with pytest.raises(DeviceUnavailableError):
        self_check("cuda:63")


@pytest.mark.cuda
def test_the_timer_of_bench_is_honest_on_cuda() -> None:
    assert failed(self_check("cuda").checks) == set()


@pytest.mark.mps
def test_the_timer_of_bench_is_honest_on_mps() -> None:
    assert failed(self_check("mps").checks) == set()


def apart(device: str, scratch: Path) -> SelfCheckRecord | str:
    return work_apart(check_clock, ClockJob(device=device), SelfCheckRecord, scratch=scratch, threads=1, timeout_s=60)


def test_the_clock_is_checked_in_a_process_of_its_own(tmp_path: Path) -> None:
    record = apart("cpu", tmp_path)
    assert isinstance(record, SelfCheckRecord)
    assert record.device == "cpu"
    assert (tmp_path / "check_clock.log").read_text() == ""


def test_a_process_without_its_device_says_so_in_its_last_line(tmp_path: Path) -> None:
    trouble = apart("cuda:63", tmp_path)
    assert isinstance(trouble, str)
    assert "exit code 1" in trouble
    assert "Device 'cuda:63' is not available" in trouble


def test_the_cpu_is_checked_without_a_runtime() -> None:
    code = """
import sys
from toolkit.bench.selfcheck import self_check
self_check("cpu")
print([name for name in ("torch", "onnx", "onnxruntime", "scipy") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.strip() == "[]"
