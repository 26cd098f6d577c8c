"""Networks that read their own labels: probabilities add up to 1, whatever they are given and however they end."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn

CLASSES, T, H, D = 3, 3, 4, 2


def all_sequences(n: int, classes: int = CLASSES) -> np.ndarray:
    """Every sequence of n labels, as columns."""
    return np.array(list(product(range(classes), repeat=n)), int).reshape(classes**n, n).T


ALL = all_sequences(T)
RNG = np.random.default_rng(11)
VECTOR = np.tile(RNG.normal(size=D), (ALL.shape[1], 1))
STATE = np.tile(RNG.normal(size=H), (ALL.shape[1], 1))
SEQUENCE = np.tile(RNG.normal(size=(T, 1, D)), (1, ALL.shape[1], 1))
SOURCE = np.tile(RNG.normal(size=(5, 1, D)), (1, ALL.shape[1], 1))


def models():
    nn.manual_seed(2)
    return {
        "nothing": (nn.GenerativeRNN(CLASSES, H), None),
        "nothing, without a state": (nn.FullyConnected(CLASSES, 9), None),
        "vector at each step": (nn.VectorRNN(CLASSES, H, D, "input", start=2), VECTOR),
        "vector as initial state": (nn.VectorRNN(CLASSES, H, vector="initial"), STATE),
        "vector as both": (nn.VectorRNN(CLASSES, H, vector="both"), STATE),
        "sequence": (nn.ConditionalRNN(D, CLASSES, H), SEQUENCE),
        "encoder, context at each step": (nn.EncoderDecoder(D, 5, CLASSES, H, "input"), SOURCE),
        "encoder, context as initial state": (nn.EncoderDecoder(D, H, CLASSES, context="initial"), SOURCE),
        "encoder, context as both": (nn.EncoderDecoder(D, H, CLASSES, context="both"), SOURCE),
        "LSTM encoder and decoder": (
            nn.Seq2Seq(nn.LSTMCell(D, H), nn.LSTMCell(CLASSES + H, H), CLASSES, "both"),
            SOURCE,
        ),
        "GRU encoder, LSTM decoder": (
            nn.Seq2Seq(nn.GRUCell(D, 5), nn.LSTMCell(CLASSES + 5, H), CLASSES, "input"),
            SOURCE,
        ),
        "additive attention": (nn.AttentionDecoder(D, 5, CLASSES, H), SOURCE),
        "dot attention": (nn.AttentionDecoder(D, H, CLASSES, attention="dot"), SOURCE),
    }


MODELS = models()


def part(x, columns):
    """What some of the sequences are given: a vector each, or a column each of a sequence."""
    return None if x is None else x[columns] if x.ndim == 2 else x[:, columns]


every_model = pytest.mark.parametrize("kind", MODELS)


@every_model
def test_probabilities_of_all_sequences_add_up_to_one(kind):
    model, x = MODELS[kind]
    assert np.sum(np.exp(model.log_likelihood(ALL, x).numpy())) == pytest.approx(1.0, abs=1e-12)


@every_model
def test_a_single_sequence_is_a_batch_of_one(kind):
    model, x = MODELS[kind]
    every = model.log_likelihood(ALL, x).numpy()
    alone = part(x, 0)
    assert model.log_likelihood(ALL[:, 7], alone).item() == pytest.approx(every[7], abs=1e-13)


@every_model
def test_what_stands_behind_the_length_is_read_by_nobody(kind):
    model, x = MODELS[kind]
    lengths = np.resize([1, 2, 3], ALL.shape[1])
    cut = model.log_likelihood(ALL, x, lengths).numpy()
    for n in (1, 2, 3):
        own = lengths == n
        given = part(x, own)
        given = given[:n] if kind == "sequence" else given
        np.testing.assert_allclose(cut[own], model.log_likelihood(ALL[:n, own], given).numpy(), atol=1e-13)


@pytest.mark.slow
@every_model
def test_gradients_equal_the_complex_step(kind):
    model, x = MODELS[kind]
    names = [key for key, _ in model.named_parameters()]

    def likelihood(*values):
        parameters = dict(model.named_parameters())
        for key, value in zip(names, values, strict=True):
            swap(model, key, value)
        result = model.log_likelihood(ALL[:, :4], part(x, slice(4)))
        for key in names:
            swap(model, key, parameters[key])
        return result

    assert tg.check_grads(likelihood, *[p.value for p in model.parameters()], order=1)


def swap(module, key, leaf):
    """Put another leaf where a dotted name says."""
    *path, last = key.split(".")
    for part in path:
        module = module[int(part)] if part.isdigit() else getattr(module, part)
    if last.isdigit():
        module[int(last)] = leaf
    else:
        setattr(module, last, leaf)


@pytest.mark.parametrize("kind", [kind for kind in MODELS if not re.search("coder|attention|without", kind)])
def test_steps_fold_into_one_recurrence(kind):
    model, x = MODELS[kind]
    y = np.tile(ALL[:, :2], (3, 1))
    x = None if x is None else x[:2] if x.ndim == 2 else np.tile(x, (3, 1, 1))[:, :2]
    equations = str(tg.fold(np.sum(model.log_likelihood(y, x))))
    assert "h[t] = tanh(" in equations and "onehot(" in equations


@every_model
def test_samples_follow_the_probabilities(kind):
    model, x = MODELS[kind]
    n = 2000
    nn.manual_seed(5)
    given = part(x, np.zeros(n, int))
    drawn = model.sample(2, given, batch=n)
    counts = np.bincount(drawn[0] * CLASSES + drawn[1], minlength=CLASSES**2)
    short = part(x, slice(9))
    expected = n * np.exp(model.log_likelihood(all_sequences(2), short[:2] if kind == "sequence" else short).numpy())
    assert np.sum((counts - expected) ** 2 / expected) < 26.1  # chi-squared, 8 degrees of freedom, 1 in 1000


@every_model
def test_greedy_takes_the_most_likely_label_at_each_step(kind):
    model, x = MODELS[kind]
    y = model.greedy(T, part(x, slice(1)), batch=1)
    o = model(y, part(x, slice(1)))
    o = o[0] if isinstance(o, tuple) else o
    np.testing.assert_array_equal(np.argmax(o.numpy(), axis=-1), y)


def test_generative_equations_are_those_of_the_page():
    model = nn.GenerativeRNN(CLASSES, H)
    W, U, b, V, c = (getattr(model, key).value for key in ("W", "U", "b", "V", "c"))
    h, before, total = np.zeros(H), 0, 0.0
    for y in (2, 1, 1):
        h = np.tanh(b + W @ h + U @ np.eye(CLASSES)[before])
        p = np.exp(c + V @ h)
        total, before = total + np.log(p[y] / p.sum()), y
    assert model.log_likelihood(np.array([2, 1, 1])).item() == pytest.approx(total, abs=1e-14)


def test_without_a_state_every_label_acts_on_every_later_one():
    model = nn.FullyConnected(CLASSES, T)
    o = model(np.array([2, 0, 1])).numpy()
    columns = [[W.value for W in row] for row in model.W]
    np.testing.assert_allclose(o[2], model.c[2].value + columns[2][0][:, 2] + columns[2][1][:, 0])
    np.testing.assert_allclose(o[0], model.c[0].value)


def test_the_vector_receives_its_gradient():
    for vector in ("input", "initial", "both"):
        model = nn.VectorRNN(CLASSES, H, vector=vector)
        assert tg.check_grads(lambda x, model=model: model.log_likelihood(ALL[:, 5], x), STATE[0], order=2)


# -- when a sequence ends -------------------------------------------------------------------------------------------
def up_to(n: int, classes: int, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Every sequence of `least` to n labels, padded, and the lengths."""
    found = [s for k in range(least, n + 1) for s in all_sequences(k, classes).T]
    y = np.zeros((n, len(found)), int)
    for column, s in enumerate(found):
        y[: len(s), column] = s
    return y, np.array([len(s) for s in found])


