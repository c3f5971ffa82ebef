"""How good a model is on labelled images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.records import LABELS
from toolkit.workload.images import ImageSet

_BATCH = 1000


@dataclass(frozen=True)
class Evaluation:
    """Attributes: mean cross-entropy in nats, and counts ``[true][predicted]``."""

    loss: float
    confusion: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float:
        """Fraction of images whose highest logit is that of their label."""
        return sum(row[i] for i, row in enumerate(self.confusion)) / sum(map(sum, self.confusion))


def evaluate(model: nn.Module, data: ImageSet, device: str = "cpu") -> Evaluation:
    """Return loss and confusion of ``model`` (float32, on ``device``) over ``data``."""
    classes = len(LABELS)
    inputs, labels = torch.from_numpy(data.inputs()), torch.from_numpy(data.labels)
    loss, counts = 0.0, torch.zeros(classes * classes, dtype=torch.int64)
    with torch.inference_mode():
        for start in range(0, len(data), _BATCH):
            logits: Tensor = model(inputs[start : start + _BATCH].to(device)).float().cpu()
            truth = labels[start : start + _BATCH]
            loss += functional.cross_entropy(logits.double(), truth, reduction="sum").item()
            counts += torch.bincount(truth * classes + logits.argmax(1), minlength=classes * classes)
    rows = counts.reshape(classes, classes).tolist()
    return Evaluation(loss=loss / len(data), confusion=tuple(tuple(row) for row in rows))
