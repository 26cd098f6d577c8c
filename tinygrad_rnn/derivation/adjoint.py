"""Shares: what the gradient of a quantity receives from each place at which an equation reads it.

The cotangent of an equation's left side, `dh[t]`, is handed back through its right-hand side by the chain rule, one
rule for each node; every quantity met there receives a share, under the conditions of the equation and of the sums
around it. Nothing here knows a network, a length, or which gradients are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from ..core.errors import DerivationError
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Concat, Equation, Expr, Number, Ref, Sum, Time, Transpose, Unary
from ..language.syntax.indices import Constraint
from ..system import Clause, Domain
from .algebra import Algebra
from .forms import ONE, Form, Symbol, is_zero, number
from .from_expressions import Env, Reader, refuse_matrices, times_of
from .rules import RULES

Key = tuple[str, bool]


@dataclass(frozen=True)
class Share:
    """The gradient of `key` at the steps `pattern` receives `form`, for each value of the variables in `domain`.

    `form` is linear in the gradient `cotangent` of the quantity that reads it (None when that is the loss itself);
    `variables` are those of the equation and of the sums around the place, none of them used anywhere else; `place` is
    the step of the equation that reads it, at which a parameter's copy dW[t] stands.
    """

    key: Key
    pattern: tuple[Affine, ...]
    variables: tuple[str, ...]
    domain: Domain
    form: Form
    cotangent: Symbol | None
    place: tuple[Affine, ...] = ()
    #: which occurrences of quantities in which equations it comes from, so that other algebras find it again
    origin: tuple[tuple[int, int], ...] = ()

    def substituted(self, values: Mapping[str, Affine], algebra: Algebra) -> Share:
        """The share with affine steps in the place of some variables."""
        if not values:
            return self
        variables = tuple(name for name in self.variables if name not in values)
        cotangent = None if self.cotangent is None else algebra.substituted(self.cotangent, values)
        assert cotangent is None or isinstance(cotangent, Symbol)
        return replace(
            self,
            pattern=tuple(index.substituted(values) for index in self.pattern),
            variables=variables,
            domain=self.domain.substituted(values),
            form=algebra.substituted(self.form, values),
            cotangent=cotangent,
            place=tuple(index.substituted(values) for index in self.place),
        )

    def renamed(self, reader: Reader) -> Share:
        """The same with variables that nothing else uses."""
        fresh = {name: reader.fresh(name) for name in self.variables}
        moved = self.substituted({name: affine(other) for name, other in fresh.items()}, reader.algebra)
        return replace(moved, variables=tuple(fresh.values()))

    def solved(self, algebra: Algebra, keep: frozenset[str] = frozenset()) -> Share:
        """The same without the variables that an equality determines."""
        share = self
        for name in self.variables:
            value = share.domain.value_of(name) if name in share.variables and name not in keep else None
            if value is not None:
                share = share.substituted({name: value}, algebra)
        return share


def shares_of(clause: Clause, reader: Reader, number: int = 0) -> Iterator[Share]:
    """The shares that one equation hands back, on one piece of its domain; `number` is that of the clause."""
    equation = clause.equation
    env = {name: affine(reader.fresh(name)) for name in clause.variables}
    variables = tuple(value.variable or "" for value in env.values())
    domain = clause.domain.substituted(env)
    target = reader.symbol(equation.target, env)
    cotangent = reader.gradient(equation.target.name, target.indices)
    for occurrence, visit in enumerate(_Backward(equation, reader, target).visits(cotangent, env)):
        if not is_zero(visit.form):
            inner = Domain.of(*domain.constraints, *visit.constraints)
            pattern = tuple(index.substituted(visit.env) for index in visit.ref.indices)
            place = target.indices or tuple(affine(name) for name in visit.variables[:1])
            around = (*variables, *visit.variables)
            yield Share(visit.ref.key, pattern, around, inner, visit.form, cotangent, place, ((number, occurrence),))


@dataclass(frozen=True)
class _Visit:
    """A node on the way back: what its gradient is, and the sums around it."""

    node: Expr
    form: Form
    env: Env
    variables: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    @property
    def ref(self) -> Ref:
        assert isinstance(self.node, Ref)
        return self.node

    def to(self, node: Expr, form: Form) -> _Visit:
        return _Visit(node, form, self.env, self.variables, self.constraints)


class _Backward:
    """One right-hand side, walked from its root to the quantities it reads."""

    def __init__(self, equation: Equation, reader: Reader, target: Symbol) -> None:
        self.equation, self.reader, self.algebra, self.target = equation, reader, reader.algebra, target

    def visits(self, cotangent: Symbol, env: Env) -> Iterator[_Visit]:
        stack = [_Visit(self.equation.rhs, cotangent, env)]
        while stack:
            visit = stack.pop()
            if isinstance(visit.node, Ref):
                yield visit
            elif not isinstance(visit.node, Number | Time):
                stack += reversed(self._children(visit))

    def _value(self, visit: _Visit) -> Form:
        """The value of a node, by its name where it has one."""
        if visit.node is self.equation.rhs:
            return self.target
        return self.reader.form(visit.node, visit.env)

    def _children(self, visit: _Visit) -> list[_Visit]:
        node, g = visit.node, visit.form
        match node:
            case Unary():
                return [visit.to(node.operand, self.algebra.scale(Fraction(-1), g) if node.op == "-" else g)]
            case Binary():
                return self._binary(visit, node)
            case Transpose():
                return [visit.to(node.operand, self.algebra.flip(g))]
            case Concat():
                return self._stack(visit, node.parts)
            case Sum():
                return [self._sum(visit, node)]
            case Call():
                return self._call(visit, node)
        raise DerivationError(f"no derivative of {node!r}")  # pragma: no cover

    def _binary(self, visit: _Visit, node: Binary) -> list[_Visit]:
        algebra, g = self.algebra, visit.form
        if node.op in "+-":
            right = g if node.op == "+" else algebra.scale(Fraction(-1), g)
            return [self._fitted(visit, node.left, g), self._fitted(visit, node.right, right)]
        if node.op == "**":
            return (
                self._matrix_power(visit, node) if id(node) in self.reader.matrix_powers else self._power(visit, node)
            )
        a, b = self.reader.form(node.left, visit.env), self.reader.form(node.right, visit.env)
        if node.op == "*":
            return [
                self._fitted(visit, node.left, algebra.mul(g, b)),
                self._fitted(visit, node.right, algebra.mul(g, a)),
            ]
        if node.op == "/":
            below = algebra.product([(g, Fraction(1)), (a, Fraction(1)), (b, Fraction(-2))])
            return [
                self._fitted(visit, node.left, algebra.product([(g, Fraction(1)), (b, Fraction(-1))])),
                self._fitted(visit, node.right, algebra.scale(Fraction(-1), below)),
            ]
        return [
            visit.to(node.left, algebra.dot(g, algebra.flip(b))),
            visit.to(node.right, algebra.dot(algebra.flip(a), g)),
        ]

    def _power(self, visit: _Visit, node: Binary) -> list[_Visit]:
        algebra, g = self.algebra, visit.form
        base, exponent = self.reader.form(node.left, visit.env), self.reader.form(node.right, visit.env)
        less = algebra.combine([(Fraction(1), exponent), (Fraction(-1), ONE)])
        found = [self._fitted(visit, node.left, algebra.mul(exponent, g, algebra.raised(base, less)))]
        if number(exponent) is None and any(isinstance(part, Ref) for part in _nodes(node.right)):
            slope = algebra.mul(g, self._value(visit), algebra.apply("log", base))
            found.append(self._fitted(visit, node.right, slope))
        return found

    def _matrix_power(self, visit: _Visit, node: Binary) -> list[_Visit]:
        """A @ A @ A: each factor receives its share."""
        algebra, times = self.algebra, times_of(node)
        base = self.reader.form(node.left, visit.env)
        before, found = algebra.flip(base), []
        for place in range(times):
            factors = [*[before] * place, visit.form, *[before] * (times - 1 - place)]
            found.append(visit.to(node.left, algebra.dot(*factors)))
        return found

    def _fitted(self, visit: _Visit, node: Expr, g: Form) -> _Visit:
        """A number stretched over all entries hands back the sum over them."""
        return visit.to(node, self.algebra.entries(g) if self.reader.shape(node) == (1, 1) else g)

    def _entries(self, expr: Expr) -> int:
        """The rows of a part; its entries, where it is a row and vectors are rows."""
        height, width = self.reader.shape(expr)
        return width if self.algebra.by_rows and height == 1 else height

    def _stack(self, visit: _Visit, parts: tuple[Expr, ...]) -> list[_Visit]:
        found, first = [], 1
        for part in parts:
            last = first + self._entries(part) - 1
            cut = self.reader.turned(visit.form, partial(self.algebra.rows, first=first, last=last))
            found.append(visit.to(part, cut))
            first = last + 1
        return found

    def _sum(self, visit: _Visit, node: Sum) -> _Visit:
        reader, algebra = self.reader, self.algebra
        variable, constraints, env = reader.bound(node.over, visit.env)
        g = visit.form
        if node.kind == "mean":
            other, others, _ = reader.bound(node.over, visit.env)
            g = reader.mean(g, other, others)
        elif node.kind == "prod":
            refuse_matrices(node, reader.shape(node.body))
            other, others, inner = reader.bound(node.over, visit.env)
            apart = Constraint("!=", affine(other) - affine(variable))
            g = algebra.mul(g, algebra.total("prod", other, [*others, apart], reader.form(node.body, inner)))
        return _Visit(node.body, g, env, (*visit.variables, variable), (*visit.constraints, *constraints))

    def _call(self, visit: _Visit, node: Call) -> list[_Visit]:
        if node.function == "rows":
            first = int(node.args[1].value)  # type: ignore[attr-defined]
            pad = partial(self.algebra.padded, first=first, height=self._entries(node.args[0]))
            return [visit.to(node.args[0], self.reader.turned(visit.form, pad))]
        if node.function == "columns":
            first, width = int(node.args[1].value), self.reader.shape(node.args[0])[1]  # type: ignore[attr-defined]
            pad = partial(self.algebra.padded, first=first, height=width)
            return [visit.to(node.args[0], self.algebra.flip(pad(self.algebra.flip(visit.form))))]
        if node.function == "concat":
            return self._stack(visit, node.args)
        rule = RULES.get(node.function)
        if rule is None:
            raise DerivationError(f"{self.equation.name}: no derivative of {node.function} is known here")
        args = [self.reader.form(arg, visit.env) for arg in node.args]
        received = rule(self.algebra, visit.form, args, self._value(visit))
        found = []
        for arg, form, g in zip(node.args, args, received, strict=True):
            if g is not None:
                found.append(self._fitted(visit, arg, g) if form.scalar else visit.to(arg, g))
        return found


def _nodes(expr: Expr) -> Iterator[Expr]:
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children)
