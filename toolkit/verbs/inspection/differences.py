"""In what two inspected files differ. Across formats only what both can say counts: a format brings its own graph.

What values and nodes are called is no difference in what they compute.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import chain, zip_longest

from toolkit.records import (
    DifferenceRecord,
    InspectRecord,
    NodeRecord,
    Signature,
    TensorPairRecord,
    TensorSpec,
)
from toolkit.render.words.inspection import spec_in_words
from toolkit.render.words.sheet import NONE

_MOST_OPERATORS = 8
#: Facts by name; None of a file that says nothing of the kind, and so contradicts nobody.
Facts = Mapping[str, object] | None


def find_differences(
    a: InspectRecord, b: InspectRecord, pairs: Sequence[TensorPairRecord]
) -> tuple[DifferenceRecord, ...]:
    """Return every difference between two files, those of storage too, which do not count."""
    same_format = a.format == b.format
    weights, others = ([pair for pair in pairs if pair.weight == each] for each in (True, False))
    return (
        *_unequal(_storage(a), _storage(b), counts=False),
        *_unequal(_model(a), _model(b)),
        *_unequal(_description(a), _description(b)),
        *_unequal(_versions(a), _versions(b), counts=same_format),
        *_signatures(a.signature, b.signature, same_format=same_format),
        *_unequal(*({"precision": each.precision} if each.precision else None for each in (a, b))),
        *_tensors("weights", weights, counts=True),
        *_tensors("other tensors", others, counts=same_format),
        *(_unequal(_origin(a), _origin(b)) if same_format else ()),
        *(_graphs(a, b, pairs) if same_format else ()),
    )


def _unequal(a: Facts, b: Facts, *, counts: bool = True) -> Iterator[DifferenceRecord]:
    if a is None or b is None:
        return
    for name in dict.fromkeys((*a, *b)):
        first, second = a.get(name), b.get(name)
        if first != second:
            yield DifferenceRecord(what=name, a=_text(first), b=_text(second), counts=counts)


def _storage(record: InspectRecord) -> Facts:
    return {
        "format": f"{record.kind}, {record.format}",
        "size": f"{record.size_bytes + sum(each.size_bytes for each in record.files):,} bytes",
        "files beside it": ", ".join(each.name for each in record.files),
        "description": "by fmnist-tk" if record.metadata else "none",
    }


def _model(record: InspectRecord) -> Facts:
    config = record.config
    return (
        None if config is None else {"layers": "-".join(map(str, config.layer_sizes)), "final ReLU": config.final_relu}
    )


def _description(record: InspectRecord) -> Facts:
    facts = record.metadata
    return (
        None
        if facts is None
        else {
            "labels": ", ".join(facts.labels),
            **_named("preprocessing", facts.preprocessing.model_dump()),
            **_named("training", facts.training.model_dump() if facts.training else {}),
            "recorded weights SHA-256": facts.weights_sha256,
        }
    )


def _versions(record: InspectRecord) -> Facts:
    facts = record.metadata
    return _named("written with", facts.versions) if facts and facts.schema_name == "fmnist-tk/artifact" else None


def _origin(record: InspectRecord) -> Facts:
    graph = record.graph
    return (
        None
        if graph is None
        else {
            **_named("opset", graph.opsets),
            "format version": graph.format_version,
            "producer": graph.producer,
            **_named("property", graph.properties),
        }
    )


def _named(what: str, facts: Mapping[str, object]) -> dict[str, object]:
    return {f"{what}, {name}": value for name, value in facts.items()}


def _signatures(a: Signature | None, b: Signature | None, *, same_format: bool) -> Iterator[DifferenceRecord]:
    if a is None or b is None:
        return
    for what, first, second in (("input", a.inputs, b.inputs), ("output", a.outputs, b.outputs)):
        for place, (left, right) in enumerate(zip_longest(first, second)):
            name = what if max(len(first), len(second)) == 1 else f"{what} {place + 1}"
            for each in _unequal({name: _spec(left)}, {name: _spec(right)}):
                if left is None or right is None or _contradict(left, right, open_fits=False):
                    yield each
                else:  # formats have conventions for names, and some do not tell dtypes and shapes
                    gaps = [(each.dtype is None, each.shape is None) for each in (left, right)]
                    detail = "names only" if gaps[0] == gaps[1] else "the same, as far as both tell"
                    yield each.changed(detail=detail, counts=same_format)


def _contradict(a: TensorSpec, b: TensorSpec, *, open_fits: bool) -> bool:
    """Say whether two specs cannot be of the same tensor; a dtype or shape that one does not tell is no contradiction.

    Args:
        a: Of the first file.
        b: Of the second.
        open_fits: Whether a size that only one of them leaves free is none either. The name of a free size never is.
    """
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        return True
    if a.shape is None or b.shape is None:
        return False
    sizes = [tuple(size if isinstance(size, int) else None for size in each) for each in (a.shape, b.shape)]
    fits = (x == y or (open_fits and None in {x, y}) for x, y in zip(*sizes, strict=False))
    return len(a.shape) != len(b.shape) or not all(fits)


def _tensors(what: str, pairs: list[TensorPairRecord], *, counts: bool) -> Iterator[DifferenceRecord]:
    """Sum up the tensors that differ; the pairs have the numbers."""
    both = [pair for pair in pairs if pair.a and pair.b]
    reasons = []
    changed = [pair for pair in pairs if pair.different]
    if changed:
        sizes = [pair.largest_difference for pair in changed if pair.largest_difference is not None]
        values = sum(pair.different or 0 for pair in changed)
        by = f" by up to {max(sizes):.3g}" if sizes else ""
        verb = "value differs" if values == 1 else "values differ"
        reasons.append(f"{values:,} {verb}{by} in {_these(changed)}")
    for found, words in (
        ([pair for pair in both if pair.different is None], "of another shape"),
        ([pair for pair in both if pair.a_dtype != pair.b_dtype], "of another dtype"),
        ([pair for pair in pairs if pair.b is None], "only in the first"),
        ([pair for pair in pairs if pair.a is None], "only in the second"),
    ):
        if found:
            reasons.append(f"{_these(found)} {words}")
    if reasons:
        held = [_count(sum(name is not None for name in names), "tensor") for names in _names_of(pairs)]
        yield DifferenceRecord(what=what, a=held[0], b=held[1], detail="; ".join(reasons), counts=counts)


def _names_of(pairs: Sequence[TensorPairRecord]) -> tuple[list[str | None], list[str | None]]:
    return [pair.a for pair in pairs], [pair.b for pair in pairs]


def _these(pairs: list[TensorPairRecord]) -> str:
    return str(pairs[0].a or pairs[0].b) if len(pairs) == 1 else f"{len(pairs):,} tensors"


def _graphs(a: InspectRecord, b: InspectRecord, pairs: Sequence[TensorPairRecord]) -> Iterator[DifferenceRecord]:
    """Say which operators were removed, added or changed, in order; if none was, what they read, or are called."""
    if a.graph is None or b.graph is None:
        return
    left, right = a.graph.nodes, b.graph.nodes
    steps = [[(each.operator, each.within is not None) for each in nodes] for nodes in (left, right)]
    found: list[DifferenceRecord] = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, steps[0], steps[1], autojunk=False).get_opcodes():
        if kind == "equal":
            found += chain.from_iterable(map(_changed, left[i:i_end], right[j:j_end]))
        else:
            verb = {"replace": "replaced", "delete": "removed", "insert": "added"}[kind]
            what = f"graph, node {(j if kind == 'insert' else i) + 1}"
            before, after = _operators(left[i:i_end]), _operators(right[j:j_end])
            found.append(DifferenceRecord(what=what, a=before, b=after, detail=f"operators {verb}"))
    yield from found
    if found:
        return
    first, second = _names_of(pairs)
    if _wiring(a, first) != _wiring(b, second):
        detail = "the same operators, but some read or give back other values"
        counts = [_count(len(each), "node") for each in (left, right)]
        yield DifferenceRecord(what="graph, wiring", a=counts[0], b=counts[1], detail=detail)
        return
    renamed = next(
        (pair for pair in zip(map(_names, left), map(_names, right), strict=True) if pair[0] != pair[1]), None
    )
    if renamed:
        detail = "the same operators in the same order, under other names"
        yield DifferenceRecord(what="graph, names", a=renamed[0], b=renamed[1], detail=detail, counts=False)


def _changed(a: NodeRecord, b: NodeRecord) -> Iterator[DifferenceRecord]:
    """Say in what two nodes of one operator differ: attributes, or else outputs that cannot be the same."""
    names = sorted({name for name, _ in a.attributes.items() ^ b.attributes.items()})
    if names:
        both = (a.attributes, b.attributes)
        given = [", ".join(f"{name}={each[name]}" for name in names if name in each) for each in both]
        detail = f"{a.operator} changed: {', '.join(names)}"
    elif len(a.outputs) != len(b.outputs) or any(map(_exclude, a.outputs, b.outputs)):
        given = [", ".join(f"{each.dtype} {each.shape}" for each in node.outputs) for node in (a, b)]
        detail = f"{a.operator} gives another dtype or shape"
    else:
        return
    yield DifferenceRecord(what=f"graph, {a.name}", a=given[0] or NONE, b=given[1] or NONE, detail=detail)


def _exclude(a: TensorSpec, b: TensorSpec) -> bool:
    return _contradict(a, b, open_fits=True)


def _wiring(record: InspectRecord, weights: Sequence[str | None]) -> list[list[str]]:
    """Return what each node reads, in words that do not depend on names: places of nodes, inputs and weights."""
    assert record.graph  # the caller has looked
    meanings = {name: f"weight {place}" for place, name in enumerate(weights) if name is not None}
    meanings |= {name: f"input {place}" for place, name in enumerate(record.graph.inputs)}
    wiring, outside = [], dict[str, str]()
    for place, node in enumerate(record.graph.nodes):
        for each in node.inputs:  # what an inner graph gets from its node
            if each and each not in meanings:
                outside.setdefault(each, f"value {len(outside)}")
        wiring.append([meanings.get(each) or outside.get(each, "") for each in node.inputs])
        meanings |= {each.name: f"node {place}.{number}" for number, each in enumerate(node.outputs) if each.name}
    return [*wiring, [meanings.get(each, "") for each in record.graph.outputs]]


def _names(node: NodeRecord) -> str:
    return f"{node.name}: {', '.join(node.inputs)} → {', '.join(each.name or '' for each in node.outputs)}"


def _operators(nodes: Sequence[NodeRecord]) -> str:
    more = f" and {len(nodes) - _MOST_OPERATORS:,} more" if len(nodes) > _MOST_OPERATORS else ""
    return ", ".join(node.operator for node in nodes[:_MOST_OPERATORS]) + more or NONE


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _spec(spec: TensorSpec | None) -> str:
    return NONE if spec is None else spec_in_words(spec) or "one tensor"


def _text(value: object) -> str:
    if value is None or value == "":
        return NONE
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
