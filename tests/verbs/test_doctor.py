"""Doctor: devices and formats where a GPU is possible, where not, and where torch does not start."""

import pytest

from toolkit.records import DoctorRecord
from toolkit.system.devices import describe_devices
from toolkit.verbs import doctor


def diagnosed() -> DoctorRecord:
    record = doctor.check_machine().doctor
    assert record is not None
    return record


def test_without_a_gpu_the_devices_are_those_that_torch_finds() -> None:
    record = diagnosed()
    assert record.devices == describe_devices()
    assert all(each.works and "cpu" in each.devices for each in record.formats)


def test_where_a_gpu_is_possible_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "may_have_gpu", lambda torch: True)
    monkeypatch.setattr(doctor, "torch_without_gpu", lambda: None)
    assert diagnosed().devices == describe_devices()


@pytest.mark.parametrize("code", ["raise ImportError('libcudart.so.13 is gone')", "pass"])
def test_a_torch_that_does_not_start_costs_its_formats_and_no_others(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "may_have_gpu", lambda torch: True)
    monkeypatch.setattr(doctor, "_ASK_TORCH", code)
    record = diagnosed()
    assert [(each.device, each.available) for each in record.devices] == [
        ("cpu", True),
        ("cuda", False),
        ("mps", False),
    ]
    broken = [each for each in record.formats if not each.works]
    assert {each.runtime for each in broken} == {"libtorch"}
    assert {each.runtime for each in record.formats if each.works} == {"onnxruntime"}
    assert all("torch does not start" in each.detail and each.devices == () for each in broken)
    if "raise" in code:
        assert "libcudart.so.13 is gone" in broken[0].detail


def test_a_torch_with_files_missing_is_not_said_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "torch/lib/libtorch.so is missing or empty; reinstall with: pip install --force-reinstall torch"
    monkeypatch.setattr(doctor, "installation_problem", lambda name: problem)
    record = diagnosed()
    assert {each.detail for each in record.formats if not each.works} == {problem}
    assert [each.description for each in record.devices[1:]] == [problem, problem]
