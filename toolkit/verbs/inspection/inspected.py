"""What was read of one file, and what a person must know of any weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.formats.graph import StoredTensor
from toolkit.records import InspectRecord, TensorRecord

_MOST_NAMED = 4


@dataclass(frozen=True)
class Inspected:
    """What was read of a file, and its tensors, whose values wait until they are asked for."""

    record: InspectRecord
    tensors: tuple[StoredTensor, ...]


def warnings_of(tensors: Sequence[TensorRecord], recorded: str | None, digest: str | None) -> list[str]:
    """Return what is wrong with tensors: values that are not finite, or not those of the digest that was recorded."""
    notes = []
    broken = [each for each in tensors if each.statistics and each.statistics.non_finite]
    if broken:
        count = sum(each.statistics.non_finite for each in broken if each.statistics)
        places = some([each.name for each in broken])
        notes.append(f"values that are not finite: {count:,}, in {places}; no result of it can be right")
    if recorded and digest and recorded != digest:
        notes.append("its weights do not have the SHA-256 that it records: they were changed after it was written")
    return notes


def some(names: list[str]) -> str:
    """Join names, the first few of many."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
