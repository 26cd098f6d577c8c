"""The loop: what it does at each step and each look, how it ends, what it says, and what it refuses."""

from __future__ import annotations

import sys
from math import inf, isnan, nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train
from tinygrad_rnn.core.errors import MissingExtraError, NonFiniteError
from tinygrad_rnn.train.progress import Bar, teller


class Line(nn.Module):
    """y = w·x, with a buffer that counts how often it ran."""

    def __init__(self, w: float = 0.0) -> None:
        self.w = nn.parameter("w", w)
        self.register_buffer("runs", np.zeros(()))

    def forward(self, x: Any) -> Any:
        self.runs = self.runs + 1.0
        return self.w * x


def loss(model: Line, x: float) -> Any:
    return (model(x) - 3.0 * x) ** 2


def fit(model: Line, data: Any = lambda step: 1.0, lr: float = 0.1, **options: Any) -> train.History:
    sgd = train.SGD(model.parameters(), lr=lr)
    return train.fit(model, options.pop("loss_fn", loss), data, sgd, **{"log": False} | options)


def test_each_step_is_one_step_of_the_optimiser() -> None:
    model = Line()
    history = fit(model, steps=4)
    w, losses = 0.0, []
    for _ in range(4):
        losses.append((w - 3.0) ** 2)
        w -= 0.1 * 2 * (w - 3.0)
    assert model.w.item() == pytest.approx(w) and history.loss == pytest.approx(losses)
    assert history.norm == pytest.approx([2 * np.sqrt(x) for x in losses]) and history.lr == [0.1] * 4
    assert history.looks == [4] and history.watched == pytest.approx([np.mean(losses)])


def test_epochs_go_through_the_data_in_order_and_look_after_each() -> None:
    seen: list[float] = []
    history = fit(Line(), [1.0, 2.0, 3.0], epochs=2, loss_fn=lambda m, x: (seen.append(x), loss(m, x))[1])
    assert seen == [1.0, 2.0, 3.0] * 2 and history.looks == [3, 6]


def test_clipping_comes_before_the_step_and_norms_are_of_before() -> None:
    model = Line()
    history = fit(model, steps=1, clip=train.clip.by_norm(0.5, eps=0.0))
    assert model.w.item() == pytest.approx(0.05) and history.norm == [6.0]
    other = Line()
    fit(other, steps=1, clip=0.5)
    assert other.w.item() == pytest.approx(0.05, rel=1e-6)


def test_a_schedule_moves_with_every_step_a_plateau_with_every_look() -> None:
    model = Line()
    sgd = train.SGD(model.parameters(), lr=0.1)
    history = train.fit(model, loss, lambda s: 1.0, sgd, steps=4, schedule=train.StepLR(sgd, 2, 0.5), log=False)
    assert history.lr == [0.1, 0.1, 0.05, 0.05]
    plateau = train.ReduceLROnPlateau(sgd, patience=0)
    history = train.fit(
        model, loss, lambda s: 1.0, sgd, steps=6, every=2, schedule=plateau, validate=lambda m: 1.0, log=False
    )
    assert history.lr == pytest.approx([0.025, 0.025, 0.025, 0.025, 0.0025, 0.0025])


def test_validation_leaves_no_trace_in_the_training() -> None:
    def validate(model: Line) -> Any:
        assert not model.training
        nn.random.generator().normal(size=5)
        return loss(model, 2.0)

    def noisy(step: int) -> float:
        return float(nn.random.generator().normal())

    found = []
    for check in (None, validate):
        nn.manual_seed(2)
        model = Line()
        history = fit(model, noisy, steps=20, every=3, validate=check)
        found.append((history.loss, model.w.item(), float(model.runs)))
        assert model.training
    assert found[0] == found[1]


