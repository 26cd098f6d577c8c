"""The right additive terms of a stated gradient equation, each with the steps at which it stands."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..core.errors import DerivationError
from ..language import Equation, Model
from ..language.expressions import Expr
from ..language.rewriting import negated
from ..language.text.printer import text
from ..system import Domain
from ..system.affine_system import Clause, clauses_of
from .algebra import Algebra
from .forms import Combination, Form, Total, terms_of
from .gradients import Gradients, placed
from .regions import Region
from .writing import EquationWriter


@dataclass(frozen=True)
class TrueTerm:
    """`sign * expr`, one term of what an equation's right-hand side should be, in the equation's own variables.

    A sum over time is a `Sum` around the term. `domains` say at which steps the term stands (tuples of the equation's
    variables that exclude each other); where the equation holds elsewhere too the term is not there.
    """

    sign: int
    expr: Expr
    domains: tuple[Domain, ...]
    everywhere: bool

    def holds(self, times: dict[str, int]) -> bool:
        """Whether the term stands at the step that gives the equation's variables (and lengths) these values."""
        return any(domain.holds(times) for domain in self.domains)

    def __str__(self) -> str:
        return text(self.expr if self.sign > 0 else negated(self.expr))


def true_terms(gradients: Gradients, equation: Equation, style: str) -> list[TrueTerm]:
    """The terms of the right equation for what `equation` states, at the steps that are left to it.

    `gradients` hold the vocabulary: `Gradients(model, keep)`; without the rule "factor" common factors stay multiplied
    in, so that there are more and smaller terms. Raises `DerivationError` for a helper, and where no such form exists.

    >>> import tinygrad_rnn as tg
    >>> from tinygrad_rnn.derivation import Gradients, true_terms
    >>> model = tg.load("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]**2))\\ngradients:\\ndh[t] = h[t]")
    >>> for term in true_terms(Gradients(model, ["h"]), model.gradients[0], "hadamard"):
    ...     print(term, "   at", *term.domains)
    2 * h[t]    at T-t >= 0 and t-1 >= 0
    W.T @ (dh[t+1] * (1 - h[t+1]**2))    at T-t-1 >= 0 and t-1 >= 0
    """
    model, algebra = gradients.model, gradients.algebra
    key = model.quantities.base(equation.target.key)
    if key is None:
        raise DerivationError("only the gradient of a quantity can be derived")
    copy = equation.target.index is not None and not key[1]
    regions = gradients.copies(key[0]) if copy else gradients.regions(key)
    own = left_to(equation, model)
    writer = EquationWriter(model, style)
    found: dict[str, tuple[Fraction, Form, list[Domain]]] = {}
    missing = [clause.domain for clause in own]
    for region in regions:
        here = placed(region, equation.target.indices, algebra)
        if here is None:
            continue
        for clause in own:
            domain = here.domain & clause.domain
            if not domain.is_empty:
                missing = [rest for part in missing for rest in part.minus(domain)]
                for c, part in _terms(here, algebra):
                    found.setdefault(f"{c} {part.key}", (c, part, []))[2].append(domain)
    terms = []
    for c, part, domains in found.values():
        known = next(iter(domains)) if len(domains) == 1 else Domain.of()
        expr = writer.expr(algebra.scale(abs(c), part), known, tuple(equation.running))
        joined = _joined(domains)
        everywhere = not [rest for clause in own for rest in _minus(clause.domain, joined)]
        terms.append(TrueTerm(1 if c > 0 else -1, expr, joined, everywhere))
    return sorted(terms, key=lambda term: not term.everywhere)


def left_to(equation: Equation, model: Model) -> list[Clause]:
    """The steps that narrower equations of a model leave to one, which may be none of the model's own."""
    stated = model.quantities.stated.get(equation.target.key, [])
    if not any(other is equation for other in stated):
        stated = [*stated, equation]
    return [clause for clause in clauses_of(stated) if clause.equation is equation]


def _terms(region: Region, algebra: Algebra) -> list[tuple[Fraction, Form]]:
    """The additive terms, those under a sum over time one by one."""
    found: list[tuple[Fraction, Form]] = []
    for c, part in terms_of(region.form):
        if isinstance(part, Total) and part.kind == "sum" and isinstance(part.body, Combination):
            found += [
                (c * k, Total(part.shape, part.kind, part.variable, part.constraints, inner))
                for k, inner in part.body.terms
            ]
        else:
            found.append((c, part))
    return found


def _joined(domains: list[Domain]) -> tuple[Domain, ...]:
    """Neighbouring domains as one."""
    found = list(domains)
    progress = True
    while progress:
        progress = False
        for one, other in ((a, b) for i, a in enumerate(found) for b in found[i + 1 :]):
            union = one.joined(other)
            if union is not None:
                found = [domain for domain in found if domain is not one and domain is not other] + [union]
                progress = True
                break
    return tuple(domain.simplified() for domain in found)


def _minus(domain: Domain, others: tuple[Domain, ...]) -> list[Domain]:
    left: tuple[Domain, ...] = (domain,)
    for other in others:
        left = tuple(rest for part in left for rest in part.minus(other))
    return list(left)
