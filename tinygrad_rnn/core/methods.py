"""The methods numpy users expect of an array: each is numpy's function of the same name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import tensor as tensor_module
from .declare import optional, spells
from .errors import DtypeError, NotDifferentiableError
from .looks import UNCOPIED
from .ops import joining, ordering, statistics  # noqa: F401 - whose functions are to be named
from .ops.linalg import matrix_transpose
from .ops.special import astype
from .signatures import spelled
from .spellings import SPELLINGS, hint
from .tensor import DIFFERENTIABLE, Tensor


def method(function: Any) -> Callable[..., Any]:
    """A numpy function as a method of Tensors, with the function's own arguments."""

    def call(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return tensor_module._dispatch(function, (self, *args), kwargs)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = f"`{spelled(function)}` of this tensor, with the same arguments."
    return call


#: numpy's functions that are methods; in contrast to an array's, `sort` returns the sorted tensor
METHODS = (
    np.all, np.any, np.argmax, np.argmin, np.argsort, np.clip, np.copy, np.cumprod, np.cumsum,
    np.diagonal, np.dot, np.max, np.mean, np.min, np.nonzero, np.prod, np.ravel, np.repeat, np.round, np.sort,
    np.squeeze, np.std, np.sum, np.swapaxes, np.take, np.trace, np.var, np.partition, np.searchsorted,
)  # fmt: skip

for _function in METHODS:
    setattr(Tensor, _function.__name__, method(_function))
for _name, _same in {"flatten": np.ravel, "conj": np.conjugate}.items():
    setattr(Tensor, _name, method(_same))


def _astype(self: Tensor, dtype: Any, order: str = "K", casting: str = "unsafe", copy: bool = True) -> Any:
    """The same numbers in another dtype; see `astype`. How they lie in memory makes no difference."""
    if not np.can_cast(self.dtype, dtype, casting):  # type: ignore[arg-type]
        raise DtypeError(f"astype: cannot cast {self.dtype} to {np.dtype(dtype)} by the rule {casting!r}")
    return astype(self, dtype)


def _tolist(self: Tensor) -> Any:
    """The value as a float or as nested lists of them."""
    return (np.asarray(self) if UNCOPIED.get() else self.numpy()).tolist()


def _format(self: Tensor, spec: str) -> str:
    if not spec:
        return str(self)
    return format(self.item() if self.size == 1 else self.value, spec)


def _torch_function(cls: type, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    name = getattr(function, "__name__", str(function))
    raise NotDifferentiableError(
        f"torch.{name} takes torch's tensors, not those of tinygrad_rnn{hint(name, DIFFERENTIABLE)}"
    )


for _name, _method in {
    "astype": _astype, "tolist": _tolist, "__round__": method(np.round), "__format__": _format,
    "__torch_function__": classmethod(_torch_function),
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
Tensor.mT = property(matrix_transpose, doc="The transpose of each matrix (the last two axes).")  # type: ignore[attr-defined]


class Elsewhere:
    """A name that a Tensor does not have, but numpy or torch do: asking for it says how it is written here.

    Names are listed because a `__getattr__` would slow every attribute of every node down, to half the speed.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        raise AttributeError(f"a Tensor has no attribute {self.name!r}{hint(self.name, DIFFERENTIABLE)}")


def _elsewhere() -> set[str]:
    """What numpy's functions on Tensors and torch's spellings are called."""
    named = {function.__name__ for function in DIFFERENTIABLE} | set(SPELLINGS)
    return {name for name in named if not hasattr(Tensor, name)}


def _dir(self: Tensor) -> list[str]:
    return [name for name in object.__dir__(self) if not isinstance(Tensor.__dict__.get(name), Elsewhere)]


Tensor.__dir__ = _dir  # type: ignore[method-assign, assignment]
for _name in _elsewhere():
    _missing = Elsewhere()
    _missing.__set_name__(Tensor, _name)
    setattr(Tensor, _name, _missing)


@spells(optional(np, "astype"))
def _astype_function(x: Any, dtype: Any, copy: bool = True) -> Any:
    return astype(x, dtype)
