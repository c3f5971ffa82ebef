"""Files from strangers: what would do more than compute is refused before it is opened, the rest runs apart."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from toolkit.errors import CorruptArtifactError, UnsafeArtifactError, from_fields
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.formats import FORMATS, apart
from toolkit.formats.libtorch_operators import is_allowed
from toolkit.formats.session import call_session
from toolkit.formats.target import Target
from toolkit.parity import Reference, check_artifact, make_plan
from toolkit.system.watched import ProcessEndedError

pytestmark = pytest.mark.usefixtures("from_strangers")


class TestTorchScript:
    @pytest.mark.parametrize(
        ("line", "asked"),
        [
            ('    torch.save([1], "CAUGHT")', "torch.save"),
            ('    x = torch.from_file("CAUGHT", True, 8)', "torch.from_file"),
            ('    print("CAUGHT")', "print"),
            ('    x.save("CAUGHT")', "save"),
            ('    ops.aten.save([1], "CAUGHT")', "ops.aten.save"),
            ('    ops.image.write_file("CAUGHT", x)', "ops.image.write_file"),
            ("    y = fork(x)", "fork"),
            ("    y = [each for each in x]", "code that is not TorchScript's (ListComp)"),
            ("    y = __torch__.torch.classes.dist_c10d.FileStore(x)", "__torch__.torch.classes.dist_c10d.FileStore"),
        ],
    )
    def test_what_does_more_than_compute_is_named_and_nothing_runs(
        self, line: str, asked: str, exported: Path, tmp_path: Path
    ) -> None:
        caught = tmp_path / "caught"
        path = tmp_path / "hostile.ts.pt"
        _with_line(exported / "model.ts.pt", path, line.replace("CAUGHT", str(caught)))
        for open_it in (lambda target: target.open("cpu"), lambda target: target.contents()):
            with pytest.raises(UnsafeArtifactError) as refused:
                open_it(Target(FORMATS["torchscript"], path))
            assert f"it asks for {asked}" in refused.value.reason
            assert "--trust" in refused.value.remedy
        assert not caught.exists()

    def test_what_runs_when_it_is_loaded_is_scanned_too(self, exported: Path, tmp_path: Path) -> None:
        path, caught = tmp_path / "hostile.ts.pt", tmp_path / "caught"
        method = f"""\
  def __setstate__(self: __torch__.toolkit.fashion.model.Mlp, state: int) -> NoneType:
    torch.save(state, "{caught}")
