"""Quantities on demand: find the equation for a quantity at a step, first what it reads, then its value.

The order of evaluation follows from the equations alone, so left to right, right to left and mixed recurrences need no
declaration. Nothing here recurses over time. Where values that no equation defines come from is left to the two heirs:
`unroll` (leaves of the model) and `gradients` (values of a run).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...core.errors import LanguageError, TinygradError
from ...core.ops.identity import name as give_name
from ...core.scope import Scope, current, entered
from ...core.tensor import Tensor, plain, tensor
from ..expressions import Equation, Expr, Ref, Sum, spine, walk
from ..syntax.indices import Lengths, Step, numbers
from ..syntax.source import Source
from ..types.shapes import Shapes
from . import operands
from .evaluate import evaluate
from .operands import BatchError, Operand

Place = tuple[str, Step]


class Resolver:
    """Values of quantities by name and step, computed when they are first asked for."""

    contract = True

    def __init__(self, shapes: Shapes, lengths: Lengths) -> None:
        self.shapes, self.lengths = shapes, lengths
        self.source: Source = shapes.source
        self.values: dict[Place, Operand] = {}
        self.root = current()
        self._scopes: dict[tuple[str, Step], Scope] = {}
        self._reads: dict[
            int, tuple[Expr, list[Ref | Sum]]
        ] = {}  # the expression is kept, so that its id stays its own

    # -- for the heirs ------------------------------------------------------------------------------------------------
    def equation(self, place: Place) -> Equation | None:
        """The equation that defines a quantity at a step, if any."""
        raise NotImplementedError

    def leaf(self, place: Place, reader: tuple[Equation, Step] | None) -> Operand:
        """The value of what no equation defines. Raises `LanguageError` when there is none."""
        raise NotImplementedError

    def conform(self, value: Operand, equation: Equation, step: Step) -> Operand:
        """The value as the target holds it."""
        raise NotImplementedError

    # -- places -------------------------------------------------------------------------------------------------------
    def scope(self, place: Place) -> Scope:
        """One scope for each step, the root for what has no time; beside the main sequence another has its label."""
        name, step = place
        return self.root if step is None else self._scope(self.shapes.quantities.axes_named(name), step)

    def _scope(self, axes: tuple[str, ...], step: Step) -> Scope:
        label = axes[0] if len(axes) == 1 and axes[0] != self.main else ""
        found = self._scopes.get((label, step))
        if found is None:
            around = Scope(self.root, label=label) if label else self.root
            found = self._scopes[label, step] = Scope(around, index=step)
        return found

    def _scope_of_term(self, over: Sum, step: int) -> Scope:
        indices = self.shapes.document.indices
        same = (name for name, within in indices.items() if within == over.over.within)
        return self._scope((next(same, self.main),), step)

    @property
    def main(self) -> str:
        """The index whose steps need no label: t, or the first there is."""
        indices = self.shapes.document.indices
        return "t" if "t" in indices else next(iter(indices))

    def said(self) -> str:
        """`T = 4, S = 5`."""
        return ", ".join(f"{name} = {length}" for name, length in self.lengths.items())

    # -- on demand ----------------------------------------------------------------------------------------------------
    def resolve(self, place: Place) -> Operand:
        """The value at `place`. Raises `LanguageError` for a circle, a missing definition or a step outside."""
        if place in self.values:
            return self.values[place]
        path: dict[Place, tuple[Equation, Iterator[tuple[Place, Equation, Step]]]] = {}
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

    def _enter(self, place: Place, reader: tuple[Equation, Step] | None, path: dict[Place, Any]) -> None:
        equation = self.equation(place)
        if equation is None:
            self.values[place] = self.leaf(place, reader)
        else:
            path[place] = (equation, self.needs(equation, place[1]))

    def needs(self, equation: Equation, step: Step) -> Iterator[tuple[Place, Equation, Step]]:
        """Every quantity that an equation reads at a step, with the equation and the step that read it."""
        times = equation.binding(step, self.lengths)
        for place in self._places(equation.rhs, times):
            yield place, equation, step

    def _places(self, expr: Expr, times: Mapping[str, int]) -> Iterator[Place]:
        if id(expr) not in self._reads:
            self._reads[id(expr)] = expr, list(_reads(expr))
        for node in self._reads[id(expr)][1]:
            if isinstance(node, Ref):
                yield node.name, node.at(times)
            else:
                for step in node.over.steps(times):
                    yield from self._places(node.body, {**times, node.variable: step})

    def compute(self, equation: Equation, step: Step) -> Operand:
        """The value of an equation at a step, named, its right-hand side's quantities being known."""
        with entered(self.scope((equation.target.name, step))):
            value = self.conform(self.evaluate(equation, step), equation, step)
            return _named(equation.target.name, value)

    def evaluate(self, equation: Equation, step: Step) -> Operand:
        """The right-hand side alone. Raises `LanguageError` with equation and step when it has no value."""
        place = self._scope_of_term if step is None else None
        try:
            return evaluate(
                equation.rhs,
                lambda name, at: self.values[name, at],
                equation.binding(step, self.lengths),
                contract=self.contract,
                place=place,
                shape_of=self.shapes.of_any,
                convention=self.shapes.convention,
            )
        except LanguageError:
            raise
        except BatchError as error:
            raise self.source.error(
                f"{equation.name} cannot be evaluated for several samples at once", equation.rhs.span, hint=str(error)
            ) from None
        except (ArithmeticError, ValueError, TinygradError) as error:
            at = "" if step is None else f" at {_told(equation, step)}"
            raise self.source.error(
                f"{equation.name} has no value{at}", equation.rhs.span, hint=f"{type(error).__name__}: {error}"
            ) from error

    def inside(self, place: Place) -> bool:
        """Whether a place with steps lies in its sequences."""
        steps, ranges = numbers(place[1]), self.shapes.quantities.ranges_of(place[0])
        return len(steps) == len(ranges) and all(
            within.holds(step, self.lengths) for step, within in zip(steps, ranges, strict=True)
        )

    def behind(self, place: Place) -> str:
        """The name of a place behind the end of its sequence, from the end: h[T+1]; empty for any other."""
        name, steps = place[0], numbers(place[1])
        ranges = self.shapes.quantities.ranges_of(name)
        if len(steps) != len(ranges):
            return ""
        over = [at - within.last.at(self.lengths) for at, within in zip(steps, ranges, strict=True)]
        if max(over) <= 0:
            return ""
        said = [
            str(within.last.moved(more)) if more > 0 else str(at)
            for at, within, more in zip(steps, ranges, over, strict=True)
        ]
        return f"{name}[{', '.join(said)}]"

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
        self, place: Place, reader: tuple[Equation, Step] | None, why: str, boundary: str = ""
    ) -> LanguageError:
        """The error for a quantity that does not exist at a step."""
        if reader is None:
            return LanguageError(f"{_at(place)} {why} ({self.said()})", self.source.name)
        equation, step = reader
        span = _reading(equation, place, step, self.lengths).span
        at = f"{equation.name} at {_told(equation, step)}" if step is not None else equation.name
        ways = []
        if isinstance(step, int) and isinstance(place[1], int) and not equation.fixed:
            ways.append(_limited(equation, place[1] - step))
        ways += [f"state the boundary, as in   {boundary} = 0"] if boundary else []
        return self.source.error(f"{_at(place)} {why}: {at} reads it, and {self.said()}", span, hint=", or ".join(ways))


