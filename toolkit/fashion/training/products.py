"""Float32 training on the CPU through oneDNN.

torch multiplies float32 matrices with MKL, which on AMD processors reaches half of what oneDNN does: 64 × 784
times 784 × 512 takes 260 µs with MKL and 130 µs with oneDNN on 2 cores of an AMD EPYC (Zen 5). Both are in every
x86 build of torch, and both compute in float32; only the order of the sums differs.
"""

from typing import Any

import torch
from torch import Tensor

from toolkit.fashion.model import Mlp


def forward(model: Mlp, images: Tensor) -> Tensor:
    """Return the logits of ``model``, as its own ``forward`` does, through oneDNN where that can be had.

    Args:
        model: In training mode.
        images: ``(N, 1, 28, 28)`` on the model's device.
    """
    logits: Tensor
    if _has_onednn(images):
        parameters = tuple(model.linear_relu_stack.parameters())
        logits = _Stack.apply(model.flatten(images), model.config.final_relu, *parameters)
    else:
        logits = model(images)
    return logits


def _has_onednn(images: Tensor) -> bool:
    """Say whether a float32 product of ``images`` can go through oneDNN; autocast goes there by itself."""
    return (
        images.device.type == "cpu"
        and images.dtype == torch.float32
        and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # torch has no annotation for it
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """Return ``left @ right.T + bias``, negative values set to zero if ``relu``."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "relu" if relu else "none", [], "")
    return product


class _Stack(torch.autograd.Function):
    """All layers of the MLP in one node: of several, Python alone would take as long as a small product."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, final_relu: bool, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        hidden = [images]
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
            hidden.append(_product(hidden[-1], weight, bias, relu=final_relu or number < len(weights)))
        ctx.save_for_backward(*hidden, *weights)
        ctx.final_relu = final_relu
        return hidden[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        layers = len(ctx.saved_tensors) // 2
        hidden, weights = ctx.saved_tensors[: layers + 1], ctx.saved_tensors[layers + 1 :]
        found: list[Tensor] = []
        for number in reversed(range(layers)):
            if ctx.final_relu or number + 1 < layers:
                gradient = torch.ops.aten.threshold_backward(gradient, hidden[number + 1], 0)
            found = [_product(gradient.t(), hidden[number].t()), gradient.sum(0), *found]
            if number:
                gradient = _product(gradient, weights[number].t())
        return None, None, *found
