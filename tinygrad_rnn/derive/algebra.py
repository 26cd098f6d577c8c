"""A small algebra of columns and matrices, with one normal form.

Forms are immutable and compare by their `key`. All simplification happens in the constructors of `Algebra`, each under
the name of the rule it applies, so that leaving rules out shows a derivation on its way (`Derivation.steps`). A sum is
multiplied out only if it contains a cotangent: `(1 - h**2)` stays a factor, and every term of a gradient ends up linear
in exactly one `d…`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

Shape = tuple[int, int]
SCALAR: Shape = (1, 1)
#: the name of the symbol for the length of the sequence, written T
LENGTH = "T"

#: the rules in the order in which `steps` applies them, with what each says
RULES = {
    "unit": "multiply by one, drop zeros",
    "transpose": "the transpose of a product reverses it",
    "coefficients": "move signs and numbers to the front",
    "powers": "merge equal factors",
    "distribute": "multiply out what contains a gradient",
    "collect": "collect like terms",
    "factor": "take out common factors of one gradient",
}


@dataclass(frozen=True)
class Form:
    """A part of a gradient: `shape` is rows x columns; `key` says the same for equal forms."""

    shape: Shape

    @property
    def parts(self) -> tuple[Form, ...]:
        """The forms it is made of."""
        return ()

    @cached_property
    def key(self) -> str:
        """A text that two forms share exactly when they say the same."""
        return f"{self.head}({', '.join(part.key for part in self.parts)})"

    @property
    def head(self) -> str:
        return type(self).__name__

    @cached_property
    def cotangents(self) -> tuple[Symbol, ...]:
        """The gradients it contains."""
        if isinstance(self, Symbol):
            return (self,) if self.cotangent else ()
        return tuple(symbol for part in self.parts for symbol in part.cotangents)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key


@dataclass(frozen=True, eq=False)
class Number(Form):
    """A number, for every entry of its shape."""

    value: float

    @property
    def head(self) -> str:
        return f"{self.value:g}" if self.value == float(f"{self.value:g}") else repr(self.value)


@dataclass(frozen=True, eq=False)
class Symbol(Form):
    """A named quantity: `name`, and `index`, its step (absolute, or relative to t) or None."""

    name: str
    index: int | None = None
    cotangent: bool = False

    @property
    def head(self) -> str:
        if self.index is None:
            return self.name
        return f"{self.name}[t{self.index:+d}]"


@dataclass(frozen=True, eq=False)
class Sum(Form):
    """Terms with their coefficients."""

    terms: tuple[tuple[float, Form], ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return tuple(form for _, form in self.terms)

    @property
    def head(self) -> str:
        return "+".join(f"{c:.17g}" for c, _ in self.terms)


@dataclass(frozen=True, eq=False)
class Product(Form):
    """Entry-by-entry product of factors to powers; factors of one entry stretch."""

    factors: tuple[tuple[Form, float], ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return tuple(form for form, _ in self.factors)

    @property
    def head(self) -> str:
        return "*".join(f"{n:.17g}" for _, n in self.factors)


@dataclass(frozen=True, eq=False)
class Chain(Form):
    """Matrix product."""

    factors: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.factors


@dataclass(frozen=True, eq=False)
class Flip(Form):
    """A transpose."""

    inner: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.inner,)


@dataclass(frozen=True, eq=False)
class Apply(Form):
    """A function of the recurrence language."""

    function: str
    args: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.args

    @property
    def head(self) -> str:
        return self.function


class Algebra:
    """The constructors, with a set of rules switched on (all of them unless told otherwise)."""

    def __init__(self, rules: Iterable[str] = RULES, length: int | None = None, prefix: str = "d") -> None:
        self.rules = frozenset(rules)
        self.length, self.prefix = length, prefix

    # -- leaves -----------------------------------------------------------------------------------------------------
    def number(self, value: float, shape: Shape = SCALAR) -> Form:
        """The same number in every entry; the length of the sequence and its inverse keep their name."""
        if self.length and value in (self.length, 1.0 / self.length):
            return self.power(Symbol(SCALAR, LENGTH), 1.0 if value == self.length else -1.0)
        return Number(shape, float(value))

    # -- sums -------------------------------------------------------------------------------------------------------
    def add(self, *forms: Form) -> Form:
        """The sum of forms."""
        return self.combine([(1.0, form) for form in forms])

    def scale(self, c: float, form: Form) -> Form:
        """A number times a form."""
        return self.combine([(c, form)])

    def combine(self, terms: Iterable[tuple[float, Form]]) -> Form:
        """A sum of multiples, flattened; like terms collected, zeros dropped, in a fixed order."""
        flat: list[tuple[float, Form]] = []
        for c, form in terms:
            flat += [(c * k, part) for k, part in form.terms] if isinstance(form, Sum) else [(c, form)]
        shape = _broadcast([form.shape for _, form in flat])
        if "coefficients" in self.rules:
            flat = [
                (c * form.value, Number(form.shape, 1.0)) if isinstance(form, Number) else (c, form) for c, form in flat
            ]
        if "unit" in self.rules:
            flat = [(c, form) for c, form in flat if c != 0.0 and not (isinstance(form, Number) and form.value == 0.0)]
        if "collect" in self.rules:
            flat = _collected(flat)
        if "factor" in self.rules:
            flat = self._factored(flat)
        if not flat:
            return Number(shape, 0.0)
        if len(flat) == 1:
            c, form = flat[0]
            if c == 1.0:
                return form
            if isinstance(form, Number):
                return Number(shape, c * form.value)
        return Sum(shape, tuple(sorted(flat, key=_term_order)))

    def _factored(self, terms: list[tuple[float, Form]]) -> list[tuple[float, Form]]:
        """`dh * a - dh * b` becomes `dh * (a - b)`, where both are products entry by entry of the same gradient."""
        groups: dict[str, list[tuple[float, Form]]] = {}
        for c, form in terms:
            gradient = next(
                (f.key for f, n in _factors(form) if n == 1.0 and isinstance(f, Symbol) and f.cotangent), form.key
            )
            groups.setdefault(gradient, []).append((c, form))
        result: list[tuple[float, Form]] = []
        for group in groups.values():
            result += group if len(group) == 1 else [self._take_out(group)]
        return result

    def _take_out(self, terms: list[tuple[float, Form]]) -> tuple[float, Form]:
        tables = [{f.key: (f, n) for f, n in _factors(form)} for _, form in terms]
        common = [(f, n) for key, (f, n) in tables[0].items() if all(t.get(key, (f, None))[1] == n for t in tables[1:])]
        taken = {f.key for f, _ in common}
        rests = [
            (c, self.product([(f, n) for f, n in t.values() if f.key not in taken]))
            for (c, _), t in zip(terms, tables, strict=True)
        ]
        return 1.0, self.product([*common, (self.combine(rests), 1.0)])

    # -- products entry by entry
    # ----------------------------------------------------------------------------------------
    def mul(self, *forms: Form) -> Form:
        """Product entry by entry."""
        return self.product([(form, 1.0) for form in forms])

    def power(self, form: Form, n: float) -> Form:
        """A power, entry by entry."""
        return self.product([(form, float(n))])

    def product(self, factors: Iterable[tuple[Form, float]]) -> Form:
        """A product of powers; sums with a gradient multiplied out, equal factors merged, numbers moved to the
        front.
        """
        flat: list[tuple[Form, float]] = []
        for form, n in factors:
            flat += [(f, k * n) for f, k in form.factors] if isinstance(form, Product) else [(form, n)]
        shape = _broadcast([form.shape for form, _ in flat])
        if "distribute" in self.rules:
            for i, (form, n) in enumerate(flat):
                if isinstance(form, Sum) and n == 1.0 and (form.cotangents or self._cancels(form, flat)):
                    rest = flat[:i] + flat[i + 1 :]
                    return self.combine([(c, self.product([(part, 1.0), *rest])) for c, part in form.terms])
        coefficient = 1.0
        if "coefficients" in self.rules:
            coefficient, flat = _numbers_out(flat)
        if "unit" in self.rules:
            flat = [(form, n) for form, n in flat if n != 0.0 and not (isinstance(form, Number) and form.value == 1.0)]
        if "powers" in self.rules:
            flat = _merged(flat)
        if not flat:
            return Number(shape, coefficient)
        lone = len(flat) == 1 and flat[0][1] == 1.0 and flat[0][0].shape == shape
        form = flat[0][0] if lone else Product(shape, tuple(sorted(flat, key=_factor_order)))
        return form if coefficient == 1.0 else self.scale(coefficient, form)

    def _cancels(self, total: Sum, factors: list[tuple[Form, float]]) -> bool:
        """Whether a factor beside a sum is divided by inside it, so that multiplying out makes it shorter."""
        above = {f.key for f, n in factors if n > 0}
        return "powers" in self.rules and any(
            n < 0 and f.key in above for _, part in total.terms for f, n in _factors(part)
        )

    # -- matrix products and transposes
    # ------------------------------------------------------------------------------------
    def dot(self, *forms: Form) -> Form:
        """Matrix product; a sum with a gradient multiplied out, numbers and scalars moved to the front."""
        flat: list[Form] = []
        for form in forms:
            flat += form.factors if isinstance(form, Chain) else [form]
        if "distribute" in self.rules:
            for i, form in enumerate(flat):
                if isinstance(form, Sum) and form.cotangents:
                    return self.combine([(c, self.dot(*flat[:i], part, *flat[i + 1 :])) for c, part in form.terms])
        if "coefficients" in self.rules:
            scalars: list[tuple[Form, float]] = []
            coefficient = 1.0
            for i, form in enumerate(flat):
                if isinstance(form, Sum) and len(form.terms) == 1:
                    coefficient *= form.terms[0][0]
                    flat[i] = form = form.terms[0][1]
                if isinstance(form, Product):
                    single = [(f, n) for f, n in form.factors if f.shape == SCALAR]
                    if single and form.shape != SCALAR:
                        scalars += single
                        flat[i] = self.product([(f, n) for f, n in form.factors if f.shape != SCALAR])
            if coefficient != 1.0 or scalars:
                return self.scale(coefficient, self.product([*scalars, (self.dot(*flat), 1.0)]))
        if len(flat) == 1:
            return flat[0]
        return Chain((flat[0].shape[0], flat[-1].shape[1]), tuple(flat))

    def flip(self, form: Form) -> Form:
        """Transpose."""
        shape = (form.shape[1], form.shape[0])
        if isinstance(form, Flip):
            return form.inner
        if isinstance(form, Apply) and form.function == "diag":
            return form
        if isinstance(form, Number):
            return Number(shape, form.value)
        if "transpose" in self.rules:
            if form.shape == SCALAR:
                return form
            if isinstance(form, Chain):
                return self.dot(*[self.flip(part) for part in reversed(form.factors)])
            if isinstance(form, Sum) and (form.cotangents or len(form.terms) == 1):
                return self.combine([(c, self.flip(part)) for c, part in form.terms])
        return Flip(shape, form)

    def apply(self, function: str, *args: Form, shape: Shape | None = None) -> Form:
        """A named function; of the shape of its first argument unless told."""
        return Apply(shape or args[0].shape, function, args)


# -- helpers of the normal form ------------------------------------------------------------------------------------
def _broadcast(shapes: Iterable[Shape]) -> Shape:
    rows, columns = 1, 1
    for r, c in shapes:
        rows, columns = max(rows, r), max(columns, c)
    return rows, columns


def _collected(terms: list[tuple[float, Form]]) -> list[tuple[float, Form]]:
    totals: dict[str, tuple[float, Form]] = {}
    for c, form in terms:
        before = totals.get(form.key, (0.0, form))[0]
        totals[form.key] = (before + c, form)
    return [(c, form) for c, form in totals.values() if c != 0.0]


def _merged(factors: list[tuple[Form, float]]) -> list[tuple[Form, float]]:
    totals: dict[str, tuple[Form, float]] = {}
    for form, n in factors:
        before = totals.get(form.key, (form, 0.0))[1]
        totals[form.key] = (form, before + n)
    return [(form, n) for form, n in totals.values() if n != 0.0]


def _numbers_out(factors: list[tuple[Form, float]]) -> tuple[float, list[tuple[Form, float]]]:
    coefficient, rest = 1.0, []
    for form, n in factors:
        if isinstance(form, Number):
            coefficient *= form.value**n
        elif isinstance(form, Sum) and len(form.terms) == 1 and n == int(n):
            coefficient *= form.terms[0][0] ** n
            inner = form.terms[0][1]
            rest += [(f, k * n) for f, k in inner.factors] if isinstance(inner, Product) else [(inner, n)]
        else:
            rest.append((form, n))
    return coefficient, rest


def _factors(form: Form) -> tuple[tuple[Form, float], ...]:
    return form.factors if isinstance(form, Product) else ((form, 1.0),)


def _delay(symbol: Symbol) -> float:
    return float(symbol.index) if isinstance(symbol.index, int) else 0.0


def _term_order(term: tuple[float, Form]) -> tuple[object, ...]:
    """Gradients of later steps first; in a polynomial the number first; what is added before what is taken away."""
    c, form = term
    if form.cotangents:
        latest = max(_delay(symbol) for symbol in form.cotangents)
        return (0, -latest, form.cotangents[0].name, c < 0, form.key)
    return (1, 0.0 if isinstance(form, Number) else 1.0, "", c < 0, form.key)


def _factor_order(factor: tuple[Form, float]) -> tuple[object, ...]:
    """The gradient first, then quantities, then functions, then sums."""
    form, n = factor
    kind = 0 if form.cotangents else {Symbol: 1, Flip: 1, Number: 1, Chain: 2, Apply: 2}.get(type(form), 3)
    return (n < 0, kind, form.key)
