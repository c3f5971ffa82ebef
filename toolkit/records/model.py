"""Records of the model: its shape, its labels, what it expects, where its weights come from."""

import math
from typing import Literal

from pydantic import Field, PositiveInt, computed_field, model_validator

from toolkit.records.base import Record, Sha256

#: Fashion-MNIST's classes in the order of their numbers.
LABELS: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
#: Pixels of an image, and so the model's input features.
PIXELS = 28 * 28


class ModelConfig(Record):
    """The member of the quickstart's family of MLPs: which widths, and whether a ReLU ends it."""

    layer_sizes: tuple[PositiveInt, ...] = Field(
        default=(PIXELS, 512, 512, 10), min_length=2, description="Features from the input to the logits."
    )
    final_relu: bool = Field(default=False, description="One more ReLU after the last linear layer.")

    @model_validator(mode="after")
    def _fits_fashion_mnist(self) -> "ModelConfig":
        if self.layer_sizes[0] != PIXELS or self.layer_sizes[-1] != len(LABELS):
            raise ValueError(
                f"the layers go from {self.layer_sizes[0]} to {self.layer_sizes[-1]} features, "
                f"Fashion-MNIST needs {PIXELS} to {len(LABELS)}"
            )
        return self

    @computed_field
    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum((a + 1) * b for a, b in zip(self.layer_sizes, self.layer_sizes[1:], strict=False))

    @computed_field
    @property
    def flop_per_image(self) -> int:
        """Floating-point operations of one forward pass, a multiply-add counted as two."""
        return sum(2 * a * b for a, b in zip(self.layer_sizes, self.layer_sizes[1:], strict=False))


class Preprocessing(Record):
    """The contract between a picture and the model's input."""

    dtype: Literal["float32"] = "float32"
    layout: Literal["NCHW"] = "NCHW"
    shape: tuple[int, int, int] = Field(default=(1, 28, 28), description="Channels, height, width.")
    low: float = Field(default=0.0, description="Value of a black pixel, the background.")
    high: float = Field(default=1.0, description="Value of a white pixel, the garment.")
    source: str = "grey picture of unsigned bytes, divided by 255"


class TrainingSummary(Record):
    """How weights came to be; it travels with them."""

    recipe: str
    seed: int
    epochs: int = Field(ge=0)
    train_images: PositiveInt
    test_accuracy: float = Field(ge=0, le=1)
    test_loss: float = Field(ge=0, description="Mean cross-entropy over the test images, in nats.")
    precision: str = Field(description="Arithmetic of the training steps.")
    torch_version: str
    dataset: str | None = Field(
        default=None, description="Folder of own pictures, as it was given; null: Fashion-MNIST."
    )
    dataset_sha256: Sha256 | None = Field(default=None, description="Of own pictures: as in their DatasetRecord.")
    test_images: PositiveInt = Field(default=10_000, description="Of own pictures, those that were held back.")

    @property
    def test_set(self) -> str:
        """What the test images are, for sentences."""
        return test_set_words(self.dataset, self.test_images)


class CheckpointMetadata(Record):
    """What a checkpoint written by this tool says of itself."""

    schema_name: Literal["fmnist-tk/checkpoint"] = "fmnist-tk/checkpoint"
    schema_version: Literal[1] = 1
    config: ModelConfig
    labels: tuple[str, ...] = LABELS
    preprocessing: Preprocessing = Preprocessing()
    weights_sha256: Sha256
    training: TrainingSummary | None = None


class CheckpointRecord(Record):
    """The checkpoint of a command: where it was read and what was found."""

    path: str
    form: Literal["bundled", "safetensors", "state-dict", "pickled-module", "training-state", "module"]
    config: ModelConfig
    weights_sha256: Sha256
    labels: tuple[str, ...] = LABELS
    preprocessing: Preprocessing = Preprocessing()
    training: TrainingSummary | None = None


def test_set_words(dataset: str | None, images: int) -> str:
    """Say what a model was tested on: nobody's own pictures are Fashion-MNIST's test set."""
    if dataset is None:
        return "the test set"
    return f"{images:,} own picture{'' if images == 1 else 's'} held back"


class EpochRecord(Record):
    """One pass over the training images."""

    epoch: PositiveInt
    loss: float = Field(ge=0, description="Mean training loss over the epoch, in nats.")
    accuracy: float = Field(ge=0, le=1, description="On the training batches as they were seen.")
    holdout_accuracy: float | None = Field(default=None, ge=0, le=1)
    duration_s: float = Field(ge=0)


class TrainRecord(Record):
    """One training run."""

    output: str
    recipe: dict[str, str | int | float | bool] = Field(description="Every value of the recipe as used.")
    seed: int
    device: str
    threads: PositiveInt
    train_images: PositiveInt
    resumed_from_epoch: int = Field(default=0, ge=0)
    epochs: tuple[EpochRecord, ...]
    test_loss: float = Field(ge=0)
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="Test images by true class (row) and predicted class (column)."
    )
    dataset: str | None = Field(
        default=None, description="Folder of own pictures, as it was given; null: Fashion-MNIST."
    )

    @property
    def test_set(self) -> str:
        """What the test images are, for sentences."""
        return test_set_words(self.dataset, sum(map(sum, self.confusion)))

    @computed_field
    @property
    def test_accuracy(self) -> float:
        """Fraction of test images whose most probable class is the true one."""
        return sum(row[i] for i, row in enumerate(self.confusion)) / sum(map(sum, self.confusion))

    @computed_field
    @property
    def class_accuracy(self) -> tuple[float, ...]:
        """The same for each true class; 0 for a class without images."""
        return tuple(row[i] / max(sum(row), 1) for i, row in enumerate(self.confusion))

    @computed_field
    @property
    def duration_s(self) -> float:
        """Seconds in the epochs of this run, without loading data and the final test."""
        return math.fsum(epoch.duration_s for epoch in self.epochs)
