"""Networks that read the labels they gave: P(Y) as a product of conditionals, with no input, one vector, or a sequence.

Here stand the loop over a network's own labels (scoring given ones, drawing new ones) and the networks of document 004,
section 2.5. When a sequence ends is said in `lengths`; networks that first read another sequence stand in `seq2seq`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.identity import name
from ..core.ops.reductions import add_n, cross_entropy, onehot, softmax
from ..core.scope import no_grad, scope, step, steps
from ..core.tensor import Tensor
from .arguments import given_sequence, given_state, given_tensor, hidden, labels_of, whole
from .cell import Sized
from .dropout import leaf
from .random import generator


class Emission(NamedTuple):
    """What stands in one step: its number, the state, the output o[t], and the label y[t] that was given or chosen."""

    t: int
    state: Any
    o: Tensor
    y: Tensor


#: (t, o[t]) -> the labels of step t
Choice = Callable[[int, Tensor], np.ndarray]


class Autoregressive(Sized):
    """P(Y) = Π P(y[t] | y[t-1], ..., y[1]), perhaps given x (documents 000 and 004, section 2.5).

    Labels y are class numbers of shape (T,) or (T, B); steps are counted t = 1, ..., T as in the documents, and
    y[0] = `start` is a label that precedes every sequence. Subclasses write `begin`, `step` and `readout`. Options of a
    subclass (`**given`) go to its `begin`.
    """

    label = "generative"
    output_size: int
    start: int = 0

    def begin(self, *x_and_rows: Any, **given: Any) -> tuple[Any, Any]:
        """What all steps are given, and the state before the first, from x and rows, which are (B,) or ()."""
        raise NotImplementedError(f"{type(self).__name__} does not define begin()")

    def step(self, given: Any, state: Any, y: Tensor, t: int) -> Any:
        """The state of step t from the one before and the label before, `y` (B, output_size) one-hot."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def readout(self, state: Any) -> Tensor:
        """o[t], from which softmax makes probabilities of y[t]."""
        raise NotImplementedError(f"{type(self).__name__} does not define readout()")

    # -- the loop -----------------------------------------------------------------------------------------------------
    def unfold(
        self, choose: Choice, T: int, x: Any = None, rows: tuple[int, ...] = (), **given: Any
    ) -> Iterator[Emission]:
        """Run T steps, each inside of its scope; `choose(t, o)` says the label, which the next step reads."""
        whole(type(self).__name__, "the number of steps", T)
        with scope(self.label):
            known, state = self.begin(x, rows, **given)
            with step(0):
                y = leaf("y", np.full(rows, self.start))
            for t in steps(1, T + 1):
                state = self.step(known, state, self.fed(y), t)
                o = self.readout(state)
                y = leaf("y", choose(t, o))
                yield Emission(t, state, o, y)

    def fed(self, y: Tensor) -> Tensor:
        """Labels as the next step reads them, one-hot."""
        if self.dtype == np.float64:
            return onehot(y, classes=self.output_size)
        return onehot(y, classes=self.output_size, dtype=self.dtype)

    def given(self, y: Any, x: Any = None, **given: Any) -> Iterator[Emission]:
        """`unfold` with the labels y given (teacher forcing, document 004, section 2.3)."""
        y = labels_of(y, self.output_size, type(self).__name__).y
        return self.unfold(lambda t, o: y[t - 1], len(y), x, y.shape[1:], **given)

    def beside(self, x: Any, here: Any) -> Any:
        """The x of labels that end where `here` says; where x has a row for each label, it ends there as well."""
        return x

    # -- what a user asks ---------------------------------------------------------------------------------------------
    def forward(self, y: Any, x: Any = None, **given: Any) -> Any:
        """o[1], ..., o[T] when the labels y are given: (T, output_size) or (T, B, output_size)."""
        return np.stack([emitted.o for emitted in self.given(y, x, **given)])

    def log_likelihood(self, y: Any, x: Any = None, lengths: Any = None, **given: Any) -> Any:
        """log P(y[1], ..., y[n] | x), one number for each sequence: (B,), or one number for y of shape (T,).

        `lengths` (B,) holds each sequence's n; what stands behind is read by nobody. Of no labels it is log 1.
        """
        labels = labels_of(y, self.output_size, type(self).__name__, lengths)
        emissions = self.given(labels.y, self.beside(x, labels.here), **given)
        return -add_n([labels.counted(emitted.t, cross_entropy(emitted.o, emitted.y)) for emitted in emissions])

    def sample(self, T: int, x: Any = None, batch: int | None = None, **given: Any) -> np.ndarray:
        """Draw T labels for each of `batch` sequences, (T, B), or (T,) without `batch`: ancestral sampling."""
        return self._free(drawn, T, x, batch, **given)

    def greedy(self, T: int, x: Any = None, batch: int | None = None, **given: Any) -> np.ndarray:
        """As `sample`, but always the most likely label: the network runs freely on its own best guesses."""
        return self._free(lambda t, o: np.argmax(o.value, axis=-1), T, x, batch, **given)

    def _free(self, choose: Choice, T: int, x: Any, batch: int | None, **given: Any) -> np.ndarray:
        with no_grad():
            return np.stack(
                [emitted.y.value for emitted in self.unfold(choose, T, x, () if batch is None else (batch,), **given)]
            )


