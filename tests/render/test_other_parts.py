"""What commands beside parity and bench found, in pages and in Markdown: what the terminal tells is there too."""

import io
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from lxml import html
from markdown_it import MarkdownIt
from rich.console import Console

from toolkit.records import LABELS, PredictionRecord, PredictorRecord, Report, ScoreRecord, UnreadableRecord
from toolkit.records.dataset import (
    DataRecord,
    DatasetFileRecord,
    DatasetRecord,
    FetchRecord,
    GalleryRecord,
    ShownRecord,
)
from toolkit.records.inspect import DifferenceRecord, InspectRecord, StatisticsRecord, TensorPairRecord, TensorRecord
from toolkit.records.model import EpochRecord, TrainRecord
from toolkit.records.report import DeviceRecord, DoctorRecord, FormatRecord
from toolkit.records.units import percent
from toolkit.render.files.markdown import report_markdown
from toolkit.render.page import report_page
from toolkit.render.terminal import render_report
from toolkit.render.words.answer import answer
from toolkit.render.words.parts import other_parts
from toolkit.render.words.saved import SavedReport
from toolkit.render.words.sheet import Remark
from toolkit.render.words.two_files import files_verdict
from toolkit.system.environment import new_report

GITHUB = MarkdownIt("commonmark").enable("table")
NAME = "<b>|a*_`&amp;.onnx"
BROKEN = UnreadableRecord(source="x.png", reason="cut off", remedy="mend it")
Words = Callable[[Report], list[str]]


def report_of(command: str, **changes: Any) -> Report:
    return new_report(command).model_copy(update=changes)


def in_page(report: Report) -> list[str]:
    """The words of each cell, sentence and heading of a page."""
    page = html.document_fromstring(report_page([SavedReport("r.json", report)]))
    return [" ".join(each.text_content().split()) for each in page.xpath("//th|//td|//li|//p|//h2|//caption|//dd")]


def in_markdown(report: Report) -> list[str]:
    return [
        "".join(child.content for child in token.children or [])
        for token in GITHUB.parse(report_markdown(report))
        if token.type == "inline"
    ]


def in_terminal(report: Report) -> list[str]:
    console = Console(file=io.StringIO(), width=400, color_system=None)
    console.print(*render_report(report), sep="\n")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def inspected(path: str) -> InspectRecord:
    return InspectRecord(
        path=path,
        kind="artifact",
        format="onnx",
        size_bytes=7,
        sha256="0" * 63 + path[0].encode().hex()[-1],
        metadata=None,
    )


def two_files(*, counts: bool = True) -> Report:
    return report_of(
        "inspect",
        inspected=(inspected(NAME), inspected("b.onnx")),
        differences=(
            DifferenceRecord(what="weights", a="6 tensors", b="5 tensors", detail=f"of {NAME}", counts=counts),
            DifferenceRecord(what="size", a="1 byte", b="2 bytes", counts=False),
        ),
        tensor_pairs=(TensorPairRecord(a=NAME, b="w", weight=True, different=17, largest_difference=0.25),),
    )


def datasets() -> Report:
    files = (DatasetFileRecord(path=f"/d/{NAME}", sha256="a" * 64, as_published=False),)
    return report_of(
        "data info",
        fetched=None,
        places=(DataRecord(place=f"/d/{NAME}", complete=False, detail="3 of 4 files"),),
        datasets=(DatasetRecord(name="own", place="/d", class_counts=tuple(range(1_001, 1_011)), files=files),),
    )


def gallery() -> Report:
    shown = tuple(ShownRecord(source=f"test image {each}", index=each, label="Coat") for each in (4_321, 17))
    return report_of(
        "data show",
        datasets=datasets().datasets,
        predictor=predictor(),
        predictions=(said("test image 4321", "Shirt", 0.75), said("test image 17", "Bag", 0.5)),
        gallery=GalleryRecord(part="test", seed=None, candidates=2, examined=100, picture=NAME, shown=shown),
    )


def predictor() -> PredictorRecord:
    return PredictorRecord(target=NAME, format="onnx", device="cpu", precision="float32", sha256=None, verified=False)


