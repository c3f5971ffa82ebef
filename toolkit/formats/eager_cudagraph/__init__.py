"""Eager PyTorch replayed as a CUDA graph: a row without the cost of launching each kernel. It has no file."""

from toolkit.formats.info import FormatInfo

INFO = FormatInfo(
    module=__name__,
    name="eager-cudagraph",
    runtime="libtorch",
    distributions=("torch",),
    precision="float32",
    devices=("cuda",),
    packages=("torch",),
)
