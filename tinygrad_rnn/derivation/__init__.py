"""Derive backpropagation through time from the equations of a model: symbols only, right for every length.

    system -> adjoint -> compose -> regions -> writing       (forms, algebra, factoring: the normal form that is
    printed)

For a person: `derive(model)`, a `Derivation`, whose `text()` is a section `gradients:`.

For other rooms of the package:

- `Gradients(model, keep)` holds every gradient in a vocabulary: `keep` are the names whose gradients may appear.
- `Derivation(model, keep).cells("h")` are its cells: `(indices, domain, expr)`, excluding each other and together all
  steps of the quantity, for every length; `expr` is an expression of the language.
- `true_terms(Gradients(model, keep), equation, style)` are the signed additive terms of the right equation for a stated
  one, each with the domain on which it stands; `fine=True` in `Gradients` leaves common factors multiplied in.

Judging somebody else's derivation belongs to `verify`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..language import Model
from ..models import load_any
from .adjoint import Share
from .derivation import Cell, Derivation
from .gradients import Gradients
from .terms import TrueTerm, true_terms
from .vocabulary import default_names
from .writing import DIAG, HADAMARD


def derive(model: Model | str | Path, keep: Collection[str] | None = None, style: str | None = None) -> Derivation:
    """Derive the gradient of the loss with respect to every named quantity and parameter.

    model: a Model, the name of a shipped model, the path or text of an equation file. keep: the quantities whose
    gradients appear (by default those of the file's own gradients section, or all but losses and pre-activations).
    style: `"diag"` or `"hadamard"`, how a factor beside a gradient is written (by default what is shorter). Raises
    `DerivationError` for what has no derivative here, with its place.

    >>> import tinygrad_rnn as tg
    >>> derivation = tg.derive("sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])", keep=["h"])
    >>> derivation.text().splitlines()[1]
    'dh[t] = W.T @ dh[t+1]    for t < T'
    """
    return Derivation(model if isinstance(model, Model) else load_any(model), keep, style)


__all__ = [
    "DIAG",
    "HADAMARD",
    "Cell",
    "Derivation",
    "Gradients",
    "Share",
    "TrueTerm",
    "default_names",
    "derive",
    "true_terms",
]
