"""Derive backpropagation through time: gradient equations from a recorded graph, in the form a textbook prints.

    adjoint -> cases -> writing        (reading: primitives as forms; algebra: their one normal form)

Judging somebody else's derivation belongs to `verify`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .derivation import Derivation


def derive(
    model: Any,
    keep: Collection[str] | None = None,
    style: str | None = None,
    examples: Sequence[Any] | Mapping[str, Any] = (),
) -> Derivation:
    """Derive the gradient of the loss with respect to every named quantity and parameter.

    model: a Model, the name of a shipped model, the path or text of an equation file, a Run; a loss Tensor or a Graph;
    a layer, a cell, or a function that returns a loss, with `examples` of its arguments. Code is written as equations
    first (`system.equations`), and derived from these. keep: the quantities whose gradients appear (by default those
    of the file's own gradients section, or all but losses and pre-activations).
    style: `"diag"` or `"hadamard"`, how a factor beside a gradient is written (by default what is shorter). Raises
    `DerivationError` when the names kept do not cut every path through time, or an operation has no textbook form.

    >>> import tinygrad_rnn as tg
    >>> derivation = tg.derive("sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])", keep=["h"])
    >>> derivation.text().splitlines()[1]
    'dh[t] = W.T @ dh[t+1]    for t < T'
    """
    from ..language import Model
    from ..models import load_any
    from ..system.functions import model_of
    from .derivation import derive_model

    model = load_any(model) if isinstance(model, str | Path) else model
    return derive_model(model if isinstance(model, Model) else model_of(model, examples), keep, style)


__all__ = ["derive"]
