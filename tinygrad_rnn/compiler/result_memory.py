"""Memory for what a compiled function answers: used again by the next call, unless somebody holds any of it.

What stands in it, and how it is computed, is the business of `run_numpy` and `run_jit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ..core.memory import holders

Shapes = Sequence[tuple[tuple[int, ...], np.dtype[Any]]]


class Results:
    """Arrays for results, and of these the parts that are outputs: (number of the result, which part) for each.

    `together`: results of one dtype lie in one block, one after the other, and who keeps one keeps all. `held`: how
    many of the results whoever computes them holds by himself.
    """

    def __init__(
        self, outputs: Sequence[tuple[int, Callable[[np.ndarray], np.ndarray]]], together: bool, held: int = 0
    ) -> None:
        self._outputs, self._together, self._held = outputs, together, held
        self._arrays: list[np.ndarray] = []
        self._own = 0  # how many of them are views of others
        self._places: list[int] = []
        self._shapes: Shapes | None = None

    def renewed(self, shapes: Shapes) -> list[np.ndarray] | None:
        """New arrays of these shapes and dtypes; None if the last ones are of these and nobody holds them."""
        if shapes == self._shapes and holders(self._arrays) == self._own + self._held:
            return None
        blocks, results = _blocks(shapes) if self._together else ([], [np.empty(*each) for each in shapes])
        self._own = len(results) if self._together else 0
        self._arrays, self._shapes, self._places = [*blocks, *results], shapes, []
        for number, part in self._outputs:
            seen = part(results[number])
            if seen is results[number]:
                self._places.append(len(blocks) + number)
            else:
                self._places.append(len(self._arrays))
                self._arrays.append(seen)
                self._own += 1
        return results

    def __iter__(self) -> Any:
        """The outputs, in order."""
        return map(self._arrays.__getitem__, self._places)


def _blocks(shapes: Shapes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A block of memory for each dtype, and arrays in them, in order."""
    sizes: dict[Any, int] = {}
    places = []
    for shape, dtype in shapes:
        places.append(sizes.get(dtype, 0))
        sizes[dtype] = places[-1] + prod(shape)
    blocks = {dtype: np.empty(size, dtype) for dtype, size in sizes.items()}
    placed = zip(places, shapes, strict=True)
    return [*blocks.values()], [blocks[dtype][at : at + prod(shape)].reshape(shape) for at, (shape, dtype) in placed]
