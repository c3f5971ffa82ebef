"""Why an artifact failed parity, in words: what terminal, Markdown, JUnit and annotations say alike."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from toolkit.records import CheckName, CheckRecord, ParityRecord, Report, ReproductionRecord, check_order


@dataclass(frozen=True)
class Explanation:
    """Why a target failed, most specific first.

    Attributes:
        target: As the matrix calls it.
        record: What is explained.
        check: The failed check that names the cause.
        cause: That check, its probe and what it found: a sentence.
        where: Where the target leaves the reference, or None if that was not looked for.
        reproduction: Folder of the reproduction, or why there is none; None if none was asked for.
        also: Names of the other failed checks.
    """

    target: str
    record: ParityRecord
    check: CheckRecord
    cause: str
    where: str | None
    reproduction: str | None
    also: tuple[CheckName, ...]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the further facts as label and text."""
        if self.where:
            yield "where", self.where
        if self.reproduction:
            yield "reproduction", self.reproduction
        if self.also:
            yield "also failed", ", ".join(self.also)


def file_names(records: Sequence[ParityRecord]) -> list[str]:
    """Return the file name of each record's target, or its whole path where two files have the same name."""
    files = [PurePath(record.target).name for record in records]
    paths: dict[str, set[str]] = {}
    for file, record in zip(files, records, strict=True):
        paths.setdefault(file, set()).add(record.target)
    return [file if len(paths[file]) == 1 else record.target for file, record in zip(files, records, strict=True)]


def target_names(records: Sequence[ParityRecord]) -> list[str]:
    """Return how each record is called: by its file, and by its device when there are several."""
    several = len({record.device for record in records}) > 1
    names = zip(file_names(records), records, strict=True)
    return [f"{file} ({record.device})" if several else file for file, record in names]


def explain(records: Sequence[ParityRecord]) -> Iterator[Explanation]:
    """Yield the explanation of every target that failed."""
    for record, name in zip(records, target_names(records), strict=True):
        check = record.failure
        if check:
            failed = {each.name for each in record.checks if not each.passed} - {check.name}
            yield Explanation(
                target=name,
                record=record,
                check=check,
                cause=f"{question(check)}: {check.detail}",
                where=record.divergence.detail if record.divergence else None,
                reproduction=_reproduction(record.reproduction),
                also=tuple(sorted(failed, key=check_order)),
            )


def _gates(record: ParityRecord) -> list[str]:
    """Return the options that say by which gates a lower precision was judged."""
    options = {"accuracy": "--max-drop", "agreement": "--min-agreement", "significance": "--significance"}
    limits = {check.name: check.limit for check in record.checks}
    return [word for name, option in options.items() if name in limits for word in (option, f"{limits[name]:g}")]


def _reproduction(record: ReproductionRecord | None) -> str | None:
    if record is None:
        return None
    if record.folder and record.shown:
        return record.folder
    return f"{record.folder}, which proves nothing: {record.note}" if record.folder else f"none: {record.note}"


def question(check: CheckRecord) -> str:
    """Return what was asked, on which inputs: ``values on sample images``."""
    return f"{check.name} on {check.probe}" if check.probe else check.name


def repeat_command(report: Report, record: ParityRecord) -> str:
    """Return the command that checks one artifact again, quoted for a POSIX shell."""
    words = ["fmnist-tk", "parity", record.target, "--device", record.device]
    if record.threads is not None:
        words += ["--threads", str(record.threads)]
    if record.declared != "float32":
        words += ["--precision", record.declared, *_gates(record)]
    if record.seed:
        words += ["--seed", str(record.seed)]
    if any(check.probe == "test set" for check in record.checks):
        words.append("--full")
    else:
        words += [word for dataset in report.datasets for word in dataset.words()]
    if record.against is not None:
        words += ["--against", record.against]
    elif report.checkpoint and report.checkpoint.form != "bundled":
        words += ["--checkpoint", report.checkpoint.path]
    return shlex.join(words)