"""
        _rewrite(exported / "model.ts.pt", path, "fashion/model.py", lambda code: code + method.encode())
        with pytest.raises(UnsafeArtifactError):
            Target(FORMATS["torchscript"], path).open("cpu")
        assert not caught.exists()

    def test_trust_opens_what_the_scan_refuses_and_still_nothing_is_written(
        self, exported: Path, tmp_path: Path
    ) -> None:
        path, caught = tmp_path / "hostile.ts.pt", tmp_path / "caught"
        _with_line(exported / "model.ts.pt", path, f'    torch.save([1], "{caught}")')
        session = Target(FORMATS["torchscript"], path, trusted=True).open("cpu")
        call_session(session, np.zeros((1, 1, 28, 28), np.float32))  # libtorch does not ask whether it was written
        assert not caught.exists() or caught.stat().st_size == 0  # without Landlock a file can be made, not written

    def test_every_operator_that_writes_reads_or_talks_is_outside_the_table(self) -> None:
        refused = ("aten::save", "aten::from_file", "aten::_print", "prim::Print", "prim::PythonOp", "prim::rpc_async")
        others = (
            "image::read_file",
            "image::write_file",
            "profiler::_record_function_enter",
            "c10d::send",
            "aten::no_such",
        )
        assert not any(map(is_allowed, refused + others))
        assert all(map(is_allowed, ("aten::linear", "aten::gelu", "quantized::linear_dynamic", "prim::dtype")))


class TestTorchExport:
    @pytest.mark.parametrize(
        "expression",
        ["__import__('os').system('touch CAUGHT')", "Symbol('s0').__class__", "s0.func(1)", "eval('1')", "(" * 9999],
    )
    def test_a_size_that_is_no_arithmetic_is_refused(self, expression: str, exported: Path, tmp_path: Path) -> None:
        path, caught = tmp_path / "hostile.pt2", tmp_path / "caught"
        wanted = expression.replace("CAUGHT", str(caught))
        _rewrite_program(exported / "model.pt2", path, lambda program: _set(program, "expr_str", wanted))
        with pytest.raises(UnsafeArtifactError) as refused:
            Target(FORMATS["torch-export"], path).open("cpu")
        assert "the size " in refused.value.reason
        assert not caught.exists()

    def test_guards_targets_structures_and_pickles_are_refused(self, exported: Path, tmp_path: Path) -> None:
        path, caught = tmp_path / "hostile.pt2", tmp_path / "caught"
        code = f"__import__('pathlib').Path({str(caught)!r}).touch()"

        def guarded(program: Any) -> None:
            program["guards_code"] = [code]

        enum = json.dumps(
            [1, {"type": "builtins.dict", "context": '{"__enum__": true, "fqn": "antigravity:X"}', "children_spec": []}]
        )
        changes: dict[str, Callable[[Any], object]] = {
            "the guard": guarded,
            "torch.hub.load": lambda program: _set(program, "target", "torch.hub.load"),
            "torch.ops.aten.save.default": lambda program: _set(program, "target", "torch.ops.aten.save.default"),
            "outputs in a builtins.dict": lambda program: _set(program, "out_spec", enum),
            "outputs in a collections.defaultdict": lambda program: _set(
                program, "out_spec", '[1, {"type": "collections.defaultdict", "context": {}, "children_spec": []}]'
            ),
        }
        for asked, change in changes.items():
            _rewrite_program(exported / "model.pt2", path, change)
            with pytest.raises(UnsafeArtifactError) as refused:
                Target(FORMATS["torch-export"], path).open("cpu")
            assert asked in refused.value.reason
        assert not caught.exists()


class TestOnnx:
    def test_an_operator_that_no_runtime_defines_is_named(self, tmp_path: Path) -> None:
        path = _onnx(tmp_path, [helper.make_node("Steal", ["input"], ["logits"], domain="evil.example")])
        with pytest.raises(UnsafeArtifactError) as refused:
            Target(FORMATS["onnx"], path).open("cpu")
        assert "the operator evil.example.Steal" in refused.value.reason

    def test_an_operator_inside_a_branch_and_one_that_reads_a_file_are_found(self, tmp_path: Path) -> None:
        inner = helper.make_graph([helper.make_node("EPContext", [], ["y"], domain="com.microsoft")], "inner", [], [])
        nodes = [helper.make_node("If", ["input"], ["logits"], then_branch=inner, else_branch=inner)]
        with pytest.raises(UnsafeArtifactError) as refused:
            Target(FORMATS["onnx"], _onnx(tmp_path, nodes)).open("cpu")
        assert "the operator com.microsoft.EPContext" in refused.value.reason

    def test_a_tensor_larger_than_its_values_is_refused_before_anything_is_allocated(self, tmp_path: Path) -> None:
        huge = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20], raw_data=b"\0" * 8)
        path = _onnx(tmp_path, [helper.make_node("Add", ["input", "W"], ["logits"])], [huge])
        with pytest.raises(UnsafeArtifactError) as refused:
            Target(FORMATS["onnx"], path).open("cpu")
        assert "4,398,046,511,104 bytes for tensor 'W', which has 8" in refused.value.reason

    def test_weights_in_a_file_that_is_a_hole_are_refused(self, tmp_path: Path) -> None:
        weights = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[1 << 38], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "w.bin"), ("length", str(1 << 40))):
            weights.external_data.add(key=key, value=value)
        with (tmp_path / "w.bin").open("wb") as file:
            file.truncate(1 << 40)
        path = _onnx(tmp_path, [helper.make_node("Add", ["input", "W"], ["logits"])], [weights])
        with pytest.raises(UnsafeArtifactError, match="hole"):
            Target(FORMATS["onnx"], path).open("cpu")

    def test_a_loop_without_end_ends_at_the_limit_and_leaves_no_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(apart, "_CALL_S", 3.0)
        others = set(_children_of_ours())
        session = Target(FORMATS["onnx"], _endless(tmp_path)).open("cpu")
        before = time.monotonic()
        with pytest.raises(ProcessEndedError, match="no answer within"):
            call_session(session, np.zeros((1, 1, 28, 28), np.float32))
        with pytest.raises(ProcessEndedError):  # and each further call says so at once
            call_session(session, np.zeros((1, 1, 28, 28), np.float32))
        assert time.monotonic() - before < 60
        assert not set(_children_of_ours()) - others

    def test_memory_is_limited(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(apart, "_MEMORY_BYTES", 1 << 30)
        shape = numpy_helper.from_array(np.array([1 << 30]), "shape")
        nodes = [
            helper.make_node("ConstantOfShape", ["shape"], ["big"]),
            helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
            helper.make_node("Add", ["input", "sum"], ["logits"]),
        ]
        with pytest.raises((ProcessEndedError, CorruptArtifactError), match="more than 1 GiB of memory"):
            call_session(
                Target(FORMATS["onnx"], _onnx(tmp_path, nodes, [shape])).open("cpu"),
                np.zeros((1, 1, 28, 28), np.float32),
            )


@pytest.mark.parametrize("name", FORMATS)
def test_parity_of_a_strangers_artifact_is_that_of_ones_own(
    name: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(Reference(load_checkpoint()))
    target = Target(FORMATS[name], exported / FORMATS[name].file_name)
    apart_from = check_artifact(target, plan, threads=1)
    monkeypatch.setattr("toolkit.formats.target.is_exported_here", lambda digest: True)
    assert check_artifact(target, plan, threads=1) == apart_from
    assert apart_from.passed


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning")
def test_what_an_artifact_does_to_its_images_is_seen_across_the_processes(tmp_path: Path) -> None:
    class Overwrites(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images.zero_()
            return images.flatten(1)[:, :10]

    path = tmp_path / "model.ts.pt"
    torch.jit.save(torch.jit.script(Overwrites()), path)
    images = np.ones((2, 1, 28, 28), np.float32)
    logits = call_session(Target(FORMATS["torchscript"], path).open("cpu"), images)
    assert not images.any()
    assert logits.shape == (2, 10)


def test_inside_and_prefixes_are_those_that_this_process_reads(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)

    def read(target: Target) -> tuple[Any, ...]:
        contents = target.contents()
        assert contents is not None
        values = [each.read().tobytes() for each in contents.tensors]
        outputs = [(each.name, call_session(each.session, images).tobytes()) for each in target.prefixes("cpu", 1)]
        return contents.graph, contents.signature, values, outputs

    targets = [Target(info, exported / info.file_name) for info in FORMATS.values()]
    found = [read(target) for target in targets]
    monkeypatch.setattr("toolkit.formats.target.is_exported_here", lambda digest: True)
    assert found == [read(target) for target in targets]


def test_a_format_without_a_scan_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.formats.target.optional", lambda *_: None)
    with pytest.raises(UnsafeArtifactError, match="nothing tells what a file of onnx does"):
        Target(FORMATS["onnx"], exported / "model.onnx").check_safe()


def test_a_process_that_is_killed_says_so(exported: Path) -> None:
    others = set(_children_of_ours())
    session = Target(FORMATS["onnx"], exported / "model.onnx").open("cpu")
    for child in set(_children_of_ours()) - others:
        child.kill()
    with pytest.raises(ProcessEndedError, match="killed by SIGKILL"):
        call_session(session, np.zeros((1, 1, 28, 28), np.float32))


def test_an_error_of_another_process_is_never_of_a_class_that_is_none() -> None:
    fields = {"reason": "a", "statement": "b", "remedy": "c"}
    assert type(from_fields({**fields, "class": "Path"})).__name__ == "ToolkitError"


def test_a_command_that_hangs_in_an_artifact_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """And takes the process of the artifact along."""
    path = _endless(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "toolkit", "predict", "--artifact", str(path), "--test", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    watched = psutil.Process(process.pid)
    _wait_for(lambda: any(apart.CHILD in each.cmdline() and each.cpu_times().user > 1 for each in watched.children()))
    children = watched.children()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) != 0
    _wait_for(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in children))


def test_a_confined_process_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "old").write_text("old")
    code = f"""
