"""Expressions entry by entry: `(A @ B)(i, j) = sum(k, A(i, k) * B(k, j))`, `diag(v)(i, j) = [i = j] * v(i)`.

Where everything is one number everything commutes, so chains of matrices, diagonals, transposes and outer products that
say the same become the same polynomial. What a name means is for the caller to say (`Meaning`).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

from ...language.affine import Affine, affine
from ...language.expressions import Binary, Call, Concat, Expr, Number, Ref, Sum, Time, Transpose, Unary, spine
from ...language.syntax.indices import Constraint
from ...language.types.powers import contexts, is_number
from ...system.domain import NEVER, Domain
from . import arithmetic
from .arithmetic import ONE, Unprovable, Work, added, constant, multiplied, on, restricted, scaled
from .function_forms import apply, larger
from .sizes import Sizes
from .sums import bound_product, substituted, summed
from .units import Entry, Index, Polynomial

#: an entry of a quantity: its reference, row and column (None for a size of 1), the domain of the indices around it
Meaning = Callable[[Ref, tuple[Affine, ...], Domain], Polynomial]
Place = Affine | None

#: `A**k` in a product of matrices is multiplied out up to this power
LARGEST_MATRIX_POWER = 6
_ENTRYWISE = {
    *("tanh", "sigmoid", "relu", "softplus", "exp", "log", "log1p", "sqrt", "sin", "cos", "abs", "sign"),
    *("tanh'", "sigmoid'", "relu'", "softplus'", "ones_like", "stop"),
}


class EntryReader:
    """The entries of the expressions of one file."""

    def __init__(self, sizes: Sizes, meaning: Meaning, work: Work) -> None:
        self.sizes, self.meaning, self.work = sizes, meaning, work
        #: what the domain of functions asks of their arguments: (function, argument, context)
        self.asked: list[tuple[str, Polynomial, Domain]] = []

    def entry(self, expr: Expr, row: Place, column: Place, context: Domain, factor: bool = False) -> Polynomial:
        """The entry of an expression at a row and a column; `factor` as in `language.powers`."""
        match expr:
            case Binary():
                return self._chain(expr, row, column, context, factor)
            case Ref():
                return self.meaning(expr, tuple(form for form in (row, column) if form is not None), context)
            case Number():
                return constant(Fraction(repr(expr.value)) if isinstance(expr.value, float) else expr.value)
            case Time():
                return arithmetic.index(expr.index)
            case Unary():
                return scaled(self.entry(expr.operand, row, column, context, factor), -1 if expr.op == "-" else 1)
            case Transpose():
                return self.entry(expr.operand, column, row, context, factor)
            case Sum():
                return self._over_time(expr, row, column, context, factor)
            case Concat():
                return self._stack(expr, row, column, context)
            case Call():
                return self._call(expr, row, column, context)
        raise Unprovable(f"no rule for {type(expr).__name__}")

    # -- operators ----------------------------------------------------------------------------------------------------
    def _chain(self, expr: Binary, row: Place, column: Place, context: Domain, factor: bool) -> Polynomial:
        """Operators from left to right, without recursion on the left side of sums."""
        first, operators = spine(expr)
        sides = contexts(operators, factor)
        inside = [node.op in "+-" for node in operators]
        at = len(operators)
        while at and inside[at - 1]:
            at -= 1
        parts = []
        for node, (_, right) in zip(operators[at:], sides[at:], strict=True):
            sign = 1 if node.op == "+" else -1
            parts.append(scaled(self._operand(node.right, expr, row, column, context, right), sign))
        if not at:
            head = first
            parts.append(self._operand(head, expr, row, column, context, sides[0][0]))
        elif at == len(operators):
            return self._product(operators[-1], row, column, context, sides[-1], factor)
        else:
            head = operators[at - 1]
            parts.append(self._operand(head, expr, row, column, context, sides[at][0]))
        return added(parts)

    def _operand(self, part: Expr, whole: Expr, row: Place, column: Place, context: Domain, factor: bool) -> Polynomial:
        """The entry of an operand: a number stands for all entries."""
        if self.sizes.of(part) == (None, None):
            return self.entry(part, None, None, context, factor)
        return self.entry(part, row, column, context, factor)

    def _product(
        self, node: Binary, row: Place, column: Place, context: Domain, sides: tuple[bool, bool], factor: bool
    ) -> Polynomial:
        if node.op == "@":
            return self._matrix_product(node.left, node.right, row, column, context)
        if node.op == "**":
            return self._power(node, row, column, context, factor)
        left = self._operand(node.left, node, row, column, context, sides[0])
        if node.op == "/":
            return multiplied([left, self._inverse(node.right, row, column, context)], self.work)
        return multiplied([left, self._operand(node.right, node, row, column, context, sides[1])], self.work)

    def _inverse(self, part: Expr, row: Place, column: Place, context: Domain) -> Polynomial:
        """1 over an expression; a power is not multiplied out before."""
        base, exponent = part, 1
        whole = self.sizes.shapes.convention.reading != "matrix"
        if whole and isinstance(part, Binary) and part.op == "**" and isinstance(part.right, Number):
            value = part.right.value
            base, exponent = (part.left, value) if isinstance(value, int) and value > 0 else (part, 1)
        p = self._operand(base, part, row, column, context, False)
        self.asked.append(("/", p, context))
        return arithmetic.power(p, -exponent, self.work)

    def _matrix_product(self, left: Expr, right: Expr, row: Place, column: Place, context: Domain) -> Polynomial:
        size = self.sizes.of(left)[1]
        scalars = [self.sizes.of(side) == (None, None) for side in (left, right)]
        if size is None or scalars[1] or scalars[0]:
            a = self.entry(left, None if scalars[0] else row, None, context, True)
            b = self.entry(right, None, None if scalars[1] else column, context, True)
            return multiplied([a, b], self.work)
        name = self.work.fresh()
        a = self.entry(left, row, affine(name), context, True)
        b = self.entry(right, affine(name), column, context, True)
        return summed(multiplied([a, b], self.work), (name,), entries(name, size), self.work)

    def _power(self, node: Binary, row: Place, column: Place, context: Domain, factor: bool) -> Polynomial:
        if not is_number(node.right):
            return self._learned_power(node, row, column, context)
        exponent = self.entry(node.right, None, None, context)
        rows, columns = self.sizes.of(node.left)
        matrix = {"place": factor, "matrix": True, "entries": False}[self.sizes.shapes.convention.reading]
        if matrix and rows is not None and rows == columns:
            return self._matrix_power(node.left, exponent, row, column, context)
        base = self._operand(node.left, node, row, column, context, False)
        if exponent.number is not None:
            if exponent.number < 0 or exponent.number.denominator != 1:
                self.asked.append(("/" if exponent.number.denominator == 1 else "root", base, context))
            return arithmetic.power(base, arithmetic.whole(exponent.number), self.work)
        index = as_index(exponent)
        if not context.implies(Constraint(">=", index)):
            self.asked.append(("/", base, context))
        return arithmetic.repeated(base, index, self.work)

    def _learned_power(self, node: Binary, row: Place, column: Place, context: Domain) -> Polynomial:
        """`x ** p` is `exp(p * log(x))`."""
        base = self._operand(node.left, node, row, column, context, False)
        exponent = self._operand(node.right, node, row, column, context, False)
        self.asked.append(("log", base, context))
        logarithm = apply("log", base, self.work)
        return apply("exp", multiplied([exponent, logarithm], self.work), self.work)

    def _matrix_power(self, base: Expr, exponent: Polynomial, row: Place, column: Place, context: Domain) -> Polynomial:
        number = exponent.number
        if number is None or number.denominator != 1 or not 0 <= number <= LARGEST_MATRIX_POWER:
            raise Unprovable("a power of a matrix whose exponent is no small whole number")
        size = self.sizes.of(base)[0]
        assert row is not None and column is not None and size is not None
        if number == 0:
            return on(Domain.of(Constraint("=", row - column)))
        names = [self.work.fresh() for _ in range(int(number) - 1)]
        places = [row, *map(affine, names), column]
        parts = [self.entry(base, a, b, context, True) for a, b in pairwise(places)]
        domain = Domain.of(*(c for name in names for c in entries(name, size).constraints))
        return summed(multiplied(parts, self.work), names, domain, self.work)

    # -- sums over time, stacks ---------------------------------------------------------------------------------------
    def _over_time(self, expr: Sum, row: Place, column: Place, context: Domain, factor: bool) -> Polynomial:
        name = self.work.fresh()
        values = {expr.variable: affine(name)}
        domain = Domain.of(*(c.substituted(values) for c in expr.over.constraints))
        if expr.kind == "prod" and self.sizes.of(expr.body)[1] is not None:
            raise Unprovable("a product of matrices over time has no normal form here")
        inner = Domain.of(*context.constraints, *expr.over.constraints)
        body = self.entry(expr.body, row, column, inner, factor)
        body = substituted(body, values, self.work)
        if expr.kind == "prod":
            return bound_product(name, domain, body, self.work)
        total = summed(body, (name,), domain, self.work)
        if expr.kind == "sum":
            return total
        return multiplied([total, arithmetic.power(summed(ONE, (name,), domain, self.work), -1, self.work)], self.work)

    def _stack(self, expr: Expr, row: Place, column: Place, context: Domain) -> Polynomial:
        """Parts one above the other, or side by side where vectors are rows."""
        parts, before, turned = [], affine(), self.sizes.rows
        along, across = (column, row) if turned else (row, column)
        assert along is not None
        for part in expr.children:
            size = self.sizes.of(part)[turned]
            if size is None:
                here, place = Domain.of(Constraint("=", along - before - 1)), None
            else:
                bounds = (Constraint(">=", along - before - 1), Constraint(">=", before + size - along))
                here, place = Domain.of(*bounds), along - before
            if here != NEVER:
                other = None if self.sizes.of(part) == (None, None) else across
                inside = (other, place) if turned else (place, other)
                parts.append(restricted(self.entry(part, *inside, context), here))
            before = before + (size or affine(None, 1))
        return added(parts)

    def _vector(self, expr: Expr, place: Place, context: Domain) -> Polynomial:
        """An entry of a column, or of a row."""
        row = self.sizes.of(expr)[0] is None
        return self.entry(expr, None if row else place, place if row else None, context)

    def _length(self, expr: Expr) -> Affine | None:
        """The number of entries of a column, or of a row; None for one."""
        rows, columns = self.sizes.of(expr)
        return columns if rows is None else rows

    # -- functions ----------------------------------------------------------------------------------------------------
    def _call(self, node: Call, row: Place, column: Place, context: Domain) -> Polynomial:
        name, args = node.function, node.args
        if name in _ENTRYWISE:
            argument = self.entry(args[0], row, column, context)
            if name in ("log", "log1p", "sqrt"):
                inside = added([argument, ONE]) if name == "log1p" else argument
                self.asked.append(("root" if name == "sqrt" else "log", inside, context))
            return apply(name, argument, self.work)
        rule = _RULES.get(name)
        if rule is None:
            raise Unprovable(f"{name} has no entries that are known here")
        return rule(self, args, row, column, context)

    def _all(self, expr: Expr, context: Domain, f: Callable[[Polynomial], Polynomial] = lambda p: p) -> Polynomial:
        """The sum of `f` of all entries."""
        names, places, domain = self._everywhere(expr)
        return summed(f(self.entry(expr, *places, context)), names, domain, self.work)

    def _everywhere(self, expr: Expr) -> tuple[list[str], tuple[Place, Place], Domain]:
        """Variables that run through all entries: their names, row and column, what they run over."""
        names = [None if size is None else self.work.fresh() for size in self.sizes.of(expr)]
        bound = [(name, size) for name, size in zip(names, self.sizes.of(expr), strict=True) if name and size]
        row, column = (None if name is None else affine(name) for name in names)
        domain = Domain.of(*(c for name, size in bound for c in entries(name, size).constraints))
        return [name for name, _ in bound], (row, column), domain

    def _count(self, expr: Expr) -> Polynomial:
        sizes = [arithmetic.index(size) for size in self.sizes.of(expr) if size is not None]
        return multiplied(sizes, self.work)

    def _square(self, p: Polynomial) -> Polynomial:
        return arithmetic.natural_power(p, 2, self.work)

    def _exponentials(self, expr: Expr, context: Domain) -> Polynomial:
        return self._all(expr, context, lambda p: apply("exp", p, self.work))

    def _softmax(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        above = apply("exp", self.entry(args[0], row, column, context), self.work)
        return multiplied([above, arithmetic.power(self._exponentials(args[0], context), -1, self.work)], self.work)

    def _logsumexp(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        return apply("log", self._exponentials(args[0], context), self.work)

    def _log_softmax(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        own = self.entry(args[0], row, column, context)
        return added([own, scaled(self._logsumexp(args, None, None, context), -1)])

    def _cross_entropy(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        """`-sum(y * log_softmax(o))`."""
        scores, label = args
        size = self._length(scores)
        name = self.work.fresh()
        place = None if size is None else affine(name)
        log = added([self._vector(scores, place, context), scaled(self._logsumexp((scores,), None, None, context), -1)])
        terms = multiplied([self._label(label, place, context), log], self.work)
        names, domain = ((), Domain.of()) if size is None else ((name,), entries(name, size))
        return scaled(summed(terms, names, domain, self.work), -1)

    def _label(self, label: Expr, place: Place, context: Domain) -> Polynomial:
        if isinstance(label, Ref) and label.key in self.sizes.model.quantities.classes:
            self.meaning(label, (), context)
            return ONE if place is None else arithmetic.of(Entry(one_hot(label.name), label.indices, (place,)))
        return self._vector(label, place, context)

    def _onehot(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        return self._label(args[0], column if row is None else row, context)

    def _squared_error(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        names, places, domain = self._everywhere(args[0])
        a, b = (self.entry(arg, *places, context) for arg in args)
        square = self._square(added([a, scaled(b, -1)]))
        return scaled(summed(square, names, domain, self.work), Fraction(1, 2))

    def _norm(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        square = self._all(args[0], context, self._square)
        self.asked.append(("root", square, context))  # as sqrt does: where it is 0 the norm has no derivative
        return arithmetic.power(square, Fraction(1, 2), self.work)

    def _mean(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        return multiplied(
            [self._all(args[0], context), arithmetic.power(self._count(args[0]), -1, self.work)], self.work
        )

    def _diagonal(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        if row is None or column is None:
            return self.entry(args[0], None, None, context)
        return restricted(self._vector(args[0], row, context), Domain.of(Constraint("=", row - column)))

    def _part(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain, turned: bool) -> Polynomial:
        """`rows(v, first, last)`, or of the columns."""
        first = self.entry(args[1], None, None, context).number
        assert first is not None
        along = column if turned else row
        place = affine(None, int(first)) if along is None else along + (int(first) - 1)
        if self.sizes.of(args[0])[turned] is None:
            return self.entry(args[0], row, column, context)
        return self.entry(args[0], row if turned else place, place if turned else column, context)

    def _rows(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        return self._part(args, row, column, context, self.sizes.rows and self.sizes.of(args[0])[0] is None)

    def _sums(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain, turned: bool) -> Polynomial:
        """The sum of each row, or of each column."""
        size = self.sizes.of(args[0])[not turned]
        if size is None:
            return self.entry(args[0], row, column, context)
        name = self.work.fresh()
        body = self.entry(args[0], affine(name) if turned else row, column if turned else affine(name), context)
        return summed(body, (name,), entries(name, size), self.work)

    def _extreme(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain, sign: int) -> Polynomial:
        a, b = (
            self.entry(arg, *((None, None) if self.sizes.of(arg) == (None, None) else (row, column)), context)
            for arg in args
        )
        return scaled(larger(scaled(a, sign), scaled(b, sign), self.work), sign)

    def _outer(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        parts = [self._vector(args[0], row, context), self._vector(args[1], column, context)]
        return multiplied(parts, self.work)

    def _dot(self, args: tuple[Expr, ...], row: Place, column: Place, context: Domain) -> Polynomial:
        size = self._length(args[0])
        if size is None:
            return multiplied([self._vector(arg, None, context) for arg in args], self.work)
        name = self.work.fresh()
        parts = [self._vector(arg, affine(name), context) for arg in args]
        return summed(multiplied(parts, self.work), (name,), entries(name, size), self.work)


_RULES: dict[str, Callable[..., Polynomial]] = {
    "softmax": EntryReader._softmax,
    "log_softmax": EntryReader._log_softmax,
    "logsumexp": EntryReader._logsumexp,
    "cross_entropy": EntryReader._cross_entropy,
    "onehot": EntryReader._onehot,
    "squared_error": EntryReader._squared_error,
    "norm": EntryReader._norm,
    "mean": EntryReader._mean,
    "sum": lambda own, args, row, column, context: own._all(args[0], context),
    "diag": EntryReader._diagonal,
    "transpose": lambda own, args, row, column, context: own.entry(args[0], column, row, context),
    "rows": EntryReader._rows,
    "columns": lambda own, args, row, column, context: own._part(args, row, column, context, True),
    "row_sums": lambda own, args, row, column, context: own._sums(args, row, column, context, False),
    "column_sums": lambda own, args, row, column, context: own._sums(args, row, column, context, True),
    "concat": lambda own, args, row, column, context: own._stack(Concat(args[0].span, args), row, column, context),
    "maximum": lambda own, args, row, column, context: own._extreme(args, row, column, context, 1),
    "minimum": lambda own, args, row, column, context: own._extreme(args, row, column, context, -1),
    "outer": EntryReader._outer,
    "dot": EntryReader._dot,
}


def entries(name: str, size: Affine) -> Domain:
    """That a variable runs over the rows (or columns) of a size."""
    return Domain.of(Constraint(">=", affine(name) - 1), Constraint(">=", size - affine(name)))


def one_hot(name: str) -> str:
    """The name under which the column of a class number goes."""
    return f"onehot {name}"


def as_index(p: Polynomial) -> Affine:
    """An exponent such as T-t as an affine form."""
    form = affine()
    for (domain, factors), number in p.terms.items():
        linear = len(factors) <= 1 and all(isinstance(unit, Index) and e == 1 for unit, e in factors)
        if domain.constraints or not linear or number.denominator != 1:
            raise Unprovable("an exponent that is no whole combination of indices")
        names = [unit.name for unit, _ in factors if isinstance(unit, Index)]
        form = form + affine(names[0], 0, int(number)) if names else form + int(number)
    return form
