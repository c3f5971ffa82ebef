"""``fmnist-tk inspect``."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import finish
from toolkit.cli.options import DebugOption, JsonOption, OutputOption, QuietOption

__all__ = ["inspect"]

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint or an artifact.", show_default=False)]


def inspect(
    file: FileArgument,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what stands inside a checkpoint or an artifact: layers, labels, preprocessing, digests.

    An artifact is opened on the CPU as its runtime opens it; a checkpoint is
    read and nothing of it is run. Whether it is right is a question for
    fmnist-tk parity.

    Examples:
        fmnist-tk inspect exported/model.onnx

        fmnist-tk inspect model.pth --json
    """
    from toolkit.inspection import inspect_file

    finish(inspect_file(file), as_json=as_json, output=output, quiet=quiet)
