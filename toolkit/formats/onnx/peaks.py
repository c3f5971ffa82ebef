"""Matrix products of ONNX Runtime on the CPU, for the machine's limits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.records import Precision

Kernel = Callable[[], object]
Shape = tuple[int, int, int]  # rows, inner size, columns


def products(threads: int) -> list[tuple[str, Precision, Callable[[Shape], Kernel]]]:
    """Return products with a constant matrix, as in a model, in float32 and int8.

    Args:
        threads: For each session.

    Returns:
        For each: runtime, precision, and what makes a function without arguments that multiplies once, of
        ``(rows, inner size, columns)``.
    """
    rng = np.random.default_rng(0)

    def float32(shape: Shape) -> Kernel:
        rows, inner, columns = shape
        left, right = rng.random((rows, inner), np.float32), rng.random((inner, columns), np.float32)
        return _kernel("MatMul", left, right, threads)

    def int8(shape: Shape) -> Kernel:
        rows, inner, columns = shape
        left = rng.integers(0, 255, (rows, inner), np.uint8)
        right = rng.integers(-127, 127, (inner, columns), np.int8)
        return _kernel("MatMulInteger", left, right, threads)

    return [("onnxruntime", "float32", float32), ("onnxruntime", "int8", int8)]


def _kernel(operator: str, left: NDArray[Any], right: NDArray[Any], threads: int) -> Kernel:
    of_left = helper.np_dtype_to_tensor_dtype(left.dtype)
    of_result = TensorProto.FLOAT if operator == "MatMul" else TensorProto.INT32
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["result"])],
        "product",
        [helper.make_tensor_value_info("left", of_left, left.shape)],
        [helper.make_tensor_value_info("result", of_result, (left.shape[0], right.shape[1]))],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})
