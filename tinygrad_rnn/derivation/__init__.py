"""Derive backpropagation through time from the equations of a model: symbols only, right for every length.

    system -> adjoint -> compose -> regions -> writing       (forms, algebra, factoring: the normal form that is
    printed)

For a person: `derive(model)`, a `Derivation`, whose `text()` is a section `gradients:`.

For other packages:

- `Gradients(model, keep)` holds every gradient in a vocabulary: `keep` are the names whose gradients may appear.
- `Derivation(model, keep).cells("h")` are its cells: `(indices, domain, expr)`, excluding each other and together all
  steps of the quantity, for every length; `expr` is an expression of the language.
- `true_terms(Gradients(model, keep), equation, style)` are the signed additive terms of the right equation for a stated
  one, each with the domain on which it stands; `fine=True` in `Gradients` leaves common factors multiplied in.

Judging somebody else's derivation belongs to `verify`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .derived import Derivation, DerivedPiece
    from .gradients import Gradients
    from .right_terms import TrueTerm, true_terms
    from .vocabulary import default_names
    from .writing import DIAG, HADAMARD

#: imported when first asked for, so that the engine alone starts quickly
_LATER = {
    "DerivedPiece": ".derived",
    "Derivation": ".derived",
    "Gradients": ".gradients",
    "TrueTerm": ".right_terms",
    "true_terms": ".right_terms",
    "default_names": ".vocabulary",
    "DIAG": ".writing",
    "HADAMARD": ".writing",
}


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
    of the file's own gradients section, or all but losses and pre-activations). style: `"diag"` or `"hadamard"`, how a
    factor beside a gradient is written (by default what is shorter). Raises `DerivationError` for what has no
    derivative here, with its place, and for a derivation that numbers speak against.

    >>> import tinygrad_rnn as tg
    >>> derivation = tg.derive("sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])", keep=["h"])
    >>> derivation.text().splitlines()[1]
    'dh[t] = W.T @ dh[t+1]    for t < T'
    """
    from ..language import Model, load
    from ..system.recorded_functions import model_of
    from .derived import Derivation

    if isinstance(model, str | Path):
        model = load(model)
    return Derivation(model if isinstance(model, Model) else model_of(model, examples), keep, style)


def __getattr__(wanted: str) -> Any:
    if wanted in _LATER:
        return getattr(import_module(_LATER[wanted], __name__), wanted)
    raise AttributeError(f"module {__name__!r} has no attribute {wanted!r}")


__all__ = [
    "DIAG",
    "HADAMARD",
    "Derivation",
    "DerivedPiece",
    "Gradients",
    "TrueTerm",
    "default_names",
    "derive",
    "true_terms",
]
