"""Small products run on one thread, large ones on as many as BLAS takes, and afterwards all is as before."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_losses import every_step, inputs, parameters
from tinygrad_rnn.compile import compile, threads
from tinygrad_rnn.compile.plan import Buffer, Instr, Loop, Plan, Ref


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
    monkeypatch.setattr(threads, "function", lambda question, package="numpy": getattr(made, question))
    threads._one_thread.cache_clear()
    yield made
    threads._one_thread.cache_clear()


def product(rows: int, between: int, columns: int) -> Plan:
    shapes = {"W": (rows, between), "h": (between, columns), "a": (rows, columns)}
    W, h, a = (Ref(Buffer(name, shape, np.dtype("f4"))) for name, shape in shapes.items())
    return Plan([Loop(1, [Instr("dot", a, (W, h))])], [], [W.buffer, h.buffer, a.buffer], [a])


def test_one_thread_for_small_products_and_for_no_others(blas: Blas) -> None:
    with threads.calm(product(256, 64, 16), "numpy"):
        assert blas.count == 1
    assert blas.count == 4
    with threads.calm(product(2048, 512, 64), "numpy"):
        assert blas.count == 4
    assert isinstance(threads.calm(Plan([], [], [], []), "numpy"), nullcontext)


def test_blocks_within_each_other_restore_the_number_at_the_last_end(blas: Blas) -> None:
    block = threads.calm(product(4, 4, 1), "numpy")
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
    assert isinstance(threads.calm(product(4, 4, 1), "numpy"), nullcontext)
    monkeypatch.setattr(threads, "function", lambda question, package="numpy": None)
    assert isinstance(threads.calm(product(4, 4, 1), "numpy"), nullcontext)


def test_a_compiled_function_runs_in_such_a_block(blas: Blas) -> None:
    seen: list[int] = []
    fast = compile(tg.value_and_grad(every_step))
    p, x = parameters(""), inputs(6)
    fast(p, x)
    runner: Any = fast._last.runner

    def watched(values: Any, N: int) -> Any:
        seen.append(blas.count)
        return runner(values, N)

    fast._last.runner = watched
    fast(p, x)
    assert seen == [1] and blas.count == 4


def test_a_package_that_is_not_there_has_no_threads() -> None:
    assert threads.function("get_num_threads", "no_such_package") is None
    count = threads.function("get_num_threads", "numpy")
    assert count is None or count() >= 1
