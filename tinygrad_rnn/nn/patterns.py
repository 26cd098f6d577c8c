"""What is fed back, and where an output stands: the patterns of document 004, sections 2.1 and 2.3.

    hidden to hidden, an output at every step    RNN(...) with a Linear as readout
    output to hidden                             OutputFeedback(..., hidden_to_hidden=False)
    both                                         OutputFeedback(..., hidden_to_hidden=True)
    a single output                              SingleOutput

In training the right labels may take the place of outputs (teacher forcing), always or by chance (scheduled sampling).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DtypeError, GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import tanh
from ..core.ops.identity import name
from ..core.ops.indexing import ranged
from ..core.ops.reductions import onehot, softmax
from ..core.scope import scope, step, steps
from ..core.tensor import Tensor, next_id, plain
from .arguments import given_states, in_graph
from .cell import Cell, States
from .dropout import leaf
from .module import Module
from .random import generator
from .recurrent import Recurrent
from .sequence import Inputs, Trace, keep, recording


def _argmax(o: Any) -> np.ndarray:
    logits = o.numpy() if isinstance(o, Tensor) else o
    return onehot(np.argmax(logits, axis=-1), logits.shape[-1], dtype=logits.dtype)


def _sample(o: Any) -> np.ndarray:
    """A one-hot row drawn from softmax(o)."""
    logits = o.numpy()
    return _argmax((logits + generator().gumbel(size=logits.shape)).astype(logits.dtype))


#: what of an output goes back; the last two are data, through which no gradient flows
FEEDBACK: dict[str, Callable[[Any], Any]] = {
    "logits": lambda o: o,
    "softmax": lambda o: name("p", softmax(o)),
    "argmax": lambda o: leaf("fed", _argmax(o)),
    "sample": lambda o: leaf("fed", _sample(o)),
}


class OutputFeedbackCell(Cell):
    """One step that reads what was put out before (document 004, section 2.1.2; the letters are those of section 2.2):

        h[t] = tanh(b + W o[t-1] + U x[t]),                 o[t] = c + V h[t]
        h[t] = tanh(b + W h[t-1] + R o[t-1] + U x[t])       with hidden_to_hidden

    The states are o (B, output_size), which is the output, and, with `hidden_to_hidden`, h.
    """

    states: tuple[str, ...] = ("o",)

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, hidden_to_hidden: bool = False,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, True, dtype)
        self.hidden_to_hidden, self.classes = hidden_to_hidden, output_size
        if hidden_to_hidden:
            self.states = ("o", "h")
            self.W = self.weight("W", hidden_size, hidden_size)
            self.R = self.weight("R", hidden_size, output_size)
        else:
            self.W = self.weight("W", hidden_size, output_size)
        self.U = self.weight("U", hidden_size, input_size)
        self.b = self.offset("b")
        self.V = self.weight("V", output_size, hidden_size)
        self.c = self.offset("c", output_size)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.classes, self.hidden_size)[: len(self.states)]

    def step(self, x: Any, o: Any, h: Any = None) -> States:
        if self.hidden_to_hidden:
            a = name("a", linear(h, self.W) + linear(o, self.R) + linear(x, self.U) + self.b)
        else:
            a = name("a", linear(o, self.W) + linear(x, self.U) + self.b)
        h = name("h", tanh(a))
        o = name("o", linear(h, self.V) + self.c)
        return (o, h) if self.hidden_to_hidden else (o,)


class OutputFeedback(Module):
    """A recurrent network whose output goes back to the next hidden state, free-running or taught.

    `output, state = layer(x, hx=None)` runs freely: what goes back is the output as `feedback` says, "logits" (the
    arrow of document 004, section 2.1.2), "softmax", or a one-hot row, the likeliest ("argmax") or a drawn one
    ("sample"). With `labels` (T, B), integers, the one-hot label y[t] goes back in place of step t's output: teacher
    forcing (section 2.3), which cuts the path through the output; with `hidden_to_hidden` the path through h stays, so
    that teacher forcing and back-propagation through time act together. `teacher` is the chance, for each step and
    sample, that the label is taken: 1 is teacher forcing, 0 free-running, between them scheduled sampling (Bengio et
    al. 2015).

    Shapes: x (T, B, input_size) or (T, input_size); output (T, B, output_size). The state is what goes back at the
    first step (B, output_size), zeros if nothing is given, or (that, h). Raises `ShapeError` for shapes that do not
    fit, `GraphError` for labels or options outside of their range.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.nn.OutputFeedback(3, 4, 5)
    >>> x, labels = np.ones((6, 2, 3)), np.zeros((6, 2), int)
    >>> layer(x)[0].shape, layer(x, labels=labels)[0].shape
    ((6, 2, 5), (6, 2, 5))
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, hidden_to_hidden: bool = False,
        feedback: str = "logits", dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        if feedback not in FEEDBACK:
            raise GraphError(f"OutputFeedback: feedback is {feedback!r}, but has to be one of {', '.join(FEEDBACK)}")
        self.feedback = feedback
        self.cell = OutputFeedbackCell(input_size, hidden_size, output_size, hidden_to_hidden, dtype)

    def forward(
        self, input: Any, hx: Any = None, labels: Any = None, teacher: float = 1.0, trace: bool = False
    ) -> tuple[Any, ...]:
        cell = self.cell
        inputs = Inputs(input, cell.input_size, False, cell.dtype, "OutputFeedback")
        rows = () if inputs.batch is None else (inputs.batch,)
        right = None if labels is None else self._one_hot(labels, (inputs.T, *rows))
        if not 0.0 <= teacher <= 1.0:
            raise GraphError(f"OutputFeedback: teacher is {teacher}, but has to be a probability")
        kept: Trace = {}
        with recording(trace), scope("outputfeedback"):
            with step(0):
                states = cell.initial(inputs.batch) if hx is None else self._given(hx, rows)
            outputs: list[Any] = []
            fed: Any = states[0]
            for t in steps(1, inputs.T + 1):
                began = next_id()
                states = cell.step(inputs(t), fed, *states[1:])
                outputs.append(states[0])
                if t < inputs.T:
                    fed = self._fed(states[0], None if right is None else right[t - 1], teacher)
                if trace:
                    keep(kept, t, inputs.T, (*states, fed), began)
            output = inputs.joined(outputs, None)
        last = states if len(states) > 1 else states[0]
        return (output, last, kept) if trace else (output, last)

    def _fed(self, o: Any, label: Any, teacher: float) -> Any:
        """What goes on to the next step: the output, the label, or for each sample one of both."""
        if label is None or teacher == 0.0:
            return FEEDBACK[self.feedback](o)
        if teacher == 1.0:
            return leaf("y", label)
        taught = (generator().random((*label.shape[:-1], 1)) < teacher).astype(label.dtype)
        return leaf("y", taught * label) + leaf("own", 1.0 - taught) * FEEDBACK[self.feedback](o)

    def _one_hot(self, labels: Any, shape: tuple[int, ...]) -> Any:
        found = np.asarray(plain(labels))
        if found.shape != shape:
            raise ShapeError(
                f"OutputFeedback: labels have shape {found.shape}, but have to be {shape}: one for each output"
            )
        if found.dtype.kind not in "iu":
            raise DtypeError(f"OutputFeedback: labels are whole numbers, not {found.dtype}")
        if found.size and (found.min() < 0 or found.max() >= self.cell.classes):
            raise GraphError(
                f"OutputFeedback: labels run from {found.min()} to {found.max()}, "
                f"but there are {self.cell.classes} classes, from 0 on"
            )
        numbers = ranged(labels, low=0, high=self.cell.classes) if in_graph(labels) else found
        return onehot(numbers, classes=self.cell.classes, dtype=self.cell.dtype)

    def _given(self, hx: Any, rows: tuple[int, ...]) -> States:
        roles, shapes = self.cell.states, [(*rows, size) for size in self.cell.sizes]
        parts = given_states(hx, roles, shapes, self.cell.dtype, "OutputFeedback")
        return tuple(
            name(role, part) if isinstance(part, Tensor) else leaf(role, part)
            for role, part in zip(roles, parts, strict=True)
        )


