"""Expressions, equations and documents as canonical ASCII text that parses back to the same thing.

Names stay as the user spells them; operators, primes and superscripts take their ASCII form. LaTeX stands in `latex`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..expressions import (
    Binary,
    Bounds,
    Call,
    Concat,
    Document,
    Equation,
    Expr,
    Number,
    Ref,
    Size,
    Sum,
    Time,
    Transpose,
    Unary,
    spine,
)
from ..syntax.indices import MAIN, Condition

#: how tightly each operator binds; a sign stands between products and powers, an atom above all
LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "**": 4}
SIGN, ATOM = 3, 5
_PRODUCTS = ("*", "/", "@")


def text(node: Expr | Equation | Condition | Document) -> str:
    """Canonical text.

    >>> from tinygrad_rnn.language import parse
    >>> text(parse("h[t] = tanh(Wᵀ·h[t−1]) ⊙ x[t]²  for t>1").forward[0])
    'h[t] = tanh(W.T @ h[t-1]) * x[t]**2    for t > 1'
    """
    if isinstance(node, Document):
        return _document(node)
    if isinstance(node, Equation):
        when = f"    for {' and '.join(map(_condition, node.when))}" if node.when else ""
        return f"{node.target} = {_expr(node.rhs)}{when}"
    return _condition(node) if isinstance(node, Condition) else _expr(node)


def level(expr: Expr) -> int:
    """How tightly the outermost operator of an expression binds."""
    if isinstance(expr, Binary):
        return LEVELS[expr.op]
    return SIGN if isinstance(expr, Unary) else ATOM


def _expr(expr: Expr) -> str:
    match expr:
        case Number():
            return str(expr.value)
        case Time():
            return str(expr.index)
        case Ref():
            return str(expr)
        case Unary():
            return expr.op + _within(expr.operand, SIGN)
        case Binary():
            return _chain(expr)
        case Transpose():
            return _within(expr.operand, ATOM) + ".T"
        case Call():
            return f"{expr.function}({_listed(expr.args)})"
        case Sum():
            return f"{expr.kind}({_condition(expr.over)}, {_expr(expr.body)})"
        case Concat():
            return "[" + "; ".join(_expr(part) for part in expr.parts) + "]"
    raise TypeError(f"cannot print {expr!r}")  # pragma: no cover


def _chain(expr: Binary) -> str:
    first, operators = spine(expr)
    said, binds = _expr(first), level(first)
    before = ""
    for node in operators:
        here = LEVELS[node.op]
        power = node.op == "**"
        turned = power and isinstance(node.left, Transpose)  # (W.T)**2: a power of the transpose, said so
        if binds < here + power or mixed(before, node.op) or turned:
            said = f"({said})"
        before = node.op
        right = _within(node.right, SIGN if power else here + 1)
        said = f"{said}**{right}" if power else f"{said} {node.op} {right}"
        binds = here
    return said


def mixed(before: str, op: str) -> bool:
    """Whether two kinds of product meet: A @ b * c is read by nobody at once, so each kind gets its own brackets."""
    return before in _PRODUCTS and op in _PRODUCTS and (before == "@") != (op == "@")


def _within(expr: Expr, least: int) -> str:
    said = _expr(expr)
    return said if level(expr) >= least else f"({said})"


def _listed(parts: Iterable[Expr]) -> str:
    return ", ".join(_expr(part) for part in parts)


def _condition(condition: Condition) -> str:
    if condition.descending:
        high, low, *others = condition.tests
        said = [
            f"{condition.variable} = {high.bound}..{low.bound}",
            *(f"{condition.variable} {test}" for test in others),
        ]
        return " and ".join(said)
    if condition.interval is not None:
        low, high = condition.interval
        return f"{low.bound} {low.relation} {condition.variable} {high}"
    return " and ".join(f"{condition.variable} {test}" for test in condition.tests) or condition.variable


def _document(document: Document) -> str:
    headers = [("model", document.model), ("source", document.source_note)]
    headers.append(("sizes", ", ".join(f"{name} = {_size(size)}" for name, size in document.sizes.items())))
    indices = {} if document.indices == MAIN else document.indices
    headers.append(("indices", ", ".join(f"{name} = {within}" for name, within in indices.items())))
    headers += [("inputs", ", ".join(document.inputs)), ("fixed", ", ".join(document.fixed))]
    headers.append(("bounds", ", ".join(_bounds(name, bounds) for name, bounds in document.bounds.items())))
    headers += [("vectors", document.vectors), ("batch", document.batch)]
    headers.append(("labels", ", ".join(f"{name} {label.kind}" for name, label in document.labels.items())))
    headers.append(("given", ", ".join(document.given)))
    lines = [f"{key}: {value}" for key, value in headers if value]
    lines += ["", *(text(equation) for equation in document.forward)]
    stated = [*(text(equation) for equation in document.gradients), *(left.text for left in document.no_quantities)]
    if stated:
        lines += ["", "gradients:", *stated]
    return "\n".join(lines).lstrip("\n") + "\n"


def _size(size: Size) -> str:
    return str(size.rows) if size.columns is None else f"{size.rows} x {size.columns}"


def _bounds(name: str, bounds: Bounds) -> str:
    above, below = "<" if bounds.open_high else "<=", "<" if bounds.open_low else "<="
    if bounds.low is None:
        return f"{name} {above} {bounds.high}"
    if bounds.high is None:
        return f"{name} {below.replace('<', '>')} {bounds.low}"
    return f"{bounds.low} {below} {name} {above} {bounds.high}"
