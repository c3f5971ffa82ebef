"""What a model says of pictures: which model, which pictures, and how it is told."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from made_up import bench, eager, row
from support import Cli, save_small
from toolkit.bench.engine.journal import keep_result
from toolkit.cli.console.screen import drawing_bar
from toolkit.errors import CorruptArtifactError, UsageError
from toolkit.fashion.data import load_sample, sample_indices
from toolkit.formats import FORMATS
from toolkit.formats.manifest import BENCH, LEDGER
from toolkit.formats.target import Target
from toolkit.pictures.sources import Source
from toolkit.pictures.stream import predict_each
from toolkit.plain import cell
from toolkit.records import (
    LABELS,
    PredictionRecord,
    PredictorRecord,
    Report,
    Scenario,
    ScoreRecord,
    Signature,
    TensorSpec,
    UnreadableRecord,
    read_record,
    to_json,
)
from toolkit.render.files.prediction_files import JsonWriter, predictions_csv
from toolkit.render.words.prediction import Bars, _bar, one_line
from toolkit.system.environment import new_report
from toolkit.system.files import sha256_of, write_record
from toolkit.verbs.predict import Predictions, predict
from toolkit.verbs.predictor import Predictor, open_predictor

SAMPLE = load_sample()
BEGUN = new_report("predict")
LINE = 'Predicted: "Ankle boot", Actual: "Ankle boot"'
PREDICTOR = PredictorRecord(
    target="bundled", format="eager", device="cpu", precision="float32", sha256=None, verified=None
)


def save(path: Path, number: int = 0, *, negated: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = SAMPLE.images[number]
    Image.fromarray(255 - pixels if negated else pixels).save(path)
    return path


@pytest.fixture
def pictures(in_empty_folder: Path) -> Path:
    """Three that can be read, one of them dark on bright, and two that cannot; and what is not looked for."""
    save(in_empty_folder / "pics" / "b.png", 1)
    save(in_empty_folder / "pics" / "a.png", 0, negated=True)
    save(in_empty_folder / "pics" / "deep" / "c.PNG", 2)
    (in_empty_folder / "pics" / "deep" / "broken.png").write_bytes(b"\x89PNG")
    (in_empty_folder / "pics" / "empty.jpg").touch()
    save(in_empty_folder / "pics" / ".hidden.png")
    (in_empty_folder / "pics" / "notes.txt").write_text("no picture")
    (in_empty_folder / "pics" / "up").symlink_to(in_empty_folder)
    return in_empty_folder / "pics"


class TestCommand:
    def test_an_image_of_the_test_set_in_the_words_of_the_quickstart(self, cli: Cli, in_empty_folder: Path) -> None:
        outcome = cli("predict", "--test", "0")
        assert outcome.code == 0
        assert LINE in outcome.out.splitlines()
        assert "Predicting with the bundled checkpoint in eager (there is no folder exported" in outcome.err
        assert "\x1b" not in outcome.out + outcome.err

    def test_many_are_lines_and_counts(self, cli: Cli, in_empty_folder: Path) -> None:
        outcome = cli("predict", "--test", ",".join(map(str, sample_indices()[:20])), "-o", "saved.json")
        lines = outcome.out.splitlines()
        told = [line for line in lines if line.startswith("Predicted: ")]
        assert len(told) == 20
        assert told[0].startswith(LINE)
        right = sum(len(set(line.split('"')[1::2])) == 1 for line in told)
        assert f"{right} of 20 right" in lines
        assert right >= 15
        again = cli("report", "saved.json").out
        assert all(line in again for line in told)
        assert f"{right} of 20 right" in again

    def test_a_folder_streams_in_order_and_a_broken_one_is_told(self, cli: Cli, pictures: Path) -> None:
        outcome = cli("predict", "pics", "--json", "-o", "same.json")
        assert outcome.code == 1
        report = outcome.report
        assert (pictures.parent / "same.json").read_text() == outcome.out == to_json(report)
        assert [each.source for each in report.predictions] == ["pics/a.png", "pics/b.png", "pics/deep/c.PNG"]
        assert [each.inverted for each in report.predictions] == [True, False, False]
        assert [each.label for each in report.predictions] == ["Ankle boot", "Pullover", "Bag"]
        assert [each.source for each in report.unreadable] == ["pics/deep/broken.png", "pics/empty.jpg"]
        assert "error: pics/empty.jpg: is empty; pass a PNG, JPEG or WebP file" in outcome.err
        assert report.arguments[:2] == ("predict", "pics")
        assert not report.passed

    def test_the_terminal_shows_bars_and_what_was_inverted(self, cli: Cli, pictures: Path) -> None:
        outcome = cli("predict", "pics/a.png", "pics/b.png", "pics/empty.jpg")
        assert outcome.code == 1
        assert "pics/a.png (inverted: it is dark on bright)\n  Ankle boot  █████" in outcome.out
        assert "\npics/b.png\n" in outcome.out
        assert outcome.out.count("%") == 10
        assert "1 of 3 could not be read" in outcome.out

    def test_csv(self, cli: Cli, pictures: Path) -> None:
        outcome = cli("predict", "pics", "--test", "0", "--csv", "-o", "saved.csv")
        rows = list(csv.DictReader(io.StringIO(outcome.out)))
        assert (pictures.parent / "saved.csv").read_text() == outcome.out
        assert [each["source"].rpartition("/")[2] for each in rows] == [
            "a.png",
            "b.png",
            "broken.png",
            "c.PNG",
            "empty.jpg",
            "test image 0",
        ]
        assert [each["inverted"] for each in rows] == ["yes", "no", "", "no", "", ""]
        assert rows[4]["error"].startswith("is empty; ")
        assert rows[5]["actual"] == rows[5]["label"] == "Ankle boot"
        good = [each for each in rows if each["label"]]
        for each in good:
            shares = [float(each[f"{place}probability"]) for place in ("", *(f"{p}_" for p in PLACES))]
            assert shares == sorted(shares, reverse=True)
            assert 0.5 < sum(shares) <= 1.000001

    def test_patterns_are_expanded_where_the_shell_did_not(self, cli: Cli, pictures: Path) -> None:
        (pictures / "up").unlink()  # a pattern follows links, a folder does not
        outcome = cli("predict", "pics/**/[bc].*", "--json")
        assert [each.source for each in outcome.report.predictions] == ["pics/b.png", "pics/deep/c.PNG"]

    @pytest.mark.parametrize("pattern", ["pics/**", "pics/**/", "p*", "pics/*", "**"])
    def test_a_pattern_gives_each_picture_once(self, pattern: str, cli: Cli, pictures: Path) -> None:
        (pictures / "up").unlink()
        outcome = cli("predict", pattern, "--json")
        assert [each.source for each in outcome.report.predictions] == ["pics/a.png", "pics/b.png", "pics/deep/c.PNG"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
    def test_a_pipe_is_reported_and_not_waited_for(self, cli: Cli, pictures: Path) -> None:
        os.mkfifo(pictures / "deep" / "pipe.png")
        outcome = cli("predict", "pics/deep", "pics/deep/pipe.png", "--json")
        assert [each.source for each in outcome.report.predictions] == ["pics/deep/c.PNG"]
        assert outcome.err.count("error: pics/deep/pipe.png: is a pipe or a device, not a file; save") == 2

    @pytest.mark.parametrize("artifact", ["bundled", "other.safetensors"])
    def test_two_checkpoints_are_one_too_many(self, artifact: str, cli: Cli, pictures: Path) -> None:
        for name in ("other.safetensors", "mine.safetensors"):
            save_small(Path(name))
        outcome = cli("predict", "pics", "--artifact", artifact, "--checkpoint", "mine.safetensors")
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{artifact} and --checkpoint mine.safetensors are two checkpoints; leave one" in outcome.err

    @pytest.mark.parametrize("copies", [1, 11])
    def test_the_name_of_a_file_stays_on_its_line(self, copies: int, cli: Cli, in_empty_folder: Path) -> None:
        save(in_empty_folder / "a\n\x1b[31m.png")
        (in_empty_folder / "b\n.png").touch()
        outcome = cli("predict", *["."] * copies)
        assert outcome.out.count("a��[31m.png") == copies
        assert "error: b�.png: is empty" in outcome.err
        assert "\x1b" not in outcome.out + outcome.err

    def test_invert_can_be_said(self, cli: Cli, pictures: Path) -> None:
        assert cli("predict", "pics/a.png", "--invert", "no", "--json").report.predictions[0].inverted is False

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "predict needs an IMAGE: pass files, folders, patterns, - for stdin, or --test 0"),
            (["nosuch.png"], "Nothing to predict: nosuch.png: there is no such file or folder; check the path"),
            (["*.webp"], "Nothing to predict: *.webp: no file matches this pattern; check the path"),
            (["."], "Nothing to predict: .: there is no picture in this folder (.avif, .bmp, "),
            (["x", "--json", "--csv"], "--json and --csv are two formats of stdout: leave one out"),
            (["--test", "0,x"], "--test 0,x: 'x' is not a whole number from 0; write for example --test 0,25"),
            (["--test", ""], "--test : '' is not a whole number from 0"),
            (["x", "--invert", "maybe"], "--invert maybe: no such way; choose one of auto, yes, no"),
            (["x", "--data", "."], "--data is for --test: pictures need no data set; leave it out"),
            (["-", "-"], "- stands for the one picture on stdin: pass it once"),
            (["--test", "0", "--artifact", "onx"], "'onx' is neither a format nor a file; did you mean 'onnx'?"),
            (["--test", "0", "--batch", "0"], "Invalid value for '--batch' / '-b': "),
        ],
    )
    def test_what_makes_no_sense_is_a_line(
        self, arguments: list[str], reason: str, cli: Cli, in_empty_folder: Path
    ) -> None:
        outcome = cli("predict", *arguments)
        assert outcome.code == 2
        assert outcome.out == ""
        assert reason in outcome.err
        assert len(outcome.err.splitlines()) == 1

    def test_an_image_that_is_not_bundled_needs_the_full_set(
        self, cli: Cli, in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("toolkit.fashion.data.places", lambda: [in_empty_folder])
        outcome = cli("predict", "--test", "0,1")
        assert outcome.code == 2
        assert "error: --test 1: not among the 1,000 bundled test images (0, 25, 31, 35, 63, …)" in outcome.err
        assert "install the Debian package dataset-fashion-mnist" in outcome.err

    @pytest.mark.data
    def test_the_full_set_has_all_and_no_more(self, cli: Cli, in_empty_folder: Path) -> None:
        assert 'Predicted: "Pullover", Actual: "Pullover"' in cli("predict", "--test", "1").out
        assert "--test 10000: the test set has 10,000 images; pass 0 to 9999" in cli("predict", "--test", "10000").err

    def test_one_picture_on_stdin(self, cli: Cli, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        content = (pictures / "a.png").read_bytes()
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))
        outcome = cli("predict", "pics/b.png", "-", "--json")
        assert [each.source for each in outcome.report.predictions] == ["pics/b.png", "-"]
        assert outcome.report.predictions[1].label == "Ankle boot"

    def test_the_file_may_not_be_one_of_the_pictures(self, cli: Cli, pictures: Path) -> None:
        before = (pictures / "a.png").read_bytes()
        assert "are the same file" in cli("predict", "pics/a.png", "-o", "pics/a.png").err
        assert (pictures / "a.png").read_bytes() == before

    @pytest.mark.parametrize(
        ("words", "output"),
        [
            (["pics"], "pics/deep/c.PNG"),
            (["--images", "pics", "--labels", "labels.csv"], "labels.csv"),
            (["--images", "pics", "--labels", "labels.csv"], "pics/notes.txt"),
            (["--images", "pics", "--labels", "labels.csv"], "pics/b.png"),
            (["pics", "--artifact", "small.safetensors"], "small.safetensors"),
            (["pics", "--checkpoint", "small.safetensors"], "small.safetensors"),
        ],
    )
    def test_nothing_that_is_read_is_written(self, cli: Cli, pictures: Path, words: list[str], output: str) -> None:
        save_small(Path("small.safetensors"))
        Path("labels.csv").write_text("a.png,1\nnotes.txt,2\n")
        before = Path(output).read_bytes()
        outcome = cli("predict", *words, "-o", output)
        assert (outcome.code, outcome.out) == (2, "")
        assert "choose another for --output" in outcome.err
        assert Path(output).read_bytes() == before

    def test_the_report_may_stand_among_the_pictures(self, cli: Cli, pictures: Path) -> None:
        for _ in range(2):
            assert cli("predict", "pics/a.png", "pics/deep", "-o", "pics/deep/report.json", "-q").code == 1
        assert json.loads((pictures / "deep" / "report.json").read_text())["predictions"]

    def test_a_bar_on_the_terminal_leaves_stdout_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        screen = io.StringIO()
        with drawing_bar(Console(file=screen, force_terminal=True)) as progress:
            progress("predict", 1, 2)
            sys.stdout.write("a line of a result\n")
        assert capsys.readouterr().out == "a line of a result\n"
        assert "predict" in screen.getvalue()
        assert "a line" not in screen.getvalue()

    def test_ctrl_c_keeps_what_was_predicted(self, cli: Cli, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = count()
        whole = Predictions.__next__

        def interrupted(found: Predictions) -> Any:
            if next(asked) == 2:
                raise KeyboardInterrupt
            return whole(found)

        monkeypatch.setattr(Predictions, "__next__", interrupted)
        outcome = cli("predict", "pics", "--json", "-o", "saved.json")
        assert outcome.code == 130
        report = read_record(pictures.parent / "saved.json", Report)
        assert report.interrupted
        assert len(report.predictions) == 2
        assert Report.model_validate_json(outcome.out) == report

    def test_a_model_that_gives_up_leaves_no_file(
        self, cli: Cli, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def give_up(*_: object) -> None:
            raise CorruptArtifactError(Path("x"), "onnx", "no")

        monkeypatch.setattr(Predictor, "probabilities", give_up)
        assert cli("predict", "pics", "-o", "saved.json").code == 2
        assert sorted(each.name for each in pictures.parent.iterdir()) == ["pics"]

    def test_a_reader_that_leaves_costs_no_file(self, pictures: Path) -> None:
        many = " ".join(["pics/a.png"] * 30)
        command = f"{sys.executable} -m toolkit predict {many} --csv -o saved.csv | head -1; exit ${{PIPESTATUS[0]}}"
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert result.returncode in {0, 1}  # whether it has left in time is not ours to say
        assert len((pictures.parent / "saved.csv").read_text().splitlines()) == 31
        assert "Traceback" not in result.stderr


PLACES = ("second", "third", "fourth", "fifth")


class TestPredictor:
    """Which model is taken, and why."""

    def test_the_fastest_verified_one_of_the_folder(self, exported: Path, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        shutil.copytree(exported, folder)
        onnx = row(2e-5, target="model.onnx", format="onnx", runtime="onnxruntime")
        script = row(3e-5, target="model.ts.pt", format="torchscript", runtime="libtorch")
        large = row(1e-6, target="model.pt2", format="torch-export", runtime="libtorch", batch_size=64)
        write_record(bench(script, onnx, large, eager(1e-5)), folder / "report.json")
        found = open_predictor(folder=folder)
        assert found.record == PredictorRecord(
            target=str(folder / "model.onnx"),
            format="onnx",
            device="cpu",
            precision="float32",
            sha256=sha256_of(folder / "model.onnx"),
            verified=True,
        )
        assert "the fastest verified artifact (20.0 µs per image at batch 1" in found.reason
        with (folder / "model.onnx").open("ab") as file:
            file.write(b"\0")  # what was verified were other bytes
        assert open_predictor(folder=folder).record.target == str(folder / "model.ts.pt")
        (folder / LEDGER).unlink()
        bundled = open_predictor(folder=folder)
        assert bundled.record == PREDICTOR
        assert f"nothing in {folder} is verified" in bundled.reason

    def test_the_last_bench_counts(self, exported: Path, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        shutil.copytree(exported, folder)
        onnx, script = (
            row(2e-5, target="model.onnx", format="onnx", runtime="onnxruntime"),
            row(3e-5, target="model.ts.pt", format="torchscript", runtime="libtorch"),
        )
        write_record(bench(script, onnx), folder / "report.json")
        slower = onnx.model_copy(update={"rounds": row(4e-5).rounds})
        later = bench(script, slower)
        keep_result(later, folder)
        assert open_predictor(folder=folder).record.format == "torchscript"
        assert str(folder / BENCH) in open_predictor(folder=folder).reason
        write_record(later.model_copy(update={"latency": (row(batch_size=64),)}), folder / BENCH)
        assert open_predictor(folder=folder).record.format == "onnx"  # it says nothing of single images

    def test_what_tells_no_order_is_not_kept(self, exported: Path, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        shutil.copytree(exported, folder, ignore=shutil.ignore_patterns(BENCH))
        done = bench(row())
        paced = Scenario(kind="paced", interval_s=0.01)
        assert done.bench is not None
        for report, place in (
            (done.model_copy(update={"interrupted": True}), folder),
            (done.model_copy(update={"bench": done.bench.model_copy(update={"scenario": paced})}), folder),
            (bench(), folder),
            (done, tmp_path),  # no artifacts are here
        ):
            keep_result(report, place)
            assert not (place / BENCH).exists()
        keep_result(done, folder)
        assert read_record(folder / BENCH, Report) == done

    @pytest.mark.parametrize("artifact", ["onnx", "torchscript", "torch-export", None])
    def test_what_is_hashed_is_what_is_opened(
        self, artifact: str | None, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever replaces the file between the two replaces nothing; each file is hashed once."""
        folder = Path(shutil.copytree(exported, tmp_path / "folder", ignore=shutil.ignore_patterns(BENCH)))
        write_record(
            bench(row(2e-5, target="model.onnx", format="onnx", runtime="onnxruntime")), folder / "report.json"
        )
        digests = {each.name: sha256_of(each) for each in folder.iterdir()}
        hashed: list[str] = []

        def swapped(path: Path) -> str:
            hashed.append(sha256_of(path))
            for each in folder.glob("model.*"):
                each.write_bytes(b"another file")
            return hashed[-1]

        monkeypatch.setattr("toolkit.formats.target.sha256_of", swapped)
        found = open_predictor(artifact, folder)
        assert found.record.verified
        assert hashed == [found.record.sha256] == [digests[Path(found.record.target).name]]
        assert (found.probabilities(SAMPLE.images).argmax(1) == SAMPLE.labels).mean() > 0.85
        with pytest.raises(CorruptArtifactError) as caught:
            open_predictor(str(folder / "model.onnx"))
        assert str(caught.value).startswith(f"Artifact {folder / 'model.onnx'} does not open as onnx")
        assert caught.value.path == folder / "model.onnx"
        assert "fmnist-tk-copy" not in str(caught.value)

    def test_weights_beside_a_model_are_copied_and_hashed_with_it(self, exported: Path, tmp_path: Path) -> None:
        proto = onnx.load(exported / "model.onnx")
        (tmp_path / "deep").mkdir()
        onnx.save_model(
            proto, tmp_path / "m.onnx", save_as_external_data=True, location="deep/m.bin", size_threshold=1024
        )
        found = open_predictor(str(tmp_path / "m.onnx"))
        assert found.record.sha256 == Target(FORMATS["onnx"], tmp_path / "m.onnx").digest()
        expected = open_predictor(str(exported / "model.onnx")).probabilities(SAMPLE.images[:9])
        assert np.allclose(found.probabilities(SAMPLE.images[:9]), expected, atol=1e-6)

    def test_without_a_bench_those_of_the_table_in_order(self, exported: Path, tmp_path: Path) -> None:
        exported = Path(shutil.copytree(exported, tmp_path / "folder", ignore=shutil.ignore_patterns(BENCH)))
        found = open_predictor(folder=exported)
        assert found.record.format == "onnx"
        assert "a verified artifact (no bench of it here)" in found.reason

    def test_a_named_one_that_is_not_verified_works_with_a_warning(
        self, exported: Path, tmp_path: Path, cli: Cli
    ) -> None:
        path = Path(shutil.copy(exported / "model.onnx", tmp_path / "model.onnx"))
        outcome = cli("predict", "--test", "0", "--artifact", path, "--json")
        assert outcome.code == 0
        assert outcome.report.predictor is not None
        assert not outcome.report.predictor.verified
        warning = f"{path} is not verified: parity has not passed this file; check it with: fmnist-tk parity {path}"
        assert f"warning: {warning}\n" in outcome.err
        assert outcome.report.notes == (warning,)

    def test_another_checkpoint_than_it_was_verified_against(self, exported: Path, small_file: Path) -> None:
        found = open_predictor("onnx", exported, checkpoint=small_file)
        assert "parity judged it against another checkpoint" in str(found.warning)
        assert open_predictor("onnx", exported).warning is None

    def test_a_checkpoint_runs_in_eager(self, tmp_path: Path) -> None:
        path = save_small(tmp_path / "small.safetensors")
        for found in (open_predictor(str(path)), open_predictor(checkpoint=path)):
            assert found.record.format == "eager"
            assert found.record.target == str(path)
            assert found.record.sha256 == sha256_of(path)

    def test_probabilities_are_the_softmax_in_float64(self, bundled: Any) -> None:
        import torch

        found = open_predictor("bundled")
        with torch.inference_mode():
            logits = bundled.model()(torch.from_numpy(SAMPLE.inputs()[:50])).double()
        expected = torch.softmax(logits, 1).numpy()
        actual = found.probabilities(SAMPLE.images[:50])
        assert actual.dtype == np.float64
        assert np.allclose(actual, expected, rtol=1e-5)
        assert np.allclose(actual.sum(1), 1, atol=1e-15)
        assert found.probabilities(SAMPLE.images[:0]).shape == (0, 10)


