"""Compiled functions called by eight threads at once: each call gives what it gives alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks import ways
from benchmarks.soak.judging import Tally

THREADS = 8
LENGTHS = (3, 8, 21, 50)
FORMS: dict[str, dict[str, Any]] = {"numpy": {}, "jit": {"executor": "jit"}, "checkpoint": {"checkpoint": 5}}


def call_at_once(seeds: Iterable[str], tally: Tally) -> None:
    """One call for each seed, by several threads; functions, lengths and forms alternate."""
    asked = [_asked(cell, form) for form in FORMS for cell in ways.GATES]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for seed, title, right in pool.map(lambda seed: _call(seed, asked), seeds):
                tally.count(title, "right" if right else "WRONG")
                if not right:
                    tally.find(f"threads: {title}", seed, "not what a single thread gives", "")
    finally:
        sys.setswitchinterval(interval)


def _asked(cell: str, form: str) -> tuple[str, Callable[..., Any], list[tuple[Any, Any]]]:
    loss, (p, x, weights) = ways.written(cell, 1, (16, 3, max(LENGTHS), 5), "float64")
    calls = [(p, x[:T], weights[:T]) for T in LENGTHS]
    fast = tg.compile(tg.value_and_grad(loss), **FORMS[form])
    return f"{cell}, {form}", fast, [(given, tg.value_and_grad(loss)(*given)) for given in calls]


def _call(seed: str, asked: list[Any]) -> tuple[str, str, bool]:
    n = int(seed.rpartition("-")[2])
    title, fast, calls = asked[n % len(asked)]
    given, (true, true_grads) = calls[n // len(asked) % len(calls)]
    value, grads = fast(*given)
    near = all(np.allclose(grads[name], true_grads[name], rtol=1e-9, atol=1e-12) for name in true_grads)
    return seed, title, bool(np.isclose(value, true, rtol=1e-11)) and near
