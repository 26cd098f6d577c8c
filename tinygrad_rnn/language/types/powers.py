"""Where a power is the power of a matrix: A**k as a factor of `@` multiplies A with itself, elsewhere its entries.

Read off the form alone, so that a formula is read in one way whatever the sizes are. What is not square, or has an
exponent that is no whole number, is always taken entry by entry; what the values have to say about it stands in
`evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import add, mul, sub, truediv

from ..expressions import Binary, Call, Expr, Number, Sum, Time, Transpose, Unary, spine, walk
from ..syntax.source import Source

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": add,
    "-": sub,
    "*": mul,
    "/": truediv,
}


def is_number(expr: Expr) -> bool:
    """Whether it is made of numbers and times alone: 2, T-t, -1/2."""
    return all(isinstance(node, Number | Time | Unary | Binary) for node in walk(expr))


def check_divisor(node: Binary, source: Source) -> None:
    """Raises `LanguageError` for a divisor of numbers alone that is zero."""
    if node.op == "/" and constant(node.right) == 0:
        hint = "a number divided by zero is no number: no probe has a value here"
        raise source.error("this divides by zero", node.right.span, hint=hint)


def constant(expr: Expr) -> float | None:
    """The value of an expression of numbers alone, as 2 * 3 - 6; None for any other, and where it has none."""
    values: dict[int, float] = {}
    for node in walk(expr):
        parts = [values[id(child)] for child in node.children]
        try:
            if isinstance(node, Number):
                values[id(node)] = float(node.value)
            elif isinstance(node, Unary):
                values[id(node)] = -parts[0] if node.op == "-" else parts[0]
            elif isinstance(node, Binary) and node.op in _ARITHMETIC:
                values[id(node)] = _ARITHMETIC[node.op](*parts)
            else:
                return None
        except ArithmeticError:
            return None
    return values[id(expr)]


def contexts(operators: Sequence[Binary], factor: bool) -> list[tuple[bool, bool]]:
    """For each operator of a spine whether its left and its right operand are factors of a matrix product.

    `factor` says so of the whole chain. A sign, a sum and a numerical coefficient are looked through: in
    `(2 * A**2 + A) @ v` the power is a matrix's.
    """
    sides: list[tuple[bool, bool]] = []
    for node in reversed(operators):
        if node.op == "@":
            here = (True, True)
        elif node.op in "+-":
            here = (factor, factor)
        elif node.op == "*":
            here = (factor and is_number(node.right), factor and is_number(node.left))
        elif node.op == "/":
            here = (factor and is_number(node.right), False)
        else:
            here = (factor, False)
        sides.append(here)
        factor = here[0]
    return sides[::-1]


def looks_through(expr: Expr, factor: bool) -> bool:
    """Whether the parts of an expression that is no operator are factors of a matrix product, if it is one."""
    if isinstance(expr, Sum):
        return factor or expr.kind == "prod"
    return factor and (isinstance(expr, Unary | Transpose) or (isinstance(expr, Call) and expr.function == "transpose"))


def powers(expr: Expr) -> Iterator[tuple[Binary, bool]]:
    """Every power in an expression, and whether it is a factor of a matrix product."""
    stack: list[tuple[Expr, bool]] = [(expr, False)]
    while stack:
        node, factor = stack.pop()
        if not isinstance(node, Binary):
            inside = looks_through(node, factor)
            stack += [(child, inside) for child in node.children]
            continue
        first, operators = spine(node)
        sides = contexts(operators, factor)
        for at, operator in enumerate(operators):
            if operator.op == "**":
                yield operator, sides[at + 1][0] if at + 1 < len(operators) else factor
            stack.append((operator.right, sides[at][1]))
        stack.append((first, sides[0][0]))
