"""Whether a recording drew random numbers: they would be the same in every later call.

The states of all generators that a function reaches, and of numpy's and Python's own, are compared before and after.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

Place = tuple[str, Any]


def is_generator(x: Any) -> bool:
    """Whether something draws random numbers."""
    return isinstance(x, np.random.Generator | np.random.RandomState | random.Random)


class Chance:
    """The states of generators, by the names under which they are reached."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._held: list[tuple[str, Callable[[], Any], Callable[[Any], None], Any]] = []
        self._keep("np.random", lambda: np.random.get_state(legacy=False), np.random.set_state)
        self._keep("random", random.getstate, random.setstate)
        for path, x in places:
            if isinstance(x, np.random.Generator):
                bits = x.bit_generator
                self._keep(path, partial(getattr, bits, "state"), partial(setattr, bits, "state"))
            elif isinstance(x, np.random.RandomState):
                self._keep(path, partial(x.get_state, legacy=False), x.set_state)
            else:
                self._keep(path, x.getstate, x.setstate)

    def _keep(self, path: str, get: Callable[[], Any], put: Callable[[Any], Any]) -> None:
        self._held.append((path, get, put, get()))

    def drawn(self) -> str:
        """The generator that has moved on since, all of them put back; empty if none has."""
        found = ""
        for path, get, put, before in self._held:
            if _plain(get()) != _plain(before):
                found = found or path
                put(before)
        return found


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state
