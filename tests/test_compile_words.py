"""What a compiled function is given or does works as it does without compiling, or it is told in words why not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler import prepare
from tinygrad_rnn.compiler.passes import pipeline

rng = np.random.default_rng(0)
x = rng.normal(size=(9, 2, 3))
p = {"W": rng.normal(size=(3, 3)) / 2, "s": 0.5}
mask = np.array([[True, False, True], [True, True, False]])
Step = Callable[[Any, Any, Any], Any]


def loop(step: Step) -> Callable[..., Any]:
    def loss(p: Any, x: Any) -> Any:
        h, total = np.zeros((2, 3)), 0.0
        for t in tg.steps(len(x)):
            h = step(p, h, x[t])
            total = total + np.sum(h**2)
        return total

    return loss


def agree(loss: Callable[..., Any], p: Any = p, x: Any = x, **options: Any) -> Any:
    fast = tg.compile(tg.value_and_grad(loss), **options)
    value, grads = fast(p, x)
    true, true_grads = tg.value_and_grad(loss)(p, x)
    np.testing.assert_allclose(value, true, rtol=1e-12)
    for name in true_grads:
        np.testing.assert_allclose(grads[name], true_grads[name], rtol=1e-10, atol=1e-13)
        assert type(grads[name]) is type(true_grads[name])
    return fast


STEPS: dict[str, Step] = {
    "joined without an axis": lambda p, h, x: np.tanh(np.concatenate([h[:1] @ p["W"], h[1:]]) + x),
    "joined flat": lambda p, h, x: np.tanh(np.concatenate([h @ p["W"], x], axis=None).reshape(4, 3)[1:3]),
    "a constant mask": lambda p, h, x: np.where(mask, np.tanh(h @ p["W"] + x), h),
    "a constant mask for all samples": lambda p, h, x: np.where(mask[0], np.tanh(h @ p["W"] + x), 0.0),
    "bounds that are arrays": lambda p, h, x: np.clip(h @ p["W"] + x, -0.5 * mask, mask * 0.25),
    "picked by a mask": lambda p, h, x: np.tanh(h @ p["W"] + x + np.sum(h[mask])),
}


@pytest.mark.parametrize("name", STEPS)
def test_operations_in_a_loop_fold_as_they_are_written(name: str) -> None:
    assert agree(loop(STEPS[name])).forms == ["folded"]


def penalised(p: Any, x: Any) -> Any:
    h, total = np.zeros((2, 3)), 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(h @ p["W"] + x[t] + np.concatenate([h, x[t]], axis=None)[:3])
        total = total + np.sum(h**2) + 0.1 * np.sum(p["W"] ** 2)
    return total


@pytest.mark.slow
def test_a_penalty_inside_of_a_loop_and_a_join_without_axes_are_jitted() -> None:
    pytest.importorskip("numba")
    assert agree(penalised, executor="jit").forms == ["folded"]


def matrix(given: Any) -> Any:
    return {**p, "W": given}


def on_disk(tmp_path: Path) -> Any:
    found = np.memmap(tmp_path / "x", float, "w+", shape=x.shape)
    found[:] = x
    return found


@pytest.mark.parametrize(
    "given",
    [p | {"s": np.float32(0.5)}, p | {"s": np.float64(0.5)}, p | {"s": np.array(0.5, np.float32)},
     matrix(p["W"].astype(">f8")), matrix(np.asfortranarray(p["W"])), matrix(np.broadcast_to(p["W"][0], (3, 3)))],
    ids=["float32", "float64", "0-d", "big endian", "by columns", "read only"],
)  # fmt: skip
def test_numbers_and_arrays_of_all_kinds(given: Any) -> None:
    agree(loop(lambda p, h, x: np.tanh(p["s"] * (h @ p["W"]) + x)), given)


def test_arrays_on_disk(tmp_path: Path) -> None:
    fast = agree(loop(STEPS["joined flat"]), x=on_disk(tmp_path))
    held = on_disk(tmp_path)
    held[0] = 0.0
    np.testing.assert_allclose(fast(p, held)[0], loop(STEPS["joined flat"])(p, np.array(held)), rtol=1e-12)


def test_a_mask_that_would_not_be_seen_is_refused() -> None:
    with pytest.raises(tg.GraphError, match=r"a masked array .* give x.filled\(0\) and the mask"):
        tg.compile(loop(STEPS["joined flat"]))(p, np.ma.masked_array(x, x > 1))


@pytest.mark.parametrize("given", [2, True, np.int64(2)])
def test_a_whole_number_to_differentiate_is_refused_as_without_compiling(given: Any) -> None:
    loss = loop(lambda p, h, x: np.tanh(p["s"] * (h @ p["W"]) + x))
    with pytest.raises(tg.TinygradError) as eager:
        tg.value_and_grad(loss)(p | {"s": given}, x)
    with pytest.raises(type(eager.value), match=re.escape(str(eager.value))):
        tg.compile(tg.value_and_grad(loss))(p | {"s": given}, x)


@pytest.mark.parametrize("name", ["memory_network", "recursive", "vector_both", "echo_state"])
def test_what_has_no_steps_is_given_by_the_key_of_a_run_as_well(name: str) -> None:
    model = tg.load(name)
    run = model.unroll(4)
    values = {key: leaf.value for leaves in (run.parameters, run.inputs) for key, leaf in leaves.items()}
    np.testing.assert_allclose(model.compile()(values)[0], run.loss.item(), rtol=1e-12)
    name = next(key[0] for key in run.inputs if key[1] is None)
    with pytest.raises(tg.GraphError, match=f"{name} is given twice, as '{name}' and as \\('{name}', None\\)"):
        model.compile()(values | {name: values[name, None]})


# -- reasons ----------------------------------------------------------------------------------------------------------
def test_a_reason_says_what_the_function_said_and_where() -> None:
    def at_a_fixed_step(p: Any, x: Any) -> Any:
        states = [np.zeros((2, 3))]
        for t in tg.steps(len(x)):
            states.append(np.tanh(states[-1] @ p["W"] + x[t]))
        return np.sum(states[8])

    (told,) = agree(at_a_fixed_step).forms
    assert re.fullmatch(
        r"flat \(given Tensors and 6 steps it raises IndexError: list index out of range "
        r"\(test_compile_words.py:\d+, in at_a_fixed_step\)\)",
        told,
    )


@pytest.mark.parametrize("returned", [3.0, None, [], np.ones(2)], ids=["number", "none", "list", "array"])
def test_a_function_of_nothing_runs_as_it_is(returned: Any) -> None:
    fast = tg.compile(lambda x: returned)
    assert fast(np.ones((6, 3))) is returned
    assert fast.forms == ["as it is (nothing that is computed from its arguments is returned)"]


@pytest.mark.parametrize(
    ("given", "form"), [(True, "folded"), (False, "flat (a sequence whose ends differ is an output)")]
)
def test_states_are_returned_in_both_orders(given: bool, form: str) -> None:
    def states(x: Any, h: Any) -> Any:
        found, h = [], h if given else np.zeros(3)  # what no argument leads to is no node of the first step
        for t in tg.steps(1, len(x) + 1):
            h = np.tanh(h * 0.5 + x[t - 1])
            found.append(h)
        return np.stack(found), np.stack(found[::-1]), found[-1]

    fast, args = tg.compile(states), (np.arange(18.0).reshape(6, 3) * 0.1, np.ones(3))
    for one, other in zip(fast(*args), states(*args), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
    assert fast.forms == [form]


def test_the_gradient_of_a_sequence_is_refused_as_without_compiling() -> None:
    with pytest.raises(tg.GraphError, match="a gradient starts from a scalar, but this output has shape"):
        tg.compile(tg.grad(lambda x: x * 2.0))(np.ones((6, 3)))


def test_a_fault_of_the_compiler_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(outputs: Any) -> Any:
        return {}["axis"]

    loss = loop(STEPS["a constant mask"])
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "PASSES", (broken,))
        with pytest.raises(KeyError, match="axis"):
            agree(loss)
    monkeypatch.setattr(prepare.Planned, "outputs", lambda form, arrays, T=None: broken(arrays))
    with pytest.raises(KeyError, match="axis"):
        agree(loss)
