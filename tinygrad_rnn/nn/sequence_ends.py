"""When a sequence ends: an end symbol, a unit that says stop, or a length that is predicted first.

The three ways of document 004, section 2.6, each with the probability of whole sequences of any length, and drawing
such sequences. How labels follow each other belongs to `generative`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import sigmoid, softplus
from ..core.ops.identity import name
from ..core.ops.indexing import cast, equals, ranged
from ..core.ops.reductions import add_n, cross_entropy, logsumexp
from ..core.scope import no_grad
from ..core.tensor import Tensor, plain
from . import init
from .arguments import in_graph, labels_of, lengths_of, running
from .dropout import leaf
from .generative import Autoregressive, GenerativeRNN, drawn
from .module import Module, parameter
from .random import generator


class Sequences(NamedTuple):
    """Labels (T, B), how many of each sequence count (B,), and whether it came to its end by itself (B,)."""

    y: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray


class EndSymbol(Module):
    """The last class means "the end": a sequence of n labels is n + 1 predictions (document 004, section 2.6, item 3).

    `model` is any `Autoregressive` network with one class more than there are labels.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> model = tg.nn.EndSymbol(tg.nn.GenerativeRNN(output_size=3, hidden_size=4))
    >>> model.log_likelihood(np.array([[0, 1], [1, 0]]), lengths=[2, 1]).shape
    (2,)
    """

    def __init__(self, model: Autoregressive) -> None:
        self.model, self.end = model, model.output_size - 1

    def log_likelihood(self, y: Any, x: Any = None, lengths: Any = None, **given: Any) -> Any:
        """log P(y[1], ..., y[n], end | x) for labels (T,) or (T, B) without the end symbol; lengths (B,) may be 0."""
        labels = labels_of(y, self.end, "EndSymbol", lengths).y
        n, end = lengths_of(lengths, labels), np.full((1, *labels.shape[1:]), self.end)
        ended = np.concatenate([labels, end])
        ended = np.where(running(n, ended.shape), ended, end)
        return self.model.log_likelihood(ended, x, cast(n + 1, dtype=np.int64), **given)

    forward = log_likelihood

    def sample(self, longest: int, x: Any = None, batch: int = 1, **given: Any) -> Sequences:
        """Draw sequences until each has ended, at most `longest` labels; behind its end a sequence is all `end`."""
        ended, lengths, found = np.zeros(batch, bool), np.zeros(batch, int), []
        with no_grad():
            for emitted in self.model.unfold(drawn, longest, x, (batch,), **given):
                ended |= emitted.y.value == self.end
                lengths += ~ended
                found.append(np.where(ended, self.end, emitted.y.value))
                if ended.all():
                    break
        return Sequences(np.stack(found), lengths, ended)


class BernoulliStop(Module):
    """After each label a sigmoid unit says whether it was the last (document 004, section 2.6, item 3).

    q[t] = σ(c_s + V_s h[t]) is the probability to stop after y[t]:
    P(Y) = Π P(y[t] | ...) · (1 - q[1]) ... (1 - q[n-1]) q[n].

    `model` is any `Autoregressive` network whose state is h, or begins with h, of `hidden_size` entries.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        H = model.hidden_size
        self.V_s = parameter("V_s", init.uniform((1, H), H**-0.5, model.dtype))
        self.c_s = parameter("c_s", init.uniform((1,), H**-0.5, model.dtype))

    def stop(self, state: Any) -> Any:
        """z[t] = c_s + V_s h[t], of which q[t] is the sigmoid."""
        h = state[0] if isinstance(state, tuple) else state
        return name("z", self.c_s + linear(h, self.V_s))

    def log_likelihood(self, y: Any, x: Any = None, lengths: Any = None, **given: Any) -> Any:
        """log P(y[1], ..., y[n], stop after n | x) for labels (T,) or (T, B); lengths (B,) are at least 1."""
        labels = labels_of(y, self.model.output_size, "BernoulliStop", lengths, least=1)
        n = lengths_of(lengths, labels.y)
        terms = []
        for emitted in self.model.given(labels.y, self.model.beside(x, labels.here), **given):
            z = self.stop(emitted.state)
            last = leaf("s", cast(equals(n, number=emitted.t), dtype=self.model.dtype)[..., None])
            # -log q where it is the last label, -log(1 - q) where it is not
            L_s = softplus(z) - last * z
            terms.append(labels.counted(emitted.t, cross_entropy(emitted.o, emitted.y) + np.sum(L_s, axis=-1)))
        return -add_n(terms)

    forward = log_likelihood

    def sample(self, longest: int, x: Any = None, batch: int = 1, **given: Any) -> Sequences:
        """Draw sequences until each has stopped, at most `longest` labels; behind its end a sequence is all 0."""
        ended, lengths, found = np.zeros(batch, bool), np.zeros(batch, int), []
        with no_grad():
            for emitted in self.model.unfold(drawn, longest, x, (batch,), **given):
                found.append(np.where(ended, 0, emitted.y.value))
                lengths += ~ended
                q = sigmoid(self.stop(emitted.state).value)[..., 0]
                ended |= generator().random(batch) < q
                if ended.all():
                    break
        return Sequences(np.stack(found), lengths, ended)


