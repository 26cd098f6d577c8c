"""What a system is given, all checked: sizes, data, vectors, sequences, first states, labels and lengths.

Each function says what is expected where shapes do not fit. What is computed from these stands with each system.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import DtypeError, GraphError, ShapeError
from ..core.ops.identity import name
from ..core.ops.indexing import cast, inside, ranged
from ..core.ops.reductions import refuse_other_classes
from ..core.scope import step
from ..core.tensor import Tensor, plain, tensor
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


def given_sequence(
    value: Any, shape: tuple[int, ...], kind: str, dtype: Any, here: Any = None
) -> Callable[[int], Tensor]:
    """x[t] for t = 1, 2, ...: a leaf of its step, or a slice of a Tensor; raises `ShapeError` for other rows.

    Where `here` (steps, ...) says that a sequence has ended, it is 0.
    """
    found = None if value is None else shape_given(value, kind)
    if not found or found[1:] != shape or not found[0]:
        told = "is missing" if found is None else f"has shape {found}"
        raise ShapeError(f"{kind}: x has to have shape (steps, {', '.join(map(str, shape))}), but {told}")
    data = as_data(value, dtype, kind, "x")
    if here is not None:
        data = hidden(data, np.expand_dims(here, -1))
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


class Labels(NamedTuple):
    """Labels, and at which steps each sequence runs (None: at all)."""

    y: Any
    here: Any

    def counted(self, t: int, L: Any) -> Any:
        """L[t] where the sequence runs, else 0; a node called L."""
        return name("L", L if self.here is None else np.where(leaf("m", self.here[t - 1]), L, 0.0))


def labels_of(y: Any, classes: int, kind: str, lengths: Any = None, least: int = 0) -> Labels:
    """Labels as integers (T,) or (T, B), as arrays or as the Tensors they are in a graph, and which of them count.

    What stands behind the end of a sequence is read by nobody, and becomes 0. Raises `ShapeError` for anything else.
    """
    labels = np.asarray(plain(y))
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2):
        raise ShapeError(
            f"{kind}: labels are integers of shape (T,) or (T, B), not {labels.dtype} of shape {labels.shape}"
        )
    if lengths is None:
        refuse_other_classes(f"{kind}: labels", labels, classes)
        return Labels(ranged(y, low=0, high=classes) if in_graph(y) else labels, None)
    here = running(lengths, labels.shape, least=least)
    refuse_other_classes(f"{kind}: labels", np.where(plain(here), labels, 0), classes)
    if not in_graph(y) and not in_graph(here):
        return Labels(np.where(here, labels, 0), here)
    found = np.where(here, y if in_graph(y) else tensor(labels, requires_grad=False), np.zeros((), labels.dtype))
    return Labels(ranged(found, low=0, high=classes), here)


def running(lengths: Any, shape: tuple[int, ...], called: str = "lengths", least: int = 0) -> Any:
    """At which steps each sequence runs, as truth values (T, B), or (T,) for one sequence; `shape` says how many.

    A sequence of length 0 runs nowhere. Raises `ShapeError`, `DtypeError` or `GraphError` for lengths that do not fit.
    """
    ends, (T, *rows) = np.asarray(plain(lengths)), shape
    if ends.shape != tuple(rows):
        wanted = f"one number for each of the {rows[0]} samples" if rows else "one number, for one sequence"
        raise ShapeError(f"{called} have shape {ends.shape}, but have to hold {wanted}")
    if ends.size and ends.dtype.kind not in "iu":
        raise DtypeError(f"{called} are whole numbers, not {ends.dtype}")
    if ends.size and not least <= ends.min() <= ends.max() <= T:
        found, why = f"{called} run from {ends.min()} to {ends.max()}", ": there is at least one label" * least
        raise GraphError(f"{found}, but have to be from {least} to {T}, the number of steps{why}")
    return inside(ranged(lengths, low=least, high=T + 1) if in_graph(lengths) else ends, steps=T)


def truths(mask: Any, shape: tuple[int, ...], owner: str) -> Any:
    """A mask of this shape as truth values; raises `ShapeError` or `DtypeError` for anything else.

    Raises `GraphError` for numbers other than 0 and 1.
    """
    held = np.asarray(plain(mask))
    if held.shape != shape:
        raise ShapeError(f"{owner}: the mask has shape {held.shape}, but has to be {shape}")
    if held.dtype.kind not in "biuf":
        raise DtypeError(f"{owner}: the mask holds truth values, or 0 and 1, not {held.dtype}")
    if not in_graph(mask):
        if (others := held[(held != 0) & (held != 1)]).size:
            raise GraphError(f"{owner}: the mask holds truth values, or 0 and 1, not {others[0]}")
        return held.astype(bool)
    return mask if held.dtype == bool else cast(mask, dtype=bool)


def hidden(x: Any, here: Any) -> Any:
    """`x` where `here` holds, else 0, whatever stood there: nan times 0 is nan, in the sum and in the gradient."""
    if isinstance(here, Tensor) and not isinstance(x, Tensor):
        x = tensor(x, requires_grad=False)  # so that the graph can be given another one
    return np.where(here, x, 0.0)


def lengths_of(lengths: Any, labels: Any) -> Any:
    """How many labels of each sequence count: all, if nothing is given."""
    if lengths is None:
        return np.full(labels.shape[1:], len(labels))
    return lengths if in_graph(lengths) else np.asarray(plain(lengths))
