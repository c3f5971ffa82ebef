"""A report and the file it was read from, for what shows several of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from toolkit.records import Report


@dataclass(frozen=True)
class SavedReport:
    """A report and its file, as it was given."""

    file: str
    report: Report


def short_names(saved: Sequence[SavedReport]) -> list[str]:
    """Return the name of each file without its folder, or its whole path where two have the same name."""
    names = [PurePath(each.file).name for each in saved]
    return [name if names.count(name) == 1 else each.file for name, each in zip(names, saved, strict=True)]


def moment(report: Report) -> str:
    """Return when a report was made: ``2026-01-31 14:05 UTC``."""
    return report.created_at.strftime("%Y-%m-%d %H:%M UTC")
