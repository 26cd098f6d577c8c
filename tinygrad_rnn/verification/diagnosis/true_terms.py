"""The right equation in the words of the user, term by term, for every length: read from the symbolic derivation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.errors import DerivationError
from ...derivation import DIAG, HADAMARD, Gradients, default_names
from ...derivation import true_terms as derived
from ...language import Model
from ...language.expressions import Call, Equation, Expr, Sum, walk
from ...language.rewriting import addends, names
from ...language.syntax.indices import Lengths, Step
from ...system import Domain
from .helper_gradients import in_own_words
from .terms import SignedTerm

Keep = tuple[str, ...]
#: so many derivations are kept, the latest
KEPT = 16
#: gradients derived last: of which model, in which vocabulary, and whether common factors are multiplied in
_DERIVED: dict[tuple[int, Keep, bool], tuple[Model, Gradients | DerivationError]] = {}


@dataclass(frozen=True)
class RightTerm:
    """One term of the right equation for what `equation` states: it stands on `domains`, which exclude each other;
    `everywhere` if that is wherever the equation holds.
    """

    term: SignedTerm
    equation: Equation
    domains: tuple[Domain, ...] = ()
    everywhere: bool = True

    def stands(self, lengths: Lengths, step: Step) -> bool:
        """Whether the term stands at a step of the target."""
        if self.everywhere:
            return True
        times = self.equation.binding(step, lengths)
        return any(domain.holds(times) for domain in self.domains)

    def __str__(self) -> str:
        return str(self.term)


def vocabularies(model: Model, equation: Equation) -> list[Keep]:
    """Sets of names to keep, those nearest the user's own words first."""
    quantities = model.quantities
    read = (quantities.base((name, indexed)) for name in sorted(names(equation.rhs)) for indexed in (True, False))
    used = {key[0] for key in read if key}
    stated = {key[0] for e in model.gradients if (key := quantities.base(e.target.key)) and key[1]}
    default = set(default_names(model))
    base = quantities.base(equation.target.key)
    own = {base[0]} if base is not None else set()
    computed = {key[0] for key in quantities.defined if key != quantities.loss}
    choices = [used | own | stated, used | own | stated | default, used | own, used | own | default]
    return list(dict.fromkeys(tuple(sorted(choice & computed)) for choice in choices))


def true_terms(model: Model, equation: Equation, keep: Keep, fine: bool = False) -> list[RightTerm]:
    """The additive terms of the right equation when the gradients of `keep` may appear. Raises `DerivationError`.

    `fine` leaves common factors multiplied in, so that there are more and smaller terms.
    """
    style = DIAG if writes_diag(model) else HADAMARD
    terms: list[RightTerm] = []
    for true in derived(_gradients(model, keep, fine), equation, style):
        over = true.expr if isinstance(true.expr, Sum) and true.expr.kind == "sum" else None
        body = true.expr if over is None else over.body
        for sign, part in _spelled(SignedTerm(true.sign, body, over), model):
            terms.append(RightTerm(SignedTerm(sign, part, over), equation, true.domains, true.everywhere))
    return terms


def _spelled(term: SignedTerm, model: Model) -> Iterator[tuple[int, Expr]]:
    """The term in the words of the file, which may be several."""
    body = in_own_words(term.body, model.document)
    for sign, part in [(1, body)] if body is term.body else addends(body):
        yield term.sign * sign, part


def writes_diag(model: Model) -> bool:
    """Whether the gradients of a file are written `diag(v) @ dh` rather than `dh * v`."""
    nodes = (node for equation in model.gradients for node in walk(equation.rhs))
    return any(isinstance(node, Call) and node.function == "diag" for node in nodes)


def _gradients(model: Model, keep: Keep, fine: bool) -> Gradients:
    key = (id(model), keep, fine)  # the model is kept beside, so that its id stays its own
    if key not in _DERIVED:
        try:
            _DERIVED[key] = model, Gradients(model, keep, fine)
        except DerivationError as error:
            _DERIVED[key] = model, error
        for oldest in list(_DERIVED)[:-KEPT]:
            del _DERIVED[oldest]
    gradients = _DERIVED[key][1]
    if isinstance(gradients, DerivationError):
        raise gradients
    return gradients
