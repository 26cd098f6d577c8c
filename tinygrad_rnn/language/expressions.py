"""What a file of equations says, as data: expressions, conditions, equations, documents.

Nodes are frozen and know where the user wrote them. Two nodes are equal when they say the same, wherever they stand; a
chain such as a + b + c + … may be a thousand nodes deep on its left side, so whoever walks an expression does it with
`walk` or `spine`, not by recursion on `left`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .source import Source, Span


@dataclass(frozen=True)
class Index:
    """A time that is affine in one variable: `variable` is t, T, the variable of a sum, or None for a constant."""

    variable: str | None
    offset: int = 0

    def at(self, times: Mapping[str, int]) -> int:
        """The step it means, given the values of the variables."""
        return self.offset + (times[self.variable] if self.variable else 0)

    def __str__(self) -> str:
        if self.variable is None:
            return str(self.offset)
        return self.variable + (f"{self.offset:+d}" if self.offset else "")


@dataclass(frozen=True)
class Condition:
    """The steps an equation or a sum covers: `variable` passes every test `(relation, bound)`; no test means 1 to T."""

    variable: str
    tests: tuple[tuple[str, Index], ...] = ()

    def steps(self, times: Mapping[str, int], first: int = 1, last: int | None = None) -> list[int]:
        """The steps from `first` to `last` (1 to T) that pass, in order; the bounds are looked up in `times`."""
        low, high = first, times["T"] if last is None else last
        excluded = set()
        for relation, bound in self.tests:
            value = bound.at(times)
            if relation in ("=", ">", ">="):
                low = max(low, value + (relation == ">"))
            if relation in ("=", "<", "<="):
                high = min(high, value - (relation == "<"))
            if relation == "!=":
                excluded.add(value)
        return [step for step in range(low, high + 1) if step not in excluded]


@dataclass(frozen=True, eq=False, repr=False)
class Expr:
    """A part of a formula; `span` is where it stands."""

    span: Span

    @property
    def children(self) -> tuple[Expr, ...]:
        """The parts it is made of, from left to right."""
        return ()

    @property
    def head(self) -> tuple[Any, ...]:
        """What it says apart from its children."""
        return ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Expr):
            return NotImplemented
        pairs: list[tuple[Expr, Expr]] = [(self, other)]
        while pairs:
            a, b = pairs.pop()
            if type(a) is not type(b) or a.head != b.head or len(a.children) != len(b.children):
                return False
            pairs += zip(a.children, b.children, strict=True)
        return True

    def __hash__(self) -> int:
        return hash((type(self), self.head, len(self.children)))

    def __repr__(self) -> str:
        said = " ".join(map(str, self.head))
        return f"<{type(self).__name__}{' ' + said if said else ''} at {self.span.line}:{self.span.column}>"


@dataclass(frozen=True, eq=False, repr=False)
class Number(Expr):
    """A literal number."""

    value: int | float

    @property
    def head(self) -> tuple[Any, ...]:
        return (self.value,)


@dataclass(frozen=True, eq=False, repr=False)
class Time(Expr):
    """A time used as a number: `1 / T`, `t`."""

    index: Index

    @property
    def head(self) -> tuple[Any, ...]:
        return (self.index,)


@dataclass(frozen=True, eq=False, repr=False)
class Ref(Expr):
    """A quantity by its name: `W`, or `h[t-1]` with an index."""

    name: str
    index: Index | None = None

    @property
    def key(self) -> tuple[str, bool]:
        """Name and whether it has a time index: `L` and `L[t]` are two quantities."""
        return self.name, self.index is not None

    @property
    def head(self) -> tuple[Any, ...]:
        return self.name, self.index

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}[{self.index}]"


@dataclass(frozen=True, eq=False, repr=False)
class Unary(Expr):
    """A sign: `op` is + or -."""

    op: str
    operand: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.operand,)

    @property
    def head(self) -> tuple[Any, ...]:
        return (self.op,)


@dataclass(frozen=True, eq=False, repr=False)
class Binary(Expr):
    """`op` is one of + - * / @ **; `sign` is where the operator stands."""

    op: str
    left: Expr
    right: Expr
    sign: Span

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.left, self.right

    @property
    def head(self) -> tuple[Any, ...]:
        return (self.op,)


@dataclass(frozen=True, eq=False, repr=False)
class Call(Expr):
    """A function of the table in `functions`, by its ASCII name."""

    function: str
    args: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args

    @property
    def head(self) -> tuple[Any, ...]:
        return (self.function,)


@dataclass(frozen=True, eq=False, repr=False)
class Sum(Expr):
    """A reduction over time: `kind` is sum, mean or prod; the body sees the variable of the condition."""

    kind: str
    over: Condition
    body: Expr

    @property
    def variable(self) -> str:
        return self.over.variable

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.body,)

    @property
    def head(self) -> tuple[Any, ...]:
        return self.kind, self.over


@dataclass(frozen=True, eq=False, repr=False)
class Transpose(Expr):
    """`X.T`."""

    operand: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.operand,)


@dataclass(frozen=True, eq=False, repr=False)
class Stack(Expr):
    """`[h[t-1]; x[t]]`: one above the other."""

    parts: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.parts


def walk(expr: Expr) -> Iterator[Expr]:
    """Every node, children before parents, from left to right; without recursion."""
    stack: list[tuple[Expr, bool]] = [(expr, False)]
    while stack:
        node, ready = stack.pop()
        if ready or not node.children:
            yield node
        else:
            stack.append((node, True))
            stack += [(child, False) for child in reversed(node.children)]


def spine(expr: Expr) -> tuple[Expr, list[Binary]]:
    """The leftmost operand of nested binary operators, and the operators from the innermost outwards."""
    operators: list[Binary] = []
    while isinstance(expr, Binary):
        operators.append(expr)
        expr = expr.left
    return expr, operators[::-1]


@dataclass(frozen=True)
class Equation:
    """`target = rhs`, for the steps of `when`; `text` is what the user wrote."""

    target: Ref
    when: Condition | None
    rhs: Expr
    span: Span = field(compare=False, repr=False)
    text: str = field(compare=False, repr=False, default="")

    __hash__ = object.__hash__

    @property
    def name(self) -> str:
        """The target as written: `dh[t]`."""
        return str(self.target)

    @property
    def line(self) -> int:
        """The line it starts on."""
        return self.span.line

    @property
    def fixed(self) -> bool:
        """Whether the target names one step, as h[0] and dh[T] do, rather than running over t."""
        return self.target.index is not None and self.target.index.variable in (None, "T")

    def binding(self, step: int | None, T: int) -> dict[str, int]:
        """The values of T and t with which the equation defines its target at `step`."""
        times = {"T": T}
        index = self.target.index
        if index is not None and index.variable not in (None, "T") and step is not None:
            times[str(index.variable)] = step - index.offset
        return times

    def covers(self, T: int) -> list[int]:
        """The steps its own words claim, before narrower equations for the same target take theirs."""
        index = self.target.index
        if index is None:
            return []
        if self.fixed:
            return [index.at({"T": T})]
        if self.when is None:
            return list(range(1, T + 1))
        return [t + index.offset for t in self.when.steps({"T": T})]


@dataclass(frozen=True)
class Size:
    """A declared size: a column of `rows` entries, or a matrix when `columns` is given."""

    rows: int
    columns: int | None = None
    span: Span | None = field(compare=False, repr=False, default=None)


@dataclass(frozen=True)
class Document:
    """One model as written: header, forward equations, gradient equations."""

    model: str
    source_note: str
    sizes: Mapping[str, Size]
    forward: tuple[Equation, ...]
    gradients: tuple[Equation, ...]
    source: Source = field(compare=False, repr=False)
