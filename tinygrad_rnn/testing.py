"""Assertions for pytest users: the report is the assertion message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .verification import verify, verify_backward


def assert_derivation(model: Any, T: int | None = None, seeds: int = 3) -> None:
    """Assert that every gradient equation of a model (a path, a shipped
    model's name, a text, a Model) is right, at two lengths unless `T` is
    given.

    Raises `AssertionError` with the report as its message; `LanguageError` when the file cannot be read.

    >>> from tinygrad_rnn.testing import assert_derivation
    >>> model = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\n"
    >>> assert_derivation(model + "dh[T] = ones_like(h[T])\\ndh[t] = W.T @ dh[t+1]    for t < T")
    """
    report = verify(model, T=T, seeds=seeds)
    if not report.ok:
        raise AssertionError(f"\n{report}")


def assert_gradients(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Assert that a hand-written backward function returns the gradients of the forward function; see
    `verify_backward`, whose options (`params=`, `names=`) it takes.

    >>> import numpy as np
    >>> from tinygrad_rnn.testing import assert_gradients
    >>> def backward(w, x):
    ...     return {"w": x, "x": w}
    >>> assert_gradients(lambda w, x: np.sum(w * x), backward, {"w": np.ones(2), "x": np.arange(2.0)})
    """
    report = verify_backward(forward, backward, inputs, **options)
    if not report.ok:
        raise AssertionError(f"\n{report}")


__all__ = ["assert_derivation", "assert_gradients"]