class PredictedLength(GenerativeRNN):
    """The length is predicted first, and every step is told how much is left (document 004, section 2.6, item 3).

    P(Y) = P(n) P(Y | n);  h[t] = tanh(b + W h[t-1] + U y[t-1] + R (n - t)),  l = c_l + V_l h[0].

    P(n) for n = 1, ..., `longest` falls off like a normal density around l with variance 1, so that -log P(n) is (l -
    n)²/2 and a constant. h[0] is 0, or given as `state` (B, hidden_size). Raises `GraphError` for `longest` below 1,
    and where no lengths are given.
    """

    def __init__(
        self, output_size: int, hidden_size: int, longest: int = 100, start: int = 0, dtype: Any = np.float64
    ) -> None:
        super().__init__(output_size, hidden_size, start, dtype)
        if longest < 1:
            raise GraphError(f"PredictedLength: longest is {longest}, but has to be at least 1")
        self.longest = longest
        self.R = self.weight("R", hidden_size, 1)
        self.V_l = self.weight("V_l", 1, hidden_size)
        self.c_l = self.weight("c_l", 1)

    def begin(self, x: Any, rows: tuple[int, ...], state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        if lengths is None:
            raise GraphError("PredictedLength: the steps are told how much is left, so lengths= has to be given")
        return np.broadcast_to(lengths, rows), super().begin(x, rows, state)[1]

    def step(self, lengths: Any, h: Any, y: Tensor, t: int) -> Any:
        left = leaf("n", cast(lengths - t, dtype=self.dtype)[..., None])
        return name("h", np.tanh(self.b + linear(h, self.W) + linear(y, self.U) + linear(left, self.R)))

    def length(self, state: Any = None, rows: tuple[int, ...] = ()) -> Any:
        """l, the length that is expected: (B,), or one number."""
        return name("l", np.squeeze(self.c_l + linear(self.initial(state, rows), self.V_l), axis=-1))

    def log_probability_of_length(self, n: Any, state: Any = None, rows: tuple[int, ...] = ()) -> Any:
        """log P(n), normalised over 1, ..., `longest`. Raises `ShapeError` for lengths outside of these."""
        found = np.asarray(plain(n))
        if found.size and not 1 <= found.min() <= found.max() <= self.longest:
            raise ShapeError(
                f"PredictedLength: lengths run from 1 to {self.longest}, not {found.min()} to {found.max()}"
            )
        n = ranged(n, low=1, high=self.longest + 1) if in_graph(n) else found
        each = np.arange(1, self.longest + 1, dtype=self.dtype)
        expected = self.length(state, rows)
        others = np.square(np.expand_dims(expected, -1) - each)
        return -0.5 * np.square(expected - cast(np.broadcast_to(n, rows), dtype=self.dtype)) - logsumexp(
            -0.5 * others, axis=-1
        )

    def log_likelihood(self, y: Any, x: Any = None, lengths: Any = None, **given: Any) -> Any:
        """log P(n) + log P(y[1], ..., y[n] | n); lengths (B,) are at least 1, all of T if not given."""
        labels = labels_of(y, self.output_size, "PredictedLength", lengths, least=1)
        n = lengths_of(lengths, labels.y)
        emissions = self.given(labels.y, x, lengths=n, **given)
        terms = [labels.counted(emitted.t, cross_entropy(emitted.o, emitted.y)) for emitted in emissions]
        return self.log_probability_of_length(n, given.get("state"), labels.y.shape[1:]) - add_n(terms)

    def draw(self, batch: int = 1, state: Any = None) -> Sequences:
        """Draw a length for each sequence, then its labels; behind its end a sequence is all 0."""
        with no_grad():
            expected = np.asarray(plain(self.length(state, (batch,))))
            cumulated = np.cumsum(np.exp(-0.5 * (expected[:, None] - np.arange(1, self.longest + 1)) ** 2), axis=-1)
            lengths = 1 + np.sum(generator().random((batch, 1)) >= cumulated / cumulated[:, -1:], axis=-1)
            y = self.sample(int(lengths.max()), batch=batch, lengths=lengths, state=state)
        return Sequences(np.where(np.arange(len(y))[:, None] < lengths, y, 0), lengths, np.ones(batch, bool))
