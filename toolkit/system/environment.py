"""Facts of the machine and the installed versions. Imports no runtime."""

import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from toolkit._version import __version__
from toolkit.records import MachineRecord, Report

#: The distributions whose version can change a result.
DISTRIBUTIONS = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Return the versions of this tool and of the installed distributions that matter."""
    found = {name: installed_version(name) for name in DISTRIBUTIONS}
    return {"fmnist-tk": __version__, **{name: text for name, text in found.items() if text}}


def usable_cpus() -> int:
    """Return how many CPUs this process may use: the smaller of affinity and cgroup quota, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(cpus, _cgroup_quota() or cpus))


def default_threads() -> int:
    """Return the number of threads to compute with: physical cores, as far as they may be used."""
    return max(1, min(psutil.cpu_count(logical=False) or usable_cpus(), usable_cpus()))


def machine() -> MachineRecord:
    """Describe this machine."""
    return MachineRecord(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_cpu_name(),
        physical_cores=psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        usable_cpus=usable_cpus(),
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
        versions=versions(),
    )


def new_report(command: str) -> Report:
    """Return an empty report of ``command`` with this machine and the present time."""
    return Report(tool_version=__version__, command=command, created_at=datetime.now(UTC), machine=machine())


def _cgroup_quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Return the whole CPUs of a cgroup v2 quota, or None without one."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period)) if quota != "max" else None
    except (OSError, ValueError):
        return None


@cache
def _cpu_name() -> str:
    """Return the marketing name of the processor, or the architecture where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
