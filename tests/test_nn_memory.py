"""Networks with a memory against the formulas of their papers in plain loops; every address is a distribution."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.nn import ntm

RNG = np.random.default_rng(12)
D, H, CLASSES, N, WIDTH = 2, 3, 4, 6, 3


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def softplus(z):
    return np.log1p(np.exp(z))


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


# -- addressing, one head at a time -----------------------------------------------------------------------------------
def address_by_hand(k, beta, g, s, gamma, M, w):
    """Equations 5 to 9, cell by cell."""
    n, reach = len(M), len(s) // 2
    cosine = np.array([k @ M[i] / (np.sqrt(k @ k) * np.sqrt(M[i] @ M[i])) for i in range(n)])
    w_c = np.exp(beta * cosine) / np.sum(np.exp(beta * cosine))
    w_g = g * w_c + (1 - g) * w
    w_s = [sum(s[j + reach] * w_g[(i - j) % n] for j in range(-reach, reach + 1)) for i in range(n)]
    return np.array([value**gamma for value in w_s]) / sum(value**gamma for value in w_s)


@pytest.mark.parametrize("shifts", [1, 3, 5])
def test_addressing_equals_the_loops(shifts):
    B, K = 2, 3
    k, M = RNG.normal(size=(B, K, WIDTH)), RNG.normal(size=(B, N, WIDTH))
    beta, gamma = 5 * RNG.random((B, K, 1)), 1 + 3 * RNG.random((B, K, 1))
    g, s = RNG.random((B, K, 1)), RNG.dirichlet(np.ones(shifts), (B, K))
    w = RNG.dirichlet(np.ones(N), (B, K))
    found = ntm.sharpen(ntm.shift(ntm.interpolate(ntm.content(k, beta, M), g, w), s), gamma)
    for b in range(B):
        for h in range(K):
            wanted = address_by_hand(k[b, h], beta[b, h, 0], g[b, h, 0], s[b, h], gamma[b, h, 0], M[b], w[b, h])
            np.testing.assert_allclose(found[b, h], wanted, atol=1e-13)
    np.testing.assert_allclose(np.sum(found, axis=-1), 1.0)


def test_a_sure_shift_moves_a_sure_address_one_cell_on():
    w = np.eye(N)[None, :1]
    np.testing.assert_array_equal(ntm.shift(w, np.array([[[0.0, 0.0, 1.0]]])), np.eye(N)[None, 1:2])
    np.testing.assert_array_equal(ntm.shift(w, np.array([[[1.0, 0.0, 0.0]]])), np.eye(N)[None, -1:])


def test_addressing_has_gradients_where_nothing_stands_yet():
    """An empty memory and weights that are exactly 0 are where every run begins."""
    k, zero = RNG.normal(size=(1, 1, WIDTH)), np.zeros((1, N, WIDTH))
    gradient = tg.grad(lambda M: np.sum(ntm.content(k, np.ones((1, 1, 1)), M)[..., 0]))(zero)
    assert np.all(np.isfinite(gradient))
    w = np.eye(N)[None, :1]
    gradient = tg.grad(lambda w: np.sum(ntm.sharpen(w, np.full((1, 1, 1), 2.5))[..., 0]))(w)
    assert np.all(np.isfinite(gradient))


# -- the whole machine ------------------------------------------------------------------------------------------------
def machine(**options):
    nn.manual_seed(6)
    return nn.NTM(D, H, CLASSES, N, WIDTH, **options)


def run_by_hand(net, x):
    """o and w for one sequence, in loops over heads and cells, as the paper has it; controller "feedforward"."""
    p = {key: value.value for key, value in net.named_parameters()}
    K, writes = len(p["w_0"]), net.write_heads
    M, w, r, outputs, trace = np.full((N, WIDTH), 1e-6), [softmax(z) for z in p["w_0"]], p["r_0"], [], []
    for t in range(len(x)):
        h = np.tanh(p["controller.U"] @ np.concatenate([x[t], r]) + p["controller.b"])
        z = {key: p[f"W_{key}"] @ h + p[f"b_{key}"] for key in "kbgsyea"}
        w = [
            address_by_hand(
                np.tanh(z["k"][n * WIDTH : (n + 1) * WIDTH]),
                softplus(z["b"][n]),
                sigmoid(z["g"][n]),
                softmax(z["s"][3 * n : 3 * n + 3]),
                1 + softplus(z["y"][n]),
                M,
                w[n],
            )
            for n in range(K)
        ]
        e, a = sigmoid(z["e"]).reshape(writes, WIDTH), np.tanh(z["a"]).reshape(writes, WIDTH)
        erased = M * np.prod([1 - np.outer(w[n], e[n]) for n in range(writes)], axis=0)
        M = erased + sum(np.outer(w[n], a[n]) for n in range(writes))
        r = np.concatenate([w[n] @ M for n in range(writes, K)])
        outputs.append(p["c"] + p["V"] @ h + p["V_r"] @ r)
        trace.append(w)
    return np.array(outputs), np.array(trace), M


@pytest.mark.parametrize("heads", [(1, 1), (2, 1), (1, 2), (3, 2)], ids=str)
def test_machine_equals_the_paper_step_by_step(heads):
    net, x = machine(controller="feedforward", read_heads=heads[0], write_heads=heads[1]), RNG.normal(size=(5, 2, D))
    o, state, w = net(x, trace=True)
    alone, _ = net(x[:, 1])
    for b in range(2):
        outputs, trace, M = run_by_hand(net, x[:, b])
        np.testing.assert_allclose(o.numpy()[:, b], outputs, atol=1e-12)
        np.testing.assert_allclose(w.numpy()[:, b], trace, atol=1e-12)
        np.testing.assert_allclose(state.M.numpy()[b], M, atol=1e-12)
    np.testing.assert_allclose(alone.numpy(), o.numpy()[:, 1], atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("controller", ntm.CONTROLLERS)
def test_gradients_of_every_controller_equal_the_complex_step(controller):
    net, x = machine(controller=controller), RNG.normal(size=(3, 2, D))
    assert tg.check_grads(lambda x: net(x)[0], x, order=1)
    for key in ("W_k", "b_b", "W_g", "b_s", "W_y", "W_e", "W_a", "V_r", "w_0", "r_0"):
        assert tg.check_grads(lambda value, key=key: with_leaf(net, key, value, x), getattr(net, key).value, order=1), (
            key
        )


def with_leaf(net, key, leaf, x):
    """The answer with another leaf as one of the parameters."""
    before = getattr(net, key)
    setattr(net, key, leaf)
    o, _ = net(x)
    setattr(net, key, before)
    return o


def test_a_run_can_be_cut_and_continued():
    net, x = machine(), RNG.normal(size=(6, 2, D))
    whole, _ = net(x)
    first, state = net(x[:4])
    second, _ = net(x[4:], state)
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()]), whole.numpy(), atol=1e-14)


def test_steps_of_the_machine_fold_into_one_recurrence():
    net = machine()
    equations = str(tg.fold(np.sum(net(RNG.normal(size=(6, 2, D)))[0])))
    assert "M[t] = " in equations and "ntm.w[t] = " in equations


# -- the memory that is only read -------------------------------------------------------------------------------------
@pytest.mark.parametrize("hops", [1, 3])
def test_memory_network_equals_its_loops(hops):
    net = nn.MemoryNetwork(D, WIDTH, H, CLASSES, hops)
    x, m = RNG.normal(size=(2, D)), RNG.normal(size=(N, 2, WIDTH))
    o, weights = net(x, m)
    A, B, C, V, c = (getattr(net, key).value for key in "ABCVc")
    for b in range(2):
        u = B @ x[b]
        for t in range(hops):
            p = softmax(np.array([u @ (A @ m[s, b]) for s in range(N)]))
            u = u + sum(p[s] * (C @ m[s, b]) for s in range(N))
            np.testing.assert_allclose(weights.numpy()[t, :, b], p, atol=1e-13)
        np.testing.assert_allclose(o.numpy()[b], c + V @ u, atol=1e-13)


def test_what_is_told_where_to_look_costs_the_weight_that_is_missing():
    net, q = nn.MemoryNetwork(D, WIDTH, H, CLASSES, hops=2), np.eye(N)[[4, 1]]
    x, m = RNG.normal(size=D), RNG.normal(size=(N, WIDTH))
    _, p = net(x, m)
    told, free = net.loss(x, m, 2, q).item(), net.loss(x, m, 2).item()
    assert told - free == pytest.approx(-np.log(p.numpy()[0, 4]) - np.log(p.numpy()[1, 1]), abs=1e-13)
    assert tg.check_grads(lambda x, m: net.loss(x, m, 2, q), x, m, order=2)


@pytest.mark.slow
def test_a_network_that_is_told_learns_to_follow_a_chain_of_two_facts():
    """Cell "i leads to j" holds two one-hot halves; the question is i, the answer where two readings lead."""
    nn.manual_seed(0)
    rng, n = np.random.default_rng(0), 4
    net = nn.MemoryNetwork(n, 2 * n, 16, n, hops=2)
    optimizer, right = tg.train.Adam(net.parameters(), lr=0.02), []
    for _ in range(400):
        leads = np.array([rng.permutation(n) for _ in range(16)])
        m = np.concatenate([np.tile(np.eye(n)[:, None], (1, 16, 1)), np.eye(n)[leads.T]], axis=-1)
        asked = rng.integers(0, n, 16)
        first = leads[np.arange(16), asked]
        y = leads[np.arange(16), first]
        q = np.stack([np.eye(n)[asked].T, np.eye(n)[first].T])
        loss = np.mean(net.loss(np.eye(n)[asked], m, y, q))
        optimizer.step(tg.gradients(loss, list(net.parameters())))
        right.append(np.mean(np.argmax(net(np.eye(n)[asked], m)[0].value, axis=-1) == y))
    assert np.mean(right[-20:]) > 0.98 and np.mean(right[:20]) < 0.5


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: machine(controller="brain"), "controller is 'lstm', 'rnn', 'feedforward', not 'brain'"),
        (lambda: machine(read_heads=0), "needs a head that reads"),
        (lambda: machine(shifts=4), "an odd number of shifts"),
        (lambda: machine()(np.ones((3, 2, D + 1))), r"x has shape \(3, 2, 3\), but has to be \(T, B, 2\) or \(T, 2\)"),
        (lambda: nn.MemoryNetwork(D, WIDTH, H, CLASSES, hops=0), "hops is at least 1"),
        (lambda: nn.MemoryNetwork(D, WIDTH, H, CLASSES)(np.ones(D), np.ones((N, 2))), r"m has to have shape \(S, 3\)"),
        (lambda: nn.MemoryNetwork(D, WIDTH, H, CLASSES).loss(np.ones(D), np.ones((N, WIDTH)), 0, np.ones(N)), "q has"),
    ],
)
def test_what_does_not_fit_is_told(call, told):
    with pytest.raises((tg.ShapeError, tg.GraphError), match=told):
        call()


F32 = np.float32
Y, X = np.array([[1, 2], [0, 1]]), np.ones((3, 2, 3), F32)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GenerativeRNN(3, 4, dtype=F32)(Y),
        lambda: nn.GenerativeRNN(3, 4, dtype=F32).log_likelihood(Y, lengths=[1, 2]),
        lambda: nn.VectorRNN(3, 4, vector="both", dtype=F32)(Y, np.ones((2, 4), F32)),
        lambda: nn.ConditionalRNN(3, 3, 4, dtype=F32)(Y, X),
        lambda: nn.BernoulliStop(nn.GenerativeRNN(3, 4, dtype=F32)).log_likelihood(Y),
        lambda: nn.PredictedLength(3, 4, dtype=F32).log_likelihood(Y),
        lambda: nn.EncoderDecoder(3, 4, 3, dtype=F32)(Y, X, x_lengths=[2, 3]),
        lambda: nn.Seq2Seq(nn.LSTMCell(3, 4, dtype=F32), nn.LSTMCell(3, 4, dtype=F32), 3)(Y, X, x_lengths=[2, 3]),
        lambda: nn.AttentionDecoder(3, 4, 3, dtype=F32)(Y, X)[0],
        lambda: nn.RecursiveNet(3, 4, 2, dtype=F32)(X),
        lambda: nn.TreeLSTM(3, 4, 2, dtype=F32)(X, (("a", "b"), "c")),
        lambda: nn.ChildSumTreeLSTM(3, 4, dtype=F32)(X, [1, 2, -1]),
        lambda: nn.EchoState(3, 5, 2, dtype=F32)(X)[0],
        lambda: nn.MemoryNetwork(3, 2, 4, 5, dtype=F32)(X[0], np.ones((6, 2, 2), F32))[0],
        lambda: nn.NTM(3, 5, 2, 6, 4, dtype=F32)(X)[0],
    ],
)
def test_float32_stays_float32(make):
    assert make().dtype == F32
