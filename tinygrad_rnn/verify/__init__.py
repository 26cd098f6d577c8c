"""Judge derivations and gradients against the engine, and the engine against the complex step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.tensor import Tensor
    from ..language import Model
    from .report import Report


def verify(
    model: Model | str | Path,
    T: int | None = None,
    seeds: int = 3,
    scale: float = 1.0,
    values: Mapping[Any, Any] | None = None,
) -> Report:
    """Judge every gradient equation of a model, per time step, on `seeds` random probes of length `T` (4, or as many
    as the longest delay needs up to 12, if none is given).

    `model` is a Model, a shipped model's name, a path, or the text of an equation file; `scale` and `values` change
    the probes as in `unroll`. Raises `LanguageError` when it cannot be read, has no loss or states no gradients.

    >>> import tinygrad_rnn as tg
    >>> model = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\n"
    >>> report = tg.verify(model + "dW = sum(t, dh[t] @ h[t].T)")
    >>> report.ok, report.rows[0].verdict
    (False, 'FAIL')
    """
    from .judge import judge

    return judge(model, T, seeds, scale, values)


def verify_backward(
    forward: Callable[..., Tensor],
    backward: Callable[..., Mapping[str, Any]],
    inputs: Mapping[str, Any],
    name: str = "hand-written backward",
) -> Report:
    """Judge a backward pass written in numpy against the graph of its forward pass.

    inputs: a dict from names to arrays. `forward(**inputs)` is called with Tensors and returns the scalar loss; it
    names its quantities with `tg.name` inside `tg.steps`. `backward(**inputs)` is called with arrays and returns a
    dict: for an input the gradient, for a named quantity a dict (or list) of gradients by step. Each is compared with
    the engine within rounding; a failed quantity says whether its own line is wrong and which term it lacks. Raises
    `GraphError` for unknown names and wrong shapes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> ones = {"w": np.ones(2), "x": np.ones(2)}
    >>> report = tg.verify_backward(lambda w, x: np.sum(np.tanh(w * x)), lambda w, x: {"w": x}, ones)
    >>> report.ok, report.rows[0].name
    (False, 'dw')
    """
    from .handwritten import judge_backward

    return judge_backward(forward, backward, inputs, name)


__all__ = ["verify", "verify_backward"]
