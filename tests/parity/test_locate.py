"""Localisation: mutants of each format with the fault in a known layer, and fakes for what formats do not do."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import parser
from torch import Tensor, nn

from support import save_small
from toolkit.errors import CannotCutError, CorruptArtifactError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.formats import FORMATS, import_format
from toolkit.formats.prefix import Prefix, Step, on_the_way, open_prefixes
from toolkit.formats.target import Target
from toolkit.parity.explain.locate import Layer, divergence, locate, reference_layers
from toolkit.records import ArtifactMetadata, DivergenceRecord, ModelConfig, Signature
from toolkit.system.environment import versions

LIMIT = 8.0
CONFIG = ModelConfig(layer_sizes=(784, 32, 32, 10))
LINEAR, RELU = (0, 2, 4), (1, 3)


class Gain(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits * 1.01


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(save_small(tmp_path_factory.mktemp("small") / "small.safetensors", config=CONFIG))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load_sample().inputs()[:7]


def change_weight(model: Mlp, layer: int) -> None:
    model.linear_relu_stack[layer].weight += 0.001


def spoil_weight(model: Mlp, layer: int) -> None:
    model.linear_relu_stack[layer].weight[3, 3] = float("nan")


def drop_relu(model: Mlp, layer: int) -> None:
    model.linear_relu_stack[layer] = nn.Identity()


def append_softmax(model: Mlp, layer: int) -> None:
    model.linear_relu_stack.append(nn.Softmax(1))


def append_gain(model: Mlp, layer: int) -> None:
    model.linear_relu_stack.append(Gain())


def leave(model: Mlp, layer: int) -> None:
    pass


def export(checkpoint: Checkpoint, name: str, folder: Path, mutate: Callable[[Mlp, int], None], layer: int) -> Target:
    info, record, model = FORMATS[name], checkpoint.record, checkpoint.model()
    mutate(model, layer)
    metadata = ArtifactMetadata(
        format=name,
        config=record.config,
        labels=record.labels,
        preprocessing=record.preprocessing,
        weights_sha256=record.weights_sha256,
        training=record.training,
        versions=versions(),
    )
    path = folder / info.file_name
    import_format(info).export(model.eval(), path, metadata)
    return Target(info, path)


def find(target: Target, checkpoint: Checkpoint, images: np.ndarray, **options: object) -> DivergenceRecord:
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.path.parent.iterdir()}
    found = divergence(target, checkpoint.model(), images, device="cpu", threads=1, limit_in_units=LIMIT, **options)
    after = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.path.parent.iterdir()}
    assert after == before, "the folder of the artifact was touched"
    return found


FAULTS = [
    *((change_weight, layer) for layer in LINEAR),
    (spoil_weight, 2),
    *((drop_relu, layer) for layer in RELU),
]


@pytest.mark.parametrize(("mutate", "layer"), FAULTS, ids=lambda each: getattr(each, "__name__", str(each)))
@pytest.mark.parametrize("name", FORMATS)
def test_names_the_layer_that_was_changed(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, name: str, mutate: Callable, layer: int
) -> None:
    found = find(export(checkpoint, name, tmp_path, mutate, layer), checkpoint, images)
    assert found.layer == f"linear_relu_stack.{layer}"
    if (mutate, layer) == (drop_relu, 3):  # what remains after it has another width, so there is no node to name
        assert (found.node, found.error_ratio) == (None, None)
        assert re.search("nowhere after node .*linear.*: found .*linear.* \\(7, 10\\)$", found.detail)
    elif mutate is spoil_weight:
        assert found.error_ratio is None
        assert "NaN" in found.detail
    else:
        assert (found.error_ratio or 0) > LIMIT
        assert f"(node {found.node}) is off by" in found.detail
    agree = {0: "linear_relu_stack.0 (", 1: "linear_relu_stack.0 agrees; ", 2: "linear_relu_stack.0 and .1 agree; "}
    assert found.detail.startswith(agree.get(layer, f"linear_relu_stack.0 to .{layer - 1} agree; "))
    if layer in LINEAR:
        assert re.search("linear|gemm", (found.node or "").lower())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("mutate", "operator"), [(append_softmax, "softmax"), (append_gain, "mul")])
def test_names_the_node_after_the_last_layer(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, name: str, mutate: Callable, operator: str
) -> None:
    found = find(export(checkpoint, name, tmp_path, mutate, 0), checkpoint, images)
    assert found.layer is None
    assert operator in (found.node or "").lower()
    assert found.detail.startswith("linear_relu_stack.0 to .4 agree; the difference is after the last layer")
    assert (found.error_ratio or 0) > LIMIT


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [1, 7])
def test_nothing_diverges_in_a_right_artifact(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, name: str, count: int
) -> None:
    found = find(export(checkpoint, name, tmp_path, leave, 0), checkpoint, images[:count])
    assert (found.layer, found.node, found.error_ratio) == (None, None, None)
    assert found.detail.startswith("linear_relu_stack.0 to .4 agree; nothing diverges")


@pytest.mark.parametrize("name", FORMATS)
def test_a_prefix_ends_where_it_says(checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, name: str) -> None:
    target = export(checkpoint, name, tmp_path, leave, 0)
    prefixes = list(open_prefixes(target.format, target.path, "cpu", 1))
    outputs = [each.session.to_host(each.session.run(each.session.to_device(images))) for each in prefixes]
    assert [output.shape[1] for output in outputs] == [784, 32, 32, 32, 32, 10]
    assert len({each.name for each in prefixes}) == len(prefixes)
    assert {each.session.precision for each in prefixes} == {"float32"}
    whole = import_format(target.format).load(target.path, "cpu", 1)
    np.testing.assert_array_equal(outputs[-1], whole.to_host(whole.run(whole.to_device(images))))


def test_a_format_without_a_module_here_cannot_be_cut(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path
) -> None:
    info = replace(FORMATS["onnx"], name="stone", module="toolkit.formats")
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    with pytest.raises(CannotCutError) as caught:
        list(open_prefixes(info, path, "cpu", None))
    assert (caught.value.path, caught.value.format) == (path, "stone")
    found = find(Target(info, path), checkpoint, images)
    assert (found.layer, found.node) == (None, None)
    assert "no way to cut this format" in found.detail


@pytest.mark.parametrize("name", FORMATS)
def test_a_broken_file_is_no_reason_to_stop(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, name: str
) -> None:
    path = tmp_path / FORMATS[name].file_name
    path.write_bytes(b"no graph")
    with pytest.raises(CorruptArtifactError):
        list(open_prefixes(FORMATS[name], path, "cpu", None))
    assert "could not be looked for" in find(Target(FORMATS[name], path), checkpoint, images).detail


class Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        if images.sum() > 0:
            return images.flatten(1)
        return -images.flatten(1)


class Conditional(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.cond(images.sum() > 0, lambda each: each.flatten(1) + 1, lambda each: -each.flatten(1), (images,))


def script_branching(path: Path) -> None:
    torch.jit.save(torch.jit.script(Branching()), path)


def export_conditional(path: Path) -> None:
    torch.export.save(torch.export.export(Conditional(), (torch.zeros(2, 1, 28, 28),)), path)


def write_if(path: Path) -> None:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        agraph (float[N, 1, 28, 28] input, bool flag) => (float[N, 784] output) {
            flat = Flatten(input)
            output = If (flag) <
                then_branch = yes () => (float[N, 784] y) { y = Identity(flat) },
                else_branch = no () => (float[N, 784] n) { n = Neg(flat) }
            >
        }""")
    onnx.save(model, path)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    ("name", "write"), [("torchscript", script_branching), ("torch-export", export_conditional), ("onnx", write_if)]
)
def test_control_flow_is_not_cut(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / FORMATS[name].file_name
    write(path)
    with pytest.raises(CannotCutError) as caught:
        list(open_prefixes(FORMATS[name], path, "cpu", None))
    assert re.search("control flow|a graph of its own", caught.value.reason)


def trace(model: nn.Module, example: Tensor, path: Path) -> Target:
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(model.eval(), example), path)
    return Target(FORMATS["torchscript"], path)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("layer", LINEAR)
