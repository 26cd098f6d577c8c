"""What is proved is right for every length and size; what is right is proved. Truth: algebra by hand."""

from dataclasses import replace

import pytest

import tinygrad_rnn as tg
from tests.sweep import EVERYTHING, sample
from tinygrad_rnn import models
from tinygrad_rnn.core.errors import LanguageError
from tinygrad_rnn.derivation.prover.prove import Budget, prove
from tinygrad_rnn.language import Model, load
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.verification.mutants import _changed

VANILLA = """sizes: x = 3, h = 4, o = 5
a[t] = b + W @ h[t-1] + U @ x[t]
h[t] = tanh(a[t])
o[t] = c + V @ h[t]
L[t] = cross_entropy(o[t], y[t])
L = sum(t, L[t])
gradients:
do[t] = softmax(o[t]) - onehot(y[t])
dh[T] = V.T @ do[T]
dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T
"""
SQUARES = "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t] * h[t]))\ngradients:\n"
LINEAR = "sizes: h = 4\nh[t] = W @ h[t-1]\nL = sum(t, sum(h[t] * h[t]))\ngradients:\ndh[T] = 2 * h[T]\n"
SQUARED = "sizes: h = 4\na[t] = W @ h[t-1]\nh[t] = a[t] * a[t]\nL = sum(t, sum(h[t]))\ngradients:\n"
RELU = (
    "sizes: h = 4\na[t] = W @ h[t-1]\nh[t] = relu(a[t])\nL = sum(t, sum(h[t] * h[t]))\ngradients:\ndh[T] = 2 * h[T]\n"
)
CELL = """sizes: x = 3, c = 4
z_f[t] = U_f @ x[t]
f[t] = sigmoid(z_f[t])
i[t] = sigmoid(U_i @ x[t])
g[t] = tanh(U_g @ x[t])
c[t] = f[t] * c[t-1] + i[t] * g[t]
L = sum(t, sum(c[t] * c[t]))
gradients:
dc[T] = 2 * c[T]
dc[t] = 2 * c[t] + f[t+1] * dc[t+1]    for t < T
"""


def last(text: str) -> tuple[Model, object]:
    """A model and the last equation of its text."""
    model = load(text)
    return model, model.gradients[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(models.names(), 15, "proved", always=["ntm"]))
def test_every_equation_of_every_shipped_model_is_proved(name: str) -> None:
    model = tg.load(name)
    refused = {}
    for equation in model.gradients:
        if model.role(equation) != "helper":
            proof = prove(model, equation, Budget(seconds=20.0))
            if not proof.proved:
                refused[equation.name] = proof.reason
    assert refused == {}


