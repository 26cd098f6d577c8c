"""Backward passes written by hand in numpy: a whole peephole LSTM, right and with each of several mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.testing import assert_derivation, assert_gradients

H, D, T = 4, 3, 5
GATES = "ifgo"


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    values = {f"W_{k}": rng.standard_normal((H, H)) / 2 for k in GATES}
    values |= {f"U_{k}": rng.standard_normal((H, D)) / 2 for k in GATES}
    values |= {f"b_{k}": rng.standard_normal((H, 1)) for k in GATES}
    values |= {f"p_{k}": rng.standard_normal((H, 1)) for k in "ifo"}
    values |= {f"x{t}": rng.standard_normal((D, 1)) for t in range(1, T + 1)}
    values |= {"h0": rng.standard_normal((H, 1)), "c0": rng.standard_normal((H, 1))}
    return values


def forward(**v):
    h, c, loss = v["h0"], v["c0"], 0.0
    for t in tg.steps(1, T + 1):
        z = {k: v[f"W_{k}"] @ h + v[f"U_{k}"] @ v[f"x{t}"] + v[f"b_{k}"] for k in GATES}
        i = tg.name("i", tg.sigmoid(z["i"] + v["p_i"] * c))
        f = tg.name("f", tg.sigmoid(z["f"] + v["p_f"] * c))
        g = tg.name("g", np.tanh(z["g"]))
        c = tg.name("c", f * c + i * g)
        o = tg.name("o", tg.sigmoid(z["o"] + v["p_o"] * c))
        h = tg.name("h", o * np.tanh(c))
        loss = loss + np.sum(h * h)
    return loss


def sigma(x):
    return 1.0 / (1.0 + np.exp(-x))


def backward(mistake="", **v):
    h, c, gate = {0: v["h0"]}, {0: v["c0"]}, {}
    for t in range(1, T + 1):
        z = {k: v[f"W_{k}"] @ h[t - 1] + v[f"U_{k}"] @ v[f"x{t}"] + v[f"b_{k}"] for k in GATES}
        i, f, g = sigma(z["i"] + v["p_i"] * c[t - 1]), sigma(z["f"] + v["p_f"] * c[t - 1]), np.tanh(z["g"])
        c[t] = f * c[t - 1] + i * g
        o = sigma(z["o"] + v["p_o"] * c[t])
        h[t] = o * np.tanh(c[t])
        gate[t] = {"i": i, "f": f, "g": g, "o": o}
    zero = np.zeros((H, 1))
    dz = {T + 1: dict.fromkeys(GATES, zero)}
    d = {k: {} for k in "ifgohc"}
    d["c"][T + 1] = zero
    for t in range(T, 0, -1):
        a, after = gate[t], gate.get(t + 1, dict.fromkeys(GATES, zero))
        d["h"][t] = 2 * h[t] + sum(v[f"W_{k}"].T @ dz[t + 1][k] for k in GATES)
        d["o"][t] = d["h"][t] * np.tanh(c[t])
        dzo = d["o"][t] * a["o"] * (1 - a["o"])
        d["c"][t] = (
            d["h"][t] * a["o"] * (1 - np.tanh(c[t]) ** 2) + v["p_i"] * dz[t + 1]["i"] + v["p_f"] * dz[t + 1]["f"]
        )
        if mistake != "cell path":
            d["c"][t] = d["c"][t] + d["c"][t + 1] * after["f"]
        if mistake != "output peephole":
            d["c"][t] = d["c"][t] + v["p_o"] * dzo
        d["i"][t], d["f"][t], d["g"][t] = d["c"][t] * a["g"], d["c"][t] * c[t - 1], d["c"][t] * a["i"]
        if mistake == "forget gate":
            d["f"][t] = d["c"][t] * c[t]
        dz[t] = {k: d[k][t] * a[k] * (1 - a[k]) for k in "if"} | {"g": d["g"][t] * (1 - a["g"] ** 2), "o": dzo}
    found = {f"d{k}": {t: values[t] for t in range(1, T + 1)} for k, values in d.items()}
    for k in GATES:
        found[f"dW_{k}"] = sum(dz[t][k] @ h[t - 1].T for t in range(1, T + 1))
        found[f"dU_{k}"] = sum(dz[t][k] @ v[f"x{t}"].T for t in range(1, T + 1))
        found[f"db_{k}"] = sum(dz[t][k] for t in range(1, T + 1))
    for k, shift in (("i", 1), ("f", 1), ("o", 0)):
        found[f"dp_{k}"] = sum(dz[t][k] * c[t - shift] for t in range(1, T + 1))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_right_backward_pass_passes(seed):
    report = tg.verify_backward(forward, backward, inputs(seed))
    assert report.ok, str(report)
    assert {row.name for row in report.rows} >= {"dc[t]", "dh[t]", "dW_i", "dp_o"}


def test_the_missing_cell_path_is_named():
    report = tg.verify_backward(forward, lambda **v: backward("cell path", **v), inputs())
    assert not report.ok
    (row,) = [row for row in report.rows if row.mistake]
    assert row.name == "dc[t]"
    assert "what comes back from `f * c[t-1]` into `c[t-1]` is missing" in row.explanation
    assert [s.t for s in row.steps if s.verdict == "FAIL"] == [1, 2, 3, 4]


def test_the_missing_output_peephole_is_named():
    report = tg.verify_backward(forward, lambda **v: backward("output peephole", **v), inputs())
    (row,) = [row for row in report.rows if row.mistake]
    assert row.name == "dc[t]"
    assert "p_o" in row.explanation
    assert "is missing" in row.explanation


@pytest.mark.slow
def test_a_wrong_line_is_told_from_what_follows_from_it():
    report = tg.verify_backward(forward, lambda **v: backward("forget gate", **v), inputs())
    assert [row.name for row in report.rows if row.mistake] == ["df[t]"]
    explanation = next(row for row in report.rows if row.mistake).explanation
    assert "`c` stands for the factor `c[t-1]` on the way back into `f`" in explanation
    others = [row for row in report.rows if row.verdict == "FAIL" and not row.mistake]
    assert others
    assert all("follows from the mistake told at df[t]" in row.explanation for row in others)


def test_gradients_without_steps_are_judged_too():
    def without_steps(**v):
        return {key: value for key, value in backward(**v).items() if not isinstance(value, dict)}

    assert tg.verify_backward(forward, without_steps, inputs()).ok


@pytest.mark.parametrize(
    ("returned", "says"),
    [({"dq": 1.0}, "no quantity 'q'"), ({"dW_i": np.zeros(3)}, r"shape \(3,\)"), ([1.0], "one result without names")],
    ids=["unknown name", "wrong shape", "too few"],
)
def test_unusable_answers_are_refused(returned, says):
    with pytest.raises(tg.GraphError, match=says):
        tg.verify_backward(forward, lambda **v: returned, inputs())


def test_nan_is_wrong_where_the_truth_is_finite():
    report = tg.verify_backward(lambda w: np.sum(w * w), lambda w: {"w": w * np.nan}, {"w": np.ones(2)})
    assert report.verdict == "FAIL"
    report = tg.verify_backward(lambda w: np.sum(1.0 / w), lambda w: {"w": -1.0 / w**2}, {"w": np.zeros(2)})
    assert report.verdict == "INCONCLUSIVE"


def test_single_precision_and_class_numbers_are_inputs_too():
    w = np.linspace(-1, 1, 5, dtype=np.float32)
    assert tg.verify_backward(lambda w: np.sum(np.tanh(w)), lambda w: {"w": 1 - np.tanh(w) ** 2}, {"w": w}).ok
    with pytest.raises(tg.DtypeError, match="pass it as floats"):
        tg.verify_backward(lambda w: np.sum(w * w), lambda w: {"w": 2 * w}, {"w": np.array([1, 2])})


def test_what_is_not_returned_is_not_judged_and_said_so():
    def forward(a, b):
        return np.sum(a * b)

    report = tg.verify_backward(forward, lambda a, b: {"a": b}, {"a": np.ones(2), "b": np.ones(2)})
    assert "not returned, so not judged: db" in str(report)
    with pytest.raises(tg.GraphError, match="empty dict"):
        tg.verify_backward(forward, lambda a, b: {}, {"a": np.ones(2), "b": np.ones(2)})


def test_assertions_carry_the_report():
    with pytest.raises(AssertionError, match=r"dW.*FAIL"):
        assert_derivation("sizes: h = 2\nh[t] = W @ h[t-1]\nL = sum(h[T])\ngradients:\ndW = sum(t, dh[t] @ h[t].T)")
    with pytest.raises(AssertionError, match=r"dw.*FAIL"):
        assert_gradients(lambda w: np.sum(w * w), lambda w: {"w": w}, {"w": np.ones(2)})


def test_declared_truncation_is_judged_against_what_it_claims():
    # h[t] = w h[t-1], h[0] = .9, w = .2: with the gradient stopped, each step contributes h[t-1] alone
    text = "sizes: h = 1, w = 1\nh[t] = w * stop(h[t-1])\nL = sum(t, h[t])\n"
    text += "gradients:\ndh[t] = 1\ndw = sum(t, h[t-1] * dh[t])"
    assert tg.verify(text).ok
    run = tg.load(text).unroll(3, values={"w": 0.2, ("h", 0): 0.9})
    assert [round(run["h", t].item(), 4) for t in (1, 2, 3)] == [0.18, 0.036, 0.0072]
    per_step = tg.gradients(run.loss, run["w"], per_step=True)
    np.testing.assert_allclose([np.sum(per_step[t]) for t in (1, 2, 3)], [0.9, 0.18, 0.036])
    full = tg.load(text.replace("stop(h[t-1])", "h[t-1]")).unroll(3, values={"w": 0.2, ("h", 0): 0.9})
    totals = [float(np.sum(tg.gradients(full["h", t], full["w"]))) for t in (1, 2, 3)]
    np.testing.assert_allclose(totals, [0.9, 0.36, 0.108])
    assert not tg.verify(text.replace("stop(h[t-1])", "h[t-1]")).ok
