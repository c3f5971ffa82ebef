"""Two graphs of one format, node by node. What values and nodes are called is no difference in what they compute."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from toolkit.records import DifferenceRecord, InspectRecord, NodeRecord, TensorPairRecord, TensorSpec

_MOST_TOLD = 8


def compare_graphs(
    a: InspectRecord, b: InspectRecord, pairs: Sequence[TensorPairRecord]
) -> tuple[DifferenceRecord, ...]:
    """Say which operators were removed, added or changed, in order.

    Args:
        a: The first file; it has a graph.
        b: The second, of the same format.
        pairs: Which weight of one stands in the place of which of the other.
    """
    assert a.graph
    assert b.graph
    left, right = a.graph.nodes, b.graph.nodes
    matcher = SequenceMatcher(None, [_step(each) for each in left], [_step(each) for each in right], autojunk=False)
    found = []
    for kind, start, stop, other_start, other_stop in matcher.get_opcodes():
        if kind == "equal":
            found += _changed(left[start:stop], right[other_start:other_stop])
        else:
            found.append(_replaced(left[start:stop], right[other_start:other_stop], start, other_start))
    if found:
        return tuple(found)
    if _wiring(a, pairs, first=True) != _wiring(b, pairs, first=False):
        reason = "the same operators, but some read or give back other values"
        return (DifferenceRecord(what="graph, wiring", a=_count(left), b=_count(right), detail=reason),)
    renamed = next((pair for pair in zip(left, right, strict=True) if _names(pair[0]) != _names(pair[1])), None)
    if renamed:
        reason = "the same operators in the same order, under other names"
        told = [_names(each) for each in renamed]
        return (DifferenceRecord(what="graph, names", a=told[0], b=told[1], detail=reason, counts=False),)
    return ()


def _step(node: NodeRecord) -> tuple[str, bool]:
    return node.operator, node.within is not None


def _changed(left: Sequence[NodeRecord], right: Sequence[NodeRecord]) -> list[DifferenceRecord]:
    found = []
    for a, b in zip(left, right, strict=True):
        names = sorted(
            name
            for name in a.attributes.keys() | b.attributes.keys()
            if a.attributes.get(name) != b.attributes.get(name)
        )
        if names:
            found.append(
                DifferenceRecord(
                    what=f"graph, {a.name}",
                    a=_arguments(a, names),
                    b=_arguments(b, names),
                    detail=f"{a.operator} changed: {', '.join(names)}",
                )
            )
        elif _contradict(a, b):
            given = [", ".join(f"{each.dtype} {each.shape}" for each in node.outputs) for node in (a, b)]
            found.append(
                DifferenceRecord(
                    what=f"graph, {a.name}", a=given[0], b=given[1], detail=f"{a.operator} gives another dtype or shape"
                )
            )
    return found


def _replaced(
    left: Sequence[NodeRecord], right: Sequence[NodeRecord], start: int, other_start: int
) -> DifferenceRecord:
    verb = "replaced" if left and right else "removed" if left else "added"
    place = start if left else other_start
    return DifferenceRecord(
        what=f"graph, node {place + 1}", a=_operators(left), b=_operators(right), detail=f"operators {verb}"
    )


def _wiring(record: InspectRecord, pairs: Sequence[TensorPairRecord], *, first: bool) -> list[list[str]]:
    """Return what each node reads, in words that do not depend on names: places of nodes, inputs and weights."""
    meanings = {
        (pair.a if first else pair.b): f"weight {place}"
        for place, pair in enumerate(pairs)
        if (pair.a if first else pair.b) is not None
    }
    assert record.graph
    meanings |= {name: f"input {place}" for place, name in enumerate(record.graph.inputs)}
    wiring, outside = [], dict[str, str]()
    for place, node in enumerate(record.graph.nodes):
        for each in node.inputs:  # what an inner graph gets from its node
            if each and each not in meanings:
                outside.setdefault(each, f"value {len(outside)}")
        wiring.append([meanings.get(each) or outside.get(each, "") for each in node.inputs])
        meanings |= {each.name: f"node {place}.{number}" for number, each in enumerate(node.outputs)}
    return [*wiring, [meanings.get(each, "") for each in record.graph.outputs]]


def _names(node: NodeRecord) -> str:
    return f"{node.name}: {', '.join(node.inputs)} → {', '.join(each.name or '' for each in node.outputs)}"


def _contradict(a: NodeRecord, b: NodeRecord) -> bool:
    """Say whether two nodes of one operator give what cannot be the same: a size that one leaves open is no reason."""
    return len(a.outputs) != len(b.outputs) or any(map(_exclude, a.outputs, b.outputs))


def _exclude(a: TensorSpec, b: TensorSpec) -> bool:
    """Say whether dtypes or shapes exclude each other; what one of them leaves open, or only names, does not."""
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        return True
    if a.shape is None or b.shape is None:
        return False
    return len(a.shape) != len(b.shape) or any(
        isinstance(left, int) and isinstance(right, int) and left != right
        for left, right in zip(a.shape, b.shape, strict=True)
    )


def _arguments(node: NodeRecord, names: list[str]) -> str:
    return ", ".join(f"{name}={node.attributes[name]}" for name in names if name in node.attributes) or "—"


def _operators(nodes: Sequence[NodeRecord]) -> str:
    if not nodes:
        return "—"
    more = f" and {len(nodes) - _MOST_TOLD:,} more" if len(nodes) > _MOST_TOLD else ""
    return ", ".join(node.operator for node in nodes[:_MOST_TOLD]) + more


def _count(nodes: Sequence[NodeRecord]) -> str:
    return f"{len(nodes):,} nodes"
