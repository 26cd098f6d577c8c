"""Quantities on demand: find the equation for a quantity at a step, first what it reads, then its value.

The order of evaluation follows from the equations alone, so left to right, right to left and mixed recurrences need no
declaration. Nothing here recurses over time. Where values that no equation defines come from is left to the two heirs:
`unroll` (leaves of the model) and `gradients` (values of a run).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..core.errors import LanguageError, TinygradError
from ..core.functions import name as give_name
from ..core.scope import Scope, current, entered
from ..core.tensor import Tensor, plain, tensor
from . import operands
from .evaluate import evaluate
from .expressions import Equation, Expr, Ref, Sum, spine, walk
from .operands import BatchError, Operand
from .shapes import Shapes
from .source import Source

Place = tuple[str, int | None]


class Resolver:
    """Values of quantities by name and step, computed when they are first asked for."""

    contract = True

    def __init__(self, shapes: Shapes, T: int) -> None:
        self.shapes, self.T = shapes, T
        self.source: Source = shapes.source
        self.values: dict[Place, Operand] = {}
        self.root = current()
        self._scopes: dict[int, Scope] = {}
        self._reads: dict[
            int, tuple[Expr, list[Ref | Sum]]
        ] = {}  # the expression is kept, so that its id stays its own

    # -- for the heirs ------------------------------------------------------------------------------------------------
    def equation(self, place: Place) -> Equation | None:
        """The equation that defines a quantity at a step, if any."""
        raise NotImplementedError

    def leaf(self, place: Place, reader: tuple[Equation, int | None] | None) -> Operand:
        """The value of what no equation defines. Raises `LanguageError` when there is none."""
        raise NotImplementedError

    def conform(self, value: Operand, equation: Equation, step: int | None) -> Operand:
        """The value as the target holds it."""
        raise NotImplementedError

    # -- places -------------------------------------------------------------------------------------------------------
    def scope(self, step: int | None) -> Scope:
        """One scope for each step, the root for what has no time."""
        if step is None:
            return self.root
        found = self._scopes.get(step)
        if found is None:
            found = self._scopes[step] = Scope(self.root, index=step)
        return found

    # -- on demand ----------------------------------------------------------------------------------------------------
    def resolve(self, place: Place) -> Operand:
        """The value at `place`. Raises `LanguageError` for a circle, a missing definition or a step outside."""
        if place in self.values:
            return self.values[place]
        path: dict[Place, tuple[Equation, Iterator[tuple[Place, Equation, int | None]]]] = {}
        self._enter(place, None, path)
        while path:
            here = next(reversed(path))
            equation, needs = path[here]
            for need, reader, step in needs:
                if need in path:
                    raise self._circle(list(path), need, equation)
                if need not in self.values:
                    self._enter(need, (reader, step), path)
                    if need in path:
                        break
            else:
                self.values[here] = self.compute(equation, here[1])
                del path[here]
        return self.values[place]

    def _enter(self, place: Place, reader: tuple[Equation, int | None] | None, path: dict[Place, Any]) -> None:
        equation = self.equation(place)
        if equation is None:
            self.values[place] = self.leaf(place, reader)
        else:
            path[place] = (equation, self._needs(equation, place[1]))

    def _needs(self, equation: Equation, step: int | None) -> Iterator[tuple[Place, Equation, int | None]]:
        times = equation.binding(step, self.T)
        for place in self._places(equation.rhs, times):
            yield place, equation, step

    def _places(self, expr: Expr, times: Mapping[str, int]) -> Iterator[Place]:
        if id(expr) not in self._reads:
            self._reads[id(expr)] = expr, list(_reads(expr))
        for node in self._reads[id(expr)][1]:
            if isinstance(node, Ref):
                yield node.name, None if node.index is None else node.index.at(times)
            else:
                for step in node.over.steps(times):
                    yield from self._places(node.body, {**times, node.variable: step})

    def compute(self, equation: Equation, step: int | None) -> Operand:
        """The value of an equation at a step, named, its right-hand side's quantities being known."""
        with entered(self.scope(step)):
            value = self.conform(self.evaluate(equation, step), equation, step)
            return _named(equation.target.name, value)

    def evaluate(self, equation: Equation, step: int | None) -> Operand:
        """The right-hand side alone. Raises `LanguageError` with equation and step when it has no value."""
        place = self.scope if step is None else None
        try:
            return evaluate(
                equation.rhs,
                lambda name, at: self.values[name, at],
                equation.binding(step, self.T),
                contract=self.contract,
                place=place,
                shape_of=self.shapes.of,
            )
        except LanguageError:
            raise
        except BatchError as error:
            raise self.source.error(
                f"{equation.name} cannot be evaluated for several samples at once", equation.rhs.span, hint=str(error)
            ) from None
        except (ArithmeticError, ValueError, TinygradError) as error:
            at = "" if step is None else f" at t = {step}"
            raise self.source.error(
                f"{equation.name} has no value{at}", equation.rhs.span, hint=f"{type(error).__name__}: {error}"
            ) from error

    # -- errors -------------------------------------------------------------------------------------------------------
    def _circle(self, path: list[Place], need: Place, equation: Equation) -> LanguageError:
        circle = [*path[path.index(need) :], need]
        shown = [str(_at(place)) for place in circle]
        if len(shown) > 8:
            shown = [*shown[:4], "…", *shown[-3:]]
        return self.source.error(
            f"{_at(need)} is defined by itself",
            equation.target.span,
            notes=[" <- ".join(shown)],
            hint="one of these has to read an earlier (or later) step, as in h[t-1]",
        )

    def outside(
        self, place: Place, reader: tuple[Equation, int | None] | None, why: str, boundary: str = ""
    ) -> LanguageError:
        """The error for a quantity that does not exist at a step."""
        if reader is None:
            return LanguageError(f"{_at(place)} {why} (T = {self.T})", self.source.name)
        equation, step = reader
        span = _reading(equation, place, step, self.T).span
        at = f"{equation.name} at t = {step}" if step is not None else equation.name
        ways = [] if step is None or place[1] is None or equation.fixed else [_limited(equation, place[1] - step)]
        ways += [f"state the boundary, as in   {boundary} = 0"] if boundary else []
        return self.source.error(f"{_at(place)} {why}: {at} reads it, and T = {self.T}", span, hint=", or ".join(ways))


