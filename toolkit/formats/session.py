"""What a format provides, and what an opened artifact can do."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from toolkit.fashion.model import Mlp
    from toolkit.records import ArtifactMetadata, Precision, Signature


class Session(Protocol):
    """A loaded artifact on one device with one thread setting. It never reads a clock."""

    @property
    def precision(self) -> "Precision":
        """The arithmetic that really runs, read back from the runtime."""

    @property
    def signature(self) -> "Signature":
        """Inputs and outputs as the artifact declares them."""

    def to_device(self, images: "NDArray[np.float32]") -> Any:
        """Copy ``(N, 1, 28, 28)`` float32 from the host into the runtime's own kind of batch."""

    def run(self, batch: Any) -> Any:
        """Compute the runtime's own kind of logits; may return before the device is done."""

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def to_host(self, logits: Any) -> "NDArray[np.float32]":
        """Return the logits as the artifact gave them, an array of the host; ``(N, 10)`` float32 if all is well."""


class Format(Protocol):
    """What the module ``runtime`` of a format's folder provides.

    A format without a file has ``open_model(model, device, threads)`` in place of these three. A runtime with a clock
    of its device may have ``device_times(session, batch, device, calls)``, one that tells what it holds there
    ``device_memory_bytes(device)``, and one that comes in several builds ``remedy_for(kind)``.
    """

    def export(self, model: "Mlp", path: Path, metadata: "ArtifactMetadata") -> None:
        """Write ``model`` (evaluation mode, float32, CPU) to ``path`` as one file."""

    def load(self, path: Path, device: str, threads: int | None) -> Session:
        """Open ``path`` on exactly ``device``; ``threads`` None leaves the runtime its own choice.

        Raises:
            CorruptArtifactError: If the file does not open.
            UnsupportedDeviceError, PrecisionError: If the session would not be what was asked for.
        """

    def read_metadata(self, path: Path) -> str | None:
        """Return the JSON of `ArtifactMetadata` inside the file, or None if it has none.

        Raises:
            CorruptArtifactError: If the file does not open.
        """


def call_session(session: Session, images: "NDArray[np.float32]") -> "NDArray[Any]":
    """Return what a session computes for ``(n, 1, 28, 28)`` float32; on the CPU it may write to ``images``."""
    import numpy as np

    native = session.run(session.to_device(images))
    session.synchronize()
    return np.array(session.to_host(native))  # a copy: the runtime may use its memory again
