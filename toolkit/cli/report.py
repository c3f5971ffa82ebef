"""``fmnist-tk report``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from toolkit.cli.console import finish, say, show, tell, write, write_json
from toolkit.cli.options import DebugOption, DetailsOption, JsonOption, QuietOption, parse_choice
from toolkit.cli.options.files import check_files_differ
from toolkit.cli.options.values import one_of
from toolkit.errors import OutputError, UsageError
from toolkit.system.files import check_writable, write_bytes

if TYPE_CHECKING:
    from toolkit.verbs.report import Form

__all__ = ["report"]

_SUFFIXES: "Final[dict[str, Form]]" = {
    ".html": "html",
    ".htm": "html",
    ".md": "md",
    ".markdown": "md",
    ".csv": "csv",
    ".json": "json",
}
_KINDS: Final = tuple(dict.fromkeys(_SUFFIXES.values()))
_RESULT = "Result"
_INTERRUPTED = 130


def _known(paths: list[Path] | None) -> list[Path]:
    """Refuse a file whose name does not say what it is to be, or that cannot be written, before the work."""
    for path in paths or ():
        if path.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"--output {path}: its name must end in one of {', '.join(_SUFFIXES)}", "rename it")
        check_writable(path)
    return paths or []


FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE",
        help="Reports that commands wrote as JSON, or the .partial of a bench that was killed; several side by side.",
        show_default=False,
    ),
]
SchemaOption = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of reports instead.")]
OutputsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write FILE and show no tables: a page (.html), Markdown (.md), a line per timed row or picture (.csv) or "
        "the report (.json); several times for several files.",
        show_default=False,
        rich_help_panel=_RESULT,
        callback=_known,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        autocompletion=one_of(*_KINDS),
        help=f"Print this on stdout in place of tables: {', '.join(_KINDS)}.",
        show_default=False,
        rich_help_panel=_RESULT,
    ),
]


def report(
    files: FilesArgument = None,
    schema: SchemaOption = False,
    form: FormatOption = None,
    as_json: JsonOption = False,
    output: OutputsOption = None,
    details: DetailsOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show saved reports again, or as a page; the exit code is that of their commands.

    Nothing is run or measured again: what is shown was stored, and what
    follows from it is computed anew.

    Examples:
        fmnist-tk report exported/report.json -o report.html

        fmnist-tk report laptop.json server.json -o both.html -o both.csv

        fmnist-tk report --schema
    """
    files, outputs = files or [], output or []
    chosen = _chosen(form, as_json=as_json)
    if schema:
        _tell_schema(files, outputs, chosen)
        return
    for path in outputs:
        check_files_differ({"--output": path}, {"FILE": files})
    from toolkit.verbs.report import read_reports

    reports = read_reports(files)
    if len(files) == 1 and not outputs and chosen in {None, "json"}:
        finish(reports.saved[0].report, as_json=chosen == "json", output=None, quiet=quiet, details=details)
    wanted = dict.fromkeys([*(_SUFFIXES[path.suffix.lower()] for path in outputs), *([chosen] if chosen else [])])
    texts = {each: reports.text(each) for each in wanted}
    failed = _write(outputs, texts, quiet=quiet)
    if chosen:
        (write_json if chosen == "json" else write)(texts[chosen])
    elif not (outputs or quiet):
        for each in reports.saved:
            say(f"== {each.file}", "")
            show(each.report, details=details)
    if failed:  # last: what can be shown or written is
        raise failed
    raise typer.Exit(_INTERRUPTED if reports.interrupted else 0 if reports.passed else 1)


def _chosen(form: str | None, *, as_json: bool) -> "Form | None":
    if as_json and form not in {None, "json"}:
        raise UsageError(f"--json and --format {form} are two results for one stdout", "leave one of them out")
    chosen: Form | None = None if form is None else parse_choice("--format", form, _KINDS, "format of reports")
    return "json" if as_json else chosen


def _tell_schema(files: Sequence[Path], outputs: Sequence[Path], form: str | None) -> None:
    """Print the schema, and write it."""
    from toolkit.records import Report

    if files:
        raise UsageError(f"--schema is of every report, not of {files[0]}", "leave FILE out")
    other = [path for path in outputs if _SUFFIXES[path.suffix.lower()] != "json"]
    if other or form not in {None, "json"}:
        raise UsageError(
            f"--schema is JSON, not {other[0] if other else form}", "write it to a file that ends in .json"
        )
    text = json.dumps(Report.model_json_schema(mode="serialization"), indent=1)
    write_json(f"{text}\n")
    for path in outputs:
        write_bytes(path, f"{text}\n".encode())


def _write(outputs: Sequence[Path], texts: "dict[Form, str]", *, quiet: bool) -> OutputError | None:
    """Write every file; one that cannot be written keeps none of the others from it.

    Returns:
        The error of the first that cannot be written.
    """
    failed: OutputError | None = None
    for path in outputs:
        try:
            write_bytes(path, texts[_SUFFIXES[path.suffix.lower()]].encode())
        except OutputError as error:
            failed = failed or error
            continue
        if not quiet:
            tell(f"Wrote {path}")
    return failed
