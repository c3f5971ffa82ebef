"""The baseline: the checkpoint itself in eager PyTorch. It has no file."""

from toolkit.formats.info import FormatInfo

INFO = FormatInfo(
    module=__name__,
    name="eager",
    runtime="libtorch",
    distributions=("torch",),
    precision="float32",
    devices=("cpu", "cuda", "mps"),
    packages=("torch",),
    baseline=True,
)
