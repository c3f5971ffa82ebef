"""What a report says of the GPUs in use, with fakes of NVML and sysctl."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from toolkit.records import AcceleratorRecord
from toolkit.system.accelerators import accelerators

H200, L4 = ("NVIDIA H200", 140 << 30), (b"NVIDIA L4", 24 << 30)  # bytes in older bindings


@pytest.fixture(autouse=True)
def order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def nvml(monkeypatch: pytest.MonkeyPatch, *cards: tuple[str | bytes, int]) -> list[str]:
    log: list[str] = []
    module = SimpleNamespace(
        nvmlInit=lambda: log.append("open"),
        nvmlShutdown=lambda: log.append("shut"),
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: cards[handle][0],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=cards[handle][1]),
        nvmlSystemGetDriverVersion=lambda: b"580.65",
    )
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return log


def test_each_gpu_in_use_is_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log = nvml(monkeypatch, H200, L4)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert accelerators(["cpu", "cuda:1", "cuda", "cuda:1"]) == (
        AcceleratorRecord(device="cuda:1", name="NVIDIA L4", memory_bytes=24 << 30, driver="580.65"),
        AcceleratorRecord(device="cuda", name="NVIDIA H200", memory_bytes=140 << 30, driver="580.65"),
    )
    assert log == ["open", "shut"] * 2


def test_a_bench_of_the_cpu_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    log = nvml(monkeypatch, H200)
    assert accelerators(["cpu"]) == accelerators([]) == ()
    assert log == []


def test_without_cudas_order_only_what_all_cards_share_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    nvml(monkeypatch, H200, H200)
    (found,) = accelerators(["cuda:1"])
    assert (found.name, found.memory_bytes, found.unavailable) == (*H200, {})
    log = nvml(monkeypatch, H200, L4)
    (found,) = accelerators(["cuda:1"])
    assert (found.name, found.memory_bytes, found.driver) == (None, None, "580.65")
    assert found.unavailable["name"].startswith("not available here: set CUDA_DEVICE_ORDER=PCI_BUS_ID")
    assert log == ["open", "shut"]


def test_without_nvml_every_fact_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    (found,) = accelerators(["cuda"])
    assert found.unavailable.keys() == {"name", "memory_bytes", "driver"}
    assert all(each.startswith("not available here: ") for each in found.unavailable.values())


def test_apples_gpu_has_the_name_of_its_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Any, **_: Any) -> Any:
        assert command[1:] == ("-n", "machdep.cpu.brand_string")
        return SimpleNamespace(stdout="Apple M3 Max\n")

    monkeypatch.setattr(subprocess, "run", run)
    (found,) = accelerators(["mps"])
    assert (found.name, found.memory_bytes, found.driver) == ("Apple M3 Max", None, None)
    assert found.unavailable.keys() == {"memory_bytes", "driver"}


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), subprocess.TimeoutExpired("sysctl", 10)])
def test_a_chip_that_is_not_told_is_unknown(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    (found,) = accelerators(["mps"])
    assert found.name is None
    assert found.unavailable["name"].startswith("not available here: ")


def test_a_gap_without_reason_is_refused() -> None:
    with pytest.raises(ValidationError, match="reasons are given for"):
        AcceleratorRecord(device="cuda", name="NVIDIA L4")
