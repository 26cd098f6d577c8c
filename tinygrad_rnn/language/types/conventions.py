"""How a file is read: vectors as columns or rows, powers and products over time as those of matrices or of entries."""

from __future__ import annotations

from dataclasses import dataclass

VECTORS = ("columns", "rows")
#: the readings of powers and of products over time: by their place in the formula, or all of them in one way
READINGS = ("place", "matrix", "entries")


@dataclass(frozen=True)
class Convention:
    """`vectors` is one of `VECTORS`, `reading` one of `READINGS`, `samples` how many columns a name has in a file of
    batches (0 in any other, where an equation holds for each sample).

    In a file of rows h[t] is 1 x n, a batch is more rows, `[h, x]` stands side by side, and functions of a vector take
    rows.
    """

    vectors: str = "columns"
    reading: str = "place"
    samples: int = 0

    @property
    def rows(self) -> bool:
        return self.vectors == "rows"
