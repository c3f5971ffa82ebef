"""Prefixes of an artifact: its graph cut after each node in turn, so that a layer's output can be compared.

The graph under test stays as it is. To make every intermediate an output of it would change what its runtime
fuses, and with that the error that is looked for.

Where the folder of a format has a module ``prefixes``, its function ``cut(path, device, threads)`` yields a `Prefix`
for each node.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import CannotCutError
from toolkit.formats import FormatInfo, Session, check_packages, optional


@dataclass(frozen=True)
class Prefix:
    """An artifact cut after one node.

    Attributes:
        name: The node's, as the artifact has it.
        operator: What it computes, in the format's own words.
        session: Takes images ``(N, 1, 28, 28)`` float32; its only output is the node's.
    """

    name: str
    operator: str
    session: Session


@dataclass(frozen=True)
class Step:
    """What a node of any graph reads and gives, by name."""

    reads: frozenset[str]
    gives: frozenset[str]


def open_prefixes(info: FormatInfo, path: Path, device: str, threads: int | None) -> Iterator[Prefix]:
    """Cut an artifact in this process after each node; each prefix takes the shape that the graph wants.

    Args and what is left out: as `toolkit.formats.target.Target.prefixes`.

    Raises:
        CannotCutError: If the format cannot be cut, or the graph cannot be cut: control flow, for example.
        FormatError: If the artifact does not open.
    """
    check_packages(info)
    cut = optional(info, "prefixes", "cut")
    if cut is None:
        raise CannotCutError(path, info.name, "the toolkit has no way to cut this format")
    yield from cut(path, device, threads)


def on_the_way(steps: Sequence[Step], start: str, end: str) -> list[int]:
    """Return the places of the steps that depend on ``start`` and that ``end`` depends on.

    What remains is neither made of weights alone nor dead code, so the last of them gives ``end``.

    Args:
        steps: In order of execution.
        start: What the graph gets.
        end: What the graph gives.
    """
    reached, needed = {start}, {end}
    forward = set()
    for place, step in enumerate(steps):
        if step.reads & reached:
            reached |= step.gives
            forward.add(place)
    backward = set()
    for place in reversed(range(len(steps))):
        if steps[place].gives & needed:
            needed |= steps[place].reads
            backward.add(place)
    return sorted(forward & backward)
