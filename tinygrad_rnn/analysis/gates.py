"""Which gates are stuck open or shut: fractions of time in saturation (Karpathy, Johnson and Fei-Fei 2015).

Reads what a layer's trace or a graph holds; how gradients fare is in `norms`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import GraphError
from ..core.tensor import Tensor
from .figures import BLUE, FAINT, sheet
from .recorded_quantities import GraphSource, NodeTimeline, quantities, rows


@dataclass(frozen=True)
class Saturation:
    """For each gate and unit, the fraction of steps and samples at which it was shut (`left`) or open (`right`).

    Both are dicts from the gate's name to an array (n,). Bounds are `low` and `high` of a gate's range from 0 to 1, or
    of the same shares of a range from -1 to 1.
    """

    low: float
    high: float
    left: dict[str, np.ndarray]
    right: dict[str, np.ndarray]

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """A panel for each gate, a dot for each unit: always shut is bottom right, always open top left."""
        names = list(self.left)
        with sheet(path, columns=len(names), width=2.2, height=2.4) as panels:
            for axes, name in zip(np.atleast_1d(panels), names, strict=True):
                axes.plot([0, 1], [1, 0], color=FAINT, linewidth=0.7)
                axes.scatter(self.left[name], self.right[name], s=14, facecolors="none", edgecolors=BLUE, clip_on=False)
                axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
                axes.set_aspect("equal")
                axes.set_xlabel(f"fraction below {self.low:g}")
                axes.set_title(f"${name.rpartition('.')[2]}$" if not title else f"{title}: ${name.rpartition('.')[2]}$")
            np.atleast_1d(panels)[0].set_ylabel(f"fraction above {self.high:g}")


def saturation(
    source: GraphSource, gates: str | Sequence[str] | None = None, low: float = 0.1, high: float = 0.9, axis: int = -1
) -> Saturation:
    """How often each unit of each gate is saturated; `source` is a layer's trace, or any recorded graph.

    `gates` are names; all that a sigmoid computed, if not given. What runs from -1 to 1 (a tanh) is measured on the
    same share of its range. Raises `GraphError` for an unknown name, or for a quantity that is no gate.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, state, trace = tg.nn.LSTM(2, 3, forget_bias=9.0)(np.zeros((5, 4, 2)), trace=True)
    >>> found = tg.analysis.saturation(trace)
    >>> sorted(found.left), found.right["f"].tolist(), found.left["i"].tolist()
    (['f', 'i', 'o'], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    """
    timelines = quantities(source)
    if gates is None:
        names = [name for name, line in timelines.items() if all(_op(node) == "sigmoid" for node in line.values())]
    else:
        names = [gates] if isinstance(gates, str) else list(gates)
    unknown = [name for name in names if name not in timelines]
    if unknown or not names:
        what = f"no quantity is called {', '.join(unknown)}" if unknown else "nothing here was computed by a sigmoid"
        raise GraphError(f"saturation: {what}; there are {', '.join(sorted(timelines)) or 'no named quantities'}")
    values = {name: _between_0_and_1(name, timelines[name], axis) for name in names}
    left = {name: np.mean(value < low, axis=0) for name, value in values.items()}
    right = {name: np.mean(value > high, axis=0) for name, value in values.items()}
    return Saturation(low, high, left, right)


def _op(node: Tensor) -> str | None:
    """What computed it, behind the identities that only give a name."""
    while node.op is not None and node.op.name == "identity":
        node = node.inputs[0]
    return None if node.op is None else node.op.name


def _between_0_and_1(name: str, timeline: NodeTimeline, axis: int) -> np.ndarray:
    value = np.concatenate([rows(node.value, axis) for node in timeline.values()])
    if any(_op(node) == "tanh" for node in timeline.values()) or value.min(initial=0.0) < 0.0:
        value = (value + 1.0) / 2.0
    if value.size and (value.min() < 0.0 or value.max() > 1.0):
        raise GraphError(f"saturation: {name} is no gate: its values leave the range from -1 to 1")
    return value
