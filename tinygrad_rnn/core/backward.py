"""Walk the recorded graph backwards and apply each primitive's rule.

`numeric` runs the rules on plain values: ordinary backpropagation. `recorded` runs the same rules on Tensors, so that
the gradient is itself a graph, whose nodes stand in the scope and time step of the forward node they belong to.
Broadcasting is undone here, once for all primitives. What to differentiate, and in which shape to return it, belongs
to `autodiff`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .declare import MATH_ERRORS, shape_of
from .errors import GraphError
from .ops.identity import identity
from .primitive import Primitive
from .scope import Index, current, entered, move_to
from .tensor import Tensor, as_value

Gradient = Any
#: for each input whose contributions are asked for by time step: its id -> {step: sum of contributions}
PerStep = dict[int, dict[Index | None, Gradient]]


def numeric(
    active: dict[int, Tensor], grads: dict[int, Gradient], kept: set[int] | None = None, steps: PerStep | None = None
) -> dict[int, Gradient]:
    """Gradients of the `kept` nodes (every leaf and named node if None), starting from `grads`.

    Only `active` nodes are visited, latest first; the gradient of any other node is dropped as soon as it was passed
    on.
    """
    found: dict[int, Gradient] = {}
    summed: set[int] = set()  # gradients that are sums made here, so that the next term can be added in place
    order = sorted(active, reverse=True)
    start = _scalar_stretch(order, active, grads, found) if kept is None and steps is None else 0
    for i in order[start:]:
        g = grads.pop(i, None)
        if g is None:
            continue
        node = active[i]
        if node.name is not None or node.op is None if kept is None else i in kept:
            found[i] = g
        op = node.op
        if op is None:
            continue
        if op.add_into is not None and steps is None:
            _add_in_place(op, g, node, grads, summed)
            continue
        inputs = node.inputs
        for x, part in zip(inputs, _parts(op, g, node, active)):  # noqa: B905 - one part for each input
            j = x.id
            if j > i:
                raise _stale(x, node)
            if j not in active:
                continue
            value = x.value
            if type(part) is not type(value) or (type(value) is np.ndarray and part.shape != value.shape):
                part = fit(part, x)
            if steps is not None and j in steps:
                _add_step(steps[j], node.scope.step, part)
            if j not in grads:
                grads[j] = part
            elif j in summed and type(part) is np.ndarray and part.dtype == grads[j].dtype:
                grads[j] += part
            else:
                grads[j] = total = grads[j] + part
                if type(total) is np.ndarray:
                    summed.add(j)
    return found


def _scalar_stretch(
    order: list[int], active: dict[int, Tensor], grads: dict[int, Gradient], found: dict[int, Gradient]
) -> int:
    """Sweep as `numeric` does while nodes are Python floats, without the checks that arrays need; says how far it
    came.
    """
    for n, i in enumerate(order):
        g = grads.get(i)
        if g is None:
            continue
        node = active[i]
        op = node.op
        if op is None:
            found[i] = g
            continue
        if not op.elementwise or type(node.value) is not float:
            return n
        inputs = node.inputs
        if len(inputs) == 2 and node.params is None:
            a, b = inputs
            j, k = a.id, b.id
            if j > i or k > i:
                return n  # `numeric` says what is wrong
            try:
                if op.joint is not None:
                    pa, pb = op.joint(g, node.value, a.value, b.value)
                else:
                    left, right = op.separate
                    pa = left(g, node.value, a.value, b.value) if j in active else None
                    pb = right(g, node.value, a.value, b.value) if k in active else None
            except MATH_ERRORS:
                return n
            if j in active:
                grads[j] = grads[j] + pa if j in grads else pa
            if k in active:
                grads[k] = grads[k] + pb if k in grads else pb
        else:
            if any(x.id > i for x in inputs):
                return n
            for x, part in zip(inputs, _parts(op, g, node, active), strict=True):
                j = x.id
                if j in active:
                    grads[j] = grads[j] + part if j in grads else part
        if node.name is not None:
            found[i] = g
        del grads[i]
    return len(order)


def _parts(op: Primitive, g: Gradient, node: Tensor, active: dict[int, Tensor]) -> Sequence[Gradient]:
    """What each input receives, as plain values."""
    values = [x.value for x in node.inputs]
    try:
        return _applied(op, g, node.value, values, node, active)
    except MATH_ERRORS:
        if any(type(value) is not float for value in (g, node.value, *values)):
            raise
        # where Python floats raise, numpy's infinities and nans instead, as for arrays
        with np.errstate(all="ignore"):
            return _applied(op, np.float64(g), np.float64(node.value), list(map(np.float64, values)), node, active)


def _applied(
    op: Primitive, g: Gradient, y: Any, xs: Sequence[Any], node: Tensor, active: dict[int, Tensor]
) -> Sequence[Gradient]:
    """The rules of a primitive: one for all inputs, or one for each, and none for an input nobody asks about."""
    params = node.params
    if op.joint is not None:
        return op.joint(g, y, *xs, **params) if params else op.joint(g, y, *xs)
    params = params or {}
    return [rule(g, y, *xs, **params) if x.id in active else None for rule, x in zip(op.separate, node.inputs)]  # noqa: B905


def _add_in_place(op: Primitive, g: Gradient, node: Tensor, grads: dict[int, Gradient], summed: set[int]) -> None:
    """Add one pick's share to the gradient of the whole, so that T picks from one array cost T times a pick."""
    x = node.inputs[0]
    j = x.id
    if j not in summed:
        grads[j] = np.array(grads[j]) if j in grads else np.zeros(x.shape, np.result_type(g, x.dtype))
        summed.add(j)
    op.add_into(grads[j], g, **(node.params or {}))  # type: ignore[misc]


