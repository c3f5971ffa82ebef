"""``fmnist-tk doctor``."""

from toolkit.cli.console import finish
from toolkit.cli.options import DebugOption, JsonOption, OutputOption, QuietOption

__all__ = ["doctor"]


def doctor(
    as_json: JsonOption = False,
    output: OutputOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what works on this machine, and for what does not, what to do.

    Examples:
        fmnist-tk doctor

        fmnist-tk doctor --json
    """
    from toolkit.doctor import diagnose

    finish(diagnose(), as_json=as_json, output=output, quiet=quiet)
