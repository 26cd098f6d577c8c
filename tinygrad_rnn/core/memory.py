"""Whether anybody still holds an array: memory that nobody can see may be written again.

Python counts who holds an object, and a view counts as holding what it is a view of. Fresh memory is not free: its
pages have to be mapped, its address asked for, and none of it is in a cache.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any


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