def _told(equation: Equation, step: Step) -> str:
    """`t = 3`, `s = 3`, `(t, s) = (3, 1)`."""
    names = [str(index.variable) if not index.fixed else "t" for index in equation.target.indices]
    return f"{names[0]} = {step}" if isinstance(step, int) else f"({', '.join(names)}) = {step}"


def _limited(equation: Equation, distance: int) -> str:
    (t,) = equation.running
    end = equation.ranges[t].last if t in equation.ranges else "T"
    if distance > 0:
        limit, left = (
            (f"{t} < {end}", f"[{end}]") if distance == 1 else (f"{t} <= {end}-{distance}", f"[{t}] for the last steps")
        )
    else:
        limit, left = f"{t} > {-distance}", "[1]" if distance == -1 else f"[{t}] for the first steps"
    return f"add   for {limit}   to this equation and state {equation.target.name}{left} in one of its own"


def _at(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}[{', '.join(map(str, numbers(place[1])))}]"


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


def _reading(equation: Equation, place: Place, step: Step, lengths: Lengths) -> Expr:
    """The part of the equation that reads `place`, for the caret; the whole formula if it stands in a sum."""
    times = equation.binding(step, lengths)
    for node in _reads(equation.rhs):
        if isinstance(node, Ref) and node.name == place[0] and node.at(times) in (None, place[1]):
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
