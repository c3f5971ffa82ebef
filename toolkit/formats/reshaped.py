"""A session in front of an artifact that wants its images in another shape, such as flattened."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.formats.session import Session
from toolkit.records import Precision, Signature

#: Shapes of one image that are understood, the toolkit's own first.
IMAGE_SHAPES: tuple[tuple[int, ...], ...] = ((1, 28, 28), (784,), (28, 28), (28, 28, 1))


class ReshapedSession:
    """A session that is given ``(N, 1, 28, 28)`` and passes the same pixels on in another shape."""

    def __init__(self, session: Session, shape: tuple[int, ...]) -> None:
        self._session, self.image_shape = session, shape
        self.run, self.synchronize, self.to_host = session.run, session.synchronize, session.to_host

    @property
    def precision(self) -> Precision:
        """The arithmetic of the session behind."""
        return self._session.precision

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as the artifact declares them."""
        return self._session.signature

    def to_device(self, images: NDArray[np.float32]) -> Any:
        """Copy ``(N, 1, 28, 28)`` float32 to the runtime in the artifact's shape; no pixel moves."""
        return self._session.to_device(images.reshape(len(images), *self.image_shape))


@dataclass
class _Waiting:
    """A batch for an artifact whose shape is not known yet; ``native`` once it is."""

    images: NDArray[np.float32]
    native: Any = None


class UndeclaredSession:
    """A session of an artifact that does not say which shape it wants: its first call that works finds out.

    So the artifact is opened once, and no call is made only to try: what goes wrong in a first call is seen.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.image_shape: tuple[int, ...] | None = None
        self.synchronize, self.to_host = session.synchronize, session.to_host

    @property
    def precision(self) -> Precision:
        """The arithmetic of the session behind."""
        return self._session.precision

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as the artifact declares them."""
        return self._session.signature

    def to_device(self, images: NDArray[np.float32]) -> Any:
        """Copy ``(N, 1, 28, 28)`` float32 to the runtime in the artifact's shape; before a first call nothing moves."""
        if self.image_shape is None:
            return _Waiting(images)
        return self._session.to_device(images.reshape(len(images), *self.image_shape))

    def run(self, batch: Any) -> Any:
        """Return the logits; until a call works, each shape is tried, and the error of the first is raised."""
        if not isinstance(batch, _Waiting):
            return self._session.run(batch)
        if batch.native is None:
            return self._first_call(batch)
        return self._session.run(batch.native)

    def _first_call(self, batch: _Waiting) -> Any:
        first: Exception | None = None
        shapes = (self.image_shape,) if self.image_shape else IMAGE_SHAPES
        for shape in shapes:
            try:
                native = self._session.to_device(batch.images.reshape(len(batch.images), *shape))
                logits = self._session.run(native)
                self._session.synchronize()
            except Exception as error:  # noqa: BLE001  whatever a runtime raises, this shape is not the one
                first = first or error
            else:
                self.image_shape, batch.native = shape, native
                return logits
        assert first is not None  # there is a shape to try
        raise first


def fit_session(session: Session, shape: tuple[int, ...] | None) -> Session:
    """Return a session that takes ``(N, 1, 28, 28)``.

    Args:
        session: Of an artifact that takes images of ``shape``.
        shape: None where the artifact does not say.
    """
    if shape is None:
        return UndeclaredSession(session)
    return session if shape == IMAGE_SHAPES[0] else ReshapedSession(session, shape)


def declared_shape(signature: Signature) -> tuple[int, ...] | None:
    """Return the shape of one image as an artifact declares it, or None where it declares none.

    The toolkit's own shape stands for whatever nothing fits: the signature check then tells what was found.
    """
    declared = next((spec.shape for spec in signature.inputs), None)
    if declared is None:
        return None
    return next((shape for shape in IMAGE_SHAPES if fits(declared[1:], shape)), IMAGE_SHAPES[0])


def fitted_shape(session: Session) -> tuple[int, ...]:
    """Return the shape in which a session that `fit_session` gave passes one image on."""
    shape = session.image_shape if isinstance(session, ReshapedSession | UndeclaredSession) else None
    return shape or IMAGE_SHAPES[0]


def fits(declared: tuple[int | str | None, ...], shape: tuple[int, ...]) -> bool:
    """Say whether a declared shape, whose free sizes are names or None, can be ``shape``."""
    return len(declared) == len(shape) and all(
        not isinstance(size, int) or size == want for size, want in zip(declared, shape, strict=True)
    )
