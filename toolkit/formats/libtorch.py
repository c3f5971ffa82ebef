"""The session of everything that libtorch executes: eager, TorchScript, torch.export."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolkit.errors import CorruptArtifactError, PrecisionError, UnsupportedDeviceError, first_line
from toolkit.fashion.model import Mlp
from toolkit.formats.archives import ZIP_ERRORS, damaged_member
from toolkit.records import Precision, Signature, TensorSpec
from toolkit.system.devices import device_type, synchronize

# The lowest first: it decides where several meet.
_PRECISIONS: dict[torch.dtype, Precision] = {
    torch.qint8: "int8",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.float32: "float32",
}
# torch names the arithmetic of float32 matrix products so; "ieee" is plain float32.
_MATMUL: dict[str, Precision] = {"ieee": "float32", "tf32": "tf32", "bf16": "bfloat16"}


class LibtorchSession:
    """A callable of tensors on one device."""

    def __init__(
        self, function: Callable[[Tensor], Any], dtypes: set[torch.dtype], device: str, signature: Signature
    ) -> None:
        """Take a function whose weights are on ``device`` already.

        Args:
            function: From images ``(N, 1, 28, 28)`` to logits.
            dtypes: Floating-point dtypes of all its weights.
            device: Where it computes.
            signature: What the artifact declares.

        Raises:
            PrecisionError: If float32 products would be computed in less.
        """
        self._function, self._device = function, device
        self.signature = signature
        self._dtype = torch.float32 if torch.float32 in dtypes else _lowest(dtypes)
        self.precision = pin_precision(dtypes, device)

    def to_device(self, images: NDArray[np.float32]) -> Tensor:
        """Copy ``(N, 1, 28, 28)`` float32 to the device: as float32 if any weight is float32, else in the weights' own.

        On the CPU and in float32 the memory is shared, nothing is copied.
        """
        return torch.from_numpy(images).to(self._device, self._dtype)

    def run(self, batch: Tensor) -> Any:
        """Return the logits on the device, which may still be computing them."""
        with torch.inference_mode():
            return self._function(batch)

    def synchronize(self) -> None:
        """Wait for the device."""
        synchronize(self._device)

    def to_host(self, logits: Any) -> NDArray[np.float32]:
        """Return the logits as an array of the host, in the dtype they have.

        Raises:
            TypeError: If the artifact gave something else than one tensor.
        """
        if not isinstance(logits, Tensor):
            raise TypeError(f"the artifact returns a {type(logits).__name__}, not one tensor")
        host = logits.detach().cpu()
        array: NDArray[np.float32] = (host.float() if host.dtype == torch.bfloat16 else host).numpy()
        return array  # NumPy has no bfloat16


def pin_precision(dtypes: set[torch.dtype], device: str) -> Precision:
    """Pin float32 products to float32 and return the arithmetic that weights of ``dtypes`` get.

    Of several the lowest counts. Float64 beside others lowers nothing; alone it is no precision that is judged.
    Without any weights the images' own float32 decides.

    torch can lower float32 products to TF32 (CUDA) or bfloat16 (CPU) when asked to by a program, so
    the setting is made here and read back.

    Raises:
        PrecisionError: If the setting does not hold, or weights have another dtype.
    """
    if dtypes == {torch.float64} or dtypes - {torch.float64, *_PRECISIONS}:
        found = " and ".join(sorted(str(each).removeprefix("torch.") for each in dtypes))
        raise PrecisionError("float32", found, "export the model with float32 weights")
    dtype = _lowest(dtypes)
    if dtype != torch.float32 or device_type(device) == "mps":
        return _PRECISIONS[dtype]  # Metal has no setting that lowers float32
    backends: Any = torch.backends  # torch's annotations do not know mkldnn.matmul
    backend = backends.cuda.matmul if device_type(device) == "cuda" else backends.mkldnn.matmul
    backend.fp32_precision = "ieee"
    actual = _MATMUL.get(backend.fp32_precision, backend.fp32_precision)
    if actual != "float32":
        raise PrecisionError("float32", str(actual), "call torch.set_float32_matmul_precision('highest')")
    return "float32"


def _lowest(dtypes: set[torch.dtype]) -> torch.dtype:
    return next((dtype for dtype in _PRECISIONS if dtype in dtypes), torch.float32)


def set_threads(threads: int | None) -> None:
    """Give libtorch's operators ``threads`` threads in this process; None leaves them as they are."""
    if threads is not None:
        torch.set_num_threads(threads)


def check_archive(path: Path, format: str) -> None:
    """Compare the checksums of an archive's members: torch does not, and a flipped bit is a wrong weight.

    Raises:
        CorruptArtifactError: If one differs, or the file is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = damaged_member(archive)
    except ZIP_ERRORS as error:
        raise CorruptArtifactError(
            path, format, f"it is no archive, or a truncated one ({first_line(error)})"
        ) from error
    if damaged:
        raise CorruptArtifactError(path, format, f"it is damaged: {damaged} is not what was written")


def check_placed(function: torch.nn.Module, device: str, format: str) -> None:
    """Make sure that no weight stayed on another device.

    Raises:
        UnsupportedDeviceError: If one did.
    """
    kinds = {tensor.device.type for tensor in (*function.parameters(), *function.buffers())}
    if kinds - {device_type(device)}:
        raise UnsupportedDeviceError(
            format,
            device,
            f"some of its weights stay on {', '.join(sorted(kinds))}",
            "export the artifact again",
        )


def describe_model(model: Mlp, device: str) -> tuple[set[torch.dtype], str, Signature]:
    """Return what a session of ``model`` is told of it: dtypes of the weights, device, signature."""
    dtypes = {tensor.dtype for tensor in model.parameters()}
    signature = Signature(
        inputs=(TensorSpec(name="images", dtype="float32", shape=("batch", 1, 28, 28)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=("batch", model.config.layer_sizes[-1])),),
    )
    return dtypes, device, signature
