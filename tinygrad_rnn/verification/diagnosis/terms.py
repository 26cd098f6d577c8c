"""Additive terms: what a right-hand side is a sum of, and their values on a probe.

A term is an expression with a sign; under a sum over time each part of the body is a term of its own. Values are taken
at all steps of the equation at once, so that two terms are compared as wholes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import TinygradError
from ...core.tensor import plain
from ...language.expressions import Equation, Expr, Sum, Unary
from ...language.rewriting import addends, factors_of, names, negated, product, total
from ...language.run.evaluate import evaluate
from ...language.run.operands import Operand, dense
from ...language.syntax.indices import Lengths, Step
from ...language.text.printer import text

if TYPE_CHECKING:
    from ...language import Model
    from ..measure.probe import Probe

#: two values of one term differ by less than this share of their size when they say the same
CLOSE = 1e-9
#: a value at one step this small beside the others is as good as 0
NOISE = 1e-4
#: whether a term stands at a step, given the lengths
Stands = Callable[[Lengths, Step], bool]


@dataclass(frozen=True)
class SignedTerm:
    """`sign * body`, under a sum over time if `over` is one (its own body is then not used)."""

    sign: int
    body: Expr
    over: Sum | None = None

    @property
    def inner(self) -> Expr:
        """The term without its sign."""
        return self.body if self.over is None else Sum(self.over.span, self.over.kind, self.over.over, self.body)

    @property
    def expr(self) -> Expr:
        """The term as one expression, with its sum and sign."""
        return self.inner if self.sign > 0 else negated(self.inner)

    @property
    def opposite(self) -> SignedTerm:
        """The term with the other sign."""
        return SignedTerm(-self.sign, self.body, self.over)

    def with_body(self, body: Expr) -> SignedTerm:
        """The same place in the equation with another body; a sign in front of this becomes the term's."""
        sign = self.sign
        while isinstance(body, Unary):
            sign, body = (-sign if body.op == "-" else sign), body.operand
        return SignedTerm(sign, body, self.over)

    def __str__(self) -> str:
        return text(self.expr)


def terms_of(expr: Expr, split: frozenset[str] = frozenset()) -> list[SignedTerm]:
    """The additive terms of a right-hand side; products are multiplied out over sums that contain a name of `split`."""
    terms: list[SignedTerm] = []
    for sign, part in addends(expr):
        if isinstance(part, Sum) and part.kind == "sum":
            terms += [SignedTerm(sign * inner, body, part) for inner, body in _split(part.body, split)]
        elif isinstance(part, Sum):
            terms.append(SignedTerm(sign, part.body, part))
        else:
            terms += [SignedTerm(sign * inner, body) for inner, body in _split(part, split)]
    return terms


def _split(expr: Expr, names_of: frozenset[str]) -> Iterator[tuple[int, Expr]]:
    """The addends, products multiplied out."""
    stack = addends(expr)[::-1]
    while stack:
        sign, node = stack.pop()
        pieces = _multiplied_out(node, names_of) if names_of else None
        if pieces is None:
            yield sign, node
        else:
            stack += [(sign * inner, piece) for inner, piece in reversed(pieces)]


def _multiplied_out(expr: Expr, split: frozenset[str]) -> list[tuple[int, Expr]] | None:
    """`A @ (p - q)` as `A @ p` and `-(A @ q)`, when p or q names a gradient; None if there is nothing to do."""
    factors, ops = factors_of(expr)
    for i, factor in enumerate(factors):
        divided = i > 0 and ops[i - 1] == "/"
        if len(factors) > 1 and not divided and names(factor) & split and len(addends(factor)) > 1:
            return [(sign, product([*factors[:i], part, *factors[i + 1 :]], ops)) for sign, part in addends(factor)]
    return None


def joined(terms: Sequence[SignedTerm]) -> Expr:
    """The sum of terms as one expression; 0 for none. A sign in front of a term's first factor is the term's."""
    return total(_signed(term) for term in terms)


def _signed(term: SignedTerm) -> tuple[int, Expr]:
    factors, ops = factors_of(term.inner)
    first = factors[0]
    if len(factors) > 1 and isinstance(first, Unary):
        return (-term.sign if first.op == "-" else term.sign), product([first.operand, *factors[1:]], ops)
    return term.sign, term.inner