class FixedSession:
    """Takes three images at a time, and says how bright they are."""

    precision = "float32"
    signature = Signature(
        inputs=(TensorSpec(name="images", dtype="float32", shape=(3, 1, 28, 28)),), outputs=(TensorSpec(),)
    )

    def __init__(self, logits: Any = None) -> None:
        self.logits, self.sizes = logits, []

    def to_device(self, images: Any) -> Any:
        self.sizes.append(len(images))
        return images

    def run(self, batch: Any) -> Any:
        return batch.mean((1, 2, 3))[:, np.newaxis] * np.arange(10) if self.logits is None else self.logits

    def synchronize(self) -> None: ...

    def to_host(self, logits: Any) -> Any:
        return logits


class TestSessions:
    def test_a_fixed_batch_is_filled_up(self) -> None:
        session: Any = FixedSession()
        pixels = np.arange(7, dtype=np.uint8)[:, np.newaxis, np.newaxis] * np.full((7, 28, 28), 30, np.uint8)
        found = Predictor(PREDICTOR, session, "").probabilities(pixels)
        powers = np.exp(np.arange(7)[:, np.newaxis] * 30 / 255 * np.arange(10))
        assert np.allclose(found, powers / powers.sum(1, keepdims=True), rtol=1e-5)
        assert session.sizes == [3, 3, 3]

    @pytest.mark.parametrize(
        ("logits", "reason"),
        [(np.full((3, 10), np.nan), "its logits are not finite"), (np.zeros((3, 9)), "have the shape (3, 9)")],
    )
    def test_what_is_no_answer_is_refused(self, logits: Any, reason: str) -> None:
        session: Any = FixedSession(logits)
        with pytest.raises(CorruptArtifactError) as caught:
            Predictor(PREDICTOR, session, "").probabilities(SAMPLE.images[:1])
        assert reason in str(caught.value)


