"""How changes and gradients travel through time: every number against brute force, every picture drawn."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import analysis, nn, train
from tinygrad_rnn.core.errors import MissingExtraError
from tinygrad_rnn.models import resolve

T, B, D, H = 5, 3, 2, 4


def layer(kind: str, **options: Any) -> Callable[[], Any]:
    def output() -> Any:
        nn.manual_seed(1)
        made = getattr(nn, kind)(D, H, **options)
        x = nn.random.generator().normal(size=(T, B, D))
        return np.sum(made(x)[0] ** 2)

    return output


def equations(name: str) -> Callable[[], Any]:
    return lambda: tg.load(resolve(name)).unroll(T=T, batch=B, seed=0).graph


def by_hand() -> Any:
    """One sample, a vector, initial state asking for a gradient."""
    rng = np.random.default_rng(2)
    W = tg.tensor(rng.normal(size=(H, H)), name="W")
    with tg.step(0):
        h = tg.tensor(rng.normal(size=H), name="h")
    for _ in tg.steps(1, T + 1):
        h = tg.name("h", np.tanh(W @ h))
    return np.sum(h)


#: what is run, along which axis a sample stands, and its states
SYSTEMS: dict[str, tuple[Callable[[], Any], int, set[str]]] = {
    "RNN": (layer("RNN"), -1, {"h"}),
    "LSTM": (layer("LSTM"), -1, {"h", "c"}),
    "peephole LSTM": (layer("LSTM", peephole=True), -1, {"h", "c"}),
    "GRU": (layer("GRU"), -1, {"h"}),
    "GRU, reset before": (layer("GRU", reset_after=False), -1, {"h"}),
    "lstm.rnn": (equations("lstm"), 0, {"h", "c"}),
    "vanilla.rnn": (equations("vanilla"), 0, {"h"}),
    "by hand": (by_hand, -1, {"h"}),
}
EACH = pytest.mark.parametrize("system", SYSTEMS)


def column(node: Any, axis: int, sample: int) -> Any:
    """The index of a sample in a state."""
    return (slice(None),) if len(node.shape) == 1 else (sample, slice(None)) if axis else (slice(None), sample)


def brute(found: dict[str, Any], names: tuple[str, ...], t: int, s: int, axis: int, sample: int) -> np.ndarray:
    """ds[t]/ds[s] by complex steps through a replay of the graph, all states of step s held but one number."""
    after, before = ([found[name][time] for name in names] for time in (t, s))
    graph = tg.Graph(after)
    columns = []
    for node in before:
        where = column(node, axis, sample)
        for i in range(node.value[where].size):
            values = {other: other.value.astype(complex) for other in before}
            values[node][where][i] += 1e-30j
            replayed = graph.replay(values)
            columns.append(
                np.concatenate([v[column(n, axis, sample)].imag for n, v in zip(after, replayed, strict=True)])
            )
    return np.stack(columns, axis=1) / 1e-30


@EACH
def test_jacobians_and_their_products_equal_brute_force(system: str) -> None:
    run, axis, states = SYSTEMS[system]
    source = run()
    found = analysis.quantities(source)
    J = analysis.jacobians(source, axis=axis)
    assert set(J.states) == states and len(J.steps) == len(J.times) - 1 >= T - 1
    for t, s in ((J.times[-1], J.times[0]), (J.times[2], J.times[1]), (J.times[-1], J.times[-1])):
        product = J.between(t, s)
        for sample in (0, len(product) - 1):
            np.testing.assert_allclose(
                product[sample], brute(found, J.states, t, s, axis, sample), rtol=1e-10, atol=1e-13
            )
    np.testing.assert_allclose(J.back()[-1], J.between(J.times[-1], J.times[0]), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(J.norms()[-1], np.linalg.norm(J.back()[-1], 2, axis=(-2, -1)), rtol=1e-12)


def test_the_jacobian_of_a_tanh_step_is_the_formula_of_the_document() -> None:
    source = by_hand()
    graph = tg.Graph(source)
    W = graph["W"].value
    for J, t in zip(analysis.jacobians(source).steps, range(1, T + 1), strict=True):
        np.testing.assert_allclose(J[0], np.diag(1 - graph["h", t].value ** 2) @ W, rtol=1e-13)


def test_a_linear_network_has_the_powers_of_its_matrix() -> None:
    W = np.random.default_rng(3).normal(size=(H, H))
    with tg.step(0):
        h = tg.tensor(np.ones(H), name="h")
    for _ in tg.steps(1, 9):
        h = tg.name("h", tg.tensor(W, name="W") @ h)
    J, S = analysis.jacobians(h), analysis.spectrum(W)
    np.testing.assert_allclose(J.between(8, 0)[0], np.linalg.matrix_power(W, 8), rtol=1e-10)
    np.testing.assert_allclose(S.power(8), np.linalg.matrix_power(W, 8), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(J.spectral_radii(), S.radius)
    q = S.vectors[:, 0]
    np.testing.assert_allclose(np.linalg.norm(np.linalg.matrix_power(W, 8) @ q), S.growth(8)[0] * np.linalg.norm(q))
    np.testing.assert_allclose(S.vectors @ S.parts(np.arange(H)), np.arange(H), atol=1e-12)


def test_spectrum_orders_and_measures() -> None:
    S = analysis.spectrum(tg.tensor(np.diag([0.5, -2.0, 1.0])))
    np.testing.assert_allclose(S.eigenvalues, [-2.0, 1.0, 0.5])
    np.testing.assert_allclose(S.time_constants, [-1 / np.log(2), np.inf, 1 / np.log(2)])
    assert S.radius == 2.0 == nn.init.spectral_radius(S.W) and S.condition == pytest.approx(1.0)
    rotation = analysis.spectrum([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(np.abs(rotation.eigenvalues), 1.0)


def test_a_net_that_runs_backwards_has_its_jacobians_in_its_own_order() -> None:
    nn.manual_seed(0)
    made = nn.RNN(D, H, bidirectional=True)
    source = made(np.random.default_rng(0).normal(size=(T, B, D)))[0]
    found = analysis.quantities(source)
    name = next(key for key in found if key.endswith("reverse.h"))
    J = analysis.jacobians(source, name)
    assert J.times[0] > J.times[-1]
    t, s = J.times[-1], J.times[1]
    np.testing.assert_allclose(J.between(t, s)[0], brute(found, (name,), t, s, -1, 0), rtol=1e-10, atol=1e-14)


@EACH
def test_gradient_norms_equal_brute_force(system: str) -> None:
    run, axis, _ = SYSTEMS[system]
    source = run()
    loss = tg.Graph(source).outputs[0] if isinstance(source, tg.Tensor) else source.outputs[0]
    found = analysis.gradient_norms(loss, "h", axis)
    states = analysis.quantities(source)["h"]
    for t in (found.times[0], found.times[-1]):
        h, graph = states[t], tg.Graph(loss)
        where = column(h, axis, 0)
        entries = []
        for i in range(h.value[where].size):
            moved = h.value.astype(complex)
            moved[where][i] += 1e-30j
            entries.append(np.imag(graph.replay({h: moved})[0]) / 1e-30)
        assert found.norms[found.times.index(t), 0] == pytest.approx(float(np.linalg.norm(entries)), rel=1e-10)


def test_pairs_of_loss_and_state_equal_one_gradient_each() -> None:
    nn.manual_seed(4)
    output, _, trace = nn.LSTM(D, H)(np.random.default_rng(0).normal(size=(T, B, D)), trace=True)
    losses = []
    for t, h in enumerate(trace["h"], start=1):
        with tg.step(t):
            losses.append(tg.name("L", np.sum(h**3)))
    pairs = analysis.pair_norms([*losses, output], "L", "h")
    same = analysis.pair_norms([*losses, output], losses, "h")
    outside = analysis.pair_norms(output, [np.sum(output[t] ** 3) for t in range(T)], "h")
    assert pairs.losses == same.losses == outside.losses == tuple(range(1, T + 1))
    np.testing.assert_array_equal(pairs.norms, same.norms)
    np.testing.assert_allclose(pairs.norms, outside.norms, rtol=1e-12)
    states = analysis.quantities(output)["h"]
    for i, t in enumerate(pairs.losses):
        for j, s in enumerate(pairs.states):
            g = tg.gradients(losses[t - 1], states[s])
            assert pairs.norms[i, j] == pytest.approx(float(np.mean(np.linalg.norm(g, axis=1))), abs=1e-300)
            assert s <= t or pairs.norms[i, j] == 0.0


def test_saturation_counts_steps_and_samples() -> None:
    with tg.scope("net"):
        rows = np.array([[[-9.0, 0.0, 9.0]], [[-9.0, 9.0, 9.0]], [[-9.0, 0.0, 9.0]], [[0.0, 0.0, 9.0]]])
        nodes = []
        for t in tg.steps(4):
            a = tg.tensor(rows[t])
            nodes += [tg.name("i", tg.sigmoid(a)), tg.name("g", np.tanh(a))]
    found = analysis.saturation(nodes)
    assert list(found.left) == ["i"], "a tanh is no gate unless asked for"
    assert found.left["i"].tolist() == [0.75, 0.0, 0.0] and found.right["i"].tolist() == [0.0, 0.25, 1.0]
    both = analysis.saturation(nodes, ["i", "g"])
    assert both.left["g"].tolist() == [0.75, 0.0, 0.0] and both.right["g"].tolist() == [0.0, 0.25, 1.0]


def test_saturation_of_a_trace_equals_counting_by_hand() -> None:
    nn.manual_seed(0)
    _, _, trace = nn.GRU(D, H)(4.0 * np.random.default_rng(0).normal(size=(T, B, D)), trace=True)
    found = analysis.saturation(trace, low=0.3, high=0.7)
    for gate in ("r", "z"):
        values = np.stack([node.numpy() for node in trace[gate]])
        np.testing.assert_allclose(found.left[gate], np.mean(values < 0.3, axis=(0, 1)))
        np.testing.assert_allclose(found.right[gate], np.mean(values > 0.7, axis=(0, 1)))
    assert set(found.left) == {"r", "z"}


def test_names_that_several_layers_share_carry_their_scope() -> None:
    w, h = tg.tensor(0.5, name="w"), {"below": tg.tensor(1.0), "above": tg.tensor(2.0)}
    for _ in tg.steps(3):
        for place in h:
            with tg.scope(place):
                h[place] = tg.name("h", w * h[place])
    both = h["below"] + h["above"]
    assert sorted(analysis.quantities(both)) == ["above.h", "below.h"]
    assert analysis.jacobians(both, "above.h").between(2, 0).ravel() == pytest.approx([0.25])
    assert sorted(analysis.carried(both)) == ["above.h", "below.h"]


LONE = tg.tensor(1.0, name="w") * 2.0


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: analysis.jacobians(by_hand(), "g"), "no state is called g; there are h"),
        (lambda: analysis.jacobians(by_hand()).between(9, 0), "go from 0 to 5"),
        (lambda: analysis.jacobians(by_hand()).between(0, 2), "go from 0 to 5"),
        (lambda: analysis.carried(LONE), "name the states with tg.name"),
        (lambda: analysis.jacobians([tg.name("h", LONE)], "h"), "no state is called h"),
        (lambda: analysis.pair_norms(by_hand(), [LONE]), "depends on none of the states"),
        (lambda: analysis.gradient_norms(by_hand(), "q"), "no quantity is called 'q'.*there are h"),
        (lambda: analysis.saturation(by_hand()), "nothing here was computed by a sigmoid"),
        (lambda: analysis.saturation(by_hand(), "f"), "no quantity is called f"),
        (lambda: analysis.saturation(equations("vanilla")(), "o", axis=0), "o is no gate"),
        (lambda: analysis.spectrum(np.ones((2, 3))), "square matrix"),
        (lambda: analysis.quantities("text"), "a Graph starts from"),
    ],
)
def test_questions_without_an_answer_say_why(ask: Any, message: str) -> None:
    with pytest.raises(tg.TinygradError, match=message):
        ask()


def pictures() -> dict[str, Any]:
    source = layer("LSTM")()
    _, _, trace = nn.LSTM(D, H)(np.ones((T, B, D)), trace=True)
    return {
        "jacobians": analysis.jacobians(source),
        "spectrum": analysis.spectrum(tg.nn.init.orthogonal((6, 6), 1.1)),
        "gradient_norms": analysis.gradient_norms(source),
        "pair_norms": analysis.pair_norms([np.sum(h) for h in trace["h"]], [np.sum(h) for h in trace["h"]]),
        "saturation": analysis.saturation(trace),
    }


@pytest.mark.slow
def test_every_answer_has_its_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[train]'")
    for name, answer in pictures().items():
        answer.plot(tmp_path / f"{name}.svg", title=name.replace("_", " "))
        assert (tmp_path / f"{name}.svg").read_bytes().startswith(b"<?xml")


def test_a_picture_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed: pip install -e '.[train]'")
    path, history = tmp_path / "run.svg", train.History(loss=[2.0, 1.0], norm=[1.0, 1.0])
    history.plot(path)
    before = path.read_bytes()

    def half(self: Any, target: Any, **options: Any) -> None:
        with open(target, "wb") if isinstance(target, str | Path) else contextlib.nullcontext(target) as file:
            file.write(b"<?xml")
            raise KeyboardInterrupt

    monkeypatch.setattr(figure.Figure, "savefig", half)
    with pytest.raises(KeyboardInterrupt):
        history.plot(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = pictures()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for answer in answers.values():
        with pytest.raises(
            MissingExtraError, match=r"matplotlib is not installed: pip install 'tinygrad_rnn\[train\]'"
        ):
            answer.plot(tmp_path / "a.svg")