class ProbeValues:
    """Values of expressions at every step of an equation, on one probe or several, one after the other.

    Forward quantities and reference gradients are read as plain arrays. `points` are the probes and steps in order.
    """

    def __init__(
        self, probes: Sequence[Probe], equation: Equation, points: Sequence[tuple[Probe, Step]] | None = None
    ) -> None:
        self.probes, self.equation = list(probes), equation
        self.points: list[tuple[Probe, Step]] = (
            [(probe, step) for probe in self.probes for step in probe.model.steps_of(equation, probe.run.lengths)]
            if points is None
            else list(points)
        )
        truths = [probe.truth(equation, step).value for probe, step in self.points]
        self.shapes = [truth.shape for truth in truths]
        self._starts = np.cumsum([0, *(truth.size for truth in truths)])
        self.truth = np.concatenate([truth.reshape(-1) for truth in truths]) if truths else np.zeros(0)

    @property
    def readable(self) -> ProbeValues:
        """The same at those points only at which the equation has a value: not where it reads beyond the ends."""
        points = [pair for point, pair in enumerate(self.points) if self.at(self.equation.rhs, point) is not None]
        return ProbeValues(self.probes, self.equation, points) if 0 < len(points) < len(self.points) else self

    @cached_property
    def gradients(self) -> frozenset[str]:
        """The names that are gradients: of quantities, and of what helpers are the gradients of."""
        quantities = self.model.quantities
        equations = (equation for equation in self.model.gradients)
        read = {name for equation in equations for name in (*names(equation.rhs), equation.target.name)}
        known = {f"d{name}" for name, _ in quantities.used}
        return frozenset(n for n in read | known if quantities.base((n, True)) or quantities.base((n, False)))

    @property
    def probe(self) -> Probe:
        """The first of the probes."""
        return self.probes[0]

    @property
    def model(self) -> Model:
        """The model of the first probe."""
        return self.probe.model

    def steps_on(self, probe: Probe) -> list[Step]:
        """The steps on one of the probes."""
        return [step for other, step in self.points if other is probe]

    def of(self, expr: Expr, stands: Stands | None = None) -> np.ndarray | None:
        """The value at every point, one after the other (0 where the term does not stand); None if there is none of
        this shape.
        """
        parts = []
        for point, (probe, step) in enumerate(self.points):
            if stands is not None and not stands(probe.run.lengths, step):
                parts.append(np.zeros(self._size(point)))
                continue
            value = self.at(expr, point)
            if value is None:
                return None
            parts.append(value)
        return np.concatenate(parts) if parts else np.zeros(0)

    def reaches(self, expr: Expr, goals: Sequence[np.ndarray]) -> np.ndarray | None:
        """The value of an expression that equals one of the goals at every point, else None; most expressions differ
        at the first point, and are looked at no further.
        """
        parts: list[np.ndarray] = []
        for point in range(len(self.points)):
            value = self.at(expr, point)
            goals = [] if value is None else [g for g in goals if self._near(value, self.part(g, point))]
            if value is None or not goals:
                return None
            parts.append(value)
        whole = np.concatenate(parts) if parts else np.zeros(0)
        return whole if any(self.same(whole, goal) for goal in goals) else None

    def part(self, value: np.ndarray, point: int) -> np.ndarray:
        """What a value is at one point."""
        return value[self._starts[point] : self._starts[point + 1]]

    def _size(self, point: int) -> int:
        return int(self._starts[point + 1] - self._starts[point])

    def at(self, expr: Expr, point: int) -> np.ndarray | None:
        """The value at one point, flat; None if it has none of this shape."""
        probe, step = self.points[point]
        try:
            with np.errstate(all="ignore"):
                times = self.equation.binding(step, probe.run.lengths)
                shapes, convention = probe.model.shapes_, probe.model.convention
                lookup = _reading(probe)
                result = dense(evaluate(expr, lookup, times, shape_of=shapes.of_any, convention=convention))
                value = np.asarray(plain(result.value), dtype=float)
        except (TinygradError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
            return None
        shape = self.shapes[point]
        if value.shape != shape:
            if value.size != 1:
                return None
            value = np.broadcast_to(value.reshape(()), shape)
        return value.reshape(-1) if np.all(np.isfinite(value)) else None

    def same(self, a: np.ndarray | None, b: np.ndarray | None) -> bool:
        """Whether two values agree at every point as far as their own size there lets one tell."""
        if a is None or b is None:
            return False
        whole = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
        return all(self._near(self.part(a, n), self.part(b, n), whole) for n in range(len(self.points)))

    @staticmethod
    def _near(a: np.ndarray, b: np.ndarray, whole: float = 0.0) -> bool:
        scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
        return bool(np.max(np.abs(a - b), initial=0.0) <= CLOSE * max(scale, NOISE * whole))

    def with_terms(self, terms: Sequence[SignedTerm]) -> list[Equation]:
        """The equation with other terms on its right-hand side, alone in a list."""
        return [replace(self.equation, rhs=joined(terms))]

    def is_zero(self, value: np.ndarray) -> bool:
        """Whether a value is 0 at every point."""
        return not np.any(value)

    def is_nothing(self, value: np.ndarray) -> bool:
        """Whether a value is 0, or as good as that, beside what is true."""
        return bool(np.max(np.abs(value), initial=0.0) <= CLOSE * np.max(np.abs(self.truth), initial=0.0))


def _reading(probe: Probe) -> Callable[[str, Step], Operand]:
    """Quantities as plain operands; the function raises `LanguageError` where there is none."""
    return lambda name, step: plain_operand(probe.operand(name, step))


def plain_operand(operand: Operand) -> Operand:
    """The same operand, its value an array."""
    layout = (operand.rows, operand.columns, operand.batch, operand.diagonal, operand.classes)
    return Operand(plain(operand.value), *layout)
