"""The plan of a parity run: what to compare with, and on what."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from toolkit.errors import DataNotFoundError
from toolkit.fashion.data import load_test_set
from toolkit.parity.probes import SEED, Probe, default_probes, filled_probe, picture_probe, sample_probe
from toolkit.parity.reference import Expectations, ReferenceModel
from toolkit.parity.rules.quality import Gates
from toolkit.records import ImageSource
from toolkit.workload.images import ImageSet


@dataclass(frozen=True)
class Plan:
    """What to compare with, and on what; made once for all artifacts of a run.

    Attributes:
        expectations: The reference, and what it says on each probe.
        sample: Real images, on which behaviour is tried.
        probes: Further inputs for values.
        labelled: Images with labels, by which lower precision is judged.
        source: Which images these are.
        gates: What lower precision must keep.
        seed: Of the random probes and of the search.
        against: Path of the artifact that is the reference; None for a checkpoint.
        reproduce: Folder for reproductions; None for none.
    """

    expectations: Expectations
    sample: Probe
    probes: tuple[Probe, ...]
    labelled: Probe
    source: ImageSource = "sample"
    gates: Gates = field(default_factory=Gates)
    seed: int = SEED
    against: str | None = None
    reproduce: Path | None = None

    @property
    def reference(self) -> ReferenceModel:
        """What the artifacts must compute."""
        return self.expectations.reference

    def for_lower_precision(self) -> "Plan":
        """Return the plan for an artifact of lower precision: it is judged by labels, the more of them the surer.

        The test set takes the place of the sample where it is installed and no other pictures were chosen.
        """
        labelled = _installed_test_set() if self.source == "sample" else None
        if labelled is None:
            return self
        probes = (filled_probe(labelled, self.sample), *self.probes)
        return replace(self, labelled=labelled, source="test set", probes=probes)


def make_plan(
    reference: ReferenceModel, *, seed: int = SEED, full: ImageSet | None = None, source: ImageSource = "test set"
) -> Plan:
    """Return a plan with all probes.

    Args:
        reference: What the artifacts must compute.
        seed: Of the random probes and of the search.
        full: The test set, or own pictures: values are compared on them, and lower precision is judged by them.
        source: Which of these ``full`` is.
    """
    sample = sample_probe()
    labelled = picture_probe(source, full) if full else None
    probes = default_probes(sample, reference.model, seed, labelled)
    return Plan(
        Expectations(reference, sample),
        sample,
        probes,
        labelled=labelled or sample,
        source=source if full else "sample",
        seed=seed,
    )


@cache
def _installed_test_set() -> Probe | None:
    """Return the test set if it is in one of the usual places; nothing is downloaded for it."""
    try:
        return picture_probe("test set", load_test_set())
    except DataNotFoundError:
        return None
