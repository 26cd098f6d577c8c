"""What of a function depends on the length of its sequences, and at which lengths a form of it was looked at.

`len(x)` is a plain number, so a recording holds only what was computed with it. A number that a form takes is c, c T or
c / T, found at two lengths far apart; and since `min(T, 100)` is T there, the function is recorded once more at the
first length beyond those seen, to compare all numbers that it computes with (its `census`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from ...core.graph import ancestors, is_constant
from ...core.returns import on_return
from ...core.tensor import Tensor

#: relative distance of numbers that are the same but for the rounding of how they were computed
_ROUNDING = 1e-15
#: operations and bytes of the longest recording that is made to look at the numbers in it
_OPERATIONS, _BYTES = 100_000, 1 << 28
_PACKAGE = str(Path(__file__).resolve().parents[2])

#: name of an operation, and the numbers among its inputs and parameters (None for an input that is no number)
Key = tuple[Any, ...]


def power(a: float, b: float, n: int, m: int) -> int | None:
    """Which power of the length a number follows that is a at length n and b at m: 0, 1 or -1; None for no such one.

    >>> [power(a, b, 6, 17) for a, b in ((2.0, 2.0), (3.0, 8.5), (17.0, 6.0), (36.0, 289.0))]
    [0, 1, -1, None]
    """
    if a == b or (a != a and b != b):
        return 0
    if abs(a * m - b * n) <= _ROUNDING * abs(a * m):
        return 1
    return -1 if abs(a * n - b * m) <= _ROUNDING * abs(a * n) else None


class Census(NamedTuple):
    """How often each operation is recorded with which numbers, and the bytes of all results."""

    length: int
    found: dict[Key, int]
    bytes: int


def census(outputs: Iterable[Tensor], length: int) -> Census:
    """What the outputs of a recording at this length are computed with."""
    found: dict[Key, int] = {}
    size = 0
    for node in ancestors(outputs):
        if node.op is not None:
            key = _key(node)
            found[key] = found.get(key, 0) + 1
            size += 8 if type(node.value) is float else node.value.nbytes
    return Census(length, found, size)


def _key(node: Tensor) -> Key:
    assert node.op is not None
    numbers: Iterable[float | None] = [float(x.value) if not x.ndim and is_constant(x) else None for x in node.inputs]
    if len(node.inputs) > 2:  # of what takes as many as there are
        numbers = sorted({x for x in numbers if x is not None})
    return node.op.name, *numbers, *[x for x in (node.params or {}).values() if type(x) is float]


class Lengths:
    """The lengths that a form was looked at, beginning with those of two recordings.

    Each one up to the longer of these two, and beyond it all up to the longest.
    """

    def __init__(self, first: Census, second: Census) -> None:
        self.first, self.second = first, second
        self.short = {first.length, second.length}
        self.longest: float = second.length

    def __contains__(self, T: int) -> bool:
        return T in self.short or self.second.length < T <= self.longest

    def next(self, T: int) -> int:
        """At which length to look, so that T is among those looked at: not a little beyond the last one each time."""
        counts = [(sum(each.found.values()), each.bytes) for each in (self.first, self.second)]
        apart = self.second.length - self.first.length
        more = [max(1, (b - a) // apart) for a, b in zip(*counts, strict=True)]
        most = min(_OPERATIONS // more[0], _BYTES // more[1])
        later = self.longest > self.second.length
        return T if self.second.length >= T else min(max(T, 2 * int(self.longest)) if later else T, most)

    def looked_at(self, T: int, length: int) -> None:
        """Length T is right as far as one can tell, which was looked at by a recording at this length."""
        if self.second.length > T:
            self.short.add(T)
        else:
            self.longest = max(self.longest, length if length >= T else float("inf"))

    def explain(self, third: Census) -> str | None:
        """None if what was recorded at a third length is what the first two foretell; else what is not."""
        a, b, c = self.first, self.second, third
        counts = [_by_operation(each) for each in (a, b, c)]
        for name in sorted({name for each in counts for name in each}):
            i, j, k = (each.get(name, 0) for each in counts)
            if (j - i) * (c.length - a.length) != (k - i) * (b.length - a.length):
                return f"there are {k} times {name} for {c.length} steps, {i} for {a.length} and {j} for {b.length}"
        for one, other in ((b, c), (c, b)):
            for key in one.found.keys() - other.found.keys():
                if not any(_follows(key, seen, one.length, other.length) for seen in other.found):
                    numbers = ", ".join(f"{x!r}" for x in key[1:] if x is not None) or "no number"
                    return f"{key[0]} is computed with {numbers} for {one.length} steps, but not for {other.length}"
        return None


def _by_operation(census: Census) -> dict[str, int]:
    counts: dict[str, int] = {}
    for key, n in census.found.items():
        counts[key[0]] = counts.get(key[0], 0) + n
    return counts


def _follows(a: Key, b: Key, n: int, m: int) -> bool:
    """Whether an operation at one length is that at another, with numbers c, c T or c / T."""
    if len(a) != len(b) or a[0] != b[0]:
        return False
    pairs = zip(a[1:], b[1:], strict=True)
    return all(x is y if x is None or y is None else power(x, y, n, m) is not None for x, y in pairs)


# -- which line it is -------------------------------------------------------------------------------------------------
def line_of(recorded: Callable[[int], Iterable[Tensor]], n: int, m: int) -> str:
    """The first line that computes with a number which is none of c, c T and c / T at these lengths; "" for none."""
    found: list[dict[str, set[Key]]] = []
    for length in (n, m):
        lines: dict[str, set[Key]] = {}
        with _noting(lines):
            recorded(length)
        found.append(lines)
    for line, keys in found[0].items():
        others = found[1].get(line, set())
        if any(not any(_follows(key, other, n, m) for other in others) for key in keys):
            return line
    return ""


@contextmanager
def _noting(lines: dict[str, set[Key]]) -> Iterator[None]:
    """While the block lasts, note for each line of the user's with which numbers it computes."""

    def note(frame: FrameType | None, result: Any) -> None:
        if type(result) is Tensor and result.op is not None and len(_key(result)) > 1:
            while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
                frame = frame.f_back
            if frame is not None:
                where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}, in {frame.f_code.co_name}"
                lines.setdefault(where, set()).add(_key(result))

    with on_return(note):
        yield
