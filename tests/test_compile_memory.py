"""Which way values lie in memory, what takes whose place, and that neither changes a result."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_losses import B, H, every_step, gru_in_columns, inputs, lstm, parameters
from tests.test_compile_equality import furthest
from tinygrad_rnn.compiler import compile
from tinygrad_rnn.compiler.numpy import run_numpy
from tinygrad_rnn.compiler.planning.plan import STEP, Buffer, Instr, Loop, MemRef, Plan, Tile, columns, walk


def planned(loss: Any, p: Any) -> Any:
    fast = compile(tg.value_and_grad(loss))
    assert furthest(fast, loss, p, inputs(6)) < 1e-13
    return fast


def looped(plan: Plan) -> list[list[Instr]]:
    return [stage.body for stage in walk(plan.stages) if isinstance(stage, Loop)]


# -- what takes whose place ---------------------------------------------------------------------------------------
def test_what_is_made_before_a_loop_gives_its_place_to_what_the_loop_makes_of_it() -> None:
    plan = planned(every_step, parameters("")).plan
    ahead = looped(plan)[0]
    (tanh,) = [instr for instr in ahead if instr.op == "tanh"]
    mapped = [i.out.buffer for s in walk(plan.stages) if not isinstance(s, Loop | Tile) for i in s.body]
    assert tanh.out.buffer in mapped


def test_a_state_that_adds_up_what_was_made_before_is_kept_for_every_step() -> None:
    def linear(p: Any, x: Any) -> Any:
        h, total = np.zeros((B, H)), 0.0
        for t in tg.steps(len(x)):
            h = tg.linear(h, p["W"]) + tg.linear(x[t], p["U"])
            total = total + np.sum(h**3)
        return total

    p = {"W": parameters("")["W"], "U": parameters("")["U"]}
    fast = compile(tg.value_and_grad(linear))
    assert max(furthest(fast, linear, p, inputs(T)) for T in (1, 2, 9, 300)) < 1e-12


def test_a_bias_that_is_scaled_is_scaled_in_its_place() -> None:
    plan = planned(lstm, parameters(*"ifgo")).plan
    scaled = [i for _, i in plan.instructions() if i.op == "multiply" and 0.5 in i.ins and i.refs[0].view]
    assert len(scaled) == 3 and len({id(i.out.buffer) for i in scaled}) == 1


def in_rows(array: np.ndarray) -> np.ndarray:
    """The same array, one sample a row in memory."""
    return np.ascontiguousarray(array.swapaxes(1, 2)).swapaxes(1, 2)


# -- calls --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch, dtype", [(1, "f8"), (3, "f4"), (16, "f8")])
def test_samples_are_laid_side_by_side(batch: int, dtype: str) -> None:
    array = np.random.default_rng(0).standard_normal((5, 8, batch)).astype(dtype)
    for given in (array, array[:, 2:6], in_rows(array)):
        place = np.zeros((given.shape[1], 5, batch), dtype)
        run_numpy._lay_out(place, given)
        assert np.array_equal(place, given.transpose(1, 0, 2))


def test_large_gradients_are_added_to_less_often() -> None:
    x = Buffer("x", (4, 2), np.dtype(float), time=True)

    def sums(rows: int) -> list[Instr]:
        g = MemRef(Buffer("g", (rows, rows), np.dtype(float)))
        return [Instr("contract", g, (MemRef(x, (STEP, 0)), MemRef(x, (STEP, 0))))]

    counts = [columns(sums(rows)) for rows in (4, 64, 256, 512, 4096)]
    assert counts == sorted(counts) and counts[0] < counts[-1] and columns([]) == counts[0]


@pytest.mark.slow
def test_several_tiles_give_what_one_gives() -> None:
    p = parameters(*"rzn")
    fast = compile(tg.value_and_grad(gru_in_columns))
    assert max(furthest(fast, gru_in_columns, p, inputs(T)) for T in (127, 128, 129, 1000)) < 1e-12