def said(source: str, label: str, probability: float = 0.5, **changes: Any) -> PredictionRecord:
    return PredictionRecord(source=source, scores=(ScoreRecord(label=label, probability=probability),), **changes)


def predictions(count: int = 2, **changes: Any) -> Report:
    every = tuple(said(f"{number}{NAME}", LABELS[number % 10], actual=LABELS[0]) for number in range(count))
    return report_of("predict", predictor=predictor(), predictions=every, **changes)


def doctor() -> Report:
    return report_of(
        "doctor",
        doctor=DoctorRecord(
            devices=(DeviceRecord(device="cuda", description=NAME, available=False),),
            formats=(FormatRecord(format="onnx", runtime="onnxruntime", works=True, devices=("cpu",), detail="1.2"),),
            data=(DataRecord(place="/d", complete=True, detail="all four files"),),
        ),
    )


def training() -> Report:
    epoch = EpochRecord(epoch=1, loss=0.4321, accuracy=0.9, duration_s=2)
    confusion = tuple(tuple(90 if i == j else 10 if j == (i + 1) % 10 else 0 for j in range(10)) for i in range(10))
    record = TrainRecord(
        output=NAME,
        recipe={"name": "quick"},
        seed=3,
        device="cpu",
        threads=2,
        train_images=60_000,
        epochs=(epoch,),
        test_loss=0.5432,
        confusion=confusion,
    )
    return report_of("train", training=record)


def words_of(report: Report) -> list[str]:
    """The words of the parts: heads, cells, sentences."""
    found = []
    for part in other_parts(report, whole=False):
        for each in part.contents:
            if isinstance(each, Remark):
                found.append(each.text)
            else:
                found += [each.title, *(column.title for column in each.columns), *chain(*each.rows())]
    return [" ".join(each.split()) for each in found]


class TestWords:
    def test_two_files_and_in_what_they_differ(self) -> None:
        found = words_of(two_files())
        assert {NAME, "b.onnx", "weights", "6 tensors", f"of {NAME}", "17", "0.25", "does not count"} <= set(found)
        assert "Tensors that differ: 1 of 1" in found

    def test_what_stands_in_one_file(self) -> None:
        found = StatisticsRecord(count=1, zeros=0, non_finite=0, minimum=1, maximum=1, mean=1, standard_deviation=0)
        tensors = [
            TensorRecord(name=f"w{n}", role="parameter", dtype="float32", shape=(1,), statistics=found)
            for n in range(61)
        ]
        digests = {"weights_sha256": "2" * 64, "computed_weights_sha256": "2" * 64}
        words = words_of(report_of("inspect", inspected=(inspected(NAME).changed(tensors=tuple(tensors), **digests),)))
        assert {f"{'2' * 64} ✓ as recorded, and computed anew", "Tensors: every value is finite", "w0", "w60"} <= {
            *words
        }
        assert "1 tensors in the middle are hidden; show them with --all" in words

    def test_where_pictures_are_and_how_many_there_are(self) -> None:
        found = words_of(datasets())
        assert {f"/d/{NAME}", "✗", "3 of 4 files", "1,010", "10,055", "a" * 64} <= set(found)
        report = report_of("data fetch", fetched=FetchRecord(place=NAME, how="copied", source="/from"))
        assert f"Fashion-MNIST in {NAME}: copied from /from" in words_of(report)

    def test_a_gallery_is_a_list(self) -> None:
        found = words_of(gallery())
        assert {"4321", "17", "Coat", "Shirt", percent(0.75), f"Wrote {NAME}"} <= set(found)
        assert any(f"{NAME} (onnx) gets 2 of 100 pictures wrong" in each for each in found)
        assert [part.id for part in other_parts(gallery(), whole=False)] == ["gallery"]

    def test_what_predicted_and_what_it_said(self) -> None:
        found = words_of(predictions(unreadable=(BROKEN,)))
        assert f"Predicted by {NAME} (onnx, float32, cpu, not verified)" in found
        assert {f"1{NAME}", "Trouser", "50.0 %", "1 of 2 right", "1 of 3 could not be read"} <= set(found)

    @pytest.mark.parametrize(("count", "rest"), [(100, None), (101, "1"), (1_234, "1,134")])
    def test_of_many_predictions_the_first_hundred_and_a_count(self, count: int, rest: str | None) -> None:
        found = words_of(predictions(count))
        assert sum(each.endswith(NAME) and each[0].isdigit() for each in found) == 100
        left_out = [each for each in found if "left out here" in each]
        assert [each.split()[0] for each in left_out] == ([rest] if rest else [])
        assert "Pictures by class" in found

    def test_what_works_here(self) -> None:
        assert {"cuda", NAME, "onnxruntime", "1.2", "all four files"} <= set(words_of(doctor()))

    def test_a_training_is_told_by_class(self) -> None:
        found = words_of(training())
        assert any("test loss 0.5432" in each and f"wrote {NAME}" in each for each in found)
        assert "Trouser (10 of 100)" in found


