"""What verify_backward takes unchanged: how gradients come back, where weights stand, whose arrays they are, and what
is said when something does not fit.

The truth is written by hand: L = sum(tanh(x W)**2) has dW = x.T (2 y (1 - y**2)) for y = tanh(x W).
"""

from __future__ import annotations

import importlib.util
import math
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.testing import assert_gradients


def draw(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


X, W, B = draw(3, 2, seed=1), draw(2, 4, seed=2), draw(4, seed=3)
INPUTS = {"x": X, "W": W, "b": B}


def forward(x: Any, W: Any, b: Any) -> Any:
    return np.sum(np.tanh(x @ W + b) ** 2)


def right(x: Any, W: Any, b: Any) -> tuple[Any, Any, Any]:
    y = np.tanh(x @ W + b)
    dz = 2 * y * (1 - y**2)
    return dz @ W.T, x.T @ dz, dz.sum(axis=0)


def judged(backward: Any, **options: Any) -> tg.Report:
    return tg.verify_backward(forward, backward, INPUTS, **options)


# -- how gradients come back -----------------------------------------------------------------------------------------
@dataclass
class Grads:
    dx: Any
    dW: Any
    db: Any


STYLES = {
    "dict": lambda g: {"dx": g[0], "dW": g[1], "db": g[2]},
    "dict without d": lambda g: {"x": g[0], "W": g[1], "b": g[2]},
    "dL_dW": lambda g: {"dL_dx": g[0], "dLdW": g[1], "grad_b": g[2]},
    "dict with the loss": lambda g: {"loss": 1.0, "dx": g[0], "dW": g[1], "db": g[2]},
    "tuple in the order of the inputs": lambda g: g,
    "list": list,
    "namedtuple": lambda g: namedtuple("G", "dW db dx")(g[1], g[2], g[0]),
    "dataclass": lambda g: Grads(*g),
    "object": lambda g: SimpleNamespace(dx=g[0], dW=g[1], db=g[2], cache=None),
}


@pytest.mark.parametrize("style", STYLES)
def test_gradients_come_back_in_any_style(style):
    report = judged(lambda x, W, b: STYLES[style](right(x, W, b)))
    assert report.ok, str(report)
    assert {row.name for row in report.rows} == {"dx", "dW", "db"}
    wrong = judged(lambda x, W, b: STYLES[style]([2 * g for g in right(x, W, b)]))
    assert [row.verdict for row in wrong.rows] == ["FAIL"] * 3


def test_names_say_what_each_result_is():
    report = judged(lambda x, W, b: (0.5, *right(x, W, b)[::-1], "cache"), names=("loss", "db", "W", "dx", None))
    assert report.ok and [row.name for row in report.rows] == ["db", "dW", "dx"]
    assert judged(lambda x, W, b: {"weights": right(x, W, b)[1]}, names={"weights": "W"}).ok


def test_loss_and_gradients_may_come_together():
    def together(x, W, b):
        return forward(x, W, b), dict(zip("xWb", right(x, W, b), strict=True))

    assert tg.verify_backward(together, inputs=INPUTS).ok
    swapped = tg.verify_backward(lambda x, W, b: (forward(x, W, b), *right(x, W, b)), inputs=INPUTS)
    assert swapped.ok, str(swapped)


def test_one_vector_and_numbers_are_judged():
    def square(v, k):
        return k * np.sum(v * v)

    report = tg.verify_backward(square, lambda v, k: {"v": 2 * k * v, "k": np.sum(v * v)}, {"v": np.ones(3), "k": 0.5})
    assert report.ok, str(report)


# -- weights that stand elsewhere ------------------------------------------------------------------------------------
V = draw(4, 4, seed=4)


def from_globals(x):
    return np.sum(np.tanh(V @ x))


def dV_of(x):
    return np.outer(1 - np.tanh(V @ x) ** 2, x)


def test_global_weights_are_restored_bit_by_bit_and_stay_the_same_array():
    before, array = V.copy(), V
    report = tg.verify_backward(from_globals, lambda x: {"V": dV_of(x)}, {"x": B}, params={"V": V})
    assert report.ok, str(report)
    assert array is V and np.array_equal(V, before)


@pytest.mark.parametrize("at", [1, 2, 5])
def test_weights_are_restored_when_a_function_raises(at):
    before, calls = V.copy(), []

    def fails(x):
        calls.append(1)
        if len(calls) >= at:
            raise RuntimeError("out of luck")
        return from_globals(np.asarray(np.tanh(x.tolist())))

    with pytest.raises(tg.GraphError, match=r"out of luck.*line \d+ of test_verify_backward_styles"):
        tg.verify_backward(fails, lambda x: {"V": dV_of(x)}, {"x": B}, params={"V": V})
    assert np.array_equal(V, before)
    assert fails.__globals__["np"] is np  # and so is the numpy that stood in for this module's own


def test_weights_in_an_object_of_objects():
    net = SimpleNamespace(layers=[SimpleNamespace(W=V.copy()), SimpleNamespace(W=V.T.copy())])

    def loss(x):
        h = np.tanh(net.layers[0].W @ x)
        return np.sum(net.layers[1].W @ h)

    def backward(x):
        h = np.tanh(net.layers[0].W @ x)
        dz = (1 - h**2) * (net.layers[1].W.T @ np.ones(4))
        return np.outer(dz, x), np.outer(np.ones(4), h)

    report = tg.verify_backward(loss, backward, {"x": B}, params=net, names=("layers.0.W", "layers.1.W"))
    assert report.ok, str(report)


# -- where no graph can be recorded ----------------------------------------------------------------------------------
def test_the_complex_step_takes_over_where_recording_cannot_follow():
    def convolved(w):
        return np.sum(np.convolve(np.tanh(w), [1.0, 2.0, -0.5]) ** 2)

    def backward(w):
        y = np.tanh(w)
        kernel = np.array([1.0, 2.0, -0.5])
        return {"w": np.correlate(2 * np.convolve(y, kernel), kernel, "valid") * (1 - y**2)}

    report = tg.verify_backward(convolved, backward, {"w": B})
    assert report.ok, str(report)
    assert "true gradients by complex step" in str(report) and "np.convolve" in str(report)


def test_differences_take_over_where_an_imaginary_part_is_lost_in_silence():
    def absolute(w):
        return np.sum(np.abs(np.convolve(w, [1.0, 2.0])))

    def backward(w):
        return {"w": np.correlate(np.sign(np.convolve(w, [1.0, 2.0])), [1.0, 2.0], "valid")}

    report = tg.verify_backward(absolute, backward, {"w": B})
    assert report.ok, str(report)
    assert "Richardson" in str(report) and "imaginary part" in str(report)
    assert tg.verify_backward(absolute, lambda w: {"w": 2 * backward(w)["w"]}, {"w": B}).verdict == "FAIL"


def test_a_small_error_is_inconclusive_where_the_method_cannot_tell():
    def slow(w):
        return sum(math.tanh(v) for v in w.tolist())

    def off_by(share):
        return tg.verify_backward(slow, lambda w: {"w": (1 - np.tanh(w) ** 2) * (1 + share)}, {"w": B}).verdict

    assert [off_by(0.0), off_by(1e-10), off_by(1e-3)] == ["PASS", "INCONCLUSIVE", "FAIL"]


def test_a_tensor_that_is_lost_on_the_way_does_not_make_a_right_pass_wrong():
    def forgetful(w):
        v = w.detach() if isinstance(w, tg.Tensor) else w
        return np.sum(w * v)  # half of the gradient is lost on Tensors

    report = tg.verify_backward(forgetful, lambda w: {"w": 2 * w}, {"w": B})
    assert report.ok, str(report)
    assert "where forward on arrays changes by" in " ".join(str(report).split())


def test_large_arrays_are_judged_by_rows_and_columns(monkeypatch):
    from tinygrad_rnn.verification.handwritten import true_gradients

    monkeypatch.setattr(true_gradients, "BUDGET", 0.0)
    big = draw(6, 8, seed=5)

    def slow(w):
        return sum(math.tanh(v) for row in w.tolist() for v in row)

    def backward(w, off=0.0):
        g = 1 - np.tanh(w) ** 2
        g[2, 5] += off
        return {"w": g}

    assert tg.verify_backward(slow, backward, {"w": big}).ok
    report = tg.verify_backward(slow, lambda w: backward(w, 0.1), {"w": big})
    assert report.verdict == "FAIL"
    assert "wrong in rows 2 and columns 5 only" in report.rows[0].explanation


def test_states_written_into_an_array_made_before_are_recorded():
    def forward(x, W):
        h = np.zeros((4, 3))
        for t in range(3):
            h[t + 1] = np.tanh(h[t] @ W + x[t])
        return np.sum(h[1:] ** 2)

    def backward(x, W):
        h = np.zeros((4, 3))
        for t in range(3):
            h[t + 1] = np.tanh(h[t] @ W + x[t])
        dW, dh = np.zeros_like(W), np.zeros(3)
        for t in reversed(range(3)):
            dz = (2 * h[t + 1] + dh) * (1 - h[t + 1] ** 2)
            dW += np.outer(h[t], dz)
            dh = W @ dz
        return {"W": dW}

    report = tg.verify_backward(forward, backward, {"x": draw(3, 3, seed=6), "W": draw(3, 3, seed=7)})
    assert report.ok, str(report)
    assert "engine and complex step agree" in str(report)


# -- precision -------------------------------------------------------------------------------------------------------
def test_single_precision_has_its_own_unit_and_is_named():
    single = {key: value.astype(np.float32) for key, value in INPUTS.items()}
    report = tg.verify_backward(forward, right, single)
    assert report.ok, str(report)
    assert "computed in float32: rounding is counted in units of 1.2e-07" in str(report)
    assert report.rows[1].steps[0].bound < 1e-3
    wrong = tg.verify_backward(forward, lambda x, W, b: [g * np.float32(1.001) for g in right(x, W, b)], single)
    assert wrong.verdict != "PASS"


@pytest.mark.slow
def test_a_long_sequence_can_still_be_told():
    steps = list(0.1 * draw(80, 4, seed=8))

    def states(W):
        h = [np.zeros(4)]
        for x in steps:
            h.append(np.tanh(W @ h[-1] + x))
        return h

    def backward(W):
        h, dW, dh = states(W), np.zeros_like(W), np.ones(4)
        for t in range(len(steps), 0, -1):
            dz = (1 - h[t] ** 2) * dh
            dW, dh = dW + np.outer(dz, h[t - 1]), W.T @ dz + 1
        return {"W": dW}

    def forward(W):
        return sum(np.sum(h) for h in states(W))

    # orthogonal, but its absolute values double what goes through it, 80 times over
    hadamard = 0.5 * np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    report = tg.verify_backward(forward, backward, {"W": hadamard})
    assert report.ok and "rounding was measured" in str(report), str(report)
    wrong = tg.verify_backward(forward, lambda W: {"W": backward(W)["W"] * (1 + 1e-6)}, {"W": hadamard})
    assert wrong.verdict == "FAIL"


def test_single_precision_inside_a_pass_is_noticed():
    def inside(x, W, b):
        return [g.astype(np.float32).astype(float) for g in right(x, W, b)]

    report = judged(inside)
    assert report.ok and "float32" in str(report)


# -- clipping --------------------------------------------------------------------------------------------------------
def test_clipped_gradients_are_named_and_their_mistakes_still_found():
    report = judged(lambda x, W, b: [np.clip(g, -1.6, 1.6) for g in right(x, W, b)])
    assert report.ok and "these are the true gradients clipped to +-1.6 " in str(report)

    def normed(x, W, b):
        gradients = right(x, W, b)
        return [g / np.sqrt(sum(np.sum(h * h) for h in gradients)) for g in gradients]

    report = judged(normed)
    assert report.ok and "scaled to norm 1" in str(report)
    wrong = judged(lambda x, W, b: [np.clip(g, -1.6, 1.6) for g in (right(x, W, b)[0], 2 * right(x, W, b)[1], B)])
    assert wrong.verdict == "FAIL"


def test_half_a_gradient_is_not_excused_as_clipped():
    assert tg.verify_backward(lambda w: np.sum(w * w), lambda w: {"w": w}, {"w": np.ones(2)}).verdict == "FAIL"
    signs = judged(lambda x, W, b: [np.clip(g, -1e-3, 1e-3) for g in right(x, W, b)])
    assert signs.verdict != "PASS"  # what is at the limit tells a sign and no more


# -- torch and jax ---------------------------------------------------------------------------------------------------
@pytest.mark.torch
class TestTorch:
    torch = pytest.importorskip("torch", reason="torch is not installed") if importlib.util.find_spec("torch") else None

    def inputs(self) -> dict[str, Any]:
        if self.torch is None:
            pytest.skip("torch is not installed")
        return {key: self.torch.from_numpy(value.copy()) for key, value in INPUTS.items()}

    def function(self, factor: float) -> Any:
        inputs, torch = self.inputs(), self.torch
        assert inputs

        class Layer(torch.autograd.Function):  # type: ignore[misc, name-defined]
            @staticmethod
            def forward(ctx: Any, x: Any, W: Any, b: Any) -> Any:
                y = torch.tanh(x @ W + b)
                ctx.save_for_backward(x, W, y)
                return y

            @staticmethod
            def backward(ctx: Any, dy: Any) -> Any:
                x, W, y = ctx.saved_tensors
                dz = dy * (1 - y**2)
                return dz @ W.T, factor * (x.T @ dz), dz.sum(0)

        return Layer

    def test_a_function_with_its_own_backward_pass(self):
        report = tg.verify_backward(self.function(1.0), inputs=self.inputs())
        assert report.ok, str(report)
        report = tg.verify_backward(self.function(2.0), inputs=self.inputs())
        assert [row.name for row in report.failed] == ["dW"]
        assert "this is 2 times the true gradient" in report.failed[0].explanation

    def test_single_precision_is_judged_as_such(self):
        report = tg.verify_backward(self.function(1.0), inputs={k: v.float() for k, v in self.inputs().items()})
        assert report.ok and "float32" in str(report)

    def test_a_backward_pass_on_torch_arrays(self):
        def forward(x, W, b):
            return (self.torch.tanh(x @ W + b) ** 2).sum()

        def backward(x, W, b):
            y = self.torch.tanh(x @ W + b)
            dz = 2 * y * (1 - y**2)
            return {"W": x.T @ dz, "b": dz.sum(0)}

        report = tg.verify_backward(forward, backward, self.inputs())
        assert report.ok, str(report)


@pytest.mark.slow
def test_a_custom_vjp_of_jax():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    jnp = jax.numpy

    def layer(factor):
        @jax.custom_vjp
        def f(x, W):
            return jnp.tanh(x @ W)

        def fwd(x, W):
            y = jnp.tanh(x @ W)
            return y, (x, W, y)

        def bwd(kept, dy):
            x, W, y = kept
            dz = dy * (1 - y**2)
            return dz @ W.T, factor * (x.T @ dz)

        f.defvjp(fwd, bwd)
        return f

    inputs = {"x": jnp.asarray(X), "W": jnp.asarray(W)}
    report = tg.verify_backward(layer(1.0), inputs=inputs)
    assert report.ok, str(report)
    assert [row.name for row in tg.verify_backward(layer(-1.0), inputs=inputs).failed] == ["dW"]


# -- fused weights ---------------------------------------------------------------------------------------------------
def gates(x, h, W):
    H = h.shape[1]
    a = x @ W[:2] + h @ W[2:]
    i = tg.sigmoid(a[:, :H])
    f = tg.sigmoid(a[:, H : 2 * H])
    g = np.tanh(a[:, 2 * H :])
    return np.sum(f * h + i * g)


def test_a_wrong_block_is_told_with_its_gate_and_rows():
    inputs = {"x": X, "h": draw(3, 4, seed=9), "W": draw(6, 12, seed=10), "Wh": draw(4, 12, seed=11)}
    leaves = {key: tg.tensor(value, name=key) for key, value in inputs.items()}
    true = tg.gradients(gates(leaves["x"], leaves["h"], leaves["W"]), leaves["W"])

    def backward(x, h, W, Wh):
        dW = true.copy()
        dW[:2, 4:8] *= 1.5
        return {"W": dW}

    report = tg.verify_backward(lambda x, h, W, Wh: gates(x, h, W) + 0.0 * np.sum(Wh), backward, inputs)
    assert "wrong in rows 0, 1 and columns 4 to 7 (block 2 of 3: gate f) only" in report.rows[0].explanation


# -- what does not fit -----------------------------------------------------------------------------------------------
REFUSED = {
    "typo in an input": (forward, right, {"x": X, "w": W, "b": B}, {}, "inputs= has 'w'.*did you mean 'W'"),
    "an input is missing": (forward, right, {"x": X, "W": W}, {}, "inputs= has no b"),
    "typo in a gradient": (forward, lambda x, W, b: {"dV": W}, INPUTS, {}, "no quantity 'V'.*it names W, b, x"),
    "close to a name": (forward, lambda x, W, b: {"dbb": b}, INPUTS, {}, r"did you mean db\?"),
    "too few": (forward, right, INPUTS, {"names": ("dx", "dW", "db", "dh")}, "3 results, fewer than the 4 of names="),
    "too many": (forward, right, INPUTS, {"names": ("dx", "dW")}, "3 results, more than the 2 of names="),
    "a tuple that fits nothing": (
        forward,
        lambda x, W, b: (W, W),
        INPUTS,
        {},
        "2 results without names: say what each",
    ),
    "nothing": (forward, lambda x, W, b: None, INPUTS, {}, "has to return a dict.*or to leave them in attributes"),
    "an empty dict": (forward, lambda x, W, b: {}, INPUTS, {}, "empty dict"),
    "no array": (forward, lambda x, W, b: {"W": None}, INPUTS, {}, "NoneType for W"),
    "wrong shape": (
        forward,
        lambda x, W, b: {"W": W.T},
        INPUTS,
        {},
        r"shape \(4, 2\), but W has \(2, 4\): is it t",
    ),
    "twice": (forward, lambda x, W, b: {"W": W, "dW": W}, INPUTS, {}, "gradient of W twice"),
    "nan": (forward, right, {**INPUTS, "b": np.array([0, np.nan, 0, 0])}, {}, r"b holds nan at \(1,\)"),
    "backward raises": (forward, lambda x, W, b: {"W": W @ W}, INPUTS, {}, "backward raised ValueError.*line"),
    "forward raises": (lambda W: np.linalg.cholesky(W @ W), lambda W: W, {"W": W}, {}, "forward raised"),
    "no loss": (lambda W: "loss", lambda W: {"W": W}, {"W": W}, {}, "forward has to return the loss.*not str"),
    "backward asks for more": (forward, lambda dy, cache, b: b, INPUTS, {}, "dy, cache, which are no inputs"),
    "params without arrays": (forward, right, INPUTS, {"params": {}}, "params= holds no float array"),
    "a name in both": (forward, right, INPUTS, {"params": {"W": W.copy()}}, "'W' stands in inputs= and in params="),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_words(case):
    run, backward, inputs, options, says = REFUSED[case]
    with pytest.raises(tg.GraphError, match=says):
        tg.verify_backward(run, backward, inputs, **options)


def test_steps_that_are_missing_are_refused():
    def forward(w):
        h = w
        for _ in tg.steps(1, 4):
            h = tg.name("h", np.tanh(h))
        return np.sum(h)

    with pytest.raises(tg.GraphError, match="2 steps of dh; the forward pass has 3"):
        tg.verify_backward(forward, lambda w: {"dh": [w, w]}, {"w": B})
    with pytest.raises(tg.GraphError, match="dh at step 7, but h stands at 1, 2, 3"):
        tg.verify_backward(forward, lambda w: {"dh": {7: w}}, {"w": B})


def test_a_loss_that_changes_from_call_to_call_is_refused():
    noise = np.random.default_rng(0)
    with pytest.raises(tg.GraphError, match="for the same inputs: seed its random numbers"):
        tg.verify_backward(lambda w: noise.normal() * sum(w.tolist()), lambda w: {"w": w}, {"w": B})


def test_writing_into_the_inputs_is_a_verdict_of_its_own():
    def careless(x, W, b):
        gradients = right(x, W, b)
        W -= 0.1 * gradients[1]
        return gradients

    before = W.copy()
    report = judged(careless)
    assert report.verdict == "FAIL" and np.array_equal(W, before)
    assert "backward changes W in place: it has to work on a copy" in str(report)
    assert [row.verdict for row in report.rows[:3]] == ["PASS"] * 3


def test_nan_in_a_gradient_is_told_with_its_place():
    def broken(x, W, b):
        dx, dW, db = right(x, W, b)
        dW[1, 2] = np.nan
        return dx, dW, db

    report = judged(broken)
    assert [row.name for row in report.failed] == ["dW"]
    assert "nan or inf was returned, first at (1, 2)" in str(report)


def test_a_gradient_that_is_zero_for_these_inputs_proves_nothing():
    report = tg.verify_backward(
        lambda w, v: np.sum(np.maximum(w, 0.0) * v),
        lambda w, v: {"w": 0 * w, "v": 0 * v},
        {"w": -np.ones(3), "v": B[:3]},
    )
    assert report.verdict == "INCONCLUSIVE"
    assert "zero for your inputs" in str(report)


@pytest.mark.parametrize("slope_at_zero", [0.0, 0.5, 1.0])
def test_either_side_of_a_kink_is_no_mistake(slope_at_zero):
    z = np.array([0.0, 1.0, -1.0, 0.0])

    def forward(w):
        return np.sum(np.maximum(0, w) * np.arange(1.0, 5.0))

    def slow(w):
        return sum(max(0.0, v) * (i + 1) for i, v in enumerate(w.tolist()))

    def backward(w):
        return {"w": np.where(w == 0, slope_at_zero, w > 0) * np.arange(1.0, 5.0)}

    for function in (forward, slow):
        report = tg.verify_backward(function, backward, {"w": z})
        assert report.ok or (report.verdict == "INCONCLUSIVE" and "kink" in str(report)), str(report)
        wrong = tg.verify_backward(function, lambda w: {"w": 3 * backward(w)["w"]}, {"w": np.array([0.1, 1, -1, 2])})
        assert wrong.verdict == "FAIL"


@pytest.mark.parametrize("N", [1, 2])
@pytest.mark.parametrize("H", [1, 2])
def test_an_output_of_one_entry_is_weighted_alike_forwards_and_backwards(N, H):
    weights = {"x": draw(N, 2, seed=12), "W": draw(2, H, seed=13)}

    def forward(x, W):
        h = np.tanh(x @ W)[:, None, :]
        return h, (x, W, h)

    def backward(dh, cache):
        x, W, h = cache
        dz = (dh * (1 - h**2))[:, 0, :]
        return {"x": dz @ W.T, "W": x.T @ dz}

    assert tg.verify_backward(forward, backward, weights).ok


def test_an_explanation_holds_at_other_inputs_too():
    # at ones the factors x and w cannot be told apart: what is wrong is that tanh' is missing, and nothing else
    ones = {"w": np.ones(3), "x": np.ones(3)}
    report = tg.verify_backward(lambda w, x: np.sum(np.tanh(w * x)), lambda w, x: {"w": x, "x": w}, ones)
    assert "the derivative `1 - y**2` of y = `tanh(w * x)` is missing" in report.rows[0].explanation


def test_inputs_that_hide_a_mistake_do_not_pass_it():
    ones = {"w": np.ones(3), "x": np.ones(3)}
    report = tg.verify_backward(lambda w, x: np.sum(w * w * x), lambda w, x: {"w": 2 * w * w, "x": w * w}, ones)
    assert [row.verdict for row in report.rows] == ["INCONCLUSIVE", "PASS"]
    assert "right at your inputs, but not where they are moved" in str(report)
    assert np.array_equal(ones["w"], np.ones(3))
    # dWh without its first step, at h0 = 0
    start = {"x": draw(3, 4, seed=14), "h0": np.zeros(4), "W": V}

    def states(x, h0, W):
        h = [h0]
        for t in range(3):
            h.append(np.tanh(W @ h[-1] + x[t]))
        return h

    def backward(x, h0, W):
        h, dW, dh = states(x, h0, W), np.zeros_like(W), np.ones(4)
        for t in reversed(range(3)):
            dz = (1 - h[t + 1] ** 2) * dh
            dW += np.outer(dz, h[t]) if t > 0 else 0.0
            dh = W.T @ dz
        return {"W": dW, "h0": dh}

    report = tg.verify_backward(lambda x, h0, W: np.sum(states(x, h0, W)[-1]), backward, start)
    assert report.verdict == "INCONCLUSIVE"
    assert "dW at such inputs: the first use of `W` in `W @ h[t-1]` is left out" in " ".join(str(report).split())


def test_labels_stay_what_they_are():
    labels = np.eye(4)[[0, 2, 1]]

    def forward(x, W, y):
        z = x @ W
        return -np.sum(y * (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))))

    def backward(x, W, y):
        p = np.exp(x @ W) / np.sum(np.exp(x @ W), axis=1, keepdims=True)
        return {"W": x.T @ (p - y)}  # right for one-hot labels only

    assert tg.verify_backward(forward, backward, {"x": X, "W": W, "y": labels}).ok


