"""``fmnist-tk bench``."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import finish, showing_progress, showing_rounds, tell
from toolkit.cli.options import (
    COMPARING,
    DEFAULT_BATCH,
    DEFAULT_FOLDER,
    MEASURING,
    BatchOption,
    BudgetOption,
    CheckpointOption,
    DebugOption,
    DetailsOption,
    FolderOption,
    JsonOption,
    JunitOption,
    MarkdownOption,
    MaxSlowdownOption,
    OutputOption,
    QuietOption,
    SeedOption,
    TargetsArgument,
    ThresholdOption,
    TrustOption,
    parse_batch_sizes,
    parse_percent,
    parse_threads,
)
from toolkit.cli.options.files import artifacts_named, check_files_differ, check_pictures_kept
from toolkit.cli.options.pictures import ImagesOption, LabelsOption, NumWorkersOption
from toolkit.cli.options.values import DEVICES, one_of
from toolkit.errors import UsageError

__all__ = ["bench"]

_CHECKS = "Checks"

DevicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or mps; several times for one table. Default: cpu.",
        show_default=False,
        autocompletion=one_of(*DEVICES),
    ),
]
ThreadCountsOption = Annotated[
    str | None,
    typer.Option(
        "--threads",
        metavar="N[,N]...",
        help="Threads on the CPU; several make rows of their own. Default: the physical cores.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]
ScenarioOption = Annotated[
    str,
    typer.Option(
        "--scenario",
        metavar="NAME",
        help="latency (one call after the other), throughput, paced:10ms, poisson:100 (arrivals per second) or cold. "
        "Default: latency.",
        show_default=False,
        autocompletion=one_of("latency", "throughput", "paced:10ms", "poisson:100", "cold"),
        rich_help_panel=MEASURING,
    ),
]
RestartsOption = Annotated[
    int | None,
    typer.Option(
        "--restarts",
        min=0,
        max=100,
        metavar="N",
        help="How often every worker is replaced by a new one, in even parts of the budget; more are surer. "
        "Default: 1, or 0 for a budget of less than 15 s.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="DIR|FILE",
        help="Measure also, in the same rounds, another folder's artifacts or another checkpoint, and compare.",
        show_default=False,
        rich_help_panel=COMPARING,
    ),
]
LimitsOption = Annotated[
    bool | None,
    typer.Option(
        "--limits/--no-limits",
        help="Measure what the machine can do at most, beside the rows: ten seconds on a CPU. "
        "It bounds calls of latency and throughput; the other scenarios go without. Default: --limits, "
        "or --no-limits for a budget of less than 15 s.",
        show_default=False,
        rich_help_panel=_CHECKS,
    ),
]
SelfcheckOption = Annotated[
    bool,
    typer.Option(
        "--selfcheck",
        help="Only prove that the clock is honest on the device, and what it adds.",
        rich_help_panel=_CHECKS,
    ),
]
UnverifiedOption = Annotated[
    bool,
    typer.Option(
        "--unverified", help="Time also what parity has not passed; its rows say so.", rich_help_panel=_CHECKS
    ),
]


def bench(
    targets: TargetsArgument = None,
    checkpoint: CheckpointOption = None,
    folder: FolderOption = DEFAULT_FOLDER,
    device: DevicesOption = None,
    batch: BatchOption = DEFAULT_BATCH,
    threads: ThreadCountsOption = None,
    scenario: ScenarioOption = "latency",
    budget: BudgetOption = None,
    restarts: RestartsOption = None,
    seed: SeedOption = None,
    against: AgainstOption = None,
    max_slowdown: MaxSlowdownOption = None,
    threshold: ThresholdOption = "2%",
    unverified: UnverifiedOption = False,
    trust: TrustOption = False,
    limits: LimitsOption = None,
    selfcheck: SelfcheckOption = False,
    images: ImagesOption = None,
    labels: LabelsOption = None,
    num_workers: NumWorkersOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    details: DetailsOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Time verified artifacts beside eager PyTorch, each row in a process of its own, in rounds of random order.

    Every number comes with its interval. Eager is measured twice: the
    difference between the two is the noise of the run. Outputs are compared
    with the reference before and after, and the clock is checked first. Copies
    to and from the device are columns of their own. What parity has not passed
    is refused; nothing is exported or checked here. Ctrl-C keeps the finished
    rounds.

    Exit code: 0 measured, 1 a row failed or is slower than --max-slowdown
    allows, 2 could not run, 130 stopped by Ctrl-C.

    Examples:
        fmnist-tk bench --batch 1,64

        fmnist-tk bench onnx torchscript --device cuda -o bench.json

        fmnist-tk bench --against main/exported --max-slowdown 10%

        fmnist-tk bench --images photos --labels labels.csv
    """
    if selfcheck and images:
        raise UsageError("--selfcheck runs no model, so --images would have no effect", "leave one of them out")
    outputs = {"--output": output, "--junit": junit, "--markdown": markdown}
    inputs = {"--labels": [labels], "--checkpoint": [checkpoint], "--against": [against]}
    check_files_differ(outputs, {**inputs, "target": artifacts_named(targets or (), folder)})
    check_pictures_kept(outputs, [images], labels)
    sizes, counts = parse_batch_sizes(batch), parse_threads(threads)
    slowdown = None if max_slowdown is None else parse_percent("--max-slowdown", max_slowdown)
    limit = parse_percent("--threshold", threshold)
    from toolkit.verbs.bench import check_clock, run_benchmark

    devices = device or ["cpu"]
    if selfcheck:
        report = check_clock(devices)
        finish(report, as_json=as_json, output=output, quiet=quiet, junit=junit, markdown=markdown, details=details)
    with _journal_beside(output or folder / "bench") as journal:
        with showing_progress(quiet=quiet) as progress, showing_rounds(quiet=quiet) as watch:
            report = run_benchmark(
                targets or None,
                checkpoint,
                folder=folder,
                device=devices,
                batch_sizes=sizes,
                threads=counts,
                scenario=scenario,
                budget_s=budget,
                restarts=restarts,
                seed=seed,
                against=against,
                max_slowdown=slowdown,
                threshold=limit,
                unverified=unverified,
                trust=trust,
                limits=limits,
                images=images,
                labels=labels,
                num_workers=num_workers,
                journal=journal,
                progress=progress,
                watch=watch,
            )
        finish(report, as_json=as_json, output=output, quiet=quiet, junit=junit, markdown=markdown, details=details)


@contextmanager
def _journal_beside(result: Path) -> Iterator[Path]:
    """Give the path of a journal, and delete that when the block has told the result.

    Whatever else ends the block, Ctrl-C while the report is made or a disk that is full, rounds that were finished stay
    there, and a line on stderr names them.
    """
    from toolkit.bench.engine.journal import has_rounds, journal_path

    journal, told = journal_path(result), False
    try:
        yield journal
    except (typer.Exit, SystemExit, BrokenPipeError):  # the last two: a reader of stdout has gone, by its own will
        told = True
        raise
    finally:
        if not told and has_rounds(journal):
            tell(f"The finished rounds are kept: fmnist-tk report {shlex.quote(str(journal))}")
        else:
            with suppress(OSError):
                journal.unlink()
