"""The baseline: the checkpoint itself in eager PyTorch. No file, so no entry in the registry."""

import torch

from toolkit.formats import Session
from toolkit.formats.libtorch import LibtorchSession, set_threads
from toolkit.model import Mlp
from toolkit.records import Signature, TensorSpec

_IMAGES = ("batch", 1, 28, 28)


def open_eager(model: Mlp, device: str, threads: int | None = None) -> Session:
    """Return a session of ``model`` on ``device``; the model itself is moved there."""
    set_threads(threads)
    signature = Signature(
        inputs=(TensorSpec(name="images", dtype="float32", shape=_IMAGES),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=("batch", model.config.layer_sizes[-1])),),
    )
    model = model.to(torch.device(device))
    return LibtorchSession(model, {tensor.dtype for tensor in model.parameters()}, device, signature)