def test_early_stopping_gives_the_best_weights_back() -> None:
    model = Line()
    values = iter([5.0, 4.0, 4.5, 4.0, 9.0, 1.0])
    weights = []

    def validate(model: Line) -> float:
        weights.append(model.w.item())
        return next(values)

    told: list[str] = []
    history = fit(model, steps=60, every=10, validate=validate, early_stopping=train.EarlyStopping(3), log=told.append)
    assert history.looks[-1] == 50 and model.w.item() == weights[1]
    assert "no better than 4, reached at step 20, in 3 looks" in history.stopped and "stopped at step 50" in told[-1]


def test_early_stopping_goes_on_counting_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[train]'")
    numbers = [5.0, 4.0, 4.5, 4.4, 9.0, 1.0]

    def run(steps: int, folder: Path | None) -> tuple[train.History, float]:
        model = Line()
        looks: list[int] = []
        options: dict[str, Any] = {"checkpoint": folder} if folder else {}
        found = len(train.checkpoint.checkpoints(folder)) if folder else 0

        def validate(model: Line) -> float:
            looks.append(0)
            return numbers[found + len(looks) - 1]

        history = fit(
            model, steps=steps, every=10, validate=validate, early_stopping=train.EarlyStopping(3), keep=9, **options
        )
        return history, model.w.item()

    whole, w = run(60, None)
    for steps in (10, 30, 40, 60):
        history, found = run(steps, tmp_path)
    assert (history.looks, history.watched, history.stopped, found) == (whole.looks, whole.watched, whole.stopped, w)
    assert run(60, tmp_path)[0].looks == whole.looks, "a run that has stopped stays where it is"


def test_a_run_ends_when_asked_to() -> None:
    history = fit(Line(), steps=500, every=10, stop=lambda history: history.watched[-1] < 0.1)
    assert history.stopped == "asked to stop" and history.watched[-1] < 0.1 < history.watched[-2]


# -- what is not finite ---------------------------------------------------------------------------------------------
class Exploding(nn.Module):
    """h[t] = exp(w·h[t-1]) in a scope of its own."""

    def __init__(self) -> None:
        self.w = nn.parameter("w", 1.0)

    def forward(self, x: float) -> Any:
        h: Any = tg.tensor(x, requires_grad=False)
        with tg.scope("encoder"):
            for _ in tg.steps(1, 6):
                h = tg.name("h", np.exp(self.w * h))
        return h


def test_nan_is_an_error_that_names_the_first_operation_and_step() -> None:
    model = Exploding()
    with pytest.raises(NonFiniteError, match=r"training step 2: the loss is inf.*exp at encoder, t=4 \(h\).*first inf"):
        fit(model, lambda step: [-30.0, -30.0, 1.0][step], lr=0.0, steps=3, loss_fn=lambda m, x: m(x))


def test_nan_that_only_the_gradient_has_is_found_there() -> None:
    model = Line()
    with pytest.raises(NonFiniteError, match=r"training step 0: the gradient is of no use. the gradient's .* first"):
        fit(model, steps=1, loss_fn=lambda m, x: np.sqrt(np.abs(m.w)))
    assert model.w.item() == 0.0


def test_a_loss_that_is_infinite_although_its_gradient_is_not_is_an_error() -> None:
    with pytest.raises(NonFiniteError, match="the loss is inf"):
        fit(Line(), steps=1, loss_fn=lambda m, x: m.w + inf)


def test_nan_in_the_data_is_told_as_such() -> None:
    with pytest.raises(NonFiniteError, match="a value already holds nan when it is given"):
        fit(Line(), lambda step: nan, steps=1)


def test_steps_that_are_not_finite_are_skipped_when_asked() -> None:
    model, other = Line(), Line()
    history = fit(model, lambda step: [1.0, nan, 1.0, inf][step], steps=4, nonfinite="skip")
    fit(other, steps=2)
    assert model.w.item() == other.w.item()
    assert [isnan(x) for x in history.norm] == [False, True, False, True] and np.isfinite(history.watched[0])