def test_the_report_speaks_of_your_inputs():
    report = judged(right)
    for told in (str(report), report.to_markdown(), report.to_html()):
        assert "your inputs" in told and "random probe" not in told and "T = " not in told


def test_an_assertion_takes_the_same_styles():
    assert_gradients(forward, right, INPUTS, names=("dx", "dW", "db"))
    with pytest.raises(AssertionError, match=r"dV.*FAIL"):
        assert_gradients(from_globals, lambda x: {"V": 2 * dV_of(x)}, {"x": B}, params={"V": V})


class Keeping:
    """Forward keeps its input and its states in the object, where backward reads them."""

    def __init__(self) -> None:
        self.W = W.copy()

    def loss(self, x: Any) -> Any:
        self.x, self.h = x, [np.zeros(4)]
        self.h.append(np.tanh(x @ self.W))
        return np.sum(self.h[-1] ** 2)

    def backward(self, x: Any) -> Any:
        self.loss(x)
        return {"dW": self.x.T @ (2 * self.h[-1] * (1 - self.h[-1] ** 2))}


def test_an_object_that_keeps_its_inputs_is_judged_again_and_left_as_it_was():
    net = Keeping()
    assert [tg.verify_backward(net.loss, net.backward, {"x": X}, params=net).ok for _ in range(2)] == [True, True]
    assert list(vars(net)) == ["W"]
    net.loss(X)  # as a step of training does
    before = dict(vars(net))
    assert tg.verify_backward(net.loss, net.backward, {"x": X}, params=net).ok
    assert all(vars(net)[name] is value for name, value in before.items())


