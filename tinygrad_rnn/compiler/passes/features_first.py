"""Features first: hold what a step computes as (features, batch), whichever way the function writes it.

A cell written in rows, `x @ W.T`, and one written in columns, `W @ h`, become the same products. A value is held as it
is (mode 0), transposed (mode 1) or, if it is a vector, as a column (mode 2); `convert` goes from one to another, which
is a view of the same memory. Products of two matrices become `gemm` nodes here, with `ta`, `tb` for transposed inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.loop.program import Node, order
from ...core.primitive import PRIMITIVES

AS_IS, FLIPPED, COLUMN = 0, 1, 2
Held = tuple[Node, int]
_PRODUCTS = frozenset({"matmul", "linear"})


def features_first(outputs: list[Node]) -> list[Node]:
    """The same program with its steps held features first; the outputs keep their shapes."""
    return _Layout(order(outputs)).outputs(outputs)


def gemm(a: Node, b: Node, ta: bool = False, tb: bool = False, label: str = "") -> Node:
    """A product of two matrices, each of them possibly read transposed."""
    rows = a.shape[1] if ta else a.shape[0]
    columns = b.shape[0] if tb else b.shape[1]
    sample = np.full((rows, columns), 0.5, np.result_type(a.dtype, b.dtype))
    return Node("gemm", [a, b], {"ta": ta, "tb": tb}, a.step or b.step, sample, None, label)


def transposed(node: Node) -> Node:
    """The matrix with its axes exchanged."""
    if node.op == "transpose" and not node.params.get("axes"):
        return node.ins[0]
    return Node("transpose", [node], {}, node.step, np.transpose(node.sample), PRIMITIVES["transpose"])


def reshaped(node: Node, shape: tuple[int, ...]) -> Node:
    """The same entries in another shape."""
    if node.shape == shape:
        return node
    sample: Any = np.reshape(node.sample, shape)
    sample = float(sample) if shape == () and sample.dtype == np.float64 else sample
    return Node("reshape", [node], {"shape": shape}, node.step, sample, PRIMITIVES["reshape"])


class _Layout:
    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        left = right = vectors = 0
        for node in nodes:
            if node.op in _PRODUCTS and node.ins[0].step != node.ins[1].step:
                x = node.ins[0] if node.ins[0].step else node.ins[1]
                vectors += len(x.shape) == 1
                left += len(x.shape) == 2 and node.ins[0].step
                right += len(x.shape) == 2 and node.ins[1].step
        self.flip, self.columns = left > right, vectors > 0
        self.held: dict[int, Held] = {}

    def outputs(self, outputs: list[Node]) -> list[Node]:
        for node in self.nodes:
            if node.op == "shift":
                mode = self.wanted(node)
                shell = Node("shift", [], node.params, True, _sample(node.sample, mode), None, node.label)
                self.held[id(node)] = shell, mode
        for node in self.nodes:
            if node.op != "shift":
                new, mode = self.visit(node)
                new.label = new.label or node.label
                self.held[id(node)] = new, mode
        for node in self.nodes:
            if node.op == "shift":
                shell, mode = self.held[id(node)]
                source, first = node.ins
                shell.ins = [self.get(source, mode), self.operand(first, node, mode)]
        return [self.get(output, AS_IS) for output in outputs]

    def wanted(self, node: Node) -> int:
        """How a node of the steps is held if nothing else decides."""
        rank = len(node.shape)
        if not node.step:
            return AS_IS
        return FLIPPED if rank == 2 and self.flip else COLUMN if rank == 1 and self.columns else AS_IS

    def get(self, node: Node, mode: int) -> Node:
        """A node as it is to be read."""
        new, held = self.held[id(node)]
        return convert(new, held, mode)

    def operand(self, x: Node, result: Node, mode: int) -> Node:
        """An input that broadcasts against the result, as it does against the result held in `mode`."""
        rank = len(x.shape)
        if rank == 0 or mode == AS_IS:
            return self.get(x, AS_IS)
        if rank == 2:
            return self.get(x, FLIPPED)
        return self.get(x, COLUMN)

    # -- operation by operation ---------------------------------------------------------------------------------------
    def visit(self, node: Node) -> Held:
        if not node.step and not any(x.step for x in node.ins):
            if node.op in _PRODUCTS and all(len(x.shape) == 2 for x in node.ins):
                a, b = (self.get(x, AS_IS) for x in node.ins)
                return gemm(a, b, tb=node.op == "linear"), AS_IS
            return _like(node, [self.get(x, AS_IS) for x in node.ins]), AS_IS
        rule = _RULES.get(node.op)
        found = rule(self, node) if rule is not None else None
        if found is None and node.function is not None and node.function.elementwise:
            found = self.entrywise(node)
        if found is not None:
            return found
        new = _like(node, [self.get(x, AS_IS) for x in node.ins])
        mode = self.wanted(node)
        return convert(new, AS_IS, mode), mode

    def entrywise(self, node: Node) -> Held:
        outer = self.outer(node)
        if outer is not None:
            return outer
        mode = self.wanted(node)
        params = {key: _operand_held(value, mode) for key, value in node.params.items()}
        return _like(node, [self.operand(x, node, mode) for x in node.ins], _sample(node.sample, mode), **params), mode

    def outer(self, node: Node) -> Held | None:
        """A column times a row by broadcasting is a product of matrices."""
        if node.op != "multiply" or len(node.shape) != 2:
            return None
        a, b = node.ins
        if not (a.step and b.step) or min(node.shape) == 1:
            return None
        if a.shape == (node.shape[0], 1) and b.shape in ((1, node.shape[1]), (node.shape[1],)):
            right = self.get(b, COLUMN) if len(b.shape) == 1 else self.get(b, FLIPPED)
            return gemm(self.get(a, AS_IS), right, tb=True), AS_IS
        return None


def convert(node: Node, held: int, mode: int) -> Node:
    """From one way of holding a value to another."""
    if held == mode or len(node.shape) < 1:
        return node
    if COLUMN not in (held, mode):
        return transposed(node) if len(node.shape) == 2 else node
    if held == COLUMN:
        return reshaped(node, (node.shape[0],)) if mode == AS_IS else node
    return reshaped(node, (node.shape[0], 1)) if len(node.shape) == 1 else node


def _sample(sample: Any, mode: int) -> Any:
    if mode == FLIPPED and np.ndim(sample) == 2:
        return np.transpose(sample)
    return np.reshape(sample, (-1, 1)) if mode == COLUMN and np.ndim(sample) == 1 else sample


def _operand_held(value: Any, mode: int) -> Any:
    """A parameter of an operation entry by entry, such as a mask, as an operand of its rank is held."""
    rank = np.ndim(value) if isinstance(value, np.ndarray) else 0
    if rank == 2 and mode != AS_IS:
        return value.T
    return value[:, None] if rank == 1 and mode != AS_IS else value


def _like(node: Node, ins: list[Node], sample: Any = None, **params: Any) -> Node:
    held = node.sample if sample is None else sample
    return Node(node.op, ins, {**node.params, **params}, node.step, held, node.function, node.label)


def _input(layout: _Layout, node: Node) -> Held:
    mode = layout.wanted(node)
    return _like(node, [], _sample(node.sample, mode), mode=mode), mode


def _crossing(layout: _Layout, node: Node) -> Held:
    """at, ends, total: what leaves the steps keeps the way it is held."""
    new, mode = layout.held[id(node.ins[0])]
    return Node(node.op, [new], node.params, False, new.sample, None, node.label), mode


def _each(layout: _Layout, node: Node) -> Held:
    new, mode = layout.held[id(node.ins[0])]
    return _like(node, [new], mode=mode), AS_IS


def _slot(layout: _Layout, node: Node) -> Held:
    mode = layout.wanted(node)
    return _like(node, [layout.get(node.ins[0], AS_IS)], _sample(node.sample, mode), mode=mode), mode


def _product(layout: _Layout, node: Node) -> Held | None:
    a, b = node.ins
    if node.op == "linear":
        if len(a.shape) == 1:
            return gemm(layout.get(b, AS_IS), layout.get(a, COLUMN)), COLUMN
        if len(a.shape) != 2:
            return None
        tb = True
    else:
        if (len(a.shape), len(b.shape)) == (2, 1):
            new, flipped = _matrix(layout, a)
            return gemm(new, layout.get(b, COLUMN), ta=flipped), COLUMN
        if (len(a.shape), len(b.shape)) == (1, 2):
            new, flipped = _matrix(layout, b)
            return gemm(new, layout.get(a, COLUMN), ta=not flipped), COLUMN
        if (len(a.shape), len(b.shape)) != (2, 2):
            return None
        tb = False
    (left, fa), (right, fb) = _matrix(layout, a), _matrix(layout, b)
    if layout.wanted(node) == FLIPPED and a.step != b.step:
        return gemm(right, left, ta=fb == tb, tb=not fa), FLIPPED
    return gemm(left, right, ta=fa, tb=fb != tb), AS_IS


def _matrix(layout: _Layout, node: Node) -> tuple[Node, bool]:
    """A matrix as it is held, and whether that is transposed."""
    new, mode = layout.held[id(node)]
    if new.op == "transpose" and not new.params.get("axes") and not new.step:
        return new.ins[0], mode != FLIPPED
    return new, mode == FLIPPED


def _transpose(layout: _Layout, node: Node) -> Held | None:
    if node.params.get("axes") not in (None, (1, 0)) or len(node.shape) != 2:
        return None
    new, mode = layout.held[id(node.ins[0])]
    return new, FLIPPED - mode


def _sum(layout: _Layout, node: Node) -> Held | None:
    (x,) = node.ins
    new, mode = layout.held[id(x)]
    axis, keepdims = node.params.get("axis"), node.params.get("keepdims", False)
    rank = len(x.shape)
    if mode == AS_IS or (axis is None and keepdims):
        return None
    if axis is None or (mode == COLUMN and not keepdims) or (rank == 2 and len(np.atleast_1d(axis)) == 2):
        if keepdims:
            return None
        return _like(node, [new], axis=None, keepdims=False), AS_IS
    if mode == COLUMN:
        return _like(node, [new], np.reshape(node.sample, (1, 1)), axis=0, keepdims=True), COLUMN
    axis = 1 - int(np.atleast_1d(axis)[0]) % 2
    if keepdims:
        return _like(node, [new], np.transpose(node.sample), axis=axis, keepdims=True), FLIPPED
    if not layout.columns:
        return _like(node, [new], axis=axis, keepdims=False), AS_IS
    return None


def _along(layout: _Layout, node: Node) -> Held | None:
    """softmax and its kin, whose result has the shape of the input or lacks the axis."""
    new, mode = layout.held[id(node.ins[0])]
    rank, axis = len(node.ins[0].shape), node.params.get("axis", -1)
    if mode != FLIPPED or axis is None or isinstance(axis, tuple):
        return None
    axis = 1 - int(axis) % rank
    rest = [layout.get(x, AS_IS) for x in node.ins[1:]]
    if len(node.shape) == 2:
        return _like(node, [new, *rest], np.transpose(node.sample), axis=axis), FLIPPED
    return None if layout.columns else (_like(node, [new, *rest], axis=axis), AS_IS)


def _onehot(layout: _Layout, node: Node) -> Held | None:
    if layout.wanted(node) != FLIPPED:
        return None
    axis = 1 - int(node.params.get("axis", -1)) % 2
    return _like(node, [layout.get(node.ins[0], AS_IS)], np.transpose(node.sample), axis=axis), FLIPPED


def _concatenate(layout: _Layout, node: Node) -> Held | None:
    mode, axis = layout.wanted(node), node.params.get("axis", 0)
    if mode == AS_IS or axis is None:
        return None
    axis = 1 - int(axis) % 2 if mode == FLIPPED else 0
    return _like(node, [layout.get(x, mode) for x in node.ins], _sample(node.sample, mode), axis=axis), mode


def _getitem(layout: _Layout, node: Node) -> Held | None:
    (x,) = node.ins
    _, mode = layout.held[id(x)]
    index = node.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    if mode == AS_IS or Ellipsis in [p for p in parts if p is Ellipsis] or not all(isinstance(p, slice) for p in parts):
        return None
    if mode == FLIPPED:
        parts = (*parts, *[slice(None)] * (2 - len(parts)))[::-1]
    return _like(node, [layout.get(x, mode)], _sample(node.sample, mode), index=parts), mode


def _broadcast(layout: _Layout, node: Node) -> Held | None:
    mode = layout.wanted(node)
    if mode == AS_IS:
        return None
    sample = _sample(node.sample, mode)
    return _like(node, [layout.operand(node.ins[0], node, mode)], sample, shape=sample.shape), mode


def _reshape(layout: _Layout, node: Node) -> Held | None:
    """Between vectors and matrices with one row or column nothing moves."""
    (x,) = node.ins
    new, mode = layout.held[id(x)]
    n = int(np.prod(node.shape, dtype=int))
    if new.shape == (n, 1) and (mode == COLUMN or len(x.shape) == 2):
        if node.shape == (n, 1):
            return new, AS_IS
        if node.shape == (1, n):
            return new, FLIPPED
        if node.shape == (n,):
            return new, COLUMN
    if layout.wanted(node) == FLIPPED and 1 in node.shape and (len(x.shape) < 2 or 1 in x.shape):
        return reshaped(new, node.shape[::-1]), FLIPPED
    return None


_RULES: dict[str, Callable[[_Layout, Node], Held | None]] = {
    "input": _input, "at": _crossing, "ends": _crossing, "total": _crossing, "each": _each, "slot": _slot,
    "matmul": _product, "linear": _product, "transpose": _transpose, "sum": _sum, "softmax": _along,
    "log_softmax": _along, "logsumexp": _along, "cross_entropy": _along, "onehot": _onehot,
    "concatenate": _concatenate, "getitem": _getitem, "broadcast_to": _broadcast, "reshape": _reshape,
}  # fmt: skip
