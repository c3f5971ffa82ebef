"""What stands inside an artifact: its graph and its tensors, read from the file without running it.

Where the folder of a format has a module ``graph``, its function ``describe(path)`` returns `Contents`. What it does
not need is not read: values wait until they are asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toolkit.formats import FormatInfo, check_packages, optional
from toolkit.records import GraphRecord, Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What is meant to be read is shorter.
_LONGEST_TEXT = 10_000
_SHOWN = 100

Role = Literal["parameter", "buffer", "initializer", "constant"]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file, whose values are read when they are asked for.

    Attributes:
        name: As the graph has it.
        role: In the format's own words.
        dtype: NumPy's name for it.
        shape: Sizes.
        read: Returns the values, in the nearest dtype that NumPy has; raises whatever goes wrong with that.
        file: Name of the file beside the artifact that has the values, or None.
        transposed: True for a matrix that the graph keeps as ``(in, out)``, where a linear layer has ``(out, in)``.
    """

    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    read: "Callable[[], NDArray[Any]]"
    file: str | None = None
    transposed: bool = False


@dataclass(frozen=True)
class Contents:
    """What the reader of a format finds in an artifact.

    Attributes:
        graph: Nodes, versions and properties.
        signature: Inputs and outputs as the file declares them.
        tensors: In the order in which the graph uses them.
    """

    graph: GraphRecord
    signature: Signature
    tensors: tuple[StoredTensor, ...]


def describe_artifact(info: FormatInfo, path: Path) -> Contents | None:
    """Read an artifact's graph and tensors; None where its format has no reader. The file is only read.

    Raises:
        FormatError: If it cannot be read as one of its format, or a package is missing.
    """
    check_packages(info)
    describe = optional(info, "graph", "describe")
    return describe(path) if describe else None


def bounded(text: str) -> str:
    """Return a text as it is, or of a long one its beginning, length and SHA-256, which tells two apart."""
    if len(text) <= _LONGEST_TEXT:
        return text
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:_SHOWN]}… ({len(text):,} characters, SHA-256 {digest})"
