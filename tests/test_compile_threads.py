"""Small products run on one thread, large ones on as many as BLAS takes, and afterwards all is as before."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_losses import every_step, inputs, parameters
from tinygrad_rnn.compiler import blas_threads, compile
from tinygrad_rnn.compiler.planning.plan import Buffer, Instr, Loop, MemRef, Plan


class Blas:
    """A BLAS with so many threads."""

    def __init__(self, count: int) -> None:
        self.count = count

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count


@pytest.fixture
def blas(monkeypatch: pytest.MonkeyPatch) -> Blas:
    made = Blas(4)
    monkeypatch.setattr(blas_threads, "function", lambda question, package="numpy": getattr(made, question))
    blas_threads._one_thread.cache_clear()
    yield made
    blas_threads._one_thread.cache_clear()


def product(rows: int, between: int, columns: int) -> Plan:
    shapes = {"W": (rows, between), "h": (between, columns), "a": (rows, columns)}
    W, h, a = (MemRef(Buffer(name, shape, np.dtype("f4"))) for name, shape in shapes.items())
    return Plan([Loop(1, [Instr("dot", a, (W, h))])], [], [W.buffer, h.buffer, a.buffer], [a])


def test_one_thread_for_small_products_and_for_no_others(blas: Blas) -> None:
    with blas_threads.calm(product(256, 64, 16), "numpy"):
        assert blas.count == 1
    assert blas.count == 4
    with blas_threads.calm(product(2048, 512, 64), "numpy"):
        assert blas.count == 4
    assert isinstance(blas_threads.calm(Plan([], [], [], []), "numpy"), nullcontext)


def test_blocks_within_each_other_restore_the_number_at_the_last_end(blas: Blas) -> None:
    block = blas_threads.calm(product(4, 4, 1), "numpy")
    with block:
        with block:
            pass
        assert blas.count == 1
    assert blas.count == 4
    with pytest.raises(KeyError), block:
        raise KeyError
    assert blas.count == 4


def test_nothing_is_done_for_a_single_thread_or_without_openblas(blas: Blas, monkeypatch: pytest.MonkeyPatch) -> None:
    blas.count = 1
    assert isinstance(blas_threads.calm(product(4, 4, 1), "numpy"), nullcontext)
    monkeypatch.setattr(blas_threads, "function", lambda question, package="numpy": None)
    assert isinstance(blas_threads.calm(product(4, 4, 1), "numpy"), nullcontext)


def test_a_compiled_function_runs_in_such_a_block(blas: Blas) -> None:
    seen: list[int] = []
    fast = compile(tg.value_and_grad(every_step))
    p, x = parameters(""), inputs(6)
    fast(p, x)
    runner: Any = fast.last.runner

    def watched(values: Any, N: int) -> Any:
        seen.append(blas.count)
        return runner(values, N)

    fast.last.runner = watched
    fast(p, x)
    assert seen == [1] and blas.count == 4


def test_a_package_that_is_not_there_has_no_threads() -> None:
    assert blas_threads.function("get_num_threads", "no_such_package") is None
    count = blas_threads.function("get_num_threads", "numpy")
    assert count is None or count() >= 1


def interleaved(call: Callable[[int], bool], threads: int = 8, calls: int = 12) -> int:
    """How many of the calls of several threads at once are wrong."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return sum(not right for right in pool.map(call, range(threads * calls)))
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"executor": "jit"}, {"checkpoint": 2}], ids=str)
def test_calls_of_several_threads_do_not_meet(options: dict[str, Any]) -> None:
    if "executor" in options:
        pytest.importorskip("numba")
        pytest.importorskip("scipy")
    p = parameters("")
    series = [inputs(T) * (k + 1) for k, T in enumerate((5, 9, 40, 41))]
    expected = [tg.value_and_grad(every_step)(p, x) for x in series]
    fast = compile(tg.value_and_grad(every_step), **options)

    def right(n: int) -> bool:
        value, grads = fast(p, series[n % len(series)])
        true, true_grads = expected[n % len(series)]
        return np.isclose(value, true) and all(np.allclose(grads[k], true_grads[k]) for k in p)

    assert interleaved(right) == 0
    assert fast.recordings <= 2


def test_threads_that_record_at_the_same_time_record_once_and_do_not_meet() -> None:
    model = tg.load("vanilla").compile()
    run = model.model.unroll(3)
    values = {name: p.value for name, p in run.parameters.items()}
    values |= {
        "x": np.ones((3, *run.inputs["x", 1].shape)),
        "y": np.zeros((3, 1), int),
        ("h", 0): run.inputs["h", 0].value,
    }
    true = tg.load("vanilla").compile()(values)[0]
    assert interleaved(lambda n: model(values)[0] == true, calls=4) == 0
    assert model.recordings == 1
