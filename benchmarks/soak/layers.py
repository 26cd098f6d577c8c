"""Random use of layers: padding, masks, empty sequences, options; against torch, and against each sequence alone."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks.soak import scripts
from benchmarks.soak.judging import Tally
from tinygrad_rnn import nn

CELLS: dict[str, Callable[[int, int], Any]] = {
    "RNN": nn.RNNCell,
    "LSTM": nn.LSTMCell,
    "GRU": nn.GRUCell,
    "peephole": nn.PeepholeLSTMCell,
    "coupled": nn.CoupledLSTMCell,
    "no forget gate": nn.NoForgetLSTMCell,
    "concatenated": nn.ConcatenatedLSTMCell,
    "layer norm": nn.LayerNormLSTMCell,
    "leaky": nn.LeakyCell,
}


def compare(seed: str, tally: Tally) -> None:
    """One layer, one batch, one way to say where its sequences run."""
    rng = Random(f"layer-{seed}")
    kind = rng.choice((_torch_layer, _torch_layer, _any_cell, _pairs, _loss, _compiled))
    asked: dict[str, Any] = {}
    try:
        got, right, moved = kind(rng, asked)
    except tg.TinygradError as error:
        tally.count(kind.__name__[1:], "refused")
        tally.find("refused", seed, f"{scripts.reason(error)} {error}", str(asked))
        return
    except Exception as error:
        tally.count(kind.__name__[1:], "RAISES")
        tally.find("raises", seed, f"{type(error).__name__}: {error}", str(asked))
        return
    said = scripts.disagreement(got, right, moved, 2.0**-52)
    tally.count(kind.__name__[1:], "DISAGREE" if said and said != "ill" else said or "agree")
    if said and said != "ill":
        tally.find(f"{kind.__name__[1:]} is wrong", seed, said, str(asked))


# -- where sequences run ----------------------------------------------------------------------------------------------
def _running(rng: Random, T: int, B: int) -> tuple[str, np.ndarray]:
    """How it is said, and which steps of which sequence run."""
    how = rng.choice(("all", "lengths", "lengths", "mask", "front"))
    lengths = [rng.choice((0, rng.randint(0, T), rng.randint(0, T), T)) for _ in range(B)]
    if how == "all":
        lengths = [T] * B
    runs = np.arange(T)[:, None] < np.array(lengths)
    if how == "front":
        runs = runs[::-1]
    if how == "mask" and rng.random() < 0.5:
        runs = np.array([[rng.random() < 0.6 for _ in range(B)] for _ in range(T)])
    return how, runs


def _said(rng: Random, how: str, runs: np.ndarray, batch_first: bool = False) -> dict[str, Any]:
    if how == "all":
        return {}
    if how == "lengths":
        lengths = runs.sum(axis=0)
        return {"lengths": rng.choice((lengths, lengths.tolist()))}
    mask = runs.T if batch_first else runs
    return {"mask": rng.choice((mask, mask.astype(float), mask.astype(int)))}


def _padded(x: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """What is not to be read is nan."""
    return np.where(runs[..., None], x, np.nan)


# -- torch's three ----------------------------------------------------------------------------------------------------
def _torch_layer(rng: Random, asked: dict[str, Any]) -> tuple[Any, Any, Any]:
    import torch

    name = rng.choice(("RNN", "LSTM", "GRU"))
    T, B, D, H = rng.choice((1, 2, 3, 6)), rng.choice((1, 2, 3)), rng.choice((1, 2, 3)), rng.choice((1, 2, 4))
    options: dict[str, Any] = {
        "num_layers": rng.choice((1, 1, 2)),
        "bias": rng.random() < 0.8,
        "batch_first": rng.random() < 0.3,
        "bidirectional": rng.random() < 0.4,
    }
    if name == "RNN":
        options["nonlinearity"] = rng.choice(("tanh", "relu"))
    if name == "LSTM" and H > 1 and rng.random() < 0.4:
        options["proj_size"] = rng.randint(1, H - 1)
    how, runs = _running(rng, T, B)
    torch.manual_seed(rng.randrange(10**6))
    theirs = getattr(torch.nn, name)(D, H, dtype=torch.float64, **options)
    ours = getattr(nn, name)(D, H, **options)
    ours.load_torch({key: value.detach().numpy() for key, value in theirs.state_dict().items()})
    data = np.random.default_rng(rng.randrange(10**6))
    x = data.normal(size=(T, B, D))
    layers, P = options["num_layers"] * (1 + options["bidirectional"]), options.get("proj_size", 0) or H
    states = [data.normal(size=(layers, B, P)), data.normal(size=(layers, B, H))][: 2 if name == "LSTM" else 1]
    given = rng.random() < 0.5
    said = _said(rng, how, runs, options["batch_first"])
    asked.update(name=name, T=T, B=B, D=D, H=H, options=options, how=how, runs=runs.astype(int).tolist(), given=given)
    weight = np.cos(np.arange(T * B * P * (1 + options["bidirectional"]))).reshape(T, B, -1)

    def loss(layer: Any, x: Any, states: list[Any]) -> Any:
        hx = (states[0] if len(states) == 1 else tuple(states)) if given else None
        output, last = layer(x.swapaxes(0, 1) if options["batch_first"] else x, hx, **said)
        output = output.swapaxes(0, 1) if options["batch_first"] else output
        last = last if isinstance(last, tuple) else (last,)
        return np.sum(output * weight) + sum(np.sum(np.sin(state)) for state in last)

    value, gradients = tg.value_and_grad(loss, argnums=(0, 1, 2))(ours, _padded(x, runs), states)
    right = _alone_in_torch(theirs, x, states, runs, weight, given, options)
    moved = _alone_in_torch(theirs, x * (1 + scripts.NOISE), states, runs, weight, given, options)
    named = type(ours)(D, H, **options)
    got = [value, gradients[0], gradients[1], gradients[2] if given else []]
    return got, _by_name(right, named, given), _by_name(moved, named, given)


def _by_name(result: Any, layer: Any, given: bool) -> Any:
    """torch's gradients of weights under our names: as if they were weights."""
    value, weights, dx, dstates = result
    inner = {key: value for key, value in weights.items() if "bias_hh" not in key}
    for key, gradient in weights.items():
        if "bias_hh" in key:  # the gradient of a sum of biases is that of either one
            rest = np.zeros_like(gradient)
            if isinstance(layer, nn.GRU):
                third = len(gradient) // 3
                rest[2 * third :] = gradient[2 * third :]
            inner[key] = rest
    layer.load_torch(inner)
    return [value, {name: p.value for name, p in layer.named_parameters()}, dx, dstates if given else []]


