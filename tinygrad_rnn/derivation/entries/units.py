"""What a proof multiplies and adds, entry by entry: units, and polynomials in them.

A polynomial is a sum of terms `number * [domain] * factor * factor * …`; a factor is a unit under a rational exponent.
Everything commutes, because every unit is one number: an entry of a quantity, a function of a polynomial, an index.
Two units are equal when their texts are; two polynomials when their terms are. The arithmetic stands in `arithmetic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from ...language.affine import Affine, affine
from ...system.domain import EVERYWHERE, Domain

#: rational exponents; a whole one is an int, so that texts and hashes do not depend on how it came about
Exponent = int | Fraction


@dataclass(frozen=True, eq=False)
class Unit:
    """One number with a text that says which; `slots` are the affine indices in it, in the order of the text."""

    @cached_property
    def text(self) -> str:
        """The unit as it is compared and sorted."""
        raise NotImplementedError

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        """The indices in it, from left to right."""
        return ()

    @cached_property
    def skeleton(self) -> str:
        """The text with a dot in the place of each index."""
        return self.text

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables in its indices that it does not bind itself."""
        return frozenset(name for slot in self.slots for name in slot.variables)

    @property
    def level(self) -> int:
        """How many sums are nested in it: bound variables are numbered by level, so that none is captured."""
        return 0

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Unit) and self.text == other.text)

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False, repr=False)
class Entry(Unit):
    """An entry of a quantity: `h[t-1](i)`, `W(i, j)`, `L`."""

    name: str
    times: tuple[Affine, ...] = ()
    entries: tuple[Affine, ...] = ()

    @cached_property
    def text(self) -> str:
        return self.name + _listed("[]", self.times) + _listed("()", self.entries)

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        return (*self.times, *self.entries)

    @cached_property
    def skeleton(self) -> str:
        return f"{self.name}[{len(self.times)}]({len(self.entries)})"


@dataclass(frozen=True, eq=False, repr=False)
class Index(Unit):
    """An index or a length as a number: the `T` of `1 / T`."""

    name: str

    @cached_property
    def text(self) -> str:
        return f"<{self.name}>"

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        return (affine(self.name),)

    @cached_property
    def skeleton(self) -> str:
        return "<>"


@dataclass(frozen=True, eq=False, repr=False)
class Applied(Unit):
    """A function of one number: `tanh(P)`, `log(P)`, `step(P)`, and `^(P)`, a polynomial under a power."""

    function: str
    argument: Polynomial

    @cached_property
    def text(self) -> str:
        return f"{self.function}({self.argument.text})"

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        return self.argument.slots

    @cached_property
    def skeleton(self) -> str:
        return f"{self.function}({self.argument.skeleton})"

    @cached_property
    def free(self) -> frozenset[str]:
        return self.argument.free

    @cached_property
    def level(self) -> int:
        return self.argument.level


@dataclass(frozen=True, eq=False, repr=False)
class Repeated(Unit):
    """A unit or a number to the power of an index: the `0.9**t` in `0.9**(T-t)`."""

    base: Unit | Fraction
    index: str

    @cached_property
    def text(self) -> str:
        return f"{self.base}**<{self.index}>"

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        return (*(self.base.slots if isinstance(self.base, Unit) else ()), affine(self.index))

    @cached_property
    def skeleton(self) -> str:
        return f"{self.base.skeleton if isinstance(self.base, Unit) else self.base}**<>"


