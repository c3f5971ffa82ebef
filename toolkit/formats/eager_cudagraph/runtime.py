"""Opens a model as a CUDA graph: captured once per batch size, then replayed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.errors import UnsupportedDeviceError
from toolkit.fashion.model import Mlp
from toolkit.formats import Session
from toolkit.formats.libtorch import LibtorchSession, describe_model
from toolkit.formats.libtorch_device import device_memory_bytes, device_times
from toolkit.records import Signature
from toolkit.system.devices import device_type

__all__ = ["CudaGraphSession", "device_memory_bytes", "device_times", "open_model"]

# As often as torch's documentation warms up before it captures: lazy libraries start, workspaces are allocated.
_WARMUP_CALLS: Final = 3


def open_model(model: Mlp, device: str, threads: int | None = None) -> Session:  # noqa: ARG001  no CPU thread computes
    """Return a session that replays ``model`` as a CUDA graph; the model itself is moved to ``device``.

    Raises:
        UnsupportedDeviceError: If ``device`` is not CUDA.
    """
    if device_type(device) != "cuda":
        raise UnsupportedDeviceError(
            "eager-cudagraph", device, "only CUDA has graphs of its kernels", "choose cuda with --device"
        )
    model = model.to(torch.device(device))
    return CudaGraphSession(model, *describe_model(model, device))


@dataclass
class _Static:
    """What a graph reads and writes, always at the same addresses.

    Attributes:
        images: Its input.
        graph: None until the first call at this batch size.
        logits: Its output; None until then.
        filled: How often the input was written.
        replayed: How often the output was.
    """

    images: Tensor
    graph: torch.cuda.CUDAGraph | None = None
    logits: Any = None
    filled: int = 0
    replayed: int = 0


@dataclass(frozen=True)
class _View:
    """A batch or its logits: what a static tensor holds until it is written the next time."""

    static: _Static
    version: int


class CudaGraphSession(LibtorchSession):
    """A function of tensors, captured once per batch size and replayed: one launch in place of one per kernel.

    A batch holds until the next one of its size is copied in, logits until the next call at their size: the graph has
    one input and one output. Using them later is an error.
    """

    def __init__(
        self, function: Callable[[Tensor], Any], dtypes: set[torch.dtype], device: str, signature: Signature
    ) -> None:
        """Take a function whose weights are on ``device`` already; arguments and errors as `LibtorchSession`."""
        super().__init__(function, dtypes, device, signature)
        self._statics: dict[tuple[int, ...], _Static] = {}

    def to_device(self, images: NDArray[np.float32]) -> Any:
        """Copy ``(N, 1, 28, 28)`` float32 into the input of the graph for N images."""
        static = self._statics.get(images.shape)
        if static is None:
            static = self._statics[images.shape] = _Static(super().to_device(images))
        else:
            static.images.copy_(torch.from_numpy(images))
        static.filled += 1
        return _View(static, static.filled)

    def run(self, batch: Any) -> Any:
        """Replay the graph, which the first call at a batch size captures before.

        Raises:
            RuntimeError: If another batch of the same size was copied in since.
        """
        static: _Static = batch.static
        if batch.version != static.filled:
            raise RuntimeError("another batch of this size took its place in the graph; copy it to the device again")
        if static.graph is None:
            self._capture(static)
        assert static.graph is not None  # it was captured
        static.graph.replay()
        static.replayed += 1
        return _View(static, static.replayed)

    def to_host(self, logits: Any) -> NDArray[np.float32]:
        """Return the logits as an array of the host, in the dtype they have.

        Raises:
            RuntimeError: If the graph was replayed since.
        """
        static: _Static = logits.static
        if logits.version != static.replayed:
            raise RuntimeError("a later call took the place of these logits in the graph; copy them to the host before")
        return super().to_host(static.logits)

    def _capture(self, static: _Static) -> None:
        """Record what the function does, as torch's documentation says: first some calls on a side stream.

        The same stream captures: libraries such as cuBLAS allocate per stream, which a capture does not allow.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device), torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no annotation for it
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARMUP_CALLS):
                    self._function(static.images)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(graph, stream=side):
                static.logits = self._function(static.images)
        static.graph = graph
