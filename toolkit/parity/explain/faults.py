"""Faults: how a failed check is shown again, by a predicate in this process and by lines of a script in another.

The two of a pair must ask the same question, or what shrinks by the one does not fail by the other.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from toolkit.workload.images import Float32Array

#: From images ``(N, 1, 28, 28)`` float32 to what the artifact or the reference gives for them.
Run = Callable[[Float32Array], Float32Array]
Expect = Callable[[Float32Array], NDArray[np.float64]]
Fails = Callable[[Float32Array, Run, Expect, float], bool]

_LARGEST: Final = float(np.finfo(np.float32).max)
#: Of a script: the message of an exception. The runtimes' have many lines, and the last say most.
ONE_LINE: Final = '" ".join(str(error).split())[-300:]'


@dataclass(frozen=True)
class Fault:
    """How a failed check is shown again.

    Attributes:
        what: The fault in a few words, after the artifact's name.
        body: Lines of the script after ``x`` and ``limit`` are there; they raise AssertionError.
        fails: Whether a batch shows it, in this process.
        limited: Whether it is a matter of the limit.
    """

    what: str
    body: tuple[str, ...]
    fails: Fails
    limited: bool = False


def answer(run: Run, batch: Float32Array) -> NDArray[Any] | None:
    """Return a copy of what the artifact gives, or None when it raises: another fault than the one looked for."""
    try:
        return np.array(run(batch.copy()))
    except Exception:  # noqa: BLE001  whatever a runtime raises
        return None


def _beyond(actual: NDArray[Any] | None, expected: NDArray[Any], limit: float) -> bool:
    """Say whether a logit is off by more than the limit, or not finite, in rows that float32 can hold."""
    if actual is None or actual.shape != expected.shape:
        return False
    judged = (np.abs(expected) <= _LARGEST).all(axis=1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        return not (np.abs(actual - expected)[judged] <= limit).all()


def _wrong(batch: Float32Array, run: Run, expect: Expect, limit: float) -> bool:
    return _beyond(answer(run, batch), expect(batch), limit)


def _not_finite(batch: Float32Array, run: Run, expect: Expect, _limit: float) -> bool:
    return _beyond(answer(run, batch), expect(batch), _LARGEST)


def _depends(batch: Float32Array, run: Run, _expect: Expect, limit: float) -> bool:
    together, alone = answer(run, batch), [answer(run, row[None]) for row in batch]
    rows = [each for each in alone if each is not None and each.ndim]
    clean = np.isfinite(batch.reshape(len(batch), -1)).all(axis=1)  # the others are there to disturb these
    if together is None or len(rows) < len(batch) or together.shape != np.concatenate(rows).shape:
        return False
    return _beyond(together[clean], np.concatenate(rows)[clean], limit)


def _changes(batch: Float32Array, run: Run, _expect: Expect, limit: float) -> bool:
    first = answer(run, batch)
    for _ in range(2 if first is not None else 0):
        answer(run, np.concatenate([batch, batch]))
        if first is not None and _beyond(answer(run, batch), first, limit):
            return True
    return False


def _overwrites(batch: Float32Array, run: Run, _expect: Expect, _limit: float) -> bool:
    given = batch.copy()
    with suppress(Exception):  # whatever a runtime raises: it may have written before
        run(given)
    return not np.array_equal(given, batch, equal_nan=True)


def _raises(batch: Float32Array, run: Run, _expect: Expect, _limit: float) -> bool:
    return answer(run, batch) is None


def _misshapen(batch: Float32Array, run: Run, expect: Expect, _limit: float) -> bool:
    actual = answer(run, batch)
    return actual is not None and actual.shape != expect(batch).shape


def _mistyped(batch: Float32Array, run: Run, _expect: Expect, _limit: float) -> bool:
    actual = answer(run, batch)
    return actual is not None and actual.dtype != np.float32


_VALUES: Final = (
    'expected, actual = np.load("expected.npy"), infer(x)',
    "error = np.abs(actual - expected)",
    "i, j = np.unravel_index(error.argmax(), error.shape)",
    'said = f"image {i}, logit {j} is {actual[i, j]:.6g}, not {expected[i, j]:.6g}"',
    'assert error[i, j] <= limit, f"{said}: off by {error[i, j]:.3g}, allowed are {limit:.2g}"',
)
#: By the name of the failed check. The others have no single call that shows them.
FAULTS: Final[dict[str, Fault]] = {
    "values": Fault("wrong logits", _VALUES, _wrong, limited=True),
    "labels": Fault("wrong labels", _VALUES, _wrong, limited=True),
    "finite": Fault("logits that are not finite", _VALUES, _not_finite, limited=True),
    "row independence": Fault(
        "logits depend on the neighbours",
        (
            "together, alone = infer(x), np.concatenate([infer(row[None]) for row in x])",
            "clean = np.isfinite(x.reshape(len(x), -1)).all(axis=1)",
            "error = np.abs(together - alone)[clean].max()",
            'said = f"an image gives other logits alone than among {len(x)}"',
            'assert error <= limit, f"{said}: they differ by {error:.3g}, allowed are {limit:.2g}"',
        ),
        _depends,
        limited=True,
    ),
    "determinism": Fault(
        "logits change from call to call",
        (
            "first = infer(x).copy()",
            "for call in (2, 3):",
            "    infer(np.concatenate([x, x]))  # another size in between",
            "    error = np.abs(infer(x) - first).max()",
            '    assert error <= limit, f"call {call} differs from call 1 by {error:.3g}, allowed are {limit:.2g}"',
        ),
        _changes,
        limited=True,
    ),
    "input kept": Fault(
        "it overwrites its input",
        (
            "before = x.copy()",
            "infer(x)",
            'changed = f"{np.sum(x != before)} values of the input are others after the call"',
            "assert np.array_equal(x, before, equal_nan=True), changed",
        ),
        _overwrites,
    ),
    "batch sizes": Fault(
        "it raises",
        (
            "try:",
            "    infer(x)",
            "except Exception as error:",
            f'    raise AssertionError(f"a batch of {{len(x)}} raises: " + {ONE_LINE}) from None',
        ),
        _raises,
    ),
    "shape": Fault(
        "logits of another shape",
        (
            'expected, actual = np.load("expected.npy"), infer(x)',
            'assert actual.shape == expected.shape, f"{len(x)} image(s) give {actual.shape}, not {expected.shape}"',
        ),
        _misshapen,
    ),
    "dtype": Fault(
        "logits of another dtype",
        ("actual = infer(x)", 'assert actual.dtype == np.float32, f"the logits are {actual.dtype}, not float32"'),
        _mistyped,
    ),
}
