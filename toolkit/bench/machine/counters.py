"""Read what the system counts: files of Linux, psutil where there are none, NVML on NVIDIA's GPUs.

Nothing here fails. A counter that this machine lacks is null, with its reason.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from toolkit.records import Counters
from toolkit.system.devices import device_type
from toolkit.system.environment import usable_cpus
from toolkit.system.nvml import card_number, open_nvml

# The counters' names, and what reads them under a root folder.
_Reader = tuple[tuple[str, ...], Callable[[Path], Iterable[Any]]]

SYSTEM: Final = Path("/")
# Bits of NVML's reasons for lower clocks that a run should not meet. Left out: idle (1) and clocks set by the user (2).
_GPU_SLOWDOWNS: Final = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat, by software",
    0x40: "heat, by hardware",
    0x80: "power brake",
}
_BENCH_COMMANDS: Final = {"bench", "run", "tune"}


class _MissingError(Exception):
    """A counter is not here; the message says why."""


def read_counters(root: Path = SYSTEM, devices: Sequence[str] = ()) -> Counters:
    """Read every counter that is there.

    Args:
        root: The root folder of the machine. Of any other folder, a copy of such files, only these are read, and
            the running system is not asked: its processes, psutil and NVML.
        devices: Those in use, as `toolkit.system.devices.resolve_device` returned them. Only their GPUs are asked: what
            slows another one down is no fault of this run.
    """
    values: dict[str, Any] = {}
    unavailable: dict[str, str] = {}
    gpu: _Reader = (("gpu_slowdowns",), partial(_gpu, devices=devices))
    for names, read in (*_READERS, gpu):
        try:
            values |= dict(zip(names, read(root), strict=True))
        except Exception as error:  # noqa: BLE001  a driver may raise anything, and a bench must not end by it
            unavailable |= dict.fromkeys(names, not_available(error))
    return Counters(usable_cpus=usable_cpus(), unavailable=unavailable, **values)


def gpu_slowdowns(device: str) -> tuple[str, ...]:
    """Return why a GPU lowers its clock at this moment, right after work; nothing where that is not told."""
    try:
        (found,) = _gpu(SYSTEM, (device,))
    except Exception:  # noqa: BLE001  as in `read_counters`, which gives the reason
        return ()
    return tuple(found)


def not_available(error: Exception) -> str:
    """Return the sentence for a counter that could not be read."""
    if isinstance(error, OSError) and error.filename:
        return f"not available here: {error.filename}: {error.strerror}"
    return f"not available here: {error or type(error).__name__}"


def is_bench(command: Sequence[str]) -> bool:
    """Say whether a command line is one of fmnist-tk that measures, or one of its workers."""
    names = [Path(word).name for word in command[:4]]  # an interpreter and its options may come first
    if any(word.startswith("toolkit.bench.") for word in command):
        return True
    for place, name in enumerate(names):
        is_tool = name == "fmnist-tk" or (name == "toolkit" and command[place - 1] == "-m")
        if is_tool or command[place].endswith("toolkit/__main__.py"):
            return not _BENCH_COMMANDS.isdisjoint(command[place + 1 :])
    return False


def _processor_times(root: Path) -> Iterable[Any]:
    """Return the CPUs, and their seconds in total and busy; iowait is idle, steal is neither."""
    if root == SYSTEM and not (root / "proc/stat").exists():
        import psutil

        times = psutil.cpu_times()._asdict()
        total = sum(times.values())
        return psutil.cpu_count() or 1, total, total - times["idle"]
    cpus, seconds = _proc_stat(root)
    user, nice, system, idle, iowait, irq, softirq, steal = seconds
    busy = user + nice + system + irq + softirq
    return cpus, busy + idle + iowait + steal, busy


def _steal(root: Path) -> Iterable[Any]:
    return (_proc_stat(root)[1][7],)


def _proc_stat(root: Path) -> tuple[int, list[float]]:
    """Return the number of CPUs and the first eight columns of their sum in seconds; guests are in user and nice."""
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    lines = (root / "proc/stat").read_text(encoding="ascii").splitlines()
    cpus = sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)
    seconds = [int(word) / ticks_per_s for word in lines[0].split()[1:9]]
    if len(seconds) < 8 or not cpus:
        raise _MissingError("/proc/stat has no steal time")
    return cpus, seconds


def _own_cpu(root: Path) -> Iterable[Any]:
    _only_live(root)
    import resource

    import psutil

    # psutil has no times of ended children on macOS, getrusage has none of living ones.
    ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(each.ru_utime + each.ru_stime for each in ended)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:4])  # user, system, and the same of its own ended children
    return (seconds,)


def _load(root: Path) -> Iterable[Any]:
    if root == SYSTEM:
        return (os.getloadavg()[0],)
    return (float((root / "proc/loadavg").read_text(encoding="ascii").split()[0]),)


def _quota(root: Path) -> Iterable[Any]:
    """Return periods and seconds for which the quota of this cgroup or of one above it stopped it."""
    own = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    place = next((line[3:] for line in own if line.startswith("0::")), None)
    if place is None:
        raise _MissingError("this process is in no cgroup of version 2")
    top = root / "sys/fs/cgroup"
    groups = [top / place.strip("/"), *(top / place.strip("/")).parents]
    files = [group / "cpu.stat" for group in groups if group == top or top in group.parents]
    found = [dict(map(str.split, file.read_text(encoding="ascii").splitlines())) for file in files if file.is_file()]
    limited = [stat for stat in found if "nr_throttled" in stat]
    if not limited:
        raise _MissingError("no cpu.stat with nr_throttled: no CPU controller of cgroup version 2")
    return sum(int(each["nr_throttled"]) for each in limited), sum(
        int(each["throttled_usec"]) for each in limited
    ) / 1e6


def _governors(root: Path) -> Iterable[Any]:
    files = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*/scaling_governor"))
    if not files:
        raise _MissingError("the system shows no frequency policy (a virtual machine, or no cpufreq)")
    return ({file.parent.name: file.read_text(encoding="ascii").strip() for file in files},)


def _heat(root: Path) -> Iterable[Any]:
    files = list((root / "sys/devices/system/cpu").glob("cpu*/thermal_throttle/*_throttle_count"))
    if not files:
        raise _MissingError("the system counts no thermal throttling (a virtual machine, or not an Intel CPU)")
    return (sum(int(file.read_text(encoding="ascii")) for file in files),)


def _other_benches(root: Path) -> Iterable[Any]:
    _only_live(root)
    import psutil

    me = psutil.Process()
    family = {each.pid for each in (me, *me.parents(), *me.children(recursive=True))}
    others = (each.info for each in psutil.process_iter(["pid", "cmdline"]) if each.pid not in family)
    return (tuple(sorted(each["pid"] for each in others if is_bench(each["cmdline"] or ()))),)


def _battery(root: Path) -> Iterable[Any]:
    folder = root / "sys/class/power_supply"
    if root == SYSTEM and not folder.is_dir():
        import psutil

        state = getattr(psutil, "sensors_battery", lambda: None)()  # psutil lacks it on some systems
        if state is None:
            raise _MissingError("no battery")
        return (not state.power_plugged,)
    supplies = [{file: _text(each / file) for file in ("type", "scope", "status")} for each in folder.glob("*")]
    batteries = [each for each in supplies if each["type"] == "Battery" and each["scope"] != "Device"]  # not a mouse's
    if not batteries:
        raise _MissingError("no battery")
    return (any(each["status"] == "Discharging" for each in batteries),)


def _gpu(root: Path, devices: Sequence[str]) -> Iterable[Any]:
    cuda = [each for each in devices if device_type(each) == "cuda"]
    if not cuda:
        raise _MissingError("no NVIDIA GPU is in use")
    _only_live(root)
    nvml = open_nvml()
    # Renamed in version 12; old drivers' bindings have only the first name.
    reasons_of: Callable[[Any], int] = (
        getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None) or nvml.nvmlDeviceGetCurrentClocksThrottleReasons
    )
    try:
        numbers = dict.fromkeys(card_number(nvml, each) for each in cuda)
        bits = {number: reasons_of(nvml.nvmlDeviceGetHandleByIndex(number)) for number in numbers}
    finally:
        nvml.nvmlShutdown()
    return (
        tuple(f"GPU {gpu}: {name}" for gpu, each in bits.items() for bit, name in _GPU_SLOWDOWNS.items() if each & bit),
    )


def _only_live(root: Path) -> None:
    if root != SYSTEM:
        raise _MissingError(f"{root} is a copy of files, not a running system")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


_READERS: Final[tuple[_Reader, ...]] = (
    (("cpus", "total_s", "busy_s"), _processor_times),
    (("steal_s",), _steal),
    (("own_cpu_s",), _own_cpu),
    (("load_1min",), _load),
    (("throttled_periods", "throttled_s"), _quota),
    (("governors",), _governors),
    (("thermal_throttles",), _heat),
    (("other_benches",), _other_benches),
    (("on_battery",), _battery),
)
