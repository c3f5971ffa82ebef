"""The reference: what an artifact must compute, and how far float32 itself is from it."""

import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from toolkit.errors import UsageError, first_line
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.fashion.data import load_sample
from toolkit.fashion.model import Mlp
from toolkit.formats import Session
from toolkit.formats.golden import Golden
from toolkit.formats.libtorch import pin_precision
from toolkit.formats.session import call_session
from toolkit.parity.probes import Probe, sample_probe
from toolkit.parity.rules.checks import CLASSES
from toolkit.parity.rules.tolerance import LIMIT_IN_UNITS, class_units
from toolkit.records import CheckpointRecord
from toolkit.system.devices import fitting_threads
from toolkit.workload.images import Float32Array, Float64Array, ImageSet

_BATCH = 1000
_GOLDEN_IMAGES = 16
# What a reference may differ by when it is asked again; another order of float32 sums does less, dropout far more.
_SAME = 1e-4


class ReferenceModel(Protocol):
    """Something to compare an artifact with: a checkpoint in float64, or another artifact."""

    @property
    def checkpoint(self) -> CheckpointRecord | None:
        """The checkpoint, if that is what it is."""

    @property
    def model(self) -> Mlp | None:
        """The float32 model on the CPU, if there is one: layers can then be compared as well."""

    def logits(self, images: Float32Array) -> Float64Array:
        """Return the logits ``(N, 10)`` float64 of images ``(N, 1, 28, 28)`` float32."""

    def float32_errors(self, images: Float32Array, expected: Float64Array) -> Float64Array:
        """Return ``(N, 10)`` float64: how far float32 itself is from ``expected``; not finite where it overflows."""


@dataclass(frozen=True)
class Expectation:
    """What is expected on a probe.

    Attributes:
        logits: ``(N, 10)`` float64.
        judged: ``(N,)``: whether float32 itself is finite there, so that an artifact can be judged.
        units: ``(10,)`` float64: the unit of error of each class on these images, absolute.
    """

    logits: Float64Array
    judged: NDArray[np.bool_]
    units: Float64Array


class ModuleReference:
    """What any module computes that maps images to logits, in float64 on the CPU.

    Its weights may also be those of a checkpoint of this model's family; then stale artifacts and layers can be named.
    What is compared is the module's own function all the same.
    """

    def __init__(self, module: nn.Module, known: Checkpoint | None = None) -> None:
        self.checkpoint = known.record if known else None
        self.model = known.model() if known else None
        self._eager = copy.deepcopy(module).float().cpu().eval()
        self._exact = copy.deepcopy(module).double().cpu().eval()

    def logits(self, images: Float32Array) -> Float64Array:
        """Return the logits ``(N, 10)`` float64 of images ``(N, 1, 28, 28)`` float32."""
        return _in_batches(self._exact, images, torch.float64)

    def float32_errors(self, images: Float32Array, expected: Float64Array) -> Float64Array:
        """Return the errors ``(N, 10)`` float64 of eager float32; not finite where it overflows."""
        pin_precision({torch.float32}, "cpu")  # the unit must be that of float32 itself
        with np.errstate(invalid="ignore"):  # infinity less infinity, where both overflow
            errors: Float64Array = np.abs(_in_batches(self._eager, images, torch.float32) - expected)
        return errors


