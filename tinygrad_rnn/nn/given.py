"""What a system is given, as nodes of the graph: vectors, sequences, first states, labels and lengths, all checked.

Each function says what is expected where shapes do not fit. What is computed from these stands with each system.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import ShapeError
from ..core.functions import name
from ..core.scope import step
from ..core.tensor import Tensor, plain
from .dropout import leaf


def given_tensor(role: str, value: Any, shape: tuple[int, ...], kind: str) -> Tensor:
    """A vector that is given, as a node called `role`; raises `ShapeError` unless it has the shape."""
    found = None if value is None else np.shape(plain(value))
    if found != shape:
        raise ShapeError(f"{kind}: {role} has to have shape {shape}, but {'is missing' if found is None else found}")
    return value if isinstance(value, Tensor) else leaf(role, np.array(value, dtype=np.result_type(value, np.float32)))


def given_sequence(value: Any, shape: tuple[int, ...], kind: str) -> Callable[[int], Tensor]:
    """x[t] for t = 1, 2, ...: a leaf of its step, or a slice of a Tensor; raises `ShapeError` for other rows."""
    found = None if value is None else np.shape(plain(value))
    if found is None or found[1:] != shape or not found[0]:
        told = "is missing" if found is None else f"has shape {found}"
        raise ShapeError(f"{kind}: x has to have shape (steps, {', '.join(map(str, shape))}), but {told}")
    if isinstance(value, Tensor):
        return lambda t: name("x", value[present(t, len(value), kind)])
    data = np.array(value, dtype=np.result_type(value, np.float32))
    data.flags.writeable = False
    return lambda t: leaf("x", data[present(t, len(data), kind)])


def present(t: int, T: int, kind: str) -> int:
    """The place of x[t], t = 1, ..., T; raises `ShapeError` behind the end."""
    if t > T:
        raise ShapeError(f"{kind}: x has {T} steps, but step {t} is asked for")
    return t - 1


def given_state(role: str, value: Any, shape: tuple[int, ...], kind: str, dtype: Any = np.float64) -> Tensor:
    """The state before the first step, a node of step 0: what is given, else zeros."""
    with step(0):
        if value is None:
            return leaf(role, np.zeros(shape, dtype))
        return name(role, given_tensor(role, value, shape, kind))


def labels_of(y: Any, classes: int, kind: str) -> np.ndarray:
    """Labels as an array of integers (T,) or (T, B); raises `ShapeError` for anything else."""
    labels = np.asarray(plain(y))
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2):
        raise ShapeError(
            f"{kind}: labels are integers of shape (T,) or (T, B), not {labels.dtype} of shape {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ShapeError(f"{kind}: labels run from 0 to {classes - 1}, but one is {labels.min()} or {labels.max()}")
    return labels


def within(lengths: Any, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """1.0 at the steps inside of each sequence, 0.0 behind: (T, B)."""
    ends = np.asarray(plain(lengths))
    if ends.shape != shape[1:] or (ends.size and not 0 <= ends.min() <= ends.max() <= shape[0]):
        raise ShapeError(
            f"lengths have shape {ends.shape} and run up to {ends.max(initial=0)}, but the labels have shape {shape}"
        )
    return (np.arange(shape[0]).reshape((-1,) + (1,) * ends.ndim) < ends).astype(dtype)