def test_a_random_step_is_taken_where_the_gradient_is_none() -> None:
    model = Line(1.0)
    fit(model, lambda step: nan, lr=1.0, steps=1, clip=train.clip.by_random_direction(0.5))
    assert abs(model.w.item() - 1.0) == pytest.approx(0.5)


def test_first_nonfinite_looks_past_infinities_put_in_on_purpose() -> None:
    mask = tg.tensor(np.array([0.0, -inf]), requires_grad=False)
    x = tg.tensor([1.0, 2.0], name="x")
    fine = np.sum(tg.softmax(x + mask)[:1])
    assert tg.analysis.first_nonfinite(fine) is None or not isnan(fine.item())
    with np.errstate(all="ignore"):
        masked = tg.softmax(x + mask)
        bad = np.log(np.sum(x) - 4.0)
        found = tg.analysis.first_nonfinite(np.sum(masked[:1]) + bad)
    assert found is not None and found.node is bad and not found.backward


# -- compiled -------------------------------------------------------------------------------------------------------
class Remember(nn.Module):
    """Tell the sum of the first inputs at the end."""

    def __init__(self) -> None:
        nn.manual_seed(3)
        self.W, self.U = nn.parameter("W", nn.init.orthogonal((6, 6))), nn.parameter("U", nn.init.uniform((6, 2), 0.5))
        self.V = nn.parameter("V", nn.init.uniform((1, 6), 0.5))

    def forward(self, x: Any) -> Any:
        h: Any = np.zeros((x.shape[1], 6))
        for t in tg.steps(len(x)):
            h = tg.name("h", np.tanh(tg.linear(h, self.W) + tg.linear(x[t], self.U)))
        return tg.linear(h, self.V)


def remembered(model: Remember, batch: tuple[np.ndarray, np.ndarray]) -> Any:
    x, y = batch
    return np.mean((model(x) - y) ** 2)