def _alone_in_torch(
    layer: Any, x: np.ndarray, states: list[np.ndarray], runs: np.ndarray, weight: np.ndarray, given: bool, options: Any
) -> Any:
    """Each sequence by itself, with the steps at which it runs; an empty one gives its first states."""
    import torch

    x_leaf = torch.tensor(x, requires_grad=True)
    leaves = [torch.tensor(state, requires_grad=True) for state in states]
    total = torch.zeros((), dtype=torch.float64)
    for b in range(x.shape[1]):
        steps = np.flatnonzero(runs[:, b])
        begin = [(leaf if given else torch.zeros_like(leaf))[:, b : b + 1].contiguous() for leaf in leaves]
        last: Any = begin
        if len(steps):
            part = x_leaf[torch.from_numpy(steps), b : b + 1]
            hx = begin[0] if len(begin) == 1 else tuple(begin)
            output, last = layer(part.swapaxes(0, 1) if options["batch_first"] else part, hx)
            output = output.swapaxes(0, 1) if options["batch_first"] else output
            total = total + (output[:, 0] * torch.from_numpy(weight[steps, b])).sum()
            last = last if isinstance(last, tuple) else (last,)
        total = total + sum(torch.sin(state).sum() for state in last)
    parameters = list(layer.named_parameters())
    everything = [p for _, p in parameters] + [x_leaf, *leaves]
    if not total.requires_grad:
        found = [None] * len(everything)
    else:
        found = torch.autograd.grad(total, everything, allow_unused=True)
    arrays = [np.zeros(tuple(p.shape)) if g is None else g.numpy() for p, g in zip(everything, found, strict=True)]
    count = len(parameters)
    return (
        total.item(),
        {name: array for (name, _), array in zip(parameters, arrays, strict=False)},
        arrays[count],
        arrays[count + 1 :],
    )