def drawn(t: int, o: Tensor) -> np.ndarray:
    """A label for each row, drawn with the probabilities softmax(o)."""
    cumulated = np.cumsum(softmax(o.value), axis=-1)
    # divided by its end, so that rounding never leaves a draw above all of them
    return np.sum(generator().random((*o.shape[:-1], 1)) >= cumulated / cumulated[..., -1:], axis=-1)


class GenerativeRNN(Autoregressive):
    """No input at all: each label is the input of the next step (document 004, section 2.5.1).

    h[t] = tanh(b + W h[t-1] + U y[t-1]),  o[t] = c + V h[t],  y one-hot; h[0] is 0, or given as `state`.

    Raises `GraphError` for a start that is no label, and where an x is given.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rng = tg.nn.manual_seed(0)
    >>> model = tg.nn.GenerativeRNN(output_size=3, hidden_size=4)
    >>> pairs = np.array([(i, j) for i in range(3) for j in range(3)]).T
    >>> round(float(np.sum(np.exp(model.log_likelihood(pairs).numpy()))), 12)
    1.0
    """

    def __init__(self, output_size: int, hidden_size: int, start: int = 0, dtype: Any = np.float64) -> None:
        self.output_size, self.hidden_size, self.start, self.dtype = output_size, hidden_size, start, np.dtype(dtype)
        if not 0 <= start < output_size:
            raise GraphError(f"{type(self).__name__}: start is {start}, but labels run from 0 to {output_size - 1}")
        self.W = self.weight("W", hidden_size, hidden_size)
        self.U = self.weight("U", hidden_size, output_size)
        self.b = self.weight("b", hidden_size)
        self.V = self.weight("V", output_size, hidden_size)
        self.c = self.weight("c", output_size)

    def begin(self, x: Any, rows: tuple[int, ...], state: Any = None) -> tuple[Any, Any]:
        if x is not None:
            raise GraphError("GenerativeRNN reads no x: use VectorRNN for one vector, ConditionalRNN for a sequence")
        return None, self.initial(state, rows)

    def initial(self, state: Any, rows: tuple[int, ...]) -> Tensor:
        """h[0]: what is given, else zeros."""
        return given_state("h", state, (*rows, self.hidden_size), type(self).__name__, self.dtype)

    def step(self, given: Any, h: Any, y: Tensor, t: int) -> Any:
        return name("h", np.tanh(self.b + linear(h, self.W) + linear(y, self.U)))

    def readout(self, h: Any) -> Tensor:
        return name("o", self.c + linear(h, self.V))


