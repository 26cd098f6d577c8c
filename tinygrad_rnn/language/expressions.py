"""What a file of equations says, as data: expressions, conditions, equations, documents.

Nodes are frozen and know where the user wrote them. Two nodes are equal when they say the same, wherever they stand; a
chain such as a + b + c + … may be a thousand nodes deep on its left side, so whoever walks an expression does it with
`walk` or `spine`, not by recursion on `left`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import LanguageError
from .affine import Affine
from .syntax.indices import MAIN, Condition, Lengths, Range, Step, as_lengths, grid, numbers
from .syntax.source import Source, Span


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

    index: Affine

    @property
    def head(self) -> tuple[Any, ...]:
        return (self.index,)


@dataclass(frozen=True, eq=False, repr=False)
class Ref(Expr):
    """A quantity by its name: `W`, or `h[t-1]` with an index; `alpha[t, s]` has `more` than one."""

    name: str
    index: Affine | None = None
    more: tuple[Affine, ...] = ()

    @property
    def indices(self) -> tuple[Affine, ...]:
        """All indices, in order; none for a quantity without time."""
        return () if self.index is None else (self.index, *self.more)

    def at(self, times: Mapping[str, int]) -> Step:
        """The step it stands for: a number, several for several indices, None without an index."""
        if self.index is None:
            return None
        return tuple(index.at(times) for index in self.indices) if self.more else self.index.at(times)

    def moved_to(self, indices: tuple[Affine, ...]) -> Ref:
        """The same quantity at other indices."""
        return Ref(self.span, self.name, indices[0], indices[1:])

    @property
    def key(self) -> tuple[str, bool]:
        """Name and whether it has an index: `L` and `L[t]` are two quantities."""
        return self.name, self.index is not None

    @property
    def head(self) -> tuple[Any, ...]:
        return self.name, self.indices

    def __str__(self) -> str:
        return self.name if self.index is None else f"{self.name}[{', '.join(map(str, self.indices))}]"


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
class Concat(Expr):
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
    """`target = rhs`, for the steps that `when` leaves.

    `ranges` says what each index runs over, `text` is what the user wrote.
    """

    target: Ref
    when: tuple[Condition, ...]
    rhs: Expr
    span: Span = field(compare=False, repr=False)
    text: str = field(compare=False, repr=False, default="")
    ranges: Mapping[str, Range] = field(compare=False, repr=False, default_factory=lambda: MAIN)

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
        return self.target.index is not None and not self.running

    @property
    def running(self) -> list[str]:
        """The variables of the target's indices, each once: t of h[t] and D[t, t], none of h[0]."""
        return list(dict.fromkeys(str(index.variable) for index in self.target.indices if not index.fixed))

    @property
    def narrowness(self) -> int:
        """0 for what covers every step, 1 for an edge such as h[0, j] or a diagonal, 2 for one step or a condition."""
        indices = self.target.indices
        if self.when or not indices or all(index.fixed for index in indices) or any(i.scale != 1 for i in indices):
            return 2
        return int(len(self.running) < len(indices))

    def binding(self, step: Step, lengths: int | Lengths) -> dict[str, int]:
        """The values of T and t with which the equation defines its target at `step`."""
        times = dict(as_lengths(lengths))
        if step is not None:
            for index, at in zip(self.target.indices, numbers(step), strict=True):
                if not index.fixed:
                    step = index.solved(str(index.variable), at, times)
                    if step is not None:
                        times[str(index.variable)] = step
        return times

    def covers(self, lengths: int | Lengths) -> list[Step]:
        """The steps its own words claim, before narrower equations for the same target take theirs."""
        if self.target.index is None:
            return []
        limits = {condition.variable: condition for condition in self.when}
        over = [limits.get(name) or Condition(name, (), self.ranges.get(name, Range())) for name in self.running]
        return [self.target.at(times) for times in grid(over, as_lengths(lengths))]


@dataclass(frozen=True)
class Size:
    """A declared size: a column of `rows` entries, or a matrix when `columns` is given."""

    rows: int
    columns: int | None = None
    span: Span | None = field(compare=False, repr=False, default=None)


@dataclass(frozen=True)
class Bounds:
    """The values a parameter or input may take: from `low` to `high`, None where there is no bound.

    An end that is `open` is not taken itself: `0 < alpha`, not `0 <= alpha`.
    """

    low: float | None
    high: float | None
    span: Span = field(compare=False, repr=False)
    open_low: bool = True
    open_high: bool = True


@dataclass(frozen=True)
class Label:
    """What a label is: `kind` is one-hot (a column of zeros with a single one) or simplex (positive, its sum one)."""

    kind: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class NoQuantity:
    """A line under `gradients:` whose left side, `name`, is no quantity: what is the matter stands in `error`."""

    name: str
    line: int
    text: str
    error: LanguageError = field(compare=False)


@dataclass(frozen=True)
class Document:
    """One model as written: header, forward equations, gradient equations.

    `indices` are those declared (t = 1..T if none is), `inputs` and `fixed` the names so declared, `bounds` the lowest
    and highest value that a name may take.
    """

    model: str
    source_note: str
    sizes: Mapping[str, Size]
    forward: tuple[Equation, ...]
    gradients: tuple[Equation, ...]
    source: Source = field(compare=False, repr=False)
    indices: Mapping[str, Range] = field(default_factory=lambda: MAIN)
    inputs: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    #: where the names of `inputs` and `fixed` stand
    given_at: Mapping[str, Span] = field(compare=False, repr=False, default_factory=dict)
    labels: Mapping[str, Label] = field(default_factory=dict)
    #: whether vectors are columns or rows; empty where the file says nothing
    vectors: str = ""
    #: columns, where a name is a matrix with a column for each sample; else an equation holds for each sample
    batch: str = ""
    #: how many columns there are, where given values say it; 0 leaves the choice
    samples: int = 0
    #: what helpers are the gradients of, where that is no quantity dX: found by `verify`, never written in a file
    plays: Mapping[str, str] = field(default_factory=dict)
    #: the quantities among them that stand for an expression of the file
    unnamed: tuple[str, ...] = ()
    #: gradients that are given rather than derived, as `dh`, and where that is declared
    given: Mapping[str, Span] = field(default_factory=dict)
    #: lines that state the gradient of nothing: `verify` judges what else there is, a `Model` has none of them
    no_quantities: tuple[NoQuantity, ...] = ()

    def lengths(self, T: int, given: Lengths | None = None) -> dict[str, int]:
        """How long each sequence is: T, or the first length if none is called T; each further one is one longer."""
        bounds = [bound for within in self.indices.values() for bound in (within.first, within.last)]
        names = [name for bound in bounds for name in bound.lengths]
        lengths = sorted(dict.fromkeys(names), key=lambda name: name != "T")
        return {name: (given or {}).get(name, T + more) for more, name in enumerate(lengths)}
