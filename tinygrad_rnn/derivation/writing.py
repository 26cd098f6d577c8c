"""Write forms as expressions of the recurrence language, in the style of a book."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from ..core.errors import DerivationError
from ..language import Model
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Concat, Expr, Number, Ref, Time, Transpose, Unary
from ..language.expressions import Sum as OverTime
from ..language.rewriting import negated, product
from ..language.syntax.conditions import lengths_of, range_of
from ..language.syntax.indices import Comparison, Condition, Constraint, Range
from ..language.syntax.source import NOWHERE
from ..system import Domain
from . import forms
from .forms import SCALAR, Form, is_zero

#: a factor beside the gradient is written as `diag(v) @ dh`, or entry by entry as `dh * v`
DIAG, HADAMARD = "diag", "hadamard"
#: letters for sums where the declared indices are taken
LETTERS = "kjilmnrsuvpq"
#: a decimal fraction is written as such if it is so short, else as a quotient of whole numbers
DECIMALS = 3


class EquationWriter:
    """Expressions of a model's language, in one style."""

    def __init__(self, model: Model, style: str) -> None:
        self.style = style
        self.ranges = model.document.indices
        self.by_rows = model.convention.rows
        quantities = model.quantities
        self.taken = {name for name, _ in (*quantities.used, *quantities.helpers)} | set(lengths_of(self.ranges))

    # -- the whole ----------------------------------------------------------------------------------------------------
    def expr(self, form: Form, context: Domain, variables: Sequence[str] = ()) -> Expr:
        """The expression a form stands for; `variables` are those of the left side, `context` where it holds."""
        return _Writing(self, {name: affine(name) for name in variables}, context).expr(form)

    def conditions(self, domain: Domain, variables: Sequence[str], known: Domain) -> tuple[Condition, ...]:
        """A condition for each variable of a left side that is limited further than its range; see `condition`."""
        found, domain = [], domain & known
        for place, name in enumerate(variables):
            own = [c for c in domain.constraints if c.affine.coefficient(name)]
            own = [c for c in own if not any(c.affine.coefficient(later) for later in variables[place + 1 :])]
            within = self.ranges.get(name, Range())
            condition = self.condition(name, own, known, within, domain)
            known = Domain.of(*known.constraints, *own, *within.constraints(affine(name)))
            if condition.tests:
                found.append(condition)
        return tuple(found)

    def condition(
        self,
        name: str,
        constraints: Iterable[Constraint],
        known: Domain,
        within: Range,
        whole: Domain | None = None,
    ) -> Condition:
        """What the constraints say of a variable beyond its range (which `whole` implies, or else they themselves).

        Raises `DerivationError` if no condition says it.
        """
        variable = affine(name)
        inside = Domain.of(*known.constraints, *within.constraints(variable))
        whole = whole or Domain.of(*known.constraints, *constraints)
        if not all(whole.implies(c) for c in within.constraints(variable)):
            raise DerivationError(
                f"the steps {name} of a sum or an equation reach beyond {within}: they have no condition"
            )
        tests = [_test(c, name) for c in sorted(constraints, key=_condition_order(name)) if not inside.implies(c)]
        return Condition(name, tuple(tests), within)

    def bound(
        self, variable: str, constraints: Sequence[Constraint], scope: Iterable[str], known: Domain
    ) -> tuple[str, Condition]:
        """A letter for a bound variable that is free here, and its condition: its own letter, another index that runs
        over the same steps, or a new one.
        """
        taken = self.taken | set(scope)
        for name in [variable.split("~")[0], *self.ranges]:
            if name in self.ranges and name not in taken:
                moved = [c.substituted({variable: affine(name)}) for c in constraints]
                domain = Domain.of(*known.constraints, *moved)
                if all(domain.implies(c) for c in self.ranges[name].constraints(affine(name))):
                    return name, self.condition(name, moved, known, self.ranges[name])
        letter = next((name for name in LETTERS if name not in taken and name not in self.ranges), None)
        if letter is None:
            raise DerivationError("there are not enough letters for the sums of this equation")
        moved = [c.substituted({variable: affine(letter)}) for c in constraints]
        return letter, self._undeclared(letter, moved, known)

    def _undeclared(self, name: str, constraints: Sequence[Constraint], known: Domain) -> Condition:
        """A letter that is no declared index runs over what its bounds run over, as the language reads them."""
        tests = tuple(_test(c, name) for c in sorted(constraints, key=_condition_order(name)))
        within = range_of(name, tests, self.ranges)
        if within is None:
            raise DerivationError(f"no index runs over the steps of a sum over {name}")
        shorter = self.condition(name, constraints, known, within)
        return shorter if range_of(name, shorter.tests, self.ranges) == within else Condition(name, tests, within)


