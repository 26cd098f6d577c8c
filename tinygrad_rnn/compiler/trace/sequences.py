"""A whole sequence as what it consists of: one tensor for each step.

How operations on sequences become operations on their entries is said in `unstack_rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.declare import record
from ...core.primitive import PRIMITIVES
from ...core.tensor import Tensor

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


class Free(Sequence):
    """What is computed from given sequences alone: it belongs to whatever steps it is used in."""

    def __init__(self, found: Sequence, again: Callable[[list[Any]], Any], given: list[Any]) -> None:
        super().__init__(found.entries, found.steps, found.axis)
        self.again, self.given = again, given
        self._beside: dict[tuple[int, ...], Sequence] = {tuple(found.steps): self}

    def beside(self, steps: list[int]) -> Sequence:
        """The same, computed in other steps."""
        key = tuple(steps)
        if key not in self._beside:
            moved = self.again([x.beside(steps) if isinstance(x, Given | Free) else x for x in self.given])
            alike = isinstance(moved, Sequence) and moved.steps == steps and moved.axis == self.axis
            self._beside[key] = moved if alike else self
        return self._beside[key]

    def entry(self, at: int, step: int | None) -> Tensor:
        """One entry, computed in the step that reads it."""
        if step is None:
            return self.entries[at]
        found = self.beside(list(range(step - at, step - at + len(self.steps))))
        return found.entries[at]


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
