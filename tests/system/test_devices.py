from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.errors import DeviceUnavailableError, UsageError
from toolkit.system.devices import (
    describe_devices,
    fitting_threads,
    leaving_torch_as_it_is,
    resolve_device,
    synchronize,
)


def fake(*, cuda: str | None = None, gpus: int = 0, mps_built: bool = False, mps: bool = False) -> Any:
    """A torch of some build on some machine, which logs what it is told to wait for."""
    log: list[str] = []
    return SimpleNamespace(
        __version__="2.99",
        log=log,
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: gpus > 0,
            device_count=lambda: gpus,
            get_device_name=lambda i: f"GPU {i}",
            synchronize=lambda device: log.append(f"cuda {device}"),
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_built=lambda: mps_built, is_available=lambda: mps)),
        mps=SimpleNamespace(synchronize=lambda: log.append("mps")),
    )


@pytest.mark.parametrize(
    ("name", "torch_", "expected"),
    [
        ("cpu", fake(), "cpu"),
        ("auto", fake(), "cpu"),
        ("auto", fake(cuda="13.0"), "cpu"),
        ("auto", fake(cuda="13.0", gpus=1), "cuda"),
        ("auto", fake(mps_built=True, mps=True), "mps"),
        ("auto", fake(cuda="13.0", gpus=1, mps_built=True, mps=True), "cuda"),
        ("cuda", fake(cuda="13.0", gpus=1), "cuda"),
        ("cuda:1", fake(cuda="13.0", gpus=2), "cuda:1"),
        ("mps", fake(mps_built=True, mps=True), "mps"),
    ],
)
def test_a_device_that_is_here_is_resolved(name: str, torch_: Any, expected: str) -> None:
    assert resolve_device(name, torch_) == expected


@pytest.mark.parametrize(
    ("name", "torch_", "reason", "remedy"),
    [
        ("cuda", fake(), "is a build without CUDA", "install a CUDA build"),
        ("cuda", fake(cuda="13.0"), "built for CUDA 13.0 but finds no NVIDIA driver or GPU", "nvidia-smi"),
        ("cuda:2", fake(cuda="13.0", gpus=2), r"has 2 CUDA device\(s\)", "smaller number"),
        ("mps", fake(), "built without Metal", "Apple silicon"),
        ("mps", fake(mps_built=True), "finds no GPU that it supports", "--device cpu"),
    ],
)
def test_a_device_that_is_not_here_is_an_error_with_the_build_and_the_remedy(
    name: str, torch_: Any, reason: str, remedy: str
) -> None:
    with pytest.raises(DeviceUnavailableError, match=reason) as caught:
        resolve_device(name, torch_)
    assert remedy in caught.value.remedy
    assert caught.value.device == name


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:1", "CUDA", ""])
def test_what_is_no_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="Unknown device"):
        resolve_device(name, fake(cuda="13.0", gpus=1))


@pytest.mark.parametrize(("device", "waited"), [("cpu", []), ("cuda:1", ["cuda cuda:1"]), ("mps", ["mps"])])
def test_synchronize_waits_for_the_device_meant(device: str, waited: list[str]) -> None:
    torch_ = fake(cuda="13.0", gpus=2, mps_built=True, mps=True)
    synchronize(device, torch_)
    assert torch_.log == waited


def test_every_kind_of_device_is_described_with_reason_or_name() -> None:
    described = {each.device: each for each in describe_devices(fake(cuda="13.0", gpus=2))}
    assert set(described) == {"cpu", "cuda:0", "cuda:1", "mps"}
    assert described["cuda:1"].description == "GPU 1"
    assert not described["mps"].available
    assert "Apple silicon" in described["mps"].description


def test_describes_this_machine() -> None:
    assert any(each.available for each in describe_devices(torch))


@pytest.mark.parametrize(("products", "threads"), [(1_000, 1), (10**12, 3)])
def test_what_is_little_is_computed_on_one_thread(products: int, threads: int) -> None:
    with leaving_torch_as_it_is():
        torch.set_num_threads(3)
        with fitting_threads(products):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 3
