"""Calls of a session as parity makes them: on a copy of the images, remembering what came back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import first_line
from toolkit.formats import Session

Float32Array = NDArray[np.float32]


class RuntimeFailedError(Exception):
    """The runtime raised on good inputs, which is a finding and not an inability."""


@dataclass
class Calls:
    """A session, and a record of its calls.

    Attributes:
        session: The artifact.
        shapes: Per call how many images it was given and the shape of what it returned.
        dtypes: Per call the dtype of what it returned.
        overwritten: The first batch that the artifact changed while it computed, as it was before; None for none.
    """

    session: Session
    shapes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    overwritten: Float32Array | None = None

    def __call__(self, images: Float32Array) -> NDArray[Any]:
        """Return what the artifact computes for ``(n, 1, 28, 28)`` float32; ``images`` stay as they are.

        Raises:
            RuntimeFailedError: If the runtime raises.
        """
        given = images.copy()  # on the CPU a session may share this memory, and an artifact may write to it
        try:
            logits = self.unprotected(given)
        except Exception as error:
            raise RuntimeFailedError(first_line(error)) from error
        if self.overwritten is None and not np.array_equal(given.view(np.int32), images.view(np.int32)):
            self.overwritten = images
        self.shapes.append((len(images), logits.shape))
        self.dtypes.append(str(logits.dtype))
        return logits

    def unprotected(self, images: Float32Array) -> NDArray[Any]:
        """Return the same for the memory of ``images`` itself, remembering nothing; errors are the runtime's own."""
        native = self.session.run(self.session.to_device(images))
        self.session.synchronize()
        return np.array(self.session.to_host(native))  # a copy: the runtime may use its memory again
