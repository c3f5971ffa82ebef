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

    Lists devices, formats with the versions of their runtimes, and where
    Fashion-MNIST was looked for. A runtime is imported, because one that is
    installed may still not start; of torch the files are looked at, and it is
    asked where a GPU may be. Nothing is downloaded, changed or measured.

    Exit code: 0, whatever was found.

    Examples:
        fmnist-tk doctor

        fmnist-tk doctor --json
    """
    from toolkit.verbs.doctor import check_machine

    finish(check_machine(), as_json=as_json, output=output, quiet=quiet)
