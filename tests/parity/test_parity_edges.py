"""Parity at its edges: files of others, odd artifacts, and a command line that is asked for two things at once."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from support import Cli, NeuralNetwork
from toolkit.cli.console.streams import stdout_to_stderr
from toolkit.errors import CorruptArtifactError, OutputError, PrecisionError, UnverifiedArtifactError
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats import FORMATS, format_of
from toolkit.formats.libtorch import LibtorchSession, pin_precision
from toolkit.formats.manifest import LEDGER
from toolkit.formats.reshaped import fitted_shape
from toolkit.formats.target import Target
from toolkit.formats.verified import check_verified, note_verified
from toolkit.parity import Plan, Reference, check_artifact, make_plan
from toolkit.records import Ledger, ParityRecord, Signature, read_record

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")


@pytest.fixture(scope="module")
def plan(bundled: Checkpoint) -> Plan:
    return make_plan(Reference(bundled))


@pytest.fixture
def tutorial(bundled: Checkpoint) -> NeuralNetwork:
    network = NeuralNetwork()
    network.load_state_dict(bundled.state)
    return network.eval()


def check(path: Path, plan: Plan) -> ParityRecord:
    info = format_of(path)
    assert info
    return check_artifact(Target(info, path), plan, threads=2)


def detail(record: ParityRecord, name: str) -> str:
    return next(each.detail for each in record.checks if each.name == name)


# --- files of others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"garbage", b"\xff", b'{"schema_name": "other", "verified": []}', b'{"verified": [1]}', b"[]"]
)
def test_a_ledger_of_somebody_else_is_left_alone(
    content: bytes, exported: Path, plan: Plan, bundled: Checkpoint, tmp_path: Path
) -> None:
    record = check(exported / "model.onnx", plan)
    (tmp_path / LEDGER).write_bytes(content)
    with pytest.raises(OutputError, match="it is not fmnist-tk's") as caught:
        note_verified(tmp_path, [record])
    assert caught.value.path == tmp_path / LEDGER
    assert (tmp_path / LEDGER).read_bytes() == content
    (tmp_path / LEDGER).unlink()
    note_verified(tmp_path, [record])
    note_verified(tmp_path, [record])  # our own is read and written again
    assert len(read_record(tmp_path / LEDGER, Ledger).verified) == 1


def test_parity_says_that_it_could_not_note_the_result(exported: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes())
    (tmp_path / LEDGER).write_text("mine")
    result = cli("parity", tmp_path / "model.onnx", "--json")
    assert result.code == 0
    assert str(tmp_path) in result.report.notes[0]
    assert (tmp_path / LEDGER).read_text() == "mine"
    with pytest.raises(UnverifiedArtifactError):
        check_verified(Target(FORMATS["onnx"], tmp_path / "model.onnx"), "0" * 64, "cpu", "")


# --- ONNX ------------------------------------------------------------------------------------------------------------


def external_tensor(name: str, file: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", file
    return tensor


def model_with(function: onnx.FunctionProto, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    call = helper.make_node(function.name, [], ["y"], domain=function.domain)
    graph = helper.make_graph([call, *nodes], "graph", [], [value])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(function.domain, 1)]
    return helper.make_model(graph, functions=[function], opset_imports=opsets)


def constant_of_function() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=external_tensor("c", "weights.bin"))
    return model_with(helper.make_function("f", "constant", [], ["y"], [node], [helper.make_opsetid("", 18)]))


def default_of_function() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.add(name="value", ref_attr_name="v", type=onnx.AttributeProto.TENSOR)
    function = helper.make_function("f", "default", [], ["y"], [node], [helper.make_opsetid("", 18)])
    function.attribute_proto.append(helper.make_attribute("v", external_tensor("c", "weights.bin")))
    return model_with(function)


def sparse_initializer() -> onnx.ModelProto:
    proto = onnx.ModelProto()
    proto.graph.sparse_initializer.add(
        values=external_tensor("values", "weights.bin"), indices=TensorProto(name="i"), dims=[9]
    )
    return proto


@pytest.mark.parametrize("make", [constant_of_function, default_of_function, sparse_initializer])
def test_external_data_is_part_of_the_artifact_wherever_it_is_named(
    make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    path, data = tmp_path / "model.onnx", tmp_path / "weights.bin"
    path.write_bytes(make().SerializeToString())
    data.write_bytes(bytes(16))
    assert Target(FORMATS["onnx"], path).files() == (path, data)
    before = Target(FORMATS["onnx"], path).digest()
    data.write_bytes(bytes(15) + b"1")
    assert Target(FORMATS["onnx"], path).digest() != before


def test_a_shape_that_is_not_declared_is_unknown(exported: Path, plan: Plan, tmp_path: Path) -> None:
    proto = onnx.load(exported / "model.onnx")
    for each in (proto.graph.input[0], proto.graph.output[0]):
        each.type.tensor_type.ClearField("shape")
    onnx.save(proto, tmp_path / "model.onnx")
    session = Target(FORMATS["onnx"], tmp_path / "model.onnx").open("cpu", 1)
    assert session.signature.inputs[0].shape is None  # of the output ONNX Runtime infers what it can
    record = check(tmp_path / "model.onnx", plan)
    assert record.passed, record.failure


def test_the_shape_that_is_not_declared_is_found_by_trying(exported: Path, plan: Plan, tmp_path: Path) -> None:
    proto = onnx.load(exported / "model.onnx")
    reshape = helper.make_node("Reshape", ["input", "four"], ["inside"])
    first = next(node for node in proto.graph.node if "input" in node.input)
    first.input[list(first.input).index("input")] = "inside"
    proto.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1, 28, 28]), "four"))
    flatten = helper.make_node("Gemm", ["input", "eye"], ["unused"])  # takes nothing but (N, 784)
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros((784, 1), np.float32), "eye"))
    proto.graph.node.insert(0, flatten)
    proto.graph.node.insert(0, reshape)
    proto.graph.output.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, None))
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(proto, tmp_path / "flat.onnx")
    session = Target(FORMATS["onnx"], tmp_path / "flat.onnx").open("cpu", 1)
    assert fitted_shape(session) == (1, 28, 28)  # nothing was called yet
    session.run(session.to_device(np.zeros((3, 1, 28, 28), np.float32)))
    assert fitted_shape(session) == (784,)


# --- TorchScript -----------------------------------------------------------------------------------------------------


class Dropping(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.dropout = model, nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.model(x))


def test_a_module_saved_in_training_mode_is_judged_as_it_is_loaded(
    tutorial: NeuralNetwork, plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / "dropping.ts.pt"
    torch.jit.save(torch.jit.script(Dropping(tutorial)), path)
    record = check(path, plan)
    assert record.cause == "determinism", record.failure
    torch.jit.save(torch.jit.script(Dropping(tutorial).eval()), path)
    record = check(path, plan)
    assert record.passed, record.failure


def test_a_reproduction_shows_a_module_in_training_mode(tutorial: NeuralNetwork, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "dropping.ts.pt"
    torch.jit.save(torch.jit.script(Dropping(tutorial)), path)
    result = cli("parity", path, "--json", "--repro", tmp_path / "out")
    made = result.report.parity[0].reproduction
    assert made
    assert made.shown, made.note


def test_our_own_exports_are_in_evaluation_mode(exported: Path) -> None:
    module = torch.jit.load(exported / "model.ts.pt")
    assert not any(each.training for each in module.modules())


class Scaled(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return self.model(x) * scale


class ScaledByAll(Scaled):
    def forward(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        return self.model(x) * scale


class Optional(Scaled):
    def forward(self, x: torch.Tensor | None = None) -> torch.Tensor:
        if x is None:
            x = torch.zeros(1, 1, 28, 28)
        return self.model(x)


@pytest.mark.parametrize("wrapper", [Scaled, Optional])
def test_an_argument_with_a_default_is_no_input(
    wrapper: type[Scaled], tutorial: NeuralNetwork, plan: Plan, tmp_path: Path
) -> None:
    torch.jit.save(torch.jit.script(wrapper(tutorial).eval()), tmp_path / "default.ts.pt")
    record = check(tmp_path / "default.ts.pt", plan)
    assert record.passed, record.failure
    assert detail(record, "signature") == "x to unnamed"


def test_an_argument_without_a_default_is_an_input(tutorial: NeuralNetwork, plan: Plan, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(ScaledByAll(tutorial).eval()), tmp_path / "two.ts.pt")
    record = check(tmp_path / "two.ts.pt", plan)
    assert not record.passed
    assert "it has 2 inputs (x, scale), not one" in detail(record, "signature")


def test_metadata_that_is_no_text_is_an_integrity_failure(tutorial: NeuralNetwork, plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "bytes.ts.pt"
    torch.jit.save(torch.jit.script(tutorial), path, _extra_files={"fmnist_tk.json": b'\xff\xfe{"a": 1}'})
    record = check(path, plan)
    assert record.cause == "integrity"
    assert "is not JSON" in detail(record, "integrity")


# --- torch.export ----------------------------------------------------------------------------------------------------


def save_program(module: nn.Module, path: Path) -> None:
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.export.export(module.eval(), (torch.zeros(2, 1, 28, 28),), dynamic_shapes=shapes)
    torch.export.save(program, path)


def test_extra_text_that_is_none_does_not_open(exported: Path, plan: Plan, tmp_path: Path) -> None:
    """As for everybody: torch.export.load itself decodes every extra file."""
    with zipfile.ZipFile(exported / "model.pt2") as old, zipfile.ZipFile(tmp_path / "model.pt2", "w") as new:
        for each in old.infolist():
            new.writestr(each.filename, b"\xff" if "fmnist_tk" in each.filename else old.read(each))
    record = check(tmp_path / "model.pt2", plan)
    assert record.cause == "opens"
    with pytest.raises(CorruptArtifactError) as caught:
        Target(FORMATS["torch-export"], tmp_path / "model.pt2").open("cpu")
    assert caught.value.path == tmp_path / "model.pt2"


def no_parameters(module: nn.Module, keep: Callable[[nn.Module, str, torch.Tensor], None]) -> None:
    for each in module.modules():
        for name, value in list(each.named_parameters(recurse=False)):
            delattr(each, name)
            keep(each, name, value.detach().clone())


STORES: dict[str, Callable[[nn.Module, str, torch.Tensor], None]] = {
    "buffer": lambda module, name, value: module.register_buffer(name, value),
    "buffer that is not saved": lambda module, name, value: module.register_buffer(name, value, persistent=False),
    "constant": setattr,
}


@pytest.mark.parametrize("store", STORES)
def test_weights_need_not_be_parameters(store: str, tutorial: NeuralNetwork, plan: Plan, tmp_path: Path) -> None:
    no_parameters(tutorial, STORES[store])
    save_program(tutorial, tmp_path / "model.pt2")
    record = check(tmp_path / "model.pt2", plan)
    assert record.passed, record.failure
    assert record.precision == "float32"


@pytest.mark.parametrize("store", STORES)
def test_their_dtype_is_seen_all_the_same(store: str, tutorial: NeuralNetwork, plan: Plan, tmp_path: Path) -> None:
    no_parameters(Scaled(tutorial), lambda module, name, value: STORES[store](module, name, value.bfloat16()))
    module = nn.Sequential(CastsIn(), tutorial)
    save_program(module, tmp_path / "model.pt2")
    record = check(tmp_path / "model.pt2", plan)
    assert record.cause == "opens"
    assert "would compute in bfloat16" in detail(record, "opens")
    record = check((tmp_path / "model.pt2").rename(tmp_path / "half.pt2"), plan)
    assert record.declared == record.precision == "bfloat16"  # another name promises nothing


class CastsIn(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.bfloat16()


class Sums(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :10] + 0


def test_a_program_without_weights_opens_as_float32(plan: Plan, tmp_path: Path) -> None:
    save_program(Sums(), tmp_path / "model.pt2")
    record = check(tmp_path / "model.pt2", plan)
    assert (record.precision, record.cause) == ("float32", "values")


# --- precision of libtorch -------------------------------------------------------------------------------------------

F16, B16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64


@pytest.mark.parametrize(
    ("dtypes", "precision", "images"),
    [
        (set(), "float32", F32),
        ({F32}, "float32", F32),
        ({F32, F64}, "float32", F32),
        ({F16}, "float16", F16),
        ({B16}, "bfloat16", B16),
        ({F32, F16}, "float16", F32),
        ({F32, B16, F64}, "bfloat16", F32),
        ({F16, F64}, "float16", F16),
        ({F16, B16}, "bfloat16", B16),
    ],
)
def test_the_lowest_dtype_is_the_precision(dtypes: set[torch.dtype], precision: str, images: torch.dtype) -> None:
    assert pin_precision(dtypes, "cpu") == precision
    session = LibtorchSession(lambda x: x, dtypes, "cpu", Signature(inputs=(), outputs=()))
    assert session.precision == precision
    assert session.to_device(np.zeros((1, 1, 28, 28), np.float32)).dtype == images


@pytest.mark.parametrize(
    ("dtypes", "named"), [({F64}, "float64"), ({F32, torch.float8_e5m2}, "float32 and float8_e5m2")]
)
def test_a_dtype_that_is_not_judged_is_named(dtypes: set[torch.dtype], named: str) -> None:
    with pytest.raises(PrecisionError) as caught:
        pin_precision(dtypes, "cpu")
    assert caught.value.actual == named


class Normalising(Scaled):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.register_buffer("mean", torch.zeros(1, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model((x - self.mean).float())


@pytest.mark.parametrize("name", ["model.ts.pt", "model.pt2"])
def test_a_float64_buffer_lowers_nothing(name: str, tutorial: NeuralNetwork, plan: Plan, tmp_path: Path) -> None:
    module = Normalising(tutorial).eval()
    if name.endswith("pt2"):
        save_program(module, tmp_path / name)
    else:
        torch.jit.save(torch.jit.script(module), tmp_path / name)
    record = check(tmp_path / name, plan)
    assert record.passed, record.failure


# --- the command line ------------------------------------------------------------------------------------------------


class Talks(Scaled):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("hello")  # noqa: T201  that it prints is what is tried
        return self.model(x)


@pytest.fixture
def talking(tutorial: NeuralNetwork, tmp_path: Path) -> Path:
    torch.jit.save(torch.jit.script(Talks(tutorial).eval()), tmp_path / "talks.ts.pt")
    return tmp_path / "talks.ts.pt"


def test_json_stays_json_when_the_artifact_prints(talking: Path, cli: Cli) -> None:
    result = cli("parity", talking, "--json")
    assert result.report.parity[0].passed
    assert "hello" in result.err


def test_a_strangers_artifact_that_prints_is_refused_and_with_trust_it_prints_nothing_here(talking: Path) -> None:
    command = [sys.executable, "-m", "toolkit", "parity", str(talking), "--json", "--quiet"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, json.loads(refused.stdout)["parity"][0]["cause"]) == (1, "opens")
    trusted = subprocess.run([*command, "--trust"], capture_output=True, text=True, check=True)
    assert json.loads(trusted.stdout)["parity"][0]["passed"]
    assert "hello" not in trusted.stdout + trusted.stderr


PRINTS = """
import ctypes, os, sys
from toolkit.cli.console.streams import stdout_to_stderr
c = ctypes.CDLL(None)
print("before")
c.printf(b"c before\\n")
with stdout_to_stderr():
    print("python")
    sys.__stdout__.write("original\\n")
    c.printf(b"c\\n")
    os.write(1, b"fd\\n")
    os.system("echo child")
