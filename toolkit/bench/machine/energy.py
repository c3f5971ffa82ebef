"""How much energy a run took: RAPL counts it in the CPU, NVML in NVIDIA's GPUs. In joules."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from toolkit.bench.machine.counters import SYSTEM, not_available
from toolkit.records import EnergyDomain, EnergyReading, Unavailable
from toolkit.system.devices import device_type
from toolkit.system.nvml import card_number, open_nvml

# Domains whose sum counts everything once: dram is not part of the package; core and uncore are, and psys holds all.
_COUNTED: Final = ("package", "dram")


def read_energy(
    root: Path = SYSTEM, device: str = "cpu", clock: Callable[[], float] = time.monotonic
) -> EnergyReading | Unavailable:
    """Read the energy counters of a resolved device: RAPL for ``cpu``, NVML for ``cuda`` or ``cuda:1``."""
    kind = device_type(device)
    try:
        if kind == "cpu":
            return EnergyReading(source="RAPL", domains=_rapl(root), at_s=clock())
        if kind == "cuda":
            return EnergyReading(source="NVML", domains=_nvml(device), at_s=clock())
    except PermissionError as error:
        # Since 2020, because secrets can be read off the power that a computation takes (CVE-2020-8694).
        return Unavailable(reason=f"not available here: only root may read {error.filename}")
    except Exception as error:  # noqa: BLE001  a driver may raise anything, and a bench must not end by it
        return Unavailable(reason=not_available(error))
    return Unavailable(reason=f"not available here: {kind} has no energy counter")


def energy_j(before: EnergyReading, after: EnergyReading, idle_power_w: float = 0.0) -> float:
    """Return the energy between two readings, without what the idle machine would have taken, in joules.

    A counter that is smaller in the second reading has started again once. Twice it cannot have without hours
    between the readings: a package has 262 kJ of range.

    Args:
        before: The first reading.
        after: The second, of the same counters.
        idle_power_w: Watts of the same counters while nothing runs, by `power_w`.

    Returns:
        Joules. Negative when less was taken than idling would have: then the run cannot be told from idling.

    Raises:
        ValueError: If the readings are of different counters, or in the wrong order.
    """
    names = [each.name for each in before.domains]
    if before.source != after.source or names != [each.name for each in after.domains] or after.at_s < before.at_s:
        raise ValueError("two readings of the same energy counters are needed, the earlier one first")
    total = sum(_taken(old, new) for old, new in zip(before.domains, after.domains, strict=True))
    return total - idle_power_w * (after.at_s - before.at_s)


def power_w(before: EnergyReading, after: EnergyReading) -> float:
    """Return the mean power between two readings, in watts.

    Raises:
        ValueError: If they are of different counters, or not one after the other.
    """
    if after.at_s <= before.at_s:
        raise ValueError("power needs two readings with time between them")
    return energy_j(before, after) / (after.at_s - before.at_s)


def _taken(before: EnergyDomain, after: EnergyDomain) -> float:
    change = after.energy_j - before.energy_j
    if change < 0:
        if before.range_j is None:
            raise ValueError(f"the energy counter {before.name} went back")
        change += before.range_j
    return change


def _rapl(root: Path) -> tuple[EnergyDomain, ...]:
    found: dict[str, EnergyDomain] = {}
    folders = sorted((root / "sys/class/powercap").glob("intel-rapl*:*"))  # AMD's are called so, too
    for folder in sorted(folders, key=lambda each: "mmio" in each.name):
        name = (folder / "name").read_text(encoding="ascii").strip()
        if not name.startswith(_COUNTED):
            continue
        # There is a dram in each package. The same package may stand twice, as intel-rapl and as intel-rapl-mmio.
        package = folder.name.split(":")[1]
        key = name if name.startswith("package") else f"{name}-{package}"
        if key not in found:
            found[key] = EnergyDomain(
                name=key, energy_j=_micro(folder / "energy_uj"), range_j=_micro(folder / "max_energy_range_uj")
            )
    if not found:
        raise FileNotFoundError(2, "no RAPL counter of a package (a virtual machine, or not an x86 CPU)", "powercap")
    return tuple(found.values())


def _micro(path: Path) -> float:
    return int(path.read_text(encoding="ascii")) / 1e6


def _nvml(device: str) -> tuple[EnergyDomain, ...]:
    nvml = open_nvml()
    try:
        number = card_number(nvml, device)
        millijoules = nvml.nvmlDeviceGetTotalEnergyConsumption(nvml.nvmlDeviceGetHandleByIndex(number))
    finally:
        nvml.nvmlShutdown()
    return (EnergyDomain(name=f"GPU {number}", energy_j=millijoules / 1e3, range_j=None),)