RIGHT = {
    "the end stated as zero": VANILLA.split("dh[T]")[0]
    + "da[T+1] = 0\nda[t] = dh[t] * (1 - h[t]**2)\ndh[t] = W.T @ da[t+1] + V.T @ do[t]",
    "two steps at once": VANILLA.split("dh[t]")[0]
    + "dh[T-1] = V.T @ do[T-1] + W.T @ diag(1 - h[T]**2) @ V.T @ do[T]\n"
    + "dh[t] = V.T @ do[t] + W.T @ diag(1 - h[t+1]**2) @ (V.T @ do[t+1] + W.T @ diag(1 - h[t+2]**2) @ dh[t+2])"
    + "    for t < T-1",
    "a sum split": VANILLA + "dc = sum(t < T, do[t]) + do[T]",
    "a sum shifted": VANILLA
    + "dW = (dh[1] * (1 - h[1]**2)) @ h[0].T + sum(t < T, (dh[t+1] * (1 - h[t+1]**2)) @ h[t].T)",
    "distributed": VANILLA + "db = sum(t, dh[t] - h[t]**2 * dh[t])",
    "the slope spelled out": VANILLA + "db = sum(t, tanh'(a[t]) * dh[t])",
    "a definition put in": VANILLA + "db = sum(t, tanh'(b + W @ h[t-1] + U @ x[t]) * dh[t])",
    "an outer product": VANILLA + "dU = sum(t, outer(dh[t] * (1 - h[t] * h[t]), x[t]))",
    "copies": VANILLA + "dW[t] = (dh[t] * (1 - h[t]**2)) @ h[t-1].T\ndW = sum(t, dW[t])",
    "a helper of its reader": VANILLA.split("dh[T]")[0]
    + "delta[t] = dh[t] * (1 - h[t]**2)\ndh[T] = V.T @ do[T]\ndh[t] = W.T @ delta[t+1] + V.T @ do[t]    for t < T",
    "a helper defined by itself": VANILLA.split("dh[T]")[0] + "delta[T] = (V.T @ do[T]) * (1 - h[T]**2)\n"
    "delta[t] = (V.T @ do[t] + W.T @ delta[t+1]) * (1 - h[t]**2)    for t < T\ndW = sum(t, delta[t] @ h[t-1].T)",
    "two helpers defined by each other": VANILLA.split("dh[T]")[0]
    + "g[T+1] = 0 * b\ng[t] = V.T @ do[t] + W.T @ delta[t+1]\n"
    "delta[T+1] = 0 * b\ndelta[t] = g[t] * (1 - h[t]**2)\ndW = sum(t, delta[t] @ h[t-1].T)",
    "softmax by hand": VANILLA.split("do[t]")[0] + "do[t] = exp(o[t] - logsumexp(o[t])) - onehot(y[t])",
    "a relu's mask from its result": RELU + "da[T] = dh[T] * relu'(h[T])",
    "a definition read backwards": CELL + "dz_f[t] = dc[t] * (c[t] - i[t] * g[t]) * (1 - f[t])",
    "divided by a root": "sizes: h = 4\na[t] = W @ h[t-1]\nh[t] = sqrt(a[t])\nL = sum(t, sum(h[t]))\ngradients:\n"
    "da[t] = dh[t] / (2 * h[t])",
    "stop": "sizes: h = 4\nh[t] = tanh(W @ stop(h[t-1]))\nL = sum(t, sum(h[t] * h[t]))\ngradients:\n"
    "dh[t] = 2 * h[t]\ndW = sum(t, (dh[t] * (1 - h[t]**2)) @ h[t-1].T)",
    "weights that depend on the step": "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, 0.9**(T-t) * sum(h[t]))\n"
    "gradients:\ndh[T] = ones_like(h[T])\n"
    "dh[t] = 0.9**(T-t) * ones_like(h[t]) + W.T @ (dh[t+1] * (1 - h[t+1]**2))    for t < T",
    "a norm and a penalty": "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = norm(h[T]) + sum(W * W)\ngradients:\n"
    "dh[T] = h[T] / norm(h[T])\ndW = 2 * W + sum(t, (dh[t] * (1 - h[t]**2)) @ h[t-1].T)",
    "the larger of two": "sizes: h = 4, p = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(maximum(h[T], p))\ngradients:\n"
    "dh[T] = (1 + sign(h[T] - p)) / 2",
    "rows of a stack": "sizes: h = 4, x = 3\nv[t] = [h[t-1]; x[t]]\nh[t] = tanh(W @ v[t])\n"
    "L = sum(t, sum(h[t] * h[t]))\ngradients:\ndv[t] = W.T @ (dh[t] * (1 - h[t]**2))\ndh[T] = 2 * h[T]\n"
    "dh[t] = 2 * h[t] + rows(dv[t+1], 1, 4)    for t < T\ndx[t] = rows(dv[t], 5, 7)",
    "means over samples that count": "sizes: h = 4, m = 1\nh[t] = tanh(W @ h[t-1])\n"
    "L = sum(t, m[t] * sum(h[t])) / sum(t, m[t])\ngradients:\ndh[T] = m[T] / sum(t, m[t]) * ones_like(h[T])",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_equation_in_an_unusual_form_is_proved(text: str) -> None:
    model = load(text)
    for equation in model.gradients:
        if model.role(equation) != "helper":
            proof = prove(model, equation, Budget(seconds=20.0))
            assert (equation.name, proof.proved, proof.reason) == (equation.name, True, "")


WRONG = {
    "right up to t = T-20": SQUARES
    + "dh[T] = 2 * h[T]\ndh[t] = 2 * h[t] + W.T @ (dh[t+1] * (1 - h[t+1]**2))    for T-20 <= t < T\n"
    + "dh[t] = 2 * h[t]    for t < T-20",
    "right up to step 13": VANILLA + "dc = sum(t, do[t]) + sum(t >= 13, h[t][1])".replace("h[t][1]", "do[t]"),
    "right for a forward up to step 150": "sizes: h = 4\nh[t] = tanh(W @ h[t-1])    for t <= 150\n"
    "h[t] = W @ h[t-1]    for t > 150\nL = sum(t, sum(h[t]))\ngradients:\n"
    "dW = sum(t, (dh[t] * (1 - h[t]**2)) @ h[t-1].T)",
    "right for four entries": "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, mean(h[t]))\ngradients:\n"
    "dh[T] = ones_like(h[T]) / 4",
    "right for four steps": "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = mean(t, sum(h[t]))\ngradients:\n"
    "dh[T] = ones_like(h[T]) / 4",
    "right for T with as many even steps as odd ones": VANILLA
    + "dc = 2 * sum(t % 2 = 0, do[t]) + sum(t % 2 = 1, do[t]) * 2 - sum(t, do[t]) - sum(t % 2 = 1, do[T] - do[T])"
    + " + (sum(t % 2 = 1, 1) - sum(t % 2 = 0, 1)) * do[T]",
    "right for S = T + 1": "sizes: h = 4, g = 3\nindices: s = 1..S, t = 1..T\nh[s] = tanh(W @ h[s-1])\n"
    "g[t] = tanh(R @ g[t-1])\nL = sum(s, sum(h[s])) + sum(t, sum(g[t])) / S\ngradients:\n"
    "dg[T] = ones_like(g[T]) / (T+1)",
    "right for symmetric matrices": LINEAR + "dh[t] = 2 * h[t] + W @ dh[t+1]    for t < T",
    "right where a mask is one": "sizes: h = 4, m = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(m[t] * m[t] * h[t]))\n"
    "gradients:\ndh[T] = m[T]",
    "by a helper that ends": VANILLA + "g[t] = do[t]    for t <= 20\ng[t] = 2 * do[t]    for t > 20\ndc = sum(t, g[t])",
    "by a helper that is stated up to step 20": VANILLA + "g[t] = do[t]    for t <= 20\ndc = sum(t, g[t])",
    "by a helper defined by itself that is right for twenty steps": VANILLA.split("dh[T]")[0]
    + "delta[T] = (V.T @ do[T]) * (1 - h[T]**2)\n"
    + "delta[t] = (V.T @ do[t] + W.T @ delta[t+1]) * (1 - h[t]**2)    for T-20 <= t < T\n"
    + "delta[t] = V.T @ do[t]    for t < T-20\ndW = sum(t, delta[t] @ h[t-1].T)",
    "by a helper that goes round": VANILLA + "delta[t] = delta[t]\ndW = sum(t, delta[t] @ h[t-1].T)",
    "by a step that does not exist": VANILLA + "dU = sum(t, ((dh[t] + 0 * dh[t+1]) * (1 - h[t]**2)) @ x[t].T)",
    "by a circle": VANILLA + "dV = dV",
    "by a circle at one step": VANILLA.replace("dh[T] = V.T @ do[T]", "dh[T] = 0.5 * dh[T] + 0.5 * V.T @ do[T]").rsplit(
        "dh[t]", 1
    )[0],
    "without the divisor": "sizes: s = 4\ns[t] = (1 - 1 / tau) * s[t-1] + 1 / tau * v[t]\nL = sum(t, sum(s[t]))\n"
    "gradients:\ndtau = sum(t, ds[t] * (s[t-1] - v[t]))",
    "by 0/0": RELU + "da[T] = dh[T] * h[T] / h[T]",
    "by 0/0 of a mask": RELU + "da[T] = dh[T] * relu'(a[T]) / relu'(a[T])",
    "by 0/0 of an input": "sizes: h = 4, m = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(m[t] * h[t]))\ngradients:\n"
    "dh[T] = m[T] * m[T] / m[T]",
    "by the logarithm of what the forward divides by": "sizes: h = 4, x = 4\nh[t] = W @ h[t-1] + 1 / x[t]\n"
    "L = sum(h[T])\ngradients:\ndh[T] = ones_like(h[T]) + 0 * log(x[T])",
    "by the root of a square": SQUARED + "da[t] = 2 * dh[t] * (a[t]**2)**.5",
    "by 0 * log(x)": SQUARED + "da[t] = 2 * dh[t] * a[t] + 0 * log(a[t])",
    "by 0 * sqrt(x)": SQUARED + "da[t] = 2 * dh[t] * a[t] + 0 * sqrt(a[t])",
    "the larger of two that are often the same": "sizes: h = 4\na[t] = W @ h[t-1]\nh[t] = relu(a[t])\n"
    "k[t] = relu(-a[t])\nL = sum(t, sum(maximum(h[t], 0 * k[t])))\ngradients:\ndh[T] = relu'(h[T])",
}


#: what the prover may take for each of them
SECONDS = 3.0 if EVERYTHING else 0.5


@pytest.mark.slow
@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_at_some_length_size_or_value_is_not_proved(text: str) -> None:
    model, equation = last(text)
    assert not prove(model, equation, Budget(seconds=SECONDS)).proved


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vanilla", "leaky_tau"])
def test_no_mutant_is_proved_that_differs_at_some_length(name: str) -> None:
    document = tg.load(name).document
    for place, equation in enumerate(document.gradients):
        for _, rhs in list(_changed(equation.rhs))[::5]:
            others = list(document.gradients)
            others[place] = replace(equation, rhs=rhs)
            try:
                wrong = load(text(replace(document, gradients=tuple(others))))
            except LanguageError:  # it does not even have a shape
                continue
            if prove(wrong, wrong.gradients[place], Budget(seconds=1.0)).proved:
                for T in (3, 8, 15):
                    row = next(r for r in tg.verify(wrong, T=T, seeds=1).rows if r.line == wrong.gradients[place].line)
                    assert row.verdict in ("PASS", "PROVED"), f"{equation.name} = {text(rhs)}, T = {T}"


@pytest.mark.slow
def test_a_chain_of_400_equations_is_refused_with_a_reason_instead_of_recursing():
    chain = "\n".join(f"q{i}[t] = q{i - 1}[t]" for i in range(2, 400))
    forward = f"sizes: h = 2\nq1[t] = W @ h[t-1]\n{chain}\nh[t] = tanh(q399[t])\nL = sum(h[T])\n"
    model = load(f"{forward}gradients:\ndh[T] = ones_like(h[T])")
    assert prove(model, model.gradients[0]).reason.startswith("nested too deep: between dh and dq")


def test_a_chain_of_300_helpers_is_refused_with_a_reason_instead_of_recursing():
    chain = "\n".join(f"q{i}[t] = q{i - 1}[t]" for i in range(2, 300))
    stated = f"q1[t] = h[t]\n{chain}\ndh[T] = 2 * q299[T]"
    model = load(f"sizes: h = 2\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\n{stated}")
    assert prove(model, model.gradients[-1]).reason.startswith("nested too deep: 40 helpers")


CONE = (
    "sizes: x = 3, h = 4, c = 4\nc[t] = c[t-1] + tanh(U @ x[t])\nh[t] = 2 * c[t] + h[t-1]\nL = sum(t, sum(h[t]**2))\n"
)
LATE = {
    "two helpers that define each other after step 20": """k[T] = 2 * h[T]
k[t] = 2 * h[t] + k[t+1]    for t < T and t <= 20
k[t] = 0.5 * (g[t] - g[t+1])    for t < T and t > 20
g[T] = 2 * k[T]
g[t] = g[t+1] + 2 * k[t]    for t < T
dU = sum(t, (g[t] * (1 - tanh(U @ x[t])**2)) @ x[t].T)""",
    "a helper that reads one that is wrong after step 30": """k[T] = 2 * h[T]
k[t] = 2 * h[t] + k[t+1]    for t < T and t <= 30
k[t] = 3 * h[t] + k[t+1]    for t < T and t > 30
g[T] = 2 * k[T]
g[t] = g[t+1] + 2 * k[t]    for t < T
dU = sum(t, (g[t] * (1 - tanh(U @ x[t])**2)) @ x[t].T)""",
    "halves stated twice from step 20 on": """g[t] = 2 * h[t]    for t < 20
g[t] = h[t]    for t >= 20
g[t] = h[t]    for t > 19
dh[t] = g[t] + dh[t+1]    for t < T""",
}


@pytest.mark.slow
@pytest.mark.parametrize("stated", LATE.values(), ids=LATE)
def test_helpers_that_go_wrong_late_prove_nothing(stated: str) -> None:
    assert not prove(*last(f"{CONE}gradients:\n{stated}\n")).proved


def test_helpers_that_read_each_other_at_later_steps_are_proved() -> None:
    stated = LATE["two helpers that define each other after step 20"].replace(" and t <= 20", "").splitlines()
    assert prove(*last(f"{CONE}gradients:\n" + "\n".join(line for line in stated if "t > 20" not in line))).proved


def test_what_is_left_over_has_its_factor() -> None:
    text = "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\ndW = sum(t, dh[t] @ h[t-1].T)"
    assert "differ by dh[k](i) * h[k-1](j) * h[k](i) * h[k](i);" in prove(*last(text)).reason


LAST = "sizes: h = 4, z = 1, v = 4\nh[t] = tanh(W @ h[t-1])\nz = v.T @ h[T]\n"


@pytest.mark.parametrize(
    "stated",
    [
        "L = z**2\ngradients:\ndz = 2 * sign(z) * abs(z)",
        "L = z**2\ngradients:\ndz = 2 * (relu(z - 1) - relu(1 - z) + 1)",
    ],
)
def test_both_sides_of_a_step_make_the_whole(stated: str) -> None:
    assert prove(*last(LAST + stated + "\n")).proved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "kink"),
    [
        ("L = minimum(maximum(z, -1), 1)\ngradients:\ndz = relu'(1 - z) * relu'(z + 1)", "z + 1"),
        ("L = maximum(0, 1 - z)\ngradients:\ndz = -relu'(1 - z)", "(1 - z)"),
    ],
)
def test_what_differs_at_a_tie_only_is_told_to(stated: str, kink: str) -> None:
    proof = prove(*last(LAST + stated + "\n"))
    assert not proof.proved and proof.but_at_kinks
    assert proof.reason == f"the two sides are the same unless {kink} is 0: at this kink each may take another side"
    assert not prove(*last(LAST + stated.replace("z)", "2 * z)") + "\n")).but_at_kinks


