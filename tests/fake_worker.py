"""A worker that opens nothing: its target says how long its calls take, in microseconds, and how it misbehaves.

``"50"`` answers everything; ``"50 hang measure"`` hangs at that order, ``"50 hang measure 3"`` at the third such order.
Times are made up; it sleeps through its slices.
"""

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

from toolkit.bench.engine.job import Answer, Finished, Job, Measured, Opened, Order, Warmed
from toolkit.bench.engine.worker import _lines
from toolkit.system.processes import die_with_parent


def misbehave(how: str, answers: int) -> None:
    match how:
        case "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            sys.stderr.write("first\nout of luck\n")
            sys.stderr.flush()
            os._exit(3)
        case "hang":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            sys.stderr.write(f"{child.pid}\n")
            sys.stderr.flush()
            time.sleep(600)
        case "hold":  # a library that never gives Python's lock back
            ctypes.PyDLL(None).sleep(600)
        case "nonsense":
            os.write(answers, b'{"measured": {"calls": 0}}\n')
        case "cut":
            os.write(answers, b'{"opened": {"import_s"')
            os._exit(0)
        case "quiet":
            os._exit(0)


def answer(order: Order, call_ns: int, noise: random.Random, how: str) -> Answer:
    if how == "fault":
        return Answer(fault="CUDA out of memory")
    wrong = "its outputs are off by 9, allowed are 1" if how == "wrong" else None
    match order.do:
        case "open":
            return Answer(opened=Opened(import_s=0.2, load_s=0.1, precision="float32"))
        case "warm":
            trace = (call_ns * 10, *(noise.gauss(call_ns, call_ns / 100) for _ in range(order.min_calls * 20 - 1)))
            return Answer(warmed=Warmed(trace_ns=tuple(map(round, trace)), wrong=wrong))
        case "measure":
            time.sleep(order.seconds)
            times = tuple(round(noise.gauss(call_ns, call_ns / 100)) for _ in range(50))
            return Answer(
                measured=Measured(
                    times_ns=times,
                    calls=len(times),
                    wall_s=sum(times) / 1e9,
                    copy_in_ns=(100,) * len(times),
                    copy_out_ns=(200,) * len(times),
                    settled=how != "spin",
                )
            )
        case "finish":
            return Answer(finished=Finished(wrong=wrong, peak_memory_bytes=1_000_000, device_memory_bytes=None))


def main() -> None:
    die_with_parent()
    answers = os.dup(1)
    os.dup2(2, 1)
    lines = _lines(sys.stdin)
    job = Job.model_validate_json(next(lines))
    words = job.entry.target.replace("eager", "100").replace("model.onnx", "50").split()
    microseconds, how, when, at = [*words, "", "", ""][:4]
    noise = random.Random(f"{job.entry.target} {job.entry.role} {job.batch_size}")
    seen: Counter[str] = Counter()
    for line in lines:
        order = Order.model_validate_json(line)
        seen[order.do] += 1
        due = how if when == order.do and seen[order.do] == int(at or 1) else ""
        misbehave(due, answers)
        if due == "nonsense":
            continue
        told = answer(order, round(float(microseconds) * 1000 * job.batch_size), noise, due)
        os.write(answers, told.model_dump_json(exclude_unset=True).encode() + b"\n")
        if order.do == "finish" or told.fault:
            os._exit(0)


if __name__ == "__main__":
    main()
