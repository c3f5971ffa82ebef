"""Records of predict: what a model says of pictures."""

from pydantic import Field, computed_field

from toolkit.records.base import Device, Precision, Record, Sha256


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
