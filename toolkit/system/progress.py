"""How a verb says where it is. It knows nothing of terminals; the command line does."""

from typing import Protocol, runtime_checkable


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
