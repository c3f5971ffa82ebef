"""The edge: what goes to stdout, what to stderr, and how a command ends."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from toolkit.cli.console.streams import drop
from toolkit.errors import OutputError
from toolkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType

    from toolkit.cli.console.screen import ShowRounds
    from toolkit.records import Report
    from toolkit.system.progress import Progress

# Files and pipes have no width; a table that is cut at 80 columns would lose facts.
_WIDTH_OF_FILES = 140
_INTERRUPTED = 130

_typed: list[str] = []


def note_typed(words: "Sequence[str]") -> None:
    """Remember the words after ``fmnist-tk``, for the reports of this command."""
    _typed[:] = words


def typed() -> tuple[str, ...]:
    """Return the words after ``fmnist-tk``; none before `main` has run."""
    return tuple(_typed)


def finish(
    report: "Report",
    *,
    as_json: bool,
    output: Path | None,
    quiet: bool,
    junit: Path | None = None,
    markdown: Path | None = None,
    details: bool = True,
    instead: "Iterable[RenderableType] | None" = None,
    last: str = "",
) -> NoReturn:
    """Write and show a report and exit: 0 when all is good, 1 when something failed.

    In GitHub Actions a report of parity, bench or compare also annotates the run and adds to the summary of the job.

    Args:
        report: The command's result.
        as_json: Print it as JSON, and nothing else, on stdout.
        output: File to write it to as JSON, or None.
        quiet: Print nothing.
        junit: File to write it to as JUnit XML, or None.
        markdown: File to write it to as Markdown, or None.
        details: Whether to show all of it, where a first screen would do.
        instead: What to show in place of its tables, or None.
        last: A line to show below.

    Raises:
        OutputError: If a file or stdout cannot be written; the others were.
    """
    from toolkit.records import to_json

    command = tuple(report.command.split())
    if typed()[: len(command)] == command:  # ``fmnist-tk report`` shows what another command has found
        report = report.changed(arguments=typed())
    failed = _write_files(report, output, junit, markdown)  # first: a reader of stdout that leaves costs no file
    if _is_for_ci(report) and os.environ.get("GITHUB_ACTIONS") == "true":
        _tell_github(report, quiet=quiet)
    if as_json:
        write_json(to_json(report))
        write("", flush=True)
    elif not (as_json or quiet):
        show(report, instead, details=details)
        if last:
            say(last)
    if failed:  # last: a result that cannot be written is at least shown
        raise failed
    raise typer.Exit(_INTERRUPTED if report.interrupted else 0 if report.passed else 1)


def _is_for_ci(report: "Report") -> bool:
    """Say whether a report judges something: what only lists or writes has nothing to say to a job."""
    return bool(report.parity or report.latency or report.self_checks or report.comparisons)


def _write_files(
    report: "Report", output: Path | None, junit: Path | None, markdown: Path | None
) -> OutputError | None:
    """Write every file that was asked for; one that cannot be written keeps none of the others from it.

    Returns:
        The error of the first that cannot be written.
    """
    from toolkit.records import to_json
    from toolkit.render.files.junit import junit_xml
    from toolkit.render.files.markdown import report_markdown
    from toolkit.system.files import write_bytes

    failed: OutputError | None = None
    for path, text in ((output, to_json), (junit, junit_xml), (markdown, report_markdown)):
        if path:
            try:
                write_bytes(path, text(report).encode())
            except OutputError as error:
                failed = failed or error
    return failed


def _tell_github(report: "Report", *, quiet: bool) -> None:
    """Annotate the run and add to the summary of the job.

    The runner reads commands from stderr as from stdout, where JSON may stand. A summary that cannot be written is no
    reason to fail a build.
    """
    from toolkit.render.files.github import annotations
    from toolkit.render.files.markdown import report_markdown

    if not quiet:
        _write_stderr("".join(f"{line}\n" for line in annotations(report)))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(report_markdown(report) + "\n")
        except OSError as error:
            tell(f"warning: no summary of the job: {summary}: {error.strerror or error}")


def show(report: "Report", instead: "Iterable[RenderableType] | None" = None, *, details: bool = True) -> None:
    """Print a report on stdout: its first screen, all of its tables, or ``instead`` of these.

    Raises:
        OutputError: If stdout cannot be written.
    """
    from toolkit.render.terminal import render_report
    from toolkit.render.words.screen import first_screen, has_first_screen

    short = not details and has_first_screen(report)
    print_parts(instead if instead is not None else first_screen(report) if short else render_report(report))


def print_parts(parts: "Iterable[RenderableType]") -> None:
    """Print parts of a report on stdout as they come; no word in them steers the terminal.

    Raises:
        OutputError: If stdout cannot be written.
    """
    from toolkit.render.words.plain import Plain

    console = stdout_console()
    with _writing_stdout():
        for part in parts:
            console.print(Plain(part))


def write(text: str, *, flush: bool = False) -> None:
    """Write text on stdout as it is; ``flush`` sends off what was written before, too.

    Raises:
        OutputError: If stdout cannot be written.
    """
    with _writing_stdout():
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()


def write_json(text: str) -> None:
    """Write JSON on stdout; a letter that its encoding does not have is escaped, so that nothing is lost.

    Raises:
        OutputError: If stdout cannot be written.
    """
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text)
    write(text)


def say(*lines: str) -> None:
    """Print lines on stdout, without what would steer the terminal.

    Raises:
        OutputError: If stdout cannot be written.
    """
    write("".join(f"{plain(line)}\n" for line in lines), flush=True)


@contextmanager
def _writing_stdout() -> Iterator[None]:
    """Make one line of what keeps stdout from being written; a reader that has gone is told apart by `main`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        drop(sys.stdout)
        raise OutputError(Path("/dev/stdout"), error.strerror or str(error)) from error


def tell(text: str) -> None:
    """Print a line on stderr, without what would steer the terminal; that nobody reads it stops no work."""
    _write_stderr(plain(text, lines=False) + "\n")


def _write_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)


@contextmanager
def showing_progress(*, quiet: bool) -> Iterator["Progress"]:
    """Give a `Progress` that draws a bar on a terminal and prints lines elsewhere, on stderr."""
    if quiet:
        from toolkit.system.progress import silent

        yield silent
    elif sys.stderr.isatty():
        from toolkit.cli.console.screen import drawing_bar

        with drawing_bar(_console(True, stderr=True)) as progress:
            yield progress
    else:
        yield _line


@contextmanager
def showing_rounds(*, quiet: bool) -> Iterator["ShowRounds"]:
    """Give a function that shows how far a bench has come, on stderr.

    It is called before the first round and after each with the rows so far, the rounds done and the rounds planned. On
    a terminal it draws a table below the bar of `showing_progress`, and nothing meanwhile: what is drawn while a round
    is measured would take CPU time from it. Elsewhere the lines of progress tell the rounds.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _rows, _done, _planned: None
    else:
        from toolkit.cli.console.screen import drawing_rounds

        with drawing_rounds(_console(True, stderr=True)) as show:
            yield show


def _line(task: str, done: int, total: int, detail: str = "") -> None:
    tell(f"{task} {done}/{total} {detail}".rstrip())


def stdout_console() -> "Console":
    """Return a console on stdout; where it is no terminal, a wide one."""
    return _console(sys.stdout.isatty(), stderr=False)


def _console(terminal: bool, *, stderr: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, width=None if terminal else _WIDTH_OF_FILES, highlight=False, markup=False)