CLIPPED = {
    "is missing": lambda z: 1.0,
    "is taken as 0 above its upper limit only": lambda z: z < 1,
    "is taken as 0 below its lower limit only": lambda z: z > -1,
}


@pytest.mark.parametrize("mistake", CLIPPED)
@pytest.mark.parametrize("z", [0.4, 3.0])
def test_a_clip_is_looked_at_from_both_sides(mistake, z):
    """Inside of the limits each of these is right, and above the upper one two of them look alike."""
    x = np.array([0.5, -0.2, 0.7])
    inputs = {"w": z * x / np.sum(x * x)}
    backward = {
        said: lambda w, s=slope: {"w": 2.0 * s(np.sum(w * x)) * x}
        for said, slope in {**CLIPPED, "": lambda z: -1 < z < 1}.items()
    }
    report = tg.verify_backward(lambda w: 2.0 * np.clip(np.sum(w * x), -1, 1), backward[mistake], inputs)
    shows = z > 1 and mistake != "is taken as 0 above its upper limit only"
    if z > 1 and not shows:
        assert report.verdict == "INCONCLUSIVE"  # the gradient is zero there
        return
    assert report.verdict == ("FAIL" if shows else "INCONCLUSIVE")
    assert mistake in " ".join(str(report).split())
    right = tg.verify_backward(lambda w: 2.0 * np.clip(np.sum(w * x), -1, 1), backward[""], inputs)
    assert right.verdict == ("PASS" if z < 1 else "INCONCLUSIVE")


def test_a_guard_against_zero_that_never_acts_is_told_and_no_fault():
    report = tg.verify_backward(
        lambda w: np.sum(np.log(np.maximum(np.exp(w), 1e-300))), lambda w: {"w": np.ones(3)}, {"w": B[:3]}
    )
    assert report.verdict == "PASS"
    assert "see one side only" in " ".join(str(report).split())
