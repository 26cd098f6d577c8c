"""Record a forward function that writes its states into arrays made beforehand: `h = np.zeros(...)`, `h[:, t] = ...`.

A Tensor cannot be written into a numpy array. So while such a function runs, the numpy that its module sees makes
arrays of a kind that remembers which Tensor was written where, and gives it back when that place is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from ...core.errors import NotDifferentiableError
from ...core.tensor import Tensor, constant


class WrittenArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array into which Tensors may be written.

    >>> import tinygrad_rnn as tg
    >>> h = WrittenArray(np.zeros((2, 3)))
    >>> h[0] = tg.tensor([1.0, 2.0, 3.0], name="x")
    >>> h[0].name, h.whole().shape
    ('x', (2, 3))
    """

    def __init__(self, start: Any) -> None:
        shape = np.shape(start) if not isinstance(start, Tensor) else start.shape
        self._parts: list[Any] = [start]
        self._ends = [int(np.prod(shape))]
        self._where = np.arange(self._ends[0]).reshape(shape)
        self._whole: Any = start

    def whole(self) -> Any:
        """All of it: a Tensor if one was written anywhere, else an array that is not written to."""
        if self._whole is None:
            self._whole = np.concatenate([np.reshape(part, (-1,)) for part in self._parts])[self._where]
        return self._whole if isinstance(self._whole, Tensor) else _read_only(self._whole)

    def __setitem__(self, key: Any, value: Any) -> None:
        value = value.whole() if isinstance(value, WrittenArray) else value
        shape = self._where[key].shape
        if np.shape(value) != shape if not isinstance(value, Tensor) else value.shape != shape:
            value = np.broadcast_to(value, shape)
        start, size = self._ends[-1], int(np.prod(shape))
        where = self._where.copy()
        where[key] = np.arange(start, start + size).reshape(shape)
        self._parts.append(value)
        self._ends.append(start + size)
        self._where, self._whole = where, None

    def __getitem__(self, key: Any) -> Any:
        where = np.asarray(self._where[key])
        if where.size:
            first = int(where.flat[0])
            part = int(np.searchsorted(self._ends, first, side="right"))
            begin = self._ends[part - 1] if part else 0
            value = self._parts[part]
            shape = value.shape if isinstance(value, Tensor) else np.shape(value)
            if shape == where.shape and np.array_equal(where.ravel(), np.arange(begin, self._ends[part])):
                return value if isinstance(value, Tensor) else _read_only(value)
        return self.whole()[key]

    # -- as numpy sees it --------------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = getattr(ufunc, method)(*[_whole(x) for x in args], **{k: _whole(v) for k, v in kwargs.items()})
        return result if out is None else _into(out[0], result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        result = function(*_whole(args), **{k: _whole(v) for k, v in kwargs.items()})
        return result if out is None else _into(out, result)

    def __tensor__(self) -> Tensor:
        whole = self.whole()
        return whole if isinstance(whole, Tensor) else constant(whole)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.whole()
        if isinstance(whole, Tensor):
            raise NotDifferentiableError("this call would turn a Tensor into a plain array and lose its gradient")
        return np.array(whole, dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self._where.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._where.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._where.size

    @property
    def dtype(self) -> np.dtype:
        """The type of the array it was at first."""
        return np.asarray(getattr(self._parts[0], "value", self._parts[0])).dtype

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def copy(self) -> WrittenArray:
        """An array of its own with the same entries."""
        return WrittenArray(self.whole())

    def fill(self, value: Any) -> None:
        """Write one number everywhere."""
        self[...] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.whole(), name)


def _whole(x: Any) -> Any:
    if isinstance(x, WrittenArray):
        return x.whole()
    return type(x)(_whole(part) for part in x) if type(x) in (list, tuple) else x


def _into(out: Any, result: Any) -> Any:
    out[...] = result
    return out


def _read_only(array: Any) -> Any:
    """What is read is a copy, so writing into it would be lost: it raises instead."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


class _Numpy:
    """numpy, but for the functions that make arrays to be written into."""

    def __getattr__(self, name: str) -> Any:
        original = getattr(np, name)
        return _MAKERS.get(name, original)


def _made(make: Any) -> Any:
    return lambda *args, **kwargs: _if_floats(make(*args, **kwargs))


def _like(make: Any) -> Any:
    return lambda x, *args, **kwargs: _if_floats(make(_plain_like(x), *args, **kwargs))


def _if_floats(array: np.ndarray) -> Any:
    """Only what may hold a Tensor: class numbers and masks stay arrays."""
    return WrittenArray(array) if array.dtype.kind == "f" else array


def _plain_like(x: Any) -> np.ndarray:
    return np.empty(x.shape) if isinstance(x, (Tensor, WrittenArray)) else np.asarray(x)


_MAKERS: dict[str, Any] = {
    "zeros": _made(np.zeros),
    "ones": _made(np.ones),
    "empty": _made(np.zeros),
    "zeros_like": _like(np.zeros_like),
    "ones_like": _like(np.ones_like),
    "empty_like": _like(np.zeros_like),
    "copy": lambda x: (
        x.copy() if isinstance(x, WrittenArray) else WrittenArray(x) if isinstance(x, Tensor) else np.copy(x)
    ),
}


@contextmanager
def numpy_that_remembers(functions: list[FunctionType]) -> Iterator[None]:
    """Let the modules of these functions see a numpy whose new arrays take Tensors, until the block ends or raises."""
    scopes = {id(function.__globals__): function.__globals__ for function in functions}
    changed = [(scope, key, value) for scope in scopes.values() for key, value in scope.items() if _stand_in(value)]
    try:
        for scope, key, value in changed:
            scope[key] = _stand_in(value)
        yield
    finally:
        for scope, key, value in changed:
            scope[key] = value


def _stand_in(value: Any) -> Any:
    """What stands for numpy, or for a function imported from it."""
    if value is np:
        return _Numpy()
    name = getattr(value, "__name__", "")
    return _MAKERS[name] if name in _MAKERS and value is getattr(np, name, None) else None