class Reference(ModuleReference):
    """What a checkpoint computes, in float64 on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint.model(), checkpoint)


class ArtifactReference:
    """What another artifact computes.

    Its float64 is not known, so the unit is estimated by perturbation: how far its logits move when every pixel
    moves by one unit in the last place, at random, the most of a few times. Each time is a sample of Monte Carlo
    arithmetic (Parker, "Monte Carlo Arithmetic", 1997), confined to the inputs.
    """

    checkpoint: CheckpointRecord | None = None
    model: Mlp | None = None
    _SAMPLES = 4

    def __init__(self, session: Session, seed: int = 0) -> None:
        self._session = session
        self._seed = seed

    def logits(self, images: Float32Array) -> Float64Array:
        """Return the logits ``(N, 10)`` of images ``(N, 1, 28, 28)`` float32, as float64."""
        batches = (images[start : start + _BATCH].copy() for start in range(0, len(images), _BATCH))
        return np.concatenate([call_session(self._session, batch).astype(np.float64) for batch in batches])

    def float32_errors(self, images: Float32Array, expected: Float64Array) -> Float64Array:
        """Return ``(N, 10)`` float64: the largest change over a few perturbations of the inputs in the last place."""
        random = np.random.default_rng(self._seed)
        worst = np.zeros_like(expected)
        for _ in range(self._SAMPLES):
            towards = np.where(random.random(images.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
            with np.errstate(invalid="ignore", under="ignore"):
                moved = self.logits(np.nextafter(images, np.where(images == 0, images, towards)))
                worst = np.maximum(worst, np.abs(moved - expected))
        return worst


def check_reference(reference: ReferenceModel, name: str) -> None:
    """Make sure that something can be a reference, before anything is compared with it.

    Raises:
        UsageError: If it does not map images to ten finite logits each.
    """
    images = np.linspace(0, 1, 3 * 784, dtype=np.float32).reshape(3, 1, 28, 28)
    try:
        logits = reference.logits(images)
        shape = len(images), CLASSES
        reason = None if logits.shape == shape else f"for {len(images)} images it gives {logits.shape}, not {shape}"
        if reason is None and not np.isfinite(logits).all():
            reason = "its logits are not finite"
        if reason is None and not np.allclose(reference.logits(images), logits, rtol=_SAME):
            reason = "it gives other logits for the same images (dropout, or state)"
    except Exception as error:  # noqa: BLE001  whatever a module or runtime raises, this is no reference
        reason = first_line(error)
    if reason:
        raise UsageError(
            f"{name} cannot be the reference: {reason}",
            "pass a model that maps images, in the dtype of its weights, to ten logits each, always the same",
        )


class Expectations:
    """The expectations of a reference on probes, each computed once and used for every artifact.

    Attributes:
        reference: What is asked.
    """

    def __init__(self, reference: ReferenceModel, real: Probe | None = None) -> None:
        """Ask nothing yet.

        Args:
            reference: What is asked.
            real: Real images, by which eager's usual error is known; None for the bundled sample.
        """
        self.reference = reference
        self._real = real or sample_probe()
        self._known: dict[int, tuple[Probe, Expectation]] = {}

    def of(self, probe: Probe) -> Expectation:
        """Return what is expected on ``probe``."""
        if id(probe) not in self._known:  # the probe is kept, so its id is not used again
            expected, errors = [], []
            for images in probe.batches():
                expected.append(self.reference.logits(images))
                errors.append(self.reference.float32_errors(images, expected[-1]))
            usual = 0.0 if probe is self._real else self.usual
            self._known[id(probe)] = probe, expectation(np.concatenate(expected), np.concatenate(errors), usual)
        return self._known[id(probe)][1]

    @property
    def usual(self) -> float:
        """What eager is off by on real images, beside the largest logit."""
        real = self.of(self._real)
        largest = float(np.abs(real.logits[real.judged]).max(initial=0.0))
        return float(real.units.max()) / largest if largest and real.judged.any() else 0.0


def expectation(expected: Float64Array, errors: Float64Array, usual: float = 0.0) -> Expectation:
    """Put together what the reference says and how far float32 is from it.

    Args:
        expected: Logits ``(N, 10)``.
        errors: ``(N, 10)``, of float32.
        usual: `Expectations.usual`.
    """
    judged = np.all(np.isfinite(np.concatenate((errors, expected), axis=1)), axis=1)
    return Expectation(expected, judged, class_units(errors[judged], expected[judged], usual))


def make_golden(reference: Reference, pictures: NDArray[np.uint8] | None = None) -> Golden:
    """Compute the golden logits; the limit is taken over the whole sample, 16 images say too little.

    Args:
        reference: What computes them.
        pictures: ``(N, 28, 28)`` uint8: the golden inputs; None for 16 images of the sample.
    """
    inputs = load_sample().inputs()
    chosen = np.linspace(0, len(inputs) - 1, _GOLDEN_IMAGES).astype(int)
    if pictures is not None:
        chosen = np.arange(len(pictures))
        own = ImageSet(pictures, np.zeros(len(pictures), np.int64))
        inputs = np.concatenate([own.inputs(), inputs])
    expected = reference.logits(inputs)
    limit = LIMIT_IN_UNITS * expectation(expected, reference.float32_errors(inputs, expected)).units.max()
    return Golden(inputs[chosen], expected[chosen], float(limit))


def _in_batches(model: nn.Module, images: Float32Array, dtype: torch.dtype) -> Float64Array:
    weights = sum(each.numel() for each in model.parameters())
    with torch.inference_mode(), fitting_threads(min(len(images), _BATCH) * weights):
        parts = [
            model(torch.from_numpy(images[start : start + _BATCH]).to(dtype)).double().numpy()
            for start in range(0, len(images), _BATCH)
        ]
    result: Float64Array = np.concatenate(parts)
    return result
