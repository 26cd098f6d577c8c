"""Terms that are added to a loss to guide what the network learns (document 004, section 3.4).

Here is Omega of Pascanu et al., which wants gradients neither to vanish nor to explode on their way back through time.
How gradients that exploded are clipped is in `train.clip`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.autodiff import gradients, pullback
from ..core.errors import GraphError
from ..core.graph import Graph
from ..core.ops.elementwise import greater, where
from ..core.ops.reductions import add_n
from ..core.tensor import Tensor, constant


def omega(loss: Tensor, states: str | Sequence[Tensor] = "h", exact: bool = True, axis: int = -1) -> Tensor:
    """Omega = sum_t (||(dh[t]/dh[t-1])^T dL/dh[t]|| / ||dL/dh[t]|| - 1)^2 (document 004, section 3.4).

    Zero when gradients keep their length from step to step. `states` are h[0], h[1], ... of any recorded graph, in the
    order of time, or the name they have in it. The norm is taken along `axis`: -1 for rows of samples (B, H), 0 for
    columns (H, B); the mean is taken over samples. A step that no gradient reaches counts as 0, and one whose h[t-1]
    asks for no gradient (an initial state of zeros) is left out.

    The result is a node of the graph: `(loss + 0.5 * omega(loss)).backward()` differentiates it exactly, through second
    derivatives. `exact=False` is Pascanu's approximation: dL/dh[t] and all states are taken as constants, so that its
    derivative is the immediate partial one and reaches only the parameters that stand in dh[t]/dh[t-1] themselves; its
    value is the same. Raises `GraphError` for fewer than two states, or several of that name at one step.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.nn.regularize import omega
    >>> w = tg.tensor(0.5, name="w")
    >>> with tg.step(0):
    ...     h = tg.tensor(1.0, name="h")
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", w * h)
    >>> term = omega(h)
    >>> term.item(), tg.gradients(term, w)
    (0.75, -3.0)
    """
    nodes = _by_name(loss, states) if isinstance(states, str) else list(states)
    if len(nodes) < 2:
        called = f" called {states!r} at time steps" if isinstance(states, str) else ""
        raise GraphError(f"omega: at least two states{called} are needed to compare, found {len(nodes)}")
    asking = [h for h in nodes if h.requires_grad]
    found = gradients(loss, asking, create_graph=exact)
    dL = dict(zip((h.id for h in asking), found, strict=True))
    terms: list[Tensor] = []
    for before, h in pairwise(nodes):
        if before.requires_grad and h.requires_grad:
            (back,) = pullback([h], [dL[h.id]], [before], create_graph=True, immediate=not exact)
            terms.append(_term(back, dL[h.id], axis))
    if not terms:
        raise GraphError("omega: no two states after one another ask for a gradient")
    return add_n(terms)


def _term(back: Tensor, g: Any, axis: int) -> Tensor:
    """(||back|| / ||g|| - 1)^2, the mean over samples; 0 where g is 0."""
    length = _length(g if isinstance(g, Tensor) else constant(g), axis)
    there = greater(length, 0.0)
    ratio = _length(back, axis) / where(there, length, 1.0)
    return np.mean(where(there, (ratio - 1.0) ** 2, 0.0))


def _length(v: Any, axis: int) -> Any:
    return np.linalg.norm(v, axis=axis) if v.shape else np.abs(v)


def _by_name(loss: Tensor, name: str) -> list[Tensor]:
    found: dict[Any, Tensor] = {}
    for node in Graph(loss).select(name=name):
        t = node.scope.step
        if not isinstance(t, int):
            continue
        if t in found:
            raise GraphError(f"omega: several nodes are called {name!r} at t={t}: give the states of a layer as a list")
        found[t] = node
    return [found[t] for t in sorted(found)]