def brightness(pixels: Any) -> Any:
    """Say that the class is the value of the first pixel, surely."""
    return np.eye(10)[pixels[:, 0, 0]]


class TestStream:
    @given(st.lists(st.integers(-1, 9), max_size=40), st.integers(1, 12))
    def test_every_source_has_its_answer_in_order(self, values: list[int], batch_size: int) -> None:
        sources = [
            Source(str(place), np.full((28, 28), value, np.uint8) if value >= 0 else b"broken")
            for place, value in enumerate(values)
        ]
        found = list(predict_each(brightness, sources, batch_size=batch_size))
        assert [each.source for each in found] == [each.name for each in sources]
        labels = [each.label if isinstance(each, PredictionRecord) else None for each in found]
        assert labels == [LABELS[value] if value >= 0 else None for value in values]

    def test_it_is_a_batch_ahead_and_no_more(self) -> None:
        taken = count()
        endless = (Source(str(next(taken)), np.zeros((28, 28), np.uint8)) for _ in count())
        found = list(islice(predict_each(brightness, endless, batch_size=64), 640))
        assert [each.source for each in found] == list(map(str, range(640)))
        assert next(taken) < 640 + 3 * 64 + 4 * 4 * (os.cpu_count() or 1)

    def test_large_files_are_decoded_in_order_too(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (10, 200, 200), np.uint8)
        paths = [tmp_path / f"{number}.png" for number in range(10)]
        for path, pixels in zip(paths, noise, strict=True):
            Image.fromarray(pixels).save(path)
        found = predict_each(lambda pixels: np.full((len(pixels), 10), 0.1), [Source(str(p), p) for p in paths])
        assert [each.source for each in found] == list(map(str, paths))


