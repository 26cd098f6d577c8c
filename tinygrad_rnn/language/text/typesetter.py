"""How equations are set as mathematics: what is bold, what is bracketed, where a sign stands; one walk for all markups.

Matrices are bold, time is a raised index, gradients are nabla. `latex` and `mathml` say only how each element of the
page is written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from ..affine import Affine
from ..expressions import Binary, Call, Concat, Equation, Expr, Number, Ref, Sum, Time, Transpose, Unary, spine
from ..functions import FUNCTIONS
from ..syntax.indices import Comparison, Condition
from ..types.powers import powers
from ..types.typed_document import TypedDocument
from .printer import ATOM, LEVELS, SIGN, level, mixed

#: shape rules whose result is one number
_ONE_NUMBER = ("entries", "entries of a column", "against", "equal", "dot")


class Typesetter(ABC):
    """Sets the expressions of one equation. With `model`, types decide what is a matrix and which products are entry by
    entry, and dX is the gradient of X; without it a capital letter is a matrix."""

    def __init__(self, model: TypedDocument | None, node: Expr | Equation) -> None:
        self.model = model
        root = node.rhs if isinstance(node, Equation) else node
        #: the powers, by their id, that raise each entry of a square matrix
        self._entry_powers = {id(power) for power, factor in powers(root) if not factor and self._is_square(power.left)}

    # -- the elements of a page: each markup says how they are written -------------------------------------------------
    @abstractmethod
    def number(self, value: int | float) -> str:
        """A literal."""

    @abstractmethod
    def index(self, index: Affine) -> str:
        """`2n+1` for `2*n+1`."""

    @abstractmethod
    def variable(self, name: str) -> str:
        """An index variable."""

    @abstractmethod
    def sign(self, op: str) -> str:
        """A sign before an operand."""

    @abstractmethod
    def relation(self, relation: str) -> str:
        """`<=` and its like."""

    @abstractmethod
    def modulus(self, modulus: int) -> str:
        """`mod 2`."""

    @abstractmethod
    def phrase(self, *parts: str) -> str:
        """What stands side by side."""

    @abstractmethod
    def listed(self, parts: Iterable[str]) -> str:
        """What stands between commas."""

    @abstractmethod
    def brackets(self, said: str) -> str:
        """Round brackets that grow with what they hold."""

    @abstractmethod
    def quantity(self, name: str, bold: bool, above: str) -> str:
        """A name with what stands below it, and its steps (or nothing) above."""

    @abstractmethod
    def gradient(self, said: str) -> str:
        """The gradient of the loss with respect to a quantity."""

    @abstractmethod
    def transpose(self, inner: Expr) -> str:
        """A transpose."""

    @abstractmethod
    def inverse(self, inner: Expr) -> str:
        """The inverse of a matrix."""

    @abstractmethod
    def norm(self, said: str) -> str:
        """Between double bars."""

    @abstractmethod
    def applied(self, function: str, args: Sequence[str]) -> str:
        """A function with its arguments."""

    @abstractmethod
    def stack(self, parts: Sequence[str]) -> str:
        """One above the other, in square brackets."""

    @abstractmethod
    def fraction(self, above: str, below: str) -> str:
        """A quotient."""

    @abstractmethod
    def power(self, base: str, exponent: str, entrywise: bool) -> str:
        """A power; `entrywise` where each entry of a square matrix is raised, which has to be told."""

    @abstractmethod
    def operator(self, node: Binary, plain: bool) -> str:
        """What stands between two operands; a product is `plain` beside one number."""

    @abstractmethod
    def reduction(self, kind: str, below: str, above: str, body: str) -> str:
        """A sum, product or mean with its bounds."""

    def marked(self, expr: Expr, said: str) -> str:
        """An expression of the tree with its mark, where the markup has marks."""
        return said

    # -- expressions --------------------------------------------------------------------------------------------------
    def expr(self, expr: Expr) -> str:
        """An expression with its mark."""
        return self.marked(expr, self._chain(expr) if isinstance(expr, Binary) else self._plain(expr))

    def _plain(self, expr: Expr) -> str:
        match expr:
            case Number():
                return self.number(expr.value)
            case Time():
                return self.index(expr.index)
            case Ref():
                return self.ref(expr)
            case Unary():
                return self.sign(expr.op) + self.within(expr.operand, SIGN)
            case Transpose():
                return self.transpose(expr.operand)
            case Call(function="norm"):
                return self.norm(self.expr(expr.args[0]))
            case Call(function="inv"):
                return self.inverse(expr.args[0])
            case Call(function="solve"):
                return self.phrase(self.inverse(expr.args[0]), self.within(expr.args[1], ATOM))
            case Call():
                return self.applied(expr.function, [self.expr(arg) for arg in expr.args])
            case Sum():
                return self._sum(expr)
            case Concat():
                return self.stack([self.expr(part) for part in expr.parts])
        raise TypeError(f"cannot print {expr!r}")  # pragma: no cover

    def ref(self, ref: Ref) -> str:
        """A quantity, or the gradient of one."""
        base = self.model.quantities.base(ref.key) if self.model else None
        if base is not None:
            return self.gradient(self._quantity(base[0], ref.indices, base))
        return self._quantity(ref.name, ref.indices, ref.key)

    def _quantity(self, name: str, indices: tuple[Affine, ...], key: tuple[str, bool]) -> str:
        shape = self.model.shapes_.names.get(key) if self.model else None
        bold = min(shape) > 1 if shape else name[0].isupper() and not indices
        return self.quantity(name, bold, self.listed(map(self.index, indices)))

    def within(self, expr: Expr, least: int, bracketed: bool = False) -> str:
        """An expression, in brackets when its outermost operator binds less than `least`."""
        said = self.expr(expr)
        loose = level(expr) < least or isinstance(expr, Sum) or (isinstance(expr, Unary) and least >= 2)
        return self.brackets(said) if loose or bracketed else said

    def _chain(self, expr: Binary) -> str:
        """Operators along the left spine."""
        first, operators = spine(expr)
        said, binds, scalar = self.within(first, 0), level(first), self._is_scalar(first)
        gradient, before = self.is_gradient(first), ""
        for node in operators:
            here = LEVELS[node.op]
            if node.op == "/":
                said, binds = self.fraction(said, self.expr(node.right)), ATOM
            elif node.op == "**":
                bare = isinstance(node.left, Number | Time) or (isinstance(node.left, Ref) and node.left.index is None)
                base = said if bare and not gradient else self.brackets(said)
                said, binds = self.power(base, self.expr(node.right), id(node) in self._entry_powers), ATOM
            else:
                if binds < here or (gradient and here == 2) or mixed(before, node.op):
                    said = self.brackets(said)
                right = self.within(node.right, here + 1, bracketed=here == 2 and self.is_gradient(node.right))
                between = self.operator(node, scalar or self._is_scalar(node.right))
                said, binds = self.phrase(said, between, right), here
            scalar = scalar and self._is_scalar(node.right)
            gradient, before = False, "" if binds == ATOM else node.op
            if node is not expr:
                said = self.marked(node, said)
        return said

    def is_gradient(self, expr: Expr) -> bool:
        """Whether it is the gradient of a quantity."""
        return isinstance(expr, Ref) and self.model is not None and self.model.quantities.base(expr.key) is not None

    def _is_square(self, expr: Expr) -> bool:
        shape = self._shape(expr)
        return shape is not None and shape[0] == shape[1] > 1

    def _shape(self, expr: Expr) -> tuple[int, int] | None:
        """The typed shape; None without a model, and for an expression made elsewhere."""
        try:
            return None if self.model is None else self.model.shapes_.of(expr)
        except KeyError:
            return None

    def _is_scalar(self, expr: Expr) -> bool:
        """Whether it is one number, by its type, or by those of the names in it."""
        shape = self._shape(expr)
        if shape is not None:
            return shape == (1, 1)
        stack = [expr]
        while stack:
            node = stack.pop()
            if isinstance(node, Ref):
                base = self.model.quantities.base(node.key) or node.key if self.model else None
                if self.model is None or base is None or self.model.shapes_.names.get(base) != (1, 1):
                    return False
            elif not (isinstance(node, Call) and FUNCTIONS[node.function].rule in _ONE_NUMBER):
                stack += node.children
        return True

    # -- sums and conditions ------------------------------------------------------------------------------------------
    def _sum(self, expr: Sum) -> str:
        over, body, variable = expr.over, self.within(expr.body, 2), self.variable(expr.variable)
        if over.tests and not (over.descending and len(over.tests) == 2):
            return self.reduction(expr.kind, self.condition(over), "", body)
        if expr.kind == "mean" and not over.tests:
            return self.reduction(expr.kind, variable, "", body)
        first, last = [test.bound for test in over.tests] if over.tests else (over.within.first, over.within.last)
        return self.reduction(expr.kind, variable + self.relation("=") + self.index(first), self.index(last), body)

    def condition(self, when: Condition) -> str:
        """`1 < t < T`, `k <= t`, `k = T, …, 1`."""
        variable = self.variable(when.variable)
        if when.descending:
            high, low, *others = when.tests
            start = self.phrase(variable, self.relation("="), self.index(high.bound))
            tests = (self.phrase(variable, self._test(test)) for test in others)
            return self.listed([start, self.relation("…"), self.index(low.bound), *tests])
        if when.interval is not None:
            low, high = when.interval
            return self.phrase(self.index(low.bound), self.relation(low.relation), variable, self._test(high))
        return self.listed(self.phrase(variable, self._test(test)) for test in when.tests)

    def _test(self, test: Comparison) -> str:
        modulus = [self.modulus(test.modulus)] if test.modulus else []
        return self.phrase(*modulus, self.relation(test.relation), self.index(test.bound))
