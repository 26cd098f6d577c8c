"""Sizes that may not be known yet: unification of rows and columns."""

from __future__ import annotations

from collections.abc import Sequence


class Dimension:
    """A number of rows or columns: a whole number, or unknown until it is joined to a known one."""

    __slots__ = ("_parent", "_size")

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._parent: Dimension | None = None  # of a root, so that nothing refers to itself

    def root(self) -> Dimension:
        here = self
        while here._parent is not None:
            here._parent = here._parent._parent or here._parent
            here = here._parent
        return here

    @property
    def size(self) -> int | None:
        """The number, or None as long as it is unknown."""
        return self.root()._size

    def join(self, other: Dimension) -> bool:
        """Declare two sizes equal; False if they are known to differ."""
        a, b = self.root(), other.root()
        if a is b:
            return True
        if a._size is not None and b._size is not None and a._size != b._size:
            return False
        if a._size is None:
            a._parent = b
        else:
            b._parent = a
        return True

    def __str__(self) -> str:
        return "?" if self.size is None else str(self.size)


class Type:
    """Rows and columns of a quantity."""

    __slots__ = ("columns", "rows")

    def __init__(self, rows: Dimension | int | None = None, columns: Dimension | int | None = None) -> None:
        self.rows = rows if isinstance(rows, Dimension) else Dimension(rows)
        self.columns = columns if isinstance(columns, Dimension) else Dimension(columns)

    @property
    def is_scalar(self) -> bool | None:
        """True, False, or None as long as both are possible."""
        sizes = (self.rows.size, self.columns.size)
        if sizes == (1, 1):
            return True
        return False if any(size not in (None, 1) for size in sizes) else None

    def join(self, other: Type) -> bool:
        """Declare two types equal; False if they are known to differ (nothing is joined then)."""
        pairs = ((self.rows, other.rows), (self.columns, other.columns))
        if any(a.size is not None and b.size is not None and a.size != b.size for a, b in pairs):
            return False
        return all(a.join(b) for a, b in pairs)

    @property
    def transposed(self) -> Type:
        return Type(self.columns, self.rows)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Both numbers, or None while one is unknown."""
        rows, columns = self.rows.size, self.columns.size
        return None if rows is None or columns is None else (rows, columns)

    def __str__(self) -> str:
        return f"{self.rows} x {self.columns}"


class SameShape:
    """`result = a op b` entry by entry: two of one type, or a scalar and anything; decided when enough is known."""

    def __init__(self, a: Type, b: Type, result: Type) -> None:
        self.a, self.b, self.result = a, b, result

    def decide(self, force: bool = False) -> bool | None:
        """True once nothing is left to decide, None while something is; False if the types do not fit."""
        a, b, result = self.a, self.b, self.result
        if a.is_scalar:
            return b.join(result)
        if b.is_scalar:
            return a.join(result)
        if result.is_scalar or force or (a.is_scalar is False and b.is_scalar is False):
            return a.join(b) and a.join(result)
        for known in (a, b):
            if known.is_scalar is False and not known.join(result):
                return False
        return None


class Broadcast(SameShape):
    """As `SameShape` in a file of batches: `samples` is its number of columns. A parameter (`shared` says which of the
    two is made of parameters alone) is a column that meets each of them, and a row of numbers scales them."""

    def __init__(self, a: Type, b: Type, result: Type, samples: Dimension, shared: tuple[bool, bool]) -> None:
        super().__init__(a, b, result)
        self.samples, self.shared = samples, shared

    def decide(self, force: bool = False) -> bool | None:
        """As for `SameShape`."""
        if self.a.is_scalar or self.b.is_scalar:
            return super().decide(force)
        pairs = ((self.a, self.b, self.shared[0]), (self.b, self.a, self.shared[1]))
        for narrow, wide, shared in pairs:
            if not self._is_batch(wide) or self._is_batch(narrow):
                continue
            if narrow.columns.size == 1 or (shared and narrow.columns.size is None):
                fits = wide.join(self.result)
                if fits and (narrow.is_scalar is False or force):
                    return narrow.columns.join(Dimension(1)) and narrow.rows.join(wide.rows)
                return None if fits else False
        for narrow, wide, _ in pairs:
            if self._is_batch(narrow) and narrow.rows.size == 1 and wide.rows.size not in (None, 1):
                return wide.columns.join(narrow.columns) and wide.join(self.result)
        if any(self._is_batch(side) and side.rows.size == 1 for side in (self.a, self.b)) and not force:
            return None  # the other may have more rows
        return super().decide(force)

    def _is_batch(self, type_: Type) -> bool:
        return type_.columns.root() is self.samples.root() or type_.columns.size == self.samples.size


class Stacked:
    """`result` has the rows of all the parts."""

    def __init__(self, parts: Sequence[Type], result: Type) -> None:
        self.parts, self.result = parts, result

    def decide(self, force: bool = False) -> bool | None:
        """As for `SameShape`; a single unknown is worked out from the others."""
        unknown = [part.rows for part in self.parts if part.rows.size is None]
        known = sum(part.rows.size or 0 for part in self.parts)
        total = self.result.rows.size
        if not unknown:
            return self.result.rows.join(Dimension(known))
        if len(unknown) == 1 and total is not None:
            return total > known and unknown[0].join(Dimension(total - known))
        return None
