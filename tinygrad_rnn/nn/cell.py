"""What a cell is: the formula of one time step, its weights, and where its states begin.

Here stands what all cells share, and all systems made of several networks (`Sized`). Each formula stands in the module
of its kind (`cells`, `lstm_variants`, ...); running a cell over a sequence belongs to `sequence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.scope import current
from ..core.tensor import Tensor
from . import init
from .arguments import as_data, given_states, shape_given, whole
from .module import Module, parameter

States = tuple[Any, ...]


class Cell(Module):
    """One step of a recurrent network. Subclasses set their weights and write `step` as it stands on the page.

    `states` names what is carried, `sizes` says how long each is; `step(x, *states)` returns the new states. Rows are
    samples: x (B, input_size) or (input_size,), a state (B, n) or (n,). Time and sequences are not its business.
    """

    states: tuple[str, ...] = ("h",)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # weights, which `gates` sets by their names

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float64) -> None:
        self.input_size = whole(type(self).__name__, "input_size", input_size)
        self.hidden_size = whole(type(self).__name__, "hidden_size", hidden_size)
        self.bias, self.dtype = bias, np.dtype(dtype)

    @property
    def bound(self) -> float:
        """Weights start uniform between -1/sqrt(hidden_size) and 1/sqrt(hidden_size), as in torch."""
        return 1.0 / float(np.sqrt(self.hidden_size))

    def weight(self, name: str, *shape: int) -> Tensor:
        """A new parameter of that shape, called `name` in the graph."""
        return parameter(name, init.uniform(shape, self.bound, self.dtype))

    def offset(self, name: str, size: int | None = None) -> Any:
        """A new bias, or plain 0 where the cell has none."""
        return self.weight(name, size or self.hidden_size) if self.bias else 0.0

    def gates(self, *letters: str, recurrent: int | None = None) -> None:
        """For each letter k the weights W_k of the state (of size `recurrent`), U_k of the input, and the bias b_k."""
        for k in letters:
            setattr(self, f"W_{k}", self.weight(f"W_{k}", self.hidden_size, recurrent or self.hidden_size))
            setattr(self, f"U_{k}", self.weight(f"U_{k}", self.hidden_size, self.input_size))
            setattr(self, f"b_{k}", self.offset(f"b_{k}"))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How long each state is."""
        return (self.hidden_size,) * len(self.states)

    def output(self, *states: Any) -> Any:
        """What the next layer sees: the first state."""
        return states[0]

    @property
    def output_size(self) -> int:
        """How long the output is."""
        return self.sizes[0]

    def initial(self, batch: int | None = None) -> States:
        """Where the states begin when nothing is given: zeros, of shape (batch, n), or (n,) for a single sequence."""
        rows = () if batch is None else (batch,)
        return tuple(
            Tensor(np.zeros((*rows, size), self.dtype), None, (), None, name, current(), False)
            for name, size in zip(self.states, self.sizes, strict=True)
        )

    def step(self, x: Any, *states: Any) -> States:
        """The new states; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def step_seeing(self, seen: Any, x: Any, *states: Any) -> States:
        """As `step`, but the weights see `seen` in place of the first state (dropout on recurrent connections)."""
        return self.step(x, seen, *states[1:])

    def forward(self, input: Any, hx: Any = None) -> Any:
        """One step as torch's cells take it: `h = cell(x, h)`, `h, c = cell(x, (h, c))`; zeros if nothing is given.

        Raises `ShapeError` for x of another shape.
        """
        kind, shape = type(self).__name__, shape_given(input, type(self).__name__)
        if shape[-1:] != (self.input_size,) or len(shape) > 2:
            raise ShapeError(
                f"{kind}: x has shape {shape}, but has to be (B, {self.input_size}) or ({self.input_size},)"
            )
        rows = shape[:-1]
        if hx is None:
            states = self.initial(*rows)
        else:
            states = given_states(hx, self.states, [(*rows, size) for size in self.sizes], self.dtype, kind)
        new = self.stepped(self.step(as_data(input, self.dtype, kind, "x"), *states))
        return new if len(self.states) > 1 else new[0]

    def stepped(self, new: Any) -> States:
        """What `step` returned; raises `GraphError` unless it is a tuple with all states."""
        if not isinstance(new, tuple) or len(new) != len(self.states):
            found = f"a tuple of {len(new)}" if isinstance(new, tuple) else type(new).__name__
            raise GraphError(
                f"{type(self).__name__}: step() has to return a tuple of the new states ({', '.join(self.states)},), "
                f"not {found}"
            )
        return new


class Sized(Module):
    """A module with one `hidden_size` and `dtype`, whose weights start as those of torch's recurrent layers."""

    hidden_size: int
    dtype: np.dtype[Any]

    def weight(self, symbol: str, *shape: int) -> Tensor:
        """A parameter that starts uniform between -1/sqrt(hidden_size) and 1/sqrt(hidden_size)."""
        kind = type(self).__name__
        for size in (self.hidden_size, *shape):
            whole(kind, f"a size of {symbol} {shape}", size)
        return parameter(symbol, init.uniform(shape, self.hidden_size**-0.5, self.dtype))
