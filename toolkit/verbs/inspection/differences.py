"""In what two inspected files differ. Across formats only what both can say counts: a format brings its own graph."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from toolkit.records import (
    DifferenceRecord,
    InspectRecord,
    Signature,
    TensorPairRecord,
    TensorSpec,
)
from toolkit.verbs.inspection.steps import compare_graphs

_NONE = "—"


def find_differences(
    a: InspectRecord, b: InspectRecord, pairs: Sequence[TensorPairRecord]
) -> tuple[DifferenceRecord, ...]:
    """Return every difference between two files, those of storage too, which do not count."""
    same_format = a.format == b.format
    return (
        *_storage(a, b),
        *_model(a, b, same_format=same_format),
        *_signatures(a.signature, b.signature, same_format=same_format),
        *(_unequal("precision", a.precision, b.precision) if a.precision and b.precision else ()),
        *_tensors("weights", [pair for pair in pairs if pair.weight], counts=True),
        *_tensors("other tensors", [pair for pair in pairs if not pair.weight], counts=same_format),
        *(_graphs(a, b, pairs) if same_format else ()),
    )


def _unequal(what: str, a: object, b: object, detail: str = "", *, counts: bool = True) -> Iterator[DifferenceRecord]:
    if a != b:
        yield DifferenceRecord(what=what, a=_told(a), b=_told(b), detail=detail, counts=counts)


def _storage(a: InspectRecord, b: InspectRecord) -> Iterator[DifferenceRecord]:
    yield from _unequal("format", f"{a.kind}, {a.format}", f"{b.kind}, {b.format}", counts=False)
    sizes = [each.size_bytes + sum(file.size_bytes for file in each.files) for each in (a, b)]
    yield from _unequal("size", *(f"{size:,} bytes" for size in sizes), counts=False)
    beside = [", ".join(file.name for file in each.files) for each in (a, b)]
    yield from _unequal("files beside it", *beside, counts=False)


def _model(a: InspectRecord, b: InspectRecord, *, same_format: bool) -> Iterator[DifferenceRecord]:
    """Compare what the files say of the model. A file that says nothing contradicts nobody."""
    if a.config and b.config:
        yield from _unequal("layers", *("-".join(map(str, each.config.layer_sizes)) for each in (a, b) if each.config))
        yield from _unequal("final ReLU", a.config.final_relu, b.config.final_relu)
    first, second = a.metadata, b.metadata
    if first is None or second is None:
        described = ["by fmnist-tk" if each else "none" for each in (first, second)]
        yield from _unequal("description", *described, counts=False)
        return
    yield from _unequal("labels", ", ".join(first.labels), ", ".join(second.labels))
    contracts = [each.preprocessing.model_dump() for each in (first, second)]
    yield from _by_key("preprocessing", *contracts, counts=True)
    trainings = [each.training.model_dump() if each.training else {} for each in (first, second)]
    yield from _by_key("training", *trainings, counts=True)
    yield from _unequal("recorded weights SHA-256", first.weights_sha256, second.weights_sha256)
    if first.schema_name == "fmnist-tk/artifact" and second.schema_name == "fmnist-tk/artifact":
        yield from _by_key("written with", first.versions, second.versions, counts=same_format)


def _by_key(what: str, a: Mapping[str, object], b: Mapping[str, object], *, counts: bool) -> Iterator[DifferenceRecord]:
    for key in dict.fromkeys((*a, *b)):
        yield from _unequal(f"{what}, {key}", a.get(key), b.get(key), counts=counts)


def _signatures(a: Signature | None, b: Signature | None, *, same_format: bool) -> Iterator[DifferenceRecord]:
    if a is None or b is None:
        return
    for what, first, second in (("input", a.inputs, b.inputs), ("output", a.outputs, b.outputs)):
        for place, (left, right) in enumerate(zip_longest(first, second)):
            name = what if max(len(first), len(second)) == 1 else f"{what} {place + 1}"
            if left is None or right is None or _differ(left, right):
                yield from _unequal(name, _spec(left), _spec(right))
            else:  # formats have conventions for names, and some do not tell dtypes and shapes
                gaps = [(each.dtype is None, each.shape is None) for each in (left, right)]
                detail = "names only" if gaps[0] == gaps[1] else "the same, as far as both tell"
                yield from _unequal(name, _spec(left), _spec(right), detail, counts=same_format)


def _differ(a: TensorSpec, b: TensorSpec) -> bool:
    """Say whether a caller would notice: another dtype or shape, or a size that only one of them leaves free.

    A dtype or shape that one does not tell is no difference, nor is the name of a free size.
    """
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        return True
    if a.shape is None or b.shape is None:
        return False
    fixed = [tuple(size if isinstance(size, int) else None for size in each) for each in (a.shape, b.shape)]
    return fixed[0] != fixed[1]


def _tensors(what: str, pairs: list[TensorPairRecord], *, counts: bool) -> Iterator[DifferenceRecord]:
    """Sum up the tensors that differ; the pairs have the numbers."""
    reasons = []
    changed = [pair for pair in pairs if pair.different]
    if changed:
        sizes = [pair.largest_difference for pair in changed if pair.largest_difference is not None]
        values = sum(pair.different or 0 for pair in changed)
        by = f" by up to {max(sizes):.3g}" if sizes else ""
        verb = "value differs" if values == 1 else "values differ"
        reasons.append(f"{values:,} {verb}{by} in {_tensors_told(changed)}")
    reshaped = [pair for pair in pairs if pair.a and pair.b and pair.different is None]
    retyped = [pair for pair in pairs if pair.a and pair.b and pair.a_dtype != pair.b_dtype]
    alone = [[pair for pair in pairs if getattr(pair, side) is None] for side in ("b", "a")]
    for found, words in (
        (reshaped, "of another shape"),
        (retyped, "of another dtype"),
        (alone[0], "only in the first"),
        (alone[1], "only in the second"),
    ):
        if found:
            reasons.append(f"{_tensors_told(found)} {words}")
    if reasons:
        held = [sum(getattr(pair, side) is not None for pair in pairs) for side in ("a", "b")]
        told = [f"{number:,} tensor{'' if number == 1 else 's'}" for number in held]
        yield DifferenceRecord(what=what, a=told[0], b=told[1], detail="; ".join(reasons), counts=counts)


def _tensors_told(pairs: list[TensorPairRecord]) -> str:
    if len(pairs) == 1:
        return str(pairs[0].a or pairs[0].b)
    return f"{len(pairs):,} tensors"


def _graphs(a: InspectRecord, b: InspectRecord, pairs: Sequence[TensorPairRecord]) -> Iterator[DifferenceRecord]:
    if a.graph is None or b.graph is None:
        return
    yield from _by_key("opset", a.graph.opsets, b.graph.opsets, counts=True)
    yield from _unequal("format version", a.graph.format_version, b.graph.format_version)
    yield from _unequal("producer", a.graph.producer, b.graph.producer)
    yield from _by_key("property", a.graph.properties, b.graph.properties, counts=True)
    yield from compare_graphs(a, b, pairs)


def _spec(spec: TensorSpec | None) -> str:
    if spec is None:
        return _NONE
    shape = "" if spec.shape is None else f"({', '.join('?' if each is None else str(each) for each in spec.shape)})"
    return " ".join(filter(None, (spec.name, spec.dtype, shape))) or "one tensor"


def _told(value: object) -> str:
    if value is None or value == "":
        return _NONE
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
