"""Inspection: what is shown of files of every kind, and what two files are said to differ in."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from rich.console import Console
from torch import nn

from support import Cli, NeuralNetwork, Outcome, save_small
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.formats import FORMATS, FormatInfo, import_format
from toolkit.formats.graph import StoredTensor, describe_artifact
from toolkit.plain import plain
from toolkit.records import ArtifactMetadata, CheckpointMetadata, InspectRecord, ModelConfig, Report, TensorRecord
from toolkit.render.terminal import render_report
from toolkit.render.words.inspection import shortened
from toolkit.verbs.inspection import inspect_files
from toolkit.verbs.inspection.names import compute_weights_sha256
from toolkit.verbs.inspection.pairs import compare_values, pair_tensors
from toolkit.verbs.inspection.statistics import compute_statistics

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit"),
    pytest.mark.filterwarnings("ignore:.*legacy.*:DeprecationWarning"),
]
ALL = pytest.mark.parametrize("info", FORMATS.values(), ids=FORMATS)
floats = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, math.nan, math.inf]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format of a small checkpoint, and the checkpoint."""
    folder = tmp_path_factory.mktemp("small")
    checkpoint = load_checkpoint(save_small(folder / "small.safetensors"))
    for info in FORMATS.values():
        metadata = ArtifactMetadata(
            format=info.name,
            config=checkpoint.record.config,
            weights_sha256=checkpoint.record.weights_sha256,
            versions={"torch": "2"},
        )
        import_format(info).export(checkpoint.model(), folder / info.file_name, metadata)
    return folder


@pytest.fixture
def model(folder: Path) -> onnx.ModelProto:
    return onnx.load(folder / "model.onnx")


