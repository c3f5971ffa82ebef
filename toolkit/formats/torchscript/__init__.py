"""TorchScript: a scripted module in one file. Deprecated upstream in favour of torch.export; still widely deployed."""

from toolkit.formats.info import FormatInfo

INFO = FormatInfo(
    module=__name__,
    name="torchscript",
    runtime="libtorch",
    distributions=("torch",),
    precision="float32",
    devices=("cpu", "cuda", "mps"),
    packages=("torch",),
    suffixes=(".ts.pt",),
    names=("images", None),
    keeps_float32="set torch.set_float32_matmul_precision('highest'), and take casts out of the model",
)
