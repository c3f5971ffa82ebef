"""The least time that a call can take on this machine. Pure.

This is the roofline of Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for
multicore architectures", CACM 52 (2009).
"""

import math
from itertools import pairwise
from typing import Final

from toolkit.records import Bound, LimitsRecord, ModelConfig, Precision

_WIDTH_BYTES: Final[dict[Precision, int]] = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2, "int8": 1}


def moved_bytes(config: ModelConfig, batch_size: int, precision: Precision) -> int:
    """Return the bytes that one call must move: all weights once, what goes into and comes out of each layer."""
    sizes = config.layer_sizes
    activations = sum(a + b for a, b in pairwise(sizes)) * batch_size
    return (config.parameters + activations) * _WIDTH_BYTES[precision]


def bound(config: ModelConfig, batch_size: int, precision: Precision, limits: LimitsRecord) -> Bound | None:
    """Return the least time of one call: that of its arithmetic or that of its memory, whichever is longer.

    Args:
        config: Of the model.
        batch_size: Images per call.
        precision: The arithmetic; its peak is the best over the runtimes that were measured.
        limits: Of the row's device, at its threads.

    Returns:
        None without a measured peak of ``precision``, or without a bandwidth.
    """
    peak = max((each.flop_per_s for each in limits.peaks if each.precision == precision), default=None)
    if peak is None or not limits.bandwidths:
        return None
    moved = moved_bytes(config, batch_size, precision)
    # The size that was read nearest to this one; of two that are as near the faster, for a bound promises least.
    near = min(
        limits.bandwidths,
        key=lambda each: (abs(math.log(each.working_set_bytes / moved)), -each.bytes_per_s),
    )
    compute_s, memory_s = config.flop_per_image * batch_size / peak, moved / near.bytes_per_s
    if compute_s >= memory_s:
        return Bound(seconds=compute_s, kind="compute")
    return Bound(seconds=memory_s, kind="memory")
