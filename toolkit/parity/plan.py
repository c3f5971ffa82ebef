"""The plan of a parity run: what to compare with, and on what."""

from dataclasses import dataclass, field
from pathlib import Path

from toolkit.data import ImageSet
from toolkit.parity.probes import SEED, Probe, default_probes, sample_probe
from toolkit.parity.quality import Gates
from toolkit.parity.reference import Expectations, ReferenceModel
from toolkit.records import ImageSource, Precision


@dataclass(frozen=True)
class Plan:
    """What to compare with, and on what; made once for all artifacts of a run.

    Attributes:
        expectations: The reference, and what it says on each probe.
        sample: Real images, on which behaviour is tried.
        probes: Further inputs for values.
        labelled: Images with labels, by which lower precision is judged.
        source: Which images these are.
        declared: The precision by whose rule the artifacts are judged.
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
    declared: Precision = "float32"
    gates: Gates = field(default_factory=Gates)
    seed: int = SEED
    against: str | None = None
    reproduce: Path | None = None

    @property
    def reference(self) -> ReferenceModel:
        """What the artifacts must compute."""
        return self.expectations.reference


def make_plan(reference: ReferenceModel, *, seed: int = SEED, full: ImageSet | None = None) -> Plan:
    """Return a plan with all probes.

    Args:
        reference: What the artifacts must compute.
        seed: Of the random probes and of the search.
        full: The test set: values are compared on it, and lower precision is judged by it.
    """
    sample = sample_probe()
    probes = default_probes(sample, reference.model, seed, full)
    labelled = probes[0] if full else sample  # `default_probes` puts the test set first; its logits are computed once
    return Plan(
        Expectations(reference),
        sample,
        probes,
        labelled=labelled,
        source="test set" if full else "sample",
        seed=seed,
    )