def test_end_symbol_sequences_and_survivors_add_up_to_one():
    model = nn.EndSymbol(nn.GenerativeRNN(CLASSES, H))
    y, lengths = up_to(4, CLASSES - 1, 0)
    ended = np.sum(np.exp(model.log_likelihood(y, lengths=lengths).numpy()))
    running = np.sum(np.exp(model.model.log_likelihood(all_sequences(5, CLASSES - 1)).numpy()))
    assert ended < 1.0 and ended + running == pytest.approx(1.0, abs=1e-12)


def test_stop_unit_sequences_and_survivors_add_up_to_one():
    model = nn.BernoulliStop(nn.GenerativeRNN(CLASSES, H))
    y, lengths = up_to(4, CLASSES, 1)
    ended = np.sum(np.exp(model.log_likelihood(y, lengths=lengths).numpy()))
    running, y = 0.0, all_sequences(4)
    survived = np.ones(y.shape[1])
    for turn in model.model.given(y):
        survived *= 1.0 - np.asarray(tg.sigmoid(model.stop(turn.state).value))[:, 0]
    running = np.sum(survived * np.exp(model.model.log_likelihood(y).numpy()))
    assert ended < 1.0 and ended + running == pytest.approx(1.0, abs=1e-12)


def test_predicted_length_sequences_add_up_to_one():
    model = nn.PredictedLength(CLASSES, H, longest=4)
    y, lengths = up_to(4, CLASSES, 1)
    x = np.tile(STATE[:1], (len(lengths), 1))
    likelihoods = model.log_likelihood(y, lengths=lengths, state=x).numpy()
    assert np.sum(np.exp(likelihoods)) == pytest.approx(1.0, abs=1e-12)


