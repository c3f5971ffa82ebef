"""The journal of a running bench: what was measured is on disk after each round, and survives whatever ends the run.

JSON lines: first a `Report` without latencies, then a `JournalLine` for each row and round, and for each failure.
`read_journal` makes a report of them, so that ``fmnist-tk report FILE`` shows what a killed bench had measured. Who has
told the results deletes it.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from toolkit.errors import OutputError
from toolkit.formats.manifest import BENCH, MANIFEST
from toolkit.records import (
    FailureRecord,
    LatencyRecord,
    Record,
    Report,
    RoundRecord,
    parse_record,
    read_record,
    read_text,
)
from toolkit.system.files import write_record

SUFFIX = ".partial"


class JournalLine(Record):
    """A row, when it is first written, or one more round of the row that was ``row``-th, or how that failed."""

    row: int
    head: LatencyRecord | None = None
    round: RoundRecord | None = None
    failure: FailureRecord | None = None


class Journal:
    """Appends rounds to a file; a disk that is full costs the journal, never the run."""

    def __init__(self, path: Path, report: Report) -> None:
        """Begin a new file with a report without latencies, whose ``bench`` says how they are to be judged."""
        self.path = path
        self.trouble: str | None = None
        self._file: IO[bytes] | None = None
        self._known: set[int] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
        except OSError as error:
            self._give_up(error)
        self._write([report])

    def append(self, rows: Iterable[tuple[int, LatencyRecord]]) -> None:
        """Write the last round of each row, given its number and the row with its rounds so far."""
        lines: list[Record] = []
        for number, row in rows:
            if number in self._known:
                lines.append(JournalLine(row=number, round=row.rounds[-1]))
            else:
                self._known.add(number)
                lines.append(JournalLine(row=number, head=row))
        self._write(lines)

    def append_failure(self, number: int, failure: FailureRecord) -> None:
        """Write that the row of this number failed: its rounds do not count any more."""
        self._write([JournalLine(row=number, failure=failure)])

    def close(self) -> None:
        """Write no more; the file stays."""
        if self._file:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _write(self, records: Iterable[Record]) -> None:
        if not self._file:
            return
        try:
            self._file.write(b"".join(each.model_dump_json().encode() + b"\n" for each in records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.trouble = f"{self.path}: {error.strerror or error}"
        if self._file:
            with suppress(OSError):  # what is in its buffer cannot be written either
                self._file.close()
            self._file = None


def journal_path(beside: Path) -> Path:
    """Return the path of this process' journal, beside that of its result."""
    return beside.with_name(f"{beside.name}.{os.getpid()}{SUFFIX}")


def has_rounds(path: Path) -> bool:
    """Say whether a journal holds more than its beginning."""
    try:
        with path.open("rb") as file:
            return len([line for line, _ in zip(file, range(2), strict=False)]) == 2
    except OSError:
        return False


def read_saved(path: Path) -> Report:
    """Read a report, or the journal of a bench that was killed.

    Raises:
        ReportError: If it is neither, or of another version.
    """
    return read_journal(path) if path.name.endswith(SUFFIX) else read_record(path, Report)


def read_journal(path: Path) -> Report:
    """Return the report of a bench that was killed: the rounds that it had finished.

    The last line may be cut off. Intervals, ratios and costs follow from the rounds, as in a bench that ended.

    Raises:
        ReportError: If the file cannot be read, is no journal, or is of another version.
    """
    from toolkit.bench.statistics.summary import conclude

    first, *rest = read_text(path).splitlines() or [""]
    report = parse_record(first, Report, path)
    rows: dict[int, LatencyRecord] = {}
    failures: list[FailureRecord] = []
    for line in rest:
        try:
            entry = JournalLine.model_validate_json(line)
        except ValidationError:
            break  # cut off when the process died; nothing after it can be known
        if entry.failure:
            failures.append(entry.failure)
            rows.pop(entry.row, None)
        elif entry.head:
            rows[entry.row] = entry.head
        elif entry.round and entry.row in rows:
            rows[entry.row] = rows[entry.row].changed(rounds=(*rows[entry.row].rounds, entry.round))
    found = report.changed(latency=tuple(rows.values()), failures=tuple(failures), interrupted=True)
    finished = max((each.number + 1 for row in found.latency for each in row.rounds), default=0)
    return conclude(found, finished)[0] if found.bench else found


def keep_result(report: Report, folder: Path) -> None:
    """Leave the report of a bench in the folder of its artifacts, for whoever asks which of them is the fastest.

    It is left where a manifest stands, and only what tells that: latencies, measured to the end. A folder that cannot
    be written keeps what it has.
    """
    told = report.bench is not None and report.bench.scenario.kind == "latency" and bool(report.latency)
    if told and not report.interrupted and (folder / MANIFEST).is_file():
        with suppress(OutputError):
            write_record(report, folder / BENCH)
