"""Sizes that may not be known yet: unification of rows and columns."""

from __future__ import annotations

from collections.abc import Sequence


class Dimension:
    """A number of rows or columns: a whole number, or unknown until it is joined to a known one."""

    __slots__ = ("_parent", "_size")

    def __init__(self, size: int | None = None) -> None:
        self._size, self._parent = size, self

    def root(self) -> Dimension:
        here = self
        while here._parent is not here:
            here._parent = here._parent._parent
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
