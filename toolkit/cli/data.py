"""``fmnist-tk data info`` and ``fetch``: where Fashion-MNIST is, and how it gets here."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from toolkit.cli.console import finish, tell
from toolkit.cli.options import DebugOption, JsonOption, OutputOption, QuietOption
from toolkit.cli.show import LocalDataOption

__all__ = ["HELP", "fetch", "info"]

HELP: Final = "Look at Fashion-MNIST, fetch it, and see what a model gets wrong."


def info(
    data: LocalDataOption = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Say where Fashion-MNIST is, how many pictures it has of each class, and whether its bytes are the published ones.

    Nothing is downloaded. Where the full set is nowhere, the bundled sample is
    described, with how to get the rest, and the exit code is 0. A copy that is
    incomplete or damaged, or a --data DIR without the files, is exit code 2.

    Examples:
        fmnist-tk data info

        fmnist-tk data info --data /usr/share/datasets/fashion-mnist --json
    """
    from toolkit.verbs.data import check_data

    finish(check_data(data), as_json=as_json, output=output, quiet=quiet)


def fetch(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for the four files. Default: the cache, where every command finds them.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Put Fashion-MNIST into the cache: copied from elsewhere on this machine if it is there, else downloaded.

    The four files are verified before any of them is put in place; a copy that
    is broken is replaced. What is there already is not fetched again.
    What --out DIR/FashionMNIST/raw fetches, torchvision finds as FashionMNIST("DIR").

    Examples:
        fmnist-tk data fetch

        fmnist-tk data fetch --out data/FashionMNIST/raw
    """
    from toolkit.system.progress import silent
    from toolkit.verbs.data import fetch_data

    bars = not quiet and sys.stderr.isatty()
    report = fetch_data(out, progress=silent if quiet else _step, bars=bars)
    finish(report, as_json=as_json, output=output, quiet=quiet)


def _step(task: str, done: int, total: int, detail: str = "") -> None:
    """Print a line of progress; a bar of ours would stand in the way of the downloader's."""
    if detail:
        tell(detail)
