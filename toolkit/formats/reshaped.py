"""A session in front of an artifact that wants its images in another shape, such as flattened."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.formats import Session
from toolkit.records import Precision, Signature

#: Shapes of one image that are understood, the toolkit's own first.
IMAGE_SHAPES: tuple[tuple[int, ...], ...] = ((1, 28, 28), (784,), (28, 28), (28, 28, 1))
_TRIAL_IMAGES = 2


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


def fit_session(session: Session, shape: tuple[int, ...]) -> Session:
    """Return a session that takes ``(N, 1, 28, 28)`` for an artifact that takes images of ``shape``."""
    return session if shape == IMAGE_SHAPES[0] else ReshapedSession(session, shape)


def image_shape(session: Session) -> tuple[tuple[int, ...], bool]:
    """Return the shape of one image as an artifact wants it, and whether the session was called to find out.

    The artifact's own declaration decides. Where there is none, as in TorchScript, the shapes are tried on two images.
    """
    declared = declared_shape(session.signature)
    if declared is None:
        return next((shape for shape in IMAGE_SHAPES if _answers(session, shape)), IMAGE_SHAPES[0]), True
    return declared, False


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
    return session.image_shape if isinstance(session, ReshapedSession) else IMAGE_SHAPES[0]


def fits(declared: tuple[int | str | None, ...], shape: tuple[int, ...]) -> bool:
    """Say whether a declared shape, whose free sizes are names or None, can be ``shape``."""
    return len(declared) == len(shape) and all(
        not isinstance(size, int) or size == want for size, want in zip(declared, shape, strict=True)
    )


def _answers(session: Session, shape: tuple[int, ...]) -> bool:
    try:
        session.run(session.to_device(np.zeros((_TRIAL_IMAGES, *shape), np.float32)))
        session.synchronize()
    except Exception:  # noqa: BLE001  whatever a runtime raises, this shape is not the one
        return False
    return True