def save_model(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def assert_one_line(outcome: Outcome, named: object) -> None:
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1
    assert str(named) in outcome.err


def inspected(path: Path) -> InspectRecord:
    (record,) = inspect_files(path).inspected
    return record


def stored_in(path: Path) -> tuple[StoredTensor, ...]:
    return describe_artifact(FORMATS["onnx"], path).tensors


def what(report: Report) -> dict[str, str]:
    """The differences that count, and their details."""
    return {each.what: each.detail for each in report.differences if each.counts}


class TestAnyFormat:
    @ALL
    def test_the_graph_names_operators_and_what_they_read_and_give(self, info: FormatInfo, folder: Path) -> None:
        graph = describe_artifact(info, folder / info.file_name).graph
        assert len(graph.nodes) == 4  # flatten, linear, ReLU, linear
        given = set(graph.inputs)
        assert given
        for node in graph.nodes:
            assert given & set(node.inputs), node
            given = {each.name for each in node.outputs if each.name}
        assert given == set(graph.outputs)
        assert {name for node in graph.nodes for name in node.inputs} >= {
            f"linear_relu_stack.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")
        }

    @ALL
    def test_the_tensors_are_the_weights(self, info: FormatInfo, exported: Path, bundled: Checkpoint) -> None:
        record = inspected(exported / info.file_name)
        found = {each.name: each for each in record.tensors if each.dtype == "float32"}
        assert found.keys() == bundled.state.keys()
        for name, tensor in bundled.state.items():
            statistics = found[name].statistics
            assert statistics
            values = tensor.double()
            assert found[name].shape == tuple(tensor.shape)
            assert (statistics.minimum, statistics.maximum) == (float(values.min()), float(values.max()))
            assert statistics.mean == pytest.approx(float(values.mean()))
            assert statistics.standard_deviation == pytest.approx(float(values.std(correction=0)))
            assert (statistics.count, statistics.zeros, statistics.non_finite) == (tensor.numel(), 0, 0)

    @ALL
    def test_the_weights_hash_is_recorded_and_computed_anew(
        self, info: FormatInfo, exported: Path, bundled: Checkpoint
    ) -> None:
        record = inspected(exported / info.file_name)
        assert record.weights_sha256 == record.computed_weights_sha256 == bundled.record.weights_sha256
        assert record.weights_agree
        assert (record.precision, record.notes) == ("float32", ())
        assert record.config == bundled.record.config
        assert record.signature
        assert len(record.signature.inputs) == len(record.signature.outputs) == 1

    @ALL
    def test_a_damaged_file_is_one_line(self, info: FormatInfo, folder: Path, tmp_path: Path, cli: Cli) -> None:
        data = (folder / info.file_name).read_bytes()
        for content in (b"", b"text", data[:100], data[: len(data) // 2], data[:-1]):
            (tmp_path / info.file_name).write_bytes(content)
            assert_one_line(cli("inspect", tmp_path / info.file_name), "fmnist-tk export")

    @ALL
    def test_the_terminal_tells_it_at_any_width(self, info: FormatInfo, exported: Path) -> None:
        report = inspect_files(exported / info.file_name)
        for width in (80, 140):
            console = Console(width=width)
            with console.capture() as captured:
                for part in render_report(report):
                    console.print(part)
            text = captured.get()
            assert max(map(len, text.splitlines())) <= width
            for name in ("Ankle boot", "784-512-512-10"):
                assert name in text


class TestPairsOfFormats:
    @pytest.mark.parametrize(
        ("a", "b"),
        list(itertools.combinations(["small.safetensors", *(info.file_name for info in FORMATS.values())], 2)),
    )
    def test_the_same_weights_in_another_format_are_said_so(self, a: str, b: str, folder: Path, cli: Cli) -> None:
        assert cli("inspect", folder / a, folder / b).code == 0
        report = inspect_files(folder / b, folder / a)
        assert [pair.weight and pair.same for pair in report.tensor_pairs] == [True] * 4
        assert report.passed

    @pytest.mark.parametrize("name", ["small.safetensors", *(info.file_name for info in FORMATS.values())])
    def test_one_weight_that_is_off_is_found_in_any_of_them(
        self, name: str, folder: Path, tmp_path: Path, cli: Cli
    ) -> None:
        checkpoint = load_checkpoint(folder / "small.safetensors")
        checkpoint.state["linear_relu_stack.2.weight"][3, 5] += 0.5
        torch.save(checkpoint.state, tmp_path / "off.pth")
        outcome = cli("inspect", tmp_path / "off.pth", folder / name, "--json")
        assert outcome.code == 1
        assert what(outcome.report).keys() == {"weights"}
        (pair,) = (each for each in outcome.report.tensor_pairs if not each.same)
        assert (pair.a, pair.different, pair.largest_difference) == ("linear_relu_stack.2.weight", 1, 0.5)

    def test_a_file_and_itself_are_byte_identical(self, folder: Path, cli: Cli) -> None:
        outcome = cli("inspect", folder / "model.onnx", folder / "model.onnx", "--json")
        assert (outcome.code, outcome.report.differences) == (0, ())
        assert len({each.sha256 for each in outcome.report.inspected}) == 1

    def test_the_report_is_written_and_shown_again(self, folder: Path, tmp_path: Path, cli: Cli) -> None:
        save_small(tmp_path / "other.safetensors", seed=1)
        arguments = ("inspect", folder / "small.safetensors", tmp_path / "other.safetensors")
        printed = cli(*arguments, "-o", tmp_path / "report.json")
        again = cli("report", tmp_path / "report.json")
        assert (printed.code, again.code) == (1, 1)
        assert printed.out == again.out
        as_json = cli(*arguments, "--json")
        assert as_json.err == ""
        assert not as_json.report.passed
        assert [pair.a for pair in as_json.report.tensor_pairs if not pair.same] == [
            "linear_relu_stack.0.bias",
            "linear_relu_stack.0.weight",
            "linear_relu_stack.2.bias",
            "linear_relu_stack.2.weight",
        ]

    def test_another_shape_of_the_model_is_told(self, folder: Path, tmp_path: Path) -> None:
        wide = save_small(tmp_path / "wide.safetensors", config=ModelConfig(layer_sizes=(784, 17, 10), final_relu=True))
        report = inspect_files(folder / "model.onnx", wide)
        assert {"layers", "final ReLU", "weights"} <= what(report).keys()
        assert "3 tensors of another shape" in what(report)["weights"]


class TestCheckpoints:
    def test_layers_config_and_provenance(self, tmp_path: Path) -> None:
        record = inspected(save_small(tmp_path / "m.safetensors", config=ModelConfig(layer_sizes=(784, 7, 10))))
        assert [(each.kind, each.parameters) for each in record.layers] == [
            ("Flatten", 0),
            ("Linear", 785 * 7),
            ("ReLU", 0),
            ("Linear", 80),
        ]
        assert record.weights_agree
        provenance = inspected(bundled_path()).metadata
        assert isinstance(provenance, CheckpointMetadata)
        assert provenance.training
        assert provenance.training.test_accuracy == 0.9119

    def test_weights_that_are_not_finite_are_shown_with_a_warning(self, tmp_path: Path, cli: Cli) -> None:
        state = NeuralNetwork().state_dict()
        state["linear_relu_stack.2.bias"][:3] = torch.tensor([math.nan, math.inf, -math.inf])
        torch.save(state, tmp_path / "nan.pth")
        outcome = cli("inspect", tmp_path / "nan.pth", "--json")
        assert outcome.code == 0
        (record,) = outcome.report.inspected
        assert record.config == ModelConfig()
        assert [note for note in record.notes if "linear_relu_stack.2.bias" in note]
        (broken,) = [each.statistics for each in record.tensors if each.statistics and each.statistics.non_finite]
        assert broken.non_finite == 3
        assert broken.maximum is not None
        assert broken.maximum < 1

    def test_a_state_dict_of_another_model_is_shown(self, tmp_path: Path, cli: Cli) -> None:
        torch.save({"conv.weight": torch.ones(3, 1, 5, 5), "conv.bias": torch.zeros(3), "epoch": 3}, tmp_path / "c.pth")
        outcome = cli("inspect", tmp_path / "c.pth", "--json")
        assert outcome.code == 0
        (record,) = outcome.report.inspected
        assert "it also holds epoch (int), no tensors" in record.notes
        assert any(each.startswith("no other command takes it: ") for each in record.notes)
        (layer,) = record.layers
        assert (layer.name, layer.parameters, layer.shapes["weight"]) == ("conv", 78, (3, 1, 5, 5))

    def test_what_holds_no_tensors_or_would_run_code_is_one_line(self, tmp_path: Path, cli: Cli) -> None:
        class Evil:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "ran",))

        torch.save({"epoch": 3}, tmp_path / "none.pth")
        assert_one_line(cli("inspect", tmp_path / "none.pth"), tmp_path / "none.pth")
        torch.save({"w": Evil()}, tmp_path / "evil.pth")
        assert_one_line(cli("inspect", tmp_path / "evil.pth"), tmp_path / "evil.pth")
        assert not (tmp_path / "ran").exists()
        assert_one_line(cli("inspect", tmp_path), "it is a folder; pass a file that is in it")

    def test_a_report_is_not_written_over_what_is_read(self, folder: Path, cli: Cli) -> None:
        path = folder / "small.safetensors"
        assert_one_line(cli("inspect", path, "-o", path), f"--output {path}")


