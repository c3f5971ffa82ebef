"""Records of pictures with labels: Fashion-MNIST, or the user's own."""

from pydantic import Field, NonNegativeInt, computed_field, model_validator

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
