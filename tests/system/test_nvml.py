"""Which of NVML's cards CUDA means, by the environment."""

from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.system.nvml import CardOrderError, UnknownCardError, card_number

BY_BUS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def cards(*uuids: str | bytes) -> Any:
    """NVML of some cards, by their UUIDs."""
    return SimpleNamespace(
        nvmlDeviceGetCount=lambda: len(uuids),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda handle: uuids[handle],
    )


ONE, FOUR = cards("GPU-a1"), cards("GPU-a1", "GPU-a2", b"GPU-b3", "GPU-c4")


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("cuda", None, 0),
        ("cuda:2", None, 2),
        ("cuda", "3", 3),
        ("cuda:1", "3, 1", 1),
        ("cuda:0", "3,1", 3),
        ("cuda", "GPU-b3", 2),
        ("cuda:1", "GPU-c4,GPU-a2", 1),
        ("cuda", "GPU-b", 2),
    ],
)
def test_visible_devices_are_numbered_as_they_stand(device: str, visible: str | None, expected: int) -> None:
    environ = BY_BUS if visible is None else {**BY_BUS, "CUDA_VISIBLE_DEVICES": visible}
    assert card_number(FOUR, device, environ) == expected


@pytest.mark.parametrize("order", [{}, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}])
def test_of_several_cards_plain_numbers_need_an_order(order: dict[str, str]) -> None:
    for visible in ({}, {"CUDA_VISIBLE_DEVICES": "3"}):
        with pytest.raises(CardOrderError, match="set CUDA_DEVICE_ORDER=PCI_BUS_ID"):
            card_number(FOUR, "cuda", order | visible)
        assert card_number(FOUR, "cuda", BY_BUS | visible) in {0, 3}
    assert card_number(ONE, "cuda", order) == 0
    assert card_number(FOUR, "cuda", {**order, "CUDA_VISIBLE_DEVICES": "GPU-c4"}) == 3


@pytest.mark.parametrize(
    ("device", "visible", "words"),
    [
        ("cuda", "", "none that is cuda with"),
        ("cuda:1", "3", "none that is cuda:1 with"),
        ("cuda", "4", "NVML has 4 cards"),
        ("cuda", "-1", "none that is cuda with"),
        ("cuda", "GPU-a", "2 of NVML's cards"),
        ("cuda", "GPU-f", "0 of NVML's cards"),
        ("cuda", "MIG-a1", "instance of MIG"),
    ],
)
def test_a_card_that_cannot_be_told_is_not_guessed(device: str, visible: str, words: str) -> None:
    with pytest.raises(UnknownCardError, match=words):
        card_number(FOUR, device, {**BY_BUS, "CUDA_VISIBLE_DEVICES": visible})