# -- a batch is its sequences -----------------------------------------------------------------------------------------
def _any_cell(rng: Random, asked: dict[str, Any]) -> tuple[Any, Any, Any]:
    """`Recurrent` of any cell: a padded batch against its sequences alone."""
    name, T, B, D = rng.choice(sorted(CELLS)), rng.choice((1, 2, 3, 6)), rng.choice((1, 2, 3)), rng.choice((1, 2, 3))
    H = rng.choice((2, 3))
    options = {"num_layers": rng.choice((1, 2)), "bidirectional": rng.random() < 0.4}
    how, runs = _running(rng, T, B)
    asked.update(cell=name, T=T, B=B, D=D, options=options, how=how, runs=runs.astype(int).tolist())
    nn.manual_seed(rng.randrange(10**6))
    layer = nn.Recurrent(lambda n: CELLS[name](n, H), D, **options)
    x = np.random.default_rng(rng.randrange(10**6)).normal(size=(T, B, D))
    said = _said(rng, how, runs)
    weight = np.cos(np.arange(T * B * H * (1 + options["bidirectional"]))).reshape(T, B, -1)

    def batch(layer: Any, x: Any) -> Any:
        output, last = layer(x, **said)
        return np.sum(output * weight) + sum(np.sum(np.sin(s)) for s in (last if isinstance(last, tuple) else (last,)))

    def alone(layer: Any, x: Any) -> Any:
        total: Any = 0.0
        for b in range(B):
            steps = np.flatnonzero(runs[:, b])
            if len(steps):
                output, last = layer(x[steps, b])
                total = total + np.sum(output * weight[steps, b])
                total = total + sum(np.sum(np.sin(s)) for s in (last if isinstance(last, tuple) else (last,)))
        return total if isinstance(total, tg.Tensor) else total + 0.0 * np.sum(x)

    both = {"argnums": (0, 1)}
    right, moved = (tg.value_and_grad(alone, **both)(layer, v) for v in (x, x * (1 + scripts.NOISE)))  # type: ignore[arg-type]
    padded = _padded(x, runs)
    got = tg.value_and_grad(batch, **both)(layer, padded)  # type: ignore[arg-type]
    return got, right, moved


def _compiled(rng: Random, asked: dict[str, Any]) -> tuple[Any, Any, Any]:
    """A compiled layer with lengths or a mask as arguments, called for two batches, against eager code."""
    name, options = rng.choice(sorted(CELLS)), {"num_layers": rng.choice((1, 2)), "bidirectional": rng.random() < 0.3}
    nn.manual_seed(rng.randrange(10**6))
    layer = nn.Recurrent(lambda n: CELLS[name](n, 3), 2, **options)
    word = rng.choice(("lengths", "mask"))
    asked.update(cell=name, options=options, by=word, calls=[])

    def loss(layer: Any, x: Any, where: Any) -> Any:
        output, last = layer(x, **{word: where})
        return np.sum(output**2) + sum(np.sum(np.sin(s)) for s in (last if isinstance(last, tuple) else (last,)))

    eager = tg.value_and_grad(loss, argnums=(0, 1))
    fast = tg.compile(eager)
    fast.chunk = asked["chunk"] = rng.choice((None, 1, 2, 3, 7))
    got, right, moved = [], [], []
    for _ in range(2):
        T, B = rng.choice((1, 2, 5, 9)), rng.choice((1, 2, 3))
        asked["calls"].append((T, B))
        _, runs = _running(rng, T, B)
        x = np.random.default_rng(rng.randrange(10**6)).normal(size=(T, B, 2))
        if word == "lengths":
            runs = np.arange(T)[:, None] < runs.sum(axis=0)
        where = runs.sum(axis=0) if word == "lengths" else runs.astype(float)
        padded = _padded(x, runs)
        got.append(fast(layer, padded, where))
        right.append(eager(layer, padded, where))
        moved.append(eager(layer, padded * (1 + scripts.NOISE), where))
    return got, right, moved


