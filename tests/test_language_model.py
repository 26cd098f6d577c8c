"""Models run: every recurrence the equations can state, leaves and names in the graph, many samples, long sequences."""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import GraphError, LanguageError, ShapeError
from tinygrad_rnn.language import Evaluator, load, load_all

VANILLA = """
model: vanilla RNN
sizes: x = 3, h = 4, o = 5
a[t] = b + W @ h[t-1] + U @ x[t]
h[t] = tanh(a[t])
o[t] = c + V @ h[t]
L[t] = cross_entropy(o[t], y[t])
L = sum(t, L[t])

gradients:
do[t] = softmax(o[t]) - onehot(y[t])
dh[T] = V.T @ do[T]
dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T
da[t] = diag(1 - h[t]**2) @ dh[t]
dh[0] = W.T @ da[1]
dx[t] = U.T @ da[t]
dc = sum(t, do[t])
db = sum(t, da[t])
dV = sum(t, do[t] @ h[t].T)
dW = sum(t, da[t] @ h[t-1].T)
dU = sum(t, diag(1 - h[t]**2) @ dh[t] @ x[t].T)
dL[t] = 1
dL = 1
"""

LSTM = """
model: LSTM, coupled in one product as in document 001
sizes: x = 3, h = 4, e = 5
z[t] = [h[t-1], x[t]]
f[t] = σ(W_f·z[t] + b_f)
i[t] = σ(W_i·z[t] + b_i)
c̃[t] = tanh(W_c·z[t] + b_c)
c[t] = f[t] ⊙ c[t-1] + i[t] ⊙ c̃[t]
o[t] = σ(W_o·z[t] + b_o)
h[t] = o[t] ∘ tanh(c[t])
e[t] = V·h[t]
L = sum(t, cross_entropy(e[t], y[t]))

gradients:
∇e[t] = softmax(e[t]) − onehot(y[t])
δf[t] = ∇c[t] ⊙ c[t-1] ⊙ f[t] ⊙ (1 − f[t])
δi[t] = ∇c[t] ⊙ c̃[t] ⊙ σ'(W_i·z[t] + b_i)
δc[t] = ∇c[t] ⊙ i[t] ⊙ (1 − c̃[t]²)
δo[t] = ∇h[t] ⊙ tanh(c[t]) ⊙ o[t] ⊙ (1 − o[t])
∇z[t] = W_fᵀ·δf[t] + W_iᵀ·δi[t] + W_cᵀ·δc[t] + W_oᵀ·δo[t]
∇c[T] = ∇h[T] ⊙ o[T] ⊙ tanh'(c[T])
∇c[t] = ∇c[t+1] ⊙ f[t+1] + ∇h[t] ⊙ o[t] ⊙ tanh'(c[t])    for t < T
∇W_f = sum(t, δf[t]·z[t]ᵀ)
∇W_i = sum(t, δi[t]·z[t]ᵀ)
∇W_c = sum(t, δc[t]·z[t]ᵀ)
∇W_o = sum(t, δo[t]·z[t]ᵀ)
∇b_o = sum(t, δo[t])
∇V = sum(t, ∇e[t]·h[t]ᵀ)
"""

PEEPHOLE = """
sizes: x = 3, h = 4, e = 2
z_i[t] = b_i + W_i @ h[t-1] + U_i @ x[t] + p_i * c[t-1]
z_f[t] = b_f + W_f @ h[t-1] + U_f @ x[t] + p_f * c[t-1]
g[t] = tanh(b_g + W_g @ h[t-1] + U_g @ x[t])
i[t] = sigmoid(z_i[t])
f[t] = sigmoid(z_f[t])
c[t] = f[t] * c[t-1] + i[t] * g[t]
z_o[t] = b_o + W_o @ h[t-1] + U_o @ x[t] + p_o * c[t]
h[t] = sigmoid(z_o[t]) * tanh(c[t])
e[t] = V @ h[t]
L = sum(t, squared_error(e[t], y[t]))

gradients:
de[t] = e[t] - y[t]
dc[t] = dc[t+1] * f[t+1] + dh[t] * sigmoid(z_o[t]) * tanh'(c[t]) + p_o * dz_o[t] + p_i * dz_i[t+1] + p_f * dz_f[t+1]
dz_i[T+1] = 0
dz_f[T+1] = 0
dc[T+1] = 0
f[T+1] = 0
dz_i[t] = dc[t] * g[t] * sigmoid'(z_i[t])
dz_f[t] = dc[t] * c[t-1] * sigmoid'(z_f[t])
dz_o[t] = dh[t] * tanh(c[t]) * sigmoid'(z_o[t])
dp_i = sum(t, dz_i[t] * c[t-1])
dp_f = sum(t, dz_f[t] * c[t-1])
dp_o = sum(t, dz_o[t] * c[t])
"""

