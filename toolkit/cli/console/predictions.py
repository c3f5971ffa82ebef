"""How predictions reach stdout, a file and stderr while they are made."""

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn

import typer

from toolkit.cli.console import print_parts, say, showing_progress, tell, typed, write, write_json
from toolkit.cli.console.streams import drop, stdout_to_stderr
from toolkit.errors import OutputError
from toolkit.records.units import rate, seconds

if TYPE_CHECKING:
    from toolkit.records import PredictionRecord, Report, UnreadableRecord
    from toolkit.render.files.prediction_files import PredictionWriter
    from toolkit.system.progress import Progress
    from toolkit.verbs.predict import Predictions

_INTERRUPTED = 130
# Of a terminal's bar. Elsewhere a line is printed for a tenth of the pictures, and none while all goes fast.
_REDRAW_S, _NEXT_LINE_S = 0.1, 1.0
# Further broken pictures stand in the report, and would hide on stderr what matters.
_MOST_TOLD = 20


def finish_predictions(
    found: "Predictions", *, as_json: bool, as_csv: bool, output: Path | None, quiet: bool
) -> NoReturn:
    """Show and write predictions as they come, and exit: 0, 1 when a picture could not be read, 130 after Ctrl-C.

    What was finished before Ctrl-C is kept, in the file too. A reader of stdout that leaves costs no file.

    Args:
        found: What a model says of pictures.
        as_json: Print the report as JSON.
        as_csv: Print CSV.
        output: File to write, CSV by its suffix, else JSON; None for none.
        quiet: Print nothing on stdout, and on stderr only what could not be read and what the model is suspected of.

    Raises:
        ToolkitError: If the model gives up, or the file or stdout cannot be written.
    """
    from toolkit.render.words.prediction import FEW

    if not quiet:
        tell(f"Predicting with {found.model.reason}")
    if found.model.warning:
        tell(f"warning: {found.model.warning}")
    for note in () if quiet else found.report.notes:
        if note != found.model.warning:
            tell(f"note: {note}")
    total = found.total or 0
    many, shown = total > FEW, not (as_json or as_csv or quiet)
    # Lines on the same terminal show how far it has come, and would be drawn across a bar.
    measured = many and not quiet and not (shown and sys.stdout.isatty())
    stdout = None if quiet else _Stdout(_stdout_writer(as_json=as_json, as_csv=as_csv, many=many), alone=not output)
    with ExitStack() as stack:
        writers: list[PredictionWriter] = [stack.enter_context(_writing_file(output))] if output else []
        writers += [stdout] if stdout else []
        meter = _Meter(stack.enter_context(showing_progress(quiet=not measured)), total)
        ended = _pump(found, writers, meter.advance)
    if many and not quiet:
        tell(meter.total())
    if stdout and stdout.error:
        raise stdout.error
    raise typer.Exit(_INTERRUPTED if ended.interrupted else 0 if ended.passed else 1)


def _pump(found: "Predictions", writers: "list[PredictionWriter]", advance: Callable[[int], None]) -> "Report":
    """Hand every result to every writer; return the report without predictions."""
    from toolkit.records import UnreadableRecord

    report = found.report.changed(arguments=typed())
    unreadable: list[UnreadableRecord] = []
    interrupted = False
    for writer in writers:
        writer.begin(report)
    with closing(found):
        try:
            for done, each in enumerate(_as_they_come(found), start=1):
                if isinstance(each, UnreadableRecord):
                    unreadable.append(each)
                    _tell(each, len(unreadable))
                for writer in writers:
                    writer.add(each)
                advance(done)
        except KeyboardInterrupt:
            interrupted = True
    ended = report.changed(unreadable=tuple(unreadable), interrupted=interrupted)
    for writer in writers:
        writer.end(ended)
    return ended


def _as_they_come(found: "Predictions") -> "Iterator[PredictionRecord | UnreadableRecord]":
    """Yield predictions; while a batch of them is made, an artifact may print."""
    batch: deque[PredictionRecord | UnreadableRecord] = deque()
    more = True
    while more:
        try:
            with stdout_to_stderr():
                more = False
                for each in islice(found, found.batch_size):
                    batch.append(each)
                    more = True
        finally:  # Ctrl-C costs none that is finished
            while batch:
                yield batch.popleft()


