"""How large the rounding error of a recorded computation can be.

The graph is evaluated a second time with absolute values: sums of magnitudes where the computation adds, magnitudes
times the size of the derivative where it applies a function. A difference from the exact result beyond
`SAFETY * eps * magnitude` is then not rounding. No relative tolerance is chosen by anyone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from ...core.graph import ancestors
from ...core.tensor import Tensor

#: how many units of rounding each magnitude may hide: covers the length of sums and the quality of libm
SAFETY = 32.0

#: x - logsumexp(x) rounds in units of the largest x, which its derivative does not see
CANCELLING = {"log_softmax", "cross_entropy"}

EPS = float(np.finfo(np.float64).eps)


def magnitudes(
    outputs: Iterable[Tensor], exact: Collection[int] = (), known: dict[int, np.ndarray] | None = None
) -> list[np.ndarray]:
    """For each output an array of its shape: the sum of the absolute values of all terms it is made of.

    Leaves count with their own size, and so do the nodes whose ids are in `exact`: their values are taken as given.
    `known` keeps the magnitudes of all nodes by id, so that graphs that share nodes are not gone through again.

    >>> import tinygrad_rnn as tg
    >>> a, b = tg.tensor(1e8), tg.tensor(1.0)
    >>> float(magnitudes([(a + b) - a])[0]) > 1e8
    True
    """
    outputs = list(outputs)
    if any(output.id in exact for output in outputs):
        exact = set(exact) - {output.id for output in outputs}
    found = {} if known is None else known
    with np.errstate(all="ignore"):
        for node in ancestors(outputs, stop=found if known else exact):
            if node.id in found:
                continue
            if node.op is None or node.id in exact:
                found[node.id] = np.abs(np.asarray(node.value, dtype=float))
            else:
                found[node.id] = _magnitude(node, [found[x.id] for x in node.inputs])
    return [found[output.id] for output in outputs]


def _magnitude(node: Tensor, of_inputs: list[np.ndarray]) -> np.ndarray:
    op, params = node.op, node.params or {}
    assert op is not None
    if op.multilinear:
        return np.asarray(op.forward(*of_inputs, **params))
    total = np.abs(np.asarray(node.value, dtype=float))
    if not op.differentiable:
        return total
    if op.elementwise:
        partials = pulled(node, np.ones(node.shape))
        for partial, size in zip(partials, of_inputs, strict=True):
            total = total + np.abs(partial) * size
        return total
    if op.name in CANCELLING:
        total = total + np.max(of_inputs[0], initial=0.0)
    for place in np.ndindex(node.shape):
        unit = np.zeros(node.shape)
        unit[place] = 1.0
        parts = zip(pulled(node, unit), of_inputs, strict=True)
        share = sum(float(np.sum(np.abs(part) * size)) for part, size in parts)
        total = total + unit * share
    return total


def pulled(node: Tensor, g: Any, values: list[Any] | None = None) -> list[Any]:
    """What each input of a node receives by the primitive's own rule on plain arrays, at these values if given."""
    op, params = node.op, node.params or {}
    assert op is not None
    y = np.asarray(node.value)
    xs = [np.asarray(x.value) for x in node.inputs] if values is None else values
    if op.joint is not None:
        return list(op.joint(g, y, *xs, **params))
    return [rule(g, y, *xs, **params) for rule in op.separate]


#: functions with a kink where two values are the same
KINKS = ("relu", "maximum", "minimum", "abs")


def on_kink(node: Tensor) -> np.ndarray:
    """At which entries an argument stands exactly on a kink of its function, so that two derivatives are right."""
    if node.op is None or node.op.name not in KINKS:
        return np.zeros((), bool)
    first, *second = (np.asarray(x.value) for x in node.inputs)
    return np.asarray(first == (second[0] if second else 0.0))
