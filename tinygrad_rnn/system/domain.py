"""Sets of index tuples, for every length at once: conjunctions of affine constraints.

    {t : t - 1 >= 0, T - t >= 0, 2 | t}

All questions (is it empty, does it lie in another, what is left of it) are answered exactly for all lengths, by
eliminating one variable after the other: equalities are put in, bounds with a coefficient of one are paired (Fourier
and Motzkin), all else goes by Cooper's method ("Theorem proving in arithmetic without multiplication", 1972). Lengths,
which have capital letters, are at least 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, lcm

from ..language.affine import Affine, affine
from ..language.syntax.indices import Constraint
from .time_limit import keep_on

_NEVER = Constraint(">=", affine(None, -1))


@dataclass(frozen=True)
class Domain:
    """The index tuples at which all constraints hold; made by `Domain.of`, which brings them to a normal form.

    >>> from tinygrad_rnn.language.affine import affine
    >>> t, T = affine("t"), affine("T")
    >>> inner = Domain.of(Constraint(">=", t - 1), Constraint(">=", T - 1 - t))
    >>> inner.is_empty, (inner & Domain.of(Constraint("=", t - T))).is_empty
    (False, True)
    """

    constraints: frozenset[Constraint]

    @classmethod
    def of(cls, *constraints: Constraint) -> Domain:
        """The domain on which all of these hold."""
        return EVERYWHERE.where(*constraints)

    @property
    def variables(self) -> frozenset[str]:
        """The names that the constraints mention: index variables and lengths."""
        return frozenset(name for constraint in self.constraints for name in constraint.affine.variables)

    def __and__(self, other: Domain) -> Domain:
        if self.constraints >= other.constraints:
            return self
        # those of both are in lowest terms already
        tightest = _tightest([*self.constraints, *other.constraints])
        return NEVER if tightest is None else Domain(frozenset(tightest))

    def where(self, *constraints: Constraint) -> Domain:
        """The part on which these hold as well."""
        reduced: list[Constraint] = []
        for constraint in constraints:
            simpler = _reduced(constraint)
            if simpler is _NEVER:
                return NEVER
            if simpler is not None:
                reduced.append(simpler)
        if self.constraints.issuperset(reduced):
            return self
        tightest = _tightest([*self.constraints, *reduced])
        return NEVER if tightest is None else Domain(frozenset(tightest))

    def substituted(self, values: Mapping[str, Affine]) -> Domain:
        """With affine expressions in the place of some variables."""
        return Domain.of(*(constraint.substituted(values) for constraint in self.constraints)) if values else self

    def holds(self, times: Mapping[str, int]) -> bool:
        """Whether the tuple that gives its variables these values belongs to it."""
        return all(constraint.holds(times) for constraint in self.constraints)

    def value_of(self, name: str) -> Affine | None:
        """What a variable equals on the whole domain, if a constraint says so with the coefficient 1 or -1."""
        for constraint in self._sorted():
            if constraint.kind == "=" and abs(constraint.affine.coefficient(name)) == 1:
                return constraint.affine.without(name) * -constraint.affine.coefficient(name)
        return None

    # -- questions for every length -----------------------------------------------------------------------------------
    @property
    def is_empty(self) -> bool:
        """Whether no tuple belongs to it, whatever the lengths (each at least 1)."""
        return _is_empty(self)

    def implies(self, constraint: Constraint) -> bool:
        """Whether a constraint holds on the whole domain."""
        return self.where(constraint.negation).is_empty

    def within(self, other: Domain) -> bool:
        """Whether every tuple of this domain belongs to the other."""
        return all(self.implies(constraint) for constraint in other.constraints - self.constraints)

    def meets(self, other: Domain) -> bool:
        """Whether the two have a tuple in common, at some lengths."""
        return not (self & other).is_empty

    def minus(self, other: Domain) -> tuple[Domain, ...]:
        """What belongs to this domain and not to the other, as domains that exclude each other; none of them empty."""
        pieces, rest = [], self
        for constraint in sorted(other.constraints - self.constraints, key=str):
            piece = rest.where(constraint.negation)
            if not piece.is_empty:
                pieces.append(piece)
            rest = rest.where(constraint)
        return tuple(pieces)

    def simplified(self, known: Domain | None = None) -> Domain:
        """The same without constraints that follow from the others and from what is `known`; a step that is left out at
        an end of an interval (t <= T and t != T) moves the end.
        """
        around = self & known if known else self
        kept = [around._at_an_end(constraint) for constraint in self._sorted()]
        for constraint in list(kept):
            rest = [other for other in kept if other != constraint]
            if Domain.of(*rest, *(known.constraints if known else ())).implies(constraint):
                kept = rest
        return Domain.of(*kept)

    def joined(self, other: Domain) -> Domain | None:
        """The domain that holds the tuples of both and no others, if there is one: [1, T-1] and [T, T] make [1, T]."""
        union = Domain.of(*self._agreed(other), *other._agreed(self))
        left = (piece for rest in union.minus(self) for piece in rest.minus(other))
        return None if any(True for _ in left) else union.simplified()

    def _agreed(self, other: Domain) -> list[Constraint]:
        """What this domain says and the other implies; an equality says two things."""
        said: list[Constraint] = []
        for constraint in self._sorted():
            two = [Constraint(">=", constraint.affine), Constraint(">=", -constraint.affine)]
            said += two if constraint.kind == "=" else [constraint]
        return [constraint for constraint in said if other.implies(constraint)]

    def _at_an_end(self, constraint: Constraint) -> Constraint:
        """For `a != 0` the inequality it comes to where a is never above (below) 0; any other constraint as it is."""
        if constraint.kind == "!=":
            for side in (constraint.affine, -constraint.affine):
                if self.implies(Constraint(">=", side)):
                    return Constraint(">=", side - 1)
        return constraint

    def projected(self, *names: str) -> tuple[Domain, ...]:
        """The tuples of the other variables for which values of `names` exist: domains that together cover them."""
        pieces: tuple[Domain, ...] = (self,)
        for name in names:
            pieces = tuple(dict.fromkeys(smaller for piece in pieces for smaller in _without(piece, name)))
        return tuple(piece for piece in pieces if piece is not NEVER)

    @property
    def shadow(self) -> tuple[Domain, ...]:
        """The lengths at which it has a tuple: domains that together cover them."""
        found: dict[Domain, None] = {}
        waiting: list[Domain] = [self]
        while waiting:
            piece = waiting.pop()
            running = [name for name in piece.variables if not name[0].isupper()]
            if running:
                waiting += _without(piece, _easiest(piece, running))
            elif piece is not NEVER:
                found[piece] = None
        return tuple(found)

    def points(self, variables: Iterable[str], lengths: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """The tuples at certain lengths, as values of `variables` (which have to be bounded), the first one slowest."""
        names = list(variables)
        here = self.substituted({name: affine(None, length) for name, length in lengths.items()})
        if here is NEVER:
            return
        if not names:
            yield {}
            return
        first, *rest = names
        shadows = here.projected(*rest)
        values = sorted({value for shadow in shadows for value in _interval(shadow, first)})
        for value in values:
            for point in here.substituted({first: affine(None, value)}).points(rest, {}):
                yield {first: value, **point}

    def _sorted(self) -> list[Constraint]:
        return sorted(self.constraints, key=str)

    def __str__(self) -> str:
        return " and ".join(map(str, self._sorted())) or "everywhere"


EVERYWHERE = Domain(frozenset())
NEVER = Domain(frozenset([_NEVER]))


# -- normal form ------------------------------------------------------------------------------------------------------
def _reduced(constraint: Constraint) -> Constraint | None:
    """In lowest terms; None where it always holds, `_NEVER` where it never does."""
    kind, form, modulus = constraint.kind, constraint.affine, constraint.modulus
    if modulus:
        return _reduced_remainder(kind, form, modulus)
    if not form.terms:
        return None if constraint.holds({}) else _NEVER
    divisor = gcd(*(count for _, count in form.terms))
    terms = tuple((name, count // divisor) for name, count in form.terms)
    if kind == ">=":
        return Constraint(kind, Affine(terms, form.constant // divisor))
    if form.constant % divisor:
        return None if kind == "!=" else _NEVER
    sign = 1 if terms[0][1] > 0 else -1
    return Constraint(kind, Affine(terms, form.constant // divisor) * sign)


def _reduced_remainder(kind: str, form: Affine, modulus: int) -> Constraint | None:
    terms = tuple((name, count % modulus) for name, count in form.terms if count % modulus)
    common = gcd(modulus, *(count for _, count in terms))
    if form.constant % common:
        return _NEVER if kind == "|" else None
    smaller = modulus // common
    if smaller == 1:
        return None if kind == "|" else _NEVER
    terms = tuple((name, count // common) for name, count in terms)
    return Constraint(kind, Affine(terms, form.constant // common % smaller), smaller)


def _tightest(constraints: list[Constraint]) -> list[Constraint] | None:
    """Only the tightest of parallel bounds, two that meet as an equality; None where two exclude each other."""
    least: dict[tuple[tuple[str, int], ...], int] = {}
    others: list[Constraint] = []
    for constraint in constraints:
        if constraint.kind == ">=":
            terms, constant = constraint.affine.terms, constraint.affine.constant
            least[terms] = min(constant, least.get(terms, constant))
        else:
            others.append(constraint)
    bounds: list[Constraint] = []
    for terms, constant in least.items():
        mirrored = tuple((name, -count) for name, count in terms)
        if mirrored not in least:
            bounds.append(Constraint(">=", Affine(terms, constant)))
            continue
        slack = constant + least[mirrored]
        if slack < 0:
            return None
        if slack > 0:
            bounds.append(Constraint(">=", Affine(terms, constant)))
        elif terms[0][1] > 0:
            others.append(Constraint("=", Affine(terms, constant)))
    found = set(bounds + others)
    if any(constraint.negation in found for constraint in found if constraint.kind in ("=", "|")):
        return None
    return list(found)


# -- elimination ------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=65536)
def _is_empty(domain: Domain) -> bool:
    lengths = [Constraint(">=", affine(name, -1)) for name in domain.variables if name[0].isupper()]
    stack = [domain.where(*lengths)]
    while stack:
        piece = stack.pop()
        if piece is NEVER:
            continue
        if not piece.constraints:
            return False
        stack += _without(piece, _easiest(piece, piece.variables))
    return True


def _easiest(domain: Domain, among: Iterable[str]) -> str:
    """The variable whose elimination makes the fewest new domains: one that an equality gives, or with few bounds."""

    def cost(name: str) -> tuple[int, int, str]:
        concerned = [c for c in domain.constraints if c.affine.coefficient(name)]
        if any(c.kind == "=" for c in concerned):
            unit = any(c.kind == "=" and abs(c.affine.coefficient(name)) == 1 for c in concerned)
            return 0, not unit, name
        splits = sum(c.kind == "!=" for c in concerned)
        remainders = lcm(*(c.modulus for c in concerned if c.modulus))
        lower = sum(c.kind == ">=" and c.affine.coefficient(name) > 0 for c in concerned)
        upper = sum(c.kind == ">=" and c.affine.coefficient(name) < 0 for c in concerned)
        return 1 + splits + remainders, lower * upper, name

    return min(among, key=cost)


def _without(domain: Domain, name: str) -> list[Domain]:
    """Domains of the other variables that together say: some value of `name` satisfies all constraints."""
    keep_on()
    concerned = [c for c in domain.constraints if c.affine.coefficient(name)]
    rest = [c for c in domain.constraints if not c.affine.coefficient(name)]
    equal = [c for c in concerned if c.kind == "="]
    if equal:
        best = min(equal, key=lambda c: (abs(c.affine.coefficient(name)), str(c)))
        return _nonempty(Domain.of(*rest, *_put_in(best, [c for c in concerned if c is not best], name)))
    for constraint in concerned:
        if constraint.kind == "!=":
            others = [c for c in domain.constraints if c is not constraint]
            below, above = -constraint.affine - 1, constraint.affine - 1
            halves = (Domain.of(*others, Constraint(">=", side)) for side in (below, above))
            return [piece for half in halves for piece in _without(half, name)]
    lower = [c.affine for c in concerned if c.kind == ">=" and c.affine.coefficient(name) > 0]
    upper = [c.affine for c in concerned if c.kind == ">=" and c.affine.coefficient(name) < 0]
    remainders = [c for c in concerned if c.modulus]
    if not remainders:
        if not lower or not upper:
            return _nonempty(Domain.of(*rest))
        pairs = [(low, high) for low in lower for high in upper]
        if all(low.coefficient(name) == 1 or high.coefficient(name) == -1 for low, high in pairs):
            paired = [low * -high.coefficient(name) + high * low.coefficient(name) for low, high in pairs]
            return _nonempty(Domain.of(*rest, *(Constraint(">=", form) for form in paired)))
    return _by_cooper(rest, lower, upper, remainders, name)


def _nonempty(domain: Domain) -> list[Domain]:
    return [] if domain is NEVER else [domain]


def _put_in(equality: Constraint, others: Iterable[Constraint], name: str) -> list[Constraint]:
    """The other constraints with `count * name = value` put in, each multiplied by what makes it whole."""
    count = equality.affine.coefficient(name)
    value = equality.affine.without(name) * (-1 if count > 0 else 1)
    count = abs(count)
    made = [Constraint("|", value, count)] if count > 1 else []
    for other in others:
        form = other.affine.without(name) * count + value * other.affine.coefficient(name)
        made.append(Constraint(other.kind, form, other.modulus * count))
    return made


def _by_cooper(
    rest: list[Constraint], lower: list[Affine], upper: list[Affine], remainders: list[Constraint], name: str
) -> list[Domain]:
    """Try every residue above each lower bound (or below each upper one): one of them is a least (largest) solution."""
    scale = lcm(*(abs(form.coefficient(name)) for form in (*lower, *upper, *(c.affine for c in remainders))))
    forms = [_scaled(form, name, scale) for form in (*lower, *upper)]
    lows, highs = [-form.without(name) for form in forms[: len(lower)]], [f.without(name) for f in forms[len(lower) :]]
    periodic = [Constraint("|", affine(name), scale)] if scale > 1 else []
    for constraint in remainders:
        factor = scale // abs(constraint.affine.coefficient(name))
        periodic.append(
            Constraint(constraint.kind, _scaled(constraint.affine, name, scale), constraint.modulus * factor)
        )
    period = lcm(*(constraint.modulus for constraint in periodic))
    if not lows or not highs:
        tried = [affine(None, residue) for residue in range(period)]
        conditions = periodic
    else:
        from_below = len(lows) <= len(highs)
        ends = lows if from_below else highs
        tried = [end + (residue if from_below else -residue) for end in ends for residue in range(period)]
        bounds = [Constraint(">=", affine(name) - low) for low in lows]
        conditions = [*periodic, *bounds, *(Constraint(">=", high - affine(name)) for high in highs)]

    def at(value: Affine) -> Domain:
        keep_on()
        return Domain.of(*rest, *(c.substituted({name: value}) for c in conditions))

    found = map(at, tried)
    return [piece for piece in dict.fromkeys(found) if piece is not NEVER]


def _scaled(form: Affine, name: str, scale: int) -> Affine:
    """A form multiplied so that `name` has the coefficient `scale` or `-scale`, which is then written as 1 or -1."""
    count = form.coefficient(name)
    factor = scale // abs(count)
    return form.without(name) * factor + affine(name, 0, 1 if count > 0 else -1)


def _interval(domain: Domain, name: str) -> list[int]:
    """The values of the one variable that is left."""
    low = [-c.affine.constant for c in domain.constraints if c.kind == ">=" and c.affine.coefficient(name) == 1]
    high = [c.affine.constant for c in domain.constraints if c.kind == ">=" and c.affine.coefficient(name) == -1]
    fixed = domain.value_of(name)
    if fixed is not None:
        low, high = [fixed.constant], [fixed.constant]
    if not low or not high:
        raise ValueError(f"{name} is not bounded on {domain}")
    return [value for value in range(max(low), min(high) + 1) if domain.holds({name: value})]
