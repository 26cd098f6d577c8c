"""Polynomials at an entry, for people: `sum(k, W(k, i) * dh[t+1](k)) + …`, as text and in LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from ...language import Model
from ...language.affine import Affine, affine
from ...language.expressions import Ref
from ...language.functions import FUNCTIONS
from ...language.syntax.source import NOWHERE
from ...language.text.latex import latex as tex
from ...system.domain import Domain
from ..entries.definitions import COLUMN, ROW
from ..entries.units import Applied, Bound, Entry, Exponent, Factors, Index, Polynomial, Repeated, Unit
from .opened import collected_terms

_ENTRIES = ("i", "j", "k", "l", "m", "n", "p", "q", "r")
_SPELT = {"step": "relu'"}
_ONE = Fraction(1)


class EntryText:
    """Letters for the indices of one proof, and what is written with them."""

    def __init__(self, model: Model, context: Domain) -> None:
        self.model = model
        self.context = {name for name in context.variables if "~" not in name}
        self.indices = list(model.document.indices)
        free = [letter for letter in _ENTRIES if letter not in self.context | set(self.indices)]
        self.names: dict[str, Affine] = {str(ROW): affine(free[0]), str(COLUMN): affine(free[1])}
        self.others = free[2:]

    def places(self, p: Polynomial) -> str:
        """`entry (i, j)`, or nothing where there is one number."""
        letters = [str(self.names[name]) for name in (str(ROW), str(COLUMN)) if name in p.free]
        return f"entry ({', '.join(letters)})" if letters else ""

    def text(self, p: Polynomial, names: Mapping[str, Affine] | None = None) -> str:
        """The polynomial as text, `names` being the letters of its free variables."""
        return _Text(self).polynomial(p, self.names if names is None else names)

    def open_names(self, p: Polynomial) -> dict[str, Affine]:
        """Letters for the free variables, also for those of sums that stand open."""
        names, others = dict(self.names), list(self.others)
        for name in sorted(p.free):
            if "~" in name and name not in names:
                names[name] = affine(others.pop(0))
        return names

    def latex(self, p: Polynomial) -> str:
        """The polynomial in LaTeX."""
        return _Latex(self).polynomial(p, self.names)


def steps_in(unit: Unit) -> frozenset[str]:
    """The variables that stand for steps in a unit."""
    match unit:
        case Entry():
            return frozenset(name for form in unit.times for name in form.variables)
        case Index():
            return frozenset([unit.name])
        case Applied():
            return frozenset().union(*(steps_in(inner) for inner in unit.argument.units()))
        case Repeated():
            return frozenset([unit.index])
        case Bound():
            return frozenset().union(*(steps_in(inner) for inner, _ in unit.factors))
    return frozenset()


class _Text:
    """How sums, products and entries are written in text."""

    times = " * "

    def __init__(self, scene: EntryText) -> None:
        self.scene = scene

    def polynomial(self, p: Polynomial, names: Mapping[str, Affine]) -> str:
        """All terms, with signs between them."""
        parts = []
        for term in collected_terms(p):
            steps = {name for unit, _ in (*term.factors, *term.differences) for name in steps_in(unit)}
            known = {**names, **self._letters(sorted(term.bound), steps, term.domain, names)}
            size = abs(term.number)
            factors = [self.factor(unit, exponent, known) for unit, exponent in term.factors if exponent > 0]
            factors += [f"(1 - {self.factor(unit, exponent, known)})" for unit, exponent in term.differences]
            below = [self.factor(unit, -exponent, known) for unit, exponent in term.factors if exponent < 0]
            number = [] if size == 1 and factors else [self.number(size.numerator, size.denominator)]
            body = self.quotient(self.times.join([*number, *factors]), below)
            for name in sorted(term.bound, reverse=True):
                body = self.sum(self._range(name, term.domain, known, name in steps), body)
            left = [c for c in term.domain.constraints if not set(c.affine.variables) & term.bound]
            conditions = [str(c.substituted(known)) for c in sorted(left, key=str)]
            body = self.where(body, conditions)
            parts.append((term.number > 0, body))
        if not parts:
            return "0"
        first, *rest = parts
        return ("" if first[0] else "-") + first[1] + "".join(f" {'+' if plus else '-'} {said}" for plus, said in rest)

    def _letters(
        self, bound: list[str], steps: set[str], domain: Domain, names: Mapping[str, Affine]
    ) -> dict[str, Affine]:
        taken = {str(form) for form in names.values()} | self.scene.context
        letters: dict[str, Affine] = {}
        for name in bound:
            ends = {str(c.affine.without(name)) for c in domain.constraints if c.affine.coefficient(name) == -1}
            declared = self.scene.model.document.indices
            same = [letter for letter, within in declared.items() if str(within.last) in ends]
            free = [*same, *self.scene.indices, *_ENTRIES] if name in steps else self.scene.others
            letter = next(letter for letter in free if letter not in taken)
            taken.add(letter)
            letters[name] = affine(letter)
        return letters

    def _range(self, name: str, domain: Domain, names: Mapping[str, Affine], step: bool) -> str:
        """The variable of a sum, and what it runs over where that is not everything."""
        letter, told = str(names[name]), []
        ends = {str(end) for within in self.scene.model.document.indices.values() for end in (within.last,)}
        for constraint in sorted(domain.constraints, key=str):
            count = constraint.affine.coefficient(name)
            rest = (constraint.affine.without(name) * -count).substituted(names) if abs(count) == 1 else affine()
            if not count:
                continue
            if constraint.kind != ">=" or abs(count) != 1:
                told.append(str(constraint.substituted(names)))
            elif count > 0 and rest != affine(None, 1):
                told.append(f"{letter} >= {rest}")
            elif count < 0 and (str(rest) not in ends if step else not (rest.lengths or not rest.terms)):
                told.append(f"{letter} <= {rest}")
        return " and ".join(told) or letter

    def factor(self, unit: Unit, exponent: Exponent, names: Mapping[str, Affine]) -> str:
        """A unit under an exponent."""
        said = self.unit(unit, names)
        return said if exponent == 1 else self.power(said, exponent)

    def unit(self, unit: Unit, names: Mapping[str, Affine]) -> str:
        """One number."""
        match unit:
            case Entry():
                return self.entry(unit, names)
            case Index():
                counted = unit.name.startswith("N'")
                return f"rows({unit.name[2:]})" if counted else str(affine(unit.name).substituted(names))
            case Applied(function="^"):
                return f"({self.polynomial(unit.argument, names)})"
            case Applied():
                return self.call(_SPELT.get(unit.function, unit.function), self.polynomial(unit.argument, names))
            case Repeated():
                base = self.unit(unit.base, names) if isinstance(unit.base, Unit) else str(unit.base)
                return self.power(base, affine(unit.index).substituted(names))
            case Bound(kind="prod"):
                (name,) = unit.variables
                known = {**names, **self._letters([name], {name}, unit.domain, names)}
                body = self.polynomial(Polynomial({(Domain.of(), unit.factors): _ONE}), known)
                return self.prod(self._range(name, unit.domain, known, True), body)
            case Bound():
                factors: Factors = ((unit, 1),)
                return self.polynomial(Polynomial({(Domain.of(), factors): _ONE}), names)
        raise TypeError(f"cannot write {unit!r}")  # pragma: no cover

    def number(self, top: int, bottom: int) -> str:
        """A fraction."""
        return str(top) if bottom == 1 else f"{top}/{bottom}"

    def power(self, said: str, exponent: Exponent | Affine) -> str:
        """Something under a power."""
        return f"{said}**{exponent}" if str(exponent).isalnum() else f"{said}**({exponent})"

    def call(self, function: str, argument: str) -> str:
        """A function of something."""
        return f"{function}({argument})"

    def quotient(self, above: str, below: list[str]) -> str:
        """Something divided by factors, one after the other."""
        return " / ".join([above, *below])

    def sum(self, variable: str, body: str) -> str:
        """A sum over one index."""
        return f"sum({variable}, {body})"

    def prod(self, variable: str, body: str) -> str:
        """A product over one index."""
        return f"prod({variable}, {body})"

    def where(self, body: str, conditions: list[str]) -> str:
        """What stands on a part of the indices only."""
        return f"{body} [{' and '.join(conditions)}]" if conditions else body

    def entry(self, unit: Entry, names: Mapping[str, Affine]) -> str:
        """An entry of a quantity."""
        times = ", ".join(str(form.substituted(names)) for form in unit.times)
        places = ", ".join(str(form.substituted(names)) for form in unit.entries)
        said = unit.name
        if said.startswith("onehot "):
            return f"onehot({said[7:]}{f'[{times}]' if times else ''}){f'({places})' if places else ''}"
        return f"{said}{f'[{times}]' if times else ''}{f'({places})' if places else ''}"


class _Latex(_Text):
    """The same in LaTeX."""

    times = r" \, "

    def number(self, top: int, bottom: int) -> str:
        return str(top) if bottom == 1 else rf"\tfrac{{{top}}}{{{bottom}}}"

    def power(self, said: str, exponent: Exponent | Affine) -> str:
        return rf"\left({said}\right)^{{{exponent}}}"

    def call(self, function: str, argument: str) -> str:
        return rf"{FUNCTIONS[function].latex}\left({argument}\right)"

    def quotient(self, above: str, below: list[str]) -> str:
        return rf"\frac{{{above}}}{{{self.times.join(below)}}}" if below else above

    def sum(self, variable: str, body: str) -> str:
        return rf"\sum_{{{variable}}} {body}"

    def prod(self, variable: str, body: str) -> str:
        return rf"\prod_{{{variable}}} {body}"

    def where(self, body: str, conditions: list[str]) -> str:
        said = ", ".join(conditions).replace(">=", r"\ge").replace("!=", r"\ne").replace("%", r"\bmod").replace("*", "")
        return rf"{body} \left[{said}\right]" if conditions else body

    def entry(self, unit: Entry, names: Mapping[str, Affine]) -> str:
        times = tuple(form.substituted(names) for form in unit.times)
        name = unit.name.removeprefix("onehot ")
        said = tex(Ref(NOWHERE, name, times[0] if times else None, times[1:]), self.scene.model)
        if name != unit.name:
            said = rf"{FUNCTIONS['onehot'].latex}({said})"
        places = "".join(str(form.substituted(names)) for form in unit.entries)
        return rf"\left[{said}\right]_{{{places}}}" if places else said
