"""Doctor: what works on this machine, and for what does not, the remedy."""

import importlib

from toolkit.errors import FormatError
from toolkit.fashion.data import describe_data
from toolkit.formats import FORMATS, FormatInfo, check_packages, import_format
from toolkit.records import DeviceRecord, DoctorRecord, FormatRecord, Report
from toolkit.system.devices import describe_devices
from toolkit.system.environment import installed_version, new_report


def diagnose() -> Report:
    """Look at devices, formats and data; nothing is changed and nothing is downloaded."""
    devices = describe_devices()
    record = DoctorRecord(
        devices=devices,
        formats=tuple(_format(info, devices) for info in FORMATS.values()),
        data=describe_data(),
    )
    return new_report("doctor").changed(doctor=record)


def _format(info: FormatInfo, devices: tuple[DeviceRecord, ...]) -> FormatRecord:
    """Import a format's runtime: that it is installed does not mean that it starts."""
    here = {record.device.partition(":")[0] for record in devices if record.available}
    usable = tuple(kind for kind in info.devices if kind in here)
    try:
        check_packages(info)
        import_format(info)
        detail, works = _versions(info), True
        if info.runtime == "onnxruntime" and "cuda" in usable and not _has_cuda_provider():
            usable = tuple(kind for kind in usable if kind != "cuda")
            detail += "; for cuda: pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
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


def _has_cuda_provider() -> bool:
    return "CUDAExecutionProvider" in importlib.import_module("onnxruntime").get_available_providers()
