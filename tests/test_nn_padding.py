"""Padding is not looked at: whatever stands there, values and gradients are those of each sequence by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

T, B, D, H, C = 5, 4, 2, 3, 3
LENGTHS = np.array([5, 2, 0, 3])
INSIDE = np.arange(T)[:, None] < LENGTHS


@pytest.fixture(autouse=True)
def seeded() -> None:
    nn.manual_seed(3)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


X, Y = normal(T, B, D), np.random.default_rng(1).integers(0, C, (T, B))
LABELS = np.random.default_rng(2).integers(0, C, (2, B))
BROKEN = np.where(INSIDE[..., None], X, np.nan)
NO_LABELS = np.where(INSIDE, Y, -1)


def gradients(net: nn.Module, loss: Any) -> list[np.ndarray]:
    return tg.gradients(loss, list(net.parameters()))


def equal(net: nn.Module, loss: Any, alone: Any) -> None:
    """Value and all gradients of a padded batch are the sums over its sequences."""
    np.testing.assert_allclose(loss.item(), alone.item(), rtol=1e-13)
    for got, wanted in zip(gradients(net, loss), gradients(net, alone), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-13)


# -- layers -----------------------------------------------------------------------------------------------------------
LAYERS: dict[str, Callable[..., Any]] = {
    "RNN": lambda **o: nn.RNN(D, H, **o),
    "RNN relu": lambda **o: nn.RNN(D, H, nonlinearity="relu", **o),
    "LSTM": lambda **o: nn.LSTM(D, H, **o),
    "GRU": lambda **o: nn.GRU(D, H, **o),
    "LSTM two layers": lambda **o: nn.LSTM(D, H, num_layers=2, **o),
    "GRU both directions": lambda **o: nn.GRU(D, H, bidirectional=True, **o),
    "LSTM layer norm": lambda **o: nn.LSTM(D, H, layer_norm=True, **o),
    "Stack": lambda **o: nn.Stack(nn.RNN(D, H, **o), nn.LSTM(H + D, H, **o), skips=True),
    "Recurrent, readout": lambda **o: nn.Recurrent(lambda n: nn.LeakyCell(n, H), D, readout=nn.Linear(H, 2), **o),
}


def states(found: Any) -> list[Any]:
    return [x for part in found for x in states(part)] if isinstance(found, tuple | list) else [found]


def total(output: Any, *last: Any) -> Any:
    return np.sum(output**2) + sum(np.sum(np.sin(s)) for s in states(last))


@pytest.mark.parametrize("x_is", ["data", "a Tensor"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_padded_batch_is_its_sequences_one_by_one(kind: str, x_is: str) -> None:
    layer = LAYERS[kind]()
    x = tg.tensor(BROKEN, name="x") if x_is == "a Tensor" else BROKEN
    output, last = layer(x, lengths=LENGTHS)
    alone: Any = sum(total(*layer(X[:n, b : b + 1])) for b, n in enumerate(LENGTHS) if n)
    equal(layer, total(output, last), alone)
    assert not np.any(output.numpy()[~INSIDE])
    assert not any(np.any(s.numpy()[..., 2, :]) for s in states(last)), "of length 0: states are where they began"
    if isinstance(x, tg.Tensor):
        g = tg.gradients(total(output, last), x)
        assert np.all(np.isfinite(g)) and not np.any(g[~INSIDE]) and np.all(g[INSIDE] != 0)


def in_front() -> tuple[np.ndarray, np.ndarray]:
    """The same sequences with their padding in front, and the mask that says so."""
    x, mask = np.full_like(X, np.nan), INSIDE[::-1]
    for b, n in enumerate(LENGTHS):
        x[T - n :, b] = X[:n, b]
    return x, mask


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [bool, float])
def test_a_mask_says_it_step_by_step_also_in_front(kind: str, dtype: type) -> None:
    layer = LAYERS[kind]()
    x, mask = in_front()
    expected, last = layer(BROKEN, lengths=LENGTHS)
    equal(layer, total(*layer(BROKEN, mask=INSIDE.astype(dtype))), total(expected, last))
    equal(layer, total(*layer(x, mask=mask.astype(dtype))), total(expected, last))


@pytest.mark.parametrize("kind", ["RNN", "GRU both directions"])
def test_a_mask_is_laid_out_as_the_input(kind: str) -> None:
    layer, (x, mask) = LAYERS[kind](batch_first=True), in_front()
    output, _ = layer(np.swapaxes(x, 0, 1), mask=mask.T)
    assert not np.any(output.numpy()[~mask.T]) and np.all(output.numpy()[mask.T] != 0)
    one, _ = layer(x[:, 1], mask=mask[:, 1])
    np.testing.assert_allclose(one.numpy(), output.numpy()[1], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["numpy", "jit"])
def test_a_mask_is_an_argument_of_a_compiled_function(executor: str) -> None:
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
    layer = nn.LSTM(D, H)

    def loss(layer: Any, x: Any, mask: Any) -> Any:
        return np.sum(layer(x, mask=mask)[0] ** 2)

    fast = tg.compile(loss, executor=executor)
    _, mask = in_front()
    for given in (mask, INSIDE, np.ones_like(mask)):
        data = np.where(given[..., None], X, 7.0)
        np.testing.assert_allclose(fast(layer, data, given), loss(layer, data, given).numpy(), rtol=1e-13)


def test_a_layer_answers_once_at_the_end_of_each_sequence() -> None:
    net, (x, mask) = nn.SingleOutput(nn.GRU(D, H), nn.Linear(H, 2)), in_front()
    np.testing.assert_allclose(net(x, mask=mask)[0].numpy(), net(BROKEN, lengths=LENGTHS)[0].numpy(), rtol=1e-13)


# -- encoders, decoders -----------------------------------------------------------------------------------------------
PAIRS: dict[str, Callable[[], Any]] = {
    "EncoderDecoder": lambda: nn.EncoderDecoder(D, H, C),
    "EncoderDecoder initial": lambda: nn.EncoderDecoder(D, H, C, context="both"),
    "Seq2Seq": lambda: nn.Seq2Seq(nn.LSTMCell(D, H), nn.LSTMCell(C, H), C),
    "Seq2Seq input": lambda: nn.Seq2Seq(nn.GRUCell(D, H), nn.RNNCell(C + H, 2), C, context="input"),
    "AttentionDecoder": lambda: nn.AttentionDecoder(D, H, C, decoder_size=4),
    "AttentionDecoder dot": lambda: nn.AttentionDecoder(D, H, C, attention="dot"),
}


@pytest.mark.parametrize("x_is", ["data", "a Tensor"])
@pytest.mark.parametrize("kind", PAIRS)
def test_an_encoder_does_not_look_behind_the_end(kind: str, x_is: str) -> None:
    net, some = PAIRS[kind](), LENGTHS > 0
    x = tg.tensor(BROKEN[:, some], name="x") if x_is == "a Tensor" else BROKEN[:, some]
    loss = np.sum(net.log_likelihood(LABELS[:, some], x, x_lengths=LENGTHS[some]))
    alone: Any = sum(
        np.sum(net.log_likelihood(LABELS[:, b : b + 1], X[:n, b : b + 1])) for b, n in enumerate(LENGTHS) if n
    )
    equal(net, loss, alone)


@pytest.mark.parametrize("kind", PAIRS)
def test_nothing_to_read_leaves_the_encoder_where_it_began(kind: str) -> None:
    net = PAIRS[kind]()
    loss = net.log_likelihood(LABELS, BROKEN, x_lengths=LENGTHS)
    assert np.all(np.isfinite(loss.numpy())) and all(np.all(np.isfinite(g)) for g in gradients(net, np.sum(loss)))
    other = np.where(INSIDE[..., None], X, 3.0)
    np.testing.assert_array_equal(net.log_likelihood(LABELS, other, x_lengths=LENGTHS).numpy(), loss.numpy())
    if "Attention" in kind:
        _, alpha = net(LABELS, BROKEN, x_lengths=LENGTHS)
        assert not np.any(alpha.numpy()[:, ~INSIDE]) and np.allclose(alpha.numpy().sum(axis=1), LENGTHS > 0)


@pytest.mark.parametrize("attention", [nn.AdditiveAttention(H, D, 4), nn.DotAttention()], ids=["additive", "dot"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_attention_to_padding_alone_is_none(attention: Any, dtype: type) -> None:
    attention = nn.AdditiveAttention(D, D, 4, dtype) if type(attention) is nn.AdditiveAttention else attention
    keys, query = tg.tensor(BROKEN.astype(dtype)), tg.tensor(normal(B, D).astype(dtype))
    C, alpha = attention(query, keys, inside=INSIDE)
    assert not np.any(alpha.numpy()[~INSIDE]) and not np.any(C.numpy()[2])
    np.testing.assert_allclose(alpha.numpy().sum(axis=0), LENGTHS > 0, rtol=1e-2 if dtype == np.float16 else 1e-6)
    for b, n in enumerate(LENGTHS):
        if n and dtype == np.float64:
            own, _ = attention(query.numpy()[b : b + 1], X[:n, b : b + 1])
            np.testing.assert_allclose(C.numpy()[b], own.numpy()[0], rtol=1e-12)
    for g in tg.gradients(np.sum(C**2), [keys, query, *attention.parameters()]):
        assert np.all(np.isfinite(g))


# -- labels -----------------------------------------------------------------------------------------------------------
WRITERS: dict[str, Callable[[], Any]] = {
    "GenerativeRNN": lambda: nn.GenerativeRNN(C, H),
    "ConditionalRNN": lambda: nn.ConditionalRNN(D, C, H),
    "EndSymbol": lambda: nn.EndSymbol(nn.GenerativeRNN(C + 1, H)),
    "BernoulliStop": lambda: nn.BernoulliStop(nn.GenerativeRNN(C, H)),
    "BernoulliStop conditional": lambda: nn.BernoulliStop(nn.ConditionalRNN(D, C, H)),
    "PredictedLength": lambda: nn.PredictedLength(C, H),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_labels_behind_the_end_are_read_by_nobody(kind: str) -> None:
    net, least = WRITERS[kind](), int("Stop" in kind or "Length" in kind)
    some = least <= LENGTHS
    x, own = (BROKEN, X) if "onditional" in kind else (None, None)
    given = (NO_LABELS[:, some], None if x is None else x[:, some])
    found = net.log_likelihood(*given, lengths=LENGTHS[some])

    def one(b: int, n: int) -> Any:
        part = None if own is None else own[:n, b : b + 1]
        return np.sum(net.log_likelihood(Y[:n, b : b + 1], part, lengths=LENGTHS[b : b + 1]))

    alone: Any = sum(one(b, n) for b, n in enumerate(LENGTHS) if n)
    if kind == "EndSymbol":  # to end at once is a prediction as well
        alone = alone + found[2]
    equal(net, np.sum(found), alone)
    if not least and kind != "EndSymbol":
        assert found.numpy()[2] == 0.0


def test_a_sequence_of_no_labels_is_an_error_where_there_is_none() -> None:
    for kind in ("BernoulliStop", "PredictedLength"):
        with pytest.raises(tg.GraphError, match="lengths run from 0 to 5, but have to be from 1 to 5"):
            WRITERS[kind]().log_likelihood(NO_LABELS, lengths=LENGTHS)


# -- losses -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("compiled", [False, True])
def test_classes_behind_a_mask_are_no_classes(loss: str, compiled: bool) -> None:
    f, z = getattr(nn, loss), normal(T, B, C)
    logits = tg.tensor(np.where(INSIDE[..., None], z, np.nan))
    value = (tg.compile(f) if compiled else f)(logits if not compiled else logits.numpy(), NO_LABELS, INSIDE)
    expected = f(z[INSIDE], Y[INSIDE])
    np.testing.assert_allclose(np.asarray(plain(value)), expected, rtol=1e-13)
    if not compiled:
        g = tg.gradients(value, logits)
        assert np.all(np.isfinite(g)) and not np.any(g[~INSIDE])


def plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, tg.Tensor) else x


# -- what does not fit ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("call", "told"), [
    (lambda: nn.RNN(D, H)(X, mask=INSIDE.T), r"RNN: the mask has shape \(4, 5\), but has to be \(5, 4\)"),
    (lambda: nn.RNN(D, H)(X, mask=INSIDE * 0.5), "the mask holds truth values, or 0 and 1, not 0.5"),
    (lambda: nn.RNN(D, H)(X, mask=INSIDE.astype(str)), "the mask holds truth values"),
    (lambda: nn.RNN(D, H)(X, mask=INSIDE, lengths=LENGTHS), "lengths or mask, not both"),
    (lambda: nn.EncoderDecoder(D, H, C)(LABELS, X, x_lengths=[9] * B), "x_lengths run from 9 to 9, .* from 0 to 5"),
    (lambda: nn.Seq2Seq(nn.RNNCell(D, H), nn.RNNCell(C, H), C)(LABELS, X, x_lengths=[9]), r"x_lengths have shape \(1,"),
    (lambda: nn.AttentionDecoder(D, H, C)(LABELS, X, x_lengths=[1.0] * B), "x_lengths are whole numbers"),
])  # fmt: skip
def test_what_does_not_fit_is_told(call: Callable[[], Any], told: str) -> None:
    with pytest.raises((tg.ShapeError, tg.GraphError, tg.DtypeError), match=told):
        call()
