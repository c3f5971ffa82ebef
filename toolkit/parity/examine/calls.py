"""Calls of a session as parity makes them: on a copy of the images, remembering what came back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import first_line
from toolkit.formats import Session
from toolkit.formats.session import call_session
from toolkit.parity.rules.checks import check_dtype, check_shape
from toolkit.records import CheckRecord, Precision
from toolkit.workload.images import Float32Array


class RuntimeFailedError(Exception):
    """The runtime raised on good inputs, which is a finding and not an inability."""

    def __init__(self, images: Float32Array, reason: str) -> None:
        self.images, self.reason = images, reason
        super().__init__(f"a batch of {len(images)} fails: {reason}")


class UnusableOutputError(Exception):
    """What came back has not the shape or dtype that further checks need."""

    def __init__(self, images: Float32Array, check: CheckRecord) -> None:
        self.images, self.check = images, check
        super().__init__(check.detail)


@dataclass
class RecordedCalls:
    """A session, and a record of its calls.

    Attributes:
        session: The artifact.
        declared: The precision by whose rule it is judged.
        strict: Whether a shape or dtype that is wrong ends the examination. The first calls only look.
        shapes: Per call that only looks how many images it was given and the shape of what it returned.
        dtypes: The dtypes that came back of these.
        overwritten: The first batch that the artifact changed while it computed, as it was before; None for none.
    """

    session: Session
    declared: Precision = "float32"
    strict: bool = False
    shapes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    dtypes: dict[str, None] = field(default_factory=dict)
    overwritten: Float32Array | None = None
    _good: set[tuple[int, tuple[int, ...], np.dtype[Any]]] = field(default_factory=set, init=False, repr=False)

    def __call__(self, images: Float32Array) -> NDArray[Any]:
        """Return what the artifact computes for ``(n, 1, 28, 28)`` float32; ``images`` stay as they are.

        Raises:
            RuntimeFailedError: If the runtime raises.
            UnusableOutputError: If a shape or dtype is wrong and the calls are strict.
        """
        given = images.copy()  # on the CPU a session may share this memory, and an artifact may write to it
        try:
            logits = self.unprotected(given)
        except Exception as error:
            raise RuntimeFailedError(images, first_line(error)) from error
        if self.overwritten is None and not np.array_equal(given.view(np.int32), images.view(np.int32)):
            self.overwritten = images
        if self.strict:
            self._check(images, logits)
        else:
            self.shapes.append((len(images), logits.shape))
            self.dtypes[str(logits.dtype)] = None
        return logits

    def _check(self, images: Float32Array, logits: NDArray[Any]) -> None:
        """Look at what came back; a shape and dtype that were good are good again, and most of the calls are alike."""
        kind = len(images), logits.shape, logits.dtype
        if kind in self._good:
            return
        for check in (check_shape([kind[:2]]), check_dtype([str(logits.dtype)], self.declared)):
            if not check.passed:
                raise UnusableOutputError(images, check)
        self._good.add(kind)

    def unprotected(self, images: Float32Array) -> NDArray[Any]:
        """Return the same for the memory of ``images`` itself, remembering nothing; errors are the runtime's own."""
        return call_session(self.session, images)
