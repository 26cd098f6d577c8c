"""Laws of indices: several sequences, pairs, trees, every second step; what is given and what is fixed; bounds."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language import load, parse
from tinygrad_rnn.language.affine import affine
from tinygrad_rnn.language.syntax.indices import Range
from tinygrad_rnn.language.text.latex import latex
from tinygrad_rnn.language.text.mathml import mathml
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.models import resolve

PLANE = """\
sizes: x = 3, h = 4
indices: i = 1..I, j = 1..J
h[i, j] = tanh(W @ h[i-1, j] + R @ h[i, j-1] + U @ x[i, j])
L = sum(i, sum(j, sum(h[i, j]**2)))
"""
PAIR = """\
sizes: h = 2, g = 2, e = 1
indices: s = 1..S, k = 1..S, t = 1..T
e[t, s] = g[t-1].T @ h[s]
g[t] = tanh(W @ g[t-1] + sum(s, exp(e[t, s]) / sum(k, exp(e[t, k])) * h[s]))
L = sum(t, sum(g[t]**2))
"""
TREE = """\
sizes: h = 2
indices: n = 1..2*T-1
h[n] = tanh(U @ h[2*n] + W @ h[2*n+1])    for n < T
h[n] = tanh(x[n])    for n >= T
L = sum(h[1]**2)
"""
CLOCK = """\
sizes: h = 2
h[t] = tanh(W @ h[t-1] + x[t])    for t % 3 = 1
h[t] = h[t-1]
L = sum(t, sum(h[t]**2))
"""
EVERY = {"plane": PLANE, "pair": PAIR, "tree": TREE, "clock": CLOCK}
every = pytest.mark.parametrize("model", EVERY.values(), ids=EVERY)


# -- values ------------------------------------------------------------------------------------------------------------
def test_a_plane_equals_two_loops():
    run = load(PLANE).unroll(3, lengths={"J": 2})
    W, R, U = (run[name].value for name in "WRU")
    h = {}
    for i in range(4):
        for j in range(3):
            inside = i and j
            h[i, j] = (
                np.tanh(W @ h[i - 1, j] + R @ h[i, j - 1] + U @ run["x", i, j].value)
                if inside
                else run["h", i, j].value
                if ("h", i, j) in run
                else None
            )
            if inside:
                np.testing.assert_allclose(run["h", i, j].value, h[i, j], rtol=1e-15)
    assert run["h", 2, 1].scope.step == (2, 1)
    assert run.lengths == {"I": 3, "J": 2}


def test_a_pair_weighs_one_sequence_for_each_step_of_another():
    run = load(PAIR).unroll(2, lengths={"S": 4})
    H = np.hstack([run["h", s].value for s in range(1, 5)])
    g = run["g", 0].value
    for t in (1, 2):
        e = (g.T @ H).ravel()
        np.testing.assert_allclose([run["e", t, s].item() for s in range(1, 5)], e, rtol=1e-14)
        g = np.tanh(run["W"].value @ g + H @ (np.exp(e) / np.exp(e).sum())[:, None])
        np.testing.assert_allclose(run["g", t].value, g, rtol=1e-14)


@pytest.mark.parametrize("T", [1, 2, 3, 4, 7, 8])
def test_a_tree_joins_neighbours_up_to_the_root(T):
    run = load(TREE).unroll(T)

    def state(n: int) -> np.ndarray:
        if n >= T:
            return np.tanh(run["x", n].value)
        return np.tanh(run["U"].value @ state(2 * n) + run["W"].value @ state(2 * n + 1))

    np.testing.assert_allclose(run["h", 1].value, state(1), rtol=1e-15)
    assert sorted(step for name, step in run.values if name == "x") == list(range(T, 2 * T))


def test_a_remainder_says_at_which_steps_an_equation_holds():
    run = load(CLOCK).unroll(8)
    kept = [t for t in range(1, 9) if np.array_equal(run["h", t].value, run["h", t - 1].value)]
    assert kept == [2, 3, 5, 6, 8]


@every
def test_complex_step_and_engine_agree_on_every_gradient(model):
    from tinygrad_rnn.verification.measure.probe import ReferenceGradients

    assert ReferenceGradients(load(model).unroll(4)).check().ok


@every
def test_batches_give_what_each_sample_gives_alone(model):
    model = load(model)
    run = model.unroll(3, batch=2)
    given = {place: leaf.value for place, leaf in run.inputs.items()}
    for sample in range(2):
        values = {place: value[:, sample : sample + 1] for place, value in given.items()}
        alone = model.unroll(3, values={**values, **run.parameters})
        for place, held in alone.values.items():
            if place[1] is not None and held.batch:
                whole = run.values[place].value.value
                np.testing.assert_allclose(
                    np.asarray(whole)[:, sample : sample + 1], held.value.value, rtol=1e-13, atol=1e-15
                )


def test_values_are_given_by_name_over_both_indices_or_for_one_pair():
    x = np.arange(18.0).reshape(3, 2, 3)
    run = load(PLANE).unroll(3, lengths={"J": 2}, values={"x": x, ("h", (0, 1)): np.ones(4)})
    np.testing.assert_array_equal(run["x", 3, 2].value.ravel(), x[2, 1])
    np.testing.assert_array_equal(run["h", 0, 1].value.ravel(), np.ones(4))


# -- printing ----------------------------------------------------------------------------------------------------------
@every
def test_what_is_printed_says_the_same(model):
    document = parse(model)
    assert parse(text(document)) == document


def test_latex_and_mathml_write_both_indices():
    model = load(PLANE)
    assert latex(model.forward[0], model).startswith("h^{(i, j)} = ")
    assert r"\sum_{j=1}^{J}" in latex(model.forward[1], model)
    assert r"h^{(2n+1)}" in latex(load(TREE).forward[0])
    assert r"t \bmod 3 = 1" in latex(load(CLOCK).forward[0])
    assert "<mi>i</mi><mo>,</mo><mi>j</mi>" in mathml(model.forward[0], model)


# -- inputs, fixed, bounds ---------------------------------------------------------------------------------------------
def test_an_input_without_time_is_one_for_each_sample_and_no_parameter():
    model = load("sizes: x = 3, h = 2\ninputs: x\nh[t] = tanh(W @ h[t-1] + R @ x)\nL = sum(t, sum(h[t]))")
    assert (model.inputs, model.parameters) == (["x"], ["W", "R"])
    run = model.unroll(2, batch=5)
    assert run["x"].shape == (3, 5)
    assert ("x", None) in run.inputs


def test_what_is_fixed_has_no_gradient():
    model = load("sizes: h = 2\nfixed: W\nh[t] = tanh(W @ h[t-1] + b)\nL = sum(t, sum(h[t]))")
    assert model.parameters == ["b"]
    assert not model.unroll(2)["W"].requires_grad


@pytest.mark.parametrize(
    ("bounds", "low", "high"), [("w >= 1", 1, np.inf), ("0 < w < 1", 0, 1), ("w <= -2", -np.inf, -2)]
)
def test_probes_stay_between_bounds(bounds, low, high):
    model = load(f"sizes: w = 50, h = 50\nbounds: {bounds}\nh[t] = w * h[t-1]\nL = sum(t, sum(h[t]))")
    w = model.unroll(1)["w"].value
    assert np.all(w > low) and np.all(w < high)


def test_a_fixed_index_lies_beyond_a_range_only_where_it_does_at_every_length():
    T = affine("T")
    assert Range().beyond(T + 1) and Range().beyond(affine(None, 0))
    assert not Range().beyond(T) and not Range().beyond(affine(None, 1))
    assert not Range().beyond(affine(None, 3) - T), "3 - T is 2 where T is 1"
    assert not Range(last=T + T).beyond(T + 1), "the range has 2T steps"
    assert Range(last=T + T).beyond(T + T + 1)


# -- refusals ----------------------------------------------------------------------------------------------------------
HEAD = "sizes: h = 2, g = 2\nindices: s = 1..S, t = 1..T\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (HEAD + "h[s] = tanh(h[s-1])\ng[t] = h[t]\nL = sum(g[T])", "4:8.*h runs over s"),
        (HEAD + "h[i] = tanh(h[i-1])\nL = sum(h[T])", "3:1.*i is not an index"),
        (HEAD + "h[t, s] = g[t]\nL = sum(t, sum(h[t]))", "4:.*h has one index here"),
        (HEAD + "h[s+t, s] = g[t]\nL = sum(g[T])", "3:1.*runs over s and t at once"),
        (HEAD + "s = 1\nL = s", "3:1.*s is an index, not a quantity"),
        (HEAD + "h[t] = s * g[t]\nL = sum(h[T])", "3:8.*s has no value here"),
        (HEAD + "h[t] = sum(k, g[k])\nL = sum(h[T])", "3:.*k is not an index"),
        ("indices: S = 1..T\nL = 1", "1:10.*S cannot be an index"),
        ("indices: s = 1..t\nL = 1", "1:10.*s ends nowhere"),
        ("indices: s\nL = 1", "1:10.*this says no index"),
        ("L = 1\nindices: s = 1..S", "2:1.*indices: stands above the equations"),
        ("sizes: h = 2\nh[t] = h[t-1]    for t % 2 = 2\nL = sum(h[T])", "t % 2 is never 2"),
        ("sizes: h = 2\nh[t] = h[t-1]    for t % 2 < 1\nL = sum(h[T])", "this remainder cannot be read"),
        ("sizes: h = 2\nfixed: h\nh[t] = W @ h[t-1]\nL = sum(h[T])", "2:8.*h is defined on line 3"),
        ("sizes: h = 2\nfixed: Q\nh[t] = W @ h[t-1]\nL = sum(h[T])", "2:8.*no equation uses Q"),
        ("sizes: h = 2\nfixed: W\nh[t] = W @ h[t-1]\nL = sum(h[T])\ngradients:\ndW = W", r"6:1.*W is fixed \(line 2\)"),
        ("sizes: h = 2\nbounds: W\nh[t] = W @ h[t-1]\nL = sum(h[T])", "2:9.*these are no bounds"),
        ("sizes: h = 2\nbounds: 1 < W < 0\nh[t] = W @ h[t-1]\nL = sum(h[T])", "2:9.*no value lies between"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(source, said):
    with pytest.raises(tg.LanguageError) as caught:
        load(source)
    first = str(caught.value).splitlines()[0]
    assert re.search(said, first), first
    assert "^" in str(caught.value)


def test_a_step_outside_is_named_with_all_its_indices():
    model = load(PLANE.replace("h[i, j-1]", "h[i, j+1]"))
    with pytest.raises(tg.LanguageError, match=re.escape("h[1, 5] is outside the sequence")) as caught:
        model.unroll(3)
    assert "I = 3, J = 4" in str(caught.value)
    assert "h[1, J+1] = 0" in caught.value.hint


# -- verdicts ----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_mistake_is_placed_by_both_its_indices():
    stated = PLANE + "gradients:\ndh[I, J] = 2 * h[I, J]\ndh[i, j] = 2 * h[i, j]\n"
    (row,) = tg.verify(stated, T=3).failed
    assert row.time == "(i, j)"
    assert row.at("FAIL") == [(i, j) for i in (1, 2, 3) for j in (1, 2, 3, 4) if (i, j) != (3, 4)]
    assert "wrong at (i, j) = (1, 1), (1, 2)" in str(tg.verify(stated, T=3))
    assert "I = 3, J = 4" in str(tg.verify(stated, T=3))


def test_a_term_that_stands_at_the_edge_is_missed_inside():
    slope = "{0}.T @ diag(1 - h[{1}]**2) @ dh[{1}]"
    down, right = slope.format("W", "i+1, j"), slope.format("R", "i, j+1")
    stated = (
        f"{PLANE}gradients:\ndh[i, J] = {slope.format('W', 'i+1, J')} + 2 * h[i, J]    for i < I\n"
        f"dh[i, j] = {right} + 2 * h[i, j]    for i < I and j < J\n"
    )
    (row,) = tg.verify(stated, T=3).failed
    assert (row.mistake, row.explanation) == ("missing term", f"the term `{down}` is missing")


def test_every_page_can_tell_of_pairs():
    report = tg.verify(PLANE + "gradients:\ndh[I, J] = h[I, J]\n", T=3)
    assert "(3, 4)" in report.to_html() and "I = 3, J = 4" in report.to_html()
    assert "Wrong at (i, j) = (3, 4)" in report.to_markdown()
    assert report.to_dict()["equations"][0]["steps"][0]["t"] == (3, 4)


def test_a_loss_of_numbers_and_logarithms_counts_every_sample_once():
    """One term is a cross-entropy, the other a logarithm of a number for each sample."""
    model = load(resolve("bernoulli_stop"))
    run = model.unroll(4, batch=3)
    given = {place: leaf.value for place, leaf in run.inputs.items()}
    total = 0.0
    for sample in range(3):
        values = {p: v[sample : sample + 1] if v.ndim == 1 else v[:, [sample]] for p, v in given.items()}
        total += model.unroll(4, values={**values, **run.parameters}).loss.item()
    assert run.loss.item() == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize(
    ("condition", "steps"),
    [
        ("k = 0..T-1", [0, 1, 2, 3, 4]),
        ("k = 2..T+1", [2, 3, 4, 5, 6]),
        ("0 <= k < T", [0, 1, 2, 3, 4]),
        ("k >= 0", [0, 1, 2, 3, 4, 5]),
        ("k <= 20", [1, 2, 3, 4, 5]),
        ("k > T-20", [1, 2, 3, 4, 5]),
        ("t = 0", [0]),
    ],
)
def test_an_end_that_is_written_stands_as_written(condition, steps):
    """A sum over 0..T-1 is not one over 1..T-1; an end that says nothing of the sequence's own leaves that."""
    over = parse(f"s = sum({condition}, 1)\nL = s").forward[0].rhs.over
    assert over.steps({"T": 5}) == steps
    held = [at for at in range(-3, 10) if all(c.holds({over.variable: at, "T": 5}) for c in over.constraints)]
    assert held == steps


@pytest.mark.slow
def test_a_recurrence_may_be_written_from_step_0_on():
    text = "sizes: x = 3, h = 4\nh[t+1] = tanh(W @ h[t] + U @ x[t+1])    for t = 0..T-1\nL = sum(h[T])\ngradients:\n"
    right = "dh[T] = ones_like(h[T])\ndh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1]    for 0 <= t < T\n"
    sums = "dW = sum(t = {}..T-1, diag(1 - h[t+1]**2) @ dh[t+1] @ h[t].T)"
    assert tg.verify(text + right + sums.format(0)).verdict == "PROVED"
    assert tg.verify(text + right + sums.format(1)).verdict == "FAIL"


def test_a_condition_on_a_multiple_is_said_to_be_unsupported():
    with pytest.raises(tg.LanguageError, match=r"a condition on 2\*t is not supported"):
        parse("h[t] = W @ h[t-1] for 2*t < T+20\nL = sum(h[T])")
