"""The pages that ``--help`` shows: prose that fills the terminal, examples that keep their lines."""

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["PageCommand", "PageGroup"]


class PageCommand(TyperCommand):
    """A command with such a page: ``app.command(cls=PageCommand)``."""

    def __init__(self, *args: Any, help: str | None = None, **options: Any) -> None:
        super().__init__(*args, help=_flowing(help), **options)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them."""
        return _without_bool(super().get_params(ctx))


class PageGroup(TyperGroup):
    """A group of commands with such a page: ``typer.Typer(cls=PageGroup)``."""

    def __init__(self, *args: Any, help: str | None = None, **options: Any) -> None:
        super().__init__(*args, help=_flowing(help), **options)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them."""
        return _without_bool(super().get_params(ctx))


def _flowing(text: str | None) -> str | None:
    """Join the lines of each paragraph before the examples, unless some are indented.

    Typer keeps lines as they are, which leaves ragged ends at every width but one.
    """
    if text is None:
        return None
    prose, heading, examples = inspect.cleandoc(text).partition("Examples:\n")
    paragraphs = [each if "\n " in each else each.replace("\n", " ") for each in prose.strip().split("\n\n")]
    return "\n\n".join([*paragraphs, *([heading + examples] if heading else [])])


def _without_bool(parameters: list[Any]) -> list[Any]:
    """Leave out of the help that a flag is a ``<bool>``, which takes six columns of eighty."""
    for each in parameters:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
    return parameters
