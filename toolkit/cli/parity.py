"""``fmnist-tk parity``."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from toolkit.cli.console import finish, showing_progress
from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.cli.options import (
    DEFAULT_FOLDER,
    CheckpointOption,
    DebugOption,
    DetailsOption,
    DeviceOption,
    FolderOption,
    JsonOption,
    JunitOption,
    MarkdownOption,
    OutputOption,
    QuietOption,
    TargetsArgument,
    ThreadsOption,
    TrustOption,
    parse_choice,
)
from toolkit.cli.options.files import (
    artifacts_named,
    check_files_differ,
    check_pictures_kept,
    writable_folder,
)
from toolkit.cli.options.pictures import ImagesOption, LabelsOption, NumWorkersOption
from toolkit.cli.options.values import one_of
from toolkit.errors import UsageError

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
        str | None,
        typer.Option(
            "--precision",
            metavar="NAME",
            help="What the targets are declared to compute in, where their files do not say it: float32 (judged by "
            "rounding error), tf32, bfloat16, float16 or int8 (judged by accuracy).",
            show_default=False,
            rich_help_panel=_RULE,
            autocompletion=one_of("float32", "tf32", "bfloat16", "float16", "int8"),
        ),
    ] = None,
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
    trust: TrustOption = False,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    details: DetailsOption = False,
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
    outputs = {"--output": output, "--junit": junit, "--markdown": markdown}
    from toolkit.records import Precision

    declared: Precision | None = None
    if precision:
        declared = parse_choice("--precision", precision, get_args(Precision), "precision")
    from toolkit.verbs.parity import check_parity, rejudge_parity

    if rejudge:
        _check_goes_with_rejudge(
            checkpoint=checkpoint,
            against=against,
            device=device != "cpu",
            threads=threads,
            precision=precision,
            full=full,
            data=data,
            images=images,
            seed=seed,
            repro=repro,
        )
        check_files_differ(outputs, {"--rejudge": [rejudge]})
        if targets:
            raise UsageError("--rejudge takes its targets from the report", "pass no others")
        report = rejudge_parity(rejudge, max_drop=max_drop, min_agreement=min_agreement, significance=significance)
    else:
        other = artifacts_named([str(against)], DEFAULT_FOLDER) if against else []
        named = {"target": artifacts_named(targets or (), folder), "--against": other}
        check_files_differ(outputs, {**named, "--checkpoint": [checkpoint], "--labels": [labels]})
        check_pictures_kept(outputs, [images], labels)
        with stdout_to_stderr(), showing_progress(quiet=quiet) as progress:  # an artifact may print
            report = check_parity(
                targets or None,
                checkpoint,
                against=against,
                folder=folder,
                device=device,
                threads=threads,
                precision=declared,
                max_drop=max_drop,
                min_agreement=min_agreement,
                significance=significance,
                full=full,
                data=data,
                images=images,
                labels=labels,
                num_workers=num_workers,
                seed=seed,
                reproduce=repro,
                trust=trust,
                progress=progress,
            )
    finish(report, as_json=as_json, output=output, quiet=quiet, junit=junit, markdown=markdown, details=details)


def _check_goes_with_rejudge(**given: object) -> None:
    """Refuse options that ``--rejudge`` would ignore.

    Args:
        given: By the names of options, a true value for each that was given.

    Raises:
        UsageError: Naming them.
    """
    named = [f"--{name}" for name, value in given.items() if value]
    if named:
        them = "it" if len(named) == 1 else "them"
        raise UsageError(f"--rejudge runs nothing, so {', '.join(named)} would have no effect", f"leave {them} out")
