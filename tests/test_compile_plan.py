"""What a plan looks like, what cannot be planned, and what each pass does."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_losses import D, H, every_step, inputs, lstm, parameters
from tinygrad_rnn.compiler import CompileError, compile
from tinygrad_rnn.compiler.passes import pipeline
from tinygrad_rnn.compiler.planning.plan import Loop, walk
from tinygrad_rnn.compiler.trace.build import matched
from tinygrad_rnn.compiler.trace.record import Recorder, candidates
from tinygrad_rnn.core.loop.interpreter import Interpreter
from tinygrad_rnn.core.loop.program import Node, order


def planned(loss: Any, p: Any, x: Any, **options: Any) -> Any:
    fast = compile(tg.value_and_grad(loss), **options)
    fast(p, x)
    return fast.plan


LSTM = parameters(*"ifgo")


# -- the plan -----------------------------------------------------------------------------------------------------
def test_each_loop_of_the_lstm_has_one_product_and_weights_come_after() -> None:
    plan = planned(lstm, LSTM, inputs(6))
    loops = [stage for stage in walk(plan.stages) if isinstance(stage, Loop)]
    assert [loop.direction for loop in loops] == [1, -1]
    assert [sum(i.op == "dot" for i in loop.body) for loop in loops] == [1, 1]
    outside = [instr for stage, instr in plan.instructions() if not isinstance(stage, Loop)]
    assert sum(instr.op == "contract" for instr in outside) == 2
    assert len(loops[0].body) <= 9 and len(loops[1].body) <= 7


def test_a_plan_reads_like_code() -> None:
    text = str(planned(every_step, parameters(""), inputs(6)))
    assert "for t in range(N):" in text and "for t in reversed(range(N)):" in text
    assert "tanh(" in text and text.splitlines()[0].startswith("given ") and "return " in text


def test_a_plan_does_not_depend_on_the_length() -> None:
    assert str(planned(lstm, LSTM, inputs(3))) == str(planned(lstm, LSTM, inputs(40)))


def test_bytes_grow_linearly_with_the_length() -> None:
    plan = planned(lstm, LSTM, inputs(6))
    assert plan.bytes(3000) - plan.bytes(2000) == plan.bytes(2000) - plan.bytes(1000) > 0  # tiles are shorter


def test_source_is_made_of_names_and_numbers_of_the_plan() -> None:
    fast = compile(tg.value_and_grad(lstm))
    assert fast.source() == ""
    fast(LSTM, inputs(6))
    assert fast.source() == str(fast.plan)


# -- what cannot be compiled --------------------------------------------------------------------------------------
def branching(p: Any, x: Any) -> Any:
    h = np.zeros((2, H))
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(x[t], p["U"]) + h)
        if np.sum(h) > 0:
            h = h * 0.5
    return np.sum(h)


def counting(p: Any, x: Any) -> Any:
    h = tg.linear(x, p["U"])
    return np.sum(h) * h[0, 0, 0].item()


def masking(p: Any, x: Any) -> Any:
    h = tg.linear(x, p["U"])
    return np.sum(np.where(h > 0, h, 0.0))


def rounding(p: Any, x: Any) -> Any:
    return np.sum(p["U"]) * float(np.argmax(tg.linear(x, p["U"])))


@pytest.mark.parametrize(
    "loss, line", [(branching, "if np.sum(h) > 0"), (counting, ".item()"), (masking, "h > 0"), (rounding, "argmax")]
)
def test_control_flow_that_depends_on_data_raises_and_names_the_line(loss: Any, line: str) -> None:
    import inspect

    with pytest.raises(CompileError) as raised:
        compile(tg.value_and_grad(loss))(parameters(""), inputs(6))
    source, first = inspect.getsourcelines(loss)
    number = first + next(i for i, text in enumerate(source) if line in text)
    assert f"test_compile_plan.py:{number}, in {loss.__name__}" in str(raised.value)


def test_looking_at_values_is_allowed_again_afterwards() -> None:
    with pytest.raises(CompileError):
        compile(branching)(parameters(""), inputs(6))
    assert bool(tg.tensor(1.0) > 0.5) and tg.tensor(2.0).item() == 2.0


def test_a_value_read_behind_the_back_is_not_frozen() -> None:
    def loss(p: Any, x: Any) -> Any:
        total = 0.0
        for t in tg.steps(len(x)):
            y = tg.linear(x[t], p["U"])
            total = total + np.sum(y) * float(np.max(y.value))
        return total

    fast = compile(tg.value_and_grad(loss))
    p = {"U": parameters("")["U"]}
    for T in (6, 6, 4):
        x = inputs(T) * T
        assert fast(p, x)[0] == tg.value_and_grad(loss)(p, x)[0]


def test_errors_of_the_function_are_its_own() -> None:
    def loss(p: Any, x: Any) -> Any:
        return np.sum(x[0] @ p["W"])

    with pytest.raises(tg.ShapeError, match="matmul"):
        compile(tg.value_and_grad(loss))(parameters(""), inputs(6))


# -- pass by pass -------------------------------------------------------------------------------------------------
PASSES = ["simplify", "features_first", "sigmoids_as_tanh", "reassociate", "merge_products"]


def program(loss: Any, p: Any, x: Any) -> tuple[list[Node], dict[int, Any]]:
    recorder = Recorder(loss, (p, x), {}, (0,))
    times = next(candidates(recorder.leaves))
    first, _ = recorder.run(times, 6, other=False)
    second, _ = recorder.run(times, 7, other=True)
    outputs = pipeline.simplify(matched(first, second))
    compiled = compile(tg.value_and_grad(loss))
    return pipeline.with_gradients(compiled, recorder, outputs), {leaf.number: leaf.array for leaf in recorder.leaves}


class Lowered(Interpreter):
    """The reference, which also knows the nodes that passes make."""

    def value(self, node: Node, t: int | None) -> Any:
        match node.op:
            case "gemm":
                a, b = self(node.ins[0], t), self(node.ins[1], t)
                return (a.T if node.params["ta"] else a) @ (b.T if node.params["tb"] else b)
            case "join":
                return np.concatenate([self(x, t) for x in node.ins])
            case "rows":
                return self(node.ins[0], t)[node.params["start"] : node.params["stop"]]
            case "contract":
                return sum(self(node.ins[0], t) @ self(node.ins[1], t).T for t in range(self.N))
            case "total_rows":
                return sum(self(node.ins[0], t).sum(1, keepdims=True) for t in range(self.N))
        value = super().value(node, t)
        return value.T if node.op == "input" and node.params.get("mode") == 1 else value


@pytest.mark.parametrize("count", range(1, len(PASSES) + 1), ids=PASSES)
def test_a_pass_leaves_the_values_as_they_are(count: int) -> None:
    x = inputs(5)
    outputs, leaves = program(lstm, LSTM, x)
    for name in PASSES[:count]:
        outputs = pipeline.simplify(getattr(pipeline, name)(outputs))
    value, grads = tg.value_and_grad(lstm)(LSTM, x)
    run = Lowered(leaves, 5, 5)
    assert abs(run(outputs[0]) - value) < 1e-13
    for output, key in zip(outputs[1:], LSTM, strict=True):
        assert np.max(np.abs(run(output) - grads[key])) < 1e-12


def count(outputs: list[Node], op: str) -> int:
    return sum(node.op == op for node in order(outputs))


def test_common_subexpressions_are_computed_once() -> None:
    def twice(p: Any, x: Any) -> Any:
        total = 0.0
        for t in tg.steps(len(x)):
            total = total + np.sum(np.tanh(tg.linear(x[t], p["U"])) * np.tanh(tg.linear(x[t], p["U"])))
        return total

    recorder = Recorder(twice, ({"U": parameters("")["U"]}, inputs(5)), {}, (0,))
    outputs = recorder.run(next(candidates(recorder.leaves)), 6, other=False)[0].outputs
    assert count(outputs, "tanh") == 2 and count(pipeline.simplify(outputs), "tanh") == 1


def test_sigmoids_become_tanh_and_products_merge() -> None:
    outputs, _ = program(lstm, LSTM, inputs(5))
    assert count(outputs, "sigmoid") == 3
    after = pipeline.optimised(outputs)
    assert count(after, "sigmoid") == 0 and count(after, "tanh") == 5
    assert sum(node.op == "gemm" and node.step for node in order(after)) == 3  # U x, W h, and back
    assert count(after, "contract") == 2


def test_a_sigmoid_under_a_logarithm_stays() -> None:
    def loss(p: Any, x: Any) -> Any:
        total = 0.0
        for t in tg.steps(len(x)):
            total = total - np.sum(np.log(tg.sigmoid(tg.linear(x[t], p["U"]))))
        return total

    p, x = {"U": 40 * np.ones((H, D))}, -np.abs(inputs(6))
    value, grads = tg.value_and_grad(loss)(p, x)
    found, fast_grads = compile(tg.value_and_grad(loss))(p, x)
    assert found == pytest.approx(value, rel=1e-13)
    assert np.max(np.abs(fast_grads["U"] - grads["U"])) <= 1e-12 * np.max(np.abs(grads["U"]))
