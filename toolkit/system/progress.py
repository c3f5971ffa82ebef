"""How a verb says where it is. It knows nothing of terminals; the command line does."""

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from toolkit.errors import UsageError, first_line


@runtime_checkable
class Progress(Protocol):
    """Told after each finished step of a task."""

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        """Say that ``done`` of ``total`` steps of ``task`` are finished.

        Args:
            task: What is being done, such as ``train``.
            done: Finished steps, 0 at the start.
            total: All steps.
            detail: What the last step gave, or which step comes next.
        """


def silent(task: str, done: int, total: int, detail: str = "") -> None:
    """Say nothing: the default of every verb."""


def unwatched(*_: object) -> None:
    """Say nothing of rounds either."""


def in_seconds(
    progress: Progress, name: str, expected_s: float, clock: Callable[[], float] = time.monotonic
) -> Progress:
    """Return what is told of several tasks and tells of them as one: seconds that went by, of about so many.

    Args:
        progress: Is told at once how long all of it takes, then in steps of a twentieth, and when a task begins.
        name: What all of it is called.
        expected_s: How long it takes; when it takes longer, the total grows.
        clock: Seconds from an arbitrary start.

    Raises:
        UsageError: If ``progress`` can be called, and not with that.
    """
    started, whole = clock(), max(round(expected_s), 1)
    told: tuple[str, int] = ("", 0)
    try:
        progress(f"{name}, second", 0, whole, f"about {whole} s in all")
    except TypeError as error:
        reason = f"progress cannot be called with (task, done, total, detail): {first_line(error)}"
        raise UsageError(reason, "pass a function that takes these") from error

    def tell(task: str, done: int, total: int, detail: str = "") -> None:
        nonlocal told
        spent = round(clock() - started)
        now = task, 20 * spent // whole
        if now != told:
            told = now
            progress(f"{name}, second", spent, max(whole, spent + 1), f"{task} {done}/{total} {detail}".rstrip())

    return tell