def test_traced_for_flattened_images(checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, layer: int) -> None:
    model = checkpoint.model()
    change_weight(model, layer)
    target = trace(model.linear_relu_stack, torch.zeros(2, 784), tmp_path / "model.ts.pt")
    assert find(target, checkpoint, images, reshape=(784,)).layer == f"linear_relu_stack.{layer}"
    unshaped = find(target, checkpoint, images)  # TorchScript does not declare its shape
    assert unshaped.layer is None
    assert "aten::linear" in (unshaped.node or "")
    assert "fails: " in unshaped.detail


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_later_writes_in_place_does_not_reach_back(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path
) -> None:
    model = checkpoint.model()
    model.linear_relu_stack[1] = nn.ReLU(inplace=True)
    drop_relu(model, 3)
    target = trace(model, torch.zeros(2, 1, 28, 28), tmp_path / "model.ts.pt")
    flat, linear, relu, *_ = open_prefixes(target.format, target.path, "cpu", 1)
    assert (flat.operator, linear.operator, relu.operator) == ("aten::flatten", "aten::linear", "aten::relu_")
    batch = torch.from_numpy(images)
    assert linear.session.run(batch).min() < 0
    assert relu.session.run(batch).min() == 0
    found = find(target, checkpoint, images)
    assert found.layer == "linear_relu_stack.3"
    assert found.detail.startswith("linear_relu_stack.0 to .2 agree; ")


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_frozen_torchscript(checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path) -> None:
    model = checkpoint.model()
    change_weight(model, 2)
    path = tmp_path / "model.ts.pt"
    torch.jit.save(torch.jit.freeze(torch.jit.script(model)), path)
    assert find(Target(FORMATS["torchscript"], path), checkpoint, images).layer == "linear_relu_stack.2"


