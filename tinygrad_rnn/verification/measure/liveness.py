"""Whether a probe can witness a gradient: where it, or a term of it, is zero though it need not be, mistakes hide.

A unit that is off, a tanh that is saturated, a loss that is flat make terms zero on one probe; what is zero by its form
(a state of zeros, a loss that nothing reaches) is zero on all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...core.graph import ancestors
from ...core.tensor import Tensor
from .rounding import EPS, SAFETY

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
