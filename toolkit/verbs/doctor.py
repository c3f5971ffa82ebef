"""Doctor: what works on this machine, and for what does not, the remedy.

Runtimes are imported, because one that is installed may still not start. Not so torch, which takes two seconds of
processor time. Where its build and a driver make a GPU possible, a process of its own imports it and says which it can
use. Elsewhere its files tell what it would say, and that they are all there is what "works" means for its formats: a
library of the system that torch lacks is then found by the first command that needs torch.
"""

import json
import subprocess
import sys

from toolkit.errors import FormatError, first_line
from toolkit.fashion.data import describe_data
from toolkit.formats import FORMATS, FormatInfo, check_packages, import_format
from toolkit.records import DeviceRecord, DoctorRecord, FormatRecord, Report
from toolkit.system.arguments import checked
from toolkit.system.devices import describe_cpu, describe_devices
from toolkit.system.environment import installed_version, new_report
from toolkit.system.installed import installation_problem, may_have_gpu, torch_without_gpu

_ASK_TORCH = """
import json
from toolkit.system.arguments import checked
from toolkit.system.devices import describe_devices
print(json.dumps([each.model_dump() for each in describe_devices()]))
"""
_PATIENCE_S = 120


@checked
def check_machine() -> Report:
    """Say what works on this machine: devices, formats with their runtimes, and where Fashion-MNIST is.

    Nothing is changed, downloaded or measured.

    Returns:
        A report with a `DoctorRecord` in ``doctor``; what does not work has its remedy there, and is no failure.

    Example:
        >>> import toolkit
        >>> works = {each.format: each.works for each in toolkit.check_machine().doctor.formats}
        >>> works["onnx"], works["torchscript"]
        (True, True)
    """
    devices, problem = _devices()
    record = DoctorRecord(
        devices=devices,
        formats=tuple(_format(info, devices, problem) for info in FORMATS.values()),
        data=describe_data(),
    )
    return new_report("doctor").changed(doctor=record)


def _devices() -> tuple[tuple[DeviceRecord, ...], str | None]:
    """Return the devices, and why torch does not work; None if nothing is known against it."""
    problem = installation_problem("torch")
    if problem is None:
        try:
            torch = torch_without_gpu()
            return (_ask_torch() if may_have_gpu(torch) else describe_devices(torch)), None
        except (OSError, ValueError, KeyError, SyntaxError, subprocess.SubprocessError) as error:
            problem = f"torch does not start: {_reason(error)}; reinstall with: pip install --force-reinstall torch"
    others = (DeviceRecord(device=kind, available=False, description=problem) for kind in ("cuda", "mps"))
    return (describe_cpu(), *others), problem


def _ask_torch() -> tuple[DeviceRecord, ...]:
    """Return the devices that torch finds in a process of its own.

    Raises:
        SubprocessError, OSError, ValueError: If torch does not start there.
    """
    command = [sys.executable, "-c", _ASK_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)  # noqa: S603  our own
    return tuple(DeviceRecord(**each) for each in json.loads(done.stdout.strip().rpartition("\n")[2]))


def _reason(error: Exception) -> str:
    """Return what a process said last, or else what the error says."""
    said = (error.stderr or "").strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else []
    return said[-1] if said else first_line(error)


def _format(info: FormatInfo, devices: tuple[DeviceRecord, ...], torch_problem: str | None) -> FormatRecord:
    here = {record.device.partition(":")[0] for record in devices if record.available}
    usable = tuple(kind for kind in info.devices if kind in here)
    try:
        check_packages(info)
        module = None if "torch" in info.packages else import_format(info)
        detail, works = _versions(info), True
        remedy_for = getattr(module, "remedy_for", None)
        for kind in usable:
            if remedy_for and (remedy := remedy_for(kind)):
                usable = tuple(each for each in usable if each != kind)
                detail += f"; for {kind}: {remedy}"
        if torch_problem and "torch" in info.packages:
            detail, works = torch_problem, False
    except FormatError as error:
        detail, works = str(error), False
    except Exception as error:  # noqa: BLE001  a broken installation can raise anything at import
        detail = f"{type(error).__name__}: {error}; reinstall with: pip install --force-reinstall {info.packages[-1]}"
        works = False
    return FormatRecord(
        format=info.name, runtime=info.runtime, works=works, devices=usable if works else (), detail=detail
    )


def _versions(info: FormatInfo) -> str:
    names = dict.fromkeys((*info.packages, *info.distributions))
    return ", ".join(f"{name} {found}" for name in names if (found := installed_version(name)))
