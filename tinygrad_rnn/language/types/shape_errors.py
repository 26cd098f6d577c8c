"""Shapes that do not fit, explained: both shapes, where each came from, and the change that would mend it.

A mend is searched, never guessed: the factors of a product are permuted, transposed or put on a diagonal until the
types fit, the fewest changes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, permutations, product

from ...core.errors import LanguageError, Mend
from ..expressions import Binary, Call, Equation, Expr, Ref, Transpose, walk
from ..syntax.source import Span
from .dimensions import Type
from .quantities import Key
from .type_table import TypeTable

Shape = tuple[int, int]
LONGEST_CHAIN = 5
#: so many ways to write a product otherwise are proposed
MOST_MENDS = 48


@dataclass(frozen=True)
class _Factor:
    text: str
    shape: Shape
    cost: int = 0


class Misfits:
    """Builds the errors of types that do not fit."""

    def __init__(self, table: TypeTable) -> None:
        self.table, self.source = table, table.source

    # -- the errors ---------------------------------------------------------------------------------------------------
    def product(self, node: Binary, equation: Equation) -> LanguageError:
        """The inner sizes of `left @ right` differ."""
        mends = self._mend_product(node, equation)
        if not mends and self._shape(node.left) == self._shape(node.right):
            said = f"{self._text(node.left)} * {self._text(node.right)}"
            mends = [_mend(node, said, f"entry by entry? did you mean  {said} ?")]
        return self._operands(node, mends)

    def pair(self, node: Expr, equation: Equation) -> LanguageError:
        """The two sides of + - * / differ."""
        if not isinstance(node, Binary):
            return self.wants(node.children[-1], f"{self.table.type_of(node.children[0])}, as the first argument is")
        left, right = self._shape(node.left), self._shape(node.right)
        mends: list[Mend] = []
        if left == right and left is not None:
            return self._result(node, equation)
        if node.op == "*" and left and right and left[1] == right[0]:
            said = f"{self._text(node.left)} @ {self._text(node.right)}"
            mends = [_mend(node, said, f"did you mean the matrix product  {said} ?")]
        elif node.op in "+-" and left and right:
            wanted = self.table.quantity(equation.target.key).shape
            for side, other in ((node.left, right), (node.right, left)):
                if self._shape(side) != wanted:
                    mends += self._mend_side(side, wanted or other)
            mends += [*self._mend_side(node.right, left), *self._mend_side(node.left, right)]
        return self._operands(node, mends)

    def _result(self, node: Binary, equation: Equation) -> LanguageError:
        """Both sides agree, but what the result is used for wants another shape."""
        found, wanted = self.table.type_of(node.right), self.table.type_of(node)
        notes = [f"both sides are {found}{self._parts(node)}, but {equation.target} needs {wanted}"]
        mends = [*self._mend_side(node.right, wanted.shape), *self._mend_side(node.left, wanted.shape)]
        return self._error(node.sign, notes, mends, [node.left.span, node.right.span])

    def target(self, equation: Equation) -> LanguageError:
        """The right-hand side does not have the shape of the target."""
        key = equation.target.key
        base = self.table.quantities.base(key)
        wanted, found = self.table.quantity(key), self.table.type_of(equation.rhs)
        origin = self.table.origins.get(base or key, "")
        told = (
            f"{equation.target} has the shape of {self.table.quantities.show(base)}, {wanted}"
            if base
            else f"{equation.target} is {wanted}"
        )
        notes = [f"{told}{f' ({origin})' if origin else ''}; the right-hand side is {found}{self._parts(equation.rhs)}"]
        hint = self._entrywise_use(base, found) if base else ""
        mends = self._mend_side(equation.rhs, wanted.shape)
        return self._error(equation.target.span, notes, mends, [equation.rhs.span], hint)

    def _entrywise_use(self, base: Key, found: Type) -> str:
        """A parameter whose gradient comes out as a matrix may have been multiplied with * where @ was meant."""
        if base[1] or found.is_scalar is not False or 1 in (found.shape or (1, 1)):
            return ""
        for equation in self.table.document.forward:
            for node in walk(equation.rhs):
                if isinstance(node, Binary) and node.op == "*" and isinstance(node.left, Ref) and node.left.key == base:
                    said = f"{self._text(node.left)} @ {self._text(node.right)}"
                    return f"line {equation.line} multiplies {base[0]} entry by entry: did you mean  {said}  there?"
        return ""

    def wants(self, node: Expr, wanted: str) -> LanguageError:
        """An argument has the wrong type."""
        found = self.table.type_of(node)
        return self.source.error(
            "shapes do not fit", node.span, notes=[f"this is {found}{self._parts(node)}"], hint=f"expected {wanted}"
        )

    def one_number(self, node: Binary, ref: Expr) -> LanguageError:
        """A parameter comes out as one number beside `@`."""
        vectors = self.table.convention.vectors
        others = "columns" if vectors == "rows" else "rows"
        notes = [f"vectors are {vectors}: {self._text(node.left)} is {self.table.type_of(node.left)}"]
        hint = f"did you mean  {self._text(node.right)} @ {self._text(node.left)} ?  Or vectors are {others}:"
        told = f"{self._text(ref)} comes out as one number beside @"
        return self.source.error(told, node.sign, notes=notes, hint=f"{hint} say   vectors: {others}")

    def _operands(self, node: Binary, mends: Sequence[Mend]) -> LanguageError:
        left, right = self.table.type_of(node.left), self.table.type_of(node.right)
        notes = [f"left is {left}{self._parts(node.left)}, right is {right}{self._parts(node.right)}"]
        marks = [self._last_line(node.left, node.sign), node.right.span]
        return self._error(node.sign, notes, mends, marks)

    def _error(
        self, span: Span, notes: Sequence[str], mends: Sequence[Mend], marks: Sequence[Span], hint: str = ""
    ) -> LanguageError:
        """The error at `span`; its hint is the likeliest mend unless one is given."""
        said = hint or next((mend.said for mend in mends), "")
        error = self.source.error("shapes do not fit", span, notes=notes, hint=said, marks=marks)
        error.mends = list(dict.fromkeys(mends))
        return error

    def _last_line(self, left: Expr, sign: Span) -> Span:
        """The part of the left operand that stands on the operator's line."""
        span = self.source.span(left.span.start, left.span.stop)
        if span.line == sign.line:
            return span
        text = self.source.text[: left.span.stop]
        return self.source.span(max(left.span.start, text.rfind("\n") + 1), left.span.stop)

    def _parts(self, expr: Expr) -> str:
        """Where a shape comes from: the quantities that the expression is made of."""
        found: dict[str, str] = {}
        transposed = {id(node.operand) for node in walk(expr) if isinstance(node, Transpose)}
        for node in walk(expr):
            if isinstance(node, Transpose) and isinstance(node.operand, Ref):
                found[self._text(node)] = self._told(node, node.operand)
            elif isinstance(node, Ref) and id(node) not in transposed and node.key not in self.table.quantities.classes:
                found[str(node)] = self._told(node, node)
        told = [text for text in found.values() if text][:4]
        return f" ({'; '.join(told)})" if told else ""

    def _told(self, node: Expr, ref: Ref) -> str:
        origin = self.table.origins.get(ref.key, "")
        where = f", {origin}" if origin and not (ref.key[1] and origin.startswith("from line")) else ""
        return f"{self._text(node)} is {self.table.type_of(node)}{where}"

    # -- the mends ----------------------------------------------------------------------------------------------------
    def _mend_product(self, node: Binary, equation: Equation) -> list[Mend]:
        top = self._whole_chain(node, equation.rhs)
        wanted = self._wanted(top, equation)
        return self._mend_chain(top, wanted)

    def _mend_side(self, side: Expr, wanted: Shape | None) -> list[Mend]:
        while type(side).__name__ == "Sum":
            side = side.children[0]
        if wanted is None:
            return []
        if isinstance(side, Binary) and side.op == "@":
            return self._mend_chain(side, wanted)
        shape = self._shape(side)
        if shape and shape == wanted[::-1] and shape != wanted:
            said = f"{self._text(side)}.T"
            return [_mend(side, said, f"did you mean  {said} ?")]
        return []

    def _mend_chain(self, top: Expr, wanted: Shape | None) -> list[Mend]:
        """The factors of a product otherwise, so that the shapes fit: the few that change least, those first."""
        factors = self._factors(top)
        if factors is None:
            return []
        best: list[tuple[int, int, str, bool]] = []
        number = count()
        for order in permutations(range(len(factors))):
            moved = sum(place != at for place, at in enumerate(order))
            for choice in product(*(list(self._variants(factors[at])) for at in order)):
                cost = moved + sum(factor.cost for factor in choice)
                if not cost or (len(best) == MOST_MENDS and cost >= best[-1][0]):
                    continue
                shape = _chain_shape([factor.shape for factor in choice])
                if shape is not None and (wanted is None or shape == wanted):
                    best.append((cost, next(number), " @ ".join(factor.text for factor in choice), bool(moved)))
                    best = sorted(best)[:MOST_MENDS]
        reason = {True: "a product of matrices does not commute: ", False: ""}
        return [_mend(top, said, f"{reason[moved]}did you mean  {said} ?") for _, _, said, moved in best]

    def _variants(self, expr: Expr) -> Iterator[_Factor]:
        shape, text = self._shape(expr), self._text(expr)
        if shape is None:
            return
        yield _Factor(text, shape)
        if shape != (1, 1):
            if isinstance(expr, Transpose):
                yield _Factor(self._text(expr.operand), shape[::-1], 1)
            elif not (isinstance(expr, Call) and expr.function == "diag"):
                yield _Factor(text + ".T", shape[::-1], 1)
        if shape[0] > 1 and shape[1] == 1:
            inner = self.source.quote(expr.span) if isinstance(expr, Binary) else text
            yield _Factor(f"diag({inner})", (shape[0], shape[0]), 2)

    def _factors(self, top: Expr) -> list[Expr] | None:
        if not (isinstance(top, Binary) and top.op == "@"):
            return None
        factors: list[Expr] = []
        here: Expr = top
        while isinstance(here, Binary) and here.op == "@":
            factors.append(here.right)
            here = here.left
            if len(factors) > LONGEST_CHAIN:
                return None
        factors.append(here)
        return factors[::-1] if len(factors) <= LONGEST_CHAIN and all(self._shape(f) for f in factors) else None

    def _whole_chain(self, node: Binary, rhs: Expr) -> Binary:
        """The longest product, by @ alone, of which `node` is the beginning."""
        parents = {id(outer.left): outer for outer in walk(rhs) if isinstance(outer, Binary)}
        while (outer := parents.get(id(node))) is not None and outer.op == "@":
            node = outer
        return node

    def _wanted(self, top: Expr, equation: Equation) -> Shape | None:
        """The shape a product needs: that of the target when only sums and signs stand between."""
        here: list[Expr] = [equation.rhs]
        while here:
            node = here.pop()
            if node is top:
                return self.table.quantity(equation.target.key).shape
            if (isinstance(node, Binary) and node.op in "+-") or type(node).__name__ in ("Sum", "Unary"):
                here += node.children
        return None

    def _shape(self, expr: Expr) -> Shape | None:
        try:
            return self.table.type_of(expr).shape
        except KeyError:  # not typed yet: it stands to the right of the first misfit
            return self.table.probe(expr)

    def _text(self, expr: Expr) -> str:
        text = self.source.quote(expr.span)
        return f"({text})" if isinstance(expr, Binary) else text


def _mend(expr: Expr, text: str, said: str) -> Mend:
    return Mend(expr.span.start, expr.span.stop, text, said)


def _chain_shape(shapes: list[Shape]) -> Shape | None:
    rows, columns = shapes[0]
    for shape in shapes[1:]:
        if shape[0] != columns:
            return None
        columns = shape[1]
    return rows, columns
