"""Derivatives inside of derivatives: a charged particle steered by Newton's method, beside HIPS autograd in one run.

The particle falls past two charges, one of which stands where the control w says; wanted is the w with which it lands
at 0 (Siskind and Pearlmutter's `particle`). Each step of its path takes the gradient of a potential, each step of
Newton's method the first and second derivative of the whole path by w. Inner and outer derivatives are taken forwards
or in reverse: four programs, the same text for both engines.
"""

from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks import table
from benchmarks.timing import ratio

Derivative = Callable[[Callable[[Any], Any]], Callable[[Any], Any]]
Pair = tuple[Any, Any]

#: coarser than in the original, where one program takes autograd half a minute
DT = 0.4
NAMES = {"F": "forward", "R": "reverse"}


def engines() -> dict[str, dict[str, Derivative]]:
    """Of each engine the derivative of a function of one number, taken forwards and in reverse."""
    import autograd
    from autograd.differential_operators import make_jvp

    return {
        "tinygrad_rnn": {"F": lambda f: lambda x: tg.jvp(f, [x], [1.0])[1], "R": tg.grad},
        "autograd": {"F": lambda f: lambda x: make_jvp(f)(x)(1.0)[1], "R": autograd.grad},
    }


def slope(derivative: Derivative, potential: Callable[[Any, Any], Any], x: Pair) -> Pair:
    """The gradient of a potential in the plane, a number at a time."""
    return derivative(lambda a: potential(a, x[1]))(x[0]), derivative(lambda b: potential(x[0], b))(x[1])


def landed(derivative: Derivative, w: Any) -> Any:
    """The square of where the particle lands, by Euler's method in steps of DT."""

    def potential(a: Any, b: Any) -> Any:
        charges = ((10.0, 10.0 - w), (10.0, 0.0))
        return sum(1.0 / ((a - c) ** 2 + (b - d) ** 2) ** 0.5 for c, d in charges)

    x: Pair = (0.0, 8.0)
    v: Pair = (0.75, 0.0)
    while True:
        force = slope(derivative, potential, x)
        moved = (x[0] + DT * v[0], x[1] + DT * v[1])
        if not moved[1] > 0:
            return (x[0] - x[1] / v[1] * v[0]) ** 2
        x, v = moved, (v[0] - DT * force[0], v[1] - DT * force[1])


def steered(outer: Derivative, inner: Derivative, steps: int = 1) -> float:
    """The control after so many steps of Newton's method from 0."""
    first = outer(lambda w: landed(inner, w))
    second = outer(first)
    w = 0.0
    for _ in range(steps):
        w = w - first(w) / second(w)
    return float(w)


def main(write: bool, rounds: int) -> None:
    """Measure, print the table, and keep it in docs/benchmarks.md unless told not to."""
    found = [row(outer, inner, min(rounds, 3)) for outer in "FR" for inner in "FR"]
    text = "\n\n".join(
        [
            f"{table.setting(('numpy', 'autograd'))} One step of Newton's method for a charged particle: derivatives "
            "by the control of a path whose every step takes a gradient.",
            table.aligned(("outer over inner", "tinygrad_rnn, ms", "autograd, ms", "ratio"), found),
        ]
    )
    print(text)
    if write:
        table.keep("nested", text)


def row(outer: str, inner: str, rounds: int) -> Sequence[str]:
    """One program on both engines, in turns."""
    programs = {
        name: lambda ways=ways: steered(ways[outer], ways[inner])  # type: ignore[misc]
        for name, ways in engines().items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        answers = []
        for name, program in programs.items():
            start = process_time()
            answers.append(program())
            seconds[name].append(process_time() - start)
        assert np.allclose(answers, answers[0], rtol=1e-10), answers
    ours, theirs = seconds["tinygrad_rnn"], seconds["autograd"]
    middle = [table.three(float(np.median(times)) * 1e3) for times in (ours, theirs)]
    return [f"{NAMES[outer]} over {NAMES[inner]}", *middle, f"{ratio(ours, theirs):.2f}"]