@dataclass(frozen=True, eq=False, repr=False)
class Bound(Unit):
    """A sum (or product) over bound variables of a product of units: `sum(k in D, A(i, k) * h(k))`."""

    variables: tuple[str, ...]
    domain: Domain
    factors: Factors
    kind: str = "sum"

    @cached_property
    def text(self) -> str:
        return f"{self.kind}{{{','.join(self.variables)}: {self.domain}}}({factors_text(self.factors)})"

    @cached_property
    def _constraints(self) -> list[tuple[str, Affine, int]]:
        return sorted(((c.kind, c.affine, c.modulus) for c in self.domain.constraints), key=str)

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        inner = [slot for unit, _ in self.factors for slot in unit.slots]
        return (*(form for _, form, _ in self._constraints), *inner)

    @cached_property
    def skeleton(self) -> str:
        shape = " ".join(f"{kind}{modulus or ''}" for kind, _, modulus in self._constraints)
        inner = "*".join(f"{unit.skeleton}^{exponent}" for unit, exponent in self.factors)
        return f"{self.kind}{{{len(self.variables)}: {shape}}}({inner})"

    @cached_property
    def free(self) -> frozenset[str]:
        names = set(self.domain.variables)
        for unit, _ in self.factors:
            names |= unit.free
        return frozenset(names - set(self.variables))

    @cached_property
    def level(self) -> int:
        return 1 + max((unit.level for unit, _ in self.factors), default=0)


Factors = tuple[tuple[Unit, Exponent], ...]
Term = tuple[Domain, Factors]


class Polynomial:
    """`terms` maps (domain, factors) to a number that is not 0; factors are sorted, each unit once."""

    def __init__(self, terms: Mapping[Term, Fraction] | None = None) -> None:
        self.terms: Mapping[Term, Fraction] = terms or {}

    @cached_property
    def text(self) -> str:
        """What it is compared by."""
        return (
            " + ".join(sorted(term_text(domain, factors, number) for (domain, factors), number in self.terms.items()))
            or "0"
        )

    @cached_property
    def in_order(self) -> list[Term]:
        """Its terms, sorted by their units."""
        return sorted(self.terms, key=lambda term: term_text(term[0], term[1], self.terms[term]))

    @cached_property
    def slots(self) -> tuple[Affine, ...]:
        """The indices in it, in the order of its text."""
        found: list[Affine] = []
        for domain, factors in self.in_order:
            found += [c.affine for c in sorted(domain.constraints, key=str)]
            found += [slot for unit, _ in factors for slot in unit.slots]
        return tuple(found)

    @cached_property
    def skeleton(self) -> str:
        """The text with a dot in the place of each index."""
        parts = []
        for domain, factors in self.in_order:
            shape = " ".join(f"{c.kind}{c.modulus or ''}" for c in sorted(domain.constraints, key=str))
            inner = "*".join(f"{unit.skeleton}^{exponent}" for unit, exponent in factors)
            parts.append(f"{self.terms[domain, factors]}[{shape}]{inner}")
        return " + ".join(parts)

    @cached_property
    def free(self) -> frozenset[str]:
        """The variables it depends on."""
        names: set[str] = set()
        for domain, factors in self.terms:
            names |= domain.variables
            for unit, _ in factors:
                names |= unit.free
        return frozenset(names)

    @cached_property
    def level(self) -> int:
        """How many sums are nested in it."""
        return max((unit.level for _, factors in self.terms for unit, _ in factors), default=0)

    @property
    def number(self) -> Fraction | None:
        """Its value if it is a number, whatever the indices."""
        if not self.terms:
            return Fraction(0)
        return self.terms.get((EVERYWHERE, ())) if len(self.terms) == 1 else None

    @property
    def single(self) -> tuple[Domain, Factors, Fraction] | None:
        """Domain, factors and number of its only term; None if it has another number of terms."""
        if len(self.terms) != 1:
            return None
        (((domain, factors), number),) = self.terms.items()
        return domain, factors, number

    def units(self) -> Iterator[Unit]:
        """The units of its terms, not those inside them."""
        for _, factors in self.terms:
            for unit, _ in factors:
                yield unit

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


def factors_text(factors: Factors) -> str:
    """`W(i, j)*h[t](j)^2`."""
    return "*".join(unit.text if exponent == 1 else f"{unit.text}^{exponent}" for unit, exponent in factors)


def term_text(domain: Domain, factors: Factors, number: Fraction) -> str:
    """One term as it is sorted: factors first, so that terms keep their order when numbers change."""
    return f"{factors_text(factors)} [{domain if domain.constraints else ''}] {number}"


def _listed(brackets: str, indices: tuple[Affine, ...]) -> str:
    return f"{brackets[0]}{','.join(map(str, indices))}{brackets[1]}" if indices else ""