def _condition_order(name: str) -> Callable[[Constraint], tuple[int, str]]:
    def key(constraint: Constraint) -> tuple[int, str]:
        if constraint.kind == ">=":
            return (0 if constraint.affine.coefficient(name) > 0 else 1), str(constraint)
        return 2, str(constraint)

    return key


def _test(constraint: Constraint, name: str) -> Comparison:
    """One constraint as a test of a variable that has the coefficient 1 or -1 in it."""
    count, rest = constraint.affine.coefficient(name), constraint.affine.without(name)
    if constraint.modulus:
        if rest.terms or count % constraint.modulus not in (1, constraint.modulus - 1):
            raise DerivationError(f"no condition of the language says {constraint}")
        remainder = (-rest.constant if count % constraint.modulus == 1 else rest.constant) % constraint.modulus
        if constraint.kind == "!|" and constraint.modulus == 2:
            return Comparison("=", affine(None, 1 - remainder), 2)
        return Comparison("=" if constraint.kind == "|" else "!=", affine(None, remainder), constraint.modulus)
    if abs(count) != 1:
        raise DerivationError(f"no condition of the language says {constraint}")
    bound = rest * -count
    if constraint.kind == ">=":
        if count > 0:
            low_at = bound.terms and bound.constant == 0
            return Comparison(">=", bound) if low_at else Comparison(">", bound - 1)
        return Comparison("<=", bound) if bound.terms and bound.constant == 0 else Comparison("<", bound + 1)
    return Comparison(constraint.kind, bound)