@contextmanager
def _writing_file(path: Path) -> "Iterator[PredictionWriter]":
    """Give a writer to a temporary file, which takes the place of ``path`` when all went well."""
    from toolkit.render.files.prediction_files import CsvWriter, JsonWriter
    from toolkit.system.files import replacing

    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield CsvWriter(file.write) if path.suffix.lower() == ".csv" else JsonWriter(file.write)


def _stdout_writer(*, as_json: bool, as_csv: bool, many: bool) -> "PredictionWriter":
    from toolkit.render.files.prediction_files import CsvWriter, JsonWriter

    return JsonWriter(write_json) if as_json else CsvWriter(write) if as_csv else _Lines(many=many)


class _Lines:
    """Shows people each picture when it is predicted, and counts at the end."""

    def __init__(self, *, many: bool) -> None:
        from toolkit.render.words.prediction import Tally

        self._many, self._tally = many, Tally()

    def begin(self, _report: "Report", /) -> None:
        """Print nothing: stderr has said what predicts."""

    def add(self, record: "PredictionRecord | UnreadableRecord") -> None:
        """Print bars, or a line; stderr has said what could not be read."""
        from toolkit.records import PredictionRecord
        from toolkit.render.words.prediction import few_parts, one_line

        self._tally.add(record)
        if isinstance(record, PredictionRecord):
            if self._many:
                say(one_line(record))
            else:
                print_parts(few_parts(record))

    def end(self, report: "Report", /) -> None:
        """Print the counts."""
        from toolkit.render.words.prediction import tally_parts

        print_parts(tally_parts(self._tally, many=self._many))
        if report.interrupted:
            say("Interrupted: only what was finished before is here")


class _Stdout:
    """A writer to stdout that may fail while a file is still to be written.

    Attributes:
        error: Why nothing is printed any more; None while all is well.
    """

    def __init__(self, writer: "PredictionWriter", *, alone: bool) -> None:
        self._writer, self._alone = writer, alone
        self.error: BrokenPipeError | OutputError | None = None

    def begin(self, report: "Report", /) -> None:
        """Print what comes first."""
        self._try(lambda: self._writer.begin(report))

    def add(self, record: "PredictionRecord | UnreadableRecord") -> None:
        """Print one more."""
        self._try(lambda: self._writer.add(record))

    def end(self, report: "Report", /) -> None:
        """Print what comes last."""
        self._try(lambda: self._writer.end(report))

    def _try(self, step: Callable[[], None]) -> None:
        if self.error:
            return
        try:
            step()
            write("", flush=True)  # at once: somebody may be waiting for it, or have gone
        except (BrokenPipeError, OutputError) as error:
            if self._alone:
                raise
            self.error = error
            drop(sys.stdout)


class _Meter:
    """Says on stderr how far it has come and how fast."""

    def __init__(self, progress: "Progress", total: int) -> None:
        self._progress, self._total = progress, total
        self._start = self._shown_at = perf_counter()
        self._tenths = self._done = 0
        self._terminal = sys.stderr.isatty()

    def advance(self, done: int) -> None:
        """Take note that ``done`` pictures are finished; show it now and then."""
        self._done = done
        tenths, now = 10 * done // self._total, perf_counter()
        pause = now - self._shown_at
        if pause >= _REDRAW_S if self._terminal else pause >= _NEXT_LINE_S and tenths > self._tenths:
            self._tenths, self._shown_at = tenths, now
            self._progress("predict", done, self._total, f"{self._rate()} images/s")

    def total(self) -> str:
        """Return how many pictures there were, and how fast that was."""
        return f"{self._done:,} pictures in {seconds(perf_counter() - self._start)}, {self._rate()} images/s"

    def _rate(self) -> str:
        return rate(self._done / max(perf_counter() - self._start, 1e-9))


def _tell(record: "UnreadableRecord", number: int) -> None:
    if number <= _MOST_TOLD:
        tell(f"error: {record.source}: {record.reason}; {record.remedy}")
    elif number == _MOST_TOLD + 1:
        tell("error: more pictures could not be read; list all of them with --json or -o FILE")
