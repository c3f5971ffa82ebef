"""Records of classification: how a model does on labelled images, and what it says of pictures."""

import base64
import binascii
from typing import Annotated, Final, Literal

from pydantic import Field, NonNegativeInt, computed_field, field_validator, model_validator

from toolkit.records.base import Device, Precision, Record, Sha256
from toolkit.records.model import LABELS, PIXELS

#: Labelled images by which models are evaluated and a lower precision is judged.
ImageSource = Literal["sample", "test set", "own pictures"]
_IMAGES_OF: Final[dict[ImageSource, str]] = {
    "sample": "sample images",
    "test set": "images of the test set",
    "own pictures": "own pictures",
}
#: The number of a class: its place in `LABELS`.
ClassNumber = Annotated[int, Field(ge=0, lt=len(LABELS))]
#: Wrong images that a record keeps. More are no easier to judge, and each costs a kilobyte of the report.
MOST_WRONG: Final = 24


class WrongImageRecord(Record):
    """An image that was not classified as labelled."""

    index: NonNegativeInt = Field(description="Its place among the images of the evaluation.")
    actual: ClassNumber = Field(description="Number of the class that it is labelled with.")
    predicted: ClassNumber
    probability: float = Field(ge=0, le=1, description="Of the predicted class: softmax of the logits.")
    pixels: str = Field(description="Base64 of 784 bytes, row by row: the garment bright on black.")

    @field_validator("pixels")
    @classmethod
    def _one_byte_per_pixel(cls, value: str) -> str:
        try:
            count = len(base64.b64decode(value, validate=True))
        except binascii.Error as error:
            raise ValueError("the pixels are not base64") from error
        if count != PIXELS:
            raise ValueError(f"{count} pixels, an image has {PIXELS}")
        return value

    @model_validator(mode="after")
    def _is_wrong(self) -> "WrongImageRecord":
        if self.actual == self.predicted:
            raise ValueError("the predicted class is the actual one, so the image is not a wrong one")
        return self


class EvaluationRecord(Record):
    """How a model classifies labelled images: the reference of a report, or one of its artifacts."""

    source: ImageSource = Field(description="Which images.")
    confusion: tuple[tuple[NonNegativeInt, ...], ...] = Field(
        description="Images by actual class (row) and predicted class (column)."
    )
    wrong: tuple[WrongImageRecord, ...] = Field(
        default=(),
        max_length=MOST_WRONG,
        description="The most confident of the wrong images, of an artifact only those that the reference has right: "
        "its other ones stand there.",
    )

    @model_validator(mode="after")
    def _square_and_not_empty(self) -> "EvaluationRecord":
        if [len(row) for row in self.confusion] != [len(LABELS)] * len(LABELS):
            raise ValueError(f"the confusion matrix is not {len(LABELS)} by {len(LABELS)}")
        if not self.images:
            raise ValueError("an evaluation needs at least one image")
        return self

    @computed_field
    @property
    def images(self) -> int:
        """All images."""
        return sum(map(sum, self.confusion))

    @property
    def images_in_words(self) -> str:
        """How many images, and which: ``1,000 sample images``."""
        return f"{self.images:,} {_IMAGES_OF[self.source]}"

    @computed_field
    @property
    def right(self) -> int:
        """Images that are classified as labelled."""
        return sum(row[i] for i, row in enumerate(self.confusion))

    @computed_field
    @property
    def accuracy(self) -> float:
        """Fraction of the images that are classified as labelled."""
        return self.right / self.images


class PredictorRecord(Record):
    """What predicted: an artifact or a checkpoint, opened on a device."""

    target: str = Field(description="The file, or ``bundled``.")
    format: str = Field(description="``eager`` for a checkpoint.")
    device: Device
    precision: Precision
    sha256: Sha256 | None = Field(description="Of the artifact; null for the bundled checkpoint.")
    verified: bool | None = Field(
        description="Whether parity has passed these bytes; null for a checkpoint, which needs none."
    )


class ScoreRecord(Record):
    """A class and how probable the model takes it to be."""

    label: str
    probability: float = Field(ge=0, le=1, description="Softmax of the logits.")


class PredictionRecord(Record):
    """What the model says of one picture."""

    source: str = Field(description="The file as it was given, ``-`` for stdin, or ``test image 0``.")
    inverted: bool | None = Field(
        default=None, description="Whether dark on bright was turned into bright on dark; null for test images."
    )
    remark: str | None = Field(
        default=None, description="What a person should know of the picture, such as that it is blank."
    )
    scores: tuple[ScoreRecord, ...] = Field(min_length=1, description="The most probable classes, at most five.")
    actual: str | None = Field(default=None, description="The label it has, where that is known.")

    @computed_field
    @property
    def label(self) -> str:
        """The most probable class."""
        return self.scores[0].label

    @computed_field
    @property
    def probability(self) -> float:
        """Of the most probable class."""
        return self.scores[0].probability


class UnreadableRecord(Record):
    """A picture that could not be read; the others were predicted."""

    source: str
    reason: str
    remedy: str
