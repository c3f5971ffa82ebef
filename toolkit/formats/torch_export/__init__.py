"""torch.export: the successor of TorchScript, a graph of ATen operators with its weights in one file."""

from toolkit.formats.info import FormatInfo

INFO = FormatInfo(
    module=__name__,
    name="torch-export",
    runtime="libtorch",
    distributions=("torch",),
    precision="float32",
    devices=("cpu", "cuda", "mps"),
    packages=("torch",),
    suffixes=(".pt2",),
    names=("images", None),
    keeps_float32="set torch.set_float32_matmul_precision('highest'), and take casts out of the model",
)
