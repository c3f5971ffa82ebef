"""Probes: the inputs on which an artifact is compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.system.devices import fitting_threads
from toolkit.workload.images import Float32Array, ImageSet

#: Seed of the random probes unless another is asked for; it stands in their names.
SEED = 0
_RANDOM_IMAGES = 1024
_LARGE_IMAGES, _PEAK_IMAGES = 64, 256
_BATCH = 1000
_SIDE = 28
_PIXELS = _SIDE * _SIDE
# Hidden units that get an image of their own; beyond that they are chosen evenly.
_MOST_DRIVEN = 2048
_LEAST_DRIVEN = 128
# With these, the image of every hidden unit of the bundled model switches it on; bigger steps leave some off.
_ASCENTS, _STEP = 20, 0.1


@dataclass(frozen=True, eq=False)
class Probe:
    """Images, and how they are cut into batches.

    Attributes:
        name: As in reports.
        images: ``(N, 1, 28, 28)`` float32, or pictures ``(N, 28, 28)`` uint8 that become floats batch by batch.
        batch_size: Images per call.
        labels: ``(N,)`` int64 where the images have labels.
    """

    name: str
    images: NDArray[np.float32] | NDArray[np.uint8]
    batch_size: int = _BATCH
    labels: NDArray[np.int64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def batches(self) -> Iterator[Float32Array]:
        """Yield ``(n, 1, 28, 28)`` float32, n at most ``batch_size``."""
        for start in range(0, len(self), self.batch_size):
            part = self.images[start : start + self.batch_size]
            if part.dtype == np.uint8:
                yield ImageSet(part.astype(np.uint8, copy=False), np.zeros(len(part), np.int64)).inputs()
            else:
                yield part.astype(np.float32, copy=False)


def picture_probe(name: str, images: ImageSet) -> Probe:
    """Return a probe of labelled pictures."""
    return Probe(name, images.images, labels=images.labels)


def sample_probe() -> Probe:
    """Return the bundled sample: 1,000 test images."""
    return picture_probe("sample images", load_sample())


def random_probes(pictures: Float32Array, seed: int = SEED) -> tuple[Probe, ...]:
    """Return random images inside and outside the range of pictures; some are made of ``pictures``.

    These are real images ``(N, 1, 28, 28)`` float32 in [0, 1].
    """
    random = np.random.default_rng(seed)
    shape = (_RANDOM_IMAGES, 1, _SIDE, _SIDE)
    large = random.choice(np.array([-1e4, 0, 1e4], np.float32), (_LARGE_IMAGES, *shape[1:]))
    few = pictures[:_LARGE_IMAGES]
    undivided = np.concatenate([few, random.random(few.shape, np.float32)]) * np.float32(255)
    sizes = np.exp(random.uniform(0, np.log(1e4), (_PEAK_IMAGES, 1, 1, 1))).astype(np.float32)
    peaks = pictures[-_PEAK_IMAGES:] * sizes
    return (
        Probe(f"uniform random (seed {seed})", random.random(shape, np.float32)),
        Probe(f"normal random (seed {seed})", random.standard_normal(shape, np.float32)),
        Probe(f"0 … 255, not divided (seed {seed})", undivided),
        Probe(f"peaks from 1 to 10,000 (seed {seed})", peaks),
        Probe(f"±10,000 (seed {seed})", large),
    )


def hostile_probe(pictures: Float32Array, seed: int = SEED) -> Probe:
    """Return images that no camera takes and some code treats apart.

    Zeros and ones; each pixel alone; checkerboards and stripes; denormal numbers, which some kernels flush;
    values just outside [0, 1], which some graphs clip. ``pictures`` are as for `random_probes`.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.indices((_SIDE, _SIDE))
    patterns = [(rows + columns) % 2, (rows + columns + 1) % 2, rows % 2, columns % 2]
    tiny = np.float32(np.finfo(np.float32).smallest_subnormal)
    groups = [
        np.zeros((1, _SIDE, _SIDE)),
        np.ones((1, _SIDE, _SIDE)),
        np.eye(_PIXELS).reshape(-1, _SIDE, _SIDE),
        np.stack(patterns),
        np.full((1, _SIDE, _SIDE), tiny),
        random.integers(0, 1000, (4, _SIDE, _SIDE)) * np.float64(tiny),
        pictures[:8, 0] * np.float32(1.02) - np.float32(0.01),
        np.full((1, _SIDE, _SIDE), -1e-6),
        np.full((1, _SIDE, _SIDE), 1 + 1e-6),
    ]
    return Probe("hostile images", np.concatenate(groups).astype(np.float32)[:, np.newaxis])


