"""Every mutant is killed, and by the check that names its cause; what is right passes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch

from mutants import behaviour, calls, files, graph, inputs, outputs, weights
from mutants.mutant import Context, Family, Mutant, Wrapped, same, same_logits, with_function, with_module, with_state
from toolkit.fashion.checkpoint import Checkpoint
from toolkit.fashion.data import load_sample
from toolkit.formats import FORMATS
from toolkit.formats.target import Target
from toolkit.parity import Plan, Reference, check_artifact, make_plan
from toolkit.records import ParityRecord

MUTANTS = tuple(
    mutant for module in (weights, graph, inputs, outputs, behaviour, calls, files) for mutant in module.MUTANTS
)
CASES = [(mutant, info.name) for mutant in MUTANTS for info in FORMATS.values() if info.name not in mutant.absent]


@pytest.fixture(scope="session")
def plan(bundled: Checkpoint) -> Plan:
    return make_plan(Reference(bundled))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: on a busy machine several wait for one another, eight times as long as they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(path: Path, format: str, plan: Plan) -> ParityRecord:
    return check_artifact(Target(FORMATS[format], path), plan, threads=1)


@pytest.mark.parametrize(("mutant", "format"), CASES, ids=[f"{mutant.name}-{name}" for mutant, name in CASES])
def test_a_mutant_is_killed_by_the_check_that_names_its_cause(
    mutant: Mutant, format: str, context: Context, plan: Plan, tmp_path: Path
) -> None:
    path = mutant.build(format, tmp_path, context)
    assert path is not None
    record = check(path, format, plan)
    assert record.cause in mutant.causes_in(format), (record.cause, record.failure)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", weights.EQUIVALENTS)
def test_the_same_function_in_other_numbers_passes(
    name: str, format: str, context: Context, plan: Plan, tmp_path: Path
) -> None:
    path = with_state(weights.EQUIVALENTS[name])(format, tmp_path, context)
    assert path is not None
    record = check(path, format, plan)
    assert record.passed, record.failure


_NOTHING = "y = Identity(x)"
_UNCHANGED = {
    "images": with_function("images", same, _NOTHING),
    "relu": with_function("relu", torch.relu, "y = Relu(x)"),
    "relu_1": with_function("relu_1", torch.relu, "y = Relu(x)"),
    "logits": with_function("logits", same_logits, _NOTHING),
    "module": with_module(Wrapped, lambda proto: None),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("place", _UNCHANGED)
def test_wrapping_alone_breaks_nothing(place: str, format: str, context: Context, plan: Plan, tmp_path: Path) -> None:
    path = _UNCHANGED[place](format, tmp_path, context)
    assert path is not None
    record = check(path, format, plan)
    assert record.passed, record.failure


def test_there_are_many_mutants_of_every_family_and_format() -> None:
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
    assert len(MUTANTS) >= 60
    assert {mutant.family for mutant in MUTANTS} == set(get_args(Family))
    for family in get_args(Family):
        for info in FORMATS.values():
            assert sum(mutant.family == family for mutant, name in CASES if name == info.name) >= 15, (
                family,
                info.name,
            )


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.absent], ids=lambda mutant: mutant.name)
def test_a_format_is_left_out_only_with_a_reason(mutant: Mutant, context: Context, tmp_path: Path) -> None:
    assert set(mutant.absent) < set(FORMATS)
    assert all(mutant.absent.values())
    assert [mutant.build(name, tmp_path, context) for name in mutant.absent] == [None] * len(mutant.absent)


def test_quiet_units_are_quiet(bundled: Checkpoint) -> None:
    """No image of the sample switches them on, so only images made for them can find their mutants."""
    stack, values = bundled.model().linear_relu_stack, torch.from_numpy(load_sample().inputs()).flatten(1)
    first = stack[:2](values)
    second = stack[2:4](first)
    assert first[:, weights.QUIET_UNITS["first"]].max() == 0
    assert second[:, weights.QUIET_UNITS["second"]].max() == 0
