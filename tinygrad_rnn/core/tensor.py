"""The Tensor: a value that remembers how it was computed, and so is the node of the graph.

Here a node is made and looks like a number. Pointers run backwards only, so dropping an output frees its graph by
reference counting. What operations exist and how they are differentiated belongs to `declare` and the tables of `ops`;
they are only asked here, by numpy's own spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DtypeError, GraphError, NotDifferentiableError, ReadOnlyError, ShapeError
from .looks import UNCOPIED, note_look
from .primitive import Primitive
from .scope import ROOT, Scope, current
from .signatures import called, folded, spelled
from .spellings import way

#: a Python float or an ndarray; Any, because `type(x) is float` narrows nothing for a type checker
Value = Any

next_id = count().__next__

#: numpy function or ufunc -> our function of the same meaning
DIFFERENTIABLE: dict[Any, Callable[..., Any]] = {}
#: numpy functions whose result is a plain value even on Tensors: comparisons, rounding, shapes
PLAIN: set[Any] = set()


class Tensor:
    """A scalar or array that knows the operation and the inputs it came from.

    `value` is a Python float for a float64 scalar and an ndarray otherwise. `op`, `inputs` and `params` say how it was
    computed (`op` is None for a leaf); `name` and `scope` say which quantity of the model it is, and at which time
    step. `id` grows, so sorting by it is a topological order. Make leaves with `tensor`, never by calling this class.
    """

    __slots__ = (
        "__weakref__", "_grad", "_graded", "id", "inputs", "name", "op", "params", "requires_grad", "scope", "value",
    )  # fmt: skip

    def __init__(
        self, value: Value, op: Primitive | None, inputs: tuple[Tensor, ...], params: dict[str, Any] | None,
        name: str | None, scope: Scope, requires_grad: bool,
    ) -> None:  # fmt: skip
        self.value = value
        self.op = op
        self.inputs = inputs
        self.params = params
        self.name = name
        self.scope = scope
        self.id = next_id()
        self.requires_grad = requires_grad

    if TYPE_CHECKING:
        # attached by the modules that define them: the tables of `ops`, `autodiff`
        def __add__(self, other: Any) -> Tensor: ...

        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __add__

        def __neg__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def backward(self) -> None: ...

    # -- what it is -------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis; `()` for a scalar."""
        return () if type(self.value) is float else self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return 1 if type(self.value) is float else self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """numpy's dtype of the value; float64 for a scalar held as a Python float."""
        return np.dtype(np.float64) if type(self.value) is float else self.value.dtype

    @property
    def T(self) -> Tensor:
        """The transpose (axes reversed)."""
        return DIFFERENTIABLE[np.transpose](self)

    @property
    def grad(self) -> Value | None:
        """The sum of what each `backward()` since the last `zero_grad()` added here; None before."""
        try:
            return _grad_of(self)  # the slot itself: a missing one is no question for __getattr__
        except AttributeError:
            return None

    @grad.setter
    def grad(self, value: Value | None) -> None:
        self._grad, self._graded = value, next_id()

    @property
    def graded(self) -> int:
        """When `.grad` was last given by `backward()`, `zero_grad()` or by hand: a number that grows, 0 for never."""
        try:
            return _graded_of(self)
        except AttributeError:
            return 0

    def replace_grad(self, value: Value) -> None:
        """Put another value in place of the gradient, as clipping does, without making it a new one."""
        self._grad = value

    def item(self, *place: int) -> float:
        """The value, or the entry at a place, as a Python float; raises numpy's error unless that is one entry."""
        if self.requires_grad:
            note_look()
        return self.value if type(self.value) is float and not place else np.asarray(self.value).item(*place)

    def numpy(self) -> np.ndarray:
        """The value as a read-only array: a graph may still need it."""
        if self.requires_grad:
            note_look()
        array = np.asarray(self.value).view()
        array.flags.writeable = False
        return array

    def detach(self) -> Tensor:
        """The same value as a leaf without history: gradients stop here (`stop` does so and stays in the graph)."""
        return Tensor(self.value, None, (), None, None, current(), False)

    def assign(self, value: Any) -> None:
        """Give a leaf another value of the same shape, as an optimiser's step does; the dtype stays.

        A graph recorded before keeps its values, but differentiating it raises `GraphError`: it would mix old values
        with new ones. Raises `GraphError` for a tensor that was computed, `ShapeError` for another shape.

        >>> import tinygrad_rnn as tg
        >>> w = tg.tensor(2.0, name="w")
        >>> w.assign(1.5)
        >>> w
        tensor(1.5, name='w')
        """
        if self.op is not None:
            raise GraphError(f"assign: {self!r} was computed; only a leaf takes another value")
        held = as_value(plain(value)) if type(self.value) is float else np.array(plain(value), self.dtype)
        if np.shape(held) != self.shape:
            raise ShapeError(
                f"assign: {self.name or 'the leaf'} has shape {self.shape}, the new value {np.shape(held)}"
            )
        if type(self.value) is float:
            held = float(held)
        else:
            held.flags.writeable = False
        self.value, self.id = held, next_id()

    def hand_over(self, held: np.ndarray) -> None:
        """`assign` without a copy, for who made this array of the leaf's shape and dtype and never writes to it again.

        It has to be read-only. A leaf held as a Python float takes it out of the array.
        """
        self.value, self.id = float(held) if type(self.value) is float else held, next_id()

    def __copy__(self) -> Tensor:
        return Tensor(self.value, self.op, self.inputs, self.params, self.name, self.scope, self.requires_grad)

    # -- how it looks -----------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        made = "" if self.op is None else f", op={self.op.name}"
        named = "" if self.name is None else f", name={self.name!r}"
        value = np.array2string(np.asarray(self.value), precision=6, separator=", ", threshold=20)
        return f"tensor({value}{named}{made})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar Tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        if self.requires_grad:
            raise NotDifferentiableError(
                "this call would turn a Tensor into a plain float and lose its gradient: "
                "use t.item() if that is meant, the numpy function (np.tanh for math.tanh), or np.stack([a, b]) for an "
                "array of Tensors (an array's own entries hold plain numbers); initial= and its like take plain "
                "numbers where the arrays are plain: np.sum(a) + t in place of np.sum(a, initial=t)"
            )
        return float(self.item())

    def __bool__(self) -> bool:
        return bool(self.value)

    __hash__ = object.__hash__

    # -- values never change while a graph can see them -------------------------------------------------------------
    def __setitem__(self, key: object, value: object) -> None:
        raise ReadOnlyError(
            "a Tensor is not written in place, because the graph still needs its old value: "
            "build the new one with np.stack or np.concatenate from its parts, or np.where(mask, new, old)"
        )

    def _refuse_in_place(self, other: object) -> Tensor:
        return NotImplemented  # Python then falls back to the plain operator and rebinds the name

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse_in_place

    # -- numpy's spelling -------------------------------------------------------------------------------------------
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "__call__":
            ours = DIFFERENTIABLE.get(ufunc)
            if ours is not None and not kwargs:
                return ours(*args)
            return _dispatch(ufunc, args, kwargs)
        if method == "outer":
            left, right = (x if isinstance(x, Tensor) else np.asarray(x) for x in args)
            spread = DIFFERENTIABLE[np.reshape](left, left.shape + (1,) * right.ndim)
            return _dispatch(ufunc, (spread, right), kwargs)
        if ufunc in PLAIN:
            return getattr(ufunc, method)(*map(plain, args), **_without_tensors(ufunc, kwargs))
        function, options = folded(ufunc, method, args, kwargs)
        return _dispatch(function, (options.pop("a"),), options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _dispatch(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad or UNCOPIED.get():
            raise NotDifferentiableError(
                "this call would turn a Tensor into a plain array and lose its gradient: use np.stack([a, b]) for an "
                "array of Tensors, np.dot(a, t) for a.dot(t), t.numpy() if the plain value is meant, or a function "
                "with a declared derivative"
            )
        return np.array(self.value, dtype) if copy else np.asarray(self.numpy(), dtype)


_grad_of, _graded_of = Tensor.__dict__["_grad"].__get__, Tensor.__dict__["_graded"].__get__


def _dispatch(function: Any, args: Any, kwargs: Any) -> Any:
    ours = DIFFERENTIABLE.get(function)
    if ours is not None:
        return called(function, ours, args, kwargs)
    if function in PLAIN:
        return function(*map(plain, args), **_without_tensors(function, kwargs))
    raise NotDifferentiableError(
        f"{spelled(function)} has no declared derivative, so it would lose the gradient: "
        f"{way(function.__name__)}, or call it on t.numpy() if a plain value is meant"
    )


def _without_tensors(function: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    out = kwargs.get("out")
    if any(isinstance(x, Tensor) for x in (out if isinstance(out, tuple) else (out,))):
        raise ReadOnlyError(f"{spelled(function)}: out= is a Tensor, which is never written to: use the result")
    return {key: plain(value) for key, value in kwargs.items()}


def plain(x: Any) -> Any:
    """The value behind a Tensor, also inside lists and tuples; anything else as it is."""
    if isinstance(x, Tensor):
        return x.value
    if isinstance(x, (list, tuple)):
        return type(x)([plain(part) for part in x])
    return x


def tensor(value: Any, name: str | None = None, requires_grad: bool = True) -> Tensor:
    """Make a leaf of the graph from a number or anything `np.asarray` takes.

    A float64 scalar is held as a Python float, everything else as an ndarray of its own dtype (float32 stays float32).
    The array is copied, so later writes to the original do not reach the graph. Raises `DtypeError` when
    `requires_grad` is asked of integers, booleans, complex numbers or objects. Raises `NotDifferentiableError` for
    Tensors in it that ask for a gradient.

    >>> import tinygrad_rnn as tg
    >>> W = tg.tensor([[1.0, 2.0]], name="W")
    >>> W.shape, W.name, W.requires_grad
    ((1, 2), 'W', True)
    """
    if _asks_for_gradient(value):
        raise NotDifferentiableError(
            "tensor makes a leaf, and this one would lose the gradient of the Tensors in it: join them with "
            "np.stack or np.concatenate, use a Tensor as it is, or give x.detach() or x.numpy() if a copy is meant"
        )
    held = as_value(plain(value), copy=True)
    if type(held) is not float:
        if held.dtype.kind in "OUSV":
            raise DtypeError(f"a Tensor holds numbers, not {held.dtype} ({_short(value)})")
        if requires_grad and held.dtype.kind != "f":
            raise DtypeError(
                f"values of dtype {held.dtype} are never differentiated: write them as floats "
                f"({_short(value)} -> .astype(float)), or pass requires_grad=False"
            )
    if type(held) is not float:
        held.flags.writeable = False  # the graph needs the value as it is
    return Tensor(held, None, (), None, name, current(), requires_grad)


def _asks_for_gradient(x: Any) -> bool:
    return x.requires_grad if isinstance(x, Tensor) else isinstance(x, list | tuple) and any(map(_asks_for_gradient, x))


def constant(value: Any) -> Tensor:
    """A leaf for a number or array met in an operation; it never requires a gradient.

    An object that stands for a Tensor says so by a method `__tensor__`, and is that Tensor. Raises `DtypeError` for
    what holds no numbers.
    """
    if type(value) is float:
        return Tensor(value, None, (), None, None, ROOT, False)
    if isinstance(value, int) and not isinstance(value, bool):
        return Tensor(float(value), None, (), None, None, ROOT, False)
    if hasattr(value, "__tensor__"):
        return value.__tensor__()
    held = as_value(value, copy=True)  # a buffer that its owner fills anew must not change the graph
    if type(held) is not float and held.dtype.kind not in "fiubc":
        raise DtypeError(f"cannot compute with a value of type {type(value).__name__}: {_short(value)}")
    return Tensor(held, None, (), None, None, ROOT, False)


def as_value(x: Any, copy: bool = False) -> Value:
    """A Python float for a float64 scalar, an ndarray for everything else."""
    if type(x) is float:
        return x
    array = np.array(x) if copy else np.asarray(x)
    if array.ndim == 0 and array.dtype == np.float64:
        return float(array)
    return array


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
