"""``fmnist-tk report``."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from toolkit.cli.console import finish, say, show, tell, write, write_json
from toolkit.cli.options import DebugOption, JsonOption, QuietOption
from toolkit.cli.options.files import check_files_differ
from toolkit.errors import OutputError, UsageError
from toolkit.system.files import check_writable, write_bytes

if TYPE_CHECKING:
    from toolkit.render.words.saved import SavedReport

__all__ = ["report"]

_SUFFIXES: Final = {
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
    form = _chosen(form, as_json=as_json)
    if schema:
        _tell_schema(files, outputs, form)
        return
    if not files:
        raise UsageError("report needs a FILE:", "pass the JSON that a command wrote, such as exported/report.json")
    for path in outputs:
        check_files_differ({"--output": path}, {"FILE": files})
    from toolkit.bench.engine.journal import read_saved
    from toolkit.render.words.saved import SavedReport

    saved = [SavedReport(str(path), read_saved(path)) for path in files]
    if len(saved) == 1 and not outputs and form in {None, "json"}:
        finish(saved[0].report, as_json=form == "json", output=None, quiet=quiet)
    wanted = dict.fromkeys([*(_SUFFIXES[path.suffix.lower()] for path in outputs), *([form] if form else [])])
    texts = {kind: _writers()[kind](saved) for kind in wanted}
    failed = _write(outputs, texts, quiet=quiet)
    if form:
        (write_json if form == "json" else write)(texts[form])
    elif not (outputs or quiet):
        for each in saved:
            say(f"== {each.file}", "")
            show(each.report)
    if failed:  # last: what can be shown or written is
        raise failed
    if any(each.report.interrupted for each in saved):
        raise typer.Exit(_INTERRUPTED)
    raise typer.Exit(0 if all(each.report.passed for each in saved) else 1)


def _chosen(form: str | None, *, as_json: bool) -> str | None:
    if as_json and form not in {None, "json"}:
        raise UsageError(f"--json and --format {form} are two results for one stdout", "leave one of them out")
    if form is not None and form not in _KINDS:
        raise UsageError(f"--format {form}: no such format of reports", f"choose one of {', '.join(_KINDS)}")
    return "json" if as_json else form


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


def _writers() -> "dict[str, Callable[[Sequence[SavedReport]], str]]":
    """Return what makes a text of reports, by the name of its format; nothing is imported before it is needed."""
    return {"html": _html, "md": _markdown, "csv": _csv, "json": _json}


def _html(saved: "Sequence[SavedReport]") -> str:
    from toolkit.render.page import report_page

    return report_page(saved)


def _markdown(saved: "Sequence[SavedReport]") -> str:
    from toolkit.render.files.markdown import reports_markdown

    return reports_markdown(saved)


def _csv(saved: "Sequence[SavedReport]") -> str:
    from toolkit.render.files.latency_csv import latency_csv

    if not any(each.report.latency for each in saved):
        if any(each.report.predictions or each.report.unreadable for each in saved):
            return _csv_of_pictures(saved)
        names = ", ".join(each.file for each in saved)
        raise UsageError(
            f"CSV holds what was timed or predicted, and nothing was in {names}",
            "pass a report of bench, run or predict",
        )
    return latency_csv(saved)


def _csv_of_pictures(saved: "Sequence[SavedReport]") -> str:
    from toolkit.render.files.prediction_files import predictions_csv

    if len(saved) > 1:
        raise UsageError(f"CSV of pictures is of one report, not of {len(saved)}", "pass one FILE")
    return predictions_csv(saved[0].report)


def _json(saved: "Sequence[SavedReport]") -> str:
    from toolkit.records import to_json

    if len(saved) > 1:
        raise UsageError(f"JSON is of one report, not of {len(saved)}", "pass one FILE")
    return to_json(saved[0].report)


def _write(outputs: Sequence[Path], texts: dict[str, str], *, quiet: bool) -> OutputError | None:
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
