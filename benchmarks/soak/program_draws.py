"""Arguments for random calls of numpy's functions: values that fit, axes, indices, numbers."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import numpy as np


class Ref(NamedTuple):
    """A variable of the program."""

    name: str


class Nothing(Exception):
    """No variable fits; another function is drawn."""


class Draw:
    """What one random call may read; `values` are numpy's, `emit` writes a call that has to come before."""

    def __init__(self, rng: Random, values: dict[str, np.ndarray], emit: Any):
        self.rng, self.values, self.emit = rng, values, emit
        self.read: dict[str, int] = {}

    def of(self, ref: Any) -> np.ndarray:
        return self.values[ref.name]

    def any(self, fits: Any = lambda value: True) -> Ref:
        """A variable for which `fits` holds, rather a late one."""
        names = [name for name, value in self.values.items() if fits(value)]
        if not names:
            raise Nothing
        name = self.rng.choice(names[-4:] if self.rng.random() < 0.6 else names)
        return Ref(name)

    def array(self, least: int = 1, most: int = 9) -> Ref:
        return self.any(lambda value: least <= value.ndim <= most)

    def filled(self, least: int = 1) -> Ref:
        return self.any(lambda value: value.ndim >= least and value.size)

    def like(self, ref: Ref) -> Ref:
        """Of the same shape, another one if there is one."""
        return self.any(lambda value: value.shape == self.of(ref).shape)

    def matrix(self, square: bool = False) -> Ref:
        return self.any(lambda v: v.ndim >= 2 and (not square or v.shape[-1] == v.shape[-2]) and v.shape[-1] > 0)

    def pair(self) -> tuple[Any, Any]:
        """Two that broadcast; one may be a number."""
        first = self.any()
        if self.rng.random() < 0.2:
            return self.rng.sample([first, self.number()], 2)  # type: ignore[return-value]

        def fits(value: np.ndarray) -> bool:
            try:
                return len(np.broadcast_shapes(value.shape, self.of(first).shape)) <= 4
            except ValueError:
                return False

        return first, self.any(fits)

    def number(self) -> Any:
        return self.rng.choice((2, 3, -1, 0.5, -1.5, 2.0, 0.7))

    # -- where a function is smooth -----------------------------------------------------------------------------------
    def bounded(self, largest: float) -> Ref:
        ref = self.any()
        if np.abs(self.of(ref)).max(initial=0.0) <= largest:
            return ref
        return self.emit("np.multiply", (self.emit("np.tanh", (ref,)), largest))

    def positive(self) -> Ref:
        ref = self.any()
        if self.of(ref).min(initial=1.0) >= 0.1:
            return ref
        return self.emit("np.add", (self.emit("np.multiply", (ref, ref)), 0.5))

    def away_from_zero(self) -> Ref:
        ref = self.any()
        return ref if np.abs(self.of(ref)).min(initial=1.0) >= 0.1 else self.positive_of(ref)

    def positive_of(self, ref: Ref) -> Ref:
        return self.emit("np.add", (self.emit("np.multiply", (ref, ref)), 0.5))

    # -- axes and indices ---------------------------------------------------------------------------------------------
    def axis(self, ref: Ref, none: bool = True, several: bool = True) -> Any:
        """One axis counted from either end, None, or some of them."""
        ndim = self.of(ref).ndim
        if none and (ndim == 0 or self.rng.random() < 0.25):
            return None
        if not ndim:
            raise Nothing
        if several and self.rng.random() < 0.3:
            axes = self.rng.sample(range(ndim), self.rng.randint(1, ndim))
            return tuple(axis - ndim if self.rng.random() < 0.5 else axis for axis in axes)
        return self.rng.randrange(-ndim, ndim)

    def options(self, **choices: Any) -> dict[str, Any]:
        """Each of the keywords, or not."""
        return {name: self.rng.choice(values) for name, values in choices.items() if self.rng.random() < 0.3}

    def index(self, shape: tuple[int, ...]) -> Any:
        """What may stand in brackets: numbers, slices, None, an ellipsis, arrays of numbers, a mask."""
        rng = self.rng
        if rng.random() < 0.1:
            return np.array([rng.random() < 0.5 for _ in range(int(np.prod(shape)))], dtype=bool).reshape(shape)
        parts: list[Any] = []
        for length in shape[: rng.randint(0, len(shape))]:
            kind = rng.randrange(8)
            if kind == 0 and length:
                parts.append(rng.randrange(-length, length))
            elif kind == 1:
                parts.append(
                    slice(rng.choice((None, 0, 1, -2)), rng.choice((None, 2, -1)), rng.choice((None, 1, 2, -1)))
                )
            elif kind == 2 and length:
                parts.append(np.array([rng.randrange(-length, length) for _ in range(rng.choice((1, 2, 3)))]))
            elif kind == 3 and length:
                rows = [[rng.randrange(length) for _ in range(2)] for _ in range(rng.choice((1, 2)))]
                parts.append(np.array(rows))
            elif kind == 4:
                parts.append(np.array([rng.random() < 0.6 for _ in range(length)], dtype=bool))
            elif kind == 5 and length:
                parts.append([rng.randrange(length) for _ in range(2)])
            else:
                parts.append(slice(None))
        if rng.random() < 0.3:
            parts.insert(rng.randint(0, len(parts)), None)
        if rng.random() < 0.25:
            parts.append(Ellipsis)
            named = sum(part is not None for part in parts)
            if named <= len(shape) and shape and shape[-1] and rng.random() < 0.5:
                parts.append(rng.randrange(shape[-1]))
        return tuple(parts) if len(parts) != 1 or rng.random() < 0.5 else parts[0]