from pathlib import Path
from toolkit.system.confine import confine
here = Path({str(tmp_path)!r})
landlock = confine(here / "scratch")
for path in (here / "new", here / "old", here / "scratch" / "new"):
    try:
        with path.open("a") as file:
            file.write("written")
    except OSError:
        pass
    else:
        raise SystemExit("written")
print(landlock)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (tmp_path / "old").read_text() == "old"
    if done.stdout.strip() == "True":
        assert not (tmp_path / "new").exists()


def _children_of_ours() -> Iterator[psutil.Process]:
    for child in psutil.Process().children():
        if child.status() != psutil.STATUS_ZOMBIE and apart.CHILD in child.cmdline():
            yield child


def _wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _with_line(source: Path, target: Path, line: str) -> None:
    """Write an archive again with a line more in a function that every call passes."""
    start = b"-> Tensor:\n"

    def change(code: bytes) -> bytes:
        return code.replace(start, start + line.replace("x", "images").encode() + b"\n", 1)

    _rewrite(source, target, "fashion/model.py", change)


def _rewrite(source: Path, target: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for each in old.infolist():
            content = old.read(each)
            new.writestr(each.filename, change(content) if each.filename.endswith(member) else content)


def _rewrite_program(source: Path, target: Path, change: Callable[[Any], object]) -> None:
    def changed(content: bytes) -> bytes:
        program = json.loads(content)
        change(program)
        return json.dumps(program).encode()

    _rewrite(source, target, "models/model.json", changed)


def _set(value: Any, key: str, to: str) -> bool:
    """Set the first value of a key, wherever it is."""
    if isinstance(value, dict):
        if key in value:
            value[key] = to
            return True
        return any(_set(each, key, to) for each in value.values())
    return isinstance(value, list) and any(_set(each, key, to) for each in value)


def _onnx(folder: Path, nodes: list[onnx.NodeProto], initializers: list[TensorProto] | None = None) -> Path:
    images = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 28, 28])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", [images], [logits], initializers or [])
    opsets = [
        helper.make_opsetid("", 18),
        helper.make_opsetid("com.microsoft", 1),
        helper.make_opsetid("evil.example", 1),
    ]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    path = folder / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _endless(folder: Path) -> Path:
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    go_on = helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, None)
    kept, went = (
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in (("kept", TensorProto.FLOAT), ("went", TensorProto.BOOL))
    )
    body = helper.make_graph(
        [helper.make_node("Cos", ["state"], ["kept"]), helper.make_node("Identity", ["go_on"], ["went"])],
        "body",
        [count, go_on, state],
        [went, kept],
    )
    most = numpy_helper.from_array(np.array(1 << 62), "most")
    yes = numpy_helper.from_array(np.array(True), "yes")
    nodes = [helper.make_node("Loop", ["most", "yes", "input"], ["logits"], body=body)]
    return _onnx(folder, nodes, [most, yes])
