"""Every layer and model that `tinygrad_rnn.nn` exports, with its options: how each is made, what it is given, and how
it runs when it is compiled. The first word of a row is the exported name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn

C = 5  # classes
Data = Callable[[np.random.Generator, int, int, int, int], tuple[Any, ...]]


def total(found: Any) -> Any:
    """Everything a layer returns, as one number."""
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, tuple | list) else None
    if parts is None:
        return np.sum(found * found * np.cos(found)) if found is not None else 0.0
    return sum(total(part) for part in parts)


def called(module: Any, *given: Any) -> Any:
    return total(module(*given))


def scored(module: Any, *given: Any) -> Any:
    return total(module.log_likelihood(*given))


class Row(NamedTuple):
    """make(D, H), data(rng, T, B, D, H), the form expected ("raises" for none), and the loss."""

    make: Callable[[int, int], Any]
    data: Data
    form: str = "folded"
    loss: Callable[..., Any] = called


def x(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (rng.standard_normal((T, B, D)),)


def batch_first(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (rng.standard_normal((B, T, D)),)


def single(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (rng.standard_normal((T, D)),)


def one(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (rng.standard_normal((B, D)),)


def y(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (rng.integers(0, C, (T, B)),)


def states(*shapes: Callable[[int, int], tuple[int, ...]]) -> Data:
    """x, and a state of each shape (of B and H)."""

    def data(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
        given = [rng.standard_normal(shape(B, H)) for shape in shapes]
        return (*x(rng, T, B, D, H), tuple(given) if len(given) > 1 else given[0])

    return data


def lengths(rng: Any, T: int, B: int) -> Any:
    return np.maximum(1, T - rng.integers(0, T, B))


def ending(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (*x(rng, T, B, D, H), None, lengths(rng, T, B))


def grid(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (rng.standard_normal((min(T, 3), 2, B, D)),)


def both(*parts: Data) -> Data:
    """What several give, one after the other."""
    return lambda *sizes: tuple(given for part in parts for given in part(*sizes))


def taught(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    """Labels, and a source that is one step longer."""
    return (*y(rng, T, B, D, H), rng.standard_normal((T + 1, B, D)))


def source_lengths(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (*taught(rng, T, B, D, H), lengths(rng, T + 1, B))


def label_lengths(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (*y(rng, T, B, D, H), None, lengths(rng, T, B))


def vector(size: Callable[[int, int], int]) -> Data:
    return lambda rng, T, B, D, H: (*y(rng, T, B, D, H), rng.standard_normal((B, size(D, H))))


def memory(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return rng.standard_normal((B, D)), rng.standard_normal((T, B, 2))


def some(rng: Any, T: int, B: int) -> Any:
    """A mask that leaves the first entry: an average of nothing is refused, compiled or not."""
    kept = rng.random((T, B)) < 0.7
    kept[0, 0] = True
    return kept


def logits(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (*x(rng, T, B, D, H), rng.integers(0, C, (T, B)), some(rng, T, B))


def targets(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (*x(rng, T, B, D, H), rng.random((T, B, H)), some(rng, T, B))


def some_ignored(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    a, labels, mask = logits(rng, T, B, D, H)
    return a, np.where(some(rng, T, B), labels, -100), mask


def cells(cell: Callable[[int, int], Any], data: Data, **options: Any) -> Row:
    """A cell as a layer."""
    return Row(lambda D, H: nn.Recurrent(lambda n: cell(n, H), D, **options), data)


def stepped(cell: Callable[[int, int], Any], count: int = 1) -> Row:
    """A cell called for one step."""
    shape = tuple((lambda B, H: (B, H)) for _ in range(count))
    return Row(cell, lambda *sizes: (one(*sizes)[0], states(*shape)(*sizes)[1]))


class Reads(nn.Module):
    """A layer and an affine map behind it, or classes looked up in front of it."""

    def __init__(self, layer: Any, size: int, loss: Any = None, embedding: Any = None) -> None:
        self.layer, self.top, self.loss, self.embedding = layer, nn.Linear(layer.output_size, size), loss, embedding

    def forward(self, read: Any, *rest: Any) -> Any:
        read = read if self.embedding is None else self.embedding(read)
        o = self.top(self.layer(read)[0])
        return o if self.loss is None else self.loss(o, rest[0], mask=rest[1])


def attended(module: Any, query: Any, keys: Any, inside: Any) -> Any:
    return total(module(query, keys, None, inside))


def asked(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    inside = (np.arange(T)[:, None] < lengths(rng, T, B)).astype(float)
    return rng.standard_normal((B, H)), rng.standard_normal((T, B, H)), inside


def penalised(module: Any, x: Any) -> Any:
    output, _ = module(x)
    loss = np.sum(output**2)
    return loss + 0.5 * nn.omega(loss)


def with_q(module: Any, x: Any, m: Any, y: Any, q: Any) -> Any:
    return total(module.loss(x, m, y, q))


def told(rng: Any, T: int, B: int, D: int, H: int) -> tuple[Any, ...]:
    return (*memory(rng, T, B, D, H), rng.integers(0, C, B), rng.random((2, T, B)))


def fed(module: Any, x: Any, labels: Any = None) -> Any:
    return total(module(x, labels=labels))


def echoed(module: Any, x: Any, y: Any = None) -> Any:
    return total(module(x, y))


def _h(B: int, H: int) -> tuple[int, ...]:
    return 1, B, H


ROWS: dict[str, Row] = {
    # recurrent layers and the options they share
    "RNN": Row(nn.RNN, x),
    "RNN relu": Row(lambda D, H: nn.RNN(D, H, nonlinearity="relu"), x),
    "RNN without bias": Row(lambda D, H: nn.RNN(D, H, bias=False), x),
    "RNN unbatched": Row(nn.RNN, single),
    "RNN layer norm": Row(lambda D, H: nn.RNN(D, H, layer_norm=True), x),
    "RNN hx": Row(nn.RNN, states(_h)),
    "RNN lengths": Row(nn.RNN, ending),
    "RNN lengths, batch first": Row(
        lambda D, H: nn.RNN(D, H, batch_first=True), lambda *s: (batch_first(*s)[0], *ending(*s)[1:])
    ),
    "RNN both directions, lengths": Row(lambda D, H: nn.RNN(D, H, bidirectional=True), ending),
    "RNN dropout": Row(lambda D, H: nn.RNN(D, H, 2, dropout=0.5), x, "raises"),
    "RNN variational dropout": Row(lambda D, H: nn.RNN(D, H, variational_dropout=0.5), x, "raises"),
    "RNN zoneout": Row(lambda D, H: nn.RNN(D, H, zoneout=0.5), x, "raises"),
    "RNN at rest": Row(
        lambda D, H: nn.RNN(D, H, 2, dropout=0.5, variational_dropout=0.5, zoneout=0.3).eval(), x
    ),
    "LSTM": Row(nn.LSTM, x),
    "LSTM two layers": Row(lambda D, H: nn.LSTM(D, H, num_layers=2), x),
    "LSTM without bias": Row(lambda D, H: nn.LSTM(D, H, bias=False), x),
    "LSTM batch first": Row(lambda D, H: nn.LSTM(D, H, batch_first=True), batch_first),
    "LSTM both directions": Row(lambda D, H: nn.LSTM(D, H, bidirectional=True), x),
    "LSTM unbatched": Row(nn.LSTM, single),
    "LSTM projected": Row(lambda D, H: nn.LSTM(D, H + 1, proj_size=H), x),
    "LSTM forget bias": Row(lambda D, H: nn.LSTM(D, H, forget_bias=1.0), x),
    "LSTM peephole": Row(lambda D, H: nn.LSTM(D, H, peephole=True), x),
    "LSTM full peephole": Row(lambda D, H: nn.LSTM(D, H, peephole="full"), x),
    "LSTM coupled": Row(lambda D, H: nn.LSTM(D, H, coupled=True), x),
    "LSTM coupled, peephole": Row(lambda D, H: nn.LSTM(D, H, coupled=True, peephole=True), x),
    "LSTM of 1997": Row(lambda D, H: nn.LSTM(D, H, forget_gate=False), x),
    "LSTM concatenated": Row(lambda D, H: nn.LSTM(D, H, concatenated=True), x),
    "LSTM layer norm": Row(lambda D, H: nn.LSTM(D, H, layer_norm=True), x),
    "LSTM zoneout at rest": Row(lambda D, H: nn.LSTM(D, H, zoneout=(0.3, 0.1)).eval(), x),
    "LSTM hx": Row(nn.LSTM, states(_h, _h)),
    "LSTM lengths": Row(nn.LSTM, ending),
    "GRU": Row(nn.GRU, x),
    "GRU reset before": Row(lambda D, H: nn.GRU(D, H, reset_after=False), x),
    "GRU z takes": Row(lambda D, H: nn.GRU(D, H, z_keeps=False), x),
    "GRU two layers, both directions": Row(lambda D, H: nn.GRU(D, H, 2, bidirectional=True), x),
    "GRU layer norm": Row(lambda D, H: nn.GRU(D, H, layer_norm=True), x),
    "GRU unbatched": Row(nn.GRU, single),
    "GRU hx, both directions": Row(lambda D, H: nn.GRU(D, H, bidirectional=True), states(lambda B, H: (2, B, H))),
    # cells, for one step
    "RNNCell": stepped(nn.RNNCell), "LSTMCell": stepped(nn.LSTMCell, 2), "GRUCell": stepped(nn.GRUCell),
    "PeepholeLSTMCell": stepped(nn.PeepholeLSTMCell, 2), "CoupledLSTMCell": stepped(nn.CoupledLSTMCell, 2),
    "CoupledPeepholeLSTMCell": stepped(nn.CoupledPeepholeLSTMCell, 2),
    "FullPeepholeLSTMCell": stepped(nn.FullPeepholeLSTMCell, 2),
    "NoForgetLSTMCell": stepped(nn.NoForgetLSTMCell, 2), "ConcatenatedLSTMCell": stepped(nn.ConcatenatedLSTMCell, 2),
    "LayerNormRNNCell": stepped(nn.LayerNormRNNCell), "LayerNormGRUCell": stepped(nn.LayerNormGRUCell),
    "LayerNormLSTMCell": stepped(nn.LayerNormLSTMCell, 2),
    "ProjectedLSTMCell": cells(lambda n, H: nn.ProjectedLSTMCell(n, H + 1, proj_size=H), x),
    "FeedForwardCell": Row(nn.FeedForwardCell, one),
    # any cell as a layer; time scales, depth
    "Recurrent": Row(lambda D, H: nn.Recurrent(lambda n: nn.PeepholeLSTMCell(n, H, o_sees_new=False), D), x),
    "Recurrent readout": Row(lambda D, H: nn.Recurrent(lambda n: nn.RNNCell(n, H), D, readout=nn.Linear(H, 2)), x),
    "DelayCell": cells(lambda n, H: nn.DelayCell(n, H, delay=3), x),
    "DelayCell without short": cells(lambda n, H: nn.DelayCell(n, H, delay=2, short=False), x),
    "LeakyCell": cells(lambda n, H: nn.LeakyCell(n, H, alpha=0.7), x),
    "LeakyCell fixed": cells(lambda n, H: nn.LeakyCell(n, H, alpha=[0.3] * H, learned=False), x, num_layers=2),
    "TauCell": cells(lambda n, H: nn.TauCell(n, H, tau=2.0), x),
    "TauCell inside": cells(lambda n, H: nn.TauCell(n, H, tau=2.0, dt=0.5, inside=True, learned=False), x),
    "ClockworkCell": Row(
        lambda D, H: nn.Recurrent(lambda n: nn.ClockworkCell(n, (H, 2), periods=(1, 2)), D), x, "flat"
    ),
    "DeepTransitionCell": cells(lambda n, H: nn.DeepTransitionCell(n, H, (3,), (2, 3)), x),
    "DeepRNN": Row(lambda D, H: nn.DeepRNN(D, H, 2, (3,), (2,), (3,)), x),
    "DeepRNN skips, batch first": Row(
        lambda D, H: nn.DeepRNN(D, H, 2, (3,), (2,), (3,), skips=True, batch_first=True), batch_first
    ),
    "Stack": Row(lambda D, H: nn.Stack(nn.RNN(D, H), nn.LSTM(H, 2)), x),
    "Stack skips": Row(lambda D, H: nn.Stack(nn.RNN(D, H), nn.GRU(H + D, 2), skips=True), x),
    "Stack lengths": Row(lambda D, H: nn.Stack(nn.RNN(D, H), nn.LSTM(H, 2)), ending),
    "SingleOutput": Row(lambda D, H: nn.SingleOutput(nn.RNN(D, H), nn.Linear(H, 2)), x),
    "SingleOutput lengths": Row(lambda D, H: nn.SingleOutput(nn.RNN(D, H), nn.Linear(H, 2)), ending),
    "RNN2d": Row(nn.RNN2d, grid, "flat"),
    # what an output goes back to
    "OutputFeedback": Row(lambda D, H: nn.OutputFeedback(D, H, C), x, loss=fed),
    "OutputFeedback softmax": Row(
        lambda D, H: nn.OutputFeedback(D, H, C, hidden_to_hidden=True, feedback="softmax"), x, loss=fed
    ),
    "OutputFeedback taught": Row(lambda D, H: nn.OutputFeedback(D, H, C), both(x, y), loss=fed),
    "OutputFeedback argmax": Row(lambda D, H: nn.OutputFeedback(D, H, C, feedback="argmax"), x, "raises", fed),
    "OutputFeedback sample": Row(lambda D, H: nn.OutputFeedback(D, H, C, feedback="sample"), x, "raises", fed),
    "OutputFeedbackCell": cells(lambda n, H: nn.OutputFeedbackCell(n, H, C, hidden_to_hidden=True), x),
    "EchoState": Row(lambda D, H: nn.EchoState(D, H, C, alpha=0.5, bias_scale=0.3), x, loss=echoed),
    "EchoState feedback": Row(
        lambda D, H: nn.EchoState(D, H, C, feedback_scale=0.5),
        lambda *s: (*x(*s), s[0].random((s[1], s[2], C))), loss=echoed,
    ),
    # without time
    "Linear": Row(nn.Linear, x), "Linear one row": Row(nn.Linear, one),
    "MLP": Row(lambda D, H: nn.MLP([D, H, 2], final=True), x), "LayerNorm": Row(lambda D, H: nn.LayerNorm(D), x),
    "Embedding": Row(lambda D, H: nn.Embedding(C, D), y),
    "Embedding before": Row(lambda D, H: Reads(nn.GRU(D, H), C, embedding=nn.Embedding(C, D)), y),
    "Sequential": Row(lambda D, H: nn.Sequential(nn.Linear(D, H), np.tanh, nn.LayerNorm(H)), x),
    "Dropout": Row(lambda D, H: nn.Sequential(nn.Linear(D, H), nn.Dropout(0.5)), x, "raises"),
    "Dropout at rest": Row(lambda D, H: nn.Sequential(nn.Linear(D, H), nn.Dropout(0.5)).eval(), x),
    # losses
    "cross_entropy": Row(lambda D, H: Reads(nn.RNN(D, H), C, nn.cross_entropy), logits),
    "cross_entropy ignored": Row(lambda D, H: Reads(nn.RNN(D, H), C, nn.cross_entropy), some_ignored),
    "nll_loss": Row(
        lambda D, H: Reads(nn.RNN(D, H), C, lambda o, y, mask: nn.nll_loss(tg.log_softmax(o), y, mask)), logits
    ),
    "mse_loss": Row(lambda D, H: Reads(nn.RNN(D, H), H, nn.mse_loss), targets),
    "binary_cross_entropy_with_logits": Row(
        lambda D, H: Reads(nn.RNN(D, H), H, nn.binary_cross_entropy_with_logits), targets
    ),
    "omega": Row(nn.RNN, lambda rng, T, *sizes: x(rng, T + 2, *sizes), "flat", penalised),
    # networks that read their own labels, encoders and decoders
    "GenerativeRNN": Row(lambda D, H: nn.GenerativeRNN(C, H), y, loss=scored),
    "GenerativeRNN outputs": Row(lambda D, H: nn.GenerativeRNN(C, H), y),
    "GenerativeRNN lengths": Row(lambda D, H: nn.GenerativeRNN(C, H), label_lengths, loss=scored),
    "VectorRNN": Row(lambda D, H: nn.VectorRNN(C, H, D), vector(lambda D, H: D), loss=scored),
    "VectorRNN both": Row(lambda D, H: nn.VectorRNN(C, H, vector="both"), vector(lambda D, H: H), loss=scored),
    "ConditionalRNN": Row(lambda D, H: nn.ConditionalRNN(D, C, H), both(y, x), loss=scored),
    "FullyConnected": Row(lambda D, H: nn.FullyConnected(C, 8), y, "flat", scored),
    "EndSymbol": Row(lambda D, H: nn.EndSymbol(nn.GenerativeRNN(C + 1, H)), y, "flat", scored),
    "EndSymbol lengths": Row(lambda D, H: nn.EndSymbol(nn.GenerativeRNN(C + 1, H)), label_lengths, "flat", scored),
    "BernoulliStop": Row(lambda D, H: nn.BernoulliStop(nn.GenerativeRNN(C, H)), y, "flat", scored),
    "BernoulliStop lengths": Row(
        lambda D, H: nn.BernoulliStop(nn.GenerativeRNN(C, H)), label_lengths, "flat", scored
    ),
    "PredictedLength": Row(lambda D, H: nn.PredictedLength(C, H), y, "flat", scored),
    "PredictedLength lengths": Row(lambda D, H: nn.PredictedLength(C, H), label_lengths, "flat", scored),
    "Encoder": Row(nn.Encoder, lambda *s: x(*s), loss=lambda m, x: total(m(x, x.shape[1:-1]))),
    "EncoderDecoder": Row(lambda D, H: nn.EncoderDecoder(D, H, C, H + 1), taught, "flat", scored),
    "EncoderDecoder initial": Row(lambda D, H: nn.EncoderDecoder(D, H, C, context="initial"), taught, "flat", scored),
    "EncoderDecoder both": Row(lambda D, H: nn.EncoderDecoder(D, H, C, context="both"), taught, "flat", scored),
    "EncoderDecoder lengths": Row(
        lambda D, H: nn.EncoderDecoder(D, H, C), source_lengths, "flat",
        lambda m, y, x, n: total(m.log_likelihood(y, x, x_lengths=n)),
    ),
    "Seq2Seq": Row(lambda D, H: nn.Seq2Seq(nn.LSTMCell(D, H), nn.LSTMCell(C, H), C), taught, "flat", scored),
    "Seq2Seq input, lengths": Row(
        lambda D, H: nn.Seq2Seq(nn.GRUCell(D, H), nn.RNNCell(C + H, 2), C, context="input"), source_lengths, "flat",
        lambda m, y, x, n: total(m.log_likelihood(y, x, x_lengths=n)),
    ),
    "AdditiveAttention": Row(lambda D, H: nn.AdditiveAttention(H, H, 3), asked, "flat", attended),
    "DotAttention": Row(
        lambda D, H: nn.Sequential(nn.DotAttention(), nn.Linear(1, 1)), asked, "flat",
        lambda m, *a: attended(m.layers[0], *a) * np.sum(m.layers[1].weight),
    ),
    "AttentionDecoder": Row(lambda D, H: nn.AttentionDecoder(D, H, C, H + 1), taught, "flat"),
    "AttentionDecoder dot, lengths": Row(
        lambda D, H: nn.AttentionDecoder(D, H, C, attention="dot"), source_lengths, "flat",
        lambda m, y, x, n: total(m.log_likelihood(y, x, x_lengths=n)),
    ),
    # memories and trees
    "MemoryNetwork": Row(lambda D, H: nn.MemoryNetwork(D, 2, H, C, hops=2), memory, "flat"),
    "MemoryNetwork told": Row(lambda D, H: nn.MemoryNetwork(D, 2, H, C, hops=2), told, "flat", with_q),
    "NTM": Row(lambda D, H: nn.NTM(D, H, 2, cells=3, width=2, controller="rnn"), x),
    "NTM heads": Row(
        lambda D, H: nn.NTM(D, H, 2, cells=3, width=2, controller="feedforward", read_heads=2, write_heads=2), x
    ),
    "RecursiveNet": Row(lambda D, H: nn.RecursiveNet(D, H, C), x, "flat"),
    "RecursiveNet tree": Row(
        nn.RecursiveNet, lambda rng, T, B, D, H: (rng.standard_normal((3, B, D)), (0, (1, 2))), "flat"
    ),
    "TreeLSTM": Row(lambda D, H: nn.TreeLSTM(D, H, C), x, "flat"),
    "ChildSumTreeLSTM": Row(
        nn.ChildSumTreeLSTM, lambda rng, T, B, D, H: (rng.standard_normal((4, B, D)), [2, 2, -1, 2]), "flat"
    ),
    "ChildSumTreeLSTM heads as an array": Row(
        nn.ChildSumTreeLSTM, lambda rng, T, B, D, H: (rng.standard_normal((3, B, D)), np.array([1, 2, -1])), "as it is"
    ),
}  # fmt: skip

#: exported, but to be completed by a subclass before anything runs
ABSTRACT = {"Module", "Cell", "Autoregressive", "TreeNetwork"}
