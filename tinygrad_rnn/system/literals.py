"""Numbers of a recording: those that a person wrote, and those that may have been counted from data.

From one recording nobody can tell `1 / T` from `1 / 4`. A number that has to do with the length recorded is therefore
a constant with a name, whose value is given; two recordings of a function tell which it is.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DerivationError
from ..core.tensor import Tensor, plain
from .expression_text import ATOM, PRODUCT, SIGN, ExpressionText, literal
from .samples import said

if TYPE_CHECKING:
    from .quantity_names import QuantityNames
    from .samples import Axes


class Numbers:
    """Writes numbers. `constants` are those that got a name, with their values; `notes` say why."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {}
        self.notes: list[str] = []
        self._known: dict[Any, ExpressionText] = {}

    def begin(self, names: QuantityNames, axes: Axes, T: int) -> None:
        """Before the first number is written."""
        self.names, self.axes, self.T = names, axes, T
        self.timed = names.recorded.timed
        sizes = {length for node in axes.nodes for length in node.shape}
        self._counts = {1, 2} | sizes | {a * b for a in sizes for b in sizes}

    def form(self, value: Any, node: Tensor | None = None) -> ExpressionText:
        """A constant."""
        array = np.asarray(plain(value))
        if array.size and np.all(array == array.flat[0]):
            return self.number(float(array.flat[0]))
        if node is None:
            raise DerivationError(
                f"an array of shape {array.shape} without a name: give it one with tg.tensor(..., name=...)"
            )
        return self.array(array, node)

    def number(self, value: float) -> ExpressionText:
        """A number, the same in all entries."""
        if self.axes.count > 1 and value == self.axes.count:
            return self.samples()
        return self.named(value) if self.suspect(value) else literal(value)

    def exponent(self, node: Tensor) -> None:
        """Raises `DerivationError` for an exponent that may be the length."""
        n = (node.params or {})["n"]
        if abs(n) > 3 and self.suspect(n):
            raise DerivationError(
                f"{said(node)}: the exponent {n} may have to do with the length, T = {self.T} in this recording; "
                "record another length"
            )

    def array(self, array: np.ndarray, node: Tensor) -> ExpressionText:
        """An array without a name, by a name of its own."""
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = node
            self._known[key] = ExpressionText(name, axes=self.axes.of(node))
        return self._known[key]

    def samples(self) -> ExpressionText:
        """The number of samples, by name: another batch has another one."""
        if "N" not in self._known:
            name = self.names.free("N")
            self.constants[name] = float(self.axes.count)
            self._known["N"] = ExpressionText(name)
            self.notes.append(f"{name} is the number of samples, {self.axes.count} in this recording")
        return self._known["N"]

    def of_data(self, node: Tensor) -> ExpressionText:
        """A sum over the samples of data alone, as how many of them count: given, since it has no gradient."""
        if node.id not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = float(np.sum(plain(node.value)))
            self._known[node.id] = ExpressionText(name)
            self.notes.append(f"{name} adds up data of all {self.axes.count} samples: it is given")
        return self._known[node.id]

    def suspect(self, number: float) -> bool:
        """Whether a number may be a length or a share of one: a multiple of T or of its neighbours, or one over it."""
        if number in (0.0, 1.0, -1.0) or not np.isfinite(number):
            return False
        near = {n for n in (self.T - 1, self.T, self.T + 1) if n > 1} if self.timed else set()
        for size in (abs(number), 1.0 / abs(number)):
            whole = round(size)
            close = whole > 1 and abs(size - whole) < 1e-12 * whole and (whole > 2 or self.T < 4)
            if close and any(whole % n == 0 and whole // n in self._counts for n in near):
                return True
        return False

    def named(self, number: float) -> ExpressionText:
        """A constant with a name, and why it has one."""
        if number not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = number
            self.notes.append(
                f"{name} = {number!r} may have to do with the length, T = {self.T} in this recording: "
                "it stays a constant with a name; give the function instead of its result to have it told apart"
            )
            self._known[number] = ExpressionText(name)
        return self._known[number]


# -- several recordings -----------------------------------------------------------------------------------------------
class LengthsDiffer(DerivationError):
    """The equations of two recordings are not the same."""


class Collected(Numbers):
    """Keeps every number of one recording, in the order in which they are written; none is written but 0 and 1."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[float] = []

    def number(self, value: float) -> ExpressionText:
        """A number, to be told later."""
        self.met.append(value)
        return literal(value) if value in (0.0, 1.0) else ExpressionText("·")

    def exponent(self, node: Tensor) -> None:
        """An exponent, which is compared as part of the equations."""


class Told(Numbers):
    """Writes each number as what several recordings say it is: a constant, or one of T and N."""

    def __init__(self) -> None:
        super().__init__()
        self._points: list[tuple[int, int]] = []
        self._met: list[list[float]] = []
        self._lines: list[list[str]] = []
        self._sizes: list[dict[str, int]] = []
        self._forms: list[tuple[float, int, int, int] | None] = []

    def add(self, T: int, axes: Axes, lines: list[str], numbers: Collected) -> None:
        """One more recording: its length, axes, equations, and the numbers in them."""
        self._points.append((T, axes.count))
        self._met.append(numbers.met)
        self._lines.append(lines)
        arrays = {name: x for name, x in numbers.constants.items() if isinstance(x, Tensor)}
        self._sizes.append({name: x.size // (axes.count if axes.has_samples(x) else 1) for name, x in arrays.items()})

    def compare(self, lengths: int | None = None) -> None:
        """Find what each number is. Raises `LengthsDiffer` where the equations differ otherwise.

        lengths: how many different numbers of steps there have to be, more than one if it is not said.
        """
        first, T = self._lines[0], [T for T, _ in self._points]
        if lengths is not None and len(set(T)) != lengths:
            raise DerivationError(
                f"the loop has {T[0]} steps, or {T[-1]} for other values: it stops by what it computes"
            )
        if lengths is None and len(set(T)) == 1:
            raise DerivationError(f"the loop has {T[0]} steps, however long the arguments are")
        for lines, length in zip(self._lines, T, strict=True):
            for a, b in zip(first, lines, strict=False):
                if a != b:
                    raise LengthsDiffer(
                        f"something else is computed at other lengths or values: {a.replace('·', '…')} at T = {T[0]}, "
                        f"{b.replace('·', '…')} at T = {length}"
                    )
        for sizes in self._sizes:
            for name, size in sizes.items():
                if size != self._sizes[0].get(name):
                    raise LengthsDiffer(
                        f"an array without a name has {self._sizes[0].get(name)} entries or {size}, by length"
                    )
        counts = {(len(lines), len(met)) for lines, met in zip(self._lines, self._met, strict=True)}
        if len(counts) > 1:
            raise LengthsDiffer("something else is computed at other lengths or values")
        self._forms = [_fitted([met[n] for met in self._met], self._points) for n in range(len(self._met[0]))]
        self._forms.reverse()

    def exponent(self, node: Tensor) -> None:
        """An exponent, which was compared as part of the equations."""

    def number(self, value: float) -> ExpressionText:
        """The next number, as what it is at every length."""
        fitted = self._forms.pop()
        if fitted is None:
            return self._given(value)
        factor, more, t, n = fitted
        above: list[str] = []
        below: list[str] = []
        for name, power in ((f"(T{more:+d})" if more else "T", t), ("N", n)):
            if power:
                name = self.samples().text if name == "N" else name
                (above if power > 0 else below).append(name if abs(power) == 1 else f"{name}**{abs(power)}")
        return _quotient(factor, above, below) if above or below else literal(factor)

    def _given(self, value: float) -> ExpressionText:
        """A number that changes in no way that is known here."""
        if value not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = value
            self._known[value] = ExpressionText(name)
            self.notes.append(f"{name} = {value!r} here, and another number for other lengths or values: it is given")
        return self._known[value]


def _quotient(factor: float, above: list[str], below: list[str]) -> ExpressionText:
    exact = Fraction(factor).limit_denominator(1000)
    if abs(float(exact) - factor) < 1e-12 * abs(factor):
        if exact.numerator != 1 or not above:
            above.insert(0, str(exact.numerator))
        if exact.denominator != 1:
            below.insert(0, str(exact.denominator))
    else:
        above.insert(0, repr(factor))
    top, bottom = " * ".join(above), " * ".join(below)
    if not below:
        return ExpressionText(top, PRODUCT if len(above) > 1 else ATOM if factor > 0 else SIGN)
    return ExpressionText(f"{top} / {f'({bottom})' if len(below) > 1 else bottom}", PRODUCT)


#: the powers of the length and of the number of samples that are looked for in a number
_POWERS = (0, -1, 1, -2, 2)


def _fitted(values: list[float], points: list[tuple[int, int]]) -> tuple[float, int, int, int] | None:
    """A factor, m, and the powers of T + m and N that give these values at these points; None if there are none."""
    if len(set(values)) == 1:
        return values[0], 0, 0, 0
    if not all(np.isfinite(values)) or 0.0 in values:
        return None
    for more, n, t in product((0, -1, 1), _POWERS[:3], _POWERS):
        factors = [v / (float(T + more) ** t * float(N) ** n) for v, (T, N) in zip(values, points, strict=True)]
        if max(factors) - min(factors) <= 1e-13 * max(map(abs, factors)):
            factor, whole = factors[0], round(factors[0])
            return (float(whole) if abs(factor - whole) < 1e-12 * abs(factor) else factor), more, t, n
    return None