GRU = """
sizes: x = 3, h = 4, e = 5
z[t] = sigmoid(W_z @ h[t-1] + U_z @ x[t])
r[t] = sigmoid(W_r @ h[t-1] + U_r @ x[t])
n[t] = tanh(W_n @ (r[t] * h[t-1]) + U_n @ x[t])
h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]
e[t] = V @ h[t]
L = cross_entropy(e[T], y[T])

gradients:
de[T] = softmax(e[T]) - onehot(y[T])
de[t] = 0    for t < T
dn[t] = dh[t] * (1 - z[t])
dz[t] = dh[t] * (h[t-1] - n[t])
da[t] = dn[t] * (1 - n[t]**2)
dr[t] = (W_n.T @ da[t]) * h[t-1]
dW_n = sum(t, da[t] @ (r[t] * h[t-1]).T)
dW_z = sum(t, dz[t] * z[t] * (1 - z[t]) @ h[t-1].T)
dV = de[T] @ h[T].T
"""

BIDIRECTIONAL = """
sizes: x = 3, h = 4, g = 2, o = 5
h[t] = tanh(W @ h[t-1] + U @ x[t])
g[t] = tanh(R @ g[t+1] + Q @ x[t])
g[T+1] = 0
o[t] = c + V @ h[t] + P @ g[t]
L[t] = cross_entropy(o[t], y[t])
L = sum(t, L[t])

gradients:
do[t] = softmax(o[t]) - onehot(y[t])
dg[1] = P.T @ do[1]
dg[t] = R.T @ ((1 - g[t-1]**2) * dg[t-1]) + P.T @ do[t]    for t > 1
dR = sum(t < T, ((1 - g[t]**2) * dg[t]) @ g[t+1].T)
dQ = sum(t, diag(1 - g[t]**2) @ dg[t] @ x[t].T)
dP = sum(t, do[t] @ g[t].T)
"""

ODDS = """
model: leaky units, skip of two steps, output fed back, scalar parameter, regression, mean over time
sizes: x = 2, h = 3, o = 1, alpha = 1
m[t] = alpha * m[t-1] + (1 - alpha) * (U @ x[t])
h[t] = relu(m[t] + W @ h[t-2] + w * o[t-1])
o[t] = v.T @ h[t]
s = mean(t, h[t])
L = 1/T * sum(t, (o[t] - y[t])**2) + 0.5 * sum(s**2) + norm(W)

gradients:
do[t] = 2/T * (o[t] - y[t]) + w.T @ (relu'(m[t+1] + W @ h[t-1] + w * o[t]) * dh[t+1])    for t < T
do[T] = 2/T * (o[T] - y[T])
ds = s
dm[T] = relu'(m[T] + W @ h[T-2] + w * o[T-1]) * dh[T]
dm[t] = relu'(m[t] + W @ h[t-2] + w * o[t-1]) * dh[t] + alpha * dm[t+1]    for t < T
dalpha = sum(t, dm[t].T @ (m[t-1] - U @ x[t]))
dU = sum(t, (1 - alpha) * dm[t] @ x[t].T)
dv = sum(t, h[t] @ do[t])
"""

MODELS = {
    "vanilla": VANILLA,
    "lstm": LSTM,
    "peephole": PEEPHOLE,
    "gru": GRU,
    "bidirectional": BIDIRECTIONAL,
    "odds": ODDS,
}


def references(run):
    """The gradients of every differentiable quantity of a run, by the engine."""
    places = [place for place, held in run.values.items() if held.value.requires_grad]
    found = tg.gradients(run.loss, [run.values[place].value for place in places])
    return dict(zip(places, found, strict=True))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["local", "follow-through"])
def test_a_right_derivation_gives_the_engines_gradients(name, batch, mode):
    model = load(MODELS[name])
    run = model.unroll(4, seed=3, batch=batch)
    exact = references(run)
    evaluator = Evaluator(model, run)

    def known(quantity, step):
        return exact.get((quantity[1:], step))

    def partly(quantity, step):  # a quantity for which the file states no equation comes from the reference
        key = (quantity, step is not None)
        return None if key in model.quantities.stated else exact[quantity[1:], step]

    judged = 0
    for equation in model.gradients:
        if model.role(equation) == "gradient":
            for step in model.steps_of(equation, 4):
                result = evaluator.right_hand_side(equation, step, known if mode == "local" else partly)
                expected = exact[equation.target.name[1:], step]
                assert result.shape == np.shape(expected), equation.name
                np.testing.assert_allclose(result.value, expected, rtol=1e-12, atol=1e-13, err_msg=equation.name)
                judged += 1
    assert judged >= 7


