"""Additive terms: what a right-hand side is a sum of, and their values on a probe.

A term is an expression with a sign; under a sum over time each part of the body is a term of its own. Values are taken
at all steps of the equation at once, so that two terms are compared as wholes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import LanguageError, TinygradError
from ..core.tensor import plain
from ..language import Model, parse
from ..language.evaluate import evaluate
from ..language.expressions import Binary, Equation, Expr, Ref, Sum, Transpose, Unary, spine, walk
from ..language.indices import Step
from ..language.operands import Operand, dense
from ..language.printer import text
from ..language.source import NOWHERE

if TYPE_CHECKING:
    from .probe import Probe

#: two values of one term differ by less than this share of their size when they say the same
CLOSE = 1e-9


@dataclass(frozen=True)
class Term:
    """`sign * body`, under a sum over time if `over` is one (its own body is then not used)."""

    sign: int
    body: Expr
    over: Sum | None = None

    @property
    def expr(self) -> Expr:
        """The term as one expression, with its sum and sign."""
        inner = self.body if self.over is None else Sum(self.over.span, self.over.kind, self.over.over, self.body)
        return inner if self.sign > 0 else Unary(NOWHERE, "-", inner)

    def with_body(self, body: Expr, sign: int = 1) -> Term:
        """The same place in the equation with another body."""
        return Term(self.sign * sign, body, self.over)

    def __str__(self) -> str:
        return text(self.expr)


def terms_of(expr: Expr, split: frozenset[str] = frozenset()) -> list[Term]:
    """The additive terms of a right-hand side; products are multiplied out over sums that contain a name of `split`."""
    found: list[Term] = []
    for sign, part in _addends(expr):
        if isinstance(part, Sum) and part.kind == "sum":
            found += [Term(sign * inner, body, part) for inner, body in _addends(part.body, split)]
        elif isinstance(part, Sum):
            found.append(Term(sign, part.body, part))
        else:
            found += [Term(sign * inner, body) for inner, body in _addends(part, split)]
    return found


def _addends(expr: Expr, split: frozenset[str] = frozenset()) -> Iterator[tuple[int, Expr]]:
    stack: list[tuple[int, Expr]] = [(1, expr)]
    while stack:
        sign, node = stack.pop()
        if isinstance(node, Binary) and node.op in "+-":
            first, operators = spine(node)
            at = next((i for i, o in enumerate(operators) if o.op not in "+-"), len(operators))
            if at == len(operators):
                parts = [(1, first)] + [(1 if o.op == "+" else -1, o.right) for o in operators]
            else:
                last = max(i for i, o in enumerate(operators) if o.op not in "+-")
                parts = [(1, operators[last])] + [(1 if o.op == "+" else -1, o.right) for o in operators[last + 1 :]]
            stack += [(sign * s, part) for s, part in reversed(parts)]
        elif isinstance(node, Unary):
            stack.append((-sign if node.op == "-" else sign, node.operand))
        else:
            pieces = _multiplied_out(node, split) if split else None
            if pieces is None:
                yield sign, node
            else:
                stack += [(sign, piece) for piece in reversed(pieces)]


def _multiplied_out(expr: Expr, split: frozenset[str]) -> list[Expr] | None:
    """`A @ (p + q)` as `[A @ p, A @ q]`, signs inside, when p or q names a gradient; None if there is nothing to do."""
    first, operators = spine(expr)
    if any(o.op not in "*/@" for o in operators) or not operators:
        return None
    factors = [first, *[o.right for o in operators]]
    for i, factor in enumerate(factors):
        divided = i > 0 and operators[i - 1].op == "/"
        if isinstance(factor, Binary) and factor.op in "+-" and not divided and names(factor) & split:
            pieces = []
            for sign, part in _addends(factor):
                signed = part if sign > 0 else Unary(NOWHERE, "-", part)
                pieces.append(_rebuilt([*factors[:i], signed, *factors[i + 1 :]], [o.op for o in operators]))
            return pieces
    return None


def _rebuilt(factors: Sequence[Expr], ops: Sequence[str]) -> Expr:
    result = factors[0]
    for op, factor in zip(ops, factors[1:], strict=True):
        result = Binary(NOWHERE, op, result, factor, NOWHERE)
    return result


def names(expr: Expr) -> frozenset[str]:
    """The quantities an expression reads."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, Ref))


def joined(terms: Sequence[Term]) -> Expr:
    """The sum of terms as one expression."""
    result: Expr | None = None
    for term in terms:
        positive = term.with_body(term.body, term.sign)
        if result is None:
            result = term.expr
        else:
            result = Binary(NOWHERE, "+" if term.sign > 0 else "-", result, positive.expr, NOWHERE)
    assert result is not None
    return result


class Values:
    """Values of expressions on one probe: forward quantities and reference gradients as plain arrays."""

    def __init__(self, probe: Probe, equation: Equation) -> None:
        self.probe, self.equation = probe, equation
        self.steps = probe.model.steps_of(equation, probe.run.lengths)
        truths = [probe.truth(equation, step).value for step in self.steps]
        self.shape = truths[0].shape if truths else ()
        self.truth = np.concatenate([truth.reshape(-1) for truth in truths]) if truths else np.zeros(0)

    def of(self, expr: Expr, steps: frozenset[Any] | None = None) -> np.ndarray | None:
        """The value at every step of the equation, one after the other (0 outside `steps`); None if it has none of
        this shape.
        """
        parts = []
        for step in self.steps:
            if steps is not None and step not in steps:
                parts.append(np.zeros(int(np.prod(self.shape))))
                continue
            value = self.at(expr, step)
            if value is None:
                return None
            parts.append(value)
        return np.concatenate(parts) if parts else np.zeros(0)

    def truth_at(self, place: int) -> np.ndarray:
        """The true value at one of `steps`, by its place among them."""
        size = len(self.truth) // max(len(self.steps), 1)
        return self.truth[place * size : (place + 1) * size]

    def at(self, expr: Expr, step: Step) -> np.ndarray | None:
        """The value at one step, flat; None if it has none of this shape."""
        times = self.equation.binding(step, self.probe.run.lengths)
        if isinstance(step, int):
            times.setdefault("t", step)
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(plain(dense(evaluate(expr, self.lookup, times)).value), dtype=float)
        except (TinygradError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
            return None
        if value.shape != self.shape:
            if value.size != 1:
                return None
            value = np.broadcast_to(value.reshape(()), self.shape)
        return value.reshape(-1) if np.all(np.isfinite(value)) else None

    def lookup(self, name: str, step: Step) -> Operand:
        """A quantity as a plain operand; raises `LanguageError` where there is none."""
        held = self.probe.operand(name, step)
        return Operand(plain(held.value), held.rows, held.columns, held.batch, held.diagonal, held.classes)

    def well_typed(self, expr: Expr) -> bool:
        """Whether the recurrence language takes the expression for this equation's right-hand side."""
        model, equation = self.probe.model, self.equation
        stated = replace(equation, rhs=expr)
        gradients = tuple(stated if other is equation else other for other in model.gradients)
        try:
            Model(parse(text(replace(model.document, gradients=gradients))))
        except LanguageError:
            return False
        return True

    def same(self, a: np.ndarray | None, b: np.ndarray | None) -> bool:
        """Whether two values agree as far as their own size lets one tell."""
        if a is None or b is None:
            return False
        scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
        return bool(np.max(np.abs(a - b), initial=0.0) <= CLOSE * scale)


def transposed(expr: Expr) -> Expr:
    """The transpose, undone where there was one."""
    return expr.operand if isinstance(expr, Transpose) else Transpose(NOWHERE, expr)
