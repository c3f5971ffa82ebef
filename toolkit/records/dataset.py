"""Records of pictures with labels: Fashion-MNIST, or the user's own."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, computed_field, model_validator

from toolkit.records.base import Record, Sha256
from toolkit.records.model import LABELS


class DatasetFileRecord(Record):
    """One file of a dataset."""

    path: str
    sha256: Sha256 = Field(description="Of the unpacked bytes.")
    as_published: bool | None = Field(description="Whether these are the published bytes; null for own pictures.")


class DatasetRecord(Record):
    """Labelled pictures and where they are."""

    name: str = Field(description="Such as ``Fashion-MNIST, test set``, or the folder as it was given.")
    place: str
    class_counts: tuple[NonNegativeInt, ...] = Field(description="Pictures by class, in the order of the labels.")
    files: tuple[DatasetFileRecord, ...] = Field(
        default=(), description="What it was read from; of own pictures, their labels' file."
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="Of own pictures: of lines ``SHA-256 label path``, by path; null where ``files`` has all.",
    )
    inverted: NonNegativeInt | None = Field(
        default=None,
        description="Pictures that were dark on bright and turned into bright on dark; null: not looked at.",
    )

    @model_validator(mode="after")
    def _one_count_per_class(self) -> "DatasetRecord":
        if len(self.class_counts) != len(LABELS):
            raise ValueError(f"{len(self.class_counts)} counts for {len(LABELS)} classes")
        return self

    @computed_field
    @property
    def images(self) -> int:
        """All pictures."""
        return sum(self.class_counts)

    def words(self) -> list[str]:
        """Return the options that name own pictures on the command line."""
        return ["--images", self.place, *(word for file in self.files for word in ("--labels", file.path))]


class DataRecord(Record):
    """Where Fashion-MNIST was looked for, and what was found."""

    place: str
    complete: bool
    detail: str


class FetchRecord(Record):
    """How the four files of Fashion-MNIST came to where they are."""

    place: str
    how: Literal["already there", "copied", "downloaded"]
    source: str | None = Field(default=None, description="The folder they were copied from.")


class ShownRecord(Record):
    """One picture of a gallery."""

    source: str = Field(description="``test image 0`` or ``training image 0``.")
    index: NonNegativeInt = Field(description="In the published order of its part.")
    label: str


class GalleryRecord(Record):
    """Pictures that were chosen to be shown."""

    part: Literal["train", "test"]
    label: str | None = Field(default=None, description="The only class that was to be shown; null for all.")
    seed: NonNegativeInt | None = Field(description="Of the choice; null where the most confident errors come first.")
    candidates: NonNegativeInt = Field(description="Pictures that these were chosen from.")
    examined: PositiveInt | None = Field(
        default=None, description="Pictures that a model judged; the candidates are those that it got wrong."
    )
    picture: str | None = Field(default=None, description="The PNG file that was written.")
    shown: tuple[ShownRecord, ...]

    @computed_field
    @property
    def accuracy(self) -> float | None:
        """Of the model on what it judged; null where no model did."""
        return None if self.examined is None else 1 - self.candidates / self.examined
