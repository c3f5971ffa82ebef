"""The limits of a GPU, by a torch that computes on the CPU and logs: what is launched, when it is waited for."""

import os
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.bench.limits import gpu as limits_gpu
from toolkit.bench.limits import run_limits_job
from toolkit.bench.limits.gpu import no_slower_than_larger, products, readers, repeated
from toolkit.records import BandwidthRecord
from toolkit.records.machine import LimitsJob


class Gpu:
    """torch with a GPU. Float32 products are lowered where the setting, or the device itself, says so."""

    float32, float16, bfloat16 = torch.float32, torch.float16, torch.bfloat16

    def __init__(self, *, has_tf32: bool = True, always_lowers: bool = False) -> None:
        self.log: list[str] = []
        self._has_tf32, self._always_lowers = has_tf32, always_lowers
        self.matmul = SimpleNamespace(fp32_precision="none")
        self.backends = SimpleNamespace(cuda=SimpleNamespace(matmul=self.matmul))
        self.cuda = SimpleNamespace(synchronize=lambda device: self.log.append(f"wait {device}"))
        self.mps = SimpleNamespace(synchronize=lambda: self.log.append("wait mps"))

    def __getattr__(self, name: str) -> Any:
        def made(*sizes: Any, device: str, **options: Any) -> torch.Tensor:
            return getattr(torch, name)(*sizes, **options)

        assert name in {"rand", "ones", "empty", "full"}
        return made

    def mm(self, left: torch.Tensor, right: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        if out is not None:  # one that is timed
            self.log.append(f"product in {self.matmul.fp32_precision}")
            return out
        lowered = self._always_lowers or (self._has_tf32 and self.matmul.fp32_precision == "tf32")
        return torch.mm(left.round() if lowered else left, right)

    def sum(self, array: torch.Tensor, dim: int, out: torch.Tensor) -> torch.Tensor:
        self.log.append(f"sum of {tuple(array.shape)}")
        return torch.sum(array, dim, out=out)


SMALL = (8, 16, 4)


def make_all(gpu: Any, device: str) -> dict[str, Any]:
    return {precision: make for _, precision, make in products(device, gpu)}


@pytest.fixture(autouse=True)
def four_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a call takes on this machine."""
    monkeypatch.setattr(limits_gpu, "_MOST_CALLS", 4)
    monkeypatch.setattr(limits_gpu, "_BATCH_S", 1e9)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # what it was comes back after the test


@pytest.mark.parametrize(
    ("device", "precisions"),
    [("cuda:1", ["float32", "tf32", "float16", "bfloat16"]), ("mps", ["float32", "float16", "bfloat16"])],
)
def test_every_precision_of_a_device_is_tried(device: str, precisions: list[str]) -> None:
    gpu: Any = Gpu()
    assert list(make_all(gpu, device)) == precisions


def test_products_that_take_turns_keep_their_precision_and_wait_once() -> None:
    gpu: Any = Gpu()
    works = {precision: make(SMALL) for precision, make in make_all(gpu, "cuda:1").items()}
    for _ in range(2):
        for precision, (kernel, work) in works.items():
            gpu.log.clear()
            kernel()
            assert gpu.log == [f"product in {'tf32' if precision == 'tf32' else 'ieee'}"] * 4 + ["wait cuda:1"]
            assert work == 4 * 2 * 8 * 16 * 4


def test_metal_has_no_setting_of_precision() -> None:
    gpu: Any = Gpu()
    kernel, _ = make_all(gpu, "mps")["float32"](SMALL)
    gpu.log.clear()
    kernel()
    assert gpu.log == ["product in none"] * 4 + ["wait mps"]


def test_a_gpu_without_tf32_has_no_peak_of_it() -> None:
    gpu: Any = Gpu(has_tf32=False)
    with pytest.raises(RuntimeError, match="should be in tf32 are in float32"):
        make_all(gpu, "cuda")["tf32"](SMALL)
    make_all(gpu, "cuda")["float32"](SMALL)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_float32_that_is_lowered_has_no_peak(device: str) -> None:
    gpu: Any = Gpu(always_lowers=True)
    with pytest.raises(RuntimeError, match="should be in float32 are in less"):
        make_all(gpu, device)["float32"](SMALL)


def test_tf32_is_no_longer_forbidden_when_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    seen = "NVIDIA_TF32_OVERRIDE"
    monkeypatch.setattr(limits_gpu, "import_module", lambda _: SimpleNamespace(seen=os.environ.get(seen)))
    (_, _, make), *_ = products("cuda")
    assert make.args[0].seen is None  # type: ignore[attr-defined]  # a partial


class Machine:
    """A device to which launching takes 5 µs, a call 40 µs and waiting for it 50 µs more."""

    def __init__(self) -> None:
        self.now = self.free = 0.0
        self.waits = 0

    def begin(self) -> None:
        self.now += 5e-6
        self.free = max(self.now, self.free) + 40e-6

    def wait(self) -> None:
        self.waits += 1
        self.now = max(self.now, self.free) + 50e-6

    def clock(self) -> float:
        return self.now


def test_launching_and_waiting_hardly_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_gpu, "_MOST_CALLS", 10_000)
    monkeypatch.setattr(limits_gpu, "_BATCH_S", 10e-3)
    machine = Machine()
    kernel, work = repeated(machine.begin, machine.wait, 7, machine.clock)
    calls, before, waits = work / 7, machine.now, machine.waits
    kernel()
    assert machine.waits == waits + 1
    assert 10e-3 <= machine.now - before < 15e-3
    assert (machine.now - before) / calls == pytest.approx(40e-6, rel=0.01)


def test_a_long_call_is_begun_once_and_a_short_one_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_gpu, "_BATCH_S", 10e-3)
    machine = Machine()
    _, work = repeated(lambda: [machine.begin() for _ in range(1000)], machine.wait, 1, machine.clock)
    assert work == 1
    _, work = repeated(lambda: None, lambda: None, 1, lambda: 0.0)
    assert work == 4


@pytest.mark.parametrize(
    ("device", "size", "kernels"),
    [
        ("cuda", 1 << 20, {"sum", "copy"}),
        ("cuda", 4000, {"sum", "copy", "repeated sum"}),
        ("cuda", 4, {"sum", "copy", "repeated sum"}),
        ("mps", 4000, {"sum", "copy"}),
    ],
)
def test_memory_is_summed_and_copied_and_a_small_array_summed_often(
    device: str, size: int, kernels: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_gpu, "_READ_BYTES", 1 << 20)
    gpu: Any = Gpu()
    found = readers(device, size, gpu)
    assert set(found) == kernels
    count = max(2, size // 4)  # of float32; four calls are begun before the device is waited for
    assert found["sum"][1] == 4 * 4 * count
    assert found["copy"][1] == 4 * 2 * 4 * (count // 2)
    if "repeated sum" in kernels:
        times = min(4096, (1 << 20) // (4 * count))
        assert found["repeated sum"][1] == 4 * 4 * count * times
        gpu.log.clear()
        found["repeated sum"][0]()
        assert gpu.log == [f"sum of {(times, count)}"] * 4 + [f"wait {device}"]


def bandwidth(size: int, bytes_per_s: float) -> BandwidthRecord:
    return BandwidthRecord(working_set_bytes=size, bytes_per_s=bytes_per_s, kernel="sum")


def test_a_small_array_is_read_as_fast_as_any_larger_one() -> None:
    found = no_slower_than_larger((bandwidth(10, 1e9), bandwidth(40, 2e9), bandwidth(20, 5e9), bandwidth(30, 3e9)))
    assert [(each.working_set_bytes, each.bytes_per_s, each.kernel) for each in found] == [
        (10, 5e9, "sum of 20 bytes"),
        (20, 5e9, "sum"),
        (30, 3e9, "sum"),
        (40, 2e9, "sum"),
    ]
    assert no_slower_than_larger(()) == ()


def test_a_job_on_a_gpu_measures_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu: Any = Gpu(has_tf32=False)
    monkeypatch.setattr(limits_gpu, "import_module", lambda _: gpu)
    monkeypatch.setattr(limits_gpu, "SHAPES", (SMALL, (16, 16, 4)))
    job = LimitsJob(part="torch", device="cuda:1", threads=3, working_sets_bytes=(4000,))
    result = run_limits_job(job, budget_s=0.01)
    assert (result.device, result.threads) == ("cuda:1", 3)
    assert {(each.runtime, each.precision) for each in result.peaks} == {
        ("torch", "float32"),
        ("torch", "float16"),
        ("torch", "bfloat16"),
    }
    assert [each.what for each in result.skips] == ["peak of torch in tf32"]
    memory = run_limits_job(job.model_copy(update={"part": "memory"}), budget_s=0.01)
    assert (memory.device, [each.working_set_bytes for each in memory.bandwidths]) == ("cuda:1", [4000])


def test_a_device_that_torch_does_not_have_is_a_skip_of_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("it has")
    job = LimitsJob(part="torch", device="cuda", threads=1, working_sets_bytes=(4,))
    result = run_limits_job(job, budget_s=0.01)
    assert result.peaks == ()
    assert [each.what for each in result.skips] == [
        f"peak of torch in {each}" for each in ("float32", "tf32", "float16", "bfloat16")
    ]


@pytest.mark.cuda
def test_the_limits_of_a_gpu_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_gpu, "_MOST_CALLS", 10_000)
    monkeypatch.setattr(limits_gpu, "_BATCH_S", 10e-3)
    job = LimitsJob(part="torch", device="cuda", threads=1, working_sets_bytes=(2_700_000, 256 << 20))
    peaks = {each.precision: each.flop_per_s for each in run_limits_job(job).peaks}
    assert peaks["float16"] > peaks["float32"] > 0
    memory = run_limits_job(job.model_copy(update={"part": "memory"})).bandwidths
    assert memory[0].bytes_per_s >= memory[1].bytes_per_s > 1e10
