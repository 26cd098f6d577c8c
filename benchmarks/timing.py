"""How time is taken: one thread, contestants interleaved, medians.

Nothing here knows what is measured; that is the job of the modules beside this one.
"""

import gc
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def pin_threads() -> None:
    """Start this process again with one thread for every BLAS, unless it already has.

    The libraries read these variables when they are loaded, so setting them later would do nothing. A core type forced
    on OpenBLAS is dropped for the same run: it can halve the speed of numpy's products and of nobody else's.
    """
    if all(os.environ.get(key) == value for key, value in ONE_THREAD.items()) and "OPENBLAS_CORETYPE" not in os.environ:
        return
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"} | ONE_THREAD
    raise SystemExit(subprocess.call([sys.executable, "-m", "benchmarks", *sys.argv[1:]], env=environment))


Clock = Callable[[], float]


def interleaved(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    at_least: float = 0.03,
    collector: bool = False,
    clock: Clock = perf_counter,
) -> dict[str, list[float]]:
    """Seconds per call of each contestant, one figure per round; `clock` says of what.

    In a round each contestant runs once, often enough to last `at_least` seconds; the order rotates. A drift of the
    machine so hits all of them alike. As in `timeit` the cycle collector is off while the clock runs, unless asked for
    with `collector`: then a graph that leaves cycles behind pays for them, in its own turn and not in somebody else's.
    """
    gc.collect()
    gc.freeze()  # the modules of the peers are not ours to walk through at each collection
    try:
        return _rounds(contestants, rounds, at_least, collector, clock)
    finally:
        gc.unfreeze()


def _rounds(
    contestants: Mapping[str, Callable[[], object]], rounds: int, at_least: float, collector: bool, clock: Clock
) -> dict[str, list[float]]:
    repeats = {name: _repeats(call, at_least, collector, clock) for name, call in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds[name].append(_per_call(contestants[name], repeats[name], collector, clock))
    return seconds


def ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over the rounds of our time to theirs in the same round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def processor() -> str:
    """The processor's own name, the only thing that is told about a machine."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _per_call(call: Callable[[], object], repeats: int, collector: bool, clock: Clock) -> float:
    gc.collect()
    if not collector:
        gc.disable()
    try:
        start = clock()
        for _ in range(repeats):
            call()
        return (clock() - start) / repeats
    finally:
        gc.enable()


def _repeats(call: Callable[[], object], at_least: float, collector: bool, clock: Clock) -> int:
    call()
    return max(1, round(at_least / min(_per_call(call, 1, collector, clock) for _ in range(3))))
