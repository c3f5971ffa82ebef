"""The contract: every registered format, on every device that is here, without edits for a new format."""

import io
import os
import random
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from toolkit.errors import (
    CorruptArtifactError,
    MissingPackageError,
    PrecisionError,
    UnknownFormatError,
    UnsafeArtifactError,
    UnsupportedDeviceError,
)
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats import (
    FORMATS,
    FormatInfo,
    check_device,
    check_packages,
    find_format,
    format_of,
    import_format,
    runtime_version,
)
from toolkit.formats.eager.runtime import open_model as open_eager
from toolkit.formats.onnx import runtime as onnx_format
from toolkit.formats.target import Target
from toolkit.records import ArtifactMetadata, Precision
from toolkit.system.environment import versions

ALL = pytest.mark.parametrize("info", FORMATS.values(), ids=FORMATS)
DEVICES = [
    pytest.param(
        info, device, id=f"{info.name}-{device}", marks=[] if device == "cpu" else getattr(pytest.mark, device)
    )
    for info in FORMATS.values()
    for device in info.devices
]


def open_or_skip(info: FormatInfo, path: Path, device: str) -> object:
    try:
        return import_format(info).load(path, device, None)
    except UnsupportedDeviceError as error:
        if device == "cpu":
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize(("info", "device"), DEVICES)
def test_a_session_computes_the_checkpoint_at_every_batch_size(
    info: FormatInfo, device: str, exported: Path, bundled: Checkpoint
) -> None:
    session = open_or_skip(info, exported / info.file_name, device)
    model = bundled.model()
    assert session.precision == info.precision  # type: ignore[attr-defined]
    for size in (1, 2, 3, 7, 64, 1000):
        images = np.random.default_rng(size).random((size, 1, 28, 28), np.float32)
        logits = session.run(session.to_device(images))  # type: ignore[attr-defined]
        session.synchronize()  # type: ignore[attr-defined]
        host = session.to_host(logits)  # type: ignore[attr-defined]
        assert (type(host), host.shape, host.dtype) == (np.ndarray, (size, 10), np.float32)
        expected = model(torch.from_numpy(images)).numpy()
        assert np.abs(host - expected).max() < 2e-5


@ALL
def test_the_signature_names_one_input_and_one_output(info: FormatInfo, exported: Path) -> None:
    signature = import_format(info).load(exported / info.file_name, "cpu", 1).signature
    assert len(signature.inputs) == len(signature.outputs) == 1
    for spec, rest in ((signature.inputs[0], (1, 28, 28)), (signature.outputs[0], (10,))):
        assert spec.dtype in {None, "float32"}
        if spec.shape is not None:
            assert spec.shape == ("batch", *rest)