class SingleOutput(Module):
    """Read the whole sequence and answer once, at its end (document 004, section 2.1.3): o[T] = c + V h[T].

    `layer` is any `Recurrent`; `readout` takes its last output. With `lengths` or `mask` each sequence is
    answered at its own end, a backward direction where it arrives, at the first step. Returns the output
    (B, output_size), the state, and with `trace=True` every named quantity of every step of the layer.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> net = tg.nn.SingleOutput(tg.nn.RNN(3, 4), tg.nn.Linear(4, 5))
    >>> output, state = net(np.ones((6, 2, 3)), lengths=[6, 2])
    >>> output.shape
    (2, 5)
    """

    def __init__(self, layer: Recurrent, readout: Callable[[Any], Any]) -> None:
        self.layer, self.readout = layer, readout

    def forward(
        self, input: Any, hx: Any = None, lengths: Any = None, trace: bool = False, mask: Any = None
    ) -> tuple[Any, ...]:
        _, last, *kept = self.layer(input, hx, lengths, trace, mask)
        h = last[0] if isinstance(last, tuple) else last
        ends = [h[k] for k in range(-1 - self.layer.bidirectional, 0)]
        return self.readout(ends[0] if len(ends) == 1 else np.concatenate(ends, axis=-1)), last, *kept
