"""The same functions in torch; those that move entries by where numpy moves them, linear ones by their matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Torch = Any


def _torch() -> Any:
    import torch

    return torch


def tensors(value: Any) -> list[Torch]:
    """All tensors in arguments, in order."""
    if isinstance(value, (list, tuple)):
        return [found for part in value for found in tensors(part)]
    return [value] if isinstance(value, _torch().Tensor) else []


def _swapped(value: Any, by: list[np.ndarray]) -> Any:
    """The arguments with each tensor, in order, replaced by the next array of `by`."""
    if isinstance(value, list):
        return [_swapped(part, by) for part in value]
    if isinstance(value, tuple):
        return tuple(_swapped(part, by) for part in value)
    return by.pop(0) if isinstance(value, _torch().Tensor) else value


def moving(function: Callable[..., Any]) -> Callable[..., Torch]:
    """For a numpy function that puts entries of its arrays, or constants, into places."""

    def call(*args: Any, **keywords: Any) -> Torch:
        torch = _torch()
        given = tensors(args)
        start, maps = 1, []
        for tensor in given:
            maps.append(np.arange(start, start + tensor.numel()).reshape(tuple(tensor.shape)) + 1e6)
            start += tensor.numel()
        placed = np.asarray(function(*_swapped(args, maps), **keywords))
        known = np.asarray(placed >= 1e6)
        entries = torch.cat([torch.zeros(1, dtype=torch.float64), *(tensor.reshape(-1) for tensor in given)])
        taken = entries[torch.from_numpy(np.asarray(np.where(known, placed - 1e6, 0), dtype=np.int64))]
        return torch.where(torch.from_numpy(known), taken, torch.from_numpy(np.asarray(np.where(known, 0.0, placed))))

    return call


def linear(function: Callable[..., Any]) -> Callable[..., Torch]:
    """For a numpy function that is affine in all entries of its arrays together."""

    def call(*args: Any, **keywords: Any) -> Torch:
        torch = _torch()
        given = tensors(args)
        sizes = [tensor.numel() for tensor in given]

        def at(point: np.ndarray) -> np.ndarray:
            parts = np.split(point, np.cumsum(sizes)[:-1])
            shaped = [part.reshape(tuple(tensor.shape)) for part, tensor in zip(parts, given, strict=True)]
            return np.asarray(function(*_swapped(args, shaped), **keywords), dtype=np.float64)

        base = at(np.zeros(sum(sizes)))
        columns = [(at(unit) - base).ravel() for unit in np.eye(sum(sizes))]
        matrix = np.stack(columns, axis=1) if columns else np.zeros((base.size, 0))
        point = torch.cat([tensor.reshape(-1) for tensor in given])
        return (torch.from_numpy(matrix) @ point).reshape(base.shape) + torch.from_numpy(base)

    return call


def axes_of(x: Torch, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(one % x.ndim for one in (axis if isinstance(axis, tuple) else (axis,)))


def flattened(x: Torch, axis: Any) -> Torch:
    """The axes as the last one."""
    axes = axes_of(x, axis)
    rest = [one for one in range(x.ndim) if one not in axes]
    moved = x.permute(*rest, *axes) if x.ndim else x
    return moved.reshape(*(x.shape[one] for one in rest), int(np.prod([x.shape[one] for one in axes], initial=1)))


def kept(x: Torch, axis: Any, keepdims: bool, result: Torch) -> Torch:
    if not keepdims:
        return result
    axes = axes_of(x, axis)
    return result.reshape([1 if one in axes else x.shape[one] for one in range(x.ndim)])


def reduction(function: Callable[..., Torch]) -> Callable[..., Torch]:
    """`function` of a tensor over its last axis; numpy's axis, keepdims, where and initial."""

    def call(x: Torch, axis: Any = None, keepdims: bool = False, **keywords: Any) -> Torch:
        return kept(x, axis, keepdims, function(flattened(x, axis), **keywords))

    return call


def variance(x: Torch, ddof: float = 0, correction: float | None = None) -> Torch:
    off = x - x.mean(-1, keepdim=True)
    return (off * off).sum(-1) / (x.shape[-1] - (ddof if correction is None else correction))


def norm(x: Torch, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Torch:
    torch = _torch()
    rows = flattened(x, axis).abs()
    if ord in (np.inf, -np.inf):
        made = rows.amax(-1) if ord > 0 else rows.amin(-1)
    elif ord == 0:
        made = (rows != 0).to(rows.dtype).sum(-1)
    elif ord is None or ord == "fro" or ord == 2:
        made = torch.sqrt((rows * rows).sum(-1))
    else:
        made = (rows**ord).sum(-1) ** (1.0 / ord)
    return kept(x, axis, keepdims, made)


def median(x: Torch) -> Torch:
    ordered, count = _torch().sort(x, dim=-1).values, x.shape[-1]
    return (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2


def tensordot(a: Torch, b: Torch, axes: Any = 2) -> Torch:
    torch = _torch()
    if isinstance(axes, (int, np.integer)):
        return torch.tensordot(a, b, dims=int(axes))
    pairs = [[one] if isinstance(one, int) else list(one) for one in axes]
    return torch.tensordot(a, b, dims=([o % a.ndim for o in pairs[0]], [o % b.ndim for o in pairs[1]]))


def dot(a: Any, b: Any) -> Torch:
    torch = _torch()
    a, b = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
    if not a.ndim or not b.ndim:
        return a * b
    return torch.tensordot(a, b, dims=([a.ndim - 1], [max(b.ndim - 2, 0)]))


def inner(a: Torch, b: Torch) -> Torch:
    return a * b if not a.ndim or not b.ndim else _torch().tensordot(a, b, dims=([a.ndim - 1], [b.ndim - 1]))


def cross_entropy(logits: Torch, targets: np.ndarray, axis: int = -1) -> Torch:
    torch = _torch()
    logs = torch.log_softmax(logits, dim=axis).movedim(axis, -1)
    return -torch.gather(logs, -1, torch.as_tensor(np.asarray(targets), dtype=torch.int64)[..., None])[..., 0]