class Wide(nn.Module):
    """Weights in float64 between images and logits in float32, and a float32 buffer."""

    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        self.stack = stack.double()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return self.stack(images.flatten(1).double()).float() * self.scale


def test_a_program_s_buffers_count_for_its_prefixes_as_for_the_whole(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path
) -> None:
    model = checkpoint.model()
    change_weight(model, 2)
    target = Target(FORMATS["torch-export"], tmp_path / "model.pt2")
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        Wide(model.linear_relu_stack), (torch.zeros(2, 1, 28, 28),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, target.path)
    assert import_format(target.format).load(target.path, "cpu", 1).precision == "float32"
    assert {each.session.precision for each in open_prefixes(target.format, target.path, "cpu", 1)} == {"float32"}
    assert find(target, checkpoint, images).layer == "linear_relu_stack.2"


def export_legacy(model: nn.Module, example: Tensor, path: Path) -> Target:
    torch.onnx.export(
        model, (example,), path, dynamo=False, input_names=["input"], dynamic_axes={"input": {0: "batch"}}
    )
    return Target(FORMATS["onnx"], path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layer", LINEAR)
def test_onnx_of_the_legacy_exporter(checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, layer: int) -> None:
    model = checkpoint.model()
    change_weight(model, layer)
    found = find(export_legacy(model, torch.zeros(2, 1, 28, 28), tmp_path / "model.onnx"), checkpoint, images)
    assert found.layer == f"linear_relu_stack.{layer}"
    assert f"linear_relu_stack.{layer}/Gemm" in (found.node or "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_onnx_graph_that_takes_flattened_images_says_so(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path
) -> None:
    model = checkpoint.model()
    change_weight(model, 2)
    found = find(
        export_legacy(model.linear_relu_stack, torch.zeros(2, 784), tmp_path / "model.onnx"), checkpoint, images
    )
    assert found.layer == "linear_relu_stack.2"


def split_gemm(proto: onnx.ModelProto) -> None:
    """Write each Gemm as Transpose, MatMul, Add and Identity, and list the weights as inputs, as old tools do."""
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    for node in nodes:
        if node.op_type != "Gemm":
            proto.graph.node.append(node)
            continue
        (x, weight, bias), (y,) = node.input, node.output
        proto.graph.node.extend(
            [
                onnx.helper.make_node("Transpose", [weight], [f"{y}_t"]),
                onnx.helper.make_node("MatMul", [x, f"{y}_t"], [f"{y}_m"]),
                onnx.helper.make_node("Add", [f"{y}_m", bias], [f"{y}_a"]),
                onnx.helper.make_node("Identity", [f"{y}_a"], [y]),
            ]
        )
    for each in proto.graph.initializer:
        proto.graph.input.append(onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims))


@pytest.mark.parametrize(("mutate", "layer"), [(change_weight, 0), (change_weight, 2), (change_weight, 4), (leave, 0)])
def test_nodes_that_are_not_layers(
    checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path, mutate: Callable, layer: int
) -> None:
    target = export(checkpoint, "onnx", tmp_path, mutate, layer)
    proto = onnx.load(target.path)
    split_gemm(proto)
    onnx.save(proto, target.path)
    operators = [each.operator for each in open_prefixes(target.format, target.path, "cpu", 1)]
    assert "MatMul" in operators
    assert "Transpose" not in operators, "made of weights alone"
    found = find(target, checkpoint, images)
    assert found.layer == (None if mutate is leave else f"linear_relu_stack.{layer}")
    assert (found.node or "Add").startswith(("Add", "Identity"))


