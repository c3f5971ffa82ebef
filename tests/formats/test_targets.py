"""Targets: which format a file is of, how it is opened, and what a folder holds."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

import toolkit
import toolkit.formats
from support import Cli
from toolkit.errors import ArtifactNotFoundError, CorruptArtifactError, PrecisionError
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.formats import FORMATS, format_of
from toolkit.formats.manifest import MANIFEST
from toolkit.formats.resolve import resolve_targets
from toolkit.formats.session import call_session
from toolkit.formats.target import Target
from toolkit.records import Ledger, Precision, read_record, to_json
from toolkit.system.files import sha256_of
from toolkit.verbs.predictor import open_predictor

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")
IMAGES = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of all artifacts that may be changed."""
    return Path(shutil.copytree(exported, tmp_path / "out"))


@pytest.fixture(scope="session")
def int8_bytes(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The exported ONNX file, quantised by another tool, which keeps our description inside."""
    path = tmp_path_factory.mktemp("int8") / "model.int8.onnx"
    quantize_dynamic(exported / "model.onnx", path, weight_type=QuantType.QInt8)
    assert Target(FORMATS["onnx"], path).metadata()
    return path.read_bytes()


class Counting(torch.nn.Module):
    """Takes images of one shape only, and answers with how often it was asked."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = list(shape)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if list(x.shape[1:]) != self.shape:
            raise ValueError("another shape")
        self.calls += 1
        return torch.ones(len(x), 1) * self.calls


class TestFormats:
    @pytest.mark.parametrize("info", FORMATS.values(), ids=FORMATS)
    @pytest.mark.parametrize("name", ["plain", "other.pt", "model.torchscript", "MODEL.ONNX", "model.pt2", "a.ts.pt"])
    def test_the_content_decides(self, info: Any, name: str, exported: Path, tmp_path: Path) -> None:
        path = tmp_path / name
        shutil.copy(exported / info.file_name, path)
        assert format_of(path) is info

    def test_without_content_the_longest_suffix_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from dataclasses import replace

        int8 = replace(FORMATS["onnx"], name="onnx-int8", suffixes=(".int8.onnx",), variant_of="onnx")
        monkeypatch.setitem(toolkit.formats.FORMATS, "onnx-int8", int8)
        assert format_of(Path("none/model.int8.onnx")) is int8
        assert format_of(Path("none/model.onnx")) is FORMATS["onnx"]
        assert format_of(Path("none/model.int4.onnx")) is FORMATS["onnx"]

    def test_a_variant_s_suffix_tells_it_from_the_format_whose_content_it_has(
        self, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dataclasses import replace

        int8 = replace(FORMATS["onnx"], name="onnx-int8", suffixes=(".int8.onnx",), variant_of="onnx")
        monkeypatch.setitem(toolkit.formats.FORMATS, "onnx-int8", int8)
        path = tmp_path / "model.int8.onnx"
        shutil.copy(exported / "model.onnx", path)
        assert format_of(path) is int8

    @pytest.mark.parametrize("content", [b"", b"\x08", b"PK\x03\x04", b"\x80\x02.", b"version https://git-lfs"])
    def test_what_is_no_artifact_is_of_no_format(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "file.bin"
        path.write_bytes(content)
        assert format_of(path) is None

    def test_a_checkpoint_is_of_no_format(self, small_file: Path, tmp_path: Path) -> None:
        torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pt")
        assert format_of(small_file) is None
        assert format_of(tmp_path / "model.pt") is None


class TestOpening:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """Every file that TorchScript opens."""
        log: list[object] = []
        real: Callable[..., Any] = torch.jit.load

        def load(path: object, *arguments: Any, **options: Any) -> Any:
            log.append(path)
            return real(path, *arguments, **options)

        monkeypatch.setattr(torch.jit, "load", load)
        return log

    @pytest.mark.parametrize("shape", [(1, 28, 28), (784,), (28, 28), (28, 28, 1)])
    def test_torchscript_that_declares_nothing_is_opened_once_and_not_called_for_it(
        self, shape: tuple[int, ...], opened: list[object], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.ts.pt"
        torch.jit.script(Counting(shape)).save(path)
        session = Target(FORMATS["torchscript"], path).open("cpu")
        assert [call_session(session, IMAGES)[0, 0] for _ in range(2)] == [1, 2]
        batch = session.to_device(IMAGES)
        assert [session.to_host(session.run(batch))[0, 0] for _ in range(2)] == [3, 4]
        assert len(opened) == 1

    def test_what_fits_no_shape_says_why_for_the_first(self, tmp_path: Path) -> None:
        path = tmp_path / "model.ts.pt"
        torch.jit.script(torch.nn.Linear(5, 10)).save(path)
        session = Target(FORMATS["torchscript"], path).open("cpu")
        with pytest.raises(RuntimeError, match="28"):
            call_session(session, IMAGES)

    @pytest.mark.parametrize(("name", "expected"), [("model.onnx", "float32"), ("model.int8.onnx", None)])
    def test_what_the_toolkit_exports_must_be_exact_and_what_is_made_of_it_says_itself(
        self, name: str, expected: Precision | None, int8_bytes: bytes, tmp_path: Path
    ) -> None:
        target = Target(FORMATS["onnx"], tmp_path / name)
        target.path.write_bytes(int8_bytes)
        assert target.expected_precision() == expected
        if expected:
            with pytest.raises(PrecisionError):
                target.open("cpu")
        else:
            assert target.open("cpu").precision == "int8"

    def test_a_listed_file_must_be_exact_whatever_it_is_called(self, folder: Path, int8_bytes: bytes) -> None:
        manifest = folder / MANIFEST
        manifest.write_text(manifest.read_text().replace('"model.onnx"', '"model.fast.onnx"'))
        (folder / "model.onnx").unlink()
        (folder / "model.fast.onnx").write_bytes(int8_bytes)
        with pytest.raises(PrecisionError):
            Target(FORMATS["onnx"], folder / "model.fast.onnx").open("cpu")


class TestFolders:
    def test_two_artifacts_of_one_format_are_two_targets(self, folder: Path) -> None:
        shutil.copy(folder / "model.onnx", folder / "other.onnx")
        found, skips = resolve_targets([], folder, "cpu")
        names = ["model.onnx", "other.onnx", "model.pt2", "model.ts.pt"]
        assert ([target.path.name for target in found], skips) == (names, [])

    def test_a_file_of_no_format_is_named(self, folder: Path) -> None:
        (folder / "model.engine").write_bytes(b"machine code")
        (folder / "notes.txt").write_text("texts are none")
        found, skips = resolve_targets([], folder, "cpu")
        assert len(found) == len(FORMATS)
        assert [skip.what for skip in skips] == ["model.engine"]

    def test_weights_beside_an_onnx_file_are_its_own(self, folder: Path) -> None:
        proto = onnx.load(folder / "model.onnx")
        onnx.save(proto, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
        assert resolve_targets([], folder, "cpu")[1] == []

    def test_an_artifact_whose_package_is_missing_is_named(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = toolkit.formats.find_spec
        monkeypatch.setattr("toolkit.formats.find_spec", lambda name: None if name == "onnxscript" else real(name))
        found, skips = resolve_targets([], folder, "cpu")
        assert [target.format.name for target in found] == ["torch-export", "torchscript"]
        assert [(skip.what, skip.remedy) for skip in skips] == [("onnx", "install it with: pip install onnxscript")]

    def test_a_listed_artifact_that_is_gone_is_an_error(self, folder: Path) -> None:
        (folder / "model.pt2").unlink()
        with pytest.raises(ArtifactNotFoundError, match="lists it") as caught:
            resolve_targets([], folder, "cpu")
        assert caught.value.path == folder / "model.pt2"


class TestMixedPrecision:
    """One folder with float32 and int8: each by its own rule, all in the same rounds."""

    def test_parity_and_bench_take_both(self, folder: Path, int8_bytes: bytes, cli: Cli) -> None:
        (folder / "model.int8.onnx").write_bytes(int8_bytes)
        names = (folder / "model.onnx", folder / "model.int8.onnx")
        parity = cli("parity", *names, "--json")
        assert parity.code == 0
        rules = {Path(each.target).name: each for each in parity.report.parity}
        assert {name: each.declared for name, each in rules.items()} == {
            "model.onnx": "float32",
            "model.int8.onnx": "int8",
        }
        exact, lower = rules["model.onnx"], rules["model.int8.onnx"]
        assert "values" in {check.name for check in exact.checks}
        assert "accuracy" in {check.name for check in lower.checks}
        assert lower.quality
        assert exact.quality is None

        options = ("--batch", "1", "--budget", "1", "--restarts", "0", "--json")
        bench = cli("bench", *names, *options)
        assert bench.code == 0, bench.out
        rows = {row.target: row for row in bench.report.latency if row.role == "row"}
        assert {name: row.precision for name, row in rows.items()} == {
            "eager": "float32",
            "model.onnx": "float32",
            "model.int8.onnx": "int8",
        }
        assert all(row.verified and row.mismatch is None for row in rows.values())
        assert {len(row.rounds) for row in rows.values()} == {len(rows["eager"].rounds)}
        assert {(each.exact, each.precision) for each in bench.report.fastest} == {(True, "float32"), (False, "int8")}

    def test_predict_prefers_what_is_exact(self, folder: Path, int8_bytes: bytes, cli: Cli) -> None:
        (folder / "model.int8.onnx").write_bytes(int8_bytes)
        assert cli("parity", folder / "model.int8.onnx").code == 0
        (folder / "model.pt2").unlink()
        chosen = open_predictor(folder=folder)
        assert Path(chosen.record.target).name == "model.onnx"
        (folder / "model.onnx").unlink()
        (folder / "model.ts.pt").unlink()
        assert Path(open_predictor(folder=folder).record.target).name == "model.int8.onnx"

    def test_a_lower_precision_that_is_wrong_is_not_timed(
        self, folder: Path, int8_bytes: bytes, cli: Cli, bundled: Checkpoint
    ) -> None:
        proto = onnx.load_from_string(int8_bytes)
        for tensor in proto.graph.initializer:
            if tensor.name.endswith("scale") and tensor.data_type == onnx.TensorProto.FLOAT:
                values = onnx.numpy_helper.to_array(tensor) * np.float32(-1)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(proto, folder / "model.int8.onnx")
        parity = cli("parity", folder / "model.int8.onnx", "--json")
        assert parity.code == 1
        assert {check.name for check in parity.report.parity[0].checks if not check.passed} >= {"noise", "accuracy"}
        refused = cli("bench", folder / "model.int8.onnx", "--batch", "1", "--budget", "1", "--restarts", "0")
        assert refused.code == 2
        unverified = ("--unverified", "--batch", "1", "--budget", "1", "--restarts", "0", "--json")
        timed = cli("bench", folder / "model.int8.onnx", *unverified)
        (row,) = (row for row in timed.report.latency if row.target == "model.int8.onnx")
        assert row.mismatch
        assert not row.verified


def test_eager_alone_can_be_timed(exported: Path, cli: Cli) -> None:
    found = cli("bench", "eager", "--folder", exported, "--batch", "1", "--budget", "0.5", "--restarts", "0", "--json")
    assert found.code == 0
    assert [row.format for row in found.report.latency if row.role == "row"] == ["eager"]


def test_a_graph_of_a_gpu_is_refused_on_the_cpu(exported: Path, cli: Cli) -> None:
    refused = cli("bench", "eager-cudagraph", "--folder", exported, "--batch", "1")
    assert refused.code == 2
    assert "cuda" in refused.err


class TestTheLedger:
    """`verified.json` is a file that anybody can write: it is believed where nothing contradicts it."""

    def test_notes_of_several_processes_at_once_are_all_kept(self, folder: Path, tmp_path: Path) -> None:
        before = read_record(folder / "verified.json", Ledger).verified
        code = """
import sys
from pathlib import Path
from toolkit.formats.verified import note_verified
from toolkit.records import ParityRecord, Report, read_record
[first, *_] = read_record(Path(sys.argv[1]), Report).parity
for number in range(10):
    digest = f"{int(sys.argv[3]) * 100 + number:064x}"
    note_verified(Path(sys.argv[2]), [first.changed(sha256=digest)])
"""
        report = tmp_path / "report.json"
        report.write_text(to_json(toolkit.check_parity("onnx", folder=folder)))
        words = [sys.executable, "-c", code, str(report), str(folder)]
        processes = [subprocess.Popen([*words, str(number)]) for number in range(4)]
        assert [each.wait(300) for each in processes] == [0] * 4
        assert len(read_record(folder / "verified.json", Ledger).verified) == len(before) + 40

    def test_what_contradicts_the_manifest_or_the_golden_outputs_is_not_believed(
        self, exported: Path, folder: Path
    ) -> None:
        """Weights were changed, and the ledger says that exactly these bytes passed."""
        proto = onnx.load(folder / "model.onnx")
        bias = next(each for each in proto.graph.initializer if each.name == "linear_relu_stack.4.bias")
        bias.raw_data = np.roll(np.frombuffer(bias.raw_data, np.float32), 1).tobytes()
        onnx.save(proto, folder / "model.onnx")
        real, forged = sha256_of(exported / "model.onnx"), sha256_of(folder / "model.onnx")
        _replace(folder / "verified.json", real, forged)
        assert open_predictor("onnx", folder).warning
        assert open_predictor(folder=folder).record.format != "onnx"
        _replace(folder / "manifest.json", real, forged)
        with pytest.raises(CorruptArtifactError, match="its outputs are off by"):
            open_predictor("onnx", folder)
        assert open_predictor(folder=folder).record.format != "onnx"

    def test_other_outputs_than_the_manifest_lists_are_not_believed(self, folder: Path) -> None:
        assert open_predictor("onnx", folder).warning is None
        with (folder / "golden.npz").open("ab") as file:
            file.write(b"more")
        assert open_predictor("onnx", folder).warning


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))
