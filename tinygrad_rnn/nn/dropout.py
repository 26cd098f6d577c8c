"""Noise that trains a network to rely on no single unit: dropout, the same mask for a whole sequence, zoneout.

Masks are drawn from the package's generator and enter the graph as leaves, so that a recorded run can be looked at and
repeated. In eval mode dropout does nothing and zoneout takes its mean.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.ops.identity import name
from ..core.scope import current
from ..core.tensor import Tensor
from .module import Module
from .random import generator


def probability(kind: str, what: str, p: Any) -> float:
    """`p` itself; raises `GraphError` unless 0 <= p < 1 (p = 1 would leave nothing)."""
    if not isinstance(p, Real) or not 0.0 <= float(p) < 1.0:
        raise GraphError(f"{kind}: {what} is {p!r}, but has to be a probability from 0 up to, not including, 1")
    return float(p)


def leaf(role: str, value: Any) -> Tensor:
    """Data of this step, under a name: neither copied nor differentiated; what is in a graph stays in it."""
    if isinstance(value, Tensor):
        return name(role, value)
    return Tensor(value, None, (), None, role, current(), False)


def mask(shape: tuple[int, ...], p: float, dtype: Any = np.float64) -> np.ndarray:
    """0 with probability p, else 1 / (1 - p), so that the mean stays 1."""
    return ((generator().random(shape) >= p) / (1.0 - p)).astype(dtype, copy=False)


class Dropout(Module):
    """Entries become 0 with probability `p`, the others grow by 1 / (1 - p); in eval mode nothing happens.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rng = tg.nn.manual_seed(0)
    >>> drop = tg.nn.Dropout(0.5)
    >>> sorted(set(drop(np.ones((4, 8))).numpy().ravel().tolist())), drop.eval()(3.0)
    ([0.0, 2.0], 3.0)
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("Dropout", "p", p)

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0.0:
            return x
        return x * leaf("dropout", mask(x.shape, self.p, x.dtype))


class Locked:
    """The same mask on the input and on the state that the weights see, from the first step of a sequence to the last
    (Gal and Ghahramani 2016).
    """

    def __init__(self, p: float, like: np.ndarray, sizes: tuple[int, int]) -> None:
        rows = like.shape[:-1]
        self.x, self.h = (leaf("dropout", mask((*rows, size), p, like.dtype)) for size in sizes)

    def step(self, cell: Any, x: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
        """One step of the cell behind the masks."""
        return cell.step_seeing(states[0] * self.h, x * self.x, *states)


class Zoneout:
    """Some units keep their last value: k * old + (1 - k) * new, k drawn in training, its mean otherwise
    (Krueger et al. 2016). `ps` holds one probability for each state.
    """

    def __init__(self, ps: tuple[float, ...], training: bool) -> None:
        self.ps, self.training = ps, training

    def __call__(self, t: int, roles: tuple[str, ...], new: tuple[Any, ...], old: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._kept(p, *state) for p, *state in zip(self.ps, roles, new, old, strict=True))

    def _kept(self, p: float, role: str, new: Any, old: Any) -> Any:
        if p == 0.0:
            return new
        if not self.training:
            return replaced(role, new, p * old + (1.0 - p) * new)
        k = (generator().random(new.shape) < p).astype(new.dtype)
        return replaced(role, new, leaf(f"keep_{role}", k) * old + leaf(f"take_{role}", 1.0 - k) * new)


def replaced(role: str, formula: Tensor, carried: Tensor) -> Tensor:
    """Let `carried` be the state; what the formula gave stays in the graph as its candidate."""
    if formula.name == role and formula.scope is current():
        formula.name = f"{role}_new"
    return name(role, carried)
