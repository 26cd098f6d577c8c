"""One walk and one rewriting of expressions: products, additive terms, references, indices, children replaced.

What an expression is stands in `expressions`; what a rewriting is good for (a derivative, a proof, a correction) is the
business of whoever asks. Every function returns new expressions and leaves its arguments as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .affine import Affine, affine
from .expressions import Binary, Call, Concat, Expr, Number, Ref, Sum, Time, Transpose, Unary, spine, walk
from .syntax.indices import Comparison, Condition, Range
from .syntax.source import NOWHERE

#: an additive term: +1 or -1, and what is added or subtracted
Signed = tuple[int, Expr]


def with_children(expr: Expr, children: Sequence[Expr]) -> Expr:
    """The same node around other children; the node itself if they are the ones it has."""
    if all(new is old for new, old in zip(children, expr.children, strict=True)):
        return expr
    match expr:
        case Binary():
            return replace(expr, left=children[0], right=children[1])
        case Unary() | Transpose():
            return replace(expr, operand=children[0])
        case Call():
            return replace(expr, args=tuple(children))
        case Sum():
            return replace(expr, body=children[0])
        case Concat():
            return replace(expr, parts=tuple(children))
    return expr


def mapped(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with `change` applied to every node, children before parents; without recursion.

    >>> from tinygrad_rnn.language import parse
    >>> from tinygrad_rnn.language.text.printer import text
    >>> rhs = parse("h[t] = W @ x[t] + W @ y[t]").forward[0].rhs
    >>> text(mapped(rhs, lambda node: Ref(node.span, "V") if isinstance(node, Ref) and node.name == "W" else node))
    'V @ x[t] + V @ y[t]'
    """
    done: list[Expr] = []
    for node in walk(expr):
        count = len(node.children)
        children = done[len(done) - count :]
        del done[len(done) - count :]
        done.append(change(with_children(node, children)))
    return done[0]


def map_refs(expr: Expr, change: Callable[[Ref], Expr]) -> Expr:
    """The expression with every quantity it reads replaced by what `change` makes of it."""
    return mapped(expr, lambda node: change(node) if isinstance(node, Ref) else node)


def map_indices(expr: Expr, change: Callable[[Affine], Affine]) -> Expr:
    """The expression with every index of the quantities it reads replaced by what `change` makes of it.

    >>> from tinygrad_rnn.language import parse
    >>> from tinygrad_rnn.language.text.printer import text
    >>> text(map_indices(parse("q[t] = W @ h[t-1] * z[T]").forward[0].rhs, lambda index: index.moved(1)))
    '(W @ h[t]) * z[T+1]'
    """
    return map_refs(expr, lambda ref: ref.moved_to(tuple(map(change, ref.indices))) if ref.indices else ref)


