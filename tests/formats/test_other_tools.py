"""Files that other tools write: opened for what they are, or refused with the sentence that helps."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from toolkit.errors import CorruptArtifactError
from toolkit.formats import FORMATS, format_of
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.session import call_session
from toolkit.formats.target import Target

IMAGES = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)


def _classifier(folder: Path, dtype: int = TensorProto.FLOAT, ir: int = 8, opset: int = 13) -> Path:
    weights = np.zeros((784, 10), helper.tensor_dtype_to_np_dtype(dtype))
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "W"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", dtype, ["N", 1, 28, 28])]
    outputs = [helper.make_tensor_value_info("y", dtype, ["N", 10])]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, [numpy_helper.from_array(weights, "W")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir
    onnx.save(model, folder / "model.other.onnx")
    return folder / "model.other.onnx"


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_a_graph_gets_its_images_in_the_dtype_that_it_declares(dtype: int, tmp_path: Path) -> None:
    path = _classifier(tmp_path, dtype)
    logits = call_session(Target(FORMATS["onnx"], path).open("cpu"), IMAGES)
    assert (logits.shape, logits.dtype) == ((3, 10), helper.tensor_dtype_to_np_dtype(dtype))


def test_a_model_of_later_versions_is_refused_with_both_numbers(tmp_path: Path) -> None:
    for versions, told in ({"ir": 99}, "version: 99, max supported IR version: "), ({"opset": 99}, "needs opset 99, "):
        with pytest.raises(CorruptArtifactError) as refused:
            Target(FORMATS["onnx"], _classifier(tmp_path, **versions)).open("cpu")
        assert told in refused.value.reason
        assert "pip install --upgrade onnxruntime" in refused.value.remedy


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore:.torch.jit:FutureWarning")
@pytest.mark.parametrize("name", ["model_scripted.pt", "traced.torchscript", "MODEL", "model.TS.PT"])
def test_torchscript_is_known_by_its_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    torch.jit.save(torch.jit.trace(nn.Flatten(), torch.zeros(2, 1, 28, 28)), path)
    (target,), _ = resolve_targets([str(path)], tmp_path, "cpu")
    assert target.format.name == "torchscript"
    assert target.open("cpu").precision == "float32"


@pytest.mark.filterwarnings("ignore")  # torch's quantisation warns of its own end, and of its own storages
def test_quantised_torchscript_says_that_it_computes_in_int8(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
    for name, module in (
        ("scripted.ts.pt", torch.jit.script(quantised)),
        ("traced.ts.pt", torch.jit.trace(quantised, torch.from_numpy(IMAGES))),
    ):
        torch.jit.save(module, tmp_path / name)
        session = Target(FORMATS["torchscript"], tmp_path / name).open("cpu")
        assert session.precision == "int8"
        assert call_session(session, IMAGES).shape == (3, 10)


def test_a_cache_of_links_to_a_model_and_its_weights_opens_and_another_folder_does_not(tmp_path: Path) -> None:
    blobs, shown = tmp_path / "blobs", tmp_path / "snapshots" / "revision"
    blobs.mkdir()
    shown.mkdir(parents=True)
    model = onnx.load(_classifier(tmp_path))
    onnx.save(model, blobs / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    for name in ("model.onnx", "weights.bin"):
        (blobs / name).rename(blobs / name[::-1])
        (shown / name).symlink_to(os.path.relpath(blobs / name[::-1], shown))
    target = Target(FORMATS["onnx"], shown / "model.onnx", "float32")
    assert [each.name for each in target.files()] == ["model.onnx", "weights.bin"]
    assert call_session(target.open("cpu"), IMAGES).shape == (3, 10)


def test_an_upper_case_suffix_is_one(tmp_path: Path) -> None:
    found = format_of(_classifier(tmp_path).rename(tmp_path / "MODEL.ONNX"))
    assert found is not None
    assert found.name == "onnx"
