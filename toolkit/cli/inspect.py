"""``fmnist-tk inspect``."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import finish
from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.cli.options import DebugOption, JsonOption, OutputOption, QuietOption, TrustOption
from toolkit.cli.options.files import check_files_differ

__all__ = ["inspect"]

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A checkpoint, or an artifact of any format.", show_default=False)
]
OtherArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="OTHER",
        help="Another one: then what differs is shown; exit 0 if only format or storage do.",
        show_default=False,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Show every node and tensor of a long list.")]


def inspect(
    file: FileArgument,
    other: OtherArgument = None,
    whole: AllOption = False,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what stands inside a checkpoint or an artifact, or in what two of them differ (exit 1 when they do).

    An artifact is opened on the CPU as its runtime opens it; a checkpoint is
    read and nothing of it is run. Whether it is right is a question for
    fmnist-tk parity.

    Examples:
        fmnist-tk inspect exported/model.onnx

        fmnist-tk inspect model.pth exported/model.onnx
    """
    check_files_differ({"--output": output}, {"FILE": [file], "OTHER": [other] if other else []})
    from toolkit.render.terminal import render_report
    from toolkit.verbs.inspection import inspect_files

    with stdout_to_stderr():  # a runtime that refuses a file may say so by itself
        report = inspect_files(file, other, trust=trust)
    parts = render_report(report, whole=whole)
    finish(report, as_json=as_json, output=output, quiet=quiet, instead=parts)