def bundled_path() -> Path:
    import toolkit

    return Path(toolkit.__file__).parent / "fashion" / "assets" / "fashion-mlp.safetensors"


class TestForeignFiles:
    """Made with onnx' own helpers, or with torch's: names, layouts and operators that are not ours."""

    def test_matrices_that_stand_the_other_way_are_the_same_weights(self, folder: Path, tmp_path: Path) -> None:
        checkpoint = load_checkpoint(folder / "small.safetensors")
        path = save_model(matmul_model(checkpoint), tmp_path / "matmul.onnx")
        record = inspected(path)
        assert record.computed_weights_sha256 == checkpoint.record.weights_sha256
        assert (record.weights_sha256, record.metadata, record.weights_agree) == (None, None, None)
        report = inspect_files(path, folder / "small.safetensors")
        assert report.passed
        assert [pair.transposed for pair in report.tensor_pairs if pair.a in {"m0", "m1"}] == [True, True]

    def test_a_square_matrix_stands_as_its_product_reads_it(self, tmp_path: Path) -> None:
        square = np.arange(9, dtype=np.float32).reshape(3, 3)
        for name, operator in (("m", "MatMul"), ("g", "Gemm")):
            turned = {"w": square.T if operator == "MatMul" else square, "b": np.ones(3, np.float32)}
            attributes = {"transB": 1} if operator == "Gemm" else {}
            nodes = [helper.make_node(operator, ["x", "w"], ["y"], **attributes)]
            save_model(make_model(nodes, "x", "y", turned), tmp_path / f"{name}.onnx")
        assert [each.transposed for each in stored_in(tmp_path / "m.onnx") if each.name == "w"] == [True]
        assert [each.transposed for each in stored_in(tmp_path / "g.onnx") if each.name == "w"] == [False]
        for values, turned_ in ((square, True), (square.T, False)):  # a state dict does not tell how it stands
            torch.save({"w": torch.from_numpy(values.copy())}, tmp_path / "w.pth")
            pair = inspect_files(tmp_path / "w.pth", tmp_path / "m.onnx").tensor_pairs[0]
            assert (pair.different, pair.transposed) == (0, turned_)

    def test_scripted_traced_and_frozen_modules_have_the_same_weights(self, tmp_path: Path) -> None:
        network = NeuralNetwork().eval()
        torch.save(network.state_dict(), tmp_path / "m.pth")
        torch.jit.script(network).save(tmp_path / "scripted.ts.pt")
        torch.jit.trace(network.linear_relu_stack, torch.zeros(2, 784)).save(tmp_path / "traced.ts.pt")
        torch.jit.freeze(torch.jit.script(network)).save(tmp_path / "frozen.ts.pt")
        expected = inspected(tmp_path / "m.pth").computed_weights_sha256
        assert expected
        for name in ("scripted", "traced", "frozen"):
            assert inspected(tmp_path / f"{name}.ts.pt").computed_weights_sha256 == expected, name
            assert inspect_files(tmp_path / "m.pth", tmp_path / f"{name}.ts.pt").passed, name
        report = inspect_files(tmp_path / "scripted.ts.pt", tmp_path / "traced.ts.pt")
        assert what(report) == {"graph, node 1": "operators removed", "input": "names only"}

    def test_control_flow_is_shown_with_its_blocks(self, tmp_path: Path) -> None:
        class Branching(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.relu(x) if bool(x.sum() > 0) else x * 2

        torch.jit.script(Branching()).save(tmp_path / "branch.ts.pt")
        graph = inspected(tmp_path / "branch.ts.pt").graph
        assert graph
        (branching,) = [node.name for node in graph.nodes if node.operator == "prim::If"]
        assert [(node.operator, node.within) for node in graph.nodes if node.within] == [
            ("aten::relu", f"{branching} block 1"),
            ("prim::Return", f"{branching} block 1"),
            ("aten::mul", f"{branching} block 2"),
            ("prim::Return", f"{branching} block 2"),
        ]

    def test_a_file_that_the_runtime_refuses_is_shown_all_the_same(
        self, model: onnx.ModelProto, tmp_path: Path, cli: Cli
    ) -> None:
        model.graph.node[0].domain, model.graph.node[0].op_type = "their.own", "Secret"
        model.opset_import.add(domain="their.own", version=7)
        outcome = cli("inspect", save_model(model, tmp_path / "custom.onnx"), "--json")
        assert outcome.code == 0
        (record,) = outcome.report.inspected
        assert record.graph
        assert record.graph.nodes[0].operator == "their.own.Secret"
        assert record.graph.opsets["their.own"] == 7
        assert record.precision is None
        assert record.weights_agree
        (note,) = record.notes
        assert note.startswith("onnxruntime does not open it here: ")

    def test_float64_weights_open_no_session_and_are_shown(self, tmp_path: Path) -> None:
        torch.jit.script(NeuralNetwork().double()).save(tmp_path / "double.ts.pt")
        record = inspected(tmp_path / "double.ts.pt")
        assert record.precision is None
        assert "float64" in record.notes[0]
        assert {each.dtype for each in record.tensors} == {"float64"}

    def test_bfloat16_values_are_read_exactly(self, tmp_path: Path) -> None:
        state = {name: each.bfloat16() for name, each in NeuralNetwork().state_dict().items()}
        torch.save(state, tmp_path / "b.pth")
        torch.save({name: each.float() for name, each in state.items()}, tmp_path / "f.pth")
        report = inspect_files(tmp_path / "b.pth", tmp_path / "f.pth")
        assert what(report) == {"weights": "6 tensors of another dtype"}
        assert all(pair.different == 0 and not pair.same for pair in report.tensor_pairs)

    def test_names_that_would_steer_the_terminal_do_not(
        self, model: onnx.ModelProto, folder: Path, tmp_path: Path, cli: Cli
    ) -> None:
        model.graph.node[0].name = "red\x1b[31m"
        entry = model.metadata_props.add()
        entry.key, entry.value = "title\x1b]0;x\x07", "long " * 10_000
        path = save_model(model, tmp_path / "odd.onnx")
        for outcome in (cli("inspect", path), cli("inspect", path, folder / "model.onnx")):
            assert "\x1b" not in outcome.out
            assert "\x07" not in outcome.out
            assert len(outcome.out) < 50_000

    def test_tensors_of_every_kind_are_listed_and_what_cannot_be_read_says_why(
        self, model: onnx.ModelProto, folder: Path, tmp_path: Path, cli: Cli
    ) -> None:
        kinds = {"INT4": "int4", "FLOAT8E4M3FN": "float8_e4m3fn", "BFLOAT16": "bfloat16", "FLOAT16": "float16"}
        for kind in kinds:
            model.graph.initializer.append(helper.make_tensor(kind, getattr(onnx.TensorProto, kind), [4], [1, 2, 3, 0]))
        model.graph.initializer.append(helper.make_tensor("text", onnx.TensorProto.STRING, [2], [b"a", b"b"]))
        readable = save_model(model, tmp_path / "readable.onnx")
        short = model.graph.initializer[0]
        short.raw_data = short.raw_data[:40]
        model.graph.initializer.add(name="unknown", data_type=99, dims=[3])
        path = save_model(model, tmp_path / "m.onnx")
        found = {each.name: each for each in inspected(path).tensors}
        for kind, dtype in kinds.items():
            statistics = found[kind].statistics
            assert statistics
            assert (found[kind].dtype, statistics.mean, statistics.zeros) == (dtype, 1.5, 1)
        reasons = {each.name: each.unread for each in found.values() if each.unread}
        assert reasons.keys() == {"text", "unknown", short.name}
        assert reasons["unknown"] == "onnx has no element type 99"
        assert cli("inspect", path).code == 0
        assert cli("inspect", path, path).code == 0  # the same bytes need no reading
        assert_one_line(cli("inspect", path, folder / "model.onnx"), path)
        text = next(pair for pair in inspect_files(readable, folder / "model.onnx").tensor_pairs if pair.a == "text")
        assert (text.b, text.weight) == (None, False)

    def test_a_description_that_cannot_be_read_is_told(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        (entry,) = (each for each in model.metadata_props if each.key == "fmnist_tk")
        entry.value = "{not JSON"
        record = inspected(save_model(model, tmp_path / "m.onnx"))
        assert record.metadata is None
        assert any("its description is not JSON" in each for each in record.notes)

    def test_long_lists_are_shown_whole_only_when_asked_for(self, tmp_path: Path, cli: Cli) -> None:
        nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(100)]
        path = save_model(make_model(nodes, "v0", "v100", {}), tmp_path / "long.onnx")
        short, whole = cli("inspect", path).out, cli("inspect", path, "--all").out
        assert "--all" in short
        assert "--all" not in whole
        assert ("v50 " in short, "v50 " in whole, "v99 " in short) == (False, True, True)


def make_model(
    nodes: list[onnx.NodeProto], source: str, target: str, weights: dict[str, NDArray[Any]]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, ["n", 784])],
        [helper.make_tensor_value_info(target, onnx.TensorProto.FLOAT, ["n", None])],
        [numpy_helper.from_array(each, name) for name, each in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def matmul_model(checkpoint: Checkpoint) -> onnx.ModelProto:
    """The checkpoint with its matrices as MatMul takes them, under names that tell nothing, in no order."""
    weights = {}
    for number, layer in enumerate((0, 2)):
        weights[f"b{number}"] = checkpoint.state[f"linear_relu_stack.{layer}.bias"].numpy()
        weights[f"m{number}"] = np.ascontiguousarray(checkpoint.state[f"linear_relu_stack.{layer}.weight"].numpy().T)
    nodes = [
        helper.make_node("MatMul", ["x", "m0"], ["p0"]),
        helper.make_node("Add", ["p0", "b0"], ["a0"]),
        helper.make_node("Relu", ["a0"], ["r0"]),
        helper.make_node("MatMul", ["r0", "m1"], ["p1"]),
        helper.make_node("Add", ["p1", "b1"], ["y"]),
    ]
    return make_model(nodes, "x", "y", dict(reversed(weights.items())))


class TestExternalData:
    @pytest.fixture
    def external(self, folder: Path, tmp_path: Path) -> Path:
        (tmp_path / "in").mkdir()
        path = tmp_path / "in" / "external.onnx"
        onnx.save_model(
            onnx.load(folder / "model.onnx"), path, save_as_external_data=True, location="w.bin", size_threshold=64
        )
        return path

    def test_the_files_beside_it_are_part_of_it(self, external: Path, folder: Path) -> None:
        record = inspected(external)
        assert [(each.name, each.size_bytes) for each in record.files] == [
            ("w.bin", (external.parent / "w.bin").stat().st_size)
        ]
        assert record.weights_agree
        assert {each.file for each in record.tensors if each.dtype == "float32" and len(each.shape) == 2} == {"w.bin"}
        report = inspect_files(external, folder / "model.onnx")
        assert report.passed
        assert {each.what for each in report.differences} == {"size", "files beside it"}

    def test_a_value_that_changed_in_the_file_beside_it_is_found(self, external: Path, folder: Path) -> None:
        data = bytearray((external.parent / "w.bin").read_bytes())
        data[103] ^= 1
        (external.parent / "w.bin").write_bytes(data)
        record = inspected(external)
        assert record.weights_agree is False
        assert record.notes == (
            "its weights do not have the SHA-256 that it records: they were changed after it was written",
        )
        assert what(inspect_files(external, folder / "model.onnx")).keys() == {"weights"}

    def test_what_is_missing_is_said_and_the_rest_is_shown(self, external: Path, folder: Path, cli: Cli) -> None:
        (external.parent / "w.bin").unlink()
        record = inspected(external)
        assert any("its weights are in w.bin, which is not beside it" in each for each in record.notes)
        assert record.computed_weights_sha256 is None
        assert record.graph
        assert "Gemm" in {each.operator for each in record.graph.nodes}
        assert_one_line(cli("inspect", external, folder / "model.onnx"), external)

    def test_a_file_outside_its_folder_is_not_read(self, external: Path) -> None:
        (external.parent / "w.bin").rename(external.parent.parent / "w.bin")
        proto = onnx.load(external, load_external_data=False)
        for entry in (entry for tensor in proto.graph.initializer for entry in tensor.external_data):
            if entry.key == "location":
                entry.value = "../w.bin"
        save_model(proto, external)
        record = inspected(external)
        assert all(each.statistics is None for each in record.tensors if each.file)
        (note,) = record.notes
        assert "../w.bin" in note
        assert record.precision is None  # no runtime was given the file


class TestGraphs:
    """Two graphs of one format: what counts is what is computed, in which order, from what."""

    def test_an_operator_more_and_one_less(self, model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
        node = helper.make_node("Identity", ["logits_"], ["logits"], name="more")
        model.graph.node[-1].output[0] = "logits_"
        model.graph.node.append(node)
        report = inspect_files(folder / "model.onnx", save_model(model, tmp_path / "m.onnx"))
        assert what(report) == {"graph, node 5": "operators added"}
        assert inspect_files(tmp_path / "m.onnx", folder / "model.onnx").differences[-1].detail == "operators removed"

    def test_an_attribute_that_changed(self, model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
        next(each for each in model.graph.node[1].attribute if each.name == "alpha").f = 2
        report = inspect_files(folder / "model.onnx", save_model(model, tmp_path / "m.onnx"))
        (difference,) = [each for each in report.differences if each.counts]
        assert (difference.a, difference.b, difference.detail) == ("alpha=1", "alpha=2", "Gemm changed: alpha")

    @pytest.mark.parametrize("names", [["y", "x"], ["x", "x"]])
    def test_inputs_that_were_swapped(self, names: list[str], tmp_path: Path) -> None:
        def write(name: str, read: list[str]) -> Path:
            nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Sub", read, ["z"])]
            return save_model(make_model(nodes, "x", "z", {}), tmp_path / name)

        report = inspect_files(write("a.onnx", ["x", "y"]), write("b.onnx", names))
        assert what(report).keys() == {"graph, wiring"}

    def test_another_output_of_the_same_nodes(self, tmp_path: Path) -> None:
        nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
        for target in "yz":
            save_model(make_model(nodes, "x", target, {}), tmp_path / f"{target}.onnx")
        report = inspect_files(tmp_path / "y.onnx", tmp_path / "z.onnx")
        assert what(report).keys() == {"graph, wiring", "output"}

    def test_names_alone_are_no_difference(self, model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
        for node in model.graph.node:
            node.name = f"other {node.name}"
            for values in (node.input, node.output):
                for place, name in enumerate(values):
                    values[place] = {"linear": "product", "relu": "cut"}.get(name, name)
        report = inspect_files(folder / "model.onnx", save_model(model, tmp_path / "m.onnx"))
        assert report.passed
        assert any("under other names" in each.detail for each in report.differences)

    def test_branches_of_control_flow_are_compared_too(self, tmp_path: Path) -> None:
        def branch(operator: str) -> onnx.GraphProto:
            value = helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, None)
            return helper.make_graph([helper.make_node(operator, ["x"], ["inner"])], operator, [], [value])

        def write(name: str, operator: str) -> Path:
            condition = numpy_helper.from_array(np.array(True))
            nodes = [
                helper.make_node("Constant", [], ["c"], value=condition),
                helper.make_node("If", ["c"], ["y"], then_branch=branch("Relu"), else_branch=branch(operator)),
            ]
            return save_model(make_model(nodes, "x", "y", {}), tmp_path / name)

        a, b = write("a.onnx", "Neg"), write("b.onnx", "Abs")
        graph = inspected(a).graph
        assert graph
        assert [(node.operator, node.within) for node in graph.nodes if node.within] == [
            ("Neg", "y.else_branch"),
            ("(return)", "y.else_branch"),
            ("Relu", "y.then_branch"),
            ("(return)", "y.then_branch"),
        ]
        assert "operators replaced" in what(inspect_files(a, b)).values()

    def test_a_fixed_batch_is_another_signature_in_any_format(
        self, model: onnx.ModelProto, folder: Path, tmp_path: Path
    ) -> None:
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = 1
        fixed = save_model(model, tmp_path / "m.onnx")
        for info in FORMATS.values():
            other = folder / info.file_name
            tells = inspected(other).signature
            assert tells
            expected = {"input", "output"} if tells.inputs[0].shape else set()
            assert what(inspect_files(other, fixed)).keys() == expected, info.name

    def test_a_node_that_gives_another_shape(self, tmp_path: Path) -> None:
        for width in (1, 2):
            weights = {"s": np.array([-1, 784 // width], np.int64)}
            nodes = [helper.make_node("Reshape", ["x", "s"], ["r"]), helper.make_node("Relu", ["r"], ["y"])]
            save_model(make_model(nodes, "x", "y", weights), tmp_path / f"{width}.onnx")
        found = what(inspect_files(tmp_path / "1.onnx", tmp_path / "2.onnx"))
        assert found["graph, r"] == "Reshape gives another dtype or shape"
        assert found["other tensors"] == "1 value differs by up to 392 in s"

    def test_versions_producer_and_properties(self, model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
        model.producer_name, model.ir_version, model.opset_import[0].version = "somebody", 9, 19
        entry = model.metadata_props.add()
        entry.key, entry.value = "author", "me"
        report = inspect_files(folder / "model.onnx", save_model(model, tmp_path / "m.onnx"))
        assert what(report).keys() == {"producer", "format version", "opset, ai.onnx", "property, author"}


class TestNumbers:
    @given(st.lists(floats), st.integers(1, 5))
    def test_statistics_are_those_of_numpy(self, values: list[float], piece: int) -> None:
        array = np.array(values, np.float32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("toolkit.verbs.inspection.statistics._PIECE", piece)
            record = compute_statistics(array)
        finite = array[np.isfinite(array)].astype(np.float64)
        assert (record.count, record.non_finite) == (array.size, array.size - finite.size)
        assert record.zeros == int((finite == 0).sum())
        if finite.size:
            assert (record.minimum, record.maximum) == (finite.min(), finite.max())
            scale = float(np.abs(finite).max())
            assert record.mean == pytest.approx(float(finite.mean()), abs=1e-12 * scale)
            assert record.standard_deviation == pytest.approx(float(finite.std()), abs=1e-7 * scale)
        else:
            assert (record.minimum, record.maximum, record.mean, record.standard_deviation) == (None,) * 4

    def test_statistics_of_other_dtypes(self) -> None:
        assert compute_statistics(np.array([True, False])).mean == 0.5
        assert compute_statistics(np.array(3, np.int64)).minimum == 3
        assert compute_statistics(np.zeros((0, 4))).zeros_fraction is None
        assert compute_statistics(np.full(4, 1e308)).mean is None  # its sum is not finite
        with pytest.raises(TypeError, match="no real numbers"):
            compute_statistics(np.array([1j]))

    @given(st.lists(st.tuples(floats, floats)))
    def test_values_differ_bit_by_bit_but_for_nan(self, values: list[tuple[float, float]]) -> None:
        a, b = (np.array([pair[side] for pair in values], np.float32) for side in (0, 1))
        other = [
            (x, y)
            for x, y in zip(a.tolist(), b.tolist(), strict=True)
            if not (math.isnan(x) and math.isnan(y)) and (x != y or math.copysign(1, x) != math.copysign(1, y))
        ]
        finite = [abs(x - y) for x, y in other if math.isfinite(x - y)]
        largest = max(finite) if finite else None if other else 0.0
        assert compare_values(a, b) == (len(other), largest)

    def test_what_has_another_shape_is_not_compared(self) -> None:
        assert compare_values(np.zeros(3), np.zeros(4)) == (None, None)
        assert compare_values(np.array(["a", "b"], object), np.array(["a", "c"], object)) == (1, None)
        assert compare_values(np.array([1, 5]), np.array([1, 2])) == (1, 3.0)

    def test_tensors_are_paired_by_name_then_by_order_and_shape(self) -> None:
        def stored(name: str, *shape: int, dtype: str = "float32") -> StoredTensor:
            return StoredTensor(name, "parameter", dtype, shape, lambda: np.zeros(shape))

        a = [stored("module.x", 3, 4), stored("p", 3), stored("q", 3), stored("i", 2, dtype="int64")]
        b = [stored("r", 3), stored("x", 3, 4), stored("s", 3), stored("t", 9)]
        pairs = [(x and x.name, y and y.name) for x, y in pair_tensors(a, b, by_name=False)]
        assert pairs == [("module.x", "x"), ("p", "r"), ("q", "s"), (None, "t")]
        assert ("i", None) in [(x and x.name, y and y.name) for x, y in pair_tensors(a, b)]

    def test_weights_of_another_family_have_no_digest(self) -> None:
        def stored(*shape: int) -> StoredTensor:
            return StoredTensor("w", "parameter", "float32", shape, lambda: np.zeros(shape, np.float32))

        assert compute_weights_sha256([stored(10, 784), stored(10)])
        assert compute_weights_sha256([stored(10, 783), stored(10)]) is None
        assert compute_weights_sha256([stored(10, 784), stored(11)]) is None
        assert compute_weights_sha256([stored(10, 784)]) is None
        assert compute_weights_sha256([]) is None

    @given(st.text(max_size=60), st.integers(4, 40))
    def test_a_shortened_name_keeps_both_ends(self, text: str, most: int) -> None:
        short = shortened(text, most)
        assert len(short) <= most
        if len(text) <= most:
            assert short == text
        else:
            tail = (most - 1) * 2 // 3
            assert short == f"{text[: most - 1 - tail]}…{text[-tail:]}"
            assert len(short) == most

    @given(st.text(max_size=60))
    def test_no_text_of_a_file_steers_the_terminal(self, text: str) -> None:
        assert len(plain(text)) == len(text)
        assert not set(plain(text)) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))

    def test_a_tensor_has_statistics_or_a_reason(self) -> None:
        with pytest.raises(ValueError, match="statistics or the reason"):
            TensorRecord(name="x", role="parameter", dtype="float32", shape=(1,))
