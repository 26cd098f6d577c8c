"""What a system is given, all checked: sizes, data, vectors, sequences, first states, labels and lengths.

Each function says what is expected where shapes do not fit. What is computed from these stands with each system.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from ..core.choosing import cast, inside, ranged
from ..core.errors import DtypeError, ShapeError
from ..core.functions import name
from ..core.reductions import refuse_other_classes
from ..core.scope import step
from ..core.tensor import Tensor, plain
from .dropout import leaf


def whole(kind: str, what: str, n: Any, least: int = 1) -> int:
    """A size or a number of things; raises `ShapeError` unless it is a whole number from `least` on.

    >>> whole("RNN", "hidden_size", 0)
    Traceback (most recent call last):
    tinygrad_rnn.core.errors.ShapeError: RNN: hidden_size is 0, but has to be at least 1
    """
    try:
        found = index(n)
    except TypeError:
        raise ShapeError(f"{kind}: {what} is {n!r}, but has to be a whole number") from None
    if found < least:
        raise ShapeError(f"{kind}: {what} is {n}, but has to be at least {least}")
    return found


def in_graph(x: Any) -> bool:
    """Whether x leads anywhere: a Tensor that was computed, has a name, or asks for a gradient. All else is data."""
    return isinstance(x, Tensor) and (x.op is not None or x.name is not None or x.requires_grad)


def shape_given(value: Any, kind: str) -> tuple[int, ...]:
    """The shape of what is given; raises `ShapeError` for a tuple, as recurrent layers return, and for ragged lists."""
    if isinstance(value, tuple) and any(isinstance(part, Tensor) for part in value):
        raise ShapeError(
            f"{kind}: the input is a tuple of {len(value)}, but has to be one array: "
            "a recurrent layer returns (output, state), of which the next layer takes the first"
        )
    try:
        return np.shape(plain(value))
    except ValueError as error:
        raise ShapeError(f"{kind}: the input is no array, but has rows of different lengths ({error})") from None


def as_data(value: Any, dtype: Any, kind: str, role: str = "the input") -> Any:
    """A Tensor of a graph as it is, all else as a new array of the weights' dtype.

    Raises `DtypeError` for anything but real numbers, and for a Tensor that was computed in another dtype.
    """
    if in_graph(value):
        if value.dtype != dtype and (value.op is not None or value.requires_grad):
            raise DtypeError(
                f"{kind}: {role} is {value.dtype}, the weights are {dtype}: make both with the same dtype="
            )
        return value
    held = np.asarray(plain(value))
    if held.dtype.kind not in "biuf":
        raise DtypeError(f"{kind}: {role} has to hold real numbers, not {held.dtype}")
    return np.array(held, dtype, order="C")


def given_tensor(role: str, value: Any, shape: tuple[int, ...], kind: str, dtype: Any) -> Tensor:
    """A vector that is given, as a node called `role`; raises `ShapeError` unless it has the shape."""
    found = None if value is None else shape_given(value, kind)
    if found != shape:
        raise ShapeError(f"{kind}: {role} has to have shape {shape}, but {'is missing' if found is None else found}")
    data = as_data(value, dtype, kind, role)
    return data if isinstance(data, Tensor) else leaf(role, data)


def given_sequence(value: Any, shape: tuple[int, ...], kind: str, dtype: Any) -> Callable[[int], Tensor]:
    """x[t] for t = 1, 2, ...: a leaf of its step, or a slice of a Tensor; raises `ShapeError` for other rows."""
    found = None if value is None else shape_given(value, kind)
    if not found or found[1:] != shape or not found[0]:
        told = "is missing" if found is None else f"has shape {found}"
        raise ShapeError(f"{kind}: x has to have shape (steps, {', '.join(map(str, shape))}), but {told}")
    data = as_data(value, dtype, kind, "x")
    if isinstance(data, Tensor):
        return lambda t: name("x", data[present(t, len(data), kind)])
    data.flags.writeable = False
    return lambda t: leaf("x", data[present(t, len(data), kind)])


def present(t: int, T: int, kind: str) -> int:
    """The place of x[t], t = 1, ..., T; raises `ShapeError` behind the end."""
    if t > T:
        raise ShapeError(f"{kind}: x has {T} steps, but step {t} is asked for")
    return t - 1


def given_states(
    hx: Any, roles: Sequence[str], shapes: Sequence[tuple[int, ...]], dtype: Any, kind: str
) -> tuple[Any, ...]:
    """All states that a layer or cell begins from, one of each shape; raises `ShapeError` where they do not fit."""
    several = isinstance(hx, tuple) or (isinstance(hx, list) and len(roles) > 1)
    parts = tuple(hx) if several else (hx,)
    if len(parts) != len(roles):
        raise ShapeError(f"{kind}: hx has {len(parts)} parts, but has to be ({', '.join(roles)})")
    for role, part, shape in zip(roles, parts, shapes, strict=True):
        if shape_given(part, kind) != shape:
            raise ShapeError(
                f"{kind}: the state {role} in hx has shape {shape_given(part, kind)}, but has to be {shape}"
            )
    return tuple(as_data(part, dtype, kind, role) for role, part in zip(roles, parts, strict=True))


def given_state(role: str, value: Any, shape: tuple[int, ...], kind: str, dtype: Any = np.float64) -> Tensor:
    """The state before the first step, a node of step 0: what is given, else zeros."""
    with step(0):
        if value is None:
            return leaf(role, np.zeros(shape, dtype))
        return name(role, given_tensor(role, value, shape, kind, dtype))


def labels_of(y: Any, classes: int, kind: str) -> Any:
    """Labels as an array of integers (T,) or (T, B), or as the Tensor they are in a graph.

    Raises `ShapeError` for anything else.
    """
    labels = np.asarray(plain(y))
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2):
        raise ShapeError(
            f"{kind}: labels are integers of shape (T,) or (T, B), not {labels.dtype} of shape {labels.shape}"
        )
    refuse_other_classes(f"{kind}: labels", labels, classes)
    return ranged(y, low=0, high=classes) if in_graph(y) else labels


def within(lengths: Any, shape: tuple[int, ...], dtype: Any = np.float64, least: int = 0) -> Any:
    """1.0 at the steps inside of each sequence, 0.0 behind: (T, B); `least` is said to whoever compiles."""
    ends = np.asarray(plain(lengths))
    if ends.size and ends.dtype.kind not in "iu":
        raise DtypeError(f"lengths are whole numbers, not {ends.dtype}")
    if ends.shape != shape[1:] or (ends.size and not 0 <= ends.min() <= ends.max() <= shape[0]):
        raise ShapeError(
            f"lengths have shape {ends.shape} and run up to {ends.max(initial=0)}, but the labels have shape {shape}"
        )
    numbers = ranged(lengths, low=least, high=shape[0] + 1) if in_graph(lengths) else ends
    return cast(inside(numbers, steps=shape[0]), dtype=dtype)


def lengths_of(lengths: Any, labels: Any) -> Any:
    """How many labels of each sequence count: all, if nothing is given."""
    if lengths is None:
        return np.full(labels.shape[1:], len(labels))
    return lengths if in_graph(lengths) else np.asarray(plain(lengths))
