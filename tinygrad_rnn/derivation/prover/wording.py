"""Conditions and leftovers of a proof in words."""

from __future__ import annotations

from fractions import Fraction

from ...language import Model
from ...language.affine import Affine
from ...language.syntax.indices import Constraint
from ...system.domain import NEVER, Domain
from ..entries.units import Polynomial
from ..entries.vanishing import Rest
from .entry_text import EntryText, steps_in


def condition(constraint: Constraint) -> str:
    """`t <= T-1` for `T-t-1 >= 0`.

    >>> from tinygrad_rnn.language.affine import affine
    >>> condition(Constraint(">=", affine("T", -1) - affine("t")))
    't <= T-1'
    """
    form = constraint.affine
    if constraint.modulus or not form.terms:
        return str(constraint)
    more = Affine(tuple(term for term in form.terms if term[1] > 0), max(form.constant, 0))
    less = -Affine(tuple(term for term in form.terms if term[1] < 0), min(form.constant, 0))
    if not less.terms:
        return f"{Affine(more.terms)} {constraint.kind} {less.constant - more.constant}"
    if not more.terms:
        return f"{Affine(less.terms)} {constraint.kind.replace('>', '<')} {more.constant - less.constant}"
    constant = more.constant - less.constant
    return f"{Affine(less.terms)} {constraint.kind.replace('>', '<')} {Affine(more.terms, constant)}"


def steps(domain: Domain, known: Domain) -> str:
    """What a domain says of steps and lengths that is not known, in words; nothing if it says nothing."""
    own = [c for c in domain.constraints if not any("~" in name or "'" in name for name in c.affine.variables)]
    return " and ".join(condition(c) for c in sorted(own, key=str) if not known.implies(c))


def left_over(rest: Rest | str | None, model: Model, context: Domain) -> str:
    """What the two sides of an equation differ by, and where."""
    if not isinstance(rest, Rest):
        return rest or "the two sides differ"
    slots = [slot for unit, _ in rest.factors for slot in unit.slots]
    there = rest.domain.substituted({f"x~{at}": slot for at, slot in enumerate(slots)})
    entrywise = EntryText(model, context)
    term = Polynomial({(Domain.of(), rest.factors): Fraction(1)})
    names = entrywise.open_names(term)
    number = entrywise.text(rest.number, names)
    said = entrywise.text(term, names) if rest.factors else ""
    parts = [part for part in (f"({number})" if " " in number else number, said) if part not in ("", "1")]
    counted = {name for unit, _ in rest.factors for name in steps_in(unit)} | there.variables - set(names)
    own = [c for c in there.constraints if set(c.affine.variables) <= counted and not _of_sizes(c)]
    where = "" if there == NEVER else steps(Domain.of(*(c.substituted(names) for c in own)), Domain.of())
    return f"the two sides differ by {' * '.join(parts) or '1'}{f' where {where}' if where else ''}"


def _of_sizes(constraint: Constraint) -> bool:
    return any("'" in name for name in constraint.affine.variables)
