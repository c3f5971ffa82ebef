"""The command line: parse, one library call, render, exit code. Imports no runtime.

Exit codes are those of ``diff``: 0 good, 1 ran and found a failure, 2 could not run; 130 after Ctrl-C.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from toolkit._version import __version__
from toolkit.cli import bench, compare, data, doctor, export, inspect, parity, predict, report, run, show, train
from toolkit.cli.console import note_typed
from toolkit.cli.console.page import PageCommand, PageGroup
from toolkit.cli.console.streams import drop, prepare_streams
from toolkit.cli.options import debugging
from toolkit.errors import ToolkitError, first_line
from toolkit.plain import plain

__all__ = ["app", "main"]

_INTERRUPTED = 130
# typer carries a copy of click under a private name; the common base
# of its usage errors is reached through a name that typer exports.
_ClickError: Any = typer.BadParameter.__mro__[2]

_HELP = """From a trained PyTorch model to the fastest artifact that provably still computes the same function.

fmnist-tk COMMAND --help tells more, with examples. Results go to stdout,
progress to stderr; --json prints the report and nothing else.

Exit codes: 0 good, 1 ran and found a failure, 2 could not run, 130 stopped by
Ctrl-C.

Examples:
    fmnist-tk run

    fmnist-tk parity model.onnx --checkpoint model.pth
"""


def _group(
    help: str, *commands: Callable[..., None], root: Callable[..., None], name: str | None = None
) -> typer.Typer:
    """Return a group of commands: every command of this package is made here, and is called as its function.

    Args:
        help: Of the group.
        commands: Functions whose parameters are options and whose docstrings are their help.
        root: What the group does before its command, or without one.
        name: Of the program.
    """
    group = typer.Typer(
        name=name,
        cls=PageGroup,
        help=help,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    group.callback(invoke_without_command=True)(root)
    for each in commands:
        group.command(cls=PageCommand)(each)
    return group


def _help_alone(context: typer.Context) -> None:
    """Show the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"fmnist-tk {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda value: _version(wanted=value),
        ),
    ] = False,
) -> None:
    _help_alone(context)


app = _group(
    _HELP,
    *(run.run, train.train, export.export, parity.parity, bench.bench, compare.compare, predict.predict),
    *(inspect.inspect, report.report, doctor.doctor),
    root=_root,
    name="fmnist-tk",
)
app.add_typer(_group(data.HELP, show.show, data.info, data.fetch, root=_help_alone), name="data")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit; every error is one line on stderr.

    Args:
        arguments: As after ``fmnist-tk``; None for those of the process.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stop from outside saves as Ctrl-C does
    prepare_streams()
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    note_typed(words)
    try:
        code = app(words, standalone_mode=False, prog_name="fmnist-tk")
        sys.stdout.flush()
        if code == _INTERRUPTED:  # typer makes an exit of Ctrl-C, without a word
            _fail("Interrupted", _INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)
    except _ClickError as error:
        _fail(f"{error.format_message().rstrip('.')}; {_advice(error)}", 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("Interrupted", _INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone, as in `fmnist-tk doctor | head`; nobody is left to tell.
        drop(sys.stdout)
        sys.exit(1)
    except ToolkitError as error:
        _explain()
        _fail(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001  a fault of ours is no result: exit code 1 would say that the artifact is wrong
        _explain()
        _fail(
            f"{type(error).__name__}: {first_line(error)}; if the input is right, report it with what --debug shows", 2
        )


def _explain() -> None:
    """With ``--debug``, print where the present error came from."""
    if debugging():
        traceback.print_exc()


def _advice(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "fmnist-tk"
    takes = {each.name for each in context.command.params} if context else set()
    if getattr(error, "option_name", "") in {"--format", "--formats"} and takes & {"formats", "targets"}:
        return f"formats are positional: {path} onnx"
    return f"see {path} --help"


def _fail(message: str, code: int) -> NoReturn:
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    prefix = typer.style("error:", fg="red", bold=True) if colour else "error:"
    try:
        typer.echo(f"{prefix} {plain(' '.join(message.split()), lines=False)}", err=True)
    except OSError:  # nobody reads it
        drop(sys.stderr)
    sys.exit(code)