def sums(step: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(step).normal(size=(7, 4, 2))
    return x, x[0].sum(axis=1, keepdims=True)


def test_a_compiled_run_is_the_recorded_run_to_rounding() -> None:
    found = []
    for compile in (False, True):
        model = Remember()
        adam = train.Adam(model.parameters(), lr=0.01)
        history = train.fit(model, remembered, sums, adam, steps=25, clip=1.0, compile=compile, log=False)
        found.append((history.loss, history.norm, model.state_dict()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-9)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9)
    for name, value in found[0][2].items():
        np.testing.assert_allclose(found[1][2][name], value, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("every", [1, 4])
def test_a_coefficient_that_is_annealed_is_seen_by_a_compiled_run(every: int) -> None:
    found = []
    for compile in (False, True):
        model, penalty = Remember(), SimpleNamespace(weight=1.0)

        def penalised(model: Remember, batch: Any, penalty: Any = penalty) -> Any:
            return remembered(model, batch) + penalty.weight * np.sum(model.W**2)

        def annealed(step: int, penalty: Any = penalty) -> Any:
            penalty.weight = 0.5 ** (step // every)
            return sums(step)

        sgd = train.SGD(model.parameters(), lr=0.01)
        train.fit(model, penalised, annealed, sgd, steps=10, compile=compile, log=False)
        found.append(model.W.value)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10)


def test_a_compiled_run_names_the_place_of_a_nan_too() -> None:
    def bad(step: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = sums(step)
        return x, y * (nan if step == 2 else 1.0)

    model = Remember()
    sgd = train.SGD(model.parameters(), lr=0.01)
    with pytest.raises(NonFiniteError, match=r"training step 2: .* already holds nan when it is given"):
        train.fit(model, remembered, bad, sgd, steps=4, compile=True, log=False)


class Noisy(Line):
    def forward(self, x: Any) -> Any:
        return self.w * x + nn.random.generator().normal()


@pytest.mark.parametrize(("model", "message"), [(Line(), "changes runs"), (Noisy(), "draws no random numbers")])
def test_what_a_compiled_step_cannot_see_is_refused(model: Line, message: str) -> None:
    with pytest.raises(tg.GraphError, match=message):
        fit(model, steps=1, compile=True)
    assert model.w.item() == 0.0


def test_compile_trains_parameters_of_the_model_only() -> None:
    model = Line()
    more = train.SGD([model.w, tg.tensor(1.0, name="elsewhere")])
    with pytest.raises(tg.GraphError, match="elsewhere is not one"):
        train.fit(model, loss, [1.0], more, steps=1, compile=True, log=False)


# -- data -----------------------------------------------------------------------------------------------------------
def test_minibatches_show_each_sample_once_in_an_epoch_in_an_order_of_its_own() -> None:
    x, y = np.arange(24).reshape(2, 12), np.arange(12)
    batches = train.Minibatches(x, y, size=4, axis=-1)
    epochs = [[batches(3 * epoch + i) for i in range(3)] for epoch in range(2)]
    orders = [np.concatenate([part[1] for part in epoch]) for epoch in epochs]
    assert all(sorted(order) == list(range(12)) for order in orders) and list(orders[0]) != list(orders[1])
    for part in epochs[0]:
        np.testing.assert_array_equal(part[0], x[:, part[1]])
    np.testing.assert_array_equal(batches(1)[1], epochs[0][1][1])
    assert list(train.Minibatches(y, size=5, shuffle=False)(1)[0]) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say how long"),
        ({"steps": 1, "epochs": 1}, "say how long"),
        ({"epochs": 1}, "data with a length"),
        ({"steps": 1, "data": iter([1.0])}, "an iterator could not be taken up"),
        ({"steps": 1, "data": []}, "a list of batches"),
        ({"steps": 1, "nonfinite": "ignore"}, "'raise' or 'skip'"),
        ({"steps": 1, "loss_fn": lambda m, x: 1.0}, "one entry, not float"),
        ({"steps": 1, "loss_fn": lambda m, x: m.w * np.ones(3)}, r"one entry, not shape \(3,\)"),
    ],
)
def test_what_fit_cannot_use_is_said_before_anything_moves(options: dict[str, Any], message: str) -> None:
    model = Line()
    with pytest.raises((tg.TinygradError, TypeError), match=message):
        fit(model, **options)
    assert model.w.item() == 0.0


def test_minibatches_that_do_not_fit_are_refused() -> None:
    for arrays, size in (((np.ones(3), np.ones(4)), 2), ((np.ones(3),), 4), ((np.ones(3),), 0)):
        with pytest.raises(ValueError, match="Minibatches: batches of"):
            train.Minibatches(*arrays, size=size)


# -- what it says ---------------------------------------------------------------------------------------------------
def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fit(Line(), steps=4, every=2, log=True)
    assert capsys.readouterr().out.splitlines() == [
        "step 2/4: loss 7.38, gradient 4.8",
        "step 4/4: loss 3.02, gradient 3.07",
    ]


def test_a_bar_in_a_terminal_with_rich_and_lines_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich", reason="rich is not installed: pip install -e '.[train]'")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with teller(True, 3) as told:
        assert isinstance(told, Bar)
        told.step(1, 0.5)
        told.look("[half] of it")
    for module in list(sys.modules):
        if module.partition(".")[0] == "rich":
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rich", None)
    with teller(True, 3) as told:
        assert not isinstance(told, Bar)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_curves_are_drawn(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[train]'")
    path = tmp_path / f"curves.{kind}"
    fit(Line(), steps=120, every=40, plot=path)
    first = path.read_bytes()
    assert first.startswith(b"<?xml" if kind == "svg" else b"\x89PNG")
    fit(Line(), steps=120, every=40, plot=path)
    assert path.read_bytes() == first, "the same numbers give the same file"


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib is not installed: pip install 'tinygrad_rnn\[train\]'"):
        train.History([1.0], [1.0], [1.0]).plot(tmp_path / "curves.svg")