@pytest.mark.parametrize(
    "stated", ["sum(t, sum(k <= t, da[k]) - sum(k < t, da[k]))", "sum(t, sum(k >= t, da[k])) - sum(t, (t-1) * da[t])"]
)
def test_a_variable_that_is_only_counted_is(stated: str) -> None:
    text = "sizes: h = 4\na[t] = b + W @ h[t-1]\nh[t] = tanh(a[t])\nL = sum(t, sum(h[t]**2))\ngradients:\n"
    model, equation = last(f"{text}da[t] = dh[t] * (1 - h[t]**2)\ndb = {stated}\n")
    assert prove(model, equation).proved
    model, wrong = last(
        f"{text}da[t] = dh[t] * (1 - h[t]**2)\ndb = {stated.replace('t-1', 't').replace('k < t', 'k < t-1')}\n"
    )
    assert not prove(model, wrong).proved


@pytest.mark.slow
@pytest.mark.parametrize(
    "slope", ["h[t] / (1 + exp(a[t]))", "h[t]**2 * exp(-a[t])", "(1 - tanh(a[t]/2)**2) / 4", "h[t] / (2 + exp(a[t]))"]
)
def test_a_slope_may_be_written_with_exponentials(slope: str) -> None:
    text = (
        "sizes: h = 4\na[t] = W @ h[t-1]\nh[t] = sigmoid(a[t])\nL = sum(t, sum(h[t]**2))\ngradients:\nda[t] = dh[t] * "
    )
    assert prove(*last(f"{text}{slope}\n"), Budget(seconds=20.0)).proved == ("2 +" not in slope)
