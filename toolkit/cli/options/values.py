"""What the shell is offered when a value is typed in part."""

from collections.abc import Callable

#: Devices as they are typed.
DEVICES = ("auto", "cpu", "cuda", "mps")


def one_of(*values: str) -> Callable[[str], list[str]]:
    """Return what offers values to the shell."""
    return lambda incomplete: [each for each in values if each.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """Offer the names of formats to the shell; files complete by themselves."""
    from toolkit.formats import FORMATS

    return one_of(*FORMATS)(incomplete)
