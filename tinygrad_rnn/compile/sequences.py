"""A whole sequence as what it consists of: one tensor for each step.

How operations on sequences become operations on their entries is said in `unstack_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.primitives import PRIMITIVES, record
from ..core.tensor import Tensor

if TYPE_CHECKING:
    from .unstack import Unstacking


class Sequence:
    """A whole sequence as its entries, in the order of the `axis` along which they were stacked; `steps` of each."""

    def __init__(self, entries: list[Tensor], steps: list[int], axis: int = 0) -> None:
        self.entries, self.steps, self.axis = entries, steps, axis


class Given(Sequence):
    """A sequence given by the caller; its entries become leaves of the steps that read them."""

    def __init__(self, owner: Unstacking, node: Tensor, number: int, steps: list[int], axis: int = 0) -> None:
        self.owner, self.node, self.number, self.steps, self.axis = owner, node, number, steps, axis

    @property
    def entries(self) -> list[Tensor]:  # type: ignore[override]
        return [self.entry(at, step) for at, step in enumerate(self.steps)]

    def entry(self, at: int, step: int | None, backwards: bool | None = None) -> Tensor:
        """One entry, as a leaf of the step."""
        way = self.number in self.owner.backwards if backwards is None else backwards
        return self.owner.leaf(self.node, self.number, at % len(self.node), step, way)

    def beside(self, steps: list[int]) -> Sequence:
        """The entries as leaves of other steps: those of a sequence they are used with."""
        if steps == self.steps or len(steps) != len(self.steps):
            return self
        way = len(steps) > 1 and steps[1] < steps[0]
        return Sequence([self.entry(at, step, way) for at, step in enumerate(steps)], steps, self.axis)


# -- single indices -----------------------------------------------------------------------------------------------
def index_of(node: Tensor, axis: int = 0) -> int | None:
    """The entry a `getitem` picks along an axis, None if it picks otherwise."""
    parts = parts_of(node)
    if len(parts) <= axis or any(not isinstance(p, slice) or p != slice(None) for p in parts[:axis]):
        return None
    if isinstance(parts[axis], int | np.integer) and not isinstance(parts[axis], bool):
        return int(parts[axis]) % node.inputs[0].shape[axis]
    return None


def rest_of(node: Tensor, axis: int) -> tuple[Any, ...]:
    """What is picked of the entry."""
    parts = parts_of(node)
    rest = parts[:axis] + parts[axis + 1 :]
    return () if all(isinstance(p, slice) and p == slice(None) for p in rest) else rest


def parts_of(node: Tensor) -> tuple[Any, ...]:
    index = (node.params or {})["index"]
    return index if isinstance(index, tuple) else (index,)


def pick(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    return record(PRIMITIVES["getitem"], (x,), {"index": index})


def same(x: Tensor) -> Tensor:
    return record(PRIMITIVES["identity"], (x,))
