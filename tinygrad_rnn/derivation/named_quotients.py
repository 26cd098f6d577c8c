"""Quotients that the file has a name for are called by it: exp(e[t, s]) / sum(k, exp(e[t, k])) is alpha[t, s]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..language import Model
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Concat, Expr, Number, walk
from ..system import System
from .forms import Form, Product, Step, Symbol, Total

if TYPE_CHECKING:
    from .algebra import Algebra
    from .from_expressions import Reader

Factor = tuple[Form, Fraction]
Values = Mapping[str, Affine]


@dataclass(frozen=True)
class _Quotient:
    """`name` is the product of `factors`, one of them a divisor; `variables` stand for any step."""

    name: Symbol
    variables: frozenset[str]
    factors: tuple[Factor, ...]


class Quotients:
    """The named quotients of a system; called with the factors of a product, it puts names in."""

    def __init__(self, system: System, reader: Reader) -> None:
        self.known = _quotients(system, reader)

    def __call__(self, algebra: Algebra, factors: list[Factor]) -> list[Factor]:
        for quotient in self.known:
            while True:
                found = _matched(quotient, factors)
                if found is None:
                    break
                values, left = found
                name = algebra.substituted(quotient.name, values)
                factors = [*left, (name, Fraction(1))]
        return factors


def distributions(model: Model) -> frozenset[str]:
    """The quantities whose entries add up to one: declared labels, and what is a softmax or a constant of that kind."""
    found = {name for name, _ in model.quantities.labels}
    for (name, _), equations in model.quantities.defined.items():
        if all(_adds_up_to_one(equation.rhs) for equation in equations):
            found.add(name)
    return frozenset(found)


def means(system: System, reader: Reader) -> dict[str, tuple[tuple[str, ...], Form]]:
    """What is the mean of the entries of something, by its name: its index variables, and what the mean is of."""
    found: dict[str, tuple[tuple[str, ...], Form]] = {}
    for (name, _), clauses in system.forward.items():
        rhs = clauses[0].equation.rhs
        plain = all(index.simple and index.running and not index.constant for index in clauses[0].indices)
        if len(clauses) == 1 and plain and isinstance(rhs, Call) and rhs.function == "mean":
            fresh = {variable: reader.fresh(variable) for variable in clauses[0].variables}
            form = reader.form(rhs, {variable: affine(other) for variable, other in fresh.items()})
            found[name] = tuple(fresh[str(index.variable)] for index in clauses[0].indices), form
    return found


def _adds_up_to_one(rhs: Expr) -> bool:
    if isinstance(rhs, Concat):
        return all(isinstance(part, Number) for part in rhs.parts) and sum(part.value for part in rhs.parts) == 1  # type: ignore[attr-defined]
    return isinstance(rhs, Call) and rhs.function in ("softmax", "onehot")


def _quotients(system: System, reader: Reader) -> list[_Quotient]:
    found = []
    for clauses in system.forward.values():
        clause = clauses[0]
        rhs = clause.equation.rhs
        divided = isinstance(rhs, Binary) and any(isinstance(node, Binary) and node.op == "/" for node in walk(rhs))
        if len(clauses) != 1 or not divided:
            continue
        env = {name: affine(reader.fresh(name)) for name in clause.variables}
        form = reader.form(rhs, env)
        if isinstance(form, Product) and any(n < 0 and not isinstance(f, Step) for f, n in form.factors):
            target = reader.symbol(clause.equation.target, env)
            if all(n.denominator == 1 for _, n in form.factors):
                variables = frozenset(name for value in env.values() for name in value.running)
                found.append(_Quotient(target, variables, form.factors))
    return found


def _matched(quotient: _Quotient, factors: list[Factor]) -> tuple[Values, list[Factor]] | None:
    """The values of the variables at which the quotient divides a product, and what is left of that."""
    # divisors first: they are the rarer ones
    return _search(quotient, sorted(quotient.factors, key=lambda factor: factor[1]), {}, list(factors))


def _search(
    quotient: _Quotient, wanted: list[Factor], values: Values, left: list[Factor]
) -> tuple[Values, list[Factor]] | None:
    if not wanted:
        return (values, left) if quotient.variables <= values.keys() else None
    pattern, n = wanted[0]
    for i, (form, m) in enumerate(left):
        if (m > 0) == (n > 0) and abs(m) >= abs(n):
            bound = unified(pattern, form, quotient.variables, values)
            if bound is not None:
                rest = [(form, m - n)] if m != n else []
                result = _search(quotient, wanted[1:], bound, [*left[:i], *rest, *left[i + 1 :]])
                if result is not None:
                    return result
    return None


def unified(pattern: Form, form: Form, variables: frozenset[str], values: Values) -> Values | None:
    """The values of the pattern's variables at which it is the form; None if there are none."""
    stack: list[tuple[Form, Form, Values]] = [(pattern, form, {})]
    found = dict(values)
    bounds: list[tuple[Total, Total, Values]] = []
    while stack:
        a, b, renamed = stack.pop()
        if type(a) is not type(b) or a.shape != b.shape or len(a.parts) != len(b.parts):
            return None
        if isinstance(a, Symbol) and isinstance(b, Symbol):
            if a.name != b.name or len(a.indices) != len(b.indices):
                return None
            for index, other in zip(a.indices, b.indices, strict=True):
                if not _solved(index.substituted(renamed), other, variables, found):
                    return None
        elif isinstance(a, Total) and isinstance(b, Total):
            renamed = {**renamed, a.variable: affine(b.variable)}
            bounds.append((a, b, renamed))
        elif a.head != b.head:
            return None
        stack += [(x, y, renamed) for x, y in zip(a.parts, b.parts, strict=True)]
    return found if all(_same_bounds(a, b, {**renamed, **found}) for a, b, renamed in bounds) else None


def _same_bounds(a: Total, b: Total, values: Values) -> bool:
    said = sorted(str(constraint.substituted(values)) for constraint in a.constraints)
    return a.kind == b.kind and said == sorted(map(str, b.constraints))


def _solved(index: Affine, value: Affine, variables: frozenset[str], found: dict[str, Affine]) -> bool:
    """Bind the one free variable of a pattern's index so that it is a value."""
    index = index.substituted(found)
    free = [name for name in index.running if name in variables]
    if not free:
        return index == value
    if len(free) > 1 or index.coefficient(free[0]) != 1:
        return False
    found[free[0]] = value - index.without(free[0])
    return True