def recorded(
    active: dict[int, Tensor], grads: dict[int, Gradient], kept: set[int], steps: PerStep | None = None,
    seen: Callable[[Tensor], Tensor] = lambda x: x,
) -> dict[int, Gradient]:  # fmt: skip
    """As `numeric`, but on Tensors: the result can be differentiated, drawn and folded again.

    The rules are given `seen(x)` for each node x of the forward graph.
    """
    found: dict[int, Gradient] = {}
    with entered(current()):
        for i in sorted(active, reverse=True):
            g = grads.pop(i, None)
            if g is None:
                continue
            node = active[i]
            move_to(node.scope)
            if node.name is not None:
                g = _named_adjoint(node.name, g)
            if i in kept:
                found[i] = g
            if node.op is None:
                continue
            parts = _applied(node.op, g, seen(node), [seen(x) for x in node.inputs], node, active)
            for x, part in zip(node.inputs, parts, strict=True):
                j = x.id
                if j > i:
                    raise _stale(x, node)
                if j not in active:
                    continue
                part = fit(part, x)
                if steps is not None and j in steps:
                    _add_step(steps[j], node.scope.step, part)
                grads[j] = grads[j] + part if j in grads else part
    return found


def _stale(x: Tensor, node: Tensor) -> GraphError:
    where = f" at {node.scope}" if str(node.scope) else ""
    return GraphError(
        f"{x.name or 'a leaf'} was given another value after {node.op and node.op.name}{where} had used it: "
        "run the forward pass again, or detach the state that carries the older graph along"
    )


def _add_step(contributions: dict[Index | None, Gradient], t: Index | None, part: Gradient) -> None:
    contributions[t] = contributions[t] + part if t in contributions else part


def fit(part: Gradient, x: Tensor) -> Gradient:
    """The part summed over the axes along which `x` was broadcast, as a value of the kind `x` holds."""
    have, want = shape_of(part), x.shape
    if have != want:
        lead = len(have) - len(want)
        if lead == 1 and want and have[1:] == want and type(part) is np.ndarray:
            return np.add.reduce(part)  # a bias: half the time of np.sum
        axes = tuple(i for i in range(len(have)) if i < lead or want[i - lead] != have[i])
        part = np.sum(part, axis=axes, keepdims=True) if axes else part
        if shape_of(part) != want:
            part = np.reshape(part, want)
    if want or type(part) is Tensor:
        return part
    return float(part) if type(x.value) is float else as_value(part)


def _named_adjoint(name: str, g: Tensor) -> Tensor:
    if g.op is None or g.name is not None or g.scope is not current():
        g = identity(g)
    g.name = "d" + name
    return g
