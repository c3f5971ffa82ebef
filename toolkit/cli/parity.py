"""``fmnist-tk parity``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.console import finish, showing_progress
from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    CheckpointOption,
    DebugOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    JunitOption,
    MarkdownOption,
    OutputOption,
    QuietOption,
    TargetsArgument,
    ThreadsOption,
    parse_precision,
)
from toolkit.cli.options.parity import (
    check_files_differ,
    check_goes_with_rejudge,
    check_pictures_kept,
    writable_folder,
)
from toolkit.cli.options.pictures import ImagesOption, LabelsOption, NumWorkersOption, check_pictures, read_pictures
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from toolkit.fashion.checkpoint import Checkpoint
    from toolkit.formats.target import Target
    from toolkit.parity.rules.quality import Gates
    from toolkit.records import Report

__all__ = ["parity"]

_RULE, _INPUTS, _RESULT = "Rule", "Inputs", "Result"


def parity(
    targets: TargetsArgument = None,
    checkpoint: CheckpointOption = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="Compare with another artifact, not a checkpoint.",
            show_default=False,
        ),
    ] = None,
    folder: FolderOption = DEFAULT_FOLDER,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="What the targets are declared to compute in: float32 (judged by rounding error), tf32, bfloat16, "
            "float16 or int8 (judged by accuracy). Default: float32.",
            show_default=False,
            rich_help_panel=_RULE,
        ),
    ] = "float32",
    max_drop: Annotated[
        float,
        typer.Option(
            "--max-drop",
            min=0,
            max=100,
            metavar="POINTS",
            help="Lower precision: largest drop of accuracy, in percentage points. Default: 0.5.",
            show_default=False,
            rich_help_panel=_RULE,
        ),
    ] = 0.5,
    min_agreement: Annotated[
        float,
        typer.Option(
            "--min-agreement",
            min=0,
            max=1,
            metavar="FRACTION",
            help="Lower precision: smallest fraction of labels equal to the reference's. Default: 0.98.",
            show_default=False,
            rich_help_panel=_RULE,
        ),
    ] = 0.98,
    significance: Annotated[
        float,
        typer.Option(
            "--significance",
            min=0,
            max=1,
            metavar="P",
            help="Lower precision: accuracy that is worse with a p-value below P fails even within --max-drop; "
            "0 turns it off. Default: 0.05.",
            show_default=False,
            rich_help_panel=_RULE,
        ),
    ] = 0.05,
    full: Annotated[
        bool,
        typer.Option("--full", help="Compare on all 10,000 test images as well.", rich_help_panel=_INPUTS),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of Fashion-MNIST; implies --full. Default: the usual places, without a download.",
            show_default=False,
            rich_help_panel=_INPUTS,
        ),
    ] = None,
    images: ImagesOption = None,
    labels: LabelsOption = None,
    num_workers: NumWorkersOption = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**31,
            metavar="N",
            help="Of the random inputs and of the search. Default: 0.",
            show_default=False,
            rich_help_panel=_INPUTS,
        ),
    ] = 0,
    repro: Annotated[
        Path | None,
        typer.Option(
            "--repro",
            metavar="DIR",
            help="For what fails, write a folder with a small input and a script that shows it.",
            rich_help_panel=_RESULT,
            callback=writable_folder,
        ),
    ] = None,
    rejudge: Annotated[
        Path | None,
        typer.Option(
            "--rejudge",
            metavar="FILE",
            help="Run nothing; judge the measurements of a saved report again, by the options given here.",
            show_default=False,
            rich_help_panel=_RULE,
        ),
    ] = None,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Check that artifacts still compute the checkpoint's function; exit 1 when one does not.

    Values are compared with the checkpoint in float64 on real, random and
    hostile images, and behaviour with itself: other batch sizes, order,
    repeated calls. The rule is 8 times eager PyTorch's own rounding error; a
    lower --precision is judged by its classification instead. A failure names
    its cause and its layer. What passed is noted beside the artifact, and bench
    times nothing else. Nothing is changed in an artifact, and nothing is timed.

    Exit code: 0 all match, 1 one does not, 2 could not run.

    Examples:
        fmnist-tk parity --junit parity.xml

        fmnist-tk parity onnx exported/model.pt2 --checkpoint model.pth

        fmnist-tk parity --full --repro broken

        fmnist-tk parity model.int8.onnx --precision int8 --max-drop 0.2

        fmnist-tk parity --images photos --labels labels.csv
    """
    check_pictures(images, labels, num_workers, data=data, full=full)
    from toolkit.parity.rules.quality import Gates

    gates = Gates(max_drop, min_agreement, significance)
    outputs = {"--output": output, "--junit": junit, "--markdown": markdown}
    if rejudge:
        check_goes_with_rejudge(
            checkpoint=checkpoint,
            against=against,
            device=device != "cpu",
            threads=threads,
            precision=precision != "float32",
            full=full,
            data=data,
            images=images,
            seed=seed,
            repro=repro,
        )
        check_files_differ(outputs, {"--rejudge": [rejudge]})
        report = _rejudged(rejudge, targets, gates)
    else:
        from toolkit.formats.target import Target, resolve_targets
        from toolkit.parity import check_parity
        from toolkit.parity.plan import find_test_set
        from toolkit.system.devices import resolve_device

        device = resolve_device(device)
        declared = parse_precision(precision)
        with stdout_to_stderr(), showing_progress(quiet=quiet) as progress:
            found, skips = resolve_targets(targets or [], folder, device)
            reference = _reference(checkpoint, against)
            other = reference.path if isinstance(reference, Target) else None
            inputs = {"--checkpoint": checkpoint, "--against": other, "--labels": labels}
            check_files_differ(
                outputs, {name: [path] for name, path in inputs.items()} | {"target": [each.path for each in found]}
            )
            check_pictures_kept(outputs, [images])
            own = read_pictures(images, labels, num_workers, progress)
            if images and own:  # a line of --labels may name a file whose name is not that of a picture
                check_files_differ(outputs, {"--images": [images / name for name in own.names]})
            report = check_parity(
                found,
                reference,
                device=device,
                threads=threads,
                precision=declared,
                gates=gates,
                full=None if own else find_test_set(data, wanted=full, useful=declared != "float32"),
                own=own,
                seed=seed,
                reproduce=repro,
                skips=skips,
                progress=progress,
            )
    finish(report, as_json=as_json, output=output, quiet=quiet, junit=junit, markdown=markdown)


def _reference(checkpoint: Path | None, against: Path | None) -> "Checkpoint | Target":
    """Return what the targets must compute.

    Raises:
        ToolkitError: If it cannot be read, or both are given.
    """
    from toolkit.fashion.checkpoint import load_checkpoint
    from toolkit.formats.target import resolve_targets

    if against is None:
        return load_checkpoint(checkpoint)
    if checkpoint:
        raise UsageError("--checkpoint and --against are two references", "pass one of them")
    (target,), _ = resolve_targets([str(against)], DEFAULT_FOLDER, "cpu")
    return target


def _rejudged(path: Path, targets: list[str] | None, gates: "Gates") -> "Report":
    from toolkit.parity.rules.rejudge import rejudge
    from toolkit.records import Report, read_record

    if targets:
        raise UsageError("--rejudge takes its targets from the report", "pass no others")
    report = read_record(path, Report)
    if not report.parity:
        raise UsageError(
            f"--rejudge {path}: the report of fmnist-tk {report.command} has no parity in it", "pass another"
        )
    return rejudge(report, gates)
