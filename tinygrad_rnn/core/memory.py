"""Where arrays lie in memory, and whether anybody still holds them: what nobody can see may be written again.

Python counts who holds an object, and a view counts as holding what it is a view of. Fresh memory is not free: its
pages have to be mapped, its address asked for, and none of it is in a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any
from weakref import WeakMethod, ref

import numpy as np


def _count(items: list[Any]) -> int:
    return sum(map(getrefcount, items))


#: what the list itself and the question count for
_OWN = _count([object()])


def holders(arrays: list[Any]) -> int:
    """How many others than this list hold the arrays in it, each view of one of them counted.

    >>> import numpy as np
    >>> from tinygrad_rnn.core.memory import holders
    >>> arrays = [np.zeros(3), np.zeros(2)]
    >>> view = arrays[0][1:]
    >>> holders(arrays)
    1
    """
    return _count(arrays) - _OWN * len(arrays)


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that does not keep its object alive, to be kept by what the object itself keeps.

    >>> from tinygrad_rnn.core.memory import weakly
    >>> class Counter:
    ...     def add(self, n): return n + 1
    >>> counter = Counter()
    >>> weakly(counter.add)(2)
    3
    """
    held = WeakMethod(method)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = held()
        if found is None:
            raise ReferenceError("the object of this method is gone")
        return found(*args, **kwargs)

    return call


class Stretch:
    """Sees arrays that lie one after the other in one block of memory as one array; looks once for the same arrays.

    >>> import numpy as np
    >>> from tinygrad_rnn.core.memory import Stretch
    >>> block = np.arange(6.0)
    >>> stretch = Stretch()
    >>> stretch([block[1:3].reshape(1, 2), block[3:5]])
    array([1., 2., 3., 4.])
    >>> stretch([block[3:5], block[1:3]]) is None
    True
    """

    def __init__(self) -> None:
        self._seen: list[ref[np.ndarray]] = []
        self._place: slice | None = None

    def __call__(self, arrays: Sequence[Any]) -> np.ndarray | None:
        """What the arrays are together, without a copy; None where they do not lie so."""
        first = arrays[0]
        block = first.base if type(first) is np.ndarray else None
        if type(block) is not np.ndarray or block.ndim != 1 or block.dtype != first.dtype:
            return None
        if len(self._seen) != len(arrays) or not all(seen() is x for seen, x in zip(self._seen, arrays, strict=True)):
            self._place = _place(block, arrays)
            self._seen = [ref(x) for x in arrays] if self._place is not None else []
        return None if self._place is None else block[self._place]


def _place(block: np.ndarray, arrays: Sequence[Any]) -> slice | None:
    """Which entries of a block the arrays are, if they lie there one after the other."""
    start = at = _address(arrays[0])
    for x in arrays:
        if type(x) is not np.ndarray or x.base is not block or x.dtype != block.dtype or not x.flags.c_contiguous:
            return None
        if _address(x) != at:
            return None
        at += x.nbytes
    offset, size = start - _address(block), block.itemsize
    return slice(offset // size, (offset + at - start) // size) if block.flags.c_contiguous else None


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
