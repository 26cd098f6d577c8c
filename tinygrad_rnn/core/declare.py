"""How a primitive is declared, and how an application of it becomes a node.

A primitive is declared once, in one place: what it computes, its derivative, its label in pictures. Its vector-Jacobian
product (VJP) is written with operators and numpy's spelling only, so on raw arrays it is numeric backpropagation and on
Tensors it builds the gradient as another graph. The declarations themselves stand in the tables of `ops`; shapes that
broadcasting changed are restored by `backward`, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .errors import NotDifferentiableError, ShapeError, TinygradError
from .primitive import PRIMITIVES, Primitive, Vjp
from .scope import ROOT, current
from .signatures import WIDE
from .spellings import KEYWORDS
from .tensor import DIFFERENTIABLE, Tensor, as_value, constant, plain


def spells(*functions: Any, wide: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Reach the decorated function through these numpy functions as well; `wide`: only where one of the rarer
    arguments is given, which this form takes.
    """

    def register(ours: Callable[..., Any]) -> Callable[..., Any]:
        known = [function for function in functions if function is not None]
        (WIDE if wide else DIFFERENTIABLE).update(dict.fromkeys(known, ours))
        return ours

    return register


def record(op: Primitive, inputs: tuple[Tensor, ...], params: dict[str, Any] | None = None) -> Tensor:
    """Compute `op` on the inputs and return the new node; `ShapeError` names the operation and where it stands."""
    values = [x.value for x in inputs]
    try:
        value = op.forward(*values) if params is None else op.forward(*values, **params)
    except TinygradError:
        raise
    except TypeError:
        for key in KEYWORDS.keys() & (params or {}).keys():
            raise TypeError(
                f"{op.name}: unexpected keyword argument {key}=: numpy's name is {KEYWORDS[key]}="
            ) from None
        raise
    except (ValueError, IndexError, np.exceptions.AxisError) as error:
        raise _misfit(op, inputs, error) from None
    if type(value) is not np.ndarray or not value.ndim:
        value = as_value(value)
    if type(value) is np.ndarray:
        value.setflags(False)  # type: ignore[call-arg]
    scope = current()
    if not scope.recording:
        return Tensor(value, None, (), None, None, scope, False)
    if params is not None:
        params = frozen(params)
    needs = False
    if op.differentiable:
        for x in inputs:
            if x.requires_grad:
                needs = True
                break
    return Tensor(value, op, inputs, params, None, scope, needs)


#: what is in a static parameter that somebody else could change, or that could hold such a thing
_CHANGEABLE = (np.ndarray, list, tuple, dict)


def frozen(part: Any) -> Any:
    """A static parameter that its owner cannot change: arrays and lists in it are copied, as constants are."""
    kind = type(part)
    if kind is np.ndarray:
        if part.flags.writeable or part.base is not None:
            part = part.copy()
            part.setflags(False)
        return part
    if kind is list or kind is tuple or kind is dict:
        for item in part.values() if kind is dict else part:
            if type(item) in _CHANGEABLE:
                break
        else:
            return part[:] if kind is list else part
        if kind is dict:
            return {key: frozen(value) for key, value in part.items()}
        return kind([frozen(value) for value in part])
    return part


def _misfit(op: Primitive, inputs: tuple[Tensor, ...], error: Exception) -> ShapeError:
    where = str(current())
    shapes = f" {op.label} ".join(_describe(x) for x in inputs) if len(inputs) > 1 else _describe(inputs[0])
    return ShapeError(f"{op.name}{f' at {where}' if where else ''}: {shapes}: {_reason(str(error))}")


def _reason(message: str) -> str:
    """numpy's reason in a reader's words."""
    if "gufunc" in message or "not aligned" in message:
        return "the inner lengths differ"
    return "the shapes do not broadcast" if "broadcast" in message else message


def _describe(x: Tensor) -> str:
    return f"{x.name} {x.shape}" if x.name else str(x.shape)