class TestVerdicts:
    def test_a_difference_that_counts_is_a_failure(self) -> None:
        verdict = files_verdict(two_files())
        page = in_page(two_files())
        assert answer(two_files()) in page
        assert f"✗ {NAME} and b.onnx: {verdict}" in page
        assert report_markdown(two_files()).startswith(f"## ❌ {verdict}\n")

    def test_what_is_the_same_is_said_so(self) -> None:
        one, other = inspected("a.onnx"), inspected("b.pt2").changed(format="torch-export")
        pairs = (TensorPairRecord(a="w", b="w", weight=True, different=0, largest_difference=0),)
        assert files_verdict(report_of("inspect", inspected=(one, one))) == "The same: byte-identical"
        same = report_of("inspect", inspected=(one, other), tensor_pairs=pairs)
        assert files_verdict(same) == "Same weights, other format: onnx and torch-export"
        same = report_of("inspect", inspected=(one, inspected("c.onnx")), tensor_pairs=pairs)
        assert files_verdict(same) == "The same content in other bytes"

    def test_one_that_does_not_count_is_none(self) -> None:
        same = two_files(counts=False)
        assert not html.document_fromstring(report_page([SavedReport("r.json", same)])).find_class("failures")
        assert report_markdown(same).startswith(f"## ✅ {files_verdict(same)}\n")

    def test_the_answer_is_the_heading_where_nothing_was_judged(self) -> None:
        assert in_markdown(training())[0] == f"✅ {answer(training())}".rstrip(".")

    def test_nothing_is_said_of_parity_by_who_did_not_ask(self) -> None:
        for report in (predictions(), datasets(), doctor(), gallery()):
            assert "Parity" not in report_markdown(report)
            assert report_markdown(report).startswith("## ✅ fmnist-tk")

    @pytest.mark.parametrize("words", [in_page, in_markdown])
    def test_what_could_not_be_read_is_told_with_its_remedy(self, words: Words) -> None:
        found = words(predictions(unreadable=(BROKEN,)))
        assert any("x.png: cut off; mend it" in each for each in found)


DRAWN = [
    *((draw, report) for draw in (in_page, in_markdown, in_terminal) for report in (two_files(), datasets(), doctor())),
    *((draw, gallery()) for draw in (in_page, in_markdown, in_terminal)),
    *((draw, training()) for draw in (in_markdown, in_terminal)),  # the page tells it by epoch
    *((draw, predictions(101)) for draw in (in_page, in_markdown)),  # a terminal has bars and lines of its own
]


@pytest.mark.parametrize(("draw", "report"), DRAWN)
def test_every_word_of_the_parts_is_drawn(draw: Words, report: Report) -> None:
    drawn = " ".join(" ".join(draw(report)).split())
    expected = words_of(report)
    assert len(expected) > 3
    assert [each for each in expected if each not in drawn] == []


@pytest.mark.parametrize("words", [in_page, in_markdown])
def test_what_would_steer_a_terminal_is_taken_out(words: Words) -> None:
    place = DataRecord(place="/d\x1b[31m", complete=True, detail="all\x07")
    fetched = FetchRecord(place="/e\x1b[0m", how="downloaded")
    text = "".join(words(report_of("data fetch", places=(place,), fetched=fetched)))
    assert all(each in text for each in ("/d�", "/e�", "all�"))
    assert not set(text) & {"\x1b", "\x07"}
