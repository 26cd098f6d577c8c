"""Losses are torch's, with the classes on the last axis; masks leave out exactly what they hide."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(4, 3, 5)) * 3
TARGETS = RNG.integers(0, 5, (4, 3))
TARGETS_IGNORED = np.where(RNG.random((4, 3)) < 0.4, -100, TARGETS)
MASK = RNG.random((4, 3)) < 0.6
Y = RNG.normal(size=(4, 3, 5))
BITS = RNG.random((4, 3, 5))
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def test_sizes_of_the_samples_leave_something_to_count():
    assert 0 < MASK.sum() < MASK.size and (TARGETS_IGNORED == -100).any()


@pytest.mark.slow
@REDUCTIONS
@pytest.mark.torch
def test_losses_and_their_gradients_are_torchs(reduction):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    def flat(x):
        return x.reshape(-1, 5)

    log_p = np.asarray(tg.log_softmax(LOGITS))
    pairs = [
        (nn.cross_entropy, functional.cross_entropy, LOGITS, TARGETS_IGNORED),
        (nn.cross_entropy, functional.cross_entropy, LOGITS, TARGETS),
        (nn.nll_loss, functional.nll_loss, log_p, TARGETS_IGNORED),
        (nn.mse_loss, functional.mse_loss, LOGITS, Y),
        (nn.binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits, LOGITS, BITS),
    ]
    for ours, theirs, x, y in pairs:
        mine = tg.tensor(x)
        value = ours(mine, y, reduction=reduction)
        other = torch.tensor(x, requires_grad=True)
        classes = y.dtype.kind == "i"
        wanted = theirs(
            flat(other) if classes else other, torch.tensor(y.reshape(-1) if classes else y), reduction=reduction
        )
        np.testing.assert_allclose(
            np.ravel(value.value), wanted.detach().numpy().ravel(), rtol=1e-13, atol=1e-14, err_msg=ours.__name__
        )
        np.sum(value).backward()
        wanted.sum().backward()
        np.testing.assert_allclose(mine.grad, other.grad.numpy(), rtol=1e-12, atol=1e-14, err_msg=ours.__name__)


@pytest.mark.parametrize(
    "loss, x, y",
    [
        (nn.cross_entropy, LOGITS, TARGETS),
        (nn.nll_loss, LOGITS, TARGETS),
        (nn.mse_loss, LOGITS, Y),
        (nn.binary_cross_entropy_with_logits, LOGITS, BITS),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_mask_leaves_out_exactly_what_it_hides(loss, x, y):
    for reduction in ("mean", "sum"):
        assert loss(x, y, mask=MASK, reduction=reduction) == pytest.approx(loss(x[MASK], y[MASK], reduction=reduction))
    each = np.asarray(loss(x, y, mask=MASK, reduction="none"))
    assert not np.any(each[~MASK]) and np.all(each[MASK] != 0)
    assert tg.check_grads(lambda z: loss(z, y, mask=MASK), x)


def test_no_overflow_and_no_nan_far_out():
    far = np.array([[1000.0, -1000.0]])
    assert nn.binary_cross_entropy_with_logits(far, np.array([[0.0, 1.0]])) == 1000.0
    assert nn.cross_entropy(far, np.array([1])) == 2000.0


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: nn.cross_entropy(LOGITS, TARGETS_IGNORED * 0 - 100), "nothing to average"),
        (lambda: nn.cross_entropy(LOGITS, TARGETS, reduction="max"), "reduction is 'mean', 'sum' or 'none', not 'max'"),
        (lambda: nn.cross_entropy(LOGITS, TARGETS + 3), "targets run from 0 to 4"),
        (lambda: nn.cross_entropy(LOGITS, TARGETS, mask=MASK[:2]), r"mask has shape \(2, 3\), the targets \(4, 3\)"),
        (lambda: nn.nll_loss(LOGITS, TARGETS[:2]), r"need integer targets of shape \(4, 3\)"),
        (lambda: nn.nll_loss(LOGITS, TARGETS + 3), "targets run from 0 to 4"),
        (lambda: nn.mse_loss(LOGITS, Y[..., :1]), "must have one shape"),
        (lambda: nn.mse_loss(LOGITS, Y, mask=MASK[:2]), r"mask has shape \(2, 3\), the losses \(4, 3, 5\)"),
        (lambda: nn.binary_cross_entropy_with_logits(LOGITS, BITS[0]), "must have one shape"),
    ],
)
def test_what_does_not_fit_is_told(call, told):
    with pytest.raises((tg.ShapeError, tg.GraphError), match=told):
        call()