class _Writing:
    """One expression being written: `names` says how index variables are called here."""

    def __init__(self, writer: EquationWriter, names: Mapping[str, Affine], context: Domain) -> None:
        self.writer, self.names, self.context = writer, names, context

    def expr(self, form: Form) -> Expr:
        match form:
            case forms.Symbol():
                return self._symbol(form)
            case forms.Step():
                return Time(NOWHERE, self.names.get(form.name, affine(form.name)))
            case forms.Combination():
                return self._sum(form)
            case forms.Product():
                return self._product(form)
            case forms.Chain():
                return product([part for factor in form.factors for part in self._links(factor)], "@")
            case forms.Flip():
                return self._turned(form)
            case forms.Apply(function="stack") if self.writer.by_rows:
                return Transpose(NOWHERE, self._turned(forms.Flip((form.shape[1], form.shape[0]), form)))
            case forms.Apply(function="stack"):
                return Concat(NOWHERE, tuple(self.expr(arg) for arg in form.args))
            case forms.Apply(function="**"):
                base, exponent = form.args
                return Binary(NOWHERE, "**", self.expr(base), self.expr(exponent), NOWHERE)
            case forms.Apply():
                return Call(NOWHERE, form.function, tuple(self.expr(arg) for arg in form.args))
            case forms.Rows():
                ends = (Number(NOWHERE, form.first), Number(NOWHERE, form.last))
                return Call(NOWHERE, "rows", (self.expr(form.inner), *ends))
            case forms.Padded():
                return self._padded(form, form.last)
            case forms.Total():
                return self._total(form)
        raise TypeError(f"no way to write {form!r}")

    def _turned(self, form: forms.Flip) -> Expr:
        """A transpose; where vectors are rows, parts of a column are written as parts of the row it is turned into."""
        inner = form.inner
        if isinstance(inner, forms.Rows) and inner.shape[1] > 1:
            ends = (Number(NOWHERE, inner.first), Number(NOWHERE, inner.last))
            return Call(NOWHERE, "columns", (self.expr(_flipped(inner.inner)), *ends))
        if self.writer.by_rows and inner.shape[1] == 1:
            if isinstance(inner, forms.Apply) and inner.function == "stack":
                return Concat(NOWHERE, tuple(self.expr(_flipped(part)) for part in inner.args))
            if isinstance(inner, forms.Padded):
                return self._padded(replace(inner, inner=_flipped(inner.inner)), inner.last)
            if isinstance(inner, forms.Rows):
                ends = (Number(NOWHERE, inner.first), Number(NOWHERE, inner.last))
                return Call(NOWHERE, "rows", (self.expr(_flipped(inner.inner)), *ends))
        return Transpose(NOWHERE, self.expr(inner))

    def _symbol(self, form: forms.Symbol) -> Expr:
        indices = tuple(index.substituted(self.names) for index in form.indices)
        return Ref(NOWHERE, form.name, indices[0], indices[1:]) if indices else Ref(NOWHERE, form.name)

    def _padded(self, form: forms.Padded, end: int) -> Expr:
        """What is padded up to the row `end`, between rows of zeros."""
        parts: list[Expr] = []
        for first, last in ((1, form.first - 1), (form.first, end), (end + 1, form.shape[0])):
            if first == form.first and last == end:
                parts.append(self.expr(form.inner))
            elif form.shape[1] == 1:
                parts += [Number(NOWHERE, 0)] * (last - first + 1)
            else:
                row = Call(NOWHERE, "rows", (self.expr(form.inner), Number(NOWHERE, 1), Number(NOWHERE, 1)))
                parts += [Binary(NOWHERE, "*", Number(NOWHERE, 0), row, NOWHERE)] * (last - first + 1)
        return Concat(NOWHERE, tuple(parts))

    def _total(self, form: forms.Total) -> Expr:
        scope = {name for value in self.names.values() for name in value.running}
        own = [c.substituted(self.names) for c in form.constraints]
        name, condition = self.writer.bound(form.variable, own, scope, self.context)
        known = self.context.where(*(c.substituted({form.variable: affine(name)}) for c in own))
        inner = _Writing(self.writer, {**self.names, form.variable: affine(name)}, known)
        return OverTime(NOWHERE, form.kind, condition, inner.expr(form.body))

    # -- sums ---------------------------------------------------------------------------------------------------------
    def _sum(self, form: forms.Combination) -> Expr:
        if is_zero(form):
            return Number(NOWHERE, 0)
        first, *more = _without_ones(form)
        total = self._multiple(*first)
        for c, part in more:
            total = Binary(NOWHERE, "-" if c < 0 else "+", total, self._multiple(abs(c), part), NOWHERE)
        return total

    def _multiple(self, c: Fraction, part: Form) -> Expr:
        if part == forms.ONE:
            return number(c)
        written = self.expr(part)
        if c < 0:
            return _negative(self._multiple(-c, part))
        if c == 1:
            return written
        if c.numerator == 1 and not _short(c):
            return Binary(NOWHERE, "/", written, number(Fraction(c.denominator)), NOWHERE)
        return _times(number(c), written)

    # -- products -----------------------------------------------------------------------------------------------------
    def _product(self, form: forms.Product) -> Expr:
        return product(self._links(form), "@")

    def _links(self, form: Form) -> list[Expr]:
        """A factor of a matrix product; in diag style a gradient with factors beside it is `diag(factors) @
        gradient`.
        """
        if not isinstance(form, forms.Product):
            return [self.expr(form)]
        turned = self._row_times_number(form)
        if turned is not None:
            return turned
        if self.writer.style == DIAG and form.shape[1] == 1 and form.shape[0] > 1 and not self.writer.by_rows:
            gradient = [f for f, n in form.factors if f.cotangents and n == 1 and f.shape == form.shape]
            rest = [(f, n) for f, n in form.factors if not f.cotangents]
            alone = len(gradient) == 1 and rest and len(rest) + 1 == len(form.factors)
            if alone and all(f.shape != SCALAR for f, _ in rest):
                parts = gradient[0].factors if isinstance(gradient[0], forms.Chain) else (gradient[0],)
                links = [link for part in parts for link in self._links(part)]
                return [Call(NOWHERE, "diag", (self._factors(rest),)), *links]
        return [self._factors(form.factors)]

    def _row_times_number(self, form: forms.Product) -> list[Expr] | None:
        """V.T @ dz, where V is a row and dz a number, as it is written where both are matrices."""
        if len(form.factors) != 2 or any(n != 1 for _, n in form.factors):
            return None
        numbers = [f for f, _ in form.factors if f.shape == SCALAR and isinstance(f, forms.Symbol) and f.cotangent]
        turned = [f for f, _ in form.factors if isinstance(f, forms.Flip) and f.shape != SCALAR]
        if len(numbers) != 1 or len(turned) != 1:
            return None
        if turned[0].shape[1] == 1:
            return [self.expr(turned[0]), self.expr(numbers[0])]
        return [self.expr(numbers[0]), self.expr(turned[0])] if turned[0].shape[0] == 1 else None

    def _factors(self, factors: Sequence[tuple[Form, Fraction]]) -> Expr:
        above = [self._power(f, n) for f, n in factors if n > 0]
        result = product(above, "*") if above else Number(NOWHERE, 1)
        for divisor in [self._power(f, -n) for f, n in factors if n < 0]:
            result = Binary(NOWHERE, "/", result, divisor, NOWHERE)
        return result

    def _power(self, form: Form, n: Fraction) -> Expr:
        written = self.expr(form)
        if n == 1:
            return written
        if n == Fraction(1, 2):
            return Call(NOWHERE, "sqrt", (written,))
        return Binary(NOWHERE, "**", written, number(n), NOWHERE)