class TestPython:
    def test_files_bytes_and_arrays(self, pictures: Path) -> None:
        path = pictures / "a.png"
        found = list(predict([path, str(path), path.read_bytes(), SAMPLE.images[0]], artifact="bundled"))
        assert {each.label for each in found} == {"Ankle boot"}
        assert [each.inverted for each in found] == [True, True, True, None]
        assert len({each.probability for each in found}) == 1

    def test_what_pillow_has_opened_and_tensors(self, pictures: Path) -> None:
        grey = SAMPLE.images[0]
        opened = [Image.open(pictures / "a.png"), *(Image.fromarray(grey).convert(mode) for mode in ("L", "P", "CMYK"))]
        tensors = [torch.tensor(grey), torch.tensor(grey)[None]]
        found = list(predict([*opened, *tensors, pictures / "a.png"], artifact="bundled"))
        assert {each.label for each in found} == {"Ankle boot"}
        assert found[0].scores == found[-1].scores
        assert found[4].scores == found[5].scores

    def test_one_that_cannot_be_read_has_its_reason_in_its_place(self, pictures: Path) -> None:
        gradient = torch.zeros(28, 28, requires_grad=True)
        odd = [np.zeros(10, np.int64), gradient, pictures / "empty.jpg", pictures / "none.png", b"", 3, None, "a\0b"]
        found = list(predict([pictures / "a.png", *odd, SAMPLE.images[0]], artifact="bundled"))
        assert isinstance(found[0], PredictionRecord)
        assert isinstance(found[-1], PredictionRecord)
        assert all(isinstance(each, UnreadableRecord) for each in found[1:-1])
        assert len(found) == len(odd) + 2
        assert found[1] == UnreadableRecord(
            source="image 1", reason="is an array (10,) of int64", remedy="pass (28, 28) uint8, bright on black"
        )

    def test_one_is_not_several(self, pictures: Path) -> None:
        for one in (str(pictures / "a.png"), SAMPLE.images[0], torch.zeros(28, 28), Image.new("L", (2, 2))):
            with pytest.raises(UsageError, match=r"this is one: pass \[picture\]"):
                predict(one)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"threads": 0}, "--threads 0: not a whole number from 1 to"),
            ({"batch_size": 0}, "--batch 0: not a whole number from 1 to"),
            ({"num_workers": 0}, "--num-workers 0: not a whole number from 1 to"),
            ({"test": -1}, "--test -1: not a whole number from 0 to"),
            ({"data": "."}, "--data is for --test"),
            ({"labels": "labels.csv"}, "--labels belongs to --images"),
            ({"invert": True}, "invert=True: choose one of auto, yes, no"),
        ],
    )
    def test_numbers_that_make_no_sense_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            predict([SAMPLE.images[0]], artifact="bundled", **options)

    def test_it_can_what_the_command_can(self, pictures: Path, cli: Cli) -> None:
        (pictures / "up").unlink()
        Path("labels.csv").write_text("a.png,9\nb.png,pullover\n")
        arguments = ("pics/deep", "pics/**/b.png", "--test", "0", "--images", "pics", "--labels", "labels.csv")
        told = cli("predict", *arguments, "--artifact", "bundled", "--json").report
        options = {"images": "pics", "labels": Path("labels.csv"), "num_workers": 1, "artifact": "bundled"}
        found = predict([Path("pics/deep"), "pics/**/b.png"], test=0, **options)
        assert found.total == 6  # two of the folder, one by the pattern, two with labels, the test image
        assert found.model.record == found.report.predictor == told.predictor == PREDICTOR
        records = list(found)
        assert [each for each in records if isinstance(each, PredictionRecord)] == list(told.predictions)
        assert [each for each in records if isinstance(each, UnreadableRecord)] == list(told.unreadable)

    def test_what_is_named_and_nowhere_there_is_refused_before_the_model_is_opened(self, in_empty_folder: Path) -> None:
        with pytest.raises(UsageError, match=r"Nothing to predict: none\.png: there is no such file"):
            predict(["none.png", "*.webp"], artifact="none.onnx")
        assert list(predict([], artifact="bundled")) == []

    def test_what_comes_one_by_one_is_taken_as_it_is_needed(self) -> None:
        taken = count()
        found = predict((SAMPLE.images[next(taken) % 9] for _ in count()), artifact="bundled", batch_size=8)
        assert found.total is None
        assert next(taken) == 0
        assert [each.source for each in islice(found, 3)] == ["image 0", "image 1", "image 2"]
        assert next(taken) < 8 + 3 * 8 + 4 * 4 * (os.cpu_count() or 1)
        found.close()
        assert list(found) == []

    @pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": 0}, {"invert": "Yes"}])
    def test_a_stream_is_refused_before_its_first_picture(self, options: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match=next(iter(options))):
            predict_each(lambda pixels: np.zeros((len(pixels), 10)), [], **options)


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
predicted = st.builds(
    PredictionRecord,
    source=texts,
    inverted=st.none() | st.booleans(),
    scores=st.lists(
        st.builds(ScoreRecord, label=st.sampled_from(LABELS), probability=st.floats(0, 1)), min_size=1, max_size=5
    ),
    actual=st.none() | st.sampled_from(LABELS),
)
unreadable = st.builds(UnreadableRecord, source=texts, reason=texts, remedy=texts)


