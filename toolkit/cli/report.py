"""``fmnist-tk report``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import finish, say
from toolkit.cli.options import DebugOption, JsonOption, OutputOption, QuietOption
from toolkit.errors import UsageError
from toolkit.files import write_bytes

__all__ = ["report"]

FileArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="A report that a command wrote as JSON, or the .partial of a bench that was killed.",
        show_default=False,
    ),
]
SchemaOption = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of reports instead.")]


def report(
    file: FileArgument = None,
    schema: SchemaOption = False,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show a saved report again; the exit code is that of its command.

    Nothing is run or measured again: what is shown was stored, and what
    follows from it is computed anew.

    Examples:
        fmnist-tk report exported/report.json

        fmnist-tk report --schema
    """
    from toolkit.bench.journal import read_saved
    from toolkit.records import Report

    if schema:
        text = json.dumps(Report.model_json_schema(mode="serialization"), indent=1)
        say(text)
        if output:
            write_bytes(output, f"{text}\n".encode())
    elif file is None:
        raise UsageError("report needs a FILE: pass the JSON that a command wrote, such as exported/report.json")
    else:
        finish(read_saved(file), as_json=as_json, output=output, quiet=quiet)