@pytest.mark.parametrize("name", MODELS)
def test_three_samples_at_once_are_three_runs(name):
    model = load(MODELS[name])
    together = model.unroll(4, seed=5, batch=3)
    gradients = references(together)
    apart = []
    for sample in range(3):
        values = {name: tensor.value for name, tensor in together.parameters.items()}
        for (quantity, step), tensor in together.inputs.items():
            values[quantity, step] = tensor.value[..., sample] if tensor.value.ndim == 1 else tensor.value[:, sample]
        apart.append(model.unroll(4, values=values))
    regularised = name == "odds"  # its loss has terms that do not grow with the samples
    if not regularised:
        assert together.loss.item() == pytest.approx(sum(run.loss.item() for run in apart), rel=1e-13)
    state = model.states[0]
    for step in range(1, 5):
        columns = np.concatenate([run[state, step].value for run in apart], axis=1)
        np.testing.assert_allclose(together[state, step].value, columns, rtol=1e-13, atol=1e-15)
    if not regularised:
        for parameter in model.parameters:
            total = sum(references(run)[parameter, None] for run in apart)
            np.testing.assert_allclose(gradients[parameter, None], total, rtol=1e-11, atol=1e-13)


def test_the_forward_values_are_those_of_plain_numpy():
    run = load(VANILLA).unroll(3, seed=1)
    p = {name: tensor.value for name, tensor in run.parameters.items()}
    h, loss = run["h", 0].value, 0.0
    for t in (1, 2, 3):
        h = np.tanh(p["b"] + p["W"] @ h + p["U"] @ run["x", t].value)
        o = p["c"] + p["V"] @ h
        loss += np.log(np.exp(o).sum()) - o[run["y", t].value[0], 0]
        np.testing.assert_array_equal(run["h", t].value, h)
    assert run.loss.item() == pytest.approx(loss, rel=1e-14)


def test_the_concatenated_product_is_two_products():
    one = load("sizes: x = 3, h = 4\nh[t] = tanh(W @ [h[t-1], x[t]])\nL = sum(t, sum(h[t]))").unroll(3)
    W = one["W"].value
    values = {"R": W[:, :4], "U": W[:, 4:], ("h", 0): one["h", 0].value, "x": [one["x", t].value for t in (1, 2, 3)]}
    two = load("sizes: x = 3, h = 4\nh[t] = tanh(R @ h[t-1] + U @ x[t])\nL = sum(t, sum(h[t]))").unroll(
        3, values=values
    )
    assert one.loss.item() == pytest.approx(two.loss.item(), rel=1e-14)


def test_every_quantity_stands_in_the_graph_by_name_and_step():
    run = load(VANILLA).unroll(3)
    graph = run.graph
    assert graph["h", 2] is run["h", 2]
    assert [node.scope.step for node in graph.select(name="a")] == [1, 2, 3]
    assert graph["x", 3].op is None
    assert graph["h", 0].op is None
    assert graph["h", 0].requires_grad
    assert graph["L"] is run.loss
    assert {node.name for node in graph.parameters} == set("bWUcV") == set(run.parameters)
    assert set(run.inputs) == {("x", 1), ("x", 2), ("x", 3), ("y", 1), ("y", 2), ("y", 3), ("h", 0)}
    assert not run["y", 1].requires_grad
    # one n-ary sum over time, whatever T is
    assert len(run.loss.inputs) == 3


@pytest.mark.slow
def test_ten_thousand_steps_unroll_and_differentiate():
    run = load("sizes: h = 2\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]))").unroll(10_000)
    (dW,) = tg.gradients(run.loss, [run["W"]])
    assert np.isfinite(dW).all()
    assert ("h", 10_000) in run


def test_right_to_left_over_ten_thousand_steps():
    run = load("sizes: g = 1\ng[t] = 0.5 * g[t+1] + 1\ng[T+1] = 0\nL = g[1]").unroll(10_000)
    assert run.loss.item() == pytest.approx(2.0)


def test_delays_make_as_many_initial_states():
    run = load("sizes: h = 2\nh[t] = W @ h[t-3]\nL = sum(t, sum(h[t]))").unroll(5)
    assert sorted(run.inputs) == [("h", -2), ("h", -1), ("h", 0)]


def test_random_values_do_not_depend_on_what_else_there_is():
    short, long = load(VANILLA).unroll(2, seed=7), load(VANILLA).unroll(5, seed=7)
    np.testing.assert_array_equal(short["x", 2].value, long["x", 2].value)
    np.testing.assert_array_equal(short["W"].value, long["W"].value)
    assert not np.array_equal(short["W"].value, load(VANILLA).unroll(2, seed=8)["W"].value)
    assert (load(VANILLA).unroll(1, scale=0.0)["W"].value == 0).all()


