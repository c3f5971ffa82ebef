"""The other side of `agreement.py`: `torch.utils.benchmark.Timer` on eager, in a process of its own.

    python torch_timer.py GOLDEN THREADS BATCH...

For each line on stdin it times every batch size once and answers with one line of JSON: seconds per call by batch size.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.benchmark import Timer

from toolkit.bench.engine.measure import settle
from toolkit.fashion.checkpoint import load_checkpoint
from toolkit.formats.golden import read_golden

_SECONDS = 0.1
#: What eager's session does in a call; entering inference mode is part of it.
_CALL = "with torch.inference_mode():\n    model(images)"


def main(golden: str, threads: str, *sizes: str) -> None:
    model, inputs = load_checkpoint().model(), read_golden(Path(golden)).inputs
    images = {size: torch.from_numpy(np.resize(inputs, (int(size), *inputs.shape[1:]))) for size in sizes}
    timers = {
        size: Timer(_CALL, globals={"torch": torch, "model": model, "images": images[size]}, num_threads=int(threads))
        for size in sizes
    }
    for timer in timers.values():
        timer.blocked_autorange(min_run_time=_SECONDS)  # warm
    for _ in sys.stdin:
        medians = {size: timer.blocked_autorange(min_run_time=_SECONDS).median for size, timer in timers.items()}
        settle()  # its threads must not spin while bench measures
        print(json.dumps(medians), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
