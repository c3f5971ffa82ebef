"""The calls of parity: what comes back is looked at each time."""

from typing import Any

import numpy as np
import pytest

from toolkit.parity.examine.calls import RecordedCalls, UnusableOutputError

IMAGES = np.zeros((2, 1, 28, 28), np.float32)


class Scripted:
    """A session that gives what it was told to, call by call."""

    def __init__(self, *answers: np.ndarray) -> None:
        self.answers = iter(answers)

    def to_device(self, images: np.ndarray) -> np.ndarray:
        return images

    def run(self, batch: np.ndarray) -> np.ndarray:
        return next(self.answers)

    def synchronize(self) -> None:
        pass

    def to_host(self, logits: np.ndarray) -> np.ndarray:
        return logits


@pytest.mark.parametrize(
    ("wrong", "check"), [(np.zeros((2, 9), np.float32), "shape"), (np.zeros((2, 10), np.float64), "dtype")]
)
def test_an_output_that_turns_wrong_after_good_ones_is_found(wrong: np.ndarray, check: str) -> None:
    good = np.zeros((2, 10), np.float32)
    session: Any = Scripted(good, good, wrong, good)
    calls = RecordedCalls(session, strict=True)
    calls(IMAGES)
    calls(IMAGES)
    with pytest.raises(UnusableOutputError) as found:
        calls(IMAGES)
    assert found.value.check.name == check
    calls(IMAGES)
