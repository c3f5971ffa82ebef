"""Two graphs of one format, node by node. What values and nodes are called is no difference in what they compute."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from toolkit.records import DifferenceRecord, GraphRecord, InspectRecord, NodeRecord, TensorPairRecord, TensorSpec

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
        reason = "the same operators read other values than in the first file"
        return (DifferenceRecord(what="graph, wiring", a=_count(left), b=_count(right), detail=reason),)
    if _names(a.graph) != _names(b.graph):
        reason = "the same operators in the same order, under other names"
        return (DifferenceRecord(what="graph, names", a=_first(left), b=_first(right), detail=reason, counts=False),)
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
        elif [_rank(each) for each in a.outputs] != [_rank(each) for each in b.outputs]:
            shapes = [" ".join(str(each.shape) for each in node.outputs) for node in (a, b)]
            found.append(
                DifferenceRecord(
                    what=f"graph, {a.name}", a=shapes[0], b=shapes[1], detail=f"{a.operator} gives another shape"
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
    if record.signature:
        meanings |= {each.name: f"input {place}" for place, each in enumerate(record.signature.inputs)}
    wiring, outside = [], dict[str, str]()
    for place, node in enumerate(record.graph.nodes if record.graph else ()):
        for each in node.inputs:  # an input that the signature calls otherwise, or a value of an inner graph
            if each and each not in meanings:
                outside.setdefault(each, f"value {len(outside)}")
        wiring.append([meanings.get(each) or outside.get(each, "") for each in node.inputs])
        meanings |= {each.name: f"node {place}.{number}" for number, each in enumerate(node.outputs)}
    return wiring


def _names(graph: GraphRecord) -> list[tuple[str, tuple[str, ...], tuple[str | None, ...]]]:
    return [(node.name, node.inputs, tuple(each.name for each in node.outputs)) for node in graph.nodes]


def _rank(spec: TensorSpec) -> tuple[object, ...]:
    """Return what is fixed of an output: the names of free sizes are not."""
    sizes = None if spec.shape is None else tuple(size if isinstance(size, int) else None for size in spec.shape)
    return spec.dtype, sizes


def _arguments(node: NodeRecord, names: list[str]) -> str:
    return ", ".join(f"{name}={node.attributes[name]}" for name in names if name in node.attributes) or "—"


def _operators(nodes: Sequence[NodeRecord]) -> str:
    if not nodes:
        return "—"
    more = f" and {len(nodes) - _MOST_TOLD:,} more" if len(nodes) > _MOST_TOLD else ""
    return ", ".join(node.operator for node in nodes[:_MOST_TOLD]) + more


def _count(nodes: Sequence[NodeRecord]) -> str:
    return f"{len(nodes):,} nodes"


def _first(nodes: Sequence[NodeRecord]) -> str:
    return nodes[0].name if nodes else "—"
