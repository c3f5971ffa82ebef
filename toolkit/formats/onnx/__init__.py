"""ONNX: a graph for every runtime that reads it; executed here by ONNX Runtime."""

from toolkit.formats.info import FormatInfo

INFO = FormatInfo(
    module=__name__,
    name="onnx",
    runtime="onnxruntime",
    distributions=("onnxruntime", "onnxruntime-gpu"),
    precision="float32",
    devices=("cpu", "cuda"),
    packages=("onnx", "onnxscript", "onnxruntime"),
    suffixes=(".onnx",),
    names=("input", "logits"),
    keeps_float32="set use_tf32 to 0 (CUDA) or leave mlas.enable_gemm_fastmath_arm64_bfloat16 off (ARM)",
)
