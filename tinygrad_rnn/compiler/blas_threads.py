"""Small products on one thread, whatever BLAS would do: threads that wait for each other cost more than they bring.

Here numpy's (and scipy's) OpenBLAS is asked and told how many threads it takes. Where there is another library, or one
thread anyway, nothing is done.
"""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

from .planning.plan import Loop, Plan, walk

#: multiplications of one product of a loop, up to which one thread is sooner ready than two that have to meet: at 60
#: billion a second (float32, one core) they take 70 us, of which two threads can save half
SMALL = 4_000_000


@cache
def function(question: str, package: str = "numpy") -> Any:
    """A function of the OpenBLAS that a package brings, such as `get_num_threads`; None where there is none."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    for path in sorted([*folder.parent.glob(f"{package}.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]):
        library = ctypes.CDLL(str(path))  # loaded already: this is a second handle to the same
        for start in ("scipy_openblas", "openblas"):
            for end in ("64_", ""):
                found = getattr(library, f"{start}_{question}{end}", None)
                if found is not None:
                    return found
    return None


def calm(plan: Plan, package: str) -> AbstractContextManager[Any]:
    """A block in which a plan runs: on one thread, if all products of its loops are small."""
    products = [i for s in walk(plan.stages) if isinstance(s, Loop) for i in s.body if i.op == "dot"]
    small = all(prod(i.out.shape) * i.refs[0].shape[-1] <= SMALL for i in products)
    get, put = function("get_num_threads", package), function("set_num_threads", package)
    if not products or not small or get is None or put is None or get() == 1:
        return nullcontext()
    return _one_thread(package)


@cache
def _one_thread(package: str) -> OneThread:
    return OneThread(function("get_num_threads", package), function("set_num_threads", package))


class OneThread:
    """Blocks with one thread; as many as before when the last of them, in whichever thread, has ended."""

    def __init__(self, get: Any, put: Any) -> None:
        self._get, self._put = get, put
        self._lock, self._inside, self._before = Lock(), 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = self._get()
                self._put(1)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._put(self._before)