def _pairs(rng: Random, asked: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Encoder and decoder: log-likelihoods of a padded batch against those of its pairs alone."""
    S, T, B, D, K = rng.choice((1, 2, 5)), rng.choice((1, 2, 4)), rng.choice((1, 2, 3)), 2, 4
    kind = rng.choice(("EncoderDecoder", "Seq2Seq", "AttentionDecoder"))
    context = rng.choice(("input", "initial", "both"))
    nn.manual_seed(rng.randrange(10**6))
    if kind == "EncoderDecoder":
        model: Any = nn.EncoderDecoder(D, 3, output_size=K, context=context)
    elif kind == "Seq2Seq":
        cell = CELLS[rng.choice(("RNN", "LSTM", "GRU"))]
        model = nn.Seq2Seq(cell(D, 3), cell(K + (0 if context == "initial" else 3), 3), output_size=K, context=context)
    else:
        model = nn.AttentionDecoder(D, 3, output_size=K, attention=rng.choice(("additive", "dot")))
    lengths = [rng.randint(0 if rng.random() < 0.3 else 1, S) for _ in range(B)]
    asked.update(kind=kind, context=context, S=S, T=T, B=B, lengths=lengths)
    data = np.random.default_rng(rng.randrange(10**6))
    x, y = data.normal(size=(S, B, D)), data.integers(0, K, (T, B))
    padded = _padded(x, np.arange(S)[:, None] < np.array(lengths))
    weight = np.cos(np.arange(B))

    def batch(model: Any, x: Any) -> Any:
        return np.sum(model.log_likelihood(y, x, x_lengths=lengths) * weight)

    def alone(model: Any, x: Any) -> Any:
        total: Any = 0.0
        for b, length in enumerate(lengths):
            one = slice(b, b + 1)
            empty = {"x_lengths": [0]} if not length else {}
            said = model.log_likelihood(y[:, one], x[: length or 1, one], **empty)
            total = total + np.sum(said * weight[b])
        return total

    right, moved = (tg.value_and_grad(alone, argnums=(0, 1))(model, v) for v in (x, x * (1 + scripts.NOISE)))
    return tg.value_and_grad(batch, argnums=(0, 1))(model, padded), right, moved


def _loss(rng: Random, asked: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Masked losses, nan where the mask is 0, against torch's of the selected ones."""
    import torch

    functional = torch.nn.functional
    T, B, K = rng.choice((1, 2, 4)), rng.choice((1, 2, 3)), rng.choice((1, 3))
    name = rng.choice(("mse_loss", "cross_entropy", "nll_loss", "binary_cross_entropy_with_logits"))
    reduction = rng.choice(("mean", "sum", "none"))
    data = np.random.default_rng(rng.randrange(10**6))
    mask = data.random((T, B)) < 0.6
    if not mask.any():
        mask[0, 0] = True
    outputs = data.normal(size=(T, B, K))
    labels = name in ("cross_entropy", "nll_loss")
    targets = data.integers(0, K, (T, B)) if labels else data.random(size=(T, B, K))
    padded = np.where(mask[..., None], outputs, np.nan)
    said = rng.choice((mask, mask.astype(float)))
    theirs = getattr(functional, name)
    asked.update(name=name, T=T, B=B, K=K, reduction=reduction, mask=mask.astype(int).tolist())

    def ours(outputs: Any) -> Any:
        made = getattr(nn, name)(outputs, targets, mask=said, reduction=reduction)
        return np.sum(np.sin(made)) if reduction == "none" else made

    def right(outputs: np.ndarray) -> Any:
        leaf = torch.tensor(outputs, requires_grad=True)
        chosen = torch.from_numpy(mask)
        value = theirs(leaf[chosen], torch.from_numpy(targets)[chosen], reduction=reduction)
        if reduction == "none":
            value = torch.sin(value).sum()
        value.backward()
        return [value.item(), leaf.grad.numpy()]

    return tg.value_and_grad(ours)(padded), right(outputs), right(outputs * (1 + scripts.NOISE))
