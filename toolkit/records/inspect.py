"""Records of inspection: what stands inside a file, and in what two files differ."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, computed_field, model_validator

from toolkit.records.artifact import ArtifactMetadata, Signature, TensorSpec
from toolkit.records.base import Precision, Record, Sha256
from toolkit.records.model import CheckpointMetadata, ModelConfig


class StatisticsRecord(Record):
    """What the values of a tensor are like, computed in float64."""

    count: NonNegativeInt
    zeros: NonNegativeInt
    non_finite: NonNegativeInt = Field(description="NaN and infinities; the other numbers leave these out.")
    minimum: float | None = Field(description="Null, as the next three, when there is no finite value.")
    maximum: float | None
    mean: float | None
    standard_deviation: float | None = Field(description="Of all the values, not an estimate from a sample.")

    @computed_field
    @property
    def zeros_fraction(self) -> float | None:
        """Fraction of the values that are zero; null without any value."""
        return self.zeros / self.count if self.count else None


class TensorRecord(Record):
    """A tensor that is stored in a file, or beside it."""

    name: str
    role: Literal["parameter", "buffer", "initializer", "constant"] = Field(description="In the format's own words.")
    dtype: str = Field(description="NumPy's name, such as float32.")
    shape: tuple[NonNegativeInt, ...]
    file: str | None = Field(default=None, description="The file beside the artifact that has its values.")
    statistics: StatisticsRecord | None = None
    unread: str | None = Field(default=None, description="Why there are no statistics.")

    @model_validator(mode="after")
    def _a_gap_has_its_reason(self) -> "TensorRecord":
        if (self.statistics is None) == (self.unread is None):
            raise ValueError("a tensor has statistics or the reason why it has none")
        return self


class LayerRecord(Record):
    """A layer of a checkpoint."""

    name: str
    kind: str | None = Field(description="Such as Linear; null where the file does not tell.")
    shapes: dict[str, tuple[NonNegativeInt, ...]] = Field(description="Name of the parameter to its shape.")
    parameters: NonNegativeInt


class NodeRecord(Record):
    """A node of a graph: one call of an operator."""

    name: str
    operator: str = Field(description="In the format's own words, with its domain unless that is the usual one.")
    inputs: tuple[str, ...] = Field(description="Names of values and weights; empty for one that is left out.")
    outputs: tuple[TensorSpec, ...]
    attributes: dict[str, str] = Field(description="What is fixed in the graph, as text.")
    within: str | None = Field(default=None, description="The node or function whose own graph this node is in.")


class GraphRecord(Record):
    """The graph of an artifact, in order of execution. What an inner graph gives back is a node of its own."""

    nodes: tuple[NodeRecord, ...]
    inputs: tuple[str, ...] = Field(description="What the nodes call the inputs of the signature, in order.")
    outputs: tuple[str, ...] = Field(description="What they call the values that are given back, in order.")
    opsets: dict[str, int] = Field(description="Domain to version; empty where the format has no opsets.")
    format_version: str | None = Field(description="Of the serialisation, such as ``IR version 8``.")
    producer: str | None = Field(description="The tool that wrote it, where the file says.")
    properties: dict[str, str] = Field(description="What else somebody has put into the file, by name.")


class FileRecord(Record):
    """A file beside an artifact that is a part of it."""

    name: str
    size_bytes: NonNegativeInt
    sha256: Sha256


class InspectRecord(Record):
    """What stands inside a checkpoint or an artifact."""

    path: str
    kind: Literal["checkpoint", "artifact"]
    format: str
    size_bytes: NonNegativeInt = Field(description="Of the file itself.")
    sha256: Sha256
    files: tuple[FileRecord, ...] = Field(default=(), description="Beside it, and part of it.")
    metadata: ArtifactMetadata | CheckpointMetadata | None = Field(
        description="Null for a file that this tool did not write."
    )
    config: ModelConfig | None = Field(default=None, description="As recorded, or else as the weights tell it.")
    signature: Signature | None = None
    precision: Precision | None = Field(
        default=None, description="Of a session on the CPU; null where none opens here, and then a note says why."
    )
    layers: tuple[LayerRecord, ...] = ()
    graph: GraphRecord | None = None
    tensors: tuple[TensorRecord, ...] = Field(default=(), description="In the order in which they are used.")
    weights_sha256: Sha256 | None = Field(default=None, description="As recorded inside.")
    computed_weights_sha256: Sha256 | None = Field(
        default=None, description="Of the weights inside; null where they are not this model's, or cannot be read."
    )
    notes: tuple[str, ...] = Field(default=(), description="What a person must know of this file.")

    @computed_field
    @property
    def weights_agree(self) -> bool | None:
        """Whether the weights are those that are recorded; null where one of the two is not known."""
        if self.weights_sha256 is None or self.computed_weights_sha256 is None:
            return None
        return self.weights_sha256 == self.computed_weights_sha256


class DifferenceRecord(Record):
    """One thing in which two inspected files differ."""

    what: str
    a: str = Field(description="What the first has.")
    b: str = Field(description="What the second has.")
    detail: str = ""
    counts: bool = Field(
        default=True, description="False for what follows from two formats or from storage, and is not of the model."
    )


class TensorPairRecord(Record):
    """A tensor of one file and the one of the other that stands in its place; null where there is none."""

    a: str | None
    b: str | None
    a_dtype: str | None = None
    b_dtype: str | None = None
    a_shape: tuple[NonNegativeInt, ...] | None = None
    b_shape: tuple[NonNegativeInt, ...] | None = None
    transposed: bool = Field(default=False, description="One file has the columns where the other has the rows.")
    weight: bool = Field(description="Whether it is made of floating-point numbers, or is a matrix.")
    different: NonNegativeInt | None = Field(
        default=None, description="Values that differ, the sign of zero too; null where they cannot be compared."
    )
    largest_difference: NonNegativeFloat | None = Field(
        default=None, description="Largest |a - b|; null where none that differ are finite, or values are no numbers."
    )

    @computed_field
    @property
    def same(self) -> bool:
        """Whether both have it with the same values and dtype."""
        return self.different == 0 and self.a_dtype == self.b_dtype
