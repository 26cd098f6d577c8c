"""What befalls a training run: the process is killed at any moment, a bit of its file flips.

A run taken up again has to end in the bits of the run that was let alone; a file with a flipped bit has to be refused,
or to make no difference.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.soak import killed_run
from benchmarks.soak.judging import Tally
from tinygrad_rnn import train
from tinygrad_rnn.core.errors import CheckpointError
from tinygrad_rnn.train import checkpoint, snapshot

#: final weights, and what the run was like
Run = tuple[dict[str, np.ndarray], train.History]
ROOT = Path(__file__).resolve().parents[2]
LONGEST = 120


def kill_runs(seeds: Iterable[str], tally: Tally) -> None:
    """Each run is killed three times, at moments drawn at random, and then let go on to its end."""
    whole: dict[str, Run] = {}
    for number, seed in enumerate(seeds):
        rng, executor = Random(seed), list(killed_run.EXECUTORS)[number % len(killed_run.EXECUTORS)]
        if executor not in whole:
            whole[executor] = killed_run.run(None, executor=executor)
        with tempfile.TemporaryDirectory() as folder:
            kills = [start_and_kill(Path(folder), executor, rng.random(), rng.uniform(0, 0.01)) for _ in range(3)]
            found = killed_run.run(folder, executor=executor)
        different = difference(found, whole[executor])
        for killed in kills:
            title = f"{executor}, {'killed' if killed else 'had ended before'}"
            tally.count(title, "other bits" if different else "same bits")
        if different:
            tally.find("a killed run ends in other bits", seed, different, executor)


def flip_bits(seeds: Iterable[str], tally: Tally) -> None:
    """Flip one bit of a checkpoint for each seed: half of them in the header, where rates and random state stand."""
    with tempfile.TemporaryDirectory() as folder:
        killed_run.run(folder, steps=30)
        path = snapshot.newest(folder)
        data = path.read_bytes()
        header = 8 + int.from_bytes(data[:8], "little")
        intact = _read(path)
        for seed in seeds:
            rng = Random(seed)
            bit = rng.randrange(8 * (header if rng.random() < 0.5 else len(data)))
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            found = _read(path)
            verdict = "refused" if isinstance(found, str) else "harmless" if found == intact else "ACCEPTED"
            tally.count("in the header" if bit < 8 * header else "in the arrays", verdict)
            if verdict == "ACCEPTED":
                tally.find("a flipped bit was accepted", seed, f"bit {bit} of {8 * len(data)}", str(found))


def start_and_kill(folder: Path, executor: str, after: float, wait: float = 0.0) -> bool:
    """Start the run, or go on with it, and kill it when such a share of its steps is made, or so many seconds later.

    Returns whether it was still running.
    """
    command = [sys.executable, "-m", "benchmarks.soak.killed_run", str(folder), executor]
    child = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + LONGEST
    while child.poll() is None and time.monotonic() < deadline:
        there = checkpoint.checkpoints(folder)
        if there and int(there[-1].stem[5:]) >= after * killed_run.STEPS:
            break
    time.sleep(wait)
    running = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    return running


#: what a history holds of each step, and of each look
STEPS, LOOKS = ("loss", "norm", "lr"), ("looks", "watched")


def difference(found: Run, expected: Run, kept: tuple[str, ...] = STEPS + LOOKS) -> str:
    """What is not the same in two runs, to the bit, of the weights and of what is kept of them; empty if nothing."""
    (weights, history), (wanted, whole) = found, expected
    other = [name for name, value in wanted.items() if weights[name].tobytes() != value.tobytes()]
    other += [key for key in kept if getattr(history, key) != getattr(whole, key)]
    return ", ".join(other)


def _read(path: Path) -> object:
    """All that a checkpoint brings back, as text; or why it is refused, as a `str`."""
    try:
        found = checkpoint.read(path)
    except CheckpointError as error:
        return str(error)
    return (found.step, found.run, repr(found.facts), {key: value.tobytes() for key, value in found.arrays.items()})