def _flipped(form: Form) -> Form:
    """The transpose, written inside of sums and products."""
    turned = (form.shape[1], form.shape[0])
    match form:
        case forms.Flip():
            return form.inner
        case forms.Combination():
            return forms.Combination(turned, tuple((c, _flipped(part)) for c, part in form.terms))
        case forms.Product():
            return forms.Product(turned, tuple((_flipped(f), n) for f, n in form.factors))
        case forms.Chain():
            return forms.Chain(turned, tuple(_flipped(part) for part in reversed(form.factors)))
    return form if form.scalar else forms.Flip(turned, form)


def number(value: Fraction) -> Expr:
    """A number as people write it: 2, 0.5, 2/3, 1/16."""
    if value < 0:
        return Unary(NOWHERE, "-", number(-value))
    if value.denominator == 1:
        return Number(NOWHERE, value.numerator)
    if _short(value):
        return Number(NOWHERE, float(value))
    return Binary(NOWHERE, "/", Number(NOWHERE, value.numerator), Number(NOWHERE, value.denominator), NOWHERE)


def _short(value: Fraction) -> bool:
    """Whether a number has few decimals."""
    decimal = Fraction(repr(float(value))) == value
    return decimal and ((value * 10**DECIMALS).denominator == 1 or value.denominator % 5 == 0)


def _without_ones(form: forms.Combination) -> list[tuple[Fraction, Form]]:
    """The terms of a sum; beside a whole column a number with a gradient in it needs no ones: p * (dp - p.T @ dp)."""

    def stretched(part: Form) -> Form | None:
        factors = forms.factors_of(part)
        rest = tuple((f, n) for f, n in factors if not (isinstance(f, forms.Apply) and f.function == "ones_like"))
        if len(rest) == len(factors) or not part.cotangents or any(f.shape != SCALAR for f, _ in rest):
            return None
        return rest[0][0] if len(rest) == 1 and rest[0][1] == 1 else forms.Product(SCALAR, rest)

    shorter = [(c, part, stretched(part)) for c, part in form.terms]
    if all(short is not None or part.scalar for _, part, short in shorter):
        return list(form.terms)
    return [(c, part if short is None else short) for c, part, short in shorter]


def _negative(expr: Expr) -> Expr:
    """The expression with its sign before the first factor: -a * b / c."""
    outer: list[Binary] = []
    while isinstance(expr, Binary) and expr.op in "*/@":
        outer.append(expr)
        expr = expr.left
    result = negated(expr)
    for node in reversed(outer):
        result = Binary(NOWHERE, node.op, result, node.right, NOWHERE)
    return result


def _times(factor: Expr, expr: Expr) -> Expr:
    """`number * a * b / c` rather than `number * (a * b / c)`."""
    trailing = []
    while isinstance(expr, Binary) and expr.op in "*/":
        trailing.append(expr)
        expr = expr.left
    result: Expr = Binary(NOWHERE, "*", factor, expr, NOWHERE)
    for operator in reversed(trailing):
        result = Binary(NOWHERE, operator.op, result, operator.right, NOWHERE)
    return result
