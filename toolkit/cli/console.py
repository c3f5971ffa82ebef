"""The edge: what goes to stdout, what to stderr, and how a command ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from toolkit.progress import Progress
    from toolkit.records import Report

# Files and pipes have no width; a table that is cut at 80 columns would lose facts.
_WIDTH_OF_FILES = 140
_INTERRUPTED = 130


def finish(report: "Report", *, as_json: bool, output: Path | None, quiet: bool) -> NoReturn:
    """Write and show a report and exit: 0 when all is good, 1 when something failed.

    Args:
        report: The command's result.
        as_json: Print it as JSON, and nothing else, on stdout.
        output: File to write it to as JSON, or None.
        quiet: Print nothing.
    """
    from toolkit.records import to_json, write_record

    if as_json:
        sys.stdout.write(to_json(report))
        sys.stdout.flush()
    elif not quiet:
        show(report)
    if output:  # last: a result that cannot be written was at least shown
        write_record(report, output)
    raise typer.Exit(_INTERRUPTED if report.interrupted else 0 if report.passed else 1)


def show(report: "Report") -> None:
    """Print a report as tables on stdout."""
    from toolkit.render.terminal import render_report

    console = _console(sys.stdout.isatty(), stderr=False)
    for part in render_report(report):
        console.print(part)


def say(*lines: str) -> None:
    """Print lines of plain text on stdout."""
    typer.echo("\n".join(lines))


@contextmanager
def showing_progress(*, quiet: bool) -> Iterator["Progress"]:
    """Give a `Progress` that draws a bar on a terminal and prints lines elsewhere, on stderr."""
    if quiet:
        from toolkit.progress import silent

        yield silent
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _line


def _line(task: str, done: int, total: int, detail: str = "") -> None:
    sys.stderr.write(f"{task} {done}/{total} {detail}".rstrip() + "\n")
    sys.stderr.flush()


@contextmanager
def _bar() -> Iterator["Progress"]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=_console(True, stderr=True), transient=True) as bar:
        tasks: dict[str, int] = {}

        def update(task: str, done: int, total: int, detail: str = "") -> None:
            if task not in tasks:
                for finished in tasks.values():
                    bar.remove_task(finished)  # type: ignore[arg-type]  # rich's TaskID is an int
                tasks.clear()
                tasks[task] = bar.add_task(task, total=total, detail=detail)
            bar.update(tasks[task], completed=done, total=total, detail=detail)  # type: ignore[arg-type]  # as above

        yield update


def _console(terminal: bool, *, stderr: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, width=None if terminal else _WIDTH_OF_FILES, highlight=False, markup=False)
