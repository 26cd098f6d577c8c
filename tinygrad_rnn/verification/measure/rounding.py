"""How large the rounding error of a recorded computation can be, and which gradients are lost in it.

The graph is evaluated a second time with absolute values: sums of magnitudes where the computation adds, magnitudes
times the size of the derivative where it applies a function. A difference from the exact result beyond
`SAFETY * eps * magnitude` is then not rounding. No relative tolerance is chosen by anyone.

Where a gradient, or a term of it, is zero though it need not be, mistakes hide: a unit that is off, a tanh that is
saturated, a loss that is flat make terms zero on one probe. What is zero by its form (a state of zeros, a loss that
nothing reaches) is zero on all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
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
    sizes = {} if known is None else known
    with np.errstate(all="ignore"):
        for node in ancestors(outputs, stop=sizes if known else exact):
            if node.id in sizes:
                continue
            if node.op is None or node.id in exact:
                sizes[node.id] = np.abs(np.asarray(node.value, dtype=float))
            else:
                sizes[node.id] = _magnitude(node, [sizes[x.id] for x in node.inputs])
    return [sizes[output.id] for output in outputs]


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
    for index in np.ndindex(node.shape):
        unit = np.zeros(node.shape)
        unit[index] = 1.0
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


# -- what is lost in it ------------------------------------------------------------------------------------------------
#: a term smaller than so many times the bound of its sum cannot be told from none
HIDDEN = 1e3
_SUMS = ("add", "subtract", "add_n", "concatenate", "stack", "select")
#: zero where their first input is
_ZERO_AT_ZERO = ("divide", "negative", "square", "abs", "power_constant", "identity", "tanh", "relu", "sinh", "arctan")


def alive(gradient: Tensor, size: np.ndarray, may: dict[int, bool], whole: bool) -> bool:
    """Whether no term of a recorded gradient is lost in the rounding of their sum, of which `size` is the magnitude.

    `may` is kept between calls: see `may_differ`. With `whole` only the gradient as a whole is looked at: that of a
    parameter has terms for each step, of which most may be small.
    """
    may_differ([gradient], may)
    least = HIDDEN * SAFETY * EPS * float(np.max(size, initial=0.0))
    for term in (gradient,) if whole else _terms(gradient):
        if may[term.id] and float(np.max(np.abs(np.asarray(term.value)), initial=0.0)) <= least:
            return False
    return True


def may_differ(outputs: Iterable[Tensor], known: dict[int, bool]) -> None:
    """For each node, by its id, whether it can be anything but zero: no factor of it is zero by its form.

    >>> import tinygrad_rnn as tg
    >>> x, none, found = tg.tensor(3.0), tg.tensor(0.0), {}
    >>> lost, nothing = x - x, x * none
    >>> may_differ([lost, nothing], found)
    >>> found[lost.id], found[nothing.id]
    (True, False)
    """
    for node in ancestors(outputs, stop=known):
        if node.id in known:
            continue
        parts = [known[x.id] for x in node.inputs]
        if node.op is None:
            known[node.id] = bool(np.any(np.asarray(node.value)))
        elif node.op.name in _SUMS:
            known[node.id] = any(parts)
        elif node.op.multilinear or node.op.name == "multiply":
            known[node.id] = all(parts)
        elif node.op.name in _ZERO_AT_ZERO:
            known[node.id] = parts[0]
        else:
            known[node.id] = True


def _terms(gradient: Tensor) -> Iterator[Tensor]:
    stack = [gradient]
    while stack:
        node = stack.pop()
        if node.op is not None and node.op.name in ("add", "subtract", "add_n", "negative", "identity"):
            stack += node.inputs
        else:
            yield node
