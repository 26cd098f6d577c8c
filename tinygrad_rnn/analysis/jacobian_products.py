"""How a small change of the state travels through time: the Jacobian of each step, and their products.

ds[t]/ds[s] = ds[t]/ds[t-1] · ... · ds[s+1]/ds[s] (document 004, section 3.1; J of document 000). What a gradient of a
loss does on this way is in `norms`; the powers of one matrix are in `spectrum`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np

from ..core.autodiff import pullback
from ..core.errors import GraphError, NonFiniteError
from ..core.tensor import Tensor
from .figures import BLUE, FAINT, at_end, sheet
from .recorded_quantities import GraphSource, NodeTimeline, carried, quantities, rows


@dataclass(frozen=True)
class Jacobians:
    """ds[t]/ds[t-1] for each sample: `steps` has shape (T, B, n, n).

    s holds all `states` after one another, n numbers in all. `times` are those of the states in the order in which they
    were computed (downwards for a net that runs backwards): `steps[k]` leads from `times[k]` to `times[k + 1]`.
    """

    states: tuple[str, ...]
    times: tuple[int, ...]
    steps: np.ndarray

    def between(self, t: int, s: int) -> np.ndarray:
        """ds[t]/ds[s] for each sample, (B, n, n): the product of the steps in between; raises `GraphError` outside."""
        if not {s, t} <= set(self.times) or self.times.index(s) > self.times.index(t):
            raise GraphError(f"ds[{t}]/ds[{s}]: the steps recorded go from {self.times[0]} to {self.times[-1]}")
        between = self.steps[self.times.index(s) : self.times.index(t)]
        return reduce(lambda product, J: J @ product, between, self._eye)

    @property
    def _eye(self) -> np.ndarray:
        return np.broadcast_to(np.eye(self.steps.shape[-1]), self.steps.shape[1:])

    def back(self) -> np.ndarray:
        """ds[T]/ds[T-k] for k = 0, 1, ...: (T + 1, B, n, n)."""
        products = [self._eye]
        for J in self.steps[::-1]:
            products.append(products[-1] @ J)
        return np.stack(products)

    def singular_values(self) -> np.ndarray:
        """Of ds[T]/ds[T-k] for k = 0, 1, ..., largest first: (T + 1, B, n)."""
        return np.linalg.svd(self.back(), compute_uv=False)

    def norms(self) -> np.ndarray:
        """||ds[T]/ds[T-k]||, the longest that a change of length one becomes: (T + 1, B)."""
        return self.singular_values()[..., 0]

    def spectral_radii(self) -> np.ndarray:
        """The largest |eigenvalue| of each step's Jacobian: (T, B)."""
        return np.abs(np.linalg.eigvals(self.steps)).max(axis=-1)

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """The singular values of ds[T]/ds[T-k] over the distance k, on a logarithmic scale, the mean over samples.

        What is smaller than rounding of the largest is left out: those digits mean nothing.
        """
        values = self.singular_values()
        with np.errstate(divide="ignore"):
            middle = np.exp(np.mean(np.log(values), axis=1))
        noise = np.finfo(values.dtype).eps * values.shape[-1] * middle[:, :1]
        shown = np.where(middle > noise, middle, np.nan)
        back = np.arange(len(shown))
        with sheet(path) as axes:
            axes.set_yscale("log")
            axes.plot(back[[0, -1]], [1.0, 1.0], color=FAINT, linewidth=0.7)
            axes.plot(back, shown[:, 1:], color=FAINT, linewidth=0.6)
            axes.plot(back, shown[:, 0], color=BLUE)
            at_end(axes, back[-1], shown[-1, 0], "largest", BLUE)
            axes.set_xlabel("steps back, $k$")
            axes.set_ylabel(r"singular values of $\partial s^{(T)}/\partial s^{(T-k)}$")
            axes.set_title(title)


def jacobians(source: GraphSource, states: str | Sequence[str] | None = None, axis: int = -1) -> Jacobians:
    """The Jacobian of each recorded time step with respect to the state before.

    `states` are the names of what is carried (all that a step reads from the one before, if not given: only then is
    their product the whole derivative). Along `axis` stand the numbers of one sample: -1 for rows (B, n) or (n,), 0 for
    columns (n, B); samples must not mix. Costs n sweeps over each step. Steps whose state before asks for no gradient
    (an initial state of zeros) are left out; raises `GraphError` if none is left. Raises `NonFiniteError` for nan or
    inf in them.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.tensor([[0.5, 0.0], [0.0, 2.0]], name="W")
    >>> with tg.step(0):
    ...     h = tg.tensor([1.0, 1.0], name="h")
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", W @ h)
    >>> tg.analysis.jacobians(h).between(3, 0)[0].tolist()
    [[0.125, 0.0], [0.0, 8.0]]
    """
    names = (states,) if isinstance(states, str) else tuple(states or carried(source))
    timelines = quantities(source)
    missing = [name for name in names if name not in timelines]
    if missing:
        raise GraphError(f"no state is called {', '.join(missing)}; there are {', '.join(sorted(timelines))}")
    lines = [timelines[name] for name in names]
    downwards = {name: _runs_backwards(timelines[name]) for name in names}
    if len(set(downwards.values())) > 1:
        up = [name for name, down in downwards.items() if not down]
        raise GraphError(f"jacobians: {', '.join(names)} run in both directions; choose those of one: states={up}")
    times = sorted(set.intersection(*map(set, lines)), reverse=downwards[names[0]])
    while times and not all(line[times[0]].requires_grad for line in lines):
        times.pop(0)
    pairs = list(pairwise(times))
    if not pairs:
        raise GraphError(f"no two steps after one another have states {', '.join(names)} that ask for a gradient")
    steps = [_step([line[t] for line in lines], [line[s] for line in lines], axis) for s, t in pairs]
    if not np.all(np.isfinite(steps)):
        raise NonFiniteError(
            "jacobians: there is nan or inf in them; tg.analysis.first_nonfinite(output) finds the first"
        )
    return Jacobians(names, tuple(times), np.stack(steps))


def _runs_backwards(line: NodeTimeline) -> bool:
    computed = [node.id for node in line.values() if node.op is not None]
    return len(computed) > 1 and computed[0] > computed[-1]


def _step(after: list[Tensor], before: list[Tensor], axis: int) -> np.ndarray:
    """One row of the Jacobian for each number of the new state, of all samples at once: (B, n, n)."""
    blocks = []
    for y in after:
        for i in range(y.shape[axis] if y.shape else 1):
            pulled = pullback([y], [_unit(y, i, axis)], before)
            blocks.append(np.concatenate([rows(g, axis) for g in pulled], axis=1))
    return np.stack(blocks, axis=1)


def _unit(y: Tensor, i: int, axis: int) -> np.ndarray | float:
    """1 at number i of every sample, 0 elsewhere."""
    if not y.shape:
        return 1.0
    seed = np.zeros(y.shape, y.dtype)
    np.moveaxis(seed, axis, 0)[i] = 1.0
    return seed
