"""Optimisers and schedules are torch's to 1e-12, live where torch is installed and against kept numbers everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler import entrywise_functions
from tinygrad_rnn.train import flat_parameters

from .reference import make_train as make

KEPT = dict(np.load(Path(__file__).parent / "reference" / "train.npz"))
OPTIMISERS = pytest.mark.parametrize("case", sorted(make.OPTIMISERS))


def ours(case: str, executor: str = "numpy") -> list[np.ndarray]:
    """All parameters after 20 steps of one optimiser under our rules."""
    kind, options, own = make.OPTIMISERS[case]
    params = [tg.tensor(value, name=f"w{i}") for i, value in enumerate(make.start())]
    groups: Any = [{"params": params[:2], **own}, {"params": params[2:]}] if own else params
    optimizer = getattr(tg.train, kind)(groups, **options)
    for grads in make.gradients():
        optimizer.move(optimizer.end_to_end(grads), executor=executor)
    return [np.asarray(p.value) for p in params]


@OPTIMISERS
def test_optimiser_equals_the_kept_numbers_of_torch(case: str) -> None:
    for i, value in enumerate(ours(case)):
        np.testing.assert_allclose(value, KEPT[f"{case}.{i}"], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["sgd_nesterov", "sgd_dampening", "adagrad_all", "rmsprop_all", "adam_amsgrad", "adamw_all"]
)
def test_optimiser_in_machine_code_equals_the_kept_numbers_of_torch(case: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
    for i, value in enumerate(ours(case, "jit")):
        np.testing.assert_allclose(value, KEPT[f"{case}.{i}"], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.torch
@OPTIMISERS
def test_optimiser_equals_torch(case: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[parity]'")
    for value, theirs in zip(ours(case), make.torch_optimiser(case), strict=True):
        np.testing.assert_allclose(value, theirs, rtol=1e-12, atol=1e-12)


# -- schedules ------------------------------------------------------------------------------------------------------
SCHEDULES = pytest.mark.parametrize("case", sorted(make.SCHEDULES))


def two_groups() -> tg.train.SGD:
    params = [tg.tensor(value) for value in (1.0, 2.0)]
    for p in params:
        p.grad = 0.0
    return tg.train.SGD([{"params": params[:1], "lr": 0.3}, {"params": params[1:]}], lr=0.1)


@SCHEDULES
def test_schedule_equals_the_kept_numbers_of_torch(case: str) -> None:
    np.testing.assert_allclose(make.rates(tg.train, two_groups(), case), KEPT[f"rates.{case}"], rtol=1e-12, atol=1e-14)


@pytest.mark.torch
@SCHEDULES
def test_schedule_equals_torch(case: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[parity]'")
    np.testing.assert_allclose(make.rates(tg.train, two_groups(), case), make.torch_rates(case), rtol=1e-12, atol=1e-14)


# -- what every optimiser keeps -------------------------------------------------------------------------------------
@OPTIMISERS
def test_a_run_taken_up_from_its_state_ends_in_the_same_bits(case: str) -> None:
    kind, options, own = make.OPTIMISERS[case]
    params = [tg.tensor(value) for value in make.start()]
    groups = lambda ps: [{"params": ps[:2], **own}, {"params": ps[2:]}]  # noqa: E731
    optimizer = getattr(tg.train, kind)(groups(params), **options)
    for n, grads in enumerate(make.gradients()):
        if n == 7:
            params = [tg.tensor(p.value) for p in params]
            state = optimizer.state_dict()
            optimizer = getattr(tg.train, kind)(groups(params), **options)
            optimizer.load_state_dict(state)
        optimizer.step(grads)
    for p, value in zip(params, ours(case), strict=True):
        np.testing.assert_array_equal(p.value, value)


@pytest.mark.slow
@pytest.mark.parametrize("portion", [1, 5, 13])
@OPTIMISERS
def test_portions_change_no_bit(case: str, portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ours(case)
    monkeypatch.setattr(flat_parameters, "LARGEST_BUCKET", portion)
    monkeypatch.setattr(entrywise_functions, "PORTION", (portion + 1) // 2)
    for value, expected in zip(ours(case), whole, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_a_parameter_without_gradient_stays_and_counts_no_step(kind: str) -> None:
    alone, together = (
        [tg.tensor([1.0, 2.0], name="a"), tg.tensor([3.0], name="b"), tg.tensor([[4.0]], name="c")] for _ in range(2)
    )
    of_b = getattr(tg.train, kind)(alone[1:2], lr=0.1)
    of_all = getattr(tg.train, kind)(together, lr=0.1)
    for g in (0.3, -0.7):
        of_b.step([np.array([g])])
        of_all.step([None, np.array([g]), None])
    np.testing.assert_array_equal(alone[1].value, together[1].value)
    assert together[0].value.tolist() == [1.0, 2.0] and list(of_all.state_dict()["state"]) == [1]
    of_all.step({"a": np.ones(2), "b": np.ones(1), "c": np.ones((1, 1))})
    assert [state["step"] for state in of_all.state_dict()["state"].values()] == [1, 3, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_dtype_and_kind_of_parameters_stay(kind: str, dtype: Any) -> None:
    params = [tg.tensor(np.ones((2, 3), dtype)), tg.tensor(1.0)]
    getattr(tg.train, kind)(params, lr=0.1).step([np.ones((2, 3)), 1.0])
    assert params[0].dtype == dtype and type(params[1].value) is float


def test_a_step_reads_what_backward_left() -> None:
    w = tg.tensor([1.0, -2.0], name="w")
    np.sum(w * w).backward()
    tg.train.SGD({"first": w}, lr=0.25).step()
    assert w.value.tolist() == [0.5, -1.0]


W = tg.tensor([1.0, 2.0], name="W")
GOOD = np.zeros(2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: tg.train.SGD([]), "no parameters to train"),
        (lambda: tg.train.SGD([W, W]), "given twice: W"),
        (lambda: tg.train.SGD([W * 2.0]), "a parameter is a leaf"),
        (lambda: tg.train.SGD([np.ones(2)]), "a parameter is a leaf"),
        (lambda: tg.train.SGD(tg.tensor(1.0)), "as a list"),
        (lambda: tg.train.SGD([{"lr": 0.1}]), '"params"'),
        (lambda: tg.train.SGD([{"params": [W], "beta": 1}]), "no option beta"),
        (lambda: tg.train.SGD([W], lr=-1.0), "lr = -1.0, but has to be"),
        (lambda: tg.train.SGD([W], nesterov=True), "needs a momentum"),
        (lambda: tg.train.Adam([W], betas=(0.9, 1.0)), "not two numbers in \\[0, 1\\)"),
        (lambda: tg.train.SGD([tg.tensor([1.0], name="w")]).step(), "call loss.backward"),
        (lambda: tg.train.SGD([W]).step([GOOD, GOOD]), "2 gradients for 1 parameters"),
        (lambda: tg.train.SGD([W]).step({"V": GOOD}), "no parameter is called V; names: W"),
        (lambda: tg.train.SGD([W]).step([np.zeros(3)]), "W has shape \\(2,\\), its gradient \\(3,\\)"),
        (lambda: tg.train.SGD([W]).load_state_dict(tg.train.SGD([W, tg.tensor(1.0)]).state_dict()), "groups of"),
        (lambda: tg.train.SequentialLR(tg.train.SGD([W]), [], [3]), "milestones"),
        (lambda: tg.train.ReduceLROnPlateau(tg.train.SGD([W]), mode="up"), "mode is min or max"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_changes(build: Any, message: str) -> None:
    before = W.value.copy()
    with pytest.raises((tg.TinygradError, ValueError), match=message):
        build()
    np.testing.assert_array_equal(W.value, before)


def test_a_state_of_other_shapes_is_refused() -> None:
    adam = tg.train.Adam([tg.tensor([1.0])])
    adam.step([np.ones(1)])
    with pytest.raises(tg.ShapeError, match="exp_avg of W"):
        tg.train.Adam([W]).load_state_dict(adam.state_dict())


def test_a_step_without_a_new_gradient_raises_with_the_mend() -> None:
    w = tg.tensor([1.0, 2.0], name="w")
    sgd, other = tg.train.SGD([w], lr=0.25), tg.train.SGD([w], lr=0.25)
    np.sum(w * w).backward()
    sgd.step()
    other.step()  # another optimiser may use the same gradient
    before = w.numpy().tolist()
    for touch in (lambda: None, lambda: tg.train.clip_grad_norm_([w], 1.0)):
        touch()
        with pytest.raises(tg.GraphError, match=r"no backward\(\) came since the last step: call zero_grad"):
            sgd.step()
    assert w.numpy().tolist() == before
    np.sum(w).backward()
    sgd.step()
    sgd.zero_grad()
    with pytest.raises(tg.GraphError, match="no parameter has a gradient"):
        sgd.step()
