"""The engine by itself: scalars, an eager LSTM, a very long chain, the import.

Everything here runs uncompiled, one operation at a time. Peers run the same expression in the same process and the same
rounds, and must agree in value before they are timed.
"""

import importlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks import cells, chain, scalars, table, timing

SCALAR_TARGET = 0.9
#: hidden size, batch, steps -> highest ratio allowed
LSTM_TARGETS = {
    (16, 1, 25): {"autograd": 0.35, "torch": 1.0},
    (64, 16, 50): {"autograd": 0.35, "torch": 1.0},
    (128, 32, 100): {"autograd": 0.7, "torch": 1.0},
}
PEERS = {"autograd": "HIPS/autograd", "torch": "torch, eager"}
CHAIN = 1_000_000
IMPORT_TARGET_MS = 60
IMPORT = """
from time import perf_counter
a = perf_counter()
import numpy
b = perf_counter()
import tinygrad_rnn
print(b - a, perf_counter() - b)
"""


def main(rounds: int, write: bool) -> None:
    """Measure everything, print the table, and keep it in docs/benchmarks.md unless told not to."""
    rows = []
    for group in (scalar_rows(rounds), lstm_rows(rounds), chain_rows(), import_rows()):
        for row in group:
            print(row.what, "|", row.ours, "|", row.theirs, "|", row.ratio, file=sys.stderr, flush=True)
            rows.append(row)
    setting = table.setting(("numpy", "micrograd", "autograd", "torch"))
    rule = f"Medians of {rounds} interleaved rounds; a ratio is the median of the rounds' ratios."
    text = f"{setting} {rule}\n\n{table.markdown(rows)}"
    print(text)
    if write:
        table.keep("engine", text)


def scalar_rows(rounds: int) -> Iterator[table.Row]:
    """Scalar expressions, forward and backward, against micrograd."""
    micrograd = _installed("micrograd.engine")
    for collector in (False, True):
        for title, expression in scalars.EXPRESSIONS.items():
            what = f"{title}, collector {'on' if collector else 'off'}"
            if micrograd is None:
                yield table.missing(what, "micrograd")
                continue
            contestants = {
                "ours": _differentiated(expression, tg.tensor, tg.relu),
                "theirs": _differentiated(expression, micrograd.Value, micrograd.Value.relu),
            }
            ours, theirs = ([leaf.grad for leaf in run()] for run in contestants.values())
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=what)
            seconds = timing.interleaved(contestants, rounds, collector=collector)
            count = scalars.operations(expression)
            costs = [f"{statistics.median(seconds[who]) / count * 1e6:.2f} µs/op" for who in contestants]
            yield table.against(what, *costs, timing.ratio(seconds["ours"], seconds["theirs"]), SCALAR_TARGET)


def lstm_rows(rounds: int) -> Iterator[table.Row]:
    """An LSTM composed of primitives, forward and backward in float32, against autograd and torch."""
    for stacked in (False, True):
        for (hidden, batch, steps), targets in LSTM_TARGETS.items():
            form = "gates stacked" if stacked else "gates apart"
            what = f"LSTM, {form}, H={hidden} B={batch} T={steps}"
            modules = {name: _installed(name) for name in ("tinygrad_rnn", *targets)}
            present = {name: module for name, module in modules.items() if module is not None}
            _agree(present, cells.problem(hidden, batch, steps, stacked, "float64"))
            case = cells.problem(hidden, batch, steps, stacked, "float32")
            contestants = {name: cells.RUNNERS[name](module, case) for name, module in present.items()}
            seconds = timing.interleaved(contestants, rounds)
            cost = {name: f"{statistics.median(times) * 1e3:.2f} ms" for name, times in seconds.items()}
            for peer, target in targets.items():
                title = f"{what}, against {PEERS[peer]}"
                if peer not in present:
                    yield table.missing(title, PEERS[peer])
                    continue
                ratio = timing.ratio(seconds["tinygrad_rnn"], seconds[peer])
                yield table.against(title, cost["tinygrad_rnn"], cost[peer], ratio, target)


def chain_rows() -> Iterator[table.Row]:
    """A million nodes in a row."""
    figures = chain.measured(CHAIN)
    costs = ", ".join(f"{part} {figures[part]:.2f} s" for part in ("forward", "backward", "release"))
    yield table.alone(f"chain of {CHAIN:,} nodes", costs, "no recursion error", True)
    yield table.Row(f"chain of {CHAIN:,} nodes, memory per operation", f"{figures['bytes']:.0f} bytes")
    left = int(figures["left"])
    yield table.alone(f"chain of {CHAIN:,} nodes, objects left to the cycle collector", f"{left}", "0", left == 0)


def import_rows(times: int = 9) -> Iterator[table.Row]:
    """Seconds of `import tinygrad_rnn` in a fresh process where numpy is already imported."""
    outputs = [
        subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(times)
    ]
    numpys, ours = (statistics.median(float(line[column]) * 1e3 for line in outputs) for column in (0, 1))
    yield table.alone(
        "import tinygrad_rnn, beyond numpy's own import",
        f"{ours:.0f} ms",
        f"≤ {IMPORT_TARGET_MS} ms",
        ours <= IMPORT_TARGET_MS,
        theirs=f"numpy: {numpys:.0f} ms",
    )


def _differentiated(
    expression: scalars.Expression, leaf: Callable[[float], Any], relu: scalars.Relu
) -> Callable[[], list[Any]]:
    leaves = [leaf(value) for value in expression.start]

    def run() -> list[Any]:
        expression.function(leaves, relu).backward()
        return leaves

    return run


def _agree(modules: dict[str, ModuleType], case: cells.Problem) -> None:
    results = {name: cells.RUNNERS[name](module, case)() for name, module in modules.items()}
    for name, gradients in results.items():
        for key, gradient in gradients.items():
            reference = results["tinygrad_rnn"][key]
            worst = np.abs(gradient - reference).max() / np.abs(reference).max()
            if worst > 1e-10:
                raise AssertionError(f"{name} and tinygrad_rnn differ in d{key} by {worst:.1e}: nothing is timed")


def _installed(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
