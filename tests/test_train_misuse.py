"""What users do wrong with training, and what disks do to them: told before a step is taken, and nothing is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import analysis, nn, train
from tinygrad_rnn.core.errors import CheckpointError, NonFiniteError
from tinygrad_rnn.train import checkpoint


class Line(nn.Module):
    def __init__(self) -> None:
        self.w = nn.parameter("w", 2.0)

    def forward(self, x: Any) -> Any:
        return self.w * x


def loss(model: Line, x: float) -> Any:
    return (model(x) - 3.0 * x) ** 2


def fit(model: Line, **options: Any) -> train.History:
    optimizer = options.pop("optimizer", None) or train.Adam(model.parameters(), lr=0.1)
    return train.fit(model, options.pop("loss_fn", loss), [1.0], optimizer, **{"log": False, "steps": 2} | options)


W = tg.tensor([1.0, 2.0], name="W")
SGD = train.SGD([W])


@pytest.mark.slow
@pytest.mark.parametrize(("options", "message"), [
    ({"steps": -1}, "steps is -1, but has to be at least 0"),
    ({"steps": 2.5}, "steps is 2.5, but has to be a whole number"),
    ({"every": 0}, "every is 0"),
    ({"clip": -1.0}, "the limit is -1.0"),
    ({"clip": float("nan")}, "the limit is nan"),
    ({"clip": "1"}, "the limit is '1'"),
    ({"optimizer": train.Adam}, "optimizer is one of train.SGD"),
    ({"optimizer": SGD}, "made for other parameters"),
    ({"schedule": "cosine"}, "schedule is one of .* not 'cosine'"),
    ({"schedule": train.StepLR(SGD, 1)}, "made for this very optimizer"),
    ({"early_stopping": 5}, r"train.EarlyStopping\(patience=...\), not 5"),
    ({"compile": "jitt"}, "'numpy' or 'jit', not 'jitt'"),
    ({"loss_fn": lambda model, x: tg.tensor(3.0, requires_grad=False)}, "depends on no parameter"),
    ({"plot": "curves.docx"}, "ends in .svg, .pdf or .png, not .docx"),
    ({"plot": "no such folder/curves.svg"}, "there is no folder"),
])  # fmt: skip
def test_what_fit_cannot_use_is_said_before_anything_moves(options: dict[str, Any], message: str) -> None:
    model = Line()
    if "plot" in options:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[train]'")
    with pytest.raises(tg.TinygradError, match=message):
        fit(model, **options)
    assert model.w.item() == 2.0


@pytest.mark.parametrize("answer", [None, np.ones(3), "good"])
def test_a_validation_is_one_number(answer: Any) -> None:
    with pytest.raises(tg.GraphError, match="validate has to return one number, not "):
        fit(Line(), validate=lambda model: answer)


@pytest.mark.parametrize(("build", "message"), [
    (lambda: train.Adam([W, W]), "parameters given twice: W"),
    (lambda: train.Adam([W, tg.tensor([1.0], name="V"), W]), "parameters given twice: W"),
    (lambda: train.Adam([W], lr="1e-3"), "lr = '1e-3'"),
    (lambda: train.Adam([W], lr=float("nan")), "lr = nan"),
    (lambda: train.Adam([W], betas=0.9), "betas = 0.9"),
    (lambda: train.Adam([{"params": [W], "lrr": 1.0}]), "no option lrr; there are lr, betas"),
    (lambda: train.StepLR(SGD, step_size=0), "step_size is 0"),
    (lambda: train.CosineAnnealingLR(SGD, T_max=0), "T_max is 0"),
    (lambda: train.LinearLR(SGD, total_iters=0), "total_iters is 0"),
    (lambda: train.StepLR([W], step_size=1), "StepLR is made for an optimizer, not for list"),
    (lambda: train.EarlyStopping(patience=0), "patience is 0"),
    (lambda: train.Minibatches(size=2), "batches of 2"),
    (lambda: train.Minibatches(np.ones((3, 4)), size=2, axis=2), "batches of 2"),
    (lambda: train.clip.by_value(-1.0), "the limit is -1.0"),
    (lambda: train.clip.by_norm(float("nan")), "the limit is nan"),
    (lambda: train.clip.by_random_direction(float("inf")), "no direction has an infinite length"),
    (lambda: list(train.truncated(lambda t, h: (h, h), 3, W, k1=0)), "k1 >= 1"),
])  # fmt: skip
def test_what_cannot_be_trained_with_is_a_graph_or_shape_error(build: Callable[[], Any], message: str) -> None:
    with pytest.raises((tg.GraphError, tg.ShapeError), match=message):
        build()


def test_an_infinite_limit_clips_nothing() -> None:
    grads = [np.array([3.0, 4.0]), np.array([1e200])]
    for rule in (
        train.clip.by_norm(np.inf),
        train.clip.by_value(np.inf),
        train.clip.by_norm(np.inf, per_parameter=True),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(rule(grads)[0], grads, strict=True))


def test_a_loss_that_is_nan_leaves_weights_and_optimiser_as_they_are() -> None:
    model = Line()
    adam = train.Adam(model.parameters())
    with pytest.raises(NonFiniteError, match="training step 0: the loss is nan"):
        fit(model, optimizer=adam, loss_fn=lambda model, x: loss(model, x) * np.nan, clip=np.inf)
    assert model.w.item() == 2.0 and adam.state_dict()["state"] == {}


# -- the disk ---------------------------------------------------------------------------------------------------------
def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[train]'")
    model, file = Line(), tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(CheckpointError, match="is no folder for checkpoints"):
        fit(model, checkpoint=file)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as a disk mounted read-only answers
    with pytest.raises(CheckpointError, match="cannot be written to"):
        fit(model, checkpoint=tmp_path)
    assert model.w.item() == 2.0


def test_a_full_disk_is_told_and_the_last_checkpoint_still_resumes(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[train]'")
    expected = Line()
    fit(expected, steps=6)
    model, fsync, calls = Line(), os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 2:  # after a file and its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"step-00000004.*No space left.*kept is step-00000002.safetensors"):
            fit(model, steps=6, every=2, checkpoint=tmp_path)
    assert os.listdir(tmp_path) == ["step-00000002.safetensors"]
    again = Line()
    assert fit(again, steps=6, every=2, checkpoint=tmp_path).resumed == 2
    assert again.w.item() == expected.w.item()


def test_at_least_one_checkpoint_is_kept(tmp_path: Path) -> None:
    with pytest.raises(tg.ShapeError, match="keep is 0"):
        checkpoint.write(tmp_path, 1, {}, {}, keep=0)


def test_a_checkpoint_of_ones_own_making_says_what_it_lacks(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[train]'")
    checkpoint.write(tmp_path, 3, {"x": np.ones(2)}, {"who": 1})
    with pytest.raises(CheckpointError, match="does not belong to this run: it does not say 'yours'"):
        fit(Line(), checkpoint=tmp_path)


# -- looking at runs --------------------------------------------------------------------------------------------------
X = np.random.default_rng(0).standard_normal((4, 2, 3))


@pytest.mark.parametrize(("ask", "kind", "message"), [
    (lambda: analysis.jacobians(nn.RNN(3, 2, bidirectional=True)(X)[0]), tg.GraphError,
     r"run in both directions; choose those of one: states=\['rnn.l0.h'\]"),
    (lambda: analysis.jacobians(nn.RNN(3, 2)(X * np.nan)[0]), NonFiniteError, "nan or inf in them"),
    (lambda: analysis.pair_norms(nn.RNN(3, 2)(X)[0], [], "h"), tg.GraphError, "at least one loss"),
    (lambda: analysis.spectrum(np.full((2, 2), np.nan)), NonFiniteError, "W holds nan"),
    (lambda: analysis.spectrum(np.zeros((0, 0))), tg.ShapeError, "a square matrix"),
    (lambda: analysis.spectrum(np.eye(2) * 1j), tg.DtypeError, "real numbers, not complex128"),
    (lambda: analysis.spectrum(np.eye(2)).plot("spectrum"), tg.GraphError, "ends in .svg, .pdf or .png, not nothing"),
    (lambda: nn.omega(np.sum(nn.RNN(3, 2)(X)[0]), "z"), tg.GraphError, "at least two states called 'z'"),
])  # fmt: skip
def test_questions_without_an_answer_are_errors(ask: Callable[[], Any], kind: type, message: str) -> None:
    if "plot" in ask.__code__.co_names:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[train]'")
    with pytest.raises(kind, match=message):
        ask()


def test_each_direction_has_jacobians_of_its_own() -> None:
    layer = nn.RNN(3, 2, bidirectional=True)
    output, _ = layer(X)
    for k, place in enumerate(("l0", "l0_reverse")):
        found = analysis.jacobians(output, f"rnn.{place}.h")
        assert found.times == ((1, 2, 3, 4) if not k else (4, 3, 2, 1))
        h = output.numpy()[..., 2 * k : 2 * k + 2]
        t = found.times[1] - 1
        expected = (1 - h[t, 0] ** 2)[:, None] * layer.cells[k].W.value
        np.testing.assert_allclose(found.steps[0, 0], expected, rtol=1e-12)
