"""Pictures that are chosen and shown: which ones, as PNG, as JSON, and as a table where there is no terminal."""

import json
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from support import Cli
from toolkit.fashion import data
from toolkit.fashion.data import load_sample, sample_indices
from toolkit.fashion.gallery import Gallery, Pool, choose_samples, find_wrong, open_pool
from toolkit.fashion.labels import find_label, near_label
from toolkit.records import LABELS, PredictorRecord
from toolkit.render.files.figure import gallery_png
from toolkit.render.words.gallery import Tile, make_tiles
from toolkit.workload.images import ImageSet

INDICES = set(sample_indices().tolist())


class FakeJudge:
    """Takes each picture for what its upper left pixel says, as sure of it as the next one says in per cent."""

    record = PredictorRecord(
        target="m.onnx", format="onnx", device="cpu", precision="float32", sha256=None, verified=True
    )

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        sure = pixels[:, 0, 1] / 100
        result = np.repeat((1 - sure)[:, np.newaxis] / 9, 10, axis=1)
        result[np.arange(len(pixels)), pixels[:, 0, 0]] = sure
        return result


def pool_of(*pictures: tuple[int, int, int]) -> Pool:
    """Pictures of (label, what the judge takes it for, per cent); the index of each is ten times its position."""
    images = np.zeros((len(pictures), 28, 28), np.uint8)
    images[:, 0, :2] = [picture[1:] for picture in pictures]
    labels = np.array([picture[0] for picture in pictures], np.int64)
    return Pool("Fashion-MNIST, test set", "here", "test", ImageSet(images, labels), 10 * np.arange(len(pictures)))


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the full data set."""
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(data, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.delenv("FMNIST_TK_DATA", raising=False)


class TestChoice:
    def test_samples_are_drawn_once_each_and_the_seed_repeats_them(self, nowhere: None) -> None:
        pool = open_pool("test")
        first = choose_samples(pool, count=200, seed=7)
        assert first.report.gallery is not None
        shown = [each.index for each in first.report.gallery.shown]
        assert len(set(shown)) == 200
        assert set(shown) <= INDICES
        assert choose_samples(pool, count=200, seed=7).report.gallery == first.report.gallery
        assert choose_samples(pool, count=200, seed=8).report.gallery != first.report.gallery

    def test_a_seed_that_was_not_given_is_told_and_repeats_the_choice(self, nowhere: None) -> None:
        pool = open_pool("test")
        gallery = choose_samples(pool, count=5).report.gallery
        assert gallery is not None
        assert choose_samples(pool, count=5, seed=gallery.seed).report.gallery == gallery

    def test_pictures_labels_and_indices_belong_together(self, nowhere: None) -> None:
        gallery = choose_samples(open_pool("test"), count=50, seed=0)
        sample, indices = load_sample(), sample_indices().tolist()
        assert gallery.report.gallery is not None
        for shown, image in zip(gallery.report.gallery.shown, gallery.images, strict=True):
            position = indices.index(shown.index)
            assert shown.source == f"test image {shown.index}"
            assert shown.label == LABELS[sample.labels[position]]
            assert np.array_equal(image, sample.images[position])

    def test_one_class_and_more_than_there_are(self, nowhere: None) -> None:
        gallery = choose_samples(open_pool("test"), count=400, label=4, seed=0).report.gallery
        assert gallery is not None
        assert (len(gallery.shown), gallery.candidates, gallery.label) == (100, 100, "Coat")
        assert {each.label for each in gallery.shown} == {"Coat"}

    def test_what_is_wrong_comes_with_the_most_confident_first(self) -> None:
        pool = pool_of((0, 0, 99), (0, 6, 70), (1, 1, 80), (2, 4, 97), (3, 3, 55), (4, 2, 70), (5, 7, 60))
        gallery = find_wrong(pool, FakeJudge(), count=3)
        record, predictions = gallery.report.gallery, gallery.report.predictions
        assert record is not None
        assert [each.index for each in record.shown] == [30, 10, 50]  # of equal confidence the first in the set
        assert [(each.actual, each.label) for each in predictions] == [
            ("Pullover", "Coat"),
            ("T-shirt/top", "Shirt"),
            ("Coat", "Pullover"),
        ]
        assert [each.source for each in predictions] == [each.source for each in record.shown]
        assert [each.probability for each in predictions] == pytest.approx([0.97, 0.7, 0.7])
        assert (record.candidates, record.examined, record.accuracy) == (4, 7, pytest.approx(3 / 7))
        assert gallery.images[:, 0, 0].tolist() == [4, 6, 2]
        assert gallery.report.passed  # what a model gets wrong is no failure of the command

    def test_the_class_of_what_is_wrong_is_the_right_one(self) -> None:
        gallery = find_wrong(pool_of((0, 6, 70), (6, 0, 90), (6, 6, 90)), FakeJudge(), count=9, label=6)
        assert gallery.report.gallery is not None
        assert (gallery.report.gallery.candidates, gallery.report.gallery.examined) == (1, 2)
        assert [each.actual for each in gallery.report.predictions] == ["Shirt"]

    def test_a_model_without_errors_has_nothing_to_show(self) -> None:
        gallery = find_wrong(pool_of((0, 0, 70)), FakeJudge(), count=9)
        assert gallery.report.gallery is not None
        assert (gallery.report.gallery.shown, gallery.report.gallery.accuracy) == ((), 1.0)
        assert len(gallery.images) == 0


class TestLabels:
    @pytest.mark.parametrize("number", range(10))
    def test_numbers_and_names_in_any_spelling(self, number: int) -> None:
        name = LABELS[number]
        for text in (str(number), f" {number} ", name, name.upper(), name.replace(" ", "-"), name.replace("/", "_")):
            assert find_label(text) == number

    @pytest.mark.parametrize(
        ("text", "number"), [("dresses", 3), ("Trousers", 1), ("T-shirts", 0), ("tops", 0), ("boots", 9), ("bags", 8)]
    )
    def test_plurals_and_parts_of_names(self, text: str, number: int) -> None:
        assert find_label(text) == number

    @pytest.mark.parametrize("text", ["", "10", "-1", "hat", "１", "99999999999999999999", "s"])
    def test_what_is_no_class(self, text: str) -> None:
        assert find_label(text) is None

    @given(st.text())
    def test_any_text_is_a_class_or_none(self, text: str) -> None:
        assert find_label(text) in {None, *range(10)}
        assert near_label(text) in {None, *LABELS}

    def test_a_slip_of_the_keyboard(self) -> None:
        assert near_label("trouzer") == "Trouser"
        assert near_label("sandel") == "Sandal"


class TestPng:
    def png(self, count: int, columns: int, lines: tuple[str, ...] = ("Coat",)) -> Image.Image:
        tiles = [Tile(lines, bytes([10 * number % 256] * 784)) for number in range(count)]
        return Image.open(BytesIO(gallery_png(tiles, columns, title="A title", description="Coat → Shirt")))

    def test_its_metadata_say_what_is_to_be_seen(self) -> None:
        image = self.png(1, 1)
        assert image.info["Title"] == "A title"
        assert image.info["Description"] == "Coat → Shirt"
        assert image.info["Software"] == "fmnist-tk"

    def test_pictures_stand_in_rows_in_their_own_grey(self) -> None:
        image = self.png(5, 3)
        grey = np.asarray(image.convert("L"))
        assert image.width > image.height  # three in two rows
        # In the middle of each picture is its shade; the sixth place is white.
        across = [int(image.width * (column + 0.5) / 3) for column in range(3)]
        down = [int(image.height * part) for part in (0.3, 0.78)]
        assert [int(grey[y, x]) for y in down for x in across] == [0, 10, 20, 30, 40, 255]

    def test_titles_stand_above_the_pictures(self) -> None:
        without, one, two = (self.png(1, 1, lines) for lines in (("",), ("Coat",), ("Coat →", "Shirt 97 %")))
        assert without.height == one.height < two.height
        # The first dark row is of the picture, or of the title above it, which is not cut off.
        rows = [int((np.asarray(image.convert("L")) < 100).any(axis=1).argmax()) for image in (without, one, two)]
        assert rows[0] > 35
        assert 5 < rows[1] < rows[0] - 15
        assert 5 < rows[2] < rows[0]

    def test_a_column_of_all_is_not_too_high(self) -> None:
        assert self.png(400, 1).height <= 60_000

    def test_signs_of_mathematics_are_none(self) -> None:
        assert self.png(1, 1, ("$x^$",)).width > 0

    def test_settings_of_the_user_change_nothing(self) -> None:
        import matplotlib as mpl

        plain = self.png(1, 1).tobytes()
        with mpl.rc_context({"savefig.bbox": "tight", "font.size": 30, "text.color": "red"}):
            assert self.png(1, 1).tobytes() == plain


class TestCommand:
    @pytest.fixture(autouse=True)
    def somewhere(self, in_empty_folder: Path, cli: Cli, nowhere: None) -> None:
        self.here, self.cli = in_empty_folder, cli

    def test_where_there_is_no_terminal_it_is_a_table_of_index_and_label(self) -> None:
        outcome = self.cli("data", "show", "--seed", "1", "--class", "boots")
        assert outcome.code == 0
        assert "\x1b" not in outcome.out
        assert outcome.out.count("Ankle boot") == 9 + 1  # and once in the heading
        assert "fmnist-tk data fetch" in outcome.err
        with Image.open(self.here / "fashion-mnist.png") as image:
            description = image.info["Description"]
        assert description.count("Ankle boot") == 10

    def test_json_has_the_indices_and_a_saved_report_shows_them_again(self) -> None:
        outcome = self.cli("data", "show", "--count", "3", "--out", "p.PNG", "--json", "-o", "r.json")
        gallery = outcome.report.gallery
        assert gallery is not None
        assert (len(gallery.shown), gallery.picture) == (3, "p.PNG")
        assert {each.index for each in gallery.shown} <= INDICES
        assert json.loads((self.here / "r.json").read_text()) == json.loads(outcome.out)
        shown = self.cli("report", "r.json").out
        assert all(str(each.index) in shown and each.label in shown for each in gallery.shown)

    def test_wrong_runs_the_artifact_on_all_and_shows_what_it_missed(self, exported: Path) -> None:
        report = self.cli("data", "show", "--wrong", "onnx", "--folder", exported, "-n", "4", "--json").report
        assert report.gallery is not None
        assert report.predictor is not None
        assert (report.gallery.examined, report.gallery.seed) == (1000, None)
        assert report.predictor.format == "onnx"
        assert report.gallery.picture == "fashion-mnist-wrong.png"
        assert len(report.predictions) == 4
        assert report.arguments == ("data", "show", "--wrong", "onnx", "--folder", str(exported), "-n", "4", "--json")
        assert all(each.label != each.actual for each in report.predictions)
        sure = [each.probability for each in report.predictions]
        assert sure == sorted(sure, reverse=True)
        expected = self.expected_errors()
        assert report.gallery.candidates == len(expected)
        assert {each.index for each in report.gallery.shown} <= expected

    @staticmethod
    def expected_errors() -> set[int]:
        """What the bundled checkpoint gets wrong of the sample, by torch alone."""
        import torch

        from toolkit.fashion.checkpoint import load_checkpoint

        sample = load_sample()
        with torch.inference_mode():
            predicted = load_checkpoint().model()(torch.from_numpy(sample.inputs())).argmax(1).numpy()
        return set(sample_indices()[predicted != sample.labels].tolist())

    def test_wrong_as_a_table(self, small_file: Path) -> None:
        outcome = self.cli("data", "show", "--wrong", small_file, "--class", "0", "--no-png", "-o", "r.json")
        assert outcome.code == 0
        assert self.cli("report", "r.json").out == outcome.out
        gallery = self.cli("report", "r.json", "--json").report.gallery
        assert gallery is not None
        assert (gallery.examined, gallery.label) == (100, "T-shirt/top")
        assert not list(self.here.glob("*.png"))

    def test_a_model_without_errors_writes_no_picture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def perfect(pool: Pool, *_: object, **__: object) -> Gallery:
            return find_wrong(pool_of((0, 0, 70)), FakeJudge(), count=9)

        monkeypatch.setattr("toolkit.verbs.data.find_wrong", perfect)
        monkeypatch.setattr("toolkit.verbs.data.open_predictor", lambda *_, **__: SimpleNamespace(warning=None))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        outcome = self.cli("data", "show", "--wrong", "onnx")
        assert outcome.code == 0
        assert outcome.out
        assert not list(self.here.iterdir())

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["--class", "snaeker"], "did you mean 'Sneaker'?); pass one of 0 T-shirt/top"),
            (["--class", "10"], "--class 10"),
            (["--out", "x.jpg"], "--out x.jpg: only PNG is written; end the name in .png"),
            (["--out", "x.png", "--no-png"], "--out and --no-png exclude each other"),
            (["--wrong", "onnx", "--seed", "1"], "--seed is of a choice by chance"),
            (["--folder", "elsewhere"], "--folder is of the artifact of --wrong"),
            (["--device", "cuda"], "--device is for the model of --wrong"),
            (["--wrong", "onxx"], "'onxx'"),
            (["--wrong", "onnx"], "fmnist-tk export onnx"),
            (["--count", "0"], "fmnist-tk data show --help"),
            (["--count", "401"], "fmnist-tk data show --help"),
            (["--view", "cinema"], "--view cinema"),
            (["--data", "none"], "--data none"),
            (["--data", "."], "--data DIR"),
            (["--train"], "fmnist-tk data fetch"),
        ],
    )
    def test_what_makes_no_sense_is_one_line(self, arguments: list[str], named: str) -> None:
        outcome = self.cli("data", "show", "--quiet", *arguments)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert named in outcome.err
        assert not list(self.here.iterdir())

    @pytest.mark.parametrize("view", ["sixel", "blocks"])
    def test_a_view_that_cannot_be_had_is_refused_unless_nothing_is_shown(self, view: str) -> None:
        outcome = self.cli("data", "show", "--view", view)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert f"--view {view}" in outcome.err
        assert self.cli("data", "show", "--view", view, "--json", "--no-png").code == 0

    def test_quiet_writes_the_picture_and_prints_nothing(self) -> None:
        outcome = self.cli("data", "show", "--quiet")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
        assert (self.here / "fashion-mnist.png").is_file()


@pytest.mark.data
@pytest.mark.parametrize(("part", "count"), [("--train", 60_000), ("--test", 10_000)])
def test_the_full_set_is_used_where_it_is(part: str, count: int, cli: Cli) -> None:
    outcome = cli("data", "show", part, "--no-png", "--json", "--seed", "0")
    assert outcome.report.gallery is not None
    assert outcome.report.gallery.candidates == count
    assert outcome.report.gallery.shown[0].source.startswith("training" if part == "--train" else "test")
    assert outcome.err == ""


class TestHelp:
    def test_data_alone_shows_its_commands(self, cli: Cli) -> None:
        outcome = cli("data")
        assert outcome.code == 0
        for command in ("info", "fetch", "show"):
            assert f"│ {command}" in outcome.out

    @pytest.mark.parametrize("command", ["info", "fetch", "show"])
    def test_each_has_two_examples_that_parse_and_the_common_options(self, command: str, cli: Cli) -> None:
        text = cli("data", command, "--help").out
        examples = [line.split() for line in text.splitlines() if line.startswith("     fmnist-tk data")]
        assert len(examples) >= 2
        for example in examples:
            assert cli(*example[1:], "--zzz").err == (
                f"error: No such option: --zzz; see fmnist-tk data {command} --help\n"
            )
        for option in ("--json", "--quiet", "--debug", "--output"):
            assert option in text

    def test_an_unknown_one_is_one_line(self, cli: Cli) -> None:
        outcome = cli("data", "shwo")
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "'shwo'" in outcome.err


def test_tiles_are_titled_by_what_was_said(nowhere: None) -> None:
    plain = choose_samples(open_pool("test"), count=2, label=8, seed=0)
    assert [tile.lines for tile in make_tiles(plain.report, [b"", b""])] == [("Bag",), ("Bag",)]
    wrong = find_wrong(pool_of((0, 6, 70)), FakeJudge(), count=9)
    assert [tile.lines for tile in make_tiles(wrong.report, [b""])] == [("T-shirt/top →", "Shirt 70 %")]


def test_the_report_replaces_neither_the_picture_nor_the_model(cli: Cli, small_file: Path, tmp_path: Path) -> None:
    for arguments, path in (
        (["--out", tmp_path / "x.png", "-o", tmp_path / "x.png"], tmp_path / "x.png"),
        (["--wrong", small_file, "--no-png", "-o", small_file], small_file),
    ):
        before = path.read_bytes() if path.exists() else None
        outcome = cli("data", "show", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert str(path) in outcome.err
        assert (path.read_bytes() if path.exists() else None) == before