def names(expr: Expr) -> frozenset[str]:
    """The quantities an expression reads."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, Ref))


# -- products and sums ------------------------------------------------------------------------------------------------
def factors_of(expr: Expr) -> tuple[list[Expr], list[str]]:
    """The factors of a product and the operators between them; the expression itself if it is none."""
    first, operators = spine(expr)
    at = len(operators)
    while at and operators[at - 1].op in "*/@":
        at -= 1
    if at == len(operators):
        return [expr], []
    head = operators[at - 1] if at else first
    return [head, *[node.right for node in operators[at:]]], [node.op for node in operators[at:]]


def product(factors: Sequence[Expr], ops: Sequence[str] | str) -> Expr:
    """A product from left to right; one operator stands for all."""
    result = factors[0]
    signs = [ops] * (len(factors) - 1) if isinstance(ops, str) else ops
    for op, factor in zip(signs, factors[1:], strict=True):
        result = Binary(NOWHERE, op, result, factor, NOWHERE)
    return result


def addends(expr: Expr) -> list[Signed]:
    """The additive terms of an expression from left to right, signs taken out of brackets."""
    found: list[Signed] = []
    stack: list[Signed] = [(1, expr)]
    while stack:
        sign, node = stack.pop()
        if isinstance(node, Unary):
            stack.append((-sign if node.op == "-" else sign, node.operand))
        elif isinstance(node, Binary) and node.op in "+-":
            stack += [(-sign if node.op == "-" else sign, node.right), (sign, node.left)]
        else:
            found.append((sign, node))
    return found


def addends_as_written(expr: Expr) -> list[tuple[str, Expr]]:
    """The operands of the outermost sums and differences, each with the operator before it ("" for the first); no
    bracket is opened."""
    first, operators = spine(expr)
    last = max((i for i, node in enumerate(operators) if node.op not in ("+", "-")), default=-1)
    head = first if last < 0 else operators[last]
    return [("", head), *((node.op, node.right) for node in operators[last + 1 :])]


def total(terms: Iterable[Signed]) -> Expr:
    """The sum of signed terms; 0 for none.

    >>> from tinygrad_rnn.language import parse
    >>> from tinygrad_rnn.language.text.printer import text
    >>> text(total(addends(parse("h = a - (b - c)").forward[0].rhs)))
    'a - b + c'
    """
    result: Expr | None = None
    for sign, term in terms:
        if result is None:
            result = term if sign > 0 else negated(term)
        else:
            result = Binary(NOWHERE, "+" if sign > 0 else "-", result, term, NOWHERE)
    return Number(NOWHERE, 0) if result is None else result


def negated(expr: Expr) -> Expr:
    """The expression with the other sign, without writing two signs."""
    return expr.operand if isinstance(expr, Unary) and expr.op == "-" else Unary(NOWHERE, "-", expr)


def transposed(expr: Expr) -> Expr:
    """The transpose, undone where there was one."""
    return expr.operand if isinstance(expr, Transpose) else Transpose(NOWHERE, expr)


# -- indices ----------------------------------------------------------------------------------------------------------
def free_variables(expr: Expr) -> frozenset[str]:
    """The index variables and lengths an expression mentions, without those that its own sums bind."""
    return frozenset(_free(expr))


def _free(expr: Expr) -> Iterator[str]:
    stack: list[tuple[Expr, frozenset[str]]] = [(expr, frozenset())]
    while stack:
        node, bound = stack.pop()
        indices: list[Affine] = []
        if isinstance(node, Ref):
            indices = list(node.indices)
        elif isinstance(node, Time):
            indices = [node.index]
        elif isinstance(node, Sum):
            indices = _bounds(node.over)
        yield from (name for index in indices for name in index.variables if name not in bound)
        inner = bound | {node.variable} if isinstance(node, Sum) else bound
        stack += [(child, inner) for child in node.children]


def _bounds(over: Condition) -> list[Affine]:
    return [over.within.first, over.within.last, *(test.bound for test in over.tests)]


def substituted(expr: Expr, values: Mapping[str, Affine]) -> Expr:
    """The expression with affine indices in the place of free index variables (or lengths), all at once.

    A variable that a sum binds is renamed where a value mentions it, so nothing is captured.

    >>> from tinygrad_rnn.language import parse
    >>> from tinygrad_rnn.language.text.printer import text
    >>> rhs = parse("h[t] = sum(k < t, x[k] * y[t-1])").forward[0].rhs
    >>> text(substituted(rhs, {"t": affine("k", 1)}))
    'sum(k_1 < k+1, x[k_1] * y[k])'
    """
    if not values:
        return expr
    match expr:
        case Ref() if expr.index is not None:
            return expr.moved_to(tuple(index.substituted(values) for index in expr.indices))
        case Time():
            return Time(expr.span, expr.index.substituted(values))
        case Sum():
            return _sum_substituted(expr, values)
        case Binary():
            first, operators = spine(expr)
            result = substituted(first, values)
            for node in operators:
                result = Binary(node.span, node.op, result, substituted(node.right, values), node.sign)
            return result
    return with_children(expr, [substituted(child, values) for child in expr.children])


def _sum_substituted(expr: Sum, values: Mapping[str, Affine]) -> Sum:
    inner = {name: value for name, value in values.items() if name != expr.variable}
    mentioned = {name for value in inner.values() for name in value.variables}
    variable = expr.variable
    if variable in mentioned:
        variable = fresh(variable, mentioned | free_variables(expr.body))
        inner[expr.variable] = affine(variable)
    return Sum(expr.span, expr.kind, _moved_condition(expr.over, variable, values), substituted(expr.body, inner))


def _moved_condition(over: Condition, variable: str, values: Mapping[str, Affine]) -> Condition:
    within = Range(over.within.first.substituted(values), over.within.last.substituted(values))
    tests = tuple(Comparison(test.relation, test.bound.substituted(values), test.modulus) for test in over.tests)
    return Condition(variable, tests, within, over.descending)


def fresh(name: str, taken: Iterable[str]) -> str:
    """A name like this one that is not taken: `k_1` for `k`."""
    used, number = set(taken), 1
    while f"{name}_{number}" in used:
        number += 1
    return f"{name}_{number}"
