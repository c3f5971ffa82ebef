"""What stands inside a file, as tables: facts, layers, graph, tensors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from toolkit.records import (
    InspectRecord,
    LayerRecord,
    NodeRecord,
    Report,
    StatisticsRecord,
    TensorRecord,
    TensorSpec,
    TrainingSummary,
)
from toolkit.records.units import percent, size
from toolkit.render.words.sheet import CROSS, NONE, TICK, Column, Content, Remark, Sheet, column, sheet_of

T = TypeVar("T")

# Of a longer list the middle is left out: how a graph begins and how it ends tells most.
_HEAD, _TAIL = 40, 20
#: A table this wide or wider has room for whole names.
WIDE: Final = 120
LONGEST_VALUE: Final = 200


def inspection_tables(report: Report, *, whole: bool, width: int) -> Iterator[Content]:
    """Yield what stands inside each inspected file, for so many columns of text; ``whole`` lists to their end."""
    for record in report.inspected:
        yield _facts(record)
        yield from _layers(record)
        yield from _graph(record, width, whole=whole)
        yield from _tensors(record, width, whole=whole)
        yield from notes(record)


def _facts(record: InspectRecord) -> Sheet:
    facts = [*_file_facts(record), *_graph_facts(record), *_model_facts(record)]
    title = f"{record.path}: {record.kind}, {record.format}"
    return sheet_of(title, facts, {"fact": lambda each: each[0], "value": lambda each: each[1]})


def _file_facts(record: InspectRecord) -> Iterator[tuple[str, str]]:
    yield "size", f"{size(record.size_bytes)} ({record.size_bytes:,} bytes)"
    held = sum(each.statistics.count for each in record.tensors if each.statistics)
    if record.tensors:
        unread = sum(each.statistics is None for each in record.tensors)
        rest = f", and {unread:,} without statistics" if unread else ""
        yield "tensors", f"{len(record.tensors):,} with {held:,} values{rest}"
        yield "dtypes", ", ".join(dict.fromkeys(each.dtype for each in record.tensors))
    for file in record.files:
        yield "beside it", f"{file.name}: {size(file.size_bytes)} ({file.size_bytes:,} bytes), SHA-256 {file.sha256}"
    yield "SHA-256", record.sha256
    yield "weights SHA-256", _digests(record)


def _digests(record: InspectRecord) -> str:
    recorded, computed = record.weights_sha256, record.computed_weights_sha256
    if recorded is None:
        return f"{computed}, computed; the file records none" if computed else NONE
    if computed is None:
        return f"{recorded}, as recorded; it cannot be computed from what is inside"
    if recorded == computed:
        return f"{recorded} {TICK} as recorded, and computed anew"
    return f"{CROSS} recorded {recorded}, but the weights inside have {computed}"


def _graph_facts(record: InspectRecord) -> Iterator[tuple[str, str]]:
    if record.signature:
        for kind, specs in (("input", record.signature.inputs), ("output", record.signature.outputs)):
            for spec in specs:
                yield kind, spec_in_words(spec) or "one tensor"
    if record.kind == "artifact":
        yield "precision", record.precision or "not known: no session opens here"
    graph = record.graph
    if graph:
        if graph.opsets:
            yield "opset", ", ".join(f"{domain} {version}" for domain, version in graph.opsets.items())
        yield "format version", graph.format_version or NONE
        yield "producer", graph.producer or "not told"
        for name, value in graph.properties.items():
            yield f"property {name}", shortened(value, LONGEST_VALUE)


def _model_facts(record: InspectRecord) -> Iterator[tuple[str, str]]:
    facts = record.metadata
    if record.config:
        yield "layers", "-".join(map(str, record.config.layer_sizes))
        yield "final ReLU", "yes" if record.config.final_relu else "no"
    if facts is None:
        yield "description", "none by fmnist-tk that can be read"
        return
    yield "labels", ", ".join(facts.labels)
    contract = facts.preprocessing
    limits = f"[{contract.low:g}, {contract.high:g}]"
    yield "preprocessing", f"{contract.dtype} {contract.layout} {contract.shape} in {limits}: {contract.source}"
    if facts.training:
        yield "training", _trained(facts.training)
    if facts.schema_name == "fmnist-tk/artifact":
        yield "written by", ", ".join(f"{name} {text}" for name, text in facts.versions.items())


def _trained(summary: TrainingSummary) -> str:
    return (
        f"{summary.recipe}, seed {summary.seed}, {summary.epochs} epochs on {summary.train_images:,} images, "
        f"{summary.precision}, torch {summary.torch_version}: {summary.test_accuracy:.2%} on {summary.test_set}, "
        f"loss {summary.test_loss:.4f}"
    )


def _layers(record: InspectRecord) -> Iterator[Sheet]:
    if record.layers:
        yield sheet_of(
            f"Layers: {sum(each.parameters for each in record.layers):,} parameters",
            record.layers,
            {
                "layer": lambda each: each.name or NONE,
                "kind": lambda each: each.kind or NONE,
                "shapes": _shapes,
                "parameters": lambda each: f"{each.parameters:,}",
            },
            right=("parameters",),
        )


def _shapes(layer: LayerRecord) -> str:
    return ", ".join(f"{name} {shape_in_words(sizes)}" for name, sizes in layer.shapes.items()) or NONE


def _graph(record: InspectRecord, width: int, *, whole: bool) -> Iterator[Content]:
    if record.graph is None:
        return
    nodes = record.graph.nodes
    title = f"Graph: {len(nodes):,} node{'' if len(nodes) == 1 else 's'}"
    yield _node_sheet(title, both_ends(list(enumerate(nodes, 1)), whole), width)
    yield from hidden_rows(len(nodes), "nodes", whole)


def _node_sheet(title: str, rows: Sequence[tuple[int, NodeRecord]], width: int) -> Sheet:
    """Return the nodes; what they read stands below one another where it would make the table too wide."""
    wide = width >= WIDE
    most, line = (28, 36) if wide else (20, 20)
    columns = [
        Column("#", tuple(f"{number:,}" for number, _ in rows), right=True),
        Column("operator", tuple(shortened(node.operator, most) for _, node in rows)),
        Column("reads", tuple(_packed((shortened(each, most) for each in node.inputs), line) for _, node in rows)),
        Column("gives", tuple("\n".join(_gives(each, most, wide) for each in node.outputs) for _, node in rows)),
        Column("attributes", tuple(_packed(_attributes(node, line), line) for _, node in rows), spare=1),
    ]
    if any(node.outputs and node.name not in {each.name for each in node.outputs} for _, node in rows):
        columns.insert(1, Column("node", tuple(shortened(node.name, most) for _, node in rows), spare=2))
    if any(node.within for _, node in rows):
        columns.append(Column("inside", tuple(shortened(node.within or NONE, most) for _, node in rows)))
    return Sheet(title, tuple(columns))


def _packed(words: Iterable[str], most: int) -> str:
    """Return words with commas between them, in lines of at most ``most`` characters where the words allow it."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= most:
            lines[-1] += f", {word or NONE}"
        else:
            lines.append(word or NONE)
    return ",\n".join(lines) or NONE


