"""Choose pictures to look at: some by chance, or those that a model gets wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataNotFoundError
from toolkit.fashion.data import UInt8Array, find_files, load_data, load_sample, load_test_set, sample_indices
from toolkit.fashion.places import BUNDLED_PLACE, SAMPLE, TEST_SET, TRAINING_SET, describe_set
from toolkit.records import (
    LABELS,
    GalleryRecord,
    PredictionRecord,
    PredictorRecord,
    Report,
    ShownRecord,
)
from toolkit.system.environment import new_report
from toolkit.system.progress import Progress, silent
from toolkit.workload.images import ImageSet
from toolkit.workload.scores import best_scores

Part = Literal["train", "test"]
IntArray = NDArray[np.int64]

_COMMAND: Final = "data show"
_IMAGES_PER_CALL: Final = 10_000
_PART_WORDS: Final = {"train": "training", "test": "test"}


class Judge(Protocol):
    """What says how probable each class is: a predictor."""

    @property
    def record(self) -> PredictorRecord:
        """What it is."""

    def probabilities(self, pixels: UInt8Array, /) -> NDArray[np.float64]:
        """Return ``(N, 10)`` float64 for ``(N, 28, 28)`` uint8."""


@dataclass(frozen=True)
class Pool:
    """The labelled pictures of a part, from which some are chosen.

    Attributes:
        name: Such as ``Fashion-MNIST, test set``.
        place: Where they are.
        part: Of Fashion-MNIST.
        images: All of them.
        indices: ``(N,)`` int64, which of the part each is, in the published order.
    """

    name: str
    place: str
    part: Part
    images: ImageSet
    indices: IntArray

    @property
    def is_sample(self) -> bool:
        """Whether these are the bundled ones, because the full set is not here."""
        return self.name == SAMPLE


@dataclass(frozen=True)
class Gallery:
    """Chosen pictures and what is known of them.

    Attributes:
        report: With a gallery, and with predictions where a model was asked; both in the order of the pictures.
        images: ``(n, 28, 28)`` uint8.
    """

    report: Report
    images: UInt8Array


def open_pool(part: Part, folder: Path | None = None) -> Pool:
    """Return the pictures of a part of Fashion-MNIST; nothing is downloaded.

    Args:
        part: The training or the test set. Where the full data set is nowhere, the bundled sample stands for the
            test set; nothing stands for the training set.
        folder: Where to look, and nowhere else; None for the usual places.

    Raises:
        DataError, DataNotFoundError, UsageError: As `load_data`.
    """
    try:
        images = load_data(folder, download=False)[0] if part == "train" else load_test_set(folder)
    except DataNotFoundError:
        if folder or part == "train":
            raise
        return Pool(SAMPLE, BUNDLED_PLACE, part, load_sample(), sample_indices())
    place = next(iter((find_files(folder) or {}).values())).parent
    name = TRAINING_SET if part == "train" else TEST_SET
    return Pool(name, str(place), part, images, np.arange(len(images)))


def choose_samples(pool: Pool, *, count: int, label: int | None = None, seed: int | None = None) -> Gallery:
    """Draw pictures by chance, none of them twice.

    Args:
        pool: Where from.
        count: How many; fewer if there are not so many.
        label: The only class to draw from; None for all.
        seed: The same one draws the same pictures; None for a new one, which is in the report.
    """
    seed = _new_seed() if seed is None else seed
    candidates = _of_class(pool, label)
    drawn = np.random.default_rng(seed).permutation(candidates)[:count]
    record = _gallery(pool, drawn, label=label, seed=seed, candidates=len(candidates))
    return _report(pool, drawn, record)


def find_wrong(
    pool: Pool, judge: Judge, *, count: int, label: int | None = None, progress: Progress = silent
) -> Gallery:
    """Return what a model gets wrong, the most confident first; of equal confidence the first in the set.

    Args:
        pool: What it judges, all of one class or of all classes.
        judge: The model.
        count: How many to return at most.
        label: The only class that it judges, by the right labels; None for all.
        progress: Told how many pictures were judged.
    """
    judged = _of_class(pool, label)
    probabilities = _judged(pool.images.images[judged], judge.probabilities, progress)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != pool.images.labels[judged])
    order = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:count]
    chosen = judged[order]
    record = _gallery(pool, chosen, label=label, seed=None, candidates=len(wrong), examined=len(judged))
    predictions = tuple(
        PredictionRecord(source=shown.source, scores=best_scores(probabilities[row]), actual=shown.label)
        for shown, row in zip(record.shown, order, strict=True)
    )
    gallery = _report(pool, chosen, record)
    report = gallery.report.changed(predictor=judge.record, predictions=predictions)
    return Gallery(report, gallery.images)


def _judged(
    images: UInt8Array, probabilities: Callable[[UInt8Array], NDArray[np.float64]], progress: Progress
) -> NDArray[np.float64]:
    """Return ``(N, 10)`` float64; ten thousand images at a time, which is 31 MB of inputs."""
    parts = []
    for start in range(0, len(images), _IMAGES_PER_CALL):
        progress("predict", start, len(images))
        parts.append(probabilities(images[start : start + _IMAGES_PER_CALL]))
    progress("predict", len(images), len(images))
    return np.concatenate(parts)


def _of_class(pool: Pool, label: int | None) -> IntArray:
    """Return the positions of the pictures of a class, or of all."""
    every = np.arange(len(pool.images))
    return every if label is None else every[pool.images.labels == label]


def _gallery(
    pool: Pool, chosen: IntArray, *, label: int | None, seed: int | None, candidates: int, examined: int | None = None
) -> GalleryRecord:
    word = _PART_WORDS[pool.part]
    return GalleryRecord(
        part=pool.part,
        label=None if label is None else LABELS[label],
        seed=seed,
        candidates=candidates,
        examined=examined,
        shown=tuple(
            ShownRecord(source=f"{word} image {index}", index=index, label=LABELS[number])
            for index, number in zip(pool.indices[chosen].tolist(), pool.images.labels[chosen].tolist(), strict=True)
        ),
    )


def _report(pool: Pool, chosen: IntArray, record: GalleryRecord) -> Gallery:
    dataset = describe_set(pool.name, pool.place, pool.images)
    report = new_report(_COMMAND).changed(datasets=(dataset,), gallery=record)
    return Gallery(report, pool.images.images[chosen])


def _new_seed() -> int:
    return int(np.random.default_rng().integers(2**32))