def test_given_values_are_used_and_checked():
    model = load(VANILLA)
    run = model.unroll(
        2, values={"x": np.ones((2, 3)), ("y", 1): 4, "y": [0, 2], ("h", 0): np.zeros(4), "b": [1, 2, 3, 4]}
    )
    assert run["x", 2].value.tolist() == [[1.0]] * 3
    assert (run["y", 1].value[0], run["y", 2].value[0]) == (4, 2)
    assert run["b"].value.tolist() == [[1.0], [2.0], [3.0], [4.0]]
    with pytest.raises(ShapeError, match=r"W is 4 x 4.*\(3, 3\)"):
        model.unroll(2, values={"W": np.ones((3, 3))})
    with pytest.raises(ShapeError, match="0 to 4"):
        model.unroll(2, values={"y": [5, 0]})
    with pytest.raises(ShapeError, match="holds 1 steps"):
        model.unroll(2, values={"x": np.ones((1, 3))})
    with pytest.raises(GraphError, match="'q' is none"):
        model.unroll(2, values={"q": 1})
    with pytest.raises(ShapeError, match="T = 0"):
        model.unroll(0)


def test_a_run_says_what_it_has():
    run = load(VANILLA).unroll(2)
    with pytest.raises(GraphError, match="h stands at t = 0 to 2, not at 3"):
        run["h", 3]
    with pytest.raises(GraphError, match="no 'q'"):
        run["q"]


def test_roles_and_steps_of_equations():
    model = load(PEEPHOLE)
    roles = {equation.name: model.role(equation) for equation in model.gradients}
    assert roles["dc[t]"] == "gradient"
    assert roles["dc[T+1]"] == roles["f[T+1]"] == "boundary"
    by_name = {equation.name: equation for equation in model.gradients}
    assert model.steps_of(by_name["dc[t]"], 3) == [1, 2, 3]
    assert model.steps_of(by_name["dc[T+1]"], 3) == [4]
    assert model.steps_of(by_name["dp_i"], 3) == [None]
    lstm = load(LSTM)
    assert {e.name: lstm.role(e) for e in lstm.gradients}["δf[t]"] == "helper"


def test_an_equation_for_all_steps_leaves_those_that_others_define():
    model = load("sizes: h = 1\nh[t] = 2 * h[t-1]\nh[2] = 7\nh[t] = 1 for t > 3\nL = sum(t, h[t])")
    assert [model.steps_of(equation, 5) for equation in model.forward] == [[1, 3], [2], [4, 5], [None]]
    run = model.unroll(5, values={("h", 0): 1.0})
    assert [run["h", t].item() for t in range(6)] == [1, 2, 7, 14, 1, 1]


def test_a_per_step_copy_of_a_parameter_is_its_own_role():
    model = load(VANILLA + "dV[t] = do[t] @ h[t].T\n")
    assert model.role(model.gradients[-1]) == "copy"
    run = model.unroll(3)
    exact = references(run)
    copies = [
        Evaluator(model, run).right_hand_side(model.gradients[-1], t, lambda q, s: exact[q[1:], s]).value
        for t in (1, 2, 3)
    ]
    np.testing.assert_allclose(sum(copies), exact["V", None], rtol=1e-13)


def test_the_graph_of_a_right_hand_side_holds_only_what_it_reads():
    model = load(VANILLA)
    run = model.unroll(3)
    exact = references(run)
    equation = next(e for e in model.gradients if e.name == "dh[t]")
    value = Evaluator(model, run).right_hand_side(equation, 2, lambda q, s: exact[q[1:], s])
    leaves = {(leaf.name, leaf.scope.step) for leaf in tg.Graph(value).leaves if leaf.name}
    assert leaves == {("W", None), ("V", None), ("h", 3), ("dh", 3), ("do", 2)}


def test_markdown_blocks(tmp_path: Path):
    one = tmp_path / "one.md"
    one.write_text(f"# A net\n\n```python\nx = 1\n```\n\n```rnn\n{VANILLA}```\n", encoding="utf-8")
    model = load(one)
    assert model.name == "vanilla RNN"
    assert model.forward[0].line == 11
    two = tmp_path / "two.md"
    two.write_text("# First\n~~~rnn\nL = 1\n~~~\n## Second\n```rnn\nL = 2\n```\n", encoding="utf-8")
    assert [m.name for m in load_all(str(two))] == ["First", "Second"]
    with pytest.raises(LanguageError, match="2 blocks") as caught:
        load(two)
    assert "load_all" in caught.value.hint
    (tmp_path / "none.md").write_text("no block", encoding="utf-8")
    with pytest.raises(LanguageError, match="0 blocks"):
        load(tmp_path / "none.md")


def test_a_path_is_a_path_and_a_text_is_a_text(tmp_path: Path):
    path = tmp_path / "tiny.rnn"
    path.write_text("L = 1", encoding="utf-8")
    assert load(path).name == load(str(path)).name == "tiny"
    assert load("L = 1\n").forward[0].name == "L"
    with pytest.raises(LanguageError, match="cannot read"):
        load("L = 1")
