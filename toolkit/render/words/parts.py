"""What commands other than parity and bench found, part by part: terminal, page and Markdown tell the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from toolkit.records import LABELS, DataRecord, DatasetRecord, DoctorRecord, FetchRecord, Report, TrainRecord
from toolkit.records.units import seconds, size
from toolkit.render.words.gallery import gallery_parts
from toolkit.render.words.inspection import WIDE, inspection_tables
from toolkit.render.words.prediction import FEW, prediction_sheet, predictor_line, report_tally, tally_parts
from toolkit.render.words.sheet import NONE, Column, Content, Remark, Sheet, mark, sheet_of
from toolkit.render.words.two_files import comparison_tables

# As many predictions are told one by one; a page or a comment of ten thousand would not be read.
_MOST: Final = 100


@dataclass(frozen=True)
class Part:
    """A part of a report.

    Attributes:
        id: Its own within a report.
        title: Of its heading.
        contents: Its tables and sentences, in order.
    """

    id: str
    title: str
    contents: tuple[Content, ...]


def other_parts(report: Report, *, whole: bool, width: int = WIDE) -> Iterator[Part]:
    """Yield what a report has beside parity and bench, for so many columns of text; ``whole`` with long lists."""
    if report.training:
        yield Part("training", "Training", tuple(_training(report.training)))
    if report.doctor:
        yield Part("doctor", "What works here", tuple(_doctor(report.doctor)))
    if report.fetched or report.places or (report.datasets and not report.gallery):
        yield Part("data", "Pictures", (*_own_pictures(report), *_datasets(report)))
    if report.gallery:
        yield Part("gallery", "Chosen pictures", (*_own_pictures(report), *gallery_parts(report)))
    if len(report.inspected) == 2:
        contents = comparison_tables(report, whole=whole, width=width)
        yield Part("inspected", "Two files beside one another", tuple(contents))
    elif report.inspected:
        yield Part("inspected", "Inside of files", tuple(inspection_tables(report, whole=whole, width=width)))
    if report.predictor and not report.gallery:  # which has said what a model takes its pictures for
        yield Part("predictions", "Predictions", tuple(_predictions(report)))


def _predictions(report: Report) -> Iterator[Content]:
    assert report.predictor is not None  # the caller has looked
    yield predictor_line(report.predictor)
    if report.predictions:
        yield prediction_sheet(report.predictions[:_MOST], "What the model says")
    if len(report.predictions) > _MOST:
        rest = len(report.predictions) - _MOST
        yield Remark(f"{rest:,} more pictures are left out here; the report as JSON has all of them", "note")
    count = len(report.predictions) + len(report.unreadable)
    yield from tally_parts(report_tally(report), many=count > FEW)


def _own_pictures(report: Report) -> Iterator[Remark]:
    """Yield a sentence for each set of own pictures that a report is about."""
    for dataset in report.datasets:
        if dataset.sha256 is not None:
            counts = zip(dataset.class_counts, LABELS, strict=True)
            classes = ", ".join(f"{count:,} {label}" for count, label in counts if count)
            yield Remark(f"Own pictures of {dataset.name}: {dataset.images:,} ({classes})")


def _training(record: TrainRecord) -> Iterator[Content]:
    last = record.epochs[-1]
    own = f" on {record.test_set}" if record.dataset is not None else ""
    yield Remark(
        f"Trained {record.recipe['name']} for {len(record.epochs)} epochs on {record.train_images:,} images in "
        f"{seconds(record.duration_s)} ({record.device}, {record.threads} threads, seed {record.seed}): "
        f"training loss {last.loss:.4f}, test loss {record.test_loss:.4f}, "
        f"test accuracy {record.test_accuracy:.2%}{own}; wrote {record.output}"
    )
    yield sheet_of(
        "Test accuracy by class",
        range(len(LABELS)),
        {
            "class": lambda row: LABELS[row],
            "accuracy": lambda row: f"{record.class_accuracy[row]:.1%}" if any(record.confusion[row]) else NONE,
            "most often taken for": lambda row: _taken_for(record.confusion[row], row),
        },
        right=("accuracy",),
    )


def _taken_for(counts: Sequence[int], actual: int) -> str:
    if not any(counts):
        return "no test images"
    other = max((each for each in range(len(counts)) if each != actual), key=counts.__getitem__)
    return f"{LABELS[other]} ({counts[other]} of {sum(counts)})" if counts[other] else NONE


def _doctor(record: DoctorRecord) -> Iterator[Sheet]:
    yield sheet_of(
        "Devices",
        record.devices,
        {
            "device": lambda each: each.device,
            "": lambda each: mark(each.available),
            "what it is, or what to do": lambda each: each.description,
        },
    )
    yield sheet_of(
        "Formats",
        record.formats,
        {
            "format": lambda each: each.format,
            "": lambda each: mark(each.works),
            "runtime": lambda each: each.runtime,
            "runs on": lambda each: ", ".join(each.devices) or NONE,
            "versions, or what to do": lambda each: each.detail,
        },
    )
    yield _places("Fashion-MNIST (only train needs the full set)", record.data)


def _places(title: str, places: Sequence[DataRecord]) -> Sheet:
    words = {
        "looked in": lambda each: each.place,
        "": lambda each: mark(each.complete),
        "found": lambda each: each.detail,
    }
    return sheet_of(title, places, words)


def _datasets(report: Report) -> Iterator[Content]:
    """Yield where datasets are, how many pictures of each class, whose bytes; and how they came there."""
    if report.fetched:
        yield _fetched(report.fetched)
    if report.places:
        yield _places("Fashion-MNIST", report.places)
    if report.datasets and not report.gallery:  # a gallery names its own source
        if not report.fetched:
            yield _counts(report.datasets)
        if any(each.files for each in report.datasets):
            yield _files(report.datasets)


def _fetched(record: FetchRecord) -> Remark:
    how = {
        "already there": "was already there, nothing was changed",
        "copied": f"copied from {record.source}",
        "downloaded": "downloaded",
    }[record.how]
    return Remark(f"Fashion-MNIST in {record.place}: {how}")


def _counts(datasets: Sequence[DatasetRecord]) -> Sheet:
    """Return a row per class and a column per dataset, the common begin of their names in the title."""
    counts = (
        Column(
            each.name.removeprefix("Fashion-MNIST, "),
            (*(f"{count:,}" for count in each.class_counts), f"{each.images:,}"),
            right=True,
        )
        for each in datasets
    )
    numbers = Column("", (*map(str, range(len(LABELS))), ""), right=True)
    last = frozenset({len(LABELS) - 1})
    return Sheet("Pictures of each class", (numbers, Column("class", (*LABELS, "all")), *counts), last)


def _files(datasets: Sequence[DatasetRecord]) -> Sheet:
    """Return the files; a folder that is the same for all stands in the title."""
    files = [each for dataset in datasets for each in dataset.files]
    folders = {str(PurePath(each.path).parent) for each in files}
    one = len(folders) == 1
    return sheet_of(
        f"Files in {folders.pop()}" if one else "Files",
        files,
        {
            "file": lambda each: PurePath(each.path).name if one else each.path,
            "published": lambda each: NONE if each.as_published is None else mark(each.as_published),
            "SHA-256 of the unpacked bytes": lambda each: each.sha256,
        },
    )


def artifact_sheets(report: Report, *, shortly: bool) -> Iterator[Sheet]:
    """Yield the artifacts that were written, if any; ``shortly`` with the begin of their digests."""
    if report.artifacts:
        yield sheet_of(
            "Artifacts",
            report.artifacts,
            {
                "format": lambda each: each.format,
                "file": lambda each: each.file,
                "size": lambda each: size(each.size_bytes),
                "SHA-256": lambda each: each.sha256[:16] + "…" if shortly else each.sha256,
            },
            right=("size",),
        )
