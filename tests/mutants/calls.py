"""Mutants of behaviour over calls: a memory, and a hand in the caller's memory. The model itself is right."""

import torch
from torch import Tensor, nn

from mutants.mutant import Mutant, one_of, with_module
from toolkit.fashion.model import Mlp


class Held(nn.Module):
    """The right model, with something around it."""

    calls: Tensor
    last: Tensor

    def __init__(self, model: Mlp) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.last = torch.zeros(0, 10)


class Drifting(Held):
    """Each call adds to the logits."""

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model(images) + 1e-3 * self.calls
        return logits


class FromThirdCall(Held):
    """The first two calls are right."""

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model(images) + 1e-3 * (self.calls > 2)
        return logits


class EveryThousandthCall(Held):
    """One call in a thousand is wrong."""

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model(images) + 1e-3 * (self.calls % 1000 == 0)
        return logits


class Stale(Held):
    """A batch of the previous one's size gets the previous one's logits."""

    def forward(self, images: Tensor) -> Tensor:
        if self.last.size(0) != images.size(0):
            self.last = self.model(images)
        return self.last


class Clearing(Held):
    """The caller's images are zeros afterwards."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        images.zero_()
        return logits


class Clamping(Held):
    """The caller's images are clipped to [0, 1], where most of them are already."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        images.clamp_(0, 1)
        return logits


_NO_STATE = "an ONNX graph has no memory between calls"
_STATE = {"onnx": _NO_STATE}

MUTANTS = (
    Mutant("drifts-with-each-call", "behaviour", with_module(Drifting), one_of("determinism"), absent=_STATE),
    Mutant("wrong-from-the-third-call", "behaviour", with_module(FromThirdCall), one_of("determinism"), absent=_STATE),
    # Which check it is that happens to make the thousandth call is chance.
    Mutant(
        "wrong-each-thousandth-call",
        "behaviour",
        with_module(EveryThousandthCall),
        one_of("determinism", "row independence"),
        absent=_STATE,
    ),
    Mutant(
        "previous-result-of-that-size",
        "behaviour",
        with_module(Stale, only="torchscript"),
        one_of("determinism"),
        absent={"onnx": _NO_STATE, "torch-export": "its buffers have one size, and its graph no branch on a size"},
    ),
    *(
        Mutant(
            name,
            "behaviour",
            with_module(module),
            one_of("input kept"),
            absent={"onnx": "an ONNX graph cannot write to its inputs"},
        )
        for name, module in (("input-cleared", Clearing), ("input-clamped", Clamping))
    ),
)
