import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from support import save_small
from toolkit.errors import FolderBusyError, MissingPackageError, OutputError, ReportError, UnknownFormatError
from toolkit.fashion.checkpoint import Checkpoint, load_checkpoint
from toolkit.formats import FORMATS, import_format
from toolkit.formats.manifest import BENCH
from toolkit.records import Ledger, Manifest, read_record
from toolkit.system.files import folder_lock, sha256_of
from toolkit.verbs import export as export_module
from toolkit.verbs.export import export_formats

NAMES = {info.file_name for info in FORMATS.values()}


@pytest.fixture
def checkpoint(small_file: Path) -> Checkpoint:
    return load_checkpoint(small_file)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_the_folder_holds_artifacts_manifest_golden_and_what_was_verified(exported: Path, bundled: Checkpoint) -> None:
    # Other tests may have timed what is in this folder.
    assert {path.name for path in exported.iterdir()} - {".lock", ".verified.lock", BENCH} == NAMES | {
        "manifest.json",
        "golden.npz",
        "verified.json",
    }
    manifest = read_record(exported / "manifest.json", Manifest)
    assert {each.file for each in manifest.artifacts} == NAMES
    for each in manifest.artifacts:
        path = exported / each.file
        assert (each.sha256, each.size_bytes) == (sha256_of(path), path.stat().st_size)
        assert each.weights_sha256 == bundled.record.weights_sha256
    assert manifest.golden_sha256 == sha256_of(exported / "golden.npz")
    ledger = read_record(exported / "verified.json", Ledger)
    assert {each.sha256 for each in ledger.verified} == {each.sha256 for each in manifest.artifacts}


def test_the_library_exports_as_the_command_does(exported: Path, bundled: Checkpoint, tmp_path: Path) -> None:
    """TorchScript alone numbers its class names by what the process scripted before."""
    export_formats(bundled, tmp_path, verify=False)
    for name in NAMES - {"model.ts.pt"}:
        assert (tmp_path / name).read_bytes() == (exported / name).read_bytes(), name


def test_ten_lines_check_an_artifact_anywhere(exported: Path) -> None:
    golden = np.load(exported / "golden.npz")
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    logits = session.run(["logits"], {"input": golden["inputs"]})[0]
    assert golden["inputs"].shape == (16, 1, 28, 28)
    assert golden["logits"].dtype == np.float64
    assert 0 < np.abs(logits - golden["logits"]).max() <= golden["limit"] < 1e-4


def test_only_the_named_formats_are_written_and_others_stay_listed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    report = export_formats(checkpoint, folder, ["onnx"], verify=False)
    assert [each.file for each in report.artifacts] == ["model.onnx"]
    assert not (folder / "model.pt2").exists()
    export_formats(checkpoint, folder, ["torchscript", "torchscript"], verify=False)
    manifest = read_record(folder / "manifest.json", Manifest)
    assert [each.file for each in manifest.artifacts] == ["model.onnx", "model.ts.pt"]
    (folder / "model.onnx").unlink()
    export_formats(checkpoint, folder, ["torchscript"], verify=False)
    assert [each.file for each in read_record(folder / "manifest.json", Manifest).artifacts] == ["model.ts.pt"]


