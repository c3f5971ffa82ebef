"""What is known of a format without loading its runtime. Each folder of this room describes itself by one of these."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.records import Precision


@dataclass(frozen=True)
class FormatInfo:
    """A format, as the ``INFO`` in its folder's ``__init__`` tells it.

    Attributes:
        module: The folder's own ``__name__``.
        name: As on the command line.
        runtime: The engine that executes it.
        distributions: Packages whose version is the runtime's, by the names it is published under.
        precision: The arithmetic of a session of a file that the toolkit wrote.
        devices: Kinds of device on which the runtime can execute.
        packages: Import names that must be there.
        suffixes: Of its files, the first is what export writes. Empty for what runs the checkpoint itself.
        names: What input and output are called in the files that are written; None where a format has no names.
        keeps_float32: What to do when the runtime computes in less than float32.
        variant_of: The format whose files these are as well, told apart by a longer suffix.
        baseline: Whether it is what all others are compared with: one is.
    """

    module: str
    name: str
    runtime: str
    distributions: tuple[str, ...]
    precision: "Precision"
    devices: tuple[str, ...]
    packages: tuple[str, ...]
    suffixes: tuple[str, ...] = ()
    names: tuple[str | None, str | None] = (None, None)
    keeps_float32: str = ""
    variant_of: str | None = None
    baseline: bool = False

    @property
    def file_name(self) -> str:
        """The name under which it is exported."""
        return f"model{self.suffixes[0]}"
