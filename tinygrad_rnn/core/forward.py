"""Walk the recorded graph forwards and carry a direction along: the product of the Jacobian with a vector.

No primitive declares a second rule for it. What is elementwise has a diagonal Jacobian, which its VJP multiplies by as
well; what is linear in an input takes the tangent in its place; for all others the VJP, which is linear in its
cotangent, is transposed by differentiating it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .autodiff import gradients_between, reached_from
from .declare import MATH_ERRORS, record, shape_of
from .errors import GraphError
from .kinks import LENGTHS
from .primitive import Primitive
from .scope import current, entered, move_to
from .tensor import Tensor, as_value, constant


def pushforward(active: dict[int, Tensor], output: Tensor, tangents: dict[int, Any], create_graph: bool) -> Any:
    """The tangent of the output, for tangents of the leaves by id; a Tensor with `create_graph`.

    `active` are the nodes between the leaves and the output. Raises `GraphError` for a leaf that was given another
    value after it was read.
    """
    found = {i: _as_tangent(v, active[i], create_graph) for i, v in tangents.items()}
    if output.id not in active:
        return _zero(output, create_graph)
    if create_graph and any(map(_at_length_zero, active.values())):
        return _by_reverse(active, output, found)
    with entered(current()):
        for i in sorted(active):
            node = active[i]
            op = node.op
            if i in found or op is None:
                continue
            if create_graph:
                move_to(node.scope)
            moving = []
            for k, x in enumerate(node.inputs):
                if x.id > i:
                    raise GraphError("jvp: a leaf was given another value after the function had read it")
                if x.id in found:
                    moving.append((k, found[x.id]))
            if op.elementwise:
                found[i] = _elementwise(op, node, moving, create_graph)
            elif op.multilinear and op.separate:
                terms = [_replaced(op, node, k, v, create_graph) for k, v in moving]
                found[i] = terms[0] if len(terms) == 1 else terms[0] + terms[1]
            else:
                found[i] = _transposed(op, node, moving, create_graph)
    return found[output.id]


def _at_length_zero(node: Tensor) -> bool:
    """Whether it is where second derivatives are told by the graph of a cotangent alone (see `kinks`)."""
    return node.op is not None and node.op.name in LENGTHS and not np.all(node.value)


def _by_reverse(active: dict[int, Tensor], output: Tensor, tangents: dict[int, Any]) -> Tensor:
    """The product as the derivative, by a cotangent u, of what u gives the leaves times their tangents."""
    u = Tensor(np.ones(output.shape, output.dtype) if output.shape else 1.0, None, (), None, None, current(), True)
    leaves = [active[i] for i in tangents]
    pulled = gradients_between(active, output, leaves, u, create_graph=True)
    total: Any = 0.0
    for g, v in zip(pulled, tangents.values(), strict=True):
        total = total + np.sum(g * v)
    return gradients_between(reached_from(total, [u], 0, u.id)[0], total, [u], None, create_graph=True)[0]


def _as_tangent(v: Any, x: Tensor, create_graph: bool) -> Any:
    if create_graph:
        return v if isinstance(v, Tensor) else constant(np.asarray(v, x.dtype))
    return float(v) if type(x.value) is float else np.array(v, x.dtype)


def _zero(x: Tensor, create_graph: bool) -> Any:
    zero = 0.0 if type(x.value) is float else np.zeros(x.shape, x.dtype)
    return constant(zero) if create_graph else zero


def _elementwise(op: Primitive, node: Tensor, moving: list[tuple[int, Any]], create_graph: bool) -> Any:
    """The tangent of an entry is that of the same entry of each input, times what the rule multiplies by."""
    y, xs = (node, node.inputs) if create_graph else (node.value, [x.value for x in node.inputs])
    total: Any = None
    for k, v in moving:
        try:
            part = _rule(op, k, v, y, xs, node.params)
        except MATH_ERRORS:
            with np.errstate(all="ignore"):  # where Python floats raise, numpy's infinities and nans
                part = _rule(op, k, np.float64(v), np.float64(y), [np.float64(x) for x in xs], node.params)
        total = part if total is None else total + part
    if type(total) is float:
        return total
    if shape_of(total) != node.shape:
        total = np.broadcast_to(total, node.shape)
    if create_graph:
        return total
    return float(total) if type(node.value) is float else as_value(total)


def _rule(op: Primitive, k: int, v: Any, y: Any, xs: Any, params: dict[str, Any] | None) -> Any:
    if op.joint is not None:
        return op.joint(v, y, *xs, **params)[k] if params else op.joint(v, y, *xs)[k]
    return op.separate[k](v, y, *xs, **params) if params else op.separate[k](v, y, *xs)


def _replaced(op: Primitive, node: Tensor, k: int, v: Any, create_graph: bool) -> Any:
    """The operation itself, which is linear in input k, on the tangent in its place."""
    if create_graph:
        return record(op, (*node.inputs[:k], v, *node.inputs[k + 1 :]), node.params)
    values = [v if i == k else x.value for i, x in enumerate(node.inputs)]
    return as_value(op.forward(*values, **(node.params or {})))


def _transposed(op: Primitive, node: Tensor, moving: list[tuple[int, Any]], create_graph: bool) -> Any:
    """J v as the derivative of (J^T u) v by u."""
    if not op.differentiable:
        return _zero(node, create_graph)
    zero = 0.0 if type(node.value) is float else np.zeros(node.shape, node.dtype)
    u = Tensor(zero, None, (), None, None, current(), True)
    inputs = node.inputs if create_graph else tuple([constant(x.value) for x in node.inputs])
    y = node if create_graph else constant(node.value)
    wanted = {k for k, _ in moving}
    if op.joint is not None:
        parts = op.joint(u, y, *inputs, **(node.params or {}))
    else:
        params = node.params or {}
        parts = [rule(u, y, *inputs, **params) if k in wanted else None for k, rule in enumerate(op.separate)]
    total: Any = None
    for k, v in moving:
        term = np.sum(parts[k] * v)
        total = term if total is None else total + term
    active, _ = reached_from(total, [u], 0, u.id)
    return gradients_between(active, total, [u], None, create_graph)[0]
