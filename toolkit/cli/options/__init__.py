"""Options that mean the same in every command."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.options.values import DEVICES, formats, one_of
from toolkit.errors import UsageError
from toolkit.system.files import check_writable

_RESULT = "Result"
#: Panel of the help for the options that say how to measure.
MEASURING = "Measuring"
#: Panel for those that say how two runs are compared.
COMPARING = "Comparing"


def writable(path: Path | None) -> Path | None:
    """Refuse a report's path before the work, not after it."""
    if path:
        check_writable(path)
    return path


FormatsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FORMAT",
        help="Formats to write: torchscript, onnx, torch-export. None: all that can be written here.",
        autocompletion=formats,
        show_default=False,
    ),
]
TargetsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET",
        help="Formats (their artifacts in the folder) or files. None: all that is in the folder and works here.",
        autocompletion=formats,
        show_default=False,
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        *("--checkpoint", "--weights", "-c"),
        metavar="FILE",
        help="Weights: .pth of torch.save (state dict or model) or .safetensors. Default: the bundled ones.",
        show_default=False,
    ),
]
FolderOption = Annotated[
    Path,
    typer.Option("--folder", metavar="DIR", help="Folder of the artifacts. Default: exported.", show_default=False),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:N or mps. Default: cpu.",
        show_default=False,
        autocompletion=one_of(*DEVICES),
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=1024,
        metavar="N",
        help="Threads on the CPU. Default: the physical cores.",
        show_default=False,
    ),
]
BatchOption = Annotated[
    str,
    typer.Option(
        "--batch",
        "-b",
        metavar="N[,N]...",
        help="Images per call, one or several. Default: 1,64,1024.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="SECONDS",
        help="For measuring all rows, opening and limits apart. Default: 30 for bench, 7 for run.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        help="Of the order in which rows take turns; the report names it. Default: a new one.",
        show_default=False,
        rich_help_panel=MEASURING,
    ),
]
MaxSlowdownOption = Annotated[
    str | None,
    typer.Option(
        "--max-slowdown",
        metavar="PERCENT",
        help="Exit 1 when a row is surely slower than its base by more than this, such as 5% or 0.05.",
        show_default=False,
        rich_help_panel=COMPARING,
    ),
]
ThresholdOption = Annotated[
    str,
    typer.Option(
        "--threshold",
        metavar="PERCENT",
        help="Differences up to this do not matter: a row that surely differs by less is SAME. Default: 2%.",
        show_default=False,
        rich_help_panel=COMPARING,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder of Fashion-MNIST. Default: $FMNIST_TK_DATA, the cache, the Debian package, or a download.",
        show_default=False,
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Open artifacts that ask for more than to compute; you answer for where they come from.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print the report as JSON, and nothing else, on stdout.", rich_help_panel=_RESULT),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Also write the report to FILE as JSON.",
        rich_help_panel=_RESULT,
        callback=writable,
    ),
]
JunitOption = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Also write the result to FILE as JUnit XML, a case per check or row.",
        rich_help_panel=_RESULT,
        callback=writable,
    ),
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option(
        "--markdown",
        metavar="FILE",
        help="Also write a summary to FILE as Markdown.",
        rich_help_panel=_RESULT,
        callback=writable,
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print no progress and no tables; the exit code tells.", rich_help_panel=_RESULT
    ),
]
DetailsOption = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Show all that the report holds, not only what answers.",
        rich_help_panel=_RESULT,
    ),
]
DebugOption = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show the traceback of an error.",
        rich_help_panel=_RESULT,
        is_eager=True,
        callback=lambda value: _debug(on=value),
    ),
]

DEFAULT_FOLDER = Path("exported")
DEFAULT_BATCH = "1,64,1024"

# More images than that fit into no memory.
_MOST_DIGITS = 9
_MOST_THREADS = 1024
_LARGEST_SHARE = 10.0

_state = {"debug": False}


def _debug(*, on: bool) -> bool:
    _state["debug"] = on
    return on


def debugging() -> bool:
    """Say whether the command was called with ``--debug``."""
    return _state["debug"]


def same_place(folder: Path, checkpoint: Path | None) -> list[str]:
    """Return the options that let another command work on the same artifacts."""
    where = [] if folder == DEFAULT_FOLDER else ["--folder", str(folder)]
    return where if checkpoint is None else [*where, "--checkpoint", str(checkpoint)]


def parse_choice(option: str, text: str, choices: tuple[str, ...], what: str) -> Any:
    """Return the one of the choices that a text is.

    Raises:
        UsageError: If it is none of them.
    """
    if text not in choices:
        raise UsageError(f"{option} {text}: no such {what}", f"choose one of {', '.join(choices)}")
    return text


def parse_batch_sizes(text: str) -> tuple[int, ...]:
    """Return the batch sizes in ``1,64,1024``, each once, in the order given.

    Raises:
        UsageError: If one is not a whole number from 1.
    """
    return parse_numbers("--batch", text, "1,64")


def parse_threads(text: str | None) -> tuple[int, ...]:
    """Return the numbers of threads in ``1,2``, each once; none without a text.

    Raises:
        UsageError: If one is not a whole number from 1 to 1,024.
    """
    return () if text is None else parse_numbers("--threads", text, "1,2", _MOST_THREADS)


def parse_percent(option: str, text: str) -> float:
    """Return 0.05 for ``5%``, ``5 %`` or ``0.05``.

    Raises:
        UsageError: If it is no number, not between 0 and 1,000 %, or if it is not plain whether per cent are meant.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip(), re.ASCII)
    value = float(found[1]) / (100 if found[2] else 1) if found else None
    if found and not found[2] and float(found[1]) >= 1:
        raise UsageError(f"{option} {text}: per cent, or times?", f"Write {option} {found[1]}% if per cent are meant")
    if value is None or value > _LARGEST_SHARE:
        raise UsageError(f"{option} {text}: not a percentage from 0% to 1000%", f"write for example {option} 5%")
    return value


def parse_numbers(
    option: str, text: str, example: str, most: int = 10**_MOST_DIGITS - 1, *, least: int = 1
) -> tuple[int, ...]:
    """Return the whole numbers in ``1,2``, each once, in the order given.

    Raises:
        UsageError: If one is not a whole number from ``least`` to ``most``.
    """
    numbers = []
    for part in text.split(","):
        word = part.strip()
        if not word.isdecimal() or len(word) > _MOST_DIGITS or not least <= int(word) <= most:
            upper = "" if len(str(most)) >= _MOST_DIGITS else f" to {most:,}"
            raise UsageError(
                f"{option} {text}: {word!r} is not a whole number from {least}{upper}",
                f"write for example {option} {example}",
            )
        numbers.append(int(word))
    return tuple(dict.fromkeys(numbers))
