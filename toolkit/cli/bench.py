"""``fmnist-tk bench``."""

from typing import Annotated

import typer

from toolkit.cli.console import finish, showing_progress
from toolkit.cli.options import (
    DEFAULT_BATCH,
    DEFAULT_FOLDER,
    BatchOption,
    CheckpointOption,
    DebugOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    OutputOption,
    QuietOption,
    TargetsArgument,
    ThreadsOption,
    parse_batch_sizes,
)

__all__ = ["bench"]

LimitsOption = Annotated[
    bool,
    typer.Option(
        "--limits/--no-limits", help="Measure what the machine can do at most, beside the rows: ten seconds on a CPU."
    ),
]
UnverifiedOption = Annotated[
    bool, typer.Option("--unverified", help="Time also what parity has not passed; its rows say so.")
]


def bench(
    targets: TargetsArgument = None,
    checkpoint: CheckpointOption = None,
    folder: FolderOption = DEFAULT_FOLDER,
    device: DeviceOption = "cpu",
    batch: BatchOption = DEFAULT_BATCH,
    threads: ThreadsOption = None,
    unverified: UnverifiedOption = False,
    limits: LimitsOption = True,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Time verified artifacts beside eager PyTorch, each in a process of its own.

    Examples:
        fmnist-tk bench --batch 1,64

        fmnist-tk bench onnx torchscript --device cuda -o bench.json
    """
    sizes = parse_batch_sizes(batch)
    from toolkit.bench import run_benchmark
    from toolkit.checkpoint import load_checkpoint
    from toolkit.devices import resolve_device
    from toolkit.sessions import resolve_targets

    device = resolve_device(device)
    found, skips = resolve_targets(targets or [], folder, device)
    with showing_progress(quiet=quiet) as progress:
        report = run_benchmark(
            found,
            load_checkpoint(checkpoint),
            device=device,
            batch_sizes=sizes,
            threads=threads,
            unverified=unverified,
            against_limits=limits,
            skips=skips,
            progress=progress,
        )
    finish(report, as_json=as_json, output=output, quiet=quiet)
