"""Which names stand for which functions: `tanh(a[t])` is `h[t]` where the file says so, and `h[t]` is defined there.

Quotients, such as `alpha = exp(e) / sum exp(e)`, and other names for the same are put in instead; `stop` goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ...language.affine import Affine
from ...language.types.quantities import Key
from ...system.affine_system import Clause
from ...system.domain import Domain
from . import arithmetic
from .arithmetic import Unprovable, Work, added, multiplied, of, restricted, scaled
from .definitions import Definition, Definitions
from .function_forms import apply
from .slopes import key_of
from .sums import opened, summed
from .units import Applied, Bound, Entry, Exponent, Polynomial, Repeated, Unit
from .vanishing import without_implied

_FOLDED = {"tanh", "sigmoid", "softplus", "exp", "log", "sin", "cos", "^"}


@dataclass(frozen=True)
class _Pattern:
    """A unit under an exponent that is an entry of a quantity, on a domain of the variables of its definition."""

    definition: Definition
    domain: Domain
    unit: Applied
    exponent: Exponent


class FunctionNames:
    """The names of one model."""

    def __init__(self, book: Definitions) -> None:
        self.book = book
        self._patterns: dict[str, list[_Pattern]] | None = None
        self._known: frozenset[str] | None = None
        self._spelled: frozenset[str] = frozenset()
        self._put_in: dict[Key, Definition | None] = {}

    def settled(self, p: Polynomial, context: Domain, work: Work, spelled: frozenset[str] | None = None) -> Polynomial:
        """A polynomial with names in the place of the functions they are defined by, quotients put in, `stop` gone.

        The names in `spelled` stand for nothing.
        """
        if spelled is not None and spelled != self._spelled:
            before, self._spelled = self._spelled, spelled
            try:
                return self.settled(p, context, work)
            finally:
                self._spelled = before
        parts = []
        for (domain, factors), number in p.terms.items():
            inner = context & domain
            plain = [factor for factor in factors if not self._concerned(factor[0])]
            changed = [self._settled_unit(u, e, inner, work) for u, e in factors if self._concerned(u)]
            whole = multiplied([arithmetic.product(plain, work), *changed], work) if changed else None
            parts.append(
                Polynomial({(domain, factors): number}) if whole is None else restricted(scaled(whole, number), domain)
            )
        return added(parts)

    def _concerned(self, unit: Unit) -> bool:
        return not self._interesting.isdisjoint(traits(unit))

    @property
    def _interesting(self) -> frozenset[str]:
        """The functions that names may stand for, and the names that are put in."""
        if self._known is None:
            patterns = self.patterns
            names = {key[0] for key in self.book.system.forward if self.quotient(key) is not None}
            functions = {f"{pattern.unit.function}()" for found in patterns.values() for pattern in found}
            self._known = frozenset({"stop()", "step()", *functions, *names})
        return self._known

    def _settled_unit(self, unit: Unit, exponent: Exponent, context: Domain, work: Work) -> Polynomial:
        match unit:
            case Entry():
                definition = self.quotient(key_of(unit))
                if definition is None or not self._defined_at(definition.clause, unit.times, context):
                    return of(unit, exponent)
                value = self.book.at(definition, unit.times, unit.entries, work)
                value = self.settled(without_implied(value, context), context, work)
                return arithmetic.power(value, exponent, work)
            case Applied(function="stop"):
                return arithmetic.power(self.settled(unit.argument, context, work), exponent, work)
            case Applied(function="^"):
                argument = self.settled(unit.argument, context, work)
                return self._folded(arithmetic.power(argument, exponent, work), context, work)
            case Applied():
                argument = self.settled(unit.argument, context, work)
                if unit.function == "step":
                    argument = self._before_relu(argument, context, work)
                value = apply(unit.function, argument, work)
                return arithmetic.power(self._folded(value, context, work), exponent, work)
            case Bound(kind="sum"):
                names, domain, factors = opened(unit, work)
                body = self.settled(Polynomial({(Domain.of(), factors): Fraction(1)}), context & domain, work)
                return arithmetic.power(summed(body, names, domain, work), exponent, work)
        return of(unit, exponent)

    def _folded(self, p: Polynomial, context: Domain, work: Work) -> Polynomial:
        """Units that a name stands for, replaced by the name."""
        parts = []
        for (domain, factors), number in p.terms.items():
            inner, found = context & domain, []
            for unit, exponent in factors:
                named = self.named(unit, exponent, inner) if isinstance(unit, Applied) else None
                found.append(named or (unit, exponent))
            parts.append(restricted(scaled(arithmetic.product(found, work), number), domain))
        return added(parts)

    def named(self, unit: Applied, exponent: Exponent, context: Domain) -> tuple[Entry, Exponent] | None:
        """The entry that is defined as this unit, at indices that the definition covers; None if there is none."""
        for pattern in self.patterns.get(unit.skeleton, ()):
            if pattern.definition.clause.equation.target.name in self._spelled:
                continue
            times = arithmetic.whole(Fraction(exponent) / Fraction(pattern.exponent))
            values = matched(pattern.definition.variables, pattern.unit, unit) if isinstance(times, int) else None
            if values is None or not isinstance(times, int):
                continue
            if context.within(pattern.domain.substituted(values)):
                clause = pattern.definition.clause
                indices = tuple(form.substituted(values) for form in clause.indices)
                places = tuple(form.substituted(values) for form in pattern.definition.entries)
                return Entry(clause.equation.target.name, indices, places), times
        return None

    def _defined_at(self, clause: Clause, indices: tuple[Affine, ...], context: Domain) -> bool:
        return any(context.within(claim) for claim in clause.claimed(indices))

    def _before_relu(self, argument: Polynomial, context: Domain, work: Work) -> Polynomial:
        """`step(h)` is `step(a)` where h = relu(a)."""
        single = argument.single
        if single is None or len(single[1]) != 1 or not isinstance(single[1][0][0], Entry) or single[1][0][1] != 1:
            return argument
        unit = single[1][0][0]
        for clause in self.book.system.forward.get(key_of(unit), ()):
            rhs = clause.equation.rhs
            if getattr(rhs, "function", None) == "relu" and self._defined_at(clause, unit.times, context):
                value = self.book.at(self.book.definition(clause, work), unit.times, unit.entries, work)
                return scaled(self.settled(without_implied(value, context), context, work), single[2])
        return argument

    @property
    def patterns(self) -> dict[str, list[_Pattern]]:
        """The units that names stand for, by skeleton; what stands inside them is settled before they are."""
        if self._patterns is not None:
            return self._patterns
        found = self._patterns = {}  # grows below, and is asked while it does
        self._known = frozenset({"stop()", "step()", *(f"{name}()" for name in _FOLDED)})
        work = self.book.work(200_000, 60.0)
        raw = [p for clauses in self.book.system.forward.values() for c in clauses for p in self._written_as(c, work)]
        for pattern in sorted(raw, key=lambda pattern: len(pattern.unit.text)):
            self._note(pattern, work)
        self._known = None  # from here on quotients are put in as well, inside functions too
        for pattern in [pattern for same in found.values() for pattern in same]:
            self._note(pattern, work)
        return found

    def _note(self, pattern: _Pattern, work: Work) -> None:
        """Add a pattern, with what stands inside it settled."""
        assert self._patterns is not None
        argument = self.settled(pattern.unit.argument, pattern.domain, work)
        root = pattern.unit.function == "^"
        unit = _single(of(Applied("^", argument)) if root else apply(pattern.unit.function, argument, work))
        if unit is not None:
            same = self._patterns.setdefault(unit.skeleton, [])
            if all(other.unit != unit or other.definition is not pattern.definition for other in same):
                same.append(replace(pattern, unit=unit))

    def _written_as(self, clause: Clause, work: Work) -> list[_Pattern]:
        """The unit that an equation gives a name to, and the same with what it is a function of put in."""
        try:
            definition = self.book.definition(clause, work)
        except Unprovable:  # an equation without entries gives no name; whoever needs it is told
            return []
        value = definition.value.single
        if value is None or value[2] != 1 or len(value[1]) != 1 or value[0].constraints:
            return []
        unit, exponent = value[1][0]
        if not isinstance(unit, Applied) or unit.function not in _FOLDED or (unit.function != "^" and exponent != 1):
            return []
        return [_Pattern(definition, clause.domain, unit, exponent), *self._put_inside(definition, unit, work)]

    def _put_inside(self, definition: Definition, unit: Applied, work: Work) -> list[_Pattern]:
        """`tanh(b + W @ h[t-1])` where h = tanh(a) and a = b + W @ h[t-1]."""
        inner = unit.argument.single
        if inner is None or inner[2] != 1 or len(inner[1]) != 1 or unit.function == "^":
            return []
        entry, found = inner[1][0][0], []
        if not isinstance(entry, Entry):
            return []
        for clause in self.book.system.forward.get(key_of(entry), ()):
            for claim in clause.claimed(entry.times):
                domain = definition.clause.domain & claim
                value = self.book.at(self.book.definition(clause, work), entry.times, entry.entries, work)
                whole = _single(apply(unit.function, without_implied(value, domain), work))
                if whole is not None and not domain.is_empty:
                    found.append(_Pattern(definition, domain, whole, 1))
        return found

    def quotient(self, key: Key) -> Definition | None:
        """The definition of a quantity that is put in wherever it is read: a quotient, another name, or a number."""
        if key not in self._put_in:
            self._put_in[key] = None  # what goes round is not put in
            self._put_in[key] = self._quotient(key)
        return self._put_in[key]

    def _quotient(self, key: Key) -> Definition | None:
        clauses = self.book.system.forward.get(key, ())
        if len(clauses) != 1:
            return None
        try:
            definition = self.book.definition(clauses[0], self.book.work(200_000, 60.0))
        except Unprovable:  # as above
            return None
        value = definition.value.single
        if value is None or value[0].constraints or any(unit.skeleton in self.patterns for unit, _ in value[1]):
            return None
        divided = any(exponent < 0 for _, exponent in value[1])
        renamed = value[2] == 1 and len(value[1]) == 1 and isinstance(value[1][0][0], Entry) and value[1][0][1] == 1
        return definition if divided or renamed else None

    def replaced(
        self,
        p: Polynomial,
        chosen: Callable[[Entry], bool],
        value: Callable[[Entry], Polynomial],
        name: str,
        work: Work,
    ) -> Polynomial:
        """A polynomial with values in the place of the chosen entries of the quantity `name`, inside sums as well."""
        parts = []
        for (domain, factors), number in p.terms.items():
            plain = [factor for factor in factors if name not in traits(factor[0])]
            changed = [
                arithmetic.power(self._replaced_unit(u, chosen, value, name, work), e, work)
                for u, e in factors
                if name in traits(u)
            ]
            parts.append(
                restricted(scaled(multiplied([arithmetic.product(plain, work), *changed], work), number), domain)
            )
        return added(parts)

    def _replaced_unit(
        self, unit: Unit, chosen: Callable[[Entry], bool], value: Callable[[Entry], Polynomial], name: str, work: Work
    ) -> Polynomial:
        match unit:
            case Entry():
                return value(unit) if unit.name == name and chosen(unit) else of(unit)
            case Applied():
                argument = self.replaced(unit.argument, chosen, value, name, work)
                return argument if unit.function == "^" else apply(unit.function, argument, work)
            case Bound(kind="sum"):
                names, domain, factors = opened(unit, work)
                body = Polynomial({(Domain.of(), factors): Fraction(1)})
                inner = self.replaced(body, chosen, value, name, work)
                return summed(inner, names, domain, work)
        return of(unit)


def _single(p: Polynomial) -> Applied | None:
    """The unit that a polynomial is, if it is a function of something."""
    if p.single is None or p.single[2] != 1 or p.single[0].constraints or len(p.single[1]) != 1:
        return None
    unit, exponent = p.single[1][0]
    return unit if isinstance(unit, Applied) and exponent == 1 else None


def matched(variables: Sequence[str], pattern: Unit | Polynomial, unit: Unit | Polynomial) -> dict[str, Affine] | None:
    """The values of a pattern's variables at which it is a unit, or a polynomial."""
    if pattern.skeleton != unit.skeleton:
        return None
    values: dict[str, Affine] = {}
    pairs = list(zip(pattern.slots, unit.slots, strict=True))
    for own, actual in pairs:
        unknown = [name for name in own.variables if name in variables and name not in values]
        if len(unknown) == 1 and abs(own.coefficient(unknown[0])) == 1:
            rest = own.without(unknown[0]).substituted(values)
            values[unknown[0]] = (actual - rest) * own.coefficient(unknown[0])
    if any(name not in values for name in variables) or any(own.substituted(values) != it for own, it in pairs):
        return None
    return values


def traits(unit: Unit) -> frozenset[str]:
    """The names of the quantities and, as `tanh()`, of the functions in a unit."""
    known = unit.__dict__.get("_traits")
    if known is None:
        known = unit.__dict__["_traits"] = _traits_now(unit)
    return known


def _traits_now(unit: Unit) -> frozenset[str]:
    match unit:
        case Entry():
            return frozenset([unit.name])
        case Applied():
            return frozenset([f"{unit.function}()"]).union(*(traits(inner) for inner in unit.argument.units()))
        case Repeated():
            return traits(unit.base) if isinstance(unit.base, Unit) else frozenset()
        case Bound():
            return frozenset().union(*(traits(inner) for inner, _ in unit.factors))
    return frozenset()
