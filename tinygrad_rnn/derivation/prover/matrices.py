"""From entries back to matrices: `sum(j, W(j, i) * v(j))` is `W.T @ v`, as a page would have it.

The factors of a term are a graph: entries of columns are its points, entries of matrices its edges. A tree is written
from its root (the free index) to its leaves; what is no tree has no such form (`None`). `x - x * v**2` is collected as
`x * (1 - v**2)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...language.affine import Affine, affine
from ...language.expressions import Binary, Call, Expr, Number, Ref, Sum, Time
from ...language.rewriting import product, total, transposed
from ...language.syntax.indices import Comparison, Condition
from ...language.syntax.source import NOWHERE
from ...system.domain import Domain
from ..entries.definitions import COLUMN, ROW, Definitions
from ..entries.entrywise import entries, one_hot
from ..entries.named_functions import FunctionNames, matched
from ..entries.sums import renamed
from ..entries.units import Applied, Bound, Entry, Exponent, Factors, Index, Polynomial, Unit
from .opened import OpenedTerm, collected_terms, opened_term

_LETTERS = ("t", "k", "s", "j", "l", "m", "n")


class NoForm(Exception):
    """A polynomial that is no chain of matrices."""


@dataclass(frozen=True)
class Scene:
    """What a form is written for: a model, the names of its functions, the steps it stands at."""

    book: Definitions
    names: FunctionNames
    context: Domain


def matrix_form(p: Polynomial, scene: Scene) -> Expr | None:
    """The expression whose entry at `ROW` and `COLUMN` is a polynomial; None if there is none of this kind."""
    try:
        roots = (str(ROW), str(COLUMN))
        return total([_Form(term, scene, roots).signed for term in collected_terms(p)])
    except NoForm:
        return None


class _Form:
    """One term on its way to an expression."""

    def __init__(
        self, term: OpenedTerm, scene: Scene, roots: tuple[str, ...], names: dict[str, Affine] | None = None
    ) -> None:
        self.term, self.scene, self.book, self.context = term, scene, scene.book, scene.context
        self.roots = roots  # the free indices: of rows, of columns
        named = _with_softmax(_with_quotients(term.factors, scene))
        pairs = [(_places(unit), (unit, exponent), False) for unit, exponent in named]
        pairs += [(_places(unit), (unit, exponent), True) for unit, exponent in term.differences]
        #: the entries a factor stands at, the factor, whether it is 1 minus it
        self.factors = [(places, factor, minus) for places, factor, minus in pairs]
        self.inner = {name for places, _, _ in self.factors for name in places}
        self.steps = sorted(term.bound - self.inner)
        self.names: dict[str, Affine] = dict(names or {})
        for step in self.steps:
            self.names[step] = affine(self._letter(step))
        self.used: set[int] = set()

    @property
    def signed(self) -> tuple[int, Expr]:
        """The sign, and the expression without it."""
        self._check_domain()
        above, below = self._matrix(), []
        for part, exponent in self._numbers():
            if exponent > 0:
                above.append(_powered(part, exponent))
            else:
                below.append(_powered(part, -exponent))
        size = abs(self.term.number)
        above = sorted(above, key=lambda part: not isinstance(part, Time))
        if size.numerator != 1 or not above:
            above.insert(0, Number(NOWHERE, size.numerator))
        if size.denominator != 1:
            below.append(Number(NOWHERE, size.denominator))
        body = product(above, "*")
        for part in below:
            body = product([body, part], "/")
        for name in reversed(self.steps):
            body = Sum(NOWHERE, "sum", self._condition(name), body)
        return (1 if self.term.number > 0 else -1), body

    # -- entries ------------------------------------------------------------------------------------------------------
    def _matrix(self) -> list[Expr]:
        """The part that has the free indices."""
        free = [name for name in self.roots if name in self.inner]
        parts: list[Expr] = []
        for at, (places, _, _) in enumerate(self.factors):
            if len(free) == 2 and places >= set(free):
                self.used.add(at)
                parts.append(self._edge(at, free[0]))
        sides = {name: side for name in free if (side := self._vector(name)) is not None}
        if len(sides) == 2:
            parts.append(product([sides[free[0]], transposed(sides[free[1]])], "@"))
        elif sides and len(free) == 2:
            raise NoForm
        elif sides and len(self.roots) == 2 and free[0] == self.roots[1]:
            parts.append(transposed(sides[free[0]]))
        elif sides:
            parts.append(sides[free[0]])
        return [product(parts, "*")] if parts else []

    def _vector(self, name: str) -> Expr | None:
        """What stands at one entry: columns, and matrices that lead to other entries."""
        above: list[Expr] = []
        below: list[Expr] = []
        for at, (places, (_, exponent), _) in enumerate(self.factors):
            if at in self.used or name not in places:
                continue
            self.used.add(at)
            if len(places) == 1 and exponent > 0:
                above.append(self._factor(at, exponent))
            elif len(places) == 1:
                below.append(self._factor(at, -exponent))
            else:
                (other,) = places - {name}
                edges = [self._edge(at, name)]
                for beside, (ends, _, _) in enumerate(self.factors):
                    if ends == places and beside not in self.used:
                        self.used.add(beside)
                        edges.append(self._edge(beside, name))
                inner = self._vector(other)
                if inner is None:
                    raise NoForm
                above.append(product([product(edges, "*"), inner], "@"))
        if not above and not below:
            return None
        whole = product(sorted(above, key=_order) or [Number(NOWHERE, 1)], "*")
        for part in below:
            whole = product([whole, part], "/")
        return whole

    def _edge(self, at: int, row: str) -> Expr:
        """A matrix whose row is the entry `row`, or its transpose."""
        (unit, exponent), minus = self.factors[at][1], self.factors[at][2]
        if not isinstance(unit, Entry) or minus or len(unit.entries) != 2:
            raise NoForm
        whole = _powered(self._ref(unit), exponent)
        return whole if unit.entries[0] == affine(row) else transposed(whole)

    def _numbers(self) -> list[tuple[Expr, Exponent]]:
        """Factors that are one number: scalars, and sums over entries that nothing free is connected with."""
        parts: list[tuple[Expr, Exponent]] = []
        for at, (places, (_, exponent), _) in enumerate(self.factors):
            if at in self.used:
                continue
            if not places:
                self.used.add(at)
                parts.append((self._factor(at, 1), exponent))
                continue
            name = min(places, key=lambda place: (sum(place in p for p, _, _ in self.factors), place))
            whole = self._vector(name)
            assert whole is not None
            sides = _sides(whole)
            scalar = product([transposed(sides[0]), sides[1]], "@") if sides else Call(NOWHERE, "sum", (whole,))
            parts.append((scalar, 1))
        return parts

    def _factor(self, at: int, exponent: Exponent) -> Expr:
        places, (unit, own), minus = self.factors[at]
        whole = _powered(self._unit(unit, places), own if minus else exponent)
        return Binary(NOWHERE, "-", Number(NOWHERE, 1), whole, NOWHERE) if minus else whole

    def _unit(self, unit: Unit, places: frozenset[str]) -> Expr:
        match unit:
            case Entry():
                return self._ref(unit)
            case Index():
                return Time(NOWHERE, affine(unit.name).substituted(self.names))
            case Applied():
                forms = [_Form(term, self.scene, tuple(places), self.names) for term in collected_terms(unit.argument)]
                inner = total([form.signed for form in forms])
                return (
                    inner if unit.function == "^" else Call(NOWHERE, _SPELT.get(unit.function, unit.function), (inner,))
                )
            case Bound():
                return _Form(opened_term(Domain.of(), ((unit, 1),), Fraction(1)), self.scene, (), self.names).signed[1]
        raise NoForm

    def _ref(self, unit: Entry) -> Expr:
        times = tuple(form.substituted(self.names) for form in unit.times)
        for name, _ in self.book.model.quantities.classes:
            if unit.name == one_hot(name):
                inner = Ref(NOWHERE, name, times[0], times[1:]) if times else Ref(NOWHERE, name)
                return Call(NOWHERE, "onehot", (inner,))
        return Ref(NOWHERE, unit.name, times[0], times[1:]) if times else Ref(NOWHERE, unit.name)

    # -- sums over steps ----------------------------------------------------------------------------------------------
    def _check_domain(self) -> None:
        """Entries run over all there are, and what is left says something of the steps summed over alone."""
        left = set(self.term.domain.constraints)
        for name in self.inner - set(self.roots):
            own = {c for c in left if c.affine.coefficient(name)}
            sizes = [self._size(factor[0], name) for places, factor, _ in self.factors if name in places]
            if name in self.term.bound and not any(
                size is not None and own == entries(name, size).constraints for size in sizes
            ):
                raise NoForm
            left -= own
        for constraint in left:
            if not set(constraint.affine.variables) & set(self.steps):
                raise NoForm

    def _size(self, unit: Unit, name: str) -> Affine | None:
        """The number of entries that an index of a unit runs over."""
        if isinstance(unit, Entry) and affine(name) in unit.entries:
            quantities = self.book.model.quantities
            label = next((key for key in quantities.classes if one_hot(key[0]) == unit.name), None)
            key = label or (unit.name, bool(unit.times))
            sizes = [size for size in self.book.sizes.quantity(quantities.base(key) or key) if size is not None]
            return sizes[unit.entries.index(affine(name))]
        inner = unit.argument.units() if isinstance(unit, Applied) else ()
        return next((size for other in inner if (size := self._size(other, name)) is not None), None)

    def _letter(self, step: str) -> str:
        """The name of an index for a variable of a sum: the one declared for what it runs over, if it is free."""
        taken = {*self.context.variables, *(str(form) for form in self.names.values())}
        _, highs, _ = self._bounds(step)
        declared = self.book.model.document.indices
        same = [letter for letter, within in declared.items() if highs == [within.last]]
        return next(letter for letter in (*same, *_LETTERS, *declared) if letter not in taken)

    def _bounds(self, step: str) -> tuple[list[Affine], list[Affine], list[Comparison]]:
        lows: list[Affine] = []
        highs: list[Affine] = []
        tests: list[Comparison] = []
        for constraint in sorted(self.term.domain.constraints, key=str):
            count = constraint.affine.coefficient(step)
            rest = constraint.affine.without(step)
            if count and abs(count) != 1:
                raise NoForm
            if count and constraint.modulus:
                relation = "=" if constraint.kind == "|" else "!="
                remainder = affine(None, -rest.constant * count % constraint.modulus)
                if rest.terms:
                    raise NoForm
                tests.append(Comparison(relation, remainder, constraint.modulus))
            elif count and constraint.kind == "!=":
                tests.append(Comparison("!=", rest * -count))
            elif count:
                (lows if count > 0 else highs).append(rest * -count)
        return lows, highs, tests

    def _condition(self, step: str) -> Condition:
        """What a variable of a sum over steps runs over, as it would be written."""
        lows, highs, tests = self._bounds(step)
        if len(lows) != 1 or len(highs) != 1:
            raise NoForm
        low, high = lows[0].substituted(self.names), highs[0].substituted(self.names)
        declared = self.book.model.document.indices
        within = next((w for w in declared.values() if w.last == high), next(iter(declared.values())))
        first = [] if low == within.first else [Comparison(">=", low)]
        last = [] if high == within.last else [Comparison("<=", high)]
        return Condition(str(self.names[step]), (*first, *last, *tests), within)


_SPELT = {"step": "relu'"}


def _places(unit: Unit) -> frozenset[str]:
    """The entry indices a unit stands at."""
    match unit:
        case Entry():
            if any(form != affine(str(form)) for form in unit.entries):
                raise NoForm
            return frozenset(str(form) for form in unit.entries)
        case Applied():
            places: frozenset[str] = frozenset()
            for inner in unit.argument.units():
                places |= _places(inner)
            return places
        case Bound():
            return frozenset().union(*(_places(factor) for factor, _ in unit.factors)) - set(unit.variables)
    return frozenset()


def _with_quotients(factors: Factors, scene: Scene) -> Factors:
    """Quotients that have a name, by their name."""
    for key in scene.book.system.forward:
        definition = scene.names.quotient(key)
        single = definition.value.single if definition else None
        if definition is None or single is None or len(single[1]) < 2:
            continue
        first, *others = single[1]
        for unit, exponent in factors:
            values = matched(definition.variables, first[0], unit) if exponent * first[1] > 0 else None
            if values is None:
                continue
            rest = _divided(factors, [(unit, first[1]), *((renamed(u, values), e) for u, e in others)])
            if rest is not None:
                times = tuple(form.substituted(values) for form in definition.clause.indices)
                named = Entry(key[0], times, tuple(form.substituted(values) for form in definition.entries))
                return _with_quotients((*rest, (named, 1)), scene)
    return factors


def _divided(factors: Factors, by: Sequence[tuple[Unit, Exponent]]) -> Factors | None:
    """What is left of a product without some of its factors; None if it does not have them."""
    left = dict(factors)
    for unit, exponent in by:
        own: Exponent = left.get(unit, 0)
        if own * exponent <= 0 or own * own < exponent * exponent:
            return None
        left[unit] = own - exponent
    return tuple((unit, exponent) for unit, exponent in left.items() if exponent)


def _with_softmax(factors: Factors) -> Factors:
    """`exp(v(i)) / sum(k, exp(v(k)))` as one unit."""
    for unit, _ in factors:
        for below, _ in factors:
            if not (isinstance(unit, Applied) and unit.function == "exp" and isinstance(below, Bound)):
                continue
            place = min(_places(unit), default=None)
            if place is None or len(below.variables) != 1 or len(below.factors) != 1:
                continue
            same = renamed(below.factors[0][0], {below.variables[0]: affine(place)}) == unit
            rest = _divided(factors, [(unit, 1), (below, -1)]) if same and below.factors[0][1] == 1 else None
            if rest is not None:
                return _with_softmax((*rest, (Applied("softmax", unit.argument), 1)))
    return factors


def _powered(whole: Expr, exponent: Exponent) -> Expr:
    if exponent == 1:
        return whole
    value = float(exponent) if isinstance(exponent, Fraction) else exponent
    return Binary(NOWHERE, "**", whole, Number(NOWHERE, value), NOWHERE)


def _order(expr: Expr) -> tuple[bool, bool, str]:
    """Gradients first, then names, then what is longer."""
    name = expr.name if isinstance(expr, Ref) else ""
    return (not name.startswith("d"), not name, name)


def _sides(expr: Expr) -> tuple[Expr, Expr] | None:
    """The two columns of a product of two, whose sum of entries is a scalar product."""
    if isinstance(expr, Binary) and expr.op == "*" and not (isinstance(expr.left, Binary) and expr.left.op == "*"):
        return expr.left, expr.right
    return None
