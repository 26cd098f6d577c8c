"""Read expressions of the language as forms: one line for each node and function, no derivative.

Index variables are replaced on the way (`env`), and every sum gets a bound variable of its own, so that forms of
different equations can be put together without one capturing the other's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING

from ..core.errors import DerivationError
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Concat, Expr, Number, Ref, Sum, Time, Transpose, Unary
from ..language.syntax.indices import Condition, Constraint
from ..language.text.printer import text
from ..language.types.powers import powers
from .algebra import Algebra
from .forms import SCALAR, Form, Symbol

if TYPE_CHECKING:
    from ..language import Model

Env = Mapping[str, Affine]
#: a matrix is multiplied with itself so often in a derivation
LARGEST_POWER = 6


class Reader:
    """Forms of a model's expressions, in one algebra; `fresh` makes index variables that nothing else uses."""

    def __init__(self, model: Model, algebra: Algebra) -> None:
        self.model, self.algebra = model, algebra
        self._numbers = count(1)
        names = {name for name, _ in model.quantities.used}
        self.matrix_powers = _matrix_powers(model)
        #: what stands before a name for its gradient: d, or D where the model names first gradients d… itself
        self.prefix = "D" if any(name[0] == "d" and name[1:] in names for name in names) else "d"

    def fresh(self, name: str) -> str:
        """An index variable of its own, called after `name`."""
        return f"{name.split('~')[0]}~{next(self._numbers)}~"

    def shape(self, expr: Expr) -> tuple[int, int]:
        """Rows and columns; a class number counts as one number."""
        if isinstance(expr, Ref) and expr.key in self.model.quantities.classes:
            return SCALAR
        return self.model.shapes_.of(expr)

    def symbol(self, ref: Ref, env: Env) -> Symbol:
        """A quantity at its steps."""
        return Symbol(self.shape(ref), ref.name, tuple(index.substituted(env) for index in ref.indices))

    def gradient(self, name: str, indices: tuple[Affine, ...]) -> Symbol:
        """The gradient of a quantity at its steps."""
        shape = self.model.shapes_.names[name, bool(indices)]
        return Symbol(shape, self.prefix + name, indices, cotangent=True)

    def form(self, expr: Expr, env: Env) -> Form:
        """What an expression says, with affine steps in the place of its index variables."""
        algebra = self.algebra
        match expr:
            case Number():
                return algebra.constant(Fraction(str(expr.value)))
            case Time():
                return algebra.affine(expr.index.substituted(env))
            case Ref():
                return self.symbol(expr, env)
            case Unary():
                inner = self.form(expr.operand, env)
                return algebra.scale(Fraction(-1), inner) if expr.op == "-" else inner
            case Binary():
                return self._binary(expr, env)
            case Transpose():
                return algebra.flip(self.form(expr.operand, env))
            case Concat():
                return self.stacked([self.form(part, env) for part in expr.parts], self.shape(expr))
            case Call():
                return self._call(expr, env)
            case Sum():
                variable, constraints, around = self.bound(expr.over, env)
                kind = "prod" if expr.kind == "prod" else "sum"
                refuse_matrices(expr, self.shape(expr.body))
                total = algebra.total(kind, variable, constraints, self.form(expr.body, around))
                return self.mean(total, variable, constraints) if expr.kind == "mean" else total
        raise DerivationError(f"no way to derive {expr!r}")  # pragma: no cover

    def bound(self, over: Condition, env: Env) -> tuple[str, list[Constraint], dict[str, Affine]]:
        """A fresh variable for a sum, what its values have to satisfy, and the variables inside."""
        variable = self.fresh(over.variable)
        inner = {**env, over.variable: affine(variable)}
        return variable, [constraint.substituted(inner) for constraint in over.constraints], inner

    def mean(self, total: Form, variable: str, constraints: list[Constraint]) -> Form:
        """A total divided by how many steps it runs over."""
        steps = self.algebra.steps(variable, constraints)
        return self.algebra.product([(total, Fraction(1)), (steps, Fraction(-1))])

    def _binary(self, expr: Binary, env: Env) -> Form:
        algebra = self.algebra
        operators = []
        first: Expr = expr
        while isinstance(first, Binary):
            operators.append(first)
            first = first.left
        result = self.form(first, env)
        for node in reversed(operators):
            right = self.form(node.right, env)
            match node.op:
                case "+":
                    result = algebra.add(result, right)
                case "-":
                    result = algebra.combine([(Fraction(1), result), (Fraction(-1), right)])
                case "*":
                    result = algebra.mul(result, right)
                case "/":
                    result = algebra.product([(result, Fraction(1)), (right, Fraction(-1))])
                case "@":
                    result = algebra.dot(result, right)
                case "**" if id(node) in self.matrix_powers:
                    result = algebra.dot(*[result] * times_of(node))
                case "**":
                    result = algebra.raised(result, right)
        return result

    def stacked(self, parts: list[Form], shape: tuple[int, int]) -> Form:
        """Parts one above the other; side by side where vectors are rows."""
        flip = self.algebra.flip
        if not self.algebra.by_rows:
            return self.algebra.apply("stack", *parts, shape=shape)
        return flip(self.algebra.apply("stack", *map(flip, parts), shape=(shape[1], shape[0])))

    def turned(self, form: Form, change: Callable[[Form], Form]) -> Form:
        """What is done to columns, done to a row where vectors are rows."""
        if self.algebra.by_rows and form.shape[0] == 1:
            return self.algebra.flip(change(self.algebra.flip(form)))
        return change(form)

    def _call(self, expr: Call, env: Env) -> Form:
        special = _READ.get(expr.function)
        args = [self.form(arg, env) for arg in expr.args]
        if special is not None:
            return special(self.algebra, args)
        if expr.function == "rows":
            first, last = (int(arg.value) for arg in expr.args[1:] if isinstance(arg, Number))
            return self.turned(args[0], lambda column: self.algebra.rows(column, first, last))
        if expr.function == "columns":
            first, last = (int(arg.value) for arg in expr.args[1:] if isinstance(arg, Number))
            return self.algebra.flip(self.algebra.rows(self.algebra.flip(args[0]), first, last))
        if expr.function == "concat":
            return self.stacked(args, self.shape(expr))
        return self.algebra.apply(expr.function, *args, shape=self.shape(expr))