def _gives(spec: TensorSpec, most: int, wide: bool) -> str:
    kind = spec_in_words(spec.changed(name=None))
    return (" " if wide else "\n").join(filter(None, (shortened(spec.name or NONE, most), kind)))


def _attributes(node: NodeRecord, most: int) -> Iterator[str]:
    return (f"{name}={shortened(value, most)}" for name, value in node.attributes.items())


def _tensors(record: InspectRecord, width: int, *, whole: bool) -> Iterator[Content]:
    if not record.tensors:
        return
    rows = both_ends(record.tensors, whole)
    finite = all(each.statistics and not each.statistics.non_finite for each in record.tensors)
    yield _tensor_sheet(rows, width, finite=finite)
    yield from hidden_rows(len(record.tensors), "tensors", whole)
    yield from (Remark(f"{each.name}: no statistics, {each.unread}", "note") for each in rows if each.unread)


def _tensor_sheet(rows: Sequence[TensorRecord], width: int, *, finite: bool) -> Sheet:
    wide = width >= WIDE
    digits = 4 if wide else 3

    def measured(name: str, value: Callable[[StatisticsRecord], float | None]) -> Column:
        numbers = (value(each.statistics) if each.statistics else None for each in rows)
        return Column(name, tuple(number_in_words(each, digits) for each in numbers), right=True)

    shares = (each.statistics.zeros_fraction if each.statistics else None for each in rows)
    columns = [
        column(rows, "name", lambda each: shortened(each.name, 40 if wide else 20), right=False),
        column(rows, "role", lambda each: each.role, right=False, spare=3),
        column(rows, "dtype", lambda each: each.dtype, right=False),
        column(rows, "shape", lambda each: shape_in_words(each.shape), right=False),
        measured("min", lambda each: each.minimum),
        measured("max", lambda each: each.maximum),
        measured("mean", lambda each: each.mean),
        measured("std", lambda each: each.standard_deviation),
        Column("zeros", tuple(map(_share, shares)), right=True, spare=1),
    ]
    if any(each.file for each in rows):
        columns.insert(2, column(rows, "file", lambda each: shortened(each.file or NONE, 20), right=False, spare=2))
    if finite:
        return Sheet("Tensors: every value is finite", tuple(columns))
    return Sheet("Tensors", (*columns, column(rows, "not\nfinite", _broken)))


def _broken(tensor: TensorRecord) -> str:
    if tensor.statistics is None:
        return NONE
    return f"{CROSS} {tensor.statistics.non_finite:,}" if tensor.statistics.non_finite else "0"


def notes(record: InspectRecord) -> Iterator[Remark]:
    """Yield what a person must know of a file."""
    yield from (Remark(f"{record.path}: {note}", "warning") for note in record.notes)


def spec_in_words(spec: TensorSpec) -> str:
    """Return name, dtype and shape, as far as they are known."""
    shape = None if spec.shape is None else shape_in_words(spec.shape)
    return " ".join(filter(None, (spec.name, spec.dtype, shape)))


def _share(value: float | None) -> str:
    if value is None:
        return NONE
    return "0" if value == 0 else "< 0.01 %" if value < 0.0001 else percent(value)


def shortened(text: str, most: int) -> str:
    """Return ``text`` in at most ``most`` characters: a long one loses its middle, since names differ at the ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def both_ends(rows: Sequence[T], whole: bool) -> Sequence[T]:
    """Return the rows to show: all, or of a long list both its ends."""
    return rows if whole or len(rows) <= _HEAD + _TAIL else [*rows[:_HEAD], *rows[-_TAIL:]]


def hidden_rows(count: int, what: str, whole: bool) -> Iterator[Remark]:
    """Say how many rows `both_ends` has left out, if any."""
    if not whole and count > _HEAD + _TAIL:
        yield Remark(f"{count - _HEAD - _TAIL:,} {what} in the middle are hidden; show them with --all", "note")


def shape_in_words(sizes: Iterable[int | str | None]) -> str:
    """Return sizes in brackets; one that is free and has no name is ``?``."""
    return f"({', '.join('?' if each is None else str(each) for each in sizes)})"


def number_in_words(value: float | None, digits: int = 4) -> str:
    """Return a number with so many digits."""
    return NONE if value is None else f"{value:.{digits}g}"
