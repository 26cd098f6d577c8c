"""Small changes to a term, each one a mistake undone: another index, a transpose, a sign, another factor.

Given what the user wrote, `edits` lists what could have been meant, likeliest first. Whether an edit explains anything
is for `diagnose` to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..language.affine import affine
from ..language.expressions import Binary, Call, Expr, Number, Ref, Stack, Sum, Transpose, Unary, spine, walk
from ..language.source import NOWHERE
from .terms import transposed

#: terms with more parts than this are not searched
LARGEST = 60

WRONG_STEP, TRANSPOSE, SIGN, ORDER, FACTOR, PARENTHESES, WRONG_SUM = (
    "wrong step", "transpose", "sign", "order", "wrong factor", "parentheses", "wrong sum",
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """One change: the edited expression, the kind of mistake it undoes, what was written and what it should be."""

    expr: Expr
    kind: str
    written: Expr | None
    meant: Expr | None
    rank: int


def edits(expr: Expr, pool: Sequence[Expr]) -> list[Edit]:
    """Every small change to `expr`, likeliest first; `pool` holds factors to replace by or to add."""
    if sum(1 for _ in walk(expr)) > LARGEST:
        return []
    found = (
        list(_everywhere(expr, pool))
        + list(_all_indices(expr))
        + [Edit(_negated(expr), SIGN, expr, _negated(expr), 30)]
    )
    return sorted(found, key=lambda edit: edit.rank)


def _negated(expr: Expr) -> Expr:
    return expr.operand if isinstance(expr, Unary) and expr.op == "-" else Unary(NOWHERE, "-", expr)


def _all_indices(expr: Expr) -> Iterator[Edit]:
    """The whole term at another step."""
    refs = [node for node in walk(expr) if isinstance(node, Ref)]
    variables = dict.fromkeys(str(i.variable) for ref in refs for i in ref.indices if not i.fixed)
    for variable in variables:
        for by in (1, -1, 2, -2):
            moved = _map_refs(expr, variable, by)
            if moved != expr:
                yield Edit(moved, WRONG_STEP, expr, moved, 12 + abs(by))
    for by in (0, 1):
        moved = _from_the_end(expr, by)
        if moved != expr:
            yield Edit(moved, WRONG_STEP, expr, moved, 14 + by)


def _map_refs(expr: Expr, variable: str, by: int) -> Expr:
    if isinstance(expr, Ref):
        moved = tuple(i.moved(by) if i.variable == variable else i for i in expr.indices)
        return expr.moved_to(moved) if moved != expr.indices else expr
    return with_children(expr, [_map_refs(child, variable, by) for child in expr.children])


def _from_the_end(expr: Expr, by: int) -> Expr:
    """`h[T]` as `h[t+by]`, everywhere."""
    if isinstance(expr, Ref):
        return (
            Ref(expr.span, expr.name, affine("t", expr.index.constant + by))
            if expr.index and expr.index.variable == "T" and not expr.more
            else expr
        )
    return with_children(expr, [_from_the_end(child, by) for child in expr.children])


def shifted(ref: Ref, place: int, by: int) -> Ref:
    """A quantity so many steps later, in one of its indices."""
    indices = ref.indices
    return ref.moved_to((*indices[:place], indices[place].moved(by), *indices[place + 1 :]))


def with_children(expr: Expr, children: Sequence[Expr]) -> Expr:
    """The same node around other children."""
    if list(children) == list(expr.children) and all(a is b for a, b in zip(children, expr.children, strict=True)):
        return expr
    match expr:
        case Binary():
            return Binary(expr.span, expr.op, children[0], children[1], expr.sign)
        case Unary():
            return Unary(expr.span, expr.op, children[0])
        case Call():
            return Call(expr.span, expr.function, tuple(children))
        case Transpose():
            return Transpose(expr.span, children[0])
        case Sum():
            return Sum(expr.span, expr.kind, expr.over, children[0])
        case Stack():
            return Stack(expr.span, tuple(children))
    return expr


def _everywhere(expr: Expr, pool: Sequence[Expr]) -> Iterator[Edit]:
    """Edits of this node, and of every node below it in place."""
    yield from _here(expr, pool)
    factors, ops = factors_of(expr)
    if len(factors) > 1:
        for i, factor in enumerate(factors):
            for edit in _everywhere(factor, pool):
                yield Edit(
                    product([*factors[:i], edit.expr, *factors[i + 1 :]], ops),
                    edit.kind,
                    edit.written,
                    edit.meant,
                    edit.rank,
                )
        return
    for i, child in enumerate(expr.children):
        for edit in _everywhere(child, pool):
            children = [*expr.children[:i], edit.expr, *expr.children[i + 1 :]]
            yield Edit(with_children(expr, children), edit.kind, edit.written, edit.meant, edit.rank)


def factors_of(expr: Expr) -> tuple[list[Expr], list[str]]:
    """The factors of a product and the operators between them; the expression itself if it is none."""
    first, operators = spine(expr)
    at = len(operators)
    while at and operators[at - 1].op in "*/@":
        at -= 1
    if at == len(operators):
        return [expr], []
    head = operators[at - 1] if at else first
    return [head, *[o.right for o in operators[at:]]], [o.op for o in operators[at:]]


def product(factors: Sequence[Expr], ops: Sequence[str]) -> Expr:
    """A product from left to right."""
    result = factors[0]
    for op, factor in zip(ops, factors[1:], strict=True):
        result = Binary(NOWHERE, op, result, factor, NOWHERE)
    return result


def _here(expr: Expr, pool: Sequence[Expr]) -> Iterator[Edit]:
    if isinstance(expr, Ref) and expr.index is not None:
        yield from _other_steps(expr)
    if isinstance(expr, Ref | Transpose | Call):
        yield Edit(transposed(expr), TRANSPOSE, expr, transposed(expr), 20)
    if isinstance(expr, Binary) and expr.op in "+-":
        yield from _sums(expr)
    factors, ops = factors_of(expr)
    if len(factors) > 1:
        yield from _products(expr, factors, ops, pool)
    factors_only = [factor for factor in pool if not _is_gradient(factor)]
    for i, factor in enumerate(pool):
        if factor != expr and _is_gradient(factor) == _is_gradient(expr):
            yield Edit(factor, FACTOR, expr, factor, 60 + i)
    if not isinstance(expr, Number):
        for i, factor in enumerate(factors_only):
            for scaled in (_diag(factor, expr), Binary(NOWHERE, "*", expr, factor, NOWHERE)):
                bias = 0 if isinstance(expr, Ref) and expr.name.startswith("d") else 1
                yield Edit(scaled, FACTOR, None, factor, 50 + i + bias)


def _is_gradient(expr: Expr) -> bool:
    return isinstance(expr, Ref) and expr.name.startswith("d")


def _diag(factor: Expr, expr: Expr) -> Expr:
    inner = factor if isinstance(factor, Call) and factor.function == "diag" else Call(NOWHERE, "diag", (factor,))
    return Binary(NOWHERE, "@", inner, expr, NOWHERE)


def _other_steps(ref: Ref) -> Iterator[Edit]:
    assert ref.index is not None
    for place in range(len(ref.indices)):
        for by in (1, -1, 2, -2, 3, -3):
            moved = shifted(ref, place, by)
            yield Edit(moved, WRONG_STEP, ref, moved, 9 + abs(by))
    if len(ref.indices) == 2:  # h[i, j-1] for h[i-1, j]
        a, b = ref.indices
        crossed = ref.moved_to((a.moved(b.constant - a.constant), b.moved(a.constant - b.constant)))
        yield Edit(crossed, WRONG_STEP, ref, crossed, 11)
    if ref.index.variable in ("t", "T") and not ref.more:
        other = Ref(ref.span, ref.name, affine("T" if ref.index.variable == "t" else "t", 0))
        yield Edit(other, WRONG_STEP, ref, other, 13)


def _sums(expr: Binary) -> Iterator[Edit]:
    other = Binary(expr.span, "-" if expr.op == "+" else "+", expr.left, expr.right, expr.sign)
    yield Edit(other, SIGN, expr, other, 31)
    if expr.op == "-":
        swapped = Binary(expr.span, "-", expr.right, expr.left, expr.sign)
        yield Edit(swapped, SIGN, expr, swapped, 32 if isinstance(expr.left, Number) else 29)


def _products(expr: Expr, factors: list[Expr], ops: list[str], pool: Sequence[Expr]) -> Iterator[Edit]:
    """Factors in another order, one factor less."""
    for i in range(len(factors) - 1):
        if ops[i] == "@":
            swapped = [*factors[:i], factors[i + 1], factors[i], *factors[i + 2 :]]
            yield Edit(product(swapped, ops), ORDER, expr, product(swapped, ops), 40)
    if set(ops) == {"@"}:
        turned = product([transposed(factor) for factor in reversed(factors)], ops)
        yield Edit(turned, TRANSPOSE, expr, turned, 21)
        if len(factors) == 2:
            both = product([transposed(factors[0]), transposed(factors[1])], ops)
            yield Edit(both, TRANSPOSE, expr, both, 22)
    for i, factor in enumerate(factors):
        rest = [*factors[:i], *factors[i + 1 :]]
        left = ops[1:] if i == 0 else [*ops[: i - 1], *ops[i:]]
        if i == 0 and ops[0] == "/":
            continue
        yield Edit(product(rest, left), FACTOR, factor, None, 45)
    yield from _pairs(factors, ops, pool)
    if len(set(ops)) > 1:
        for i in range(1, len(factors) - 1):
            grouped = product([*factors[:i], product(factors[i:], ops[i:])], ops[:i])
            yield Edit(grouped, PARENTHESES, expr, grouped, 41)


def _pairs(factors: list[Expr], ops: list[str], pool: Sequence[Expr]) -> Iterator[Edit]:
    """Two neighbouring factors dropped, or replaced by one."""
    for i in range(1, len(factors) - 1):
        if ops[i - 1] == ops[i] == "*":
            both = product(factors[i : i + 2], ["*"])
            yield Edit(
                product([*factors[:i], *factors[i + 2 :]], [*ops[: i - 1], *ops[i + 1 :]]), FACTOR, both, None, 46
            )
            for k, factor in enumerate(pool):
                if not _is_gradient(factor):
                    replaced = [*factors[:i], factor, *factors[i + 2 :]]
                    yield Edit(product(replaced, [*ops[:i], *ops[i + 1 :]]), FACTOR, both, factor, 70 + k)


def parenthesised(first: Expr, sign: int, second: Expr) -> Iterator[Edit]:
    """`a * x - y * b` read as `a * (x - y) * b`: parentheses that got lost between two terms."""
    left, left_ops = factors_of(first)
    right, right_ops = factors_of(second)
    for i in range(len(left)):
        for k in range(1, len(right) + 1):
            inner = Binary(
                NOWHERE,
                "+" if sign > 0 else "-",
                product(left[i:], left_ops[i:]),
                product(right[:k], right_ops[: k - 1]),
                NOWHERE,
            )
            whole = product([*left[:i], inner, *right[k:]], [*left_ops[:i], *right_ops[k - 1 :]])
            yield Edit(whole, PARENTHESES, None, inner, 80)


def known_forms(expr: Expr) -> list[Expr]:
    """Factors that stand in derivatives of what a term mentions: 1 - h**2, h * (1 - h), …"""
    found: list[Expr] = []
    for ref in dict.fromkeys(node for node in walk(expr) if isinstance(node, Ref) and node.index is not None):
        if ref.name.startswith("d"):
            continue
        one = Number(NOWHERE, 1)
        square = Binary(NOWHERE, "**", ref, Number(NOWHERE, 2), NOWHERE)
        rest = Binary(NOWHERE, "-", one, ref, NOWHERE)
        slope = Call(NOWHERE, "tanh", (ref,))
        found += [
            Binary(NOWHERE, "-", one, square, NOWHERE), Binary(NOWHERE, "*", ref, rest, NOWHERE), rest, ref,
            Binary(NOWHERE, "-", one, Binary(NOWHERE, "**", slope, Number(NOWHERE, 2), NOWHERE), NOWHERE), slope,
        ]  # fmt: skip
    return found
