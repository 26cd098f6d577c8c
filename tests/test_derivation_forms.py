"""What a derivation prints where no shipped file stands for it: forms by hand, numbers by the engine."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.errors import DerivationError
from tinygrad_rnn.verification.measure.probe import Probe

STATE = "sizes: x = 3, h = 4\nh[t] = tanh(W @ h[t-1] + U @ x[t])\n"
BACK = "W.T @ diag(1 - h[t+1]**2) @ dh[t+1]"


def wrong(text: str, T: int, lengths: dict[str, int]) -> list[str]:
    model = tg.load(text)
    probe = Probe(model, model.unroll(T, lengths=lengths))
    judged = [(e, s, probe.judge(e, s).verdict) for e in model.gradients for s in model.steps_of(e, probe.run.lengths)]
    return [f"{verdict} at {step}: {e.text}" for e, step, verdict in judged if verdict == "FAIL"]


def lines(forward: str, lengths: dict[str, int] | None = None) -> list[str]:
    """What is derived; it is right at lengths from 4 to 8."""
    derivation = tg.derive(forward)
    for T in (4, 5, 8):
        assert wrong(derivation.document(), T, lengths or {}) == []
    return derivation.text().splitlines()


#: what each of these printed before the derivation was symbolic, and what is right
ONCE_WRONG = {
    "sum(t, sum(b))": (
        "sizes: h = 4\nh[t] = tanh(W @ h[t-1] + b)\nL = sum(t, sum(b)) + sum(h[T])",
        "db = sum(t, diag(1 - h[t]**2) @ dh[t]) + T * ones_like(b)",
    ),
    "a loss of V @ h[t] + c": (
        "sizes: h = 4, y = 5\nh[t] = tanh(W @ h[t-1])\nL = sum(t, squared_error(V @ h[t] + c, y[t]))",
        "dc = T * c + sum(t, V @ h[t] - y[t])",
    ),
    "an output of the last step, compared at each": (
        "sizes: h = 4, o = 3\nh[t] = tanh(W @ h[t-1])\no = V @ h[T]\nL = sum(t, squared_error(o, y[t]))",
        "do = T * o - sum(t, y[t])",
    ),
    "a context read at each step": (
        "sizes: h = 4, k = 3, z = 2\nk = tanh(R @ z)\nh[t] = tanh(W @ h[t-1] + Q @ k)\nL = sum(t, sum(h[t]**2))",
        "dk = sum(t, Q.T @ diag(1 - h[t]**2) @ dh[t])",
    ),
}

#: what was refused before, and one line of what is right
ONCE_REFUSED = {
    "a penalty on a matrix": (STATE + "L = sum(t, sum(h[t])) + 0.1 * sum(W * W)", "+ 0.2 * W"),
    "a norm": (STATE + "L = sum(t, sum(h[t])) + norm(U)", "+ U / norm(U)"),
    "rows of a state": (
        STATE + "L = sum(t, sum(rows(h[t], 1, 2)**2))",
        f"dh[t] = {BACK} + [2 * rows(h[t], 1, 2); 0; 0]    for t < T",
    ),
    "rows of a state of several columns": (
        "sizes: h = 5 x 3\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(rows(h[t], 2, 3)**2))",
        "dh[T] = [{0}; 2 * rows(h[T], 2, 3); {0}; {0}]".format("0 * rows(2 * rows(h[T], 2, 3), 1, 1)"),
    ),
    "a masked mean": (
        STATE.replace("x = 3", "x = 3, m = 2")
        + "L = sum(t, m[t] * squared_error(h[t], y[t])) / sum(t, m[t])".replace("m[t]", "(m[t].T @ v)"),
        "/ sum(k, m[k].T @ v)    for t < T",
    ),
    "a weight of each step": (
        STATE + "L = sum(t, 0.9**(T-t) * sum(h[t]**2))",
        f"dh[t] = {BACK} + 2 * h[t] * 0.9**(T - t)    for t < T",
    ),
    "diag(ones_like(h))": (
        STATE.replace("W @ h[t-1]", "(W + diag(ones_like(h[t-1]))) @ h[t-1]") + "L = sum(h[T])",
        "dh[t] = (W + diag(ones_like(h[t]))).T @ diag(1 - h[t+1]**2) @ dh[t+1]    for t < T",
    ),
    "the larger of two": (
        STATE + "L = sum(t, sum(maximum(h[t], y[t])))",
        f"dh[t] = {BACK} + relu'(h[t] - y[t])    for t < T",
    ),
    "the smaller of two": (STATE + "L = sum(t, sum(minimum(h[t], y[t])))", "dh[T] = relu'(y[T] - h[T])"),
    "a product over time": (
        STATE + "L = prod(t, sum(h[t]**2))",
        f"dh[t] = {BACK} + 2 * h[t] * prod(k != t, sum(h[k]**2))    for t < T",
    ),
    "rewards to go": (
        "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nr[t] = v.T @ h[t]\nL = sum(t, r[t] * sum(k <= t, sum(h[k])))",
        "dv = sum(t, h[t] * sum(k <= t, sum(h[k])))",
    ),
    "attention to what was": (
        "indices: t = 1..T, s = 1..T\nsizes: h = 3, e = 1\nh[t] = tanh(W @ h[t-1])\ne[t, s] = h[t].T @ h[s]\n"
        "p[t, s] = exp(e[t, s]) / sum(k <= t, exp(e[t, k]))    for s <= t\nc[t] = sum(k <= t, p[t, k] * h[k])\n"
        "L = sum(t, sum(c[t]**2))",
        "de[t, s] = p[t, s] * (dp[t, s] - sum(k <= t, dp[t, k] * p[t, k]))    for s <= t",
    ),
    "a diagonal": (
        "indices: t = 1..T, s = 1..T\nsizes: h = 3, D = 3\nD[t, s] = tanh(h[t] * w + h[s])\nh[t] = tanh(W @ h[t-1])\n"
        "L = sum(t, sum(D[t, t]**2))",
        "dD[t, t] = 2 * D[t, t]",
    ),
    "the other way round": (
        "sizes: h = 3, g = 3\nh[t] = tanh(W @ h[t-1])\ng[t] = tanh(V @ h[T+1-t])\nL = sum(t, sum(g[t]**2))",
        "dV = sum(t, diag(1 - g[t]**2) @ dg[t] @ h[T+1-t].T)",
    ),
    "a step that only even sequences end with": (
        "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = sum(t % 2 = 0, sum(h[t]**2)) + sum(h[T])",
        "dh[t] = ones_like(h[T])    for t = T and t % 2 = 1",
    ),
    "learned exponents": (
        "sizes: h = 3, lam = 1\nbounds: 0.1 < lam < 1\nh[t] = tanh(W @ h[t-1])\nL = sum(t, lam**(T-t) * sum(h[t]**2))",
        "dlam = sum(t, lam**(T - 1 - t) * sum(h[t]**2) * (T - t))",
    ),
    "an inverse": (
        "sizes: h = 3\nh[t] = tanh(inv(W) @ h[t-1])\nL = sum(t, sum(h[t]))",
        "dW = -sum(t, inv(W).T @ diag(1 - h[t]**2) @ dh[t] @ h[t-1].T @ inv(W).T)",
    ),
    "a solution": (
        "sizes: h = 3\nh[t] = tanh(solve(W, h[t-1]))\nL = sum(t, sum(h[t]))",
        "dh[t] = solve(W.T, diag(1 - h[t+1]**2) @ dh[t+1]) + ones_like(h[t])    for t < T",
    ),
    "a square of a matrix": (
        "sizes: h = 3\nh[t] = tanh(W**2 @ h[t-1])\nL = sum(t, sum(h[t]))",
        "dh[t] = W.T @ W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + ones_like(h[t])    for t < T",
    ),
    "labels of sum one": (
        "labels: y simplex\nsizes: h = 4, o = 5, y = 5\nh[t] = tanh(W @ h[t-1])\no[t] = V @ h[t]\n"
        "L = sum(t, -y[t].T @ log_softmax(o[t]))",
        "do[t] = softmax(o[t]) - y[t]",
    ),
    "rows, a stack": (
        "vectors: rows\nsizes: x = 3, h = 4\nh[t] = tanh([h[t-1], x[t]] @ W + b)\nL = sum(t, sum(h[t]**2))",
        "dW = sum(t, [h[t-1]; x[t]].T @ (dh[t] * (1 - h[t]**2)))",
    ),
    "rows, a diagonal matrix": (
        "vectors: rows\nsizes: h = 4\nh[t] = tanh(h[t-1] @ diag(w) @ W)\nL = sum(t, sum(h[t]**2))",
        "dw = sum(t, ((dh[t] * (1 - h[t]**2)) @ W.T) * h[t-1])",
    ),
    "the rows of a softmax": (
        "sizes: M = 3 x 4, h = 3\nA = softmax_rows(M)\nh[t] = tanh(W @ h[t-1] + A @ v)\nL = sum(t, sum(h[t]))",
        "dM = dA * A - diag(row_sums(dA * A)) @ A",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ONCE_WRONG)
def test_a_length_that_was_taken_for_a_number_stays_a_length(what):
    forward, expected = ONCE_WRONG[what]
    assert expected in lines(forward)


@pytest.mark.slow
@pytest.mark.parametrize("what", ONCE_REFUSED)
def test_what_was_refused_is_derived(what):
    forward, expected = ONCE_REFUSED[what]
    found = lines(forward)
    assert any(expected in line for line in found), "\n".join(found)


@pytest.mark.slow
def test_two_lengths_need_not_be_the_same():
    forward = (
        "indices: s = 1..S, t = 1..T\nsizes: h = 3, g = 3\nh[s] = tanh(W @ h[s-1])\n"
        "g[t] = tanh(V @ g[t-1] + sum(s <= t, h[s]))\nL = sum(t, sum(g[t]**2))"
    )
    for S in (2, 7):
        assert "dh[S] = sum(t >= S, diag(1 - g[t]**2) @ dg[t])" in lines(forward, {"S": S})


def test_numbers_are_written_as_people_write_them():
    forward = "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\n"
    found = lines(forward + "L = sum(t, sum(h[t]**2)) * 2 / 3 + sum(t, sum(h[t]**3)) / 16 + 0.0001 * sum(W * W)")
    assert found[0] == "dh[T] = 3 / 16 * h[T]**2 + 4 / 3 * h[T]"
    assert found[-1].endswith(" + 0.0002 * W")


def test_nothing_that_is_zero_is_written():
    found = lines("sizes: h = 4, o = 2\nh[t] = tanh(W @ h[t-1])\no[t] = V @ h[t]\nL = sum(t < T, sum(o[t]**2))")
    assert "dh[T-1] = V.T @ do[T-1]" in found
    assert not any(line.startswith(("dh[T] =", "do[T] =")) or "@ 0" in line for line in found)


def test_what_is_left_without_its_mean_adds_up_to_nothing():
    found = lines(
        "sizes: h = 4\na[t] = W @ h[t-1]\nm[t] = mean(a[t])\nv[t] = sqrt(mean((a[t] - m[t])**2) + 0.001)\n"
        "h[t] = tanh(g * (a[t] - m[t]) / v[t] + b)\nL = sum(t, sum(h[t]**2))"
    )
    assert not any("sum(a[t] - m[t])" in line for line in found)


@pytest.mark.parametrize(
    "loss", ["sum(h[12]**2) + sum(h[T])", "sum(t < T-9, sum(h[t]**2))", "sum(t > 11, sum(h[t]**2))"]
)
def test_steps_far_from_both_ends_are_checked_where_there_are_such(loss):
    derivation = tg.derive(f"sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = {loss}")
    assert wrong(derivation.document(), 17, {}) == wrong(derivation.document(), 24, {}) == []


def test_a_loss_of_one_step_leaves_the_others_zero_and_says_so():
    found = lines("sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(h[1])")
    assert "dh[T] = 0" in found


def test_what_only_some_lengths_end_with_is_stated_as_zero_in_the_others():
    clock = "h[t] = tanh(V @ h[t-1] + U @ s[t])    for t % 3 = 0\nh[t] = h[t-1]    for t % 3 != 0\n"
    found = lines(f"sizes: s = 3, h = 2\ns[t] = tanh(W @ s[t-1])\n{clock}L = sum(t, sum(h[t]**2))")
    assert "ds[t] = 0    for t = T and t % 3 != 0" in found


@pytest.mark.slow
@pytest.mark.parametrize("steps", [12, 40])
def test_a_long_chain_of_equations_keeps_its_names(steps):
    chain = [f"a{i}[t] = tanh(a{i - 1}[t])" for i in range(1, steps)]
    found = lines("\n".join(["sizes: h = 3", "a0[t] = W @ h[t-1]", *chain, f"h[t] = a{steps - 1}[t]", "L = sum(h[T])"]))
    assert max(map(len, found)) < 120


@pytest.mark.slow
def test_what_would_have_too_many_terms_is_refused_and_says_what_would_help():
    doubled = [f"a{i}[t] = tanh(a{i - 1}[t]) * sigmoid(a{i - 1}[t])" for i in range(1, 20)]
    forward = "\n".join(["sizes: h = 3", "a0[t] = W @ h[t-1]", *doubled, "h[t] = a19[t]", "L = sum(h[T])"])
    with pytest.raises(DerivationError, match=r"the gradient of \w+ has 201 terms more .* keep the gradients of"):
        tg.derive(forward, keep=["h"])


@pytest.mark.parametrize(
    ("forward", "why"),
    [
        ("A[t] = tanh(x[t] @ x[t].T)\nL = sum(prod(t, A[t]) @ v)", "a product of matrices over time"),
        ("h[t] = tanh(W @ h[t-1])\nL = sum(t, sum(W**t @ h[t]))", "a power of a matrix"),
    ],
)
def test_what_has_no_derivative_here_is_refused_with_its_reason(forward, why):
    sizes = "x = 3, A = 3 x 3" if "A[t]" in forward else "h = 3"
    with pytest.raises(DerivationError, match=why):
        tg.derive(f"sizes: {sizes}\n{forward}")
