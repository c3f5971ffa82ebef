"""``fmnist-tk parity``."""

from toolkit.cli.console import finish, showing_progress
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    CheckpointOption,
    DebugOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    OutputOption,
    QuietOption,
    TargetsArgument,
    ThreadsOption,
)

__all__ = ["parity"]


def parity(
    targets: TargetsArgument = None,
    checkpoint: CheckpointOption = None,
    folder: FolderOption = DEFAULT_FOLDER,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Check that artifacts still compute the checkpoint's function; exit 1 when one does not.

    Examples:
        fmnist-tk parity

        fmnist-tk parity onnx exported/model.pt2 --checkpoint model.pth --json
    """
    from toolkit.checkpoint import load_checkpoint
    from toolkit.devices import resolve_device
    from toolkit.parity import check_parity
    from toolkit.sessions import resolve_targets

    device = resolve_device(device)
    found, skips = resolve_targets(targets or [], folder, device)
    with showing_progress(quiet=quiet) as progress:
        report = check_parity(
            found, load_checkpoint(checkpoint), device=device, threads=threads, skips=skips, progress=progress
        )
    finish(report, as_json=as_json, output=output, quiet=quiet)
