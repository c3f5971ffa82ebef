"""ONNX: a graph for every runtime that reads it; executed here by ONNX Runtime."""

import os

from toolkit.formats.info import FormatInfo

# Since 1.29, ONNX Runtime's builds for Linux and macOS write a device number into ~/.cache and send what they are used
# for. They look at this when they are imported, which every module of this folder does later than this line.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

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
