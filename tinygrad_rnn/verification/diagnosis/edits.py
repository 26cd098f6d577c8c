"""Small changes to a term, each one a mistake undone: another index, a transpose, a sign, another factor.

Given what the user wrote, `edits` lists what could have been meant, likeliest first. Whether an edit explains anything
is for `diagnose` to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...language.affine import Affine, affine
from ...language.expressions import Binary, Call, Expr, Number, Ref, Sum, Transpose, Unary, walk
from ...language.rewriting import factors_of, map_indices, negated, product, transposed, with_children
from ...language.syntax.indices import Range
from ...language.syntax.source import NOWHERE
from ...language.types.powers import is_number

#: terms with more parts than this are not searched
LARGEST = 60
#: a factor that lacks inside of a function is tried so much later than one beside it
INSIDE = 50

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


@dataclass(frozen=True)
class Setting:
    """Where a term stands: factors to replace by or to add, the index variables that run there and over what, whether
    its file writes `diag(v) @ dh` rather than `dh * v`, and which names are gradients.
    """

    pool: Sequence[Expr] = ()
    running: Mapping[str, Range] = field(default_factory=dict)
    diag: bool = True
    gradients: frozenset[str] = frozenset()

    def is_gradient(self, expr: Expr) -> bool:
        """Whether an expression is a gradient by its name."""
        return isinstance(expr, Ref) and expr.name in self.gradients


def edits(expr: Expr, setting: Setting) -> list[Edit]:
    """Every small change to `expr`, likeliest first."""
    if sum(1 for _ in walk(expr)) > LARGEST:
        return []
    turned = [] if isinstance(expr, Unary) else [Edit(negated(expr), SIGN, expr, negated(expr), 30)]
    changes = [*_everywhere(expr, setting), *_all_indices(expr, setting), *turned]
    return sorted(changes, key=lambda edit: edit.rank)


def _all_indices(expr: Expr, setting: Setting) -> Iterator[Edit]:
    """The whole term at another step."""
    refs = [node for node in walk(expr) if isinstance(node, Ref)]
    for variable in dict.fromkeys(name for ref in refs for index in ref.indices for name in index.running):
        for by in (1, -1, 2, -2):
            moved = _later(expr, variable, by)
            if moved != expr:
                yield Edit(moved, WRONG_STEP, expr, moved, 12 + abs(by))
    for variable, within in setting.running.items():
        for by in (0, 1):
            moved = _from_the_end(expr, variable, within, by)
            if moved != expr:
                yield Edit(moved, WRONG_STEP, expr, moved, 14 + by)


def _later(expr: Expr, variable: str, by: int) -> Expr:
    """Every quantity that runs with a variable so many steps later."""
    return map_indices(expr, lambda index: index.moved(by) if index.variable == variable else index)


def _from_the_end(expr: Expr, variable: str, within: Range, by: int) -> Expr:
    """`h[T]` as `h[t+by]`, everywhere."""

    def moved(index: Affine) -> Affine:
        at_end = index.terms == within.last.terms
        return affine(variable, index.constant - within.last.constant + by) if at_end else index

    return map_indices(expr, moved)


def shifted(ref: Ref, position: int, by: int) -> Ref:
    """A quantity so many steps later, in one of its indices."""
    indices = ref.indices
    return ref.moved_to((*indices[:position], indices[position].moved(by), *indices[position + 1 :]))


def _everywhere(expr: Expr, setting: Setting, beside: str = "") -> Iterator[Edit]:
    """Edits of this node, and of every node below it in place; `beside` is an operator it stands beside."""
    yield from _here(expr, setting, beside)
    factors, ops = factors_of(expr)
    if len(factors) > 1:
        for i, factor in enumerate(factors):
            for edit in _everywhere(factor, setting, ops[max(i - 1, 0)]):
                yield replace(edit, expr=_with_factor(factors, ops, i, edit.expr))
        return
    one_less = isinstance(expr, Binary) and _one_less(expr)
    function = isinstance(expr, Call) and expr.function != "diag"
    for i, child in enumerate(expr.children):
        for edit in _everywhere(child, setting):
            if one_less and i == 1 and _one_less(edit.expr):
                continue  # 1 - (1 - v): the whole of it should be v, which is another edit
            lacks = edit.kind == FACTOR and edit.written is None
            if lacks and i == 1 and isinstance(expr, Binary) and expr.op == "**":
                continue  # nobody forgets a factor in an exponent
            if lacks and function:  # (1 - z) * (1 + z) under relu' for a second relu': true, and not what is lacking
                edit = replace(edit, rank=edit.rank + INSIDE)
            children = [*expr.children[:i], edit.expr, *expr.children[i + 1 :]]
            yield replace(edit, expr=with_children(expr, children))


def _one_less(expr: Expr) -> bool:
    """Whether it is a number less something, as 1 - v."""
    return isinstance(expr, Binary) and expr.op == "-" and isinstance(expr.left, Number)


def _with_factor(factors: Sequence[Expr], ops: Sequence[str], position: int, factor: Expr) -> Expr:
    """A product with another factor at one place, without brackets where they say nothing: `A @ (B @ C)`."""
    inner, inner_ops = factors_of(factor)
    before = ops[position - 1] if position else "*"
    if position and not (before in "*@" and set(inner_ops) <= {before}):
        inner, inner_ops = [factor], []
    rest = factors[position + 1 :]
    return product([*factors[:position], *inner, *rest], [*ops[:position], *inner_ops, *ops[position:]])


def _here(expr: Expr, setting: Setting, beside: str) -> Iterator[Edit]:
    if isinstance(expr, Ref) and expr.index is not None:
        yield from _other_steps(expr, setting)
    if isinstance(expr, Ref | Transpose) or (isinstance(expr, Call) and expr.function != "diag"):
        yield Edit(transposed(expr), TRANSPOSE, expr, transposed(expr), 20)
    if isinstance(expr, Binary) and expr.op in "+-":
        yield from _sums(expr)
    if isinstance(expr, Sum):
        yield from _other_bounds(expr)
    if isinstance(expr, Binary) and expr.op == "**" and is_number(expr.right) and not isinstance(expr.right, Number):
        yield from _other_exponents(expr)
    factors, ops = factors_of(expr)
    if len(factors) > 1:
        yield from _products(expr, factors, ops, setting)
    for i, factor in enumerate(setting.pool):
        if factor != expr and setting.is_gradient(factor) == setting.is_gradient(expr):
            alike = _one_less(expr) and _one_less(factor)  # 1 - h for 1 - h**2
            yield Edit(factor, FACTOR, expr, factor, (47 if alike else 60) + i)
    if not isinstance(expr, Number):
        bias = 0 if setting.is_gradient(expr) else 1
        for i, factor in enumerate(factor for factor in setting.pool if not setting.is_gradient(factor)):
            scaled = [_diag(factor, expr), Binary(NOWHERE, "*", expr, factor, NOWHERE)]
            if isinstance(factor, Number):
                scaled = [Binary(NOWHERE, "*", factor, expr, NOWHERE)]
            elif beside == "*" or not (setting.diag or beside):
                scaled.reverse()
            for changed in scaled:
                yield Edit(changed, FACTOR, None, factor, 50 + i + bias)


def _diag(factor: Expr, expr: Expr) -> Expr:
    inner = factor if isinstance(factor, Call) and factor.function == "diag" else Call(NOWHERE, "diag", (factor,))
    return Binary(NOWHERE, "@", inner, expr, NOWHERE)


def _other_steps(ref: Ref, setting: Setting) -> Iterator[Edit]:
    assert ref.index is not None
    for position in range(len(ref.indices)):
        for by in (1, -1, 2, -2, 3, -3):
            moved = shifted(ref, position, by)
            yield Edit(moved, WRONG_STEP, ref, moved, 9 + abs(by))
    if len(ref.indices) == 2:  # h[i, j-1] for h[i-1, j]
        a, b = ref.indices
        crossed = ref.moved_to((a.moved(b.constant - a.constant), b.moved(a.constant - b.constant)))
        yield Edit(crossed, WRONG_STEP, ref, crossed, 11)
    if not ref.more:
        for variable, within in setting.running.items():
            for index, other in ((affine(variable), within.last), (within.last, affine(variable))):
                if ref.index.terms == index.terms and not within.last.running:
                    moved = ref.moved_to((other,))
                    yield Edit(moved, WRONG_STEP, ref, moved, 13)


def _other_bounds(expr: Sum) -> Iterator[Edit]:
    """A product over time the other way round; a sum that begins or ends one step earlier or later."""
    over = expr.over
    if expr.kind == "prod" and len(over.tests) > 1 and not any(test.modulus for test in over.tests[:2]):
        tests = (over.tests[1], over.tests[0], *over.tests[2:])
        turned = replace(expr, over=replace(over, tests=tests, descending=not over.descending))
        yield Edit(turned, ORDER, expr, turned, 15)
    for position, test in enumerate(over.tests):
        for by in (1, -1) if not test.modulus else ():
            moved = (*over.tests[:position], replace(test, bound=test.bound.moved(by)), *over.tests[position + 1 :])
            other = replace(expr, over=replace(over, tests=moved))
            yield Edit(other, WRONG_SUM, expr, other, 16)


def _other_exponents(expr: Binary) -> Iterator[Edit]:
    """A power of a step, one more or less: A**(T-t) for A**(T-t+1)."""
    inner, offset = expr.right, 0
    if isinstance(inner, Binary) and inner.op in "+-" and isinstance(inner.right, Number):
        offset = int(inner.right.value) if inner.op == "+" else -int(inner.right.value)
        inner = inner.left
    for more in (offset + 1, offset - 1):
        sign, size = "+" if more > 0 else "-", Number(NOWHERE, abs(more))
        exponent = Binary(NOWHERE, sign, inner, size, NOWHERE) if more else inner
        other = Binary(expr.span, "**", expr.left, exponent, expr.sign)
        yield Edit(other, WRONG_STEP, expr, other, 12)


def _sums(expr: Binary) -> Iterator[Edit]:
    other = Binary(expr.span, "-" if expr.op == "+" else "+", expr.left, expr.right, expr.sign)
    yield Edit(other, SIGN, expr, other, 31)
    if expr.op == "-":
        swapped = Binary(expr.span, "-", expr.right, expr.left, expr.sign)
        yield Edit(swapped, SIGN, expr, swapped, 32 if isinstance(expr.left, Number) else 29)


def _products(expr: Expr, factors: list[Expr], ops: list[str], setting: Setting) -> Iterator[Edit]:
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
        if isinstance(factor, Unary) and factor.op == "-":  # its sign stays
            yield Edit(negated(product(rest, left)), FACTOR, factor.operand, None, 45)
        yield Edit(product(rest, left), FACTOR, factor, None, 45)
    yield from _pairs(factors, ops, setting)
    if len(set(ops)) > 1:
        for i in range(1, len(factors) - 1):
            grouped = product([*factors[:i], product(factors[i:], ops[i:])], ops[:i])
            yield Edit(grouped, PARENTHESES, expr, grouped, 41)


def _pairs(factors: list[Expr], ops: list[str], setting: Setting) -> Iterator[Edit]:
    """Two neighbouring factors dropped, or replaced by one."""
    for i in range(1, len(factors) - 1):
        if ops[i - 1] == ops[i] == "*":
            both = product(factors[i : i + 2], ["*"])
            dropped = product([*factors[:i], *factors[i + 2 :]], [*ops[: i - 1], *ops[i + 1 :]])
            yield Edit(dropped, FACTOR, both, None, 46)
            for k, factor in enumerate(setting.pool):
                if not setting.is_gradient(factor):
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


def known_forms(expr: Expr, gradients: frozenset[str]) -> list[Expr]:
    """Factors that stand in derivatives of what a term mentions: 1 - h**2, h * (1 - h), …"""
    forms: list[Expr] = []
    for ref in dict.fromkeys(node for node in walk(expr) if isinstance(node, Ref) and node.index is not None):
        if ref.name in gradients:
            continue
        one = Number(NOWHERE, 1)
        square = Binary(NOWHERE, "**", ref, Number(NOWHERE, 2), NOWHERE)
        rest = Binary(NOWHERE, "-", one, ref, NOWHERE)
        slope = Call(NOWHERE, "tanh", (ref,))
        forms += [
            Binary(NOWHERE, "-", one, square, NOWHERE), Binary(NOWHERE, "*", ref, rest, NOWHERE), rest, ref,
            Binary(NOWHERE, "-", one, Binary(NOWHERE, "**", slope, Number(NOWHERE, 2), NOWHERE), NOWHERE), slope,
        ]  # fmt: skip
    return forms