def _matrix_powers(model: Model) -> set[int]:
    """The powers, by their id, that multiply a square matrix with itself."""
    if model.convention.reading == "entries":
        return set()
    found = {id(node): node for equation in model.forward for node, factor in powers(equation.rhs) if factor}
    if model.convention.reading == "matrix":
        found = {id(node): node for equation in model.forward for node, _ in powers(equation.rhs)}
    return {key for key, node in found.items() if (shape := model.shapes_.of(node.left))[0] == shape[1] > 1}


def times_of(power: Binary) -> int:
    """How often a matrix stands in its power. Raises `DerivationError` for an exponent that is no small number."""
    exponent = power.right
    if isinstance(exponent, Number) and exponent.value == int(exponent.value) and 1 <= exponent.value <= LARGEST_POWER:
        return int(exponent.value)
    raise DerivationError(
        f"no derivative of {text(power)}, a power of a matrix, is known here: write it as a recurrence"
    )


def refuse_matrices(expr: Sum, shape: tuple[int, int]) -> None:
    """Raise `DerivationError` for a product of matrices over time."""
    if expr.kind == "prod" and min(shape) > 1:
        told = f"no derivative of {text(expr)}, a product of matrices over time, is known here"
        raise DerivationError(f"{told}: write it as a recurrence")


def _mean(algebra: Algebra, args: list[Form]) -> Form:
    return algebra.product([(algebra.entries(args[0]), Fraction(1)), (entry_count(algebra, args[0]), Fraction(-1))])


def entry_count(algebra: Algebra, form: Form) -> Form:
    """How many entries a form has, as the sum of ones in its shape: no size is ever written as a number."""
    return algebra.entries(algebra.ones(form))


_READ: dict[str, Callable[[Algebra, list[Form]], Form]] = {
    "sqrt": lambda algebra, args: algebra.power(args[0], Fraction(1, 2)),
    "transpose": lambda algebra, args: algebra.flip(args[0]),
    "outer": lambda algebra, args: algebra.dot(algebra.upright(args[0]), algebra.flip(algebra.upright(args[1]))),
    "dot": lambda algebra, args: algebra.dot(algebra.flip(algebra.upright(args[0])), algebra.upright(args[1])),
    "sum": lambda algebra, args: algebra.entries(args[0]),
    "mean": _mean,
    "ones_like": lambda algebra, args: algebra.ones(args[0]),
    "stop": lambda algebra, args: args[0],
}
