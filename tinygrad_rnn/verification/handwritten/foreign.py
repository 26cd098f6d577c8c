"""Arrays and functions of torch and jax. Neither is imported: whoever passes their arrays has them loaded already."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

NUMPY, TORCH, JAX = "numpy", "torch", "jax"


def kind_of(value: Any) -> str:
    """Whose array this is: numpy for everything that is none of torch or jax."""
    package = type(value).__module__.partition(".")[0]
    if package == TORCH and hasattr(value, "detach"):
        return TORCH
    return JAX if package in ("jax", "jaxlib") and hasattr(value, "dtype") else NUMPY


def to_numpy(value: Any) -> np.ndarray:
    """The numbers of an array of any kind; a copy for torch, whose memory goes on being used."""
    if kind_of(value) == TORCH:
        return value.detach().cpu().numpy().copy()
    return np.asarray(value)


def like(array: np.ndarray, example: Any) -> Any:
    """An array of the kind of `example`, of the dtype of `array`."""
    return of_kind(array, kind_of(example))


def of_kind(array: np.ndarray, kind: str) -> Any:
    """A numpy array as one of torch or jax."""
    if kind == TORCH:
        return sys.modules[TORCH].from_numpy(np.array(array))
    return sys.modules["jax.numpy"].asarray(array) if kind == JAX else array


def is_function_class(function: Any) -> bool:
    """Whether this is a subclass of torch.autograd.Function."""
    torch = sys.modules.get(TORCH)
    return torch is not None and isinstance(function, type) and issubclass(function, torch.autograd.Function)


def callable_of(function: Any) -> Callable[..., Any]:
    """What is called: `apply` of torch's function classes."""
    return function.apply if is_function_class(function) else function


def takes_positions(function: Any) -> bool:
    """Whether a function is called with its arguments in order: torch's `apply`, jax's `custom_vjp`."""
    return is_function_class(function) or hasattr(function, "defvjp")


def double_precision(kinds: Sequence[str]) -> AbstractContextManager[Any]:
    """jax computes in single precision unless told otherwise."""
    if JAX not in kinds:
        return nullcontext()
    jax = sys.modules[JAX]
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return sys.modules["jax.experimental"].enable_x64()


def own_gradients(
    call: Callable[[Mapping[Any, Any]], Sequence[Any]],
    arrays: Mapping[Any, Any],
    cotangents: Callable[[Sequence[Any]], Sequence[np.ndarray]],
    kind: str,
) -> dict[Any, np.ndarray]:
    """The gradients that torch or jax computes itself, through whatever backward pass the function declares.

    `call` maps arrays to the outputs; `cotangents` says with what numbers the outputs are weighted.
    """
    if kind == TORCH:
        torch = sys.modules[TORCH]
        leaves = {name: array.detach().clone().requires_grad_() for name, array in arrays.items()}
        outputs = call(leaves)
        weights = [of_kind(c, TORCH).to(y.dtype) for c, y in zip(cotangents(outputs), outputs, strict=True)]
        pulled = torch.autograd.grad(outputs, list(leaves.values()), weights, allow_unused=True)
        pairs = zip(leaves.items(), pulled, strict=True)
        return {name: to_numpy(torch.zeros_like(leaf) if g is None else g) for (name, leaf), g in pairs}
    jax = sys.modules[JAX]
    outputs, pull = jax.vjp(lambda *values: tuple(call(dict(zip(arrays, values, strict=True)))), *arrays.values())
    weights = [of_kind(c, JAX).astype(y.dtype) for c, y in zip(cotangents(outputs), outputs, strict=True)]
    return {name: to_numpy(g) for name, g in zip(arrays, pull(tuple(weights)), strict=True)}
