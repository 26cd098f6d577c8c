"""Whatever is put one after the other on whole sequences and in loops, compiled it is what it is eagerly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.compiler import compile

B, D = 2, 3
LAYER = nn.GRU(D, D)


def looped(first: int, backwards: bool = False, turned: bool = False, masked: bool = False) -> Callable[..., Any]:
    """A loop whose steps count from `first`, in one direction or the other, over the sequence or its reverse."""

    def apply(s: Any, p: Any, x: Any, y: Any, mask: Any, lengths: Any) -> Any:
        T, h, found = len(y), p["h"] + np.zeros((B, D)), [None] * len(y)
        for t in tg.steps(T - 1 + first, first - 1, -1) if backwards else tg.steps(first, T + first):
            at = T - 1 - (t - first) if turned else t - first
            new = np.tanh(tg.linear(s[at] + p["E"][y[at]], p["W"]) + tg.linear(h, p["R"]))
            h = found[at] = np.where(mask[at][:, None], new, h) if masked else new
        return np.stack(found)

    return apply


PARTS: dict[str, Callable[..., Any]] = {
    "masked": lambda s, p, x, y, mask, lengths: s * mask[:, :, None],
    "replaced": lambda s, p, x, y, mask, lengths: np.where(mask[:, :, None], s, 0.5),
    "embedded": lambda s, p, x, y, mask, lengths: s + tg.embedding(p["E"], y),
    "affine": lambda s, p, x, y, mask, lengths: np.tanh(tg.linear(s, p["W"]) + p["b"]),
    "centred": lambda s, p, x, y, mask, lengths: s - np.mean(s, axis=-1, keepdims=True),
    "joined": lambda s, p, x, y, mask, lengths: np.concatenate([s, x], axis=-1)[:, :, 1 : D + 1],
    "layer": lambda s, p, x, y, mask, lengths: LAYER(s, lengths=lengths)[0],
    "loop": looped(0), "loop from 1": looped(1), "loop back": looped(0, True), "loop back to 1": looped(1, True),
    "loop over the reverse": looped(1, turned=True), "loop that waits": looped(0, masked=True),
}  # fmt: skip
ENDS: dict[str, Callable[..., Any]] = {
    "sum": lambda s, x, y, mask: np.sum(s**2),
    "cross entropy": lambda s, x, y, mask: nn.cross_entropy(s, y, mask=mask),
    "squares": lambda s, x, y, mask: nn.mse_loss(s, x, mask=mask),
    "both ends": lambda s, x, y, mask: np.mean(s[-1] ** 2) + np.sum(s[0]),
    "likelihood": lambda s, x, y, mask: nn.nll_loss(tg.log_softmax(s), y),
}


def plain(number: Any) -> Any:
    """The numbers of a result, which is a Tensor where it depends on a layer's own parameters as well."""
    return getattr(number, "value", number)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(list(PARTS)), min_size=1, max_size=3),
    st.sampled_from(list(ENDS)),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.booleans(),
)
def test_any_mixture(parts: list[str], end: str, lengths: list[int], of_the_sequence: bool) -> None:
    def loss(p: Any, x: Any, y: Any, mask: Any, lengths: Any) -> Any:
        s = x
        for part in parts:
            s = PARTS[part](s, p, x, y, mask, lengths)
        return ENDS[end](s, x, y, mask)

    rng = np.random.default_rng(len(parts))
    p = {key: 0.5 * rng.standard_normal((D, D)) for key in "WRE"} | {key: rng.standard_normal(D) for key in "bh"}
    wanted = (0, 1) if of_the_sequence else (0,)
    fast, eager = compile(tg.value_and_grad(loss, wanted)), tg.value_and_grad(loss, wanted)
    for T in lengths:
        mask = rng.random((T, B)) < 0.7
        mask[0] = True
        args = rng.standard_normal((T, B, D)), rng.integers(0, D, (T, B)), mask, rng.integers(1, T + 1, B)
        value, grads = eager(p, *args)
        found, fast_grads = fast(p, *args)
        size = max([1.0, *[float(np.max(np.abs(plain(number)))) for number in (value, *grads[0].values())]])
        assert abs(found - value) <= 1e-12 * size, fast.forms
        for key, g in grads[0].items():
            assert np.max(np.abs(fast_grads[0][key] - g)) <= 1e-12 * size, (key, fast.forms)
        if of_the_sequence:
            assert np.max(np.abs(fast_grads[1] - grads[1])) <= 1e-12 * size, fast.forms
