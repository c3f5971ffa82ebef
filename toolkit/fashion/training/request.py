"""From names and plain values to a run: what a training is asked to do."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from toolkit.errors import UsageError
from toolkit.fashion.training.recipes import Recipe, find_recipe
from toolkit.fashion.training.state import TrainingRun
from toolkit.records import LABELS, PIXELS, ModelConfig
from toolkit.system.devices import resolve_device
from toolkit.system.environment import default_threads

#: Widths of the quickstart's hidden layers.
HIDDEN = (512, 512)


def new_run(
    recipe: str,
    changes: Mapping[str, str | float | None],
    *,
    hidden: Sequence[int] = HIDDEN,
    final_relu: bool = False,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    holdout: int = 0,
    test_share: float | None = None,
) -> TrainingRun:
    """Return what to train, from a recipe's name and what is changed of it.

    Args:
        recipe: Its name.
        changes: Fields of `Recipe` by name; None leaves the recipe's own.
        hidden: Widths of the hidden layers.
        final_relu: Whether the model ends in one more ReLU.
        seed: Of weights, order and augmentation.
        device: Where to train, or ``auto``.
        threads: On the CPU; None for the physical cores.
        holdout: Training images kept back to judge each epoch.
        test_share: Of own pictures, what part of each class is the test set; None for a fifth.

    Raises:
        UsageError: If a value makes no sense; it is named as on the command line.
        DeviceUnavailableError: If the device is not here.
    """
    share = {} if test_share is None else {"test_share": test_share}
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return TrainingRun(
            recipe=Recipe.model_validate({**find_recipe(recipe).model_dump(), **given}),
            config=ModelConfig(layer_sizes=(PIXELS, *hidden, len(LABELS)), final_relu=final_relu),
            seed=seed,
            holdout=holdout,
            device=resolve_device(device),
            threads=default_threads() if threads is None else threads,
            **share,
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = "hidden" if "layer_sizes" in first["loc"] else str(first["loc"][-1])
        option = "--" + name.replace("_", "-")
        raise UsageError(f"{option} {first['input']}: {first['msg']}", "see fmnist-tk train --help") from error