def test_predicted_length_costs_half_its_squared_error():
    model = nn.PredictedLength(CLASSES, H, longest=50)
    expected = model.length(STATE[0]).item()
    costs = [-model.log_probability_of_length(n, STATE[0]).item() for n in (1, 2, 7)]
    np.testing.assert_allclose(np.diff(costs), np.diff([(expected - n) ** 2 / 2 for n in (1, 2, 7)]), atol=1e-12)


ENDING = {
    "end symbol": (lambda: nn.EndSymbol(nn.GenerativeRNN(CLASSES, H)), CLASSES - 1, 0),
    "stop unit": (lambda: nn.BernoulliStop(nn.GenerativeRNN(CLASSES, H)), CLASSES, 1),
    "stop unit, LSTM": (
        lambda: nn.BernoulliStop(nn.Seq2Seq(nn.LSTMCell(D, H), nn.LSTMCell(CLASSES, H), CLASSES)), CLASSES, 1
    ),
    "predicted length": (lambda: nn.PredictedLength(CLASSES, H, longest=3), CLASSES, 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDING)
def test_samples_of_every_length_follow_their_probability(kind):
    make, classes, least = ENDING[kind]
    nn.manual_seed(8)
    model = make()
    n = 1500
    x = np.zeros((2, n, D)) if "LSTM" in kind else None
    found = model.draw(batch=n) if kind == "predicted length" else model.sample(3, x, batch=n)
    y, lengths = up_to(2, classes, least)
    given = None if x is None else x[:, : len(lengths)]
    expected = n * np.exp(model.log_likelihood(y, given, lengths).numpy())
    ended = found.ended & (found.lengths <= 2)
    counts = [
        np.sum(ended & (found.lengths == k) & np.all(found.y[:k] == s[:k, None], axis=0))
        for s, k in zip(y.T, lengths, strict=True)
    ]
    counts, expected = np.append(counts, n - np.sum(counts)), np.append(expected, n - np.sum(expected))
    assert np.sum((counts - expected) ** 2 / expected) < 40.0  # chi-squared, at most 12 degrees of freedom


@pytest.mark.parametrize("kind", ENDING)
def test_gradients_of_endings_equal_the_complex_step(kind):
    make, classes, _ = ENDING[kind]
    model = make()
    y, lengths = up_to(2, classes, 1)
    x = np.zeros((2, len(lengths), D)) if "LSTM" in kind else None
    names = [key for key, _ in model.named_parameters()]

    def likelihood(*values):
        before = dict(model.named_parameters())
        for key, value in zip(names, values, strict=True):
            swap(model, key, value)
        result = model.log_likelihood(y, x, lengths)
        for key in names:
            swap(model, key, before[key])
        return result

    assert tg.check_grads(likelihood, *[p.value for p in model.parameters()], order=1)


# -- the source -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [kind for kind in MODELS if "coder" in kind or "attention" in kind])
def test_padding_of_the_source_changes_nothing(kind):
    model, x = MODELS[kind]
    short = model.log_likelihood(ALL[:, :4], x[:3, :4]).numpy()
    padded = np.concatenate([x[:3, :4], 1e3 + np.zeros((4, 4, D))])
    np.testing.assert_allclose(model.log_likelihood(ALL[:, :4], padded, x_lengths=[3] * 4).numpy(), short, atol=1e-13)


@pytest.mark.parametrize("kind", ["additive", "dot"])
def test_attention_equals_its_loops(kind):
    model = nn.AttentionDecoder(D, H, CLASSES, attention=kind)
    x, y = RNG.normal(size=(5, D)), np.array([1, 2, 0])
    o, alpha = model(y, x)
    p = {key.split(".")[-1]: value.value for key, value in model.named_parameters()}
    h, states = np.zeros(H), []
    for s in range(5):
        h = np.tanh(p["b"] + p["W"] @ h + p["U"] @ x[s])
        states.append(h)
    g, before = np.zeros(H), 0
    for t in range(3):
        if kind == "dot":
            e = np.array([sum(g[i] * states[s][i] for i in range(H)) for s in range(5)])
        else:
            e = np.array([p["v"] @ np.tanh(p["W_a"] @ g + p["U_a"] @ states[s]) for s in range(5)])
        a = np.exp(e) / np.exp(e).sum()
        C = sum(a[s] * states[s] for s in range(5))
        g = np.tanh(p["b_g"] + p["W_g"] @ g + p["U_g"] @ np.eye(CLASSES)[before] + p["R"] @ C)
        np.testing.assert_allclose(alpha.numpy()[t], a, atol=1e-13)
        np.testing.assert_allclose(o.numpy()[t], p["c"] + p["V"] @ g, atol=1e-13)
        before = y[t]


def test_padding_gets_no_attention_and_the_rest_adds_up_to_one():
    model, x = MODELS["additive attention"]
    _, alpha = model(ALL[:, :2], x[:, :2], x_lengths=[2, 5])
    assert not np.any(alpha.numpy()[:, 2:, 0]) and np.all(alpha.numpy()[:, :, 1] > 0)
    np.testing.assert_allclose(alpha.numpy().sum(axis=1), 1.0)


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: nn.GenerativeRNN(3, 4, start=3), "start is 3, but labels run from 0 to 2"),
        (lambda: nn.GenerativeRNN(3, 4)(ALL, VECTOR), "reads no x"),
        (lambda: nn.GenerativeRNN(3, 4)(ALL * 0.5), "labels are integers of shape"),
        (lambda: nn.GenerativeRNN(3, 4)(ALL + 1), "labels run from 0 to 2, but one is 1 or 3"),
        (lambda: nn.GenerativeRNN(3, 4).log_likelihood(ALL, lengths=[1, 2]), r"lengths have shape \(2,\)"),
        (lambda: nn.VectorRNN(3, 4, vector="twice"), "vector is 'input', 'initial' or 'both'"),
        (lambda: nn.VectorRNN(3, 4, 2, vector="both"), "an initial state has 4 entries, but input_size is 2"),
        (lambda: nn.VectorRNN(3, 4, 2)(ALL), r"x has to have shape \(27, 2\), but is missing"),
        (lambda: nn.ConditionalRNN(2, 3, 4)(ALL, VECTOR), r"x has to have shape \(steps, 27, 2\)"),
        (lambda: nn.ConditionalRNN(2, 3, 4)(ALL, SEQUENCE[:2]), "x has 2 steps, but step 3 is asked for"),
        (lambda: nn.BernoulliStop(nn.GenerativeRNN(3, 4)).log_likelihood(ALL[:, :2], lengths=[0, 1]), "at least one"),
        (lambda: nn.PredictedLength(3, 4, longest=0), "longest is 0"),
        (lambda: nn.PredictedLength(3, 4)(ALL), "lengths= has to be given"),
        (lambda: nn.PredictedLength(3, 4, longest=2).log_likelihood(ALL), "lengths run from 1 to 2, not 3 to 3"),
        (lambda: nn.FullyConnected(3, 2)(ALL), "it has weights for 2 labels, but step 3 is asked for"),
        (lambda: nn.FullyConnected(3, 0), "longest is 0"),
        (lambda: nn.EncoderDecoder(2, 4, 3, context="none"), "context is 'input', 'initial' or 'both', not 'none'"),
        (lambda: nn.EncoderDecoder(2, 4, 3, 5, context="both"), "needs one size, not 4 and 5"),
        (lambda: nn.Seq2Seq(nn.RNNCell(2, 4), nn.RNNCell(3, 4), 3, "input"), "reads 3 entries, but is given 7"),
        (lambda: nn.Seq2Seq(nn.RNNCell(2, 4), nn.LSTMCell(3, 4), 3), "needs equal sizes"),
        (lambda: nn.Seq2Seq(nn.RNNCell(2, 4), nn.RNNCell(3, 4), 3, "never"), "context is 'input'"),
        (lambda: nn.AttentionDecoder(2, 4, 3, attention="hard"), "attention is 'additive' or 'dot', not 'hard'"),
        (lambda: nn.AttentionDecoder(2, 4, 3, 5, attention="dot"), "needs states of one size, not 4 and 5"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(call, told):
    with pytest.raises((tg.ShapeError, tg.GraphError), match=told):
        call()