def test_unknown_and_missing_formats_cannot_be_named(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownFormatError):
        export_formats(checkpoint, tmp_path / "out", ["onyx"])
    monkeypatch.setattr("toolkit.formats.find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    with pytest.raises(MissingPackageError):
        export_formats(checkpoint, tmp_path / "out", ["onnx"])
    report = export_formats(checkpoint, tmp_path / "out")
    assert [skip.what for skip in report.skips] == ["onnx"]
    assert report.skips[0].remedy == "install it with: pip install onnxscript"
    assert report.passed


def broken_export(monkeypatch: pytest.MonkeyPatch, behaviour: object) -> None:
    real = import_format

    def fake(info: object) -> object:
        module = real(info)  # type: ignore[arg-type]
        if info is not FORMATS["onnx"]:
            return module
        return SimpleNamespace(export=behaviour, load=module.load, read_metadata=module.read_metadata)

    monkeypatch.setattr(export_module, "import_format", fake)


def test_an_exporter_that_fails_leaves_the_old_artifact_and_the_others_go_on(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    export_formats(checkpoint, folder)
    before = snapshot(folder)

    def explode(model: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half an artifact")
        raise RuntimeError("operator not supported\nand a long story")

    broken_export(monkeypatch, explode)
    report = export_formats(checkpoint, folder)
    assert not report.passed
    assert [(each.format, each.reason) for each in report.failures] == [
        ("onnx", "the exporter failed: operator not supported")
    ]
    assert [each.format for each in report.artifacts] == ["torch-export", "torchscript"]
    assert snapshot(folder) == before


def test_an_export_that_does_not_match_is_not_put_in_place(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    other = load_checkpoint(save_small(tmp_path / "other.safetensors", seed=1))
    real = import_format(FORMATS["onnx"])
    broken_export(monkeypatch, lambda model, path, metadata: real.export(other.model(), path, metadata))
    report = export_formats(checkpoint, folder, ["onnx"])
    assert not report.passed
    assert "does not match the checkpoint, not put in place: values" in report.failures[0].reason
    assert report.artifacts == ()
    assert [path.name for path in folder.iterdir()] == [".lock"]
    monkeypatch.setattr(export_module, "make_plan", None)  # what is not compared needs no reference
    report = export_formats(checkpoint, folder, ["onnx"], verify=False)
    assert report.passed
    assert (folder / "model.onnx").exists()
    assert [(skip.what, skip.remedy) for skip in report.skips] == [("parity", "run: fmnist-tk parity")]
    assert not (folder / "verified.json").exists()


def test_a_full_disk_leaves_everything_as_it_was(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    export_formats(checkpoint, folder, ["onnx"])
    before = snapshot(folder)

    def no_space(model: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"as much as fits")
        raise OSError(28, "No space left on device")

    broken_export(monkeypatch, no_space)
    with pytest.raises(OutputError) as caught:
        export_formats(checkpoint, folder)
    assert caught.value.path == folder / "model.onnx"
    assert snapshot(folder) == before
    assert {path.name for path in folder.iterdir()} == set(before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_really_full_device_is_one_typed_error(tmp_path: Path) -> None:
    from toolkit.system.files import replacing

    target = tmp_path / "report.json"
    target.write_text("old")
    with (
        pytest.raises(OutputError) as caught,
        replacing(target),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x" * 100_000)
    assert caught.value.path == target
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_two_exports_into_one_folder_do_not_mix(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(FolderBusyError) as caught:
        export_formats(checkpoint, tmp_path, ["onnx"])
    assert caught.value.path == tmp_path
    assert export_formats(checkpoint, tmp_path, ["onnx"], verify=False).passed


def test_a_manifest_that_cannot_be_read_stops_before_anything_is_replaced(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ReportError) as caught:
        export_formats(checkpoint, tmp_path, ["onnx"])
    assert (caught.value.path, caught.value.remedy) == (tmp_path / "manifest.json", "delete it and export again")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("pause", [0.0, 0.6, 1.2, 2.5, 4.0])
def test_a_kill_leaves_no_half_file_under_a_final_name(pause: float, tmp_path: Path, exported: Path) -> None:
    """Whenever the kill comes, each final name is absent or holds exactly the bytes of a whole export."""
    command = [sys.executable, "-m", "toolkit", "export", "--folder", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    process.stderr.readline()  # the first format has begun
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if (tmp_path / "out").exists():
        for name, content in snapshot(tmp_path / "out").items():
            if name == "verified.json":  # other tests judge the fixture's artifacts, too
                Ledger.model_validate_json(content)
            elif not name.startswith("."):
                assert content == (exported / name).read_bytes(), name
    assert export_formats(load_checkpoint(), tmp_path / "out", ["torchscript"]).passed
    assert not list((tmp_path / "out").glob(".*tmp"))
    assert not (tmp_path / "out" / ".staging").exists()


def test_the_manifest_is_plain_json_with_a_schema_and_a_version(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    assert (manifest["schema_name"], manifest["schema_version"]) == ("fmnist-tk/manifest", 1)


def test_files_follow_the_users_umask(checkpoint: Checkpoint, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        export_formats(checkpoint, tmp_path, ["onnx"], verify=False)
    finally:
        os.umask(before)
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in ("model.onnx", "manifest.json")} == {"0o640"}


def test_a_name_that_is_taken_by_a_folder_stops_before_anything_is_replaced(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    export_formats(checkpoint, folder, ["torchscript"])
    before = snapshot(folder)
    (folder / "model.onnx").mkdir()
    other = load_checkpoint(save_small(tmp_path / "other.safetensors", seed=1))
    with pytest.raises(OutputError) as caught:
        export_formats(other, folder)
    assert caught.value.path == folder / "model.onnx"
    assert snapshot(folder) == before


def test_an_error_half_way_leaves_a_manifest_of_what_is_there(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, published = export_module._publish, []

    def second_fails(staged: Path, *rest: object) -> object:
        if published:
            raise OutputError(staged, "No space left on device")
        published.append(staged.name)
        return real(staged, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export_module, "_publish", second_fails)
    with pytest.raises(OutputError):
        export_formats(checkpoint, tmp_path / "out", verify=False)
    manifest = read_record(tmp_path / "out" / "manifest.json", Manifest)
    assert [each.file for each in manifest.artifacts] == published
    assert manifest.artifacts[0].sha256 == sha256_of(tmp_path / "out" / published[0])


def test_artifacts_of_other_weights_beside_the_new_ones_are_told(checkpoint: Checkpoint, tmp_path: Path) -> None:
    other = load_checkpoint(save_small(tmp_path / "other.safetensors", seed=1))
    assert export_formats(checkpoint, tmp_path / "out", ["onnx"], verify=False).notes == ()
    (note,) = export_formats(other, tmp_path / "out", ["torchscript"], verify=False).notes
    assert note.startswith("model.onnx in ")
    assert "golden.npz is no longer theirs" in note