print("after")
"""


def test_all_that_is_printed_meanwhile_goes_to_stderr_and_nothing_else() -> None:
    ended = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True)
    assert ended.stdout.split("\n") == ["before", "c before", "after", ""]
    assert set(ended.stderr.split()) == {"python", "original", "c", "fd", "child"}


def test_stdout_is_given_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="as asked"), stdout_to_stderr():
        raise ValueError("as asked")
    os.write(1, b"here")
    assert capfd.readouterr().out == "here"


CLOSED = """
import os
from toolkit.cli.console.streams import stdout_to_stderr
with stdout_to_stderr():
    print("python")
try:
    os.fstat(1)
except OSError:
    os.write(2, b"still closed")
"""


def test_a_closed_stdout_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "closed.py").write_text(CLOSED)
    command = f"exec {sys.executable} {tmp_path / 'closed.py'} >&-"
    ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "python\nstill closed")


@pytest.mark.parametrize("place", ["file", "file/sub"])
def test_a_repro_folder_that_cannot_be_written_is_refused_at_once(place: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").touch()
    result = cli("parity", "none.onnx", "--repro", tmp_path / place)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert str(tmp_path / place) in result.err


def test_a_read_only_repro_folder_is_refused_at_once(read_only: Path, cli: Cli) -> None:
    result = cli("parity", "none.onnx", "--repro", read_only)
    assert result.code == 2
    assert str(read_only) in result.err


def test_a_repro_folder_that_nothing_needs_is_not_made(tmp_path: Path, exported: Path, cli: Cli) -> None:
    assert cli("parity", exported / "model.onnx", "--repro", tmp_path / "out").code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(exported: Path, tmp_path: Path, cli: Cli) -> Path:
    assert cli("parity", exported / "model.onnx", "-o", tmp_path / "report.json", "-q").code == 0
    return tmp_path / "report.json"


@pytest.mark.parametrize(
    "options",
    [
        ["--checkpoint", "x.pth"],
        ["--against", "x.onnx"],
        ["--device", "cuda"],
        ["--threads", "2"],
        ["--precision", "int8"],
        ["--full"],
        ["--data", "x"],
        ["--seed", "1"],
        ["--repro", "out"],
    ],
)
def test_rejudge_refuses_what_it_would_ignore(options: list[str], in_empty_folder: Path, cli: Cli) -> None:
    result = cli("parity", "--rejudge", "report.json", *options)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"--rejudge runs nothing, so {options[0]} would have no effect; leave it out" in result.err


def test_rejudge_takes_gates_and_outputs(saved: Path, tmp_path: Path, cli: Cli) -> None:
    options = ["--max-drop", "1", "--min-agreement", "0.9", "--significance", "0", "-o", tmp_path / "again.json"]
    assert cli("parity", "--rejudge", saved, *options).code == 0
    assert (tmp_path / "again.json").is_file()


OUTPUTS = ["--output", "--junit", "--markdown"]


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_result_does_not_replace_what_is_read(
    option: str, exported: Path, saved: Path, small_file: Path, tmp_path: Path, cli: Cli
) -> None:
    artifact, other = tmp_path / "model.onnx", tmp_path / "other.onnx"
    for each in (artifact, other):
        each.write_bytes((exported / "model.onnx").read_bytes())
    (tmp_path / "link").symlink_to(tmp_path)
    for arguments, path in (
        (["onnx", "--folder", tmp_path], artifact),
        ([artifact], tmp_path / "link" / "model.onnx"),
        ([artifact, "--against", other], other),
        ([artifact, "--checkpoint", small_file], small_file),
        (["--rejudge", saved], saved),
    ):
        before = path.read_bytes()
        result = cli("parity", *arguments, option, path)
        assert (result.code, result.err.count("\n"), result.out) == (2, 1, "")
        assert f"{option} {path} and " in result.err
        assert f"are the same file; choose another for {option}" in result.err
        assert path.read_bytes() == before


@pytest.mark.parametrize(("one", "two"), [("--output", "--junit"), ("--junit", "--markdown"), ("-o", "--markdown")])
def test_two_results_do_not_share_a_file(one: str, two: str, exported: Path, tmp_path: Path, cli: Cli) -> None:
    result = cli("parity", exported / "model.onnx", one, tmp_path / "x", two, tmp_path / "sub" / ".." / "x")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert str(tmp_path / "x") in result.err
    assert not (tmp_path / "x").exists()