def primitive(
    name: str, *spellings: Any, inputs: int | None = 1, vjp: Vjp | tuple[Vjp, ...] = (), **printed: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated forward function as a primitive.

    The first `inputs` arguments are differentiated, the others are static parameters; `inputs=None` takes one sequence
    of inputs. `vjp` is a tuple with one function per input, or a single function that returns the tuple.
    """

    def declare(forward: Callable[..., Any]) -> Callable[..., Any]:
        rules: dict[str, Any] = {"separate": vjp} if isinstance(vjp, tuple) else {"joint": vjp}
        target = _spread(forward) if inputs is None else forward
        op = PRIMITIVES[name] = Primitive(name, target, **rules, **printed)
        call = _sequence_call(op, forward) if inputs is None else _call(op, forward, inputs)
        spells(*spellings)(call)
        return call

    return declare


def _call(op: Primitive, forward: Callable[..., Any], inputs: int) -> Callable[..., Any]:
    static = forward.__code__.co_varnames[inputs : forward.__code__.co_argcount]

    @wraps(forward)
    def call(*args: Any, **params: Any) -> Any:
        xs = args if len(args) == inputs else args[:inputs]
        for x in xs:
            if type(x) is Tensor:
                break
        else:
            return forward(*args, **params)
        if len(args) > inputs:
            params.update(zip(static, args[inputs:], strict=False))
        for x in xs:
            if type(x) is not Tensor:
                xs = tuple([x if type(x) is Tensor else constant(x) for x in xs])
                break
        return record(op, xs, params or None)

    call.primitive = op  # type: ignore[attr-defined]
    return call


def _spread(forward: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *xs, **params: forward(xs, **params)


def _sequence_call(op: Primitive, forward: Callable[..., Any]) -> Callable[..., Any]:
    static = forward.__code__.co_varnames[1 : forward.__code__.co_argcount]

    @wraps(forward)
    def call(sequence: Any, *args: Any, **params: Any) -> Any:
        xs = list(sequence)
        if not any(type(x) is Tensor for x in xs):
            return forward(xs, *args, **params)
        params.update(zip(static, args, strict=False))
        return record(op, tuple([x if type(x) is Tensor else constant(x) for x in xs]), params or None)

    call.primitive = op  # type: ignore[attr-defined]
    return call


def elementwise(
    name: str, forward: Any, *, vjp: Vjp | tuple[Vjp, ...] | None = None, scalar: Callable[..., float] | None = None,
    arity: int = 1, **printed: Any,
) -> Callable[..., Any]:  # fmt: skip
    """Declare an elementwise operation of one or two inputs; `scalar` is its faster form on Python floats.

    `vjp` is one function that returns a tuple, or a tuple of one function for each input.

    A ufunc given as `forward` becomes a spelling of the result.
    """
    rules: dict[str, Any] = {"separate": vjp} if isinstance(vjp, tuple) else {"joint": vjp}
    scalar = scalar or _through_numpy(forward)
    op = PRIMITIVES[name] = Primitive(name, forward, **rules, scalar=scalar, elementwise=True, **printed)
    call = _unary(op) if arity == 1 else _binary(op)
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{name}, entry by entry. Inputs broadcast as in numpy; any float dtype, kept."
    call.primitive = op  # type: ignore[attr-defined]
    if isinstance(forward, np.ufunc):
        DIFFERENTIABLE[forward] = call
    return call


def _through_numpy(forward: Callable[..., Any]) -> Callable[..., float]:
    return lambda *xs: float(forward(*xs))


#: what `math` raises where numpy answers inf or nan
MATH_ERRORS = (ValueError, OverflowError, ZeroDivisionError)


def _unary(op: Primitive) -> Callable[..., Any]:
    forward: Callable[..., Any] = op.forward
    scalar: Callable[..., Any] = op.scalar or float

    def call(x: Any) -> Any:
        if type(x) is not Tensor:
            if type(x) is float:
                try:
                    return scalar(x)
                except MATH_ERRORS:
                    return float(forward(np.float64(x)))
            return forward(x)
        value = x.value
        if type(value) is float:
            try:
                result = scalar(value)
            except MATH_ERRORS:
                result = float(forward(np.float64(value)))
        else:
            result = forward(value)
            if type(result) is not np.ndarray:
                result = as_value(result)
            if type(result) is np.ndarray:
                result.setflags(False)  # type: ignore[call-arg]
        scope = current()
        if not scope.recording:
            return Tensor(result, None, (), None, None, scope, False)
        return Tensor(result, op, (x,), None, None, scope, x.requires_grad and op.differentiable)

    return call


def _binary(op: Primitive) -> Callable[..., Any]:
    forward: Callable[..., Any] = op.forward
    scalar: Callable[..., Any] = op.scalar or float

    def call(a: Any, b: Any) -> Any:
        if type(a) is not Tensor:
            if type(b) is not Tensor:
                return scalar(a, b) if type(a) is float and type(b) is float else forward(a, b)
            a = Tensor(a, None, (), None, None, ROOT, False) if type(a) is float else constant(a)
        elif type(b) is not Tensor:
            b = Tensor(b, None, (), None, None, ROOT, False) if type(b) is float else constant(b)
        x = a.value
        y = b.value
        if type(x) is float and type(y) is float:
            try:
                result = scalar(x, y)
            except MATH_ERRORS:
                result = float(forward(np.float64(x), np.float64(y)))
        else:
            try:
                result = forward(x, y)
            except ValueError as error:
                raise _misfit(op, (a, b), error) from None
            if type(result) is not np.ndarray:
                result = as_value(result)
            if type(result) is np.ndarray:
                result.setflags(False)  # type: ignore[call-arg]
        scope = current()
        if not scope.recording:
            return Tensor(result, None, (), None, None, scope, False)
        return Tensor(result, op, (a, b), None, None, scope, (a.requires_grad or b.requires_grad) and op.differentiable)

    return call


def shape_of(x: Any) -> tuple[int, ...]:
    """Shape of a Tensor, array or number."""
    return getattr(x, "shape", ())


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """The axes that numpy's `axis` means, from 0 on (all if None); `ShapeError` for one that `x` does not have, or
    twice.
    """
    rank = len(shape_of(x))
    if axis is None:
        return tuple(range(rank))
    axes = tuple(int(i) for i in (axis if isinstance(axis, tuple | list | range | np.ndarray) else (axis,)))
    for i in axes:
        if not -rank <= i < rank:
            raise ShapeError(f"axis {i} is out of bounds for {rank} axes, shape {shape_of(x)}")
    if len({i % rank for i in axes}) != len(axes):
        raise ShapeError(f"axis {axis} names an axis twice, for shape {shape_of(x)}")
    return tuple(i % rank for i in axes)


def optional(module: Any, name: str) -> Any:
    """A function of numpy's that not every supported release has, or None, which `spells` leaves out."""
    return getattr(module, name, None)


def undifferentiated(function: str, argument: str, value: Any) -> Any:
    """The plain value of an argument that is no operand; `NotDifferentiableError` if it asks for a gradient."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise NotDifferentiableError(f"np.{function} has no derivative by {argument}=: give a number or an array")
    return plain(value)


def operand(x: Any) -> Any:
    """A Tensor or an array as it is, a number or nested lists of numbers as an array."""
    return x if isinstance(x, Tensor | np.ndarray) else np.asarray(x)
