"""Judge derivations and gradients against the engine, and the engine against the complex step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..language import Model
    from .report import Report


def verify(
    model: Model | str | Path,
    T: int | None = None,
    seeds: int = 3,
    scale: float = 1.0,
    values: Mapping[Any, Any] | None = None,
    lengths: Mapping[str, int] | None = None,
) -> Report:
    """Judge every gradient equation of a model, per time step, on `seeds` random probes or more: at two lengths and
    two choices of sizes, none of which is a number of the file.

    `model` is a Model, a shipped model's name, a path, or the text of an equation file; `T` is one length instead of
    two, `lengths` those of other sequences ({"S": 7}), `scale` and `values` change the probes as in `unroll` (with
    `values` sizes stay as declared). Raises `LanguageError` when the forward equations cannot be read, there is no loss
    or no gradient is stated.

    >>> import tinygrad_rnn as tg
    >>> model = "sizes: h = 2\\ngiven: dh\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\n"
    >>> report = tg.verify(model + "dW = sum(t, dh[t] @ h[t].T)")
    >>> report.ok, report.rows[0].verdict
    (False, 'FAIL')
    """
    from .judge import judge

    return judge(model, T, seeds, scale, values, lengths=lengths)


def verify_backward(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    name: str = "hand-written backward",
    *,
    params: Any = None,
    names: Sequence[str | None] | Mapping[str, str | None] | None = None,
) -> Report:
    """Judge a backward pass written in code against the derivatives of its forward function.

    `forward(**inputs)` returns the loss, or (loss, cache), or (output, cache). `backward` is called with the inputs it
    names, or with the gradient of forward's output and the cache; it returns gradients as a dict, as a tuple (`names=`
    says of what, None for what is none), as an object, or leaves them in attributes. Without it forward returns loss
    and gradients together, or whoever declares them (`tg.custom_vjp`, a `torch.autograd.Function`, a `jax.custom_vjp`).
    inputs: a dict from names to arrays, dicts and lists of arrays, and anything else the functions take.
    params: weights that the functions read from elsewhere: a dict of the arrays, or the object or module that has them
    as attributes; they are changed in place and restored.
    A forward function that names its states (`tg.name` inside `tg.steps`) may have its gradients by step returned too,
    as a dict or list by step, and a mistake is then told line by line. Raises `GraphError` for unknown names, wrong
    shapes and functions that raise.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> ones = {"w": np.ones(2), "x": np.ones(2)}
    >>> report = tg.verify_backward(lambda w, x: np.sum(np.tanh(w * x)), lambda w, x: {"w": x}, ones)
    >>> report.ok, report.rows[0].name
    (False, 'dw')
    """
    from .handwritten.verdicts import judge_backward

    return judge_backward(forward, backward, inputs, name, params, names)


__all__ = ["verify", "verify_backward"]
