"""Where the first nan or inf of a computation came from: the operation, the time step, the quantity.

Only looks at a recorded graph; what to do about it is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.autodiff import gradients
from ..core.graph import ancestors
from ..core.tensor import Tensor


@dataclass(frozen=True)
class NonFinite:
    """The first node that is not finite: the node, and whether it stands in the gradient's graph."""

    node: Tensor
    backward: bool

    def __str__(self) -> str:
        node, where = self.node, str(self.node.scope)
        kind = "nan" if np.any(np.isnan(node.value)) else "inf"
        place = f" at {where}" if where else ""
        called = f" ({node.name})" if node.name and node.op is not None else ""
        if node.op is None:
            return f"{node.name or 'a value'}{place} already holds {kind} when it is given"
        inputs = ", ".join(_told(x) for x in node.inputs)
        phase = "the gradient's " if self.backward else ""
        return f"{phase}{node.op.name}{place}{called} gave the first {kind}, from {inputs}"


def first_nonfinite(loss: Tensor, parameters: Sequence[Tensor] | None = None) -> NonFinite | None:
    """The first node of the recorded graph, and after it of the gradient's graph, that holds nan or inf.

    None if everything is finite. An infinity that was put in on purpose (a mask of -inf) is not it: wanted is the first
    operation that makes something non-finite of finite inputs, else the first nan. `parameters` are those whose
    gradients are looked at; all leaves that ask for one if not given.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> h = tg.tensor(3.0, name="h")
    >>> with np.errstate(over="ignore"):
    ...     for t in tg.steps(1, 4):
    ...         h = tg.name("h", np.exp(h))
    >>> print(tg.analysis.first_nonfinite(h))
    exp at t=3 (h) gave the first inf, from h = 5.28e+08
    """
    nodes = ancestors([loss])
    first = _first(nodes)
    if first is not None:
        return NonFinite(first, False)
    wanted = parameters or [x for x in nodes if x.op is None and x.requires_grad]
    if not wanted or not loss.requires_grad:
        return None
    seen = {node.id for node in nodes}
    with np.errstate(all="ignore"):
        grads = gradients(loss, list(wanted), create_graph=True)
    first = _first([node for node in ancestors(grads) if node.id not in seen])
    return None if first is None else NonFinite(first, True)


def _first(nodes: Sequence[Tensor]) -> Tensor | None:
    """In the order of recording; ids of leaves that took another value are younger than what reads them."""
    bad = {node.id for node in nodes if not np.all(np.isfinite(node.value))}
    suspects = [node for node in nodes if node.id in bad]
    for node in suspects:
        if node.op is None and np.any(np.isnan(node.value)):
            return node
        if node.op is not None and not any(x.id in bad for x in node.inputs):
            return node
    return next((node for node in suspects if np.any(np.isnan(node.value))), suspects[0] if suspects else None)


def _told(x: Tensor) -> str:
    name = x.name or (x.op.label if x.op is not None else "a constant")
    if not x.shape:
        return f"{name} = {x.item():.3g}"
    value = np.asarray(x.value)
    if not value.size or value.dtype.kind not in "fiu":
        return f"{name} {x.shape}"
    return f"{name} {x.shape} between {np.min(value):.3g} and {np.max(value):.3g}"
