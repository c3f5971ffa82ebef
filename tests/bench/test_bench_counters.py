"""Counters, memory and energy, read from made-up system files."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from toolkit.bench.engine.memory import peak_growth_bytes, read_memory
from toolkit.bench.machine import counters as counters_module
from toolkit.bench.machine.counters import is_bench, read_counters
from toolkit.bench.machine.energy import energy_j, power_w, read_energy
from toolkit.records import Counters, EnergyDomain, EnergyReading, MemoryReading, Unavailable

TICK = 1 / os.sysconf("SC_CLK_TCK")
STAT = "cpu  100 20 30 400 50 6 7 8 90 9\ncpu0 50 10 15 200 25 3 3 4 45 4\ncpu1 50 10 15 200 25 3 4 4 45 5\nintr 1\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_every_file_is_read(tmp_path: Path) -> None:
    cpu, group = "sys/devices/system/cpu", "sys/fs/cgroup"
    root = write(
        tmp_path,
        {
            "proc/stat": STAT,
            "proc/loadavg": "1.50 1.00 0.50 2/117 4652\n",
            "proc/self/cgroup": "9:cpu:/old\n0::/pod/box\n",
            f"{group}/pod/cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 2\nthrottled_usec 300000\n",
            f"{group}/pod/box/cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 1\nthrottled_usec 50000\n",
            f"{group}/cpu.stat": "usage_usec 5\n",
            f"{cpu}/cpufreq/policy0/scaling_governor": "schedutil\n",
            f"{cpu}/cpufreq/policy1/scaling_governor": "performance\n",
            f"{cpu}/cpu0/thermal_throttle/core_throttle_count": "3\n",
            f"{cpu}/cpu1/thermal_throttle/package_throttle_count": "4\n",
            "sys/class/power_supply/BAT0/type": "Battery\n",
            "sys/class/power_supply/BAT0/status": "Discharging\n",
            "sys/class/power_supply/AC/type": "Mains\n",
        },
    )
    found = read_counters(root)
    assert found.cpus == 2
    assert found.total_s == pytest.approx(621 * TICK)  # guests are in user and nice already
    assert found.busy_s == pytest.approx(163 * TICK)  # neither idle nor waiting for a disk nor stolen
    assert found.steal_s == pytest.approx(8 * TICK)
    assert found.load_1min == 1.5
    assert (found.throttled_periods, found.throttled_s) == (3, pytest.approx(0.35))
    assert found.governors == {"policy0": "schedutil", "policy1": "performance"}
    assert found.thermal_throttles == 7
    assert found.on_battery is True
    assert found.unavailable.keys() == {"own_cpu_s", "other_benches", "gpu_slowdowns"}


def test_a_mouse_is_no_battery_of_the_machine(tmp_path: Path) -> None:
    folder = "sys/class/power_supply/mouse"
    root = write(
        tmp_path, {f"{folder}/type": "Battery", f"{folder}/scope": "Device", f"{folder}/status": "Discharging"}
    )
    assert read_counters(root).on_battery is None


def test_an_empty_machine_has_a_reason_for_each_counter(tmp_path: Path) -> None:
    found = read_counters(tmp_path)
    assert found.unavailable.keys() == type(found).model_fields.keys() - {"usable_cpus", "unavailable"}
    assert all(reason.startswith("not available here: ") for reason in found.unavailable.values())
    assert "proc/stat: No such file" in found.unavailable["total_s"]


@pytest.mark.parametrize("text", ["", "cpu 1 2\n", "cpu  a b c d e f g h\ncpu0 1\n", "\xff"])
def test_a_broken_file_is_a_missing_counter(tmp_path: Path, text: str) -> None:
    found = read_counters(write(tmp_path, {"proc/stat": text, "proc/loadavg": text, "proc/self/cgroup": text}))
    assert found.total_s is found.steal_s is found.load_1min is found.throttled_s is None


def test_a_gap_without_reason_is_refused() -> None:
    with pytest.raises(ValidationError, match="reasons are given for"):
        Counters(usable_cpus=1, unavailable={})


def test_this_machine_is_read_and_its_own_work_counted() -> None:
    before = read_counters()
    started = os.times()
    while os.times().user - started.user < 0.05:
        pass
    after = read_counters()
    assert before.own_cpu_s is not None
    assert after.own_cpu_s is not None
    assert after.own_cpu_s >= before.own_cpu_s + 0.04
    assert after.load_1min is not None
    assert after.other_benches is not None


def test_without_proc_psutil_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = SimpleNamespace(_asdict=lambda: {"user": 3.0, "nice": 0.0, "system": 1.0, "idle": 6.0})
    monkeypatch.setattr(counters_module, "SYSTEM", tmp_path)
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: SimpleNamespace(power_plugged=False), raising=False)
    found = read_counters(tmp_path)
    assert (found.cpus, found.total_s, found.busy_s, found.steal_s) == (4, 10.0, 4.0, None)
    assert found.on_battery is True
    assert "steal_s" in found.unavailable


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/usr/bin/python", "/home/me/.local/bin/fmnist-tk", "bench", "onnx"], True),
        (["fmnist-tk", "--quiet", "run"], True),
        (["python3", "-m", "toolkit", "bench"], True),
        (["python3", "-P", "-m", "toolkit.bench.engine.worker", "job", "result"], True),
        (["python3", "/src/toolkit/__main__.py", "bench"], True),
        (["fmnist-tk", "parity", "onnx"], False),
        (["ls", "toolkit", "bench"], False),
        (["vim", "bench"], False),
        ([], False),
    ],
)
def test_a_bench_is_known_by_its_command(command: list[str], expected: bool) -> None:
    assert is_bench(command) is expected


def test_other_benches_are_not_of_the_own_family(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = ["fmnist-tk", "bench"]
    found = [(os.getpid(), bench), (os.getppid(), bench), (4_000_001, bench), (4_000_002, ["ls"]), (4_000_003, None)]
    each = [SimpleNamespace(pid=pid, info={"pid": pid, "cmdline": command}) for pid, command in found]
    monkeypatch.setattr(psutil, "process_iter", lambda attributes: each)
    assert read_counters().other_benches == (4_000_001,)


class FakeNvml:
    """Two GPUs: one idle, one at its power cap and hot."""

    def __init__(self) -> None:
        self.open = 0
        self.asked: list[int] = []

    def nvmlInit(self) -> None:  # noqa: N802  NVML's own names
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str | bytes:  # noqa: N802
        return ("GPU-aa11", b"GPU-aa22")[handle]  # bytes in older bindings

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:  # noqa: N802
        self.asked.append(handle)
        return (0x1, 0x44)[handle]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        return 1000 * handle + 500


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """NVML of two cards, which CUDA numbers as NVML does."""
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return fake


def test_the_energy_of_a_gpu_is_told_by_nvml(nvml: FakeNvml) -> None:
    reading = read_energy(device="cuda:1", clock=lambda: 2.0)
    assert isinstance(reading, EnergyReading)
    assert reading.domains == (EnergyDomain(name="GPU 1", energy_j=1.5, range_j=None),)
    assert nvml.open == 0


def test_energy_is_of_the_card_that_cuda_means(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    reading = read_energy(device="cuda")
    assert isinstance(reading, EnergyReading)
    assert reading.domains[0].energy_j == 1.5
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    unknown = read_energy(device="cuda")
    assert isinstance(unknown, Unavailable)
    assert unknown.reason == ("not available here: set CUDA_DEVICE_ORDER=PCI_BUS_ID so that NVML's numbers are CUDA's")
    assert nvml.open == 0


def test_only_the_gpus_in_use_are_asked_why_they_are_slow(nvml: FakeNvml) -> None:
    hot = ("GPU 1: power cap", "GPU 1: heat, by hardware")
    assert read_counters(devices=["cpu", "cuda:1"]).gpu_slowdowns == hot
    assert nvml.asked == [1]
    assert read_counters(devices=["cuda", "cuda:0"]).gpu_slowdowns == ()
    assert nvml.asked == [1, 0]
    assert read_counters(devices=["cuda", "cuda:1"]).gpu_slowdowns == hot
    assert nvml.open == 0


@pytest.mark.parametrize("devices", [[], ["cpu"], ["mps"]])
def test_without_a_gpu_in_use_none_is_asked(nvml: FakeNvml, devices: list[str]) -> None:
    found = read_counters(devices=devices)
    assert found.gpu_slowdowns is None
    assert found.unavailable["gpu_slowdowns"] == "not available here: no NVIDIA GPU is in use"
    assert nvml.asked == []


def test_a_gpu_in_use_that_nvml_cannot_tell_is_no_other_one(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in read_counters(devices=["cuda"]).unavailable["gpu_slowdowns"]
    assert (nvml.asked, nvml.open) == ([], 0)


def rapl(root: Path, folder: str, name: str, energy_uj: int) -> None:
    place = f"sys/class/powercap/{folder}"
    write(
        root, {f"{place}/name": name, f"{place}/energy_uj": f"{energy_uj}\n", f"{place}/max_energy_range_uj": "9000000"}
    )


def test_packages_and_their_memory_are_counted_once(tmp_path: Path) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    rapl(tmp_path, "intel-rapl:0:0", "core", 500_000)
    rapl(tmp_path, "intel-rapl:0:1", "dram", 200_000)
    rapl(tmp_path, "intel-rapl:1", "package-1", 3_000_000)
    rapl(tmp_path, "intel-rapl:1:0", "dram", 400_000)
    rapl(tmp_path, "intel-rapl:2", "psys", 8_000_000)
    rapl(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_001)
    reading = read_energy(tmp_path, clock=lambda: 7.0)
    assert isinstance(reading, EnergyReading)
    assert {each.name: each.energy_j for each in reading.domains} == {
        "package-0": 1.0,
        "dram-0": 0.2,
        "package-1": 3.0,
        "dram-1": 0.4,
    }
    assert all(each.range_j == 9.0 for each in reading.domains)
    assert reading.at_s == 7.0


def test_no_counter_of_energy_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    for device in ("cpu", "cuda", "mps"):
        found = read_energy(tmp_path, device)
        assert isinstance(found, Unavailable)
        assert found.reason.startswith("not available here: ")


def test_a_counter_for_root_alone_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rapl(tmp_path, "intel-rapl:0", "package-0", 1)

    def refuse(self: Path, encoding: str) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)
    found = read_energy(tmp_path)
    assert isinstance(found, Unavailable)
    assert "only root may read" in found.reason


def energy(at_s: float, *joules: float, source: str = "RAPL", range_j: float | None = 100.0) -> EnergyReading:
    domains = tuple(EnergyDomain(name=f"d{n}", energy_j=each, range_j=range_j) for n, each in enumerate(joules))
    return EnergyReading(source=source, at_s=at_s, domains=domains)  # type: ignore[arg-type]  # one of its two


def test_energy_wraps_around_and_idling_is_subtracted() -> None:
    before, after = energy(1.0, 90.0, 10.0), energy(3.0, 5.0, 30.0)
    assert energy_j(before, after) == 35.0
    assert energy_j(before, after, idle_power_w=10.0) == 15.0
    assert power_w(before, after) == 17.5


def test_energy_of_unlike_readings_is_refused() -> None:
    for after in (energy(2.0, 1.0, 1.0), energy(2.0, 1.0, source="NVML"), energy(0.5, 1.0)):
        with pytest.raises(ValueError, match="same energy counters"):
            energy_j(energy(1.0, 1.0), after)
    with pytest.raises(ValueError, match="went back"):
        energy_j(energy(1.0, 2.0, range_j=None), energy(2.0, 1.0, range_j=None))
    with pytest.raises(ValueError, match="time between"):
        power_w(energy(1.0, 1.0), energy(1.0, 1.0))


def test_memory_is_read_and_its_peak_reset(tmp_path: Path) -> None:
    files = {"proc/self/status": "Name:\tpython\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n", "proc/self/clear_refs": ""}
    root = write(tmp_path, files)
    assert read_memory(root) == MemoryReading(rss_bytes=200 * 1024, peak_rss_bytes=300 * 1024)
    assert (root / "proc/self/clear_refs").read_text() == ""
    assert read_memory(root, reset=True).reset
    assert (root / "proc/self/clear_refs").read_text() == "5"


def test_memory_without_proc(tmp_path: Path) -> None:
    found = read_memory(tmp_path, reset=True)
    assert found.peak_rss_bytes >= found.rss_bytes > 1 << 20
    assert not found.reset


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((200, 300, False), (250, 350, False), 150),  # a new peak
        ((200, 300, False), (250, 300, False), None),  # the old peak hides what was between
        ((200, 200, True), (200, 280, False), 80),
        ((200, 200, True), (150, 200, False), 0),
        ((200, 200, False), (200, 200, False), 0),  # no more than the size at both ends
    ],
)
def test_growth_of_the_peak(before: tuple[int, int, bool], after: tuple[int, int, bool], expected: int | None) -> None:
    first, second = (MemoryReading(rss_bytes=a, peak_rss_bytes=b, reset=c) for a, b, c in (before, after))
    assert peak_growth_bytes(first, second) == expected


def test_an_allocation_raises_the_peak() -> None:
    before = read_memory(reset=True)
    block = b"\1" * (50 << 20)
    size = len(block)
    del block
    grown = peak_growth_bytes(before, read_memory())
    assert grown is None or grown > size // 2
