import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import NeuralNetwork
from toolkit.fashion.model import Mlp, build_model
from toolkit.records import ModelConfig


def test_is_the_quickstart_model_key_for_key_and_bit_for_bit() -> None:
    theirs = NeuralNetwork()
    ours = Mlp()
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(5, 1, 28, 28)
    assert torch.equal(ours(images), theirs(images))
    assert ours.config.parameters == sum(p.numel() for p in theirs.parameters()) == 669_706


def test_counts_multiply_adds_twice() -> None:
    assert ModelConfig().flop_per_image == 2 * 668_672


@settings(max_examples=20)
@given(hidden=st.lists(st.integers(1, 40), max_size=4), final_relu=st.booleans())
def test_every_member_of_the_family_maps_images_to_ten_logits(hidden: list[int], final_relu: bool) -> None:
    config = ModelConfig(layer_sizes=(784, *hidden, 10), final_relu=final_relu)
    model = Mlp(config)
    logits = model(torch.randn(3, 1, 28, 28))
    assert logits.shape == (3, 10)
    assert sum(p.numel() for p in model.parameters()) == config.parameters
    assert not final_relu or bool((logits >= 0).all())


def test_a_built_model_is_ready_for_inference() -> None:
    model = build_model(ModelConfig(), Mlp().state_dict())
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