@ALL
def test_everything_that_deployment_needs_stands_inside(info: FormatInfo, exported: Path, bundled: Checkpoint) -> None:
    text = import_format(info).read_metadata(exported / info.file_name)
    assert text is not None
    metadata = ArtifactMetadata.model_validate_json(text)
    assert metadata.format == info.name
    assert metadata.labels[0] == "T-shirt/top"
    assert (metadata.preprocessing.low, metadata.preprocessing.high) == (0, 1)
    assert metadata.config == bundled.record.config
    assert metadata.weights_sha256 == bundled.record.weights_sha256
    assert metadata.training == bundled.record.training
    assert metadata.versions == versions()


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_same_weights_and_versions_give_the_same_bytes_in_any_process(
    seed: str, exported: Path, tmp_path: Path
) -> None:
    again = tmp_path / "elsewhere" / "deeper"
    subprocess.run(
        [sys.executable, "-m", "toolkit", "export", "--no-verify", "--quiet", "--folder", str(again)],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    for info in FORMATS.values():
        name = info.file_name
        assert (again / name).read_bytes() == (exported / name).read_bytes(), name


@ALL
def test_no_path_of_the_exporting_machine_stands_inside(info: FormatInfo, exported: Path) -> None:
    import toolkit

    path = exported / info.file_name
    blobs = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            blobs += [archive.read(name) for name in archive.namelist()]
    for folder in (str(Path(toolkit.__file__).parent), str(exported), str(Path(torch.__file__).parent)):
        assert not any(folder.encode() in blob for blob in blobs)


@ALL
def test_a_damaged_file_is_a_typed_error_or_still_exact(info: FormatInfo, exported: Path, tmp_path: Path) -> None:
    data = (exported / info.file_name).read_bytes()
    path = tmp_path / info.file_name
    for content in (b"", b"text", data[:100], data[: len(data) // 2], data[:-1]):
        path.write_bytes(content)
        with pytest.raises(CorruptArtifactError) as caught:
            import_format(info).load(path, "cpu", 1)
        assert (caught.value.path, caught.value.format) == (path, info.name)


@pytest.mark.parametrize("name", ["torchscript", "torch-export"])
def test_a_flipped_bit_in_a_torch_archive_is_found(name: str, exported: Path, tmp_path: Path) -> None:
    info = FORMATS[name]
    data = (exported / info.file_name).read_bytes()
    path = tmp_path / info.file_name
    places = random.Random(0)
    for _ in range(10):
        broken = bytearray(data)
        broken[places.randrange(2000, 2_000_000)] ^= 1
        path.write_bytes(broken)
        with pytest.raises(CorruptArtifactError):
            import_format(info).load(path, "cpu", 1)


def test_an_unknown_format_knows_the_known_ones() -> None:
    with pytest.raises(UnknownFormatError) as caught:
        find_format("torch-script")
    assert (caught.value.name, caught.value.known) == ("torch-script", ("onnx", "torch-export", "torchscript"))


def test_a_missing_package_comes_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.formats.find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(MissingPackageError) as caught:
        check_packages(FORMATS["onnx"])
    assert caught.value.remedy.endswith("pip install onnxscript")


def test_a_device_that_a_runtime_lacks_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedDeviceError, match="onnxruntime executes on cpu, cuda"):
        check_device(FORMATS["onnx"], "mps")


@ALL
def test_the_registry_is_consistent(info: FormatInfo) -> None:
    assert format_of(Path("x/model" + info.suffixes[0])) is info
    assert runtime_version(info)
    assert "cpu" in info.devices


class TestOnnx:
    @pytest.fixture
    def proto(self, exported: Path) -> onnx.ModelProto:
        return onnx.load(exported / "model.onnx", load_external_data=False)

    def test_is_one_file_that_old_runtimes_read(self, proto: onnx.ModelProto, exported: Path) -> None:
        onnx.checker.check_model(proto, full_check=True)
        assert [each.version for each in proto.opset_import] == [18]
        assert proto.ir_version == 8
        assert not list(exported.glob("*.data"))
        assert all(each.data_location == onnx.TensorProto.DEFAULT for each in proto.graph.initializer)

    def test_is_named_and_typed_as_documented(self, proto: onnx.ModelProto) -> None:
        assert [each.name for each in proto.graph.input] == ["input"]
        assert [each.name for each in proto.graph.output] == ["logits"]
        assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"

    def test_goes_through_shape_inference_as_quantisers_do(self, proto: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
        assert inferred.graph.value_info

    def test_a_session_that_fell_back_to_the_cpu_does_not_open(
        self, exported: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class FellBack:
            def __init__(self, *_: object, **__: object) -> None: ...

            def get_providers(self) -> list[str]:
                return ["CPUExecutionProvider"]

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
        monkeypatch.setattr(onnxruntime, "InferenceSession", FellBack)
        with pytest.raises(UnsupportedDeviceError, match="fell back to CPUExecutionProvider"):
            onnx_format.load(exported / "model.onnx", "cuda", None)

    def test_a_build_without_cuda_says_what_to_install(self, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
        with pytest.raises(UnsupportedDeviceError) as caught:
            onnx_format.load(exported / "model.onnx", "cuda:1", None)
        assert caught.value.device == "cuda:1"
        assert "pip install onnxruntime-gpu" in caught.value.remedy

    @pytest.mark.parametrize(("setting", "opens"), [("0", True), ("1", False), (None, False)])
    def test_tf32_on_cuda_does_not_open_as_float32(self, setting: str | None, opens: bool) -> None:
        class OnCuda:
            def get_inputs(self) -> list[object]:
                return [Argument("input", ["batch", 1, 28, 28])]

            def get_outputs(self) -> list[object]:
                return [Argument("logits", ["batch", 10])]

            def get_provider_options(self) -> dict[str, dict[str, str]]:
                return {"CUDAExecutionProvider": {} if setting is None else {"use_tf32": setting}}

        if opens:
            assert onnx_format.OnnxRuntimeSession(OnCuda(), "cuda", "float32").precision == "float32"
        else:
            with pytest.raises(PrecisionError) as caught:
                onnx_format.OnnxRuntimeSession(OnCuda(), "cuda", "float32")
            assert (caught.value.wanted, caught.value.actual) == ("float32", "tf32")


class Argument:
    type = "tensor(float)"

    def __init__(self, name: str, shape: list[object]) -> None:
        self.name, self.shape = name, shape


class TestPrecision:
    def test_lowered_float32_products_are_pinned_back(self, bundled: Checkpoint) -> None:
        images = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
        exact = bundled.model().double()(torch.from_numpy(images).double()).numpy()
        try:
            torch.set_float32_matmul_precision("medium")
            session = open_eager(bundled.model(), "cpu")
            actual = session.to_host(session.run(session.to_device(images)))
        finally:
            torch.set_float32_matmul_precision("highest")  # the default; asking for it fails after the newer setting
        assert session.precision == "float32"
        assert np.abs(actual - exact).max() < 1e-5

    @pytest.mark.parametrize(("dtype", "precision"), [(torch.bfloat16, "bfloat16"), (torch.float16, "float16")])
    def test_lower_weights_are_not_called_float32(
        self, dtype: torch.dtype, precision: Precision, bundled: Checkpoint
    ) -> None:
        assert open_eager(bundled.model().to(dtype), "cpu").precision == precision

    def test_mixed_weights_count_as_the_lowest(self, bundled: Checkpoint) -> None:
        model = bundled.model()
        model.linear_relu_stack[0].half()
        assert open_eager(model, "cpu").precision == "float16"

    def test_double_weights_do_not_open(self, bundled: Checkpoint) -> None:
        with pytest.raises(PrecisionError) as caught:
            open_eager(bundled.model().double(), "cpu")
        assert caught.value.actual == "float64"


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def rewritten(source: Path, path: Path, change: dict[str, bytes]) -> Path:
    """Copy an archive with some members replaced; the checksums are right."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = next((value for end, value in change.items() if name.endswith(end)), old.read(name))
            new.writestr(name, content)
    return path


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("place", ["weight", "escaped", "inputs", "older"])
def test_nothing_of_a_hostile_exported_program_runs(
    from_strangers: None, place: str, exported: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with zipfile.ZipFile(exported / "model.pt2") as archive:
        config = archive.read("archive/data/weights/model_weights_config.json")
    flag = b'"use_pickle": true' if place == "weight" else b'"use_\\u0070ickle":true'
    change = {
        "weight": {
            "weights_config.json": config.replace(b'"use_pickle": false', flag),
            "weight_0": pickled(Trap(trace)),
        },
        "escaped": {
            "weights_config.json": config.replace(b'"use_pickle": false', flag),
            "weight_0": pickled(Trap(trace)),
        },
        "inputs": {"sample_inputs/model.pt": pickled((Trap(trace),))},
        "older": {"archive_format": b"", "weight_0": pickled(Trap(trace))},
    }[place]
    path = rewritten(exported / "model.pt2", tmp_path / "model.pt2", change)
    if place == "older":
        with zipfile.ZipFile(exported / "model.pt2") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                if not name.endswith("archive_format"):
                    new.writestr(name, old.read(name))
    module = import_format(FORMATS["torch-export"])
    with pytest.raises(UnsafeArtifactError) as caught:
        Target(FORMATS["torch-export"], path).load("cpu", 1)
    assert caught.value.path == path
    assert module.read_metadata(path)  # it is read as text, and nothing else is
    assert not trace.exists()


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_frozen_torchscript_opens_with_the_precision_of_its_constants(bundled: Checkpoint, tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(bundled.model()))
    frozen.save(tmp_path / "model.ts.pt")
    session = import_format(FORMATS["torchscript"]).load(tmp_path / "model.ts.pt", "cpu", None)
    assert session.precision == "float32"
    images = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    assert session.to_host(session.run(session.to_device(images))).shape == (3, 10)


def test_lower_precision_inside_a_graph_is_read_back(exported: Path, tmp_path: Path) -> None:
    proto = onnx.load(exported / "model.onnx")
    weight = next(each for each in proto.graph.initializer if each.name == "linear_relu_stack.2.weight")
    half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).astype(np.float16), "half")
    proto.graph.initializer.append(half)
    proto.graph.initializer.remove(weight)
    proto.graph.node.insert(0, onnx.helper.make_node("Cast", ["half"], [weight.name], to=onnx.TensorProto.FLOAT))
    onnx.save(proto, tmp_path / "model.onnx")
    assert onnx_format.weights_precision(onnx_format.read_proto(tmp_path / "model.onnx")) == "float16"
    with pytest.raises(PrecisionError) as caught:
        Target(FORMATS["onnx"], tmp_path / "model.onnx").open("cpu")
    assert (caught.value.wanted, caught.value.actual) == ("float32", "float16")


def test_onnx_runtime_leaves_nothing_in_the_home_folder(exported: Path, tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from toolkit.formats import find_format, import_format
        import_format(find_format("onnx")).load(Path(sys.argv[1]), "cpu")
    """
    # On a machine that says that it builds software, ONNX Runtime leaves nothing in any case.
    kept = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"}
    environment = {name: value for name, value in os.environ.items() if name in kept} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(script), str(exported / "model.onnx")]
    subprocess.run(command, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