def driving_probe(model: Mlp) -> Probe | None:
    """Return images in [0, 1] that drive hidden units high: a fault in a unit that real images leave dead shows.

    Each is found by small steps of sign-gradient ascent from grey. None for a model without hidden units.
    """
    linear = [layer for layer in model.linear_relu_stack if isinstance(layer, torch.nn.Linear)][:-1]
    places = [(depth, unit) for depth, layer in enumerate(linear) for unit in range(layer.out_features)]
    if len(places) > _MOST_DRIVEN:
        places = [places[i] for i in np.linspace(0, len(places) - 1, _MOST_DRIVEN).astype(int)]
    if not places:
        return None
    starts = np.full((len(places), _PIXELS), 0.5, np.float32)
    if len(places) < _LEAST_DRIVEN:  # on few images eager's own error says little: more, from other starts
        places = [places[i % len(places)] for i in range(_LEAST_DRIVEN)]
        more = np.random.default_rng(SEED).random((_LEAST_DRIVEN - len(starts), _PIXELS), np.float32)
        starts = np.concatenate([starts, more])
    return Probe("hidden units driven", _ascend(linear, places, starts).reshape(-1, 1, _SIDE, _SIDE))


def _ascend(linear: Sequence[torch.nn.Linear], places: list[tuple[int, int]], starts: Float32Array) -> Float32Array:
    """Return images ``(len(places), 784)`` in [0, 1], climbed from ``starts``, that raise units ``(depth, unit)``."""
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in linear]
    depths, units = torch.tensor(places).T
    images = torch.from_numpy(starts)
    for depth in depths.unique().tolist():
        rows = depths == depth
        climbing, weights = images[rows], layers[depth][0][units[rows]]
        products = len(climbing) * sum(weight.numel() for weight, _ in layers[:depth])
        with torch.inference_mode(), fitting_threads(products):
            for _ in range(_ASCENTS):
                gradient = _gradient(climbing, layers[:depth], weights)
                climbing = (climbing + _STEP * gradient.sign()).clamp(0, 1)
        images[rows] = climbing
    result: Float32Array = images.numpy()
    return result


def _gradient(
    images: torch.Tensor, below: list[tuple[torch.Tensor, torch.Tensor]], weights: torch.Tensor
) -> torch.Tensor:
    """Return by how much the pixels ``(n, 784)`` raise a hidden unit, another one for each image.

    Autograd would go through all layers for every image, and also compute what the units are.

    Args:
        images: ``(n, 784)``.
        below: Weight and bias of each layer before that of the units.
        weights: ``(n, width)``: those of the units.
    """
    values, active = images, []
    for weight, bias in below:
        values = torch.nn.functional.linear(values, weight, bias).relu()
        active.append(values > 0)
    gradient = weights
    for (weight, _), on in zip(reversed(below), reversed(active), strict=True):
        gradient = gradient.where(on, 0) @ weight
    return gradient


def filled_probe(labelled: Probe, sample: Probe) -> Probe:
    """Return labelled pictures; where they are fewer than the sample, images of that come after them.

    On few images eager's own error, the unit of every limit, is small by luck.
    """
    missing = len(sample) - len(labelled)
    if missing <= 0 or labelled.labels is None or sample.labels is None:
        return labelled
    images = np.concatenate([labelled.images, sample.images[:missing]])
    labels = np.concatenate([labelled.labels, sample.labels[:missing]])
    return Probe(f"{labelled.name} and {sample.name}", images, labels=labels)


def default_probes(
    sample: Probe, model: Mlp | None = None, seed: int = SEED, labelled: Probe | None = None
) -> tuple[Probe, ...]:
    """Return all probes beside the sample.

    Args:
        sample: Real images, of which some of the others are made.
        model: Whose hidden units are driven; None when the reference is an artifact.
        seed: Of the random ones.
        labelled: Labelled pictures, to be compared on as well: the test set, or one's own.
    """
    driving = driving_probe(model) if model else None
    driven = (driving,) if driving else ()
    whole = (filled_probe(labelled, sample),) if labelled else ()
    pictures = np.concatenate(list(sample.batches()))
    return (*whole, *random_probes(pictures, seed), hostile_probe(pictures, seed), *driven)
