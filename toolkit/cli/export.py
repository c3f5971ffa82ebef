"""``fmnist-tk export``."""

import shlex
from typing import Annotated

import typer

from toolkit.cli.console import finish, showing_progress
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    CheckpointOption,
    DebugOption,
    DetailsOption,
    FolderOption,
    FormatsArgument,
    JsonOption,
    OutputOption,
    QuietOption,
    same_place,
)

__all__ = ["export"]

VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify/--no-verify",
        help="Check parity of what was written. Default: --verify.",
        show_default=False,
    ),
]


def export(
    formats: FormatsArgument = None,
    checkpoint: CheckpointOption = None,
    folder: FolderOption = DEFAULT_FOLDER,
    verify: VerifyOption = True,
    as_json: JsonOption = False,
    output: OutputOption = None,
    details: DetailsOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Write artifacts, and put each in place only when it matches the checkpoint.

    Each format becomes one file in the folder, beside manifest.json (what is
    there, with SHA-256), golden.npz (inputs and exact logits) and verified.json
    (what parity passed). An artifact that fails stays out, and the one before
    it stays. A format that is named must work; of the others, those whose
    packages are missing are skipped, with the reason.

    Exit code: 0 all written, 1 an artifact failed, 2 could not run.

    Examples:
        fmnist-tk export

        fmnist-tk export onnx torchscript --checkpoint model.pth --folder out
    """
    from toolkit.verbs.export import export_formats

    with showing_progress(quiet=quiet) as progress:
        report = export_formats(checkpoint, folder, formats or (), verify=verify, progress=progress)
    count = len(report.artifacts)
    then = ["bench" if verify else "parity", *same_place(folder, checkpoint)]
    after = f"; next: {shlex.join(['fmnist-tk', *then])}" if report.passed else ""
    last = f"Wrote {count} artifact{'' if count == 1 else 's'} to {folder}{after}"
    finish(report, as_json=as_json, output=output, quiet=quiet, details=details, last=last)
