"""The model: the MLP of the PyTorch quickstart, and its family."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from toolkit.records import ModelConfig


class Mlp(nn.Module):
    """Flatten, then linear layers with a ReLU between each two.

    The modules are named as in the quickstart, so its state dicts fit: ``linear_relu_stack.0.weight``
    and so on, the odd places being the ReLUs.
    """

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        self.flatten = nn.Flatten()
        layers: list[nn.Module] = []
        for features_in, features_out in pairwise(self.config.layer_sizes):
            layers += [nn.Linear(features_in, features_out), nn.ReLU()]
        self.linear_relu_stack = nn.Sequential(*(layers if self.config.final_relu else layers[:-1]))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            images: ``(N, 1, 28, 28)`` float32 in [0, 1], a black background at 0.

        Returns:
            Logits ``(N, 10)`` in the dtype of the weights.
        """
        logits: Tensor = self.linear_relu_stack(self.flatten(images))
        return logits


def build_model(config: ModelConfig, state: dict[str, Tensor]) -> Mlp:
    """Return a model in evaluation mode with the weights of ``state``.

    Args:
        config: The shape of the model.
        state: Parameters by name, as ``checkpoint`` has checked them against ``config``.
    """
    with torch.device("meta"):  # no time for an initialisation that is overwritten at once
        model = Mlp(config)
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(requires_grad=False)
