"""What stands inside a file, as tables: facts, layers, graph, tensors."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from toolkit.records import (
    InspectRecord,
    NodeRecord,
    Report,
    StatisticsRecord,
    TensorRecord,
    TensorSpec,
    TrainingSummary,
)
from toolkit.records.units import percent, size
from toolkit.render.words.contents import (
    LONGEST_VALUE,
    WIDE,
    Sized,
    both_ends,
    fitted,
    hidden_rows,
    number_in_words,
    shape_in_words,
    shortened,
)
from toolkit.render.words.plain import plain
from toolkit.render.words.sheet import CROSS, NONE, Column, Sheet, column
from toolkit.render.words.tables import BAD, GOOD, make_table


def inspection_tables(report: Report, *, whole: bool) -> Iterator[RenderableType]:
    """Yield what stands inside each file that was inspected, one after the other."""
    for record in report.inspected:
        yield _facts(record)
        yield from _layers(record)
        yield from _graph(record, whole=whole)
        yield from _tensors(record, whole=whole)
        yield from notes(record)


def _facts(record: InspectRecord) -> RenderableType:
    table = make_table(f"{record.path}: {record.kind}, {record.format}", "fact", "value")
    for fact, value in (*_file_facts(record), *_graph_facts(record), *_model_facts(record)):
        table.add_row(plain(fact), plain(value) if isinstance(value, str) else value)
    return table


def _file_facts(record: InspectRecord) -> Iterator[tuple[str, str | Text]]:
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


def _digests(record: InspectRecord) -> str | Text:
    recorded, computed = record.weights_sha256, record.computed_weights_sha256
    if recorded is None:
        return f"{computed}, computed; the file records none" if computed else NONE
    if computed is None:
        return f"{recorded}, as recorded; it cannot be computed from what is inside"
    if recorded == computed:
        return Text.assemble(f"{recorded} ", GOOD, " as recorded, and computed anew")
    return Text.assemble(BAD, f" recorded {recorded}, but the weights inside have {computed}")


def _graph_facts(record: InspectRecord) -> Iterator[tuple[str, str]]:
    if record.signature:
        for kind, specs in (("input", record.signature.inputs), ("output", record.signature.outputs)):
            for spec in specs:
                yield kind, _spec(spec) or "one tensor"
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


def _layers(record: InspectRecord) -> Iterator[RenderableType]:
    if not record.layers:
        return
    rows = record.layers
    total = sum(each.parameters for each in rows)
    yield fitted(
        Sheet(
            f"Layers: {total:,} parameters",
            (
                column(rows, "layer", lambda each: each.name or NONE, right=False),
                column(rows, "kind", lambda each: each.kind or NONE, right=False),
                column(
                    rows,
                    "shapes",
                    lambda each: (
                        ", ".join(f"{name} {shape_in_words(sizes)}" for name, sizes in each.shapes.items()) or NONE
                    ),
                    right=False,
                ),
                column(rows, "parameters", lambda each: f"{each.parameters:,}"),
            ),
        )
    )


def _graph(record: InspectRecord, *, whole: bool) -> Iterator[RenderableType]:
    if record.graph is None:
        return
    nodes = record.graph.nodes
    title = f"Graph: {len(nodes):,} node{'' if len(nodes) == 1 else 's'}"
    shown = both_ends(list(enumerate(nodes, 1)), whole)
    yield Sized(lambda width: fitted(_node_sheet(title, shown, width), vertical="top"))
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
    kind = _spec(spec.changed(name=None))
    return (" " if wide else "\n").join(filter(None, (shortened(spec.name or NONE, most), kind)))


def _attributes(node: NodeRecord, most: int) -> Iterator[str]:
    return (f"{name}={shortened(value, most)}" for name, value in node.attributes.items())


def _tensors(record: InspectRecord, *, whole: bool) -> Iterator[RenderableType]:
    if not record.tensors:
        return
    rows = both_ends(record.tensors, whole)
    finite = all(each.statistics and not each.statistics.non_finite for each in record.tensors)
    yield Sized(lambda width: fitted(_tensor_sheet(rows, width, finite=finite)))
    yield from hidden_rows(len(record.tensors), "tensors", whole)
    for each in rows:
        if each.unread:
            yield Text(plain(f"{each.name}: no statistics, {each.unread}"), style="dim")


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


def notes(record: InspectRecord) -> Iterator[RenderableType]:
    """Yield what a person must know of a file."""
    for note in record.notes:
        yield Text(plain(f"! {record.path}: {note}"), style="yellow")


def _spec(spec: TensorSpec) -> str:
    shape = None if spec.shape is None else shape_in_words(spec.shape)
    return " ".join(filter(None, (spec.name, spec.dtype, shape)))


def _share(value: float | None) -> str:
    if value is None:
        return NONE
    return "0" if value == 0 else "< 0.01 %" if value < 0.0001 else percent(value)
