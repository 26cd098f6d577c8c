"""Sizes of everything a model names, found by unification, for formulas that say nothing about sizes.

A dimension is 1, or a size of its own; a stack has the sum of the sizes of its parts. Vectors are columns or rows as
the document has it. What cannot be one (a vector where a matrix of the same name stood) is an `Inconsistent`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .meaning import (
    Accumulated,
    Blocks,
    EntryOf,
    Factors,
    FunctionOf,
    Known,
    Length,
    Meaning,
    Named,
    PartOf,
    Power,
    Quotient,
    StepNumber,
    Summands,
    Transposed,
    walk,
)

Shape = tuple[int, int]
#: sizes handed out in this order: no two are equal, and no sum of two is another
SIZES = (3, 2, 4, 8, 9, 14, 16, 21, 26, 31, 37, 43)
_ENTRYWISE = frozenset({"\\odot", "\\circ", "odot", "circ"})


class Inconsistent(Exception):
    """Two sizes that cannot be one."""


class ShapeInference:
    """Unifies the dimensions of named quantities over their definitions."""

    def __init__(self, rows: bool, kind: Callable[[Named], str]) -> None:
        self.rows = rows
        self.kind = kind
        self.parent: list[int] = [0]
        self.long: list[bool] = [False]
        self.sums: dict[int, tuple[int, ...]] = {}
        self.of_name: dict[tuple[str, bool], Shape] = {}

    # -- dimensions: number 0 is the dimension 1 ----------------------------------------------------------------------
    def fresh(self, long: bool = False) -> int:
        """A new dimension; `long` ones are not 1."""
        self.parent.append(len(self.parent))
        self.long.append(long)
        return len(self.parent) - 1

    def find(self, dim: int) -> int:
        """The dimension that stands for all equal to this one."""
        while self.parent[dim] != dim:
            self.parent[dim] = self.parent[self.parent[dim]]
            dim = self.parent[dim]
        return dim

    def can(self, a: int, b: int) -> bool:
        """Whether two dimensions may be equal."""
        a, b = self.find(a), self.find(b)
        return a == b or not ((a == 0 and self.long[b]) or (b == 0 and self.long[a]))

    def unify(self, a: int, b: int) -> None:
        """Make two dimensions equal. Raises `Inconsistent` where one is 1 and the other is not."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return
        if not self.can(a, b):
            raise Inconsistent("1 against more than 1")
        if b == 0 or (b in self.sums and a not in self.sums):
            a, b = b, a
        self.parent[b] = a
        self.long[a] = self.long[a] or self.long[b]
        if a in self.sums and b in self.sums and len(self.sums[a]) == len(self.sums[b]):
            for mine, theirs in zip(self.sums[a], self.sums[b], strict=True):
                self.unify(mine, theirs)

    def same(self, a: Shape, b: Shape) -> None:
        """Make two shapes equal."""
        self.unify(a[0], b[0])
        self.unify(a[1], b[1])

    def scalar(self, shape: Shape) -> bool:
        """Whether a shape is known to be that of a number."""
        return self.find(shape[0]) == 0 and self.find(shape[1]) == 0

    # -- names --------------------------------------------------------------------------------------------------------
    def name(self, node: Named) -> Shape:
        """The shape of a name."""
        slot = (node.key, node.when is not None)
        if slot not in self.of_name:
            kind = self.kind(node)
            if kind == "scalar":
                shape = (0, 0)
            elif kind == "vector":
                size = self.fresh(long=True)
                shape = (0, size) if self.rows else (size, 0)
            elif kind == "matrix":
                shape = (self.fresh(long=True), self.fresh(long=True))
            else:
                shape = (self.fresh(), self.fresh())
            self.of_name[slot] = shape
        return self.of_name[slot]

    # -- expressions --------------------------------------------------------------------------------------------------
    def of(self, node: Meaning) -> Shape | None:
        """The shape of an expression, None where it fits anything. Raises `Inconsistent`."""
        if isinstance(node, Named):
            return (0, 0) if node.index else self.name(node)
        if isinstance(node, (Known, Length, EntryOf, StepNumber)):
            if isinstance(node, (Length, EntryOf)):
                self.of(node.base)
            return (0, 0)
        if isinstance(node, Summands):
            return self._sum([self.of(term) for term in node.terms])
        if isinstance(node, Factors):
            return self._product(node)
        if isinstance(node, FunctionOf):
            return self._call(node)
        if isinstance(node, Transposed):
            inner = self.of(node.base)
            return None if inner is None else (inner[1], inner[0])
        if isinstance(node, Power):
            return self.of(node.base)
        if isinstance(node, Quotient):
            top, bottom = self.of(node.top), self.of(node.bottom)
            if top is None or bottom is None or self.scalar(bottom):
                return top
            return bottom if self.scalar(top) else self._sum([top, bottom])
        if isinstance(node, Accumulated):
            if node.over == "entries":
                self._same_length(node)
            return self.of(node.body)
        if isinstance(node, Blocks):
            return self._blocks(node)
        if isinstance(node, PartOf):
            whole, stack = self.of(node.base), self._blocks(Blocks(tuple((part,) for part in node.parts)))
            if whole is not None and stack is not None:
                self.same(whole, stack)
            return self.name(node.parts[node.number])
        return None

    def _same_length(self, node: Accumulated) -> None:
        """Vectors that one letter counts the entries of have one length."""
        counted = [n for n in walk(node.body) if isinstance(n, Named) and n.index == (node.letter,)]
        for other in counted[1:]:
            self.same(self.name(replace(counted[0], index=())), self.name(replace(other, index=())))

    def _sum(self, shapes: list[Shape | None]) -> Shape | None:
        result: Shape | None = None
        for shape in shapes:
            if shape is None:
                continue
            if result is None or self.scalar(result):
                result = shape
            elif not self.scalar(shape):
                self.same(result, shape)
        return result

    def _call(self, node: FunctionOf) -> Shape | None:
        shapes = [self.of(argument) for argument in node.arguments]
        if self.kind(Named(node.function)) == "scalar":
            return (0, 0)
        if len(shapes) != 1 or shapes[0] is None:
            return None
        if node.function == "diag":
            size = shapes[0][1] if self.rows else shapes[0][0]
            return (size, size)
        return shapes[0]

    def _product(self, node: Factors) -> Shape | None:
        result = self.of(node.factors[0])
        for operator, factor in zip(node.operators, node.factors[1:], strict=True):
            result = self.multiply(result, operator, self.of(factor))
        return result

    def multiply(self, a: Shape | None, operator: str, b: Shape | None) -> Shape | None:
        """The shape of a product: of matrices where the inner sizes may agree, entry by entry otherwise."""
        if a is None or b is None:
            return None
        if self.scalar(a):
            return b
        if self.scalar(b):
            return a
        if operator in _ENTRYWISE:
            self.same(a, b)
            return a
        vectors = [self.find(s[1]) == 0 if not self.rows else self.find(s[0]) == 0 for s in (a, b)]
        if all(vectors) and self.can(a[0], b[0]) and self.can(a[1], b[1]):
            self.same(a, b)
            return a
        if self.can(a[1], b[0]):
            self.unify(a[1], b[0])
            return (a[0], b[1])
        self.same(a, b)
        return a

    def _blocks(self, node: Blocks) -> Shape | None:
        shapes = [[self.of(entry) for entry in row] for row in node.rows]
        if any(shape is None for row in shapes for shape in row):
            return None
        heights = [row[0][0] for row in shapes]  # type: ignore[index]
        widths = [shape[1] for shape in shapes[0]]  # type: ignore[index]
        if len(shapes[0]) == 1 and self.rows and all(self.find(h) == 0 for h in heights):
            return (0, self._added([row[0][1] for row in shapes]))  # type: ignore[index]
        for row in shapes:
            for width, shape in zip(widths, row, strict=False):
                self.unify(width, shape[1])  # type: ignore[index]
                self.unify(row[0][0], shape[0])  # type: ignore[index]
        return (self._added(heights), self._added(widths))

    def _added(self, dims: list[int]) -> int:
        if len(dims) == 1:
            return dims[0]
        made = self.fresh(long=True)
        self.sums[made] = tuple(dims)
        return made

    # -- sizes --------------------------------------------------------------------------------------------------------
    def sizes(self, ones: bool = False) -> dict[tuple[str, bool], tuple[int, int]]:
        """A size for every name; all 1 with `ones`."""
        if ones:
            return dict.fromkeys(self.of_name, (1, 1))
        given: dict[int, int] = {0: 1}
        unused = iter(SIZES)
        return {
            slot: (self._size(a, given, unused), self._size(b, given, unused)) for slot, (a, b) in self.of_name.items()
        }

    def _size(self, dim: int, given: dict[int, int], unused: Iterator[int]) -> int:
        dim = self.find(dim)
        if dim not in given:
            if dim in self.sums:
                given[dim] = sum(self._size(part, given, unused) for part in self.sums[dim])
            else:
                given[dim] = next(unused, 51) if self.long[dim] else 1
        return given[dim]