def test_weights_in_a_file_beside_the_graph(checkpoint: Checkpoint, images: np.ndarray, tmp_path: Path) -> None:
    target = export(checkpoint, "onnx", tmp_path, change_weight, 2)
    proto = onnx.load(target.path)
    onnx.save(proto, target.path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size > 100_000
    assert find(target, checkpoint, images).layer == "linear_relu_stack.2"


def test_on_the_way_leaves_out_dead_code_and_weights() -> None:
    steps = [
        Step(frozenset({"w"}), frozenset({"wt"})),
        Step(frozenset({"x", "wt"}), frozenset({"a", "b"})),
        Step(frozenset({"a"}), frozenset({"dead"})),
        Step(frozenset({"b"}), frozenset({"y"})),
    ]
    assert on_the_way(steps, "x", "y") == [1, 3]
    assert on_the_way(steps, "x", "dead") == [1, 2]
    assert on_the_way(steps, "nowhere", "y") == []


def test_the_reference_layer_by_layer(bundled: Checkpoint, images: np.ndarray) -> None:
    model = bundled.model()
    layers = reference_layers(model, images)
    assert [layer.name for layer in layers] == [f"linear_relu_stack.{number}" for number in range(5)]
    assert [layer.expected.shape for layer in layers] == [(7, 512)] * 4 + [(7, 10)]
    assert {layer.expected.dtype for layer in layers} == {np.dtype(np.float64)}
    assert {each.dtype for each in model.parameters()} == {torch.float32}, "the model itself is left as it is"
    exact = bundled.model().double()(torch.from_numpy(images).double()).numpy()
    np.testing.assert_array_equal(layers[-1].expected, exact)
    with torch.inference_mode():
        eager = model(torch.from_numpy(images)).double().numpy()
    assert layers[-1].unit == np.abs(eager - exact).max()


def test_the_unit_is_at_least_rounding_and_never_zero(checkpoint: Checkpoint, images: np.ndarray) -> None:
    model = checkpoint.model()
    for parameter in model.parameters():
        parameter.zero_()
    model.linear_relu_stack[4].bias.fill_(3.0)  # exact in float32, so eager makes no error
    units = [layer.unit for layer in reference_layers(model, images)]
    assert units == [np.finfo(np.float32).tiny] * 4 + [3 * 2.0**-24]


class FakeSession:
    precision = "float32"
    signature = Signature(inputs=(), outputs=())

    def __init__(self, output: np.ndarray | Exception) -> None:
        self.output = output

    def to_device(self, images: np.ndarray) -> np.ndarray:
        return images

    def run(self, batch: np.ndarray) -> np.ndarray:
        if isinstance(self.output, Exception):
            raise self.output
        return self.output

    def synchronize(self) -> None:
        pass

    def to_host(self, logits: np.ndarray) -> np.ndarray:
        return logits


class Fakes:
    """Prefixes with given outputs, which count how many were taken."""

    def __init__(self, *outputs: np.ndarray | Exception) -> None:
        self.outputs, self.taken = outputs, 0

    def __iter__(self) -> Iterator[Prefix]:
        for output in self.outputs:
            self.taken += 1
            yield Prefix(f"n{self.taken}", "Op", FakeSession(output))


RANDOM = np.random.default_rng(0)
A, B, C, D = (RANDOM.normal(size=(3, width)) for width in (8, 8, 6, 2))
STACK = [Layer(f"s.{number}", expected, 1e-6) for number, expected in enumerate((A, B, C, D))]
BATCH = np.zeros((3, 1, 28, 28), np.float32)


def look(*outputs: np.ndarray | Exception, layers: list[Layer] = STACK) -> tuple[DivergenceRecord, int]:
    fakes = Fakes(*outputs)
    return locate(fakes, layers, BATCH, LIMIT), fakes.taken


def test_within_the_limit_is_reached_and_beyond_is_not() -> None:
    found, _ = look(A + 7.9e-6, B, C, D)
    assert found.layer is None
    found, _ = look(A + 8.1e-6, B + 1, C + 1, D + 1)
    assert found.layer == "s.0"
    assert found.error_ratio == pytest.approx(8.1)
    assert found.detail == "s.0 (node Op 'n1') is off by 8.1 × eager's own rounding"


def test_a_fused_layer_is_taken_for_reached() -> None:
    found, _ = look(B, C, D + 1)
    assert found.layer == "s.3"
    assert found.detail.startswith("s.0 to .2 agree; s.3 (node Op 'n3') is off by 1,000,000 ×")


def test_layers_of_one_size_are_told_apart() -> None:
    found, _ = look(A, A * 1.0, B + 1e-4, C + 1, D + 1)
    assert (found.layer, found.node) == ("s.1", "Op 'n3'")
    assert found.error_ratio == pytest.approx(100)


def test_the_nearest_node_is_named_and_not_one_before_the_last_match() -> None:
    found, _ = look(B + 1e-5, A, B + 2e-3, B + 1e-3, D + 1)
    assert (found.layer, found.node) == ("s.1", "Op 'n4'")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_reach_nothing(bad: float) -> None:
    spoilt = B.copy()
    spoilt[1, 2] = bad
    found, _ = look(A, spoilt, np.full_like(C, bad), np.full_like(D, bad))
    assert (found.layer, found.node, found.error_ratio) == ("s.1", "Op 'n2'", None)
    assert found.detail == "s.0 agrees; s.1 (node Op 'n2') has NaN or infinite values"


def test_a_node_that_can_be_measured_is_nearer_than_one_that_cannot() -> None:
    spoilt = B.copy()
    spoilt[1, 2] = np.nan
    found, _ = look(A, spoilt, B + 1e-3, C + 1, D + 1)
    assert found.node == "Op 'n3'"
    assert found.error_ratio == pytest.approx(1000)


def test_no_more_prefixes_are_opened_than_are_needed() -> None:
    found, taken = look(A, B + 1, C + 1, D + 1, D)
    assert (found.layer, taken) == ("s.1", 3)
    found, taken = look(A, D, B, C + 1, D + 1)  # a product in two parts, the inner as wide as a later layer
    assert found.layer is None  # the fourth layer has been seen
    found, taken = look(A, D + 1, B, C + 1, D + 1)
    assert (found.layer, taken) == ("s.2", 5)


def test_what_comes_after_the_last_layer() -> None:
    found, _ = look(A, B, C, D, D * 1.0, 2 * D, 3 * D)
    assert (found.layer, found.node) == (None, "Op 'n6'")
    found, _ = look(A, B, C, D, 2 * D, D * 1.0)
    assert (found.layer, found.node) == (None, None), "changed and changed back"
    found, _ = look(A, B, C, D, D[:, :1])
    assert (found.node, found.error_ratio) == ("Op 'n5'", None)
    assert found.detail.endswith("the output of node Op 'n5' has shape (3, 1), not (3, 2)")


def test_an_output_of_another_number_of_rows_reaches_nothing() -> None:
    found, _ = look(A, B, C, D[:1])
    assert found.layer == "s.3"
    assert found.detail == "s.0 to .2 agree; s.3, of shape (3, 2), is nowhere after node Op 'n3': found Op 'n4' (1, 2)"


def test_images_as_columns_and_more_dimensions() -> None:
    found, _ = look(A.T, A.reshape(3, 8, 1, 1), B[:, None], C, D)
    assert found.layer is None


def test_integers_are_no_layer() -> None:
    found, _ = look(A, B, C, D, D.argmax(1))
    assert found.detail == "s.0 to .3 agree; nothing diverges up to the last node (node Op 'n4')"


def test_nothing_that_could_be_compared() -> None:
    found, _ = look()
    assert (found.layer, found.node) == ("s.0", None)
    assert found.detail == "s.0, of shape (3, 8), is nowhere in the artifact: found no node"
    found, _ = look(*[np.zeros((3, 5))] * 9)
    assert found.detail.endswith("found " + ", ".join(f"Op 'n{n}' (3, 5)" for n in range(1, 7)) + ", …")


def test_a_node_that_does_not_run_is_named() -> None:
    found, taken = look(A, RuntimeError("no kernel\nfor it"), C, D)
    assert (found.layer, found.node, taken) == (None, "Op 'n2'", 2)
    assert found.detail == "s.0 agrees; the artifact cut after node Op 'n2' fails: no kernel"
