"""Each known fault is named, and nothing else is called by its name."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.fashion.checkpoint import Checkpoint
from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.parity.explain.diagnose import diagnose

ADVICE = "do this"
LOWERED = f"arithmetic: this runtime probably lowered precision; {ADVICE}"
Infer = Callable[[torch.Tensor, Mlp], torch.Tensor]


def diagnosis(bundled: Checkpoint, infer: Infer, count: int = 256) -> str | None:
    images = load_sample().inputs()[:count]
    with torch.inference_mode():
        actual = infer(torch.from_numpy(images), bundled.model()).float().numpy()
    return diagnose(actual, images, bundled.model(), ADVICE)


def standardised(x: torch.Tensor) -> torch.Tensor:
    return (x - 0.2860) / 0.3530


@pytest.mark.parametrize(
    ("infer", "named"),
    [
        (lambda x, m: m(x).softmax(1), "a softmax was appended"),
        (lambda x, m: m(x).log_softmax(1), "a log-softmax was appended"),
        (lambda x, m: m(x).sigmoid(), "a sigmoid was appended"),
        (lambda x, m: m(x).relu(), "a ReLU was appended"),
        (lambda x, m: m(x) * 1.0001, "the logits are 1.0001"),
        (lambda x, m: m(x) + torch.tensor([0.0] * 3 + [0.01] + [0.0] * 6), r"a constant is added .*class 3 \(Dress\)"),
        (lambda x, m: m(x)[:, [1, 0, *range(2, 10)]], r"another order: \[1, 0, 2"),
        (lambda x, m: m(x.transpose(2, 3)), "height and width"),
        (lambda x, m: m(x.flip(3)), "mirrored"),
        (lambda x, m: m(x.flip(2)), "upside down"),
        (lambda x, m: m(1 - x), "inverted"),
        (lambda x, m: m(x / 255), "divided by 255"),
        (lambda x, m: m(x * 255), "0 … 255"),
        (lambda x, m: m(2 * x - 1), r"normalised to \[-1, 1\]"),
        (lambda x, m: m(standardised(x)), "standardised"),
    ],
)
def test_a_fault_around_the_model_is_named(infer: Infer, named: str, bundled: Checkpoint) -> None:
    import re

    found = diagnosis(bundled, infer)
    assert found
    assert re.search(named, found), found


def half(dtype: torch.dtype) -> Infer:
    return lambda x, model: model.to(dtype)(x.to(dtype))


def rounded(dtype: torch.dtype) -> Infer:
    return lambda x, model: model.to(dtype).float()(x)


def tf32(x: torch.Tensor, model: Mlp) -> torch.Tensor:
    """Round the operands of each product to ten bits, by arithmetic and not by bits as the code under test does."""
    for layer in model.linear_relu_stack:
        if isinstance(layer, nn.Linear):
            x, weight = (ten_bits(each.double()).float() for each in (x.flatten(1), layer.weight))
            x = nn.functional.linear(x, weight, layer.bias)
        else:
            x = layer(x)
    return x


def ten_bits(values: torch.Tensor) -> torch.Tensor:
    step = torch.exp2(values.abs().clamp(min=1e-30).log2().floor() - 10)
    return (values / step).round() * step


def int8_weights(x: torch.Tensor, model: Mlp) -> torch.Tensor:
    for layer in model.linear_relu_stack:
        if isinstance(layer, nn.Linear):
            step = float(layer.weight.abs().max()) / 127
            layer.weight.copy_((layer.weight / step).round() * step)
    return model(x)


@pytest.mark.parametrize(
    ("infer", "named"),
    [
        (half(torch.bfloat16), f"error fits bfloat16 {LOWERED}"),
        (
            half(torch.float16),
            f"error fits TF32 or float16 {LOWERED}",
        ),
        (tf32, f"error fits TF32 or float16 {LOWERED}"),
        (rounded(torch.bfloat16), "error fits weights rounded to bfloat16; convert the float32 weights again"),
        (rounded(torch.float16), "error fits weights rounded to float16; convert the float32 weights again"),
        (int8_weights, "error fits weights rounded to int8; convert the float32 weights again"),
    ],
)
def test_lowered_precision_is_named(infer: Infer, named: str, bundled: Checkpoint) -> None:
    assert diagnosis(bundled, infer) == named


def changed(layer: int, change: Callable[[torch.Tensor], None]) -> Infer:
    def infer(x: torch.Tensor, model: Mlp) -> torch.Tensor:
        module = model.linear_relu_stack[layer]
        assert isinstance(module, nn.Linear)
        change(module.weight)
        return model(x)

    return infer


def leaky(x: torch.Tensor, model: Mlp) -> torch.Tensor:
    model.linear_relu_stack[1] = nn.LeakyReLU(0.01)
    return model(x)


def noisy(size: float) -> Infer:
    return lambda x, model: model(x) + size * torch.randn(len(x), 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "infer",
    [
        changed(0, lambda w: w[7, 300].add_(1e-3)),
        changed(2, lambda w: w[3].neg_()),
        changed(2, lambda w: w.copy_(w.t().clone())),
        leaky,
        noisy(3e-2),
        noisy(3e-4),
        noisy(3e-6),
    ],
)
def test_other_faults_are_not_called_by_a_name_that_is_not_theirs(infer: Infer, bundled: Checkpoint) -> None:
    assert diagnosis(bundled, infer) is None


def test_wrong_logits_of_few_classes_are_named(bundled: Checkpoint) -> None:
    found = diagnosis(bundled, changed(4, lambda w: w[3, 9].add_(0.5)))
    assert found == "only class 3 (Dress) differ"


def test_a_model_of_zeros_is_diagnosed_without_dividing_by_zero(bundled: Checkpoint) -> None:
    model = bundled.model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    images = load_sample().inputs()[:16]
    with np.errstate(all="raise"):
        found = diagnose(np.full((16, 10), 0.5, np.float32), images, model, ADVICE)
    assert found