class VectorRNN(GenerativeRNN):
    """One vector x as input: at each step, as the initial state, or both (document 004, section 2.5.2; 000's figure).

    h[t] = tanh(b + W h[t-1] + U y[t-1] + R x),  h[0] = 0        vector="input": x has input_size entries
    h[t] = tanh(b + W h[t-1] + U y[t-1]),        h[0] = x        vector="initial": x has hidden_size entries
    h[t] = tanh(b + W h[t-1] + U y[t-1] + R x),  h[0] = x        vector="both"

    x (n,) for labels (T,), (B, n) for labels (T, B); a Tensor, such as a network's view of an image, gets its gradient.
    Raises `GraphError` for another `vector`, `ShapeError` for an initial state of another size.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> model = tg.nn.VectorRNN(5, 4, vector="both")
    >>> model.log_likelihood(np.array([1, 4, 2]), x=np.ones(4)).shape, model.R.shape
    ((), (4, 4))
    """

    def __init__(
        self, output_size: int, hidden_size: int, input_size: int | None = None, vector: str = "input", start: int = 0,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(output_size, hidden_size, start, dtype)
        if vector not in ("input", "initial", "both"):
            raise GraphError(f"VectorRNN: vector is 'input', 'initial' or 'both', not {vector!r}")
        self.vector, self.input_size = vector, hidden_size if input_size is None else input_size
        if vector != "input" and self.input_size != hidden_size:
            raise ShapeError(f"VectorRNN: an initial state has {hidden_size} entries, but input_size is {input_size}")
        if vector != "initial":
            self.R = self.weight("R", hidden_size, self.input_size)

    def begin(self, x: Any, rows: tuple[int, ...], state: Any = None) -> tuple[Any, Any]:
        x = given_tensor("x", x, (*rows, self.input_size), type(self).__name__, self.dtype)
        h = self.initial(state if self.vector == "input" else x, rows)
        return None if self.vector == "initial" else linear(x, self.R), h

    def step(self, Rx: Any, h: Any, y: Tensor, t: int) -> Any:
        a = self.b + linear(h, self.W) + linear(y, self.U)
        return name("h", np.tanh(a if Rx is None else a + Rx))


class ConditionalRNN(GenerativeRNN):
    """A sequence x of the same length, and its own labels through R (document 000's figure; document 004, 2.1.2, 2.4).

    h[t] = tanh(b + W h[t-1] + U x[t] + R y[t-1]),  o[t] = c + V h[t]: any distribution over y given x, while without R
    the labels are independent of each other given x.

    x (T, D) for labels (T,), (T, B, D) for labels (T, B).
    """

    label = "conditional"

    def __init__(
        self, input_size: int, output_size: int, hidden_size: int, start: int = 0, dtype: Any = np.float64
    ) -> None:
        super().__init__(output_size, hidden_size, start, dtype)
        self.input_size = input_size
        self.U = self.weight("U", hidden_size, input_size)
        self.R = self.weight("R", hidden_size, output_size)

    def beside(self, x: Any, here: Any) -> Any:
        return x if here is None or x is None else hidden(x, np.expand_dims(here, -1))

    def begin(self, x: Any, rows: tuple[int, ...], state: Any = None) -> tuple[Any, Any]:
        read = given_sequence(x, (*rows, self.input_size), type(self).__name__, self.dtype)
        return read, self.initial(state, rows)

    def step(self, x: Any, h: Any, y: Tensor, t: int) -> Any:
        return name("h", np.tanh(self.b + linear(h, self.W) + linear(x(t), self.U) + linear(y, self.R)))


class FullyConnected(Autoregressive):
    """Every label acts on every later one by weights of its own: what a state makes unnecessary (document 004, 2.5.1).

    o[t] = c_t + Σ_{s<t} W_t_s y[s]: the graph of document 000's figure, for sequences of at most `longest` labels. It
    has longest · (longest - 1) / 2 matrices, where a `GenerativeRNN` has three for any length. Raises `GraphError` for
    `longest` below 1 and where an x is given, `ShapeError` for a step beyond `longest`.

    >>> import tinygrad_rnn as tg
    >>> [tg.nn.FullyConnected(4, longest).num_parameters() for longest in (5, 10, 20)]
    [180, 760, 3120]
    """

    label = "fully_connected"

    def __init__(self, output_size: int, longest: int, dtype: Any = np.float64) -> None:
        if longest < 1:
            raise GraphError(f"FullyConnected: longest is {longest}, but has to be at least 1")
        self.output_size, self.hidden_size, self.longest, self.dtype = (
            output_size,
            output_size,
            longest,
            np.dtype(dtype),
        )
        self.c = [self.weight(f"c_{t}", output_size) for t in range(1, longest + 1)]
        self.W = [
            [self.weight(f"W_{t}_{s}", output_size, output_size) for s in range(1, t)] for t in range(1, longest + 1)
        ]

    def begin(self, x: Any, rows: tuple[int, ...]) -> tuple[Any, Any]:
        if x is not None:
            raise GraphError("FullyConnected reads no x")
        return rows, (0, [], rows)

    def step(self, rows: Any, state: Any, y: Tensor, t: int) -> Any:
        if t > self.longest:
            raise ShapeError(f"FullyConnected: it has weights for {self.longest} labels, but step {t} is asked for")
        return t, [*state[1], y] if t > 1 else [], rows  # y[0] precedes the sequence and is no part of it

    def readout(self, state: Any) -> Tensor:
        t, labels, rows = state
        o = np.broadcast_to(self.c[t - 1], (*rows, self.output_size))
        for W, y in zip(self.W[t - 1], labels, strict=True):
            o = o + linear(y, W)
        return name("o", o)