class TestRendering:
    @settings(max_examples=40)
    @given(found=st.lists(predicted | unreadable, max_size=6))
    def test_a_report_that_is_written_piece_by_piece_is_the_report(self, found: list[Any]) -> None:
        pieces: list[str] = []
        writer, begun = JsonWriter(pieces.append), BEGUN
        writer.begin(begun)
        for each in found:
            writer.add(each)
        broken = tuple(each for each in found if isinstance(each, UnreadableRecord))
        ended = begun.model_copy(update={"unreadable": broken, "interrupted": True})
        writer.end(ended)
        good = tuple(each for each in found if isinstance(each, PredictionRecord))
        whole = ended.model_copy(update={"predictions": good})
        assert "".join(pieces) == to_json(whole)
        assert Report.model_validate_json("".join(pieces)) == whole
        rows = list(csv.reader(io.StringIO(predictions_csv(whole), newline="")))
        assert [each[0] for each in rows[1:]] == [cell(each.source) for each in (*good, *broken)]
        assert len(set(map(len, rows))) == 1
        json.loads("".join(pieces))

    @pytest.mark.parametrize("actual", [None, "Bag"])
    def test_a_line_is_one_line_whatever_the_name_and_says_inverted(self, actual: str | None) -> None:
        scores = (ScoreRecord(label="Bag", probability=1),)
        record = PredictionRecord(source="a\x1b[2J\x07\n.png", scores=scores, inverted=True, actual=actual)
        assert one_line(record).endswith("  a�[2J��.png (inverted)")

    def test_a_report_of_somebody_steers_no_terminal(self, cli: Cli, in_empty_folder: Path) -> None:
        evil = "\x1b]0;owned\x07\x9b2J\u202e\r"
        scores = (ScoreRecord(label="Bag", probability=1),)
        records = (PredictionRecord(source=f"{evil}.png", scores=scores),)
        report = new_report("predict").model_copy(
            update={"predictions": records, "notes": (f"a\u00a0b {evil}",), "tool_version": evil}
        )
        Path("evil.json").write_text(to_json(report))
        outcome = cli("report", "evil.json")
        assert "owned" in outcome.out
        assert "a\u00a0b" in outcome.out
        assert not set(outcome.out) & {*map(chr, range(10)), *map(chr, range(11, 32)), "\x9b", "\u202e"}

    def test_no_name_of_a_picture_is_a_formula(self, cli: Cli, in_empty_folder: Path) -> None:
        name = '=HYPERLINK("http:","y").png'
        save(Path(name))
        outcome = cli("predict", name, "--csv", "-o", "p.json", "--artifact", "bundled")
        assert next(csv.DictReader(io.StringIO(outcome.out)))["source"] == f"'{name}"
        assert cli("report", "p.json", "--format", "csv").out == outcome.out
        assert cli("report", "p.json", "-o", "p.csv").code == 0
        assert Path("p.csv").read_text() == outcome.out
        assert "CSV of pictures is of one report, not of 2" in cli("report", "p.json", "p.json", "-o", "q.csv").err

    @pytest.mark.parametrize(
        ("share", "blocks"), [(0, ""), (1, "█" * 8), (0.5, "█" * 4), (1 / 64, "▏"), (0.95, "█" * 7 + "▋")]
    )
    def test_bars_are_as_long_as_the_share(self, share: float, blocks: str) -> None:
        assert _bar(share, 8, ascii_only=False) == blocks
        assert _bar(share, 8, ascii_only=True) == "#" * round(share * 8)

    @pytest.mark.parametrize("width", [20, 40, 80, 200])
    @pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
    def test_bars_fit_where_there_is_room_and_use_the_characters_there_are(self, width: int, encoding: str) -> None:
        record = PredictionRecord(source="x", scores=(ScoreRecord(label="T-shirt/top", probability=1),))
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(file=file, width=width, force_terminal=False)
        console.print(Bars(record))
        file.flush()
        shown = file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]  # BytesIO has it
        assert ("#" in shown) == (encoding == "ascii")
        assert width < 40 or max(map(len, shown.splitlines())) <= width
        assert "100.0 %" in shown
