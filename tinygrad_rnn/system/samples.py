"""Which axes of recorded arrays hold entries, and which one holds samples.

Code computes with arrays, (B, H) or (H, 1) or (H,); equations speak of vectors and matrices, one sample at a time. Axes
that have to be as long as each other because an operation says so are one class; a class that no product, softmax or
parameter looks into is that of the samples, or, if it is one entry long, stands there for broadcasting alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..core.errors import DerivationError
from ..core.ops.indexing import HOLE
from ..core.tensor import Tensor

Axis = tuple[int, int]


class Axes:
    """The classes of the axes of all nodes: `of(node)` gives those that hold entries, in the order of the array.

    `aligned` are groups of nodes that play one part at several steps.
    """

    def __init__(self, nodes: Iterable[Tensor], aligned: Iterable[Iterable[Tensor]]) -> None:
        self.nodes = list(nodes)
        self._parent: dict[Axis, Axis] = {}
        self._looked_into: list[Axis] = []
        for node in self.nodes:
            for axis in range(node.ndim):
                self._parent[node.id, axis] = (node.id, axis)
        for group in aligned:
            first, *others = group
            for other in others:
                self._join_all(first, other)
        for node in self.nodes:
            if node.op is not None:
                rule = _RULES.get(node.op.name, _entrywise if node.op.elementwise else None)
                if rule is not None:
                    rule(self, node)
        self._length = self._measured()
        self._mixed = {root for place in self._looked_into if self._length[root := self.root_of(place)] > 1}
        self.sample, self.count = self._samples()
        self.entries = self._entries()
        #: whether vectors are rows, as in `x @ W`, and not columns
        self.rows = self._as_rows()
        #: whether the loss adds what all samples share, as a penalty, to a sum over the samples
        self.shared = False

    # -- what is asked ------------------------------------------------------------------------------------------------
    def root(self, node: Tensor, axis: int) -> Axis:
        """The class of an axis."""
        place = node.id, axis % node.ndim
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def of(self, node: Tensor) -> tuple[Axis, ...]:
        """The classes of the axes of a node that hold entries."""
        roots = (self.root(node, axis) for axis in range(node.ndim))
        return tuple(root for root in roots if self.holds_entries(root))

    def holds_entries(self, root: Axis) -> bool:
        """Whether a class is neither that of the samples nor one entry that nothing looks into."""
        return root != self.sample and (root in self.entries or self._length[root] > 1)

    def length(self, root: Axis) -> int:
        """How long the axes of a class are."""
        return self._length[root]

    def has_samples(self, node: Tensor) -> bool:
        """Whether a node differs from sample to sample."""
        return self.sample is not None and any(self.root(node, axis) == self.sample for axis in range(node.ndim))

    # -- which are samples --------------------------------------------------------------------------------------------
    def _measured(self) -> dict[Axis, int]:
        """How long the axes of each class are."""
        lengths: dict[Axis, int] = {}
        for node in self.nodes:
            for axis, length in enumerate(node.shape):
                root = self.root(node, axis)
                lengths[root] = max(length, lengths.get(root, 1))
        return lengths

    def _samples(self) -> tuple[Axis | None, int]:
        """The class of the samples and how many there are: looked into by nothing, beside an axis of data that is."""
        found: dict[Axis, None] = {}
        for node in self.nodes:
            roots = [self.root(node, axis) for axis in range(node.ndim)]
            if node.op is None and not is_learned(node) and any(root in self._mixed for root in roots):
                found.update((root, None) for root in roots if root not in self._mixed and self._length[root] > 1)
        return (next(iter(found)), self._length[next(iter(found))]) if len(found) == 1 else (None, 1)

    def _entries(self) -> set[Axis]:
        """What is looked into, and the axes of what is learned: of matrices both, of vectors the one."""
        learned: set[Axis] = set()
        for node in self.nodes:
            long = [axis for axis, length in enumerate(node.shape) if length > 1]
            if is_learned(node) and len(long) == 1:
                learned.add(self.root(node, long[0]))
        return (self._mixed | learned | self._matrices()) - {self.sample or ()}

    def _as_rows(self) -> bool:
        """Whether more products have the vector on the left than on the right, and none of the operations whose
        derivation speaks of columns stands there."""
        balance = 0
        for node in self.nodes:
            name = node.op.name if node.op is not None else ""
            if name in _OF_COLUMNS or (name == "getitem" and _stretches(node)):
                return False
            if name == "linear":
                balance -= 1
            if name == "matmul":
                left, right = (sum(root in self.entries for root in self._roots(x)) for x in node.inputs)
                turned = node.inputs[right > left].op
                balance += (right - left) * (-1 if turned is not None and turned.name == "transpose" else 1)
        return balance > 0

    def _roots(self, node: Tensor) -> list[Axis]:
        return [root for axis in range(node.ndim) if self._length[root := self.root(node, axis)] > 1]

    def root_of(self, place: Axis) -> Axis:
        """The class of an axis by the id of its node."""
        while self._parent[place] != place:
            place = self._parent[place]
        return place

    def _matrices(self) -> set[Axis]:
        """The axes of what is learned and a factor of a product of matrices."""
        found: set[Axis] = set()
        for node in self.nodes:
            if node.op is not None and node.op.name in ("matmul", "linear"):
                for x in node.inputs:
                    while x.op is not None and x.op.name in ("transpose", "identity"):
                        (x,) = x.inputs
                    if is_learned(x) and x.ndim == 2:
                        found |= {self.root(x, 0), self.root(x, 1)}
        return found

    # -- what operations say ------------------------------------------------------------------------------------------
    def join(self, a: Tensor, i: int, b: Tensor, j: int) -> None:
        """Two axes are of one class, unless one of them is stretched to the other."""
        if a.shape[i] == b.shape[j]:
            self._parent[self.root(a, i)] = self.root(b, j)

    def look_into(self, node: Tensor, axis: int) -> None:
        """An operation treats the entries along an axis differently, or mixes them."""
        self._looked_into.append((node.id, axis % node.ndim))

    def _join_all(self, a: Tensor, b: Tensor) -> None:
        for axis in range(min(a.ndim, b.ndim)):
            self.join(a, axis - a.ndim, b, axis - b.ndim)

    def join_right(self, a: Tensor, b: Tensor) -> None:
        """Axes that numpy aligns, from the last one on."""
        for axis in range(1, min(a.ndim, b.ndim) + 1):
            self.join(a, -axis, b, -axis)

    def join_without(self, node: Tensor, x: Tensor, axes: Iterable[int], keepdims: bool = False) -> None:
        """The axes of a node are those of `x` but some."""
        left = [axis for axis in range(x.ndim) if keepdims or axis not in axes]
        for here, axis in enumerate(left):
            if axis not in axes:
                self.join(node, here, x, axis)


def is_learned(node: Tensor) -> bool:
    """Whether a node is a leaf that asks for a gradient and belongs to no step."""
    return node.op is None and node.requires_grad and node.scope.step is None


#: what a derivation of rows does not have yet
_OF_COLUMNS = frozenset(["concatenate", "pick", "diag"])


def _stretches(node: Tensor) -> bool:
    """Whether some entries are picked."""
    return any(isinstance(part, slice) and part != slice(None) for _, part in index_parts(node))


def axes_of(node: Tensor, x: Tensor) -> list[int]:
    """The axes that a reduction takes in."""
    axis = (node.params or {}).get("axis", None)
    return list(range(x.ndim)) if axis is None else [int(i) % x.ndim for i in np.atleast_1d(axis)]


def _entrywise(axes: Axes, node: Tensor) -> None:
    for x in node.inputs:
        axes.join_right(node, x)


def _matmul(axes: Axes, node: Tensor) -> None:
    a, b = node.inputs
    if max(a.ndim, b.ndim) > 2:
        raise DerivationError(f"{said(node)}: a product of stacks of matrices, {a.shape} by {b.shape}, is no equation")
    inner = max(b.ndim - 2, 0)
    axes.join(a, -1, b, inner)
    axes.look_into(a, -1)
    if a.ndim == 2:
        axes.join(node, 0, a, 0)
    if b.ndim == 2:
        axes.join(node, -1, b, 1)


def _linear(axes: Axes, node: Tensor) -> None:
    x, W = node.inputs
    axes.join(x, -1, W, 1)
    axes.look_into(x, -1)
    axes.join(node, -1, W, 0)
    for axis in range(x.ndim - 1):
        axes.join(node, axis, x, axis)


def _reduction(axes: Axes, node: Tensor) -> None:
    (x,) = node.inputs
    axes.join_without(node, x, axes_of(node, x), (node.params or {}).get("keepdims", False))


def _looking_reduction(axes: Axes, node: Tensor) -> None:
    _reduction(axes, node)
    (x,) = node.inputs
    for axis in axes_of(node, x):
        axes.look_into(x, axis)


def _along(axes: Axes, node: Tensor) -> None:
    (x,) = node.inputs
    axes._join_all(node, x)
    axes.look_into(x, (node.params or {}).get("axis", -1))


def _cross_entropy(axes: Axes, node: Tensor) -> None:
    x, y = node.inputs
    axis = (node.params or {}).get("axis", -1) % x.ndim
    axes.look_into(x, axis)
    axes.join_without(node, x, [axis])
    axes.join_right(node, y)


def _onehot(axes: Axes, node: Tensor) -> None:
    (y,) = node.inputs
    axis = (node.params or {}).get("axis", -1) % node.ndim
    axes.look_into(node, axis)
    axes.join_without(y, node, [axis])


def _reshape(axes: Axes, node: Tensor) -> None:
    (x,) = node.inputs
    here = [axis for axis in range(node.ndim) if node.shape[axis] > 1]
    there = [axis for axis in range(x.ndim) if x.shape[axis] > 1]
    if [node.shape[i] for i in here] == [x.shape[j] for j in there]:
        for i, j in zip(here, there, strict=True):
            axes.join(node, i, x, j)


def _transpose(axes: Axes, node: Tensor) -> None:
    (x,) = node.inputs
    for axis, other in enumerate(permutation(node)):
        axes.join(node, axis, x, other)


def permutation(node: Tensor) -> list[int]:
    """Which axis of its input each axis of a transpose is."""
    axes = (node.params or {}).get("axes")
    return list(range(node.ndim))[::-1] if axes is None else [int(i) % node.ndim for i in axes]


def _getitem(axes: Axes, node: Tensor) -> None:
    (x,) = node.inputs
    here = 0
    for axis, part in index_parts(node):
        if part is None:
            here += 1
        elif isinstance(part, slice):
            if part == slice(None):
                axes.join(node, here, x, axis)
            else:
                axes.look_into(x, axis)
                axes.look_into(node, here)
            here += 1
        else:
            axes.look_into(x, axis)


def index_parts(node: Tensor) -> list[tuple[int, object]]:
    """The parts of an index with the axis of the input that each is about; an ellipsis is written out.

    Raises `DerivationError` for an index that is an array.
    """
    index = (node.params or {})["index"]
    parts = list(index) if isinstance(index, tuple) else [index]
    (x,) = node.inputs
    if any(isinstance(part, np.ndarray | list) for part in parts):
        raise DerivationError(f"{said(node)}: entries picked by an array of numbers have no equation")
    named = sum(part is not None and part is not Ellipsis for part in parts)
    rest: list[object] = [slice(None)] * (x.ndim - named)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts[at : at + 1] = rest
    found, axis = [], 0
    for part in parts:
        found.append((axis, part))
        axis += part is not None
    return found


def _concatenate(axes: Axes, node: Tensor) -> None:
    axis = (node.params or {}).get("axis", 0) or 0
    axis %= node.ndim
    axes.look_into(node, axis)
    for x in node.inputs:
        axes.look_into(x, axis)
        for other in range(x.ndim):
            if other != axis:
                axes.join(node, other, x, other)


def _pick(axes: Axes, node: Tensor) -> None:
    x, at = node.inputs
    index = (node.params or {})["index"]
    if index == (HOLE,):
        axes.look_into(x, 0)
        for axis in range(at.ndim):
            axes.join(node, axis, at, axis)
        for axis in range(1, x.ndim):
            axes.join(node, at.ndim + axis - 1, x, axis)


def _diag(axes: Axes, node: Tensor) -> None:
    (v,) = node.inputs
    if v.ndim == 1:
        axes.join(node, 0, v, 0)
        axes.look_into(v, 0)
        axes.look_into(node, 1)


def said(node: Tensor) -> str:
    """An operation and where it stands, for errors: `cumsum at t=3`, `h (tanh) at encoder, t=3`."""
    op = node.op.name if node.op is not None else "a leaf"
    what = f"{node.name} ({op})" if node.name else op
    return f"{what} at {node.scope}" if str(node.scope) else what


_RULES: dict[str, Callable[[Axes, Tensor], None]] = {
    "matmul": _matmul, "linear": _linear, "sum": _reduction, "add_n": _entrywise, "norm": _looking_reduction,
    "logsumexp": _looking_reduction, "max": _looking_reduction, "min": _looking_reduction, "softmax": _along,
    "log_softmax": _along, "cumsum": _along, "cross_entropy": _cross_entropy, "onehot": _onehot, "reshape": _reshape,
    "transpose": _transpose, "broadcast_to": _entrywise, "getitem": _getitem, "concatenate": _concatenate,
    "pick": _pick, "diag": _diag,
}  # fmt: skip