def _limited(equation: Equation, distance: int) -> str:
    if distance > 0:
        limit, left = ("t < T", "[T]") if distance == 1 else (f"t <= T-{distance}", "[t] for the last steps")
    else:
        limit, left = f"t > {-distance}", "[1]" if distance == -1 else "[t] for the first steps"
    return f"add   for {limit}   to this equation and state {equation.target.name}{left} in one of its own"


def _at(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}[{place[1]}]"


def _reads(expr: Expr) -> Iterator[Ref | Sum]:
    """The quantities a formula reads, sums over time unopened."""
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Ref | Sum):
            yield node
        else:
            first, operators = spine(node)
            stack += [operator.right for operator in reversed(operators)]
            stack += [first] if operators else reversed(node.children)


def _reading(equation: Equation, place: Place, step: int | None, T: int) -> Expr:
    """The part of the equation that reads `place`, for the caret; the whole formula if it stands in a sum."""
    times = equation.binding(step, T)
    for node in _reads(equation.rhs):
        if isinstance(node, Ref) and node.name == place[0] and (node.index is None or node.index.at(times) == place[1]):
            return node
    return next(
        (node for node in _reads(equation.rhs) if isinstance(node, Sum) and _mentions(node, place[0])), equation.rhs
    )


def _mentions(expr: Expr, name: str) -> bool:
    return any(isinstance(node, Ref) and node.name == name for node in walk(expr))


def _named(name: str, value: Operand) -> Operand:
    if isinstance(value.value, Tensor):
        held = give_name(name, value.value)
    else:
        held = tensor(value.value, name=name, requires_grad=False)
    return Operand(held, value.rows, value.columns, value.batch, value.diagonal, value.classes)


def filled(value: Operand, shape: tuple[int, int], batch: int | None) -> Operand:
    """A value brought to its full type: a literal 0 to any shape, what all samples share to every sample."""
    value = operands.dense(value)
    rows, columns = shape
    width = batch or 1 if columns == 1 else columns
    full = (rows, width) if columns == 1 or rows > 1 else (batch or 1, columns)
    if batch is None and shape == (1, 1):
        return value if np.shape(plain(value.value)) == () else Operand(np.sum(value.value))
    if np.shape(plain(value.value)) == full:
        return Operand(value.value, rows, columns, batch)
    return Operand(value.value * np.ones(full), rows, columns, batch)
