"""The probe that drives hidden units, beside autograd's own way to the same images."""

import numpy as np
import pytest
import torch

from toolkit.fashion.model import Mlp
from toolkit.parity.probes import driving_probe
from toolkit.records import ModelConfig


def climbed(model: Mlp, depth: int, unit: int, image: torch.Tensor) -> torch.Tensor:
    """Twenty steps of a tenth from an image ``(784,)``, along the sign of autograd's gradient."""
    to_unit = model.linear_relu_stack[: 2 * depth + 1]
    for _ in range(20):
        image = image.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(to_unit(image)[unit], image)
        image = (image + 0.1 * gradient.sign()).clamp(0, 1)
    return image.detach()


@pytest.mark.parametrize("widths", [(6,), (5, 4, 3)], ids=["one layer", "three layers"])
def test_the_images_are_those_that_autograd_climbs_to(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = Mlp(ModelConfig(layer_sizes=(784, *widths, 10))).eval().requires_grad_(requires_grad=False)
    places = [(depth, unit) for depth, width in enumerate(widths) for unit in range(width)]
    probe = driving_probe(model)
    assert probe is not None
    assert len(probe) == 128
    with torch.enable_grad():
        for image, (depth, unit) in zip(probe.images, places, strict=False):
            expected = climbed(model, depth, unit, torch.full((784,), 0.5))
            # A pixel whose gradient is next to nothing may go either way.
            assert np.mean(image.reshape(-1) != expected.numpy()) < 0.01, (depth, unit)
