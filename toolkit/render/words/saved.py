"""A report and the file it was read from, for what shows several of them; and what names things shortly."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from toolkit.records import Report


@dataclass(frozen=True)
class SavedReport:
    """A report and its file, as it was given."""

    file: str
    report: Report


def short_names(paths: Sequence[str]) -> list[str]:
    """Return the name of each file without its folder, or its whole path where another has the same name."""
    names = [PurePath(each).name for each in paths]
    several = [name for name, _ in {*zip(names, paths, strict=True)}]
    return [name if several.count(name) == 1 else path for name, path in zip(names, paths, strict=True)]


def moment(report: Report) -> str:
    """Return when a report was made: ``2026-01-31 14:05 UTC``."""
    return report.created_at.strftime("%Y-%m-%d %H:%M UTC")


def runtimes(report: Report) -> str:
    """Return the versions of torch and ONNX Runtime, as far as they are there."""
    versions = report.machine.versions
    return ", ".join(f"{name} {versions[name]}" for name in ("torch", "onnxruntime") if name in versions)
