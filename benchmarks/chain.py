"""A chain of a million scalar operations: does it run, and what does each node cost?

Run in a process of its own, so that neither memory nor the collector sees anything else: `measured(n)` starts one.
"""

import gc
import json
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from time import perf_counter

import tinygrad_rnn as tg

SAMPLE = 100_000  # nodes in the memory count, which slows every allocation down; bytes per node do not depend on it


def chain(x: tg.Tensor, length: int) -> tg.Tensor:
    """x times a number just below one, `length` times."""
    for _ in range(length):
        x = x * 0.999999
    return x


def seconds(length: int) -> dict[str, float]:
    """Forward, backward and release of one chain, and how many objects that left to the cycle collector."""
    gc.collect()
    gc.disable()
    start = tg.tensor(1.0, name="x")
    marks = [perf_counter()]
    end = chain(start, length)
    marks.append(perf_counter())
    end.backward()
    marks.append(perf_counter())
    gradient = start.grad
    del end
    marks.append(perf_counter())
    left = gc.collect()
    gc.enable()
    forward, backward, release = (b - a for a, b in pairwise(marks))
    assert abs(float(gradient) - 0.999999**length) < 1e-9, gradient
    return {"forward": forward, "backward": backward, "release": release, "left": left}


def bytes_per_node(length: int = SAMPLE) -> float:
    """Memory of a chain, the constant of each step included, by operation."""
    start = tg.tensor(1.0)
    chain(start, 10)
    tracemalloc.start()
    end = chain(start, length)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del end
    return held / length


def measured(length: int) -> dict[str, float]:
    """The figures of this module, taken in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.chain", str(length)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    print(json.dumps(seconds(int(sys.argv[1])) | {"bytes": bytes_per_node()}))
