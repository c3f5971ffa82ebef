"""``fmnist-tk compare``."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.console import finish
from toolkit.cli.options import (
    DebugOption,
    JsonOption,
    JunitOption,
    MarkdownOption,
    MaxSlowdownOption,
    OutputOption,
    QuietOption,
    ThresholdOption,
    parse_percent,
)
from toolkit.cli.options.files import check_files_differ

__all__ = ["compare"]

BaseArgument = Annotated[
    Path, typer.Argument(metavar="BASE", help="A report of fmnist-tk bench or run: the earlier one.")
]
HeadArgument = Annotated[Path, typer.Argument(metavar="HEAD", help="The report whose speed over BASE is wanted.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Compare runs of different machines all the same; the report says so.")
]


def compare(
    base: BaseArgument,
    head: HeadArgument,
    max_slowdown: MaxSlowdownOption = None,
    threshold: ThresholdOption = "2%",
    force: ForceOption = False,
    junit: JunitOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two saved benches of one machine, row by row; exit 1 when one is too slow.

    Nothing is run. Rows are matched by format, device, threads, batch size and
    scenario; a verdict is given only as far as the noise of both runs lets it.
    Runs at different times differ by more than runs side by side: where both
    versions are at hand, fmnist-tk bench --against is surer.

    Exit code: 0 no row is too slow, 1 one is slower than --max-slowdown allows,
    2 cannot be compared.

    Examples:
        fmnist-tk compare base.json head.json

        fmnist-tk compare main.json branch.json --max-slowdown 5%
    """
    outputs = {"--output": output, "--junit": junit, "--markdown": markdown}
    check_files_differ(outputs, {"BASE": [base], "HEAD": [head]})
    slowdown = None if max_slowdown is None else parse_percent("--max-slowdown", max_slowdown)
    limit = parse_percent("--threshold", threshold)
    from toolkit.verbs.compare import compare_reports

    report = compare_reports(base, head, threshold=limit, max_slowdown=slowdown, force=force)
    finish(report, as_json=as_json, output=output, quiet=quiet, junit=junit, markdown=markdown)
