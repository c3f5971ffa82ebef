"""Opens a model in eager PyTorch."""

from torch import device as torch_device

from toolkit.fashion.model import Mlp
from toolkit.formats import Session
from toolkit.formats.libtorch import LibtorchSession, describe_model, set_threads
from toolkit.formats.libtorch_device import device_memory_bytes, device_times

__all__ = ["device_memory_bytes", "device_times", "open_model"]


def open_model(model: Mlp, device: str, threads: int | None = None) -> Session:
    """Return a session of ``model`` on ``device``; the model itself is moved there."""
    set_threads(threads)
    model = model.to(torch_device(device))
    return LibtorchSession(model, *describe_model(model, device))
