"""Numbers of a recording: those that a person wrote, and those that may have been counted from data.

From one recording nobody can tell `1 / T` from `1 / 4`. A number that has to do with the length recorded is therefore
a constant with a name, whose value is given; two recordings of a function tell which it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DerivationError
from ..core.tensor import Tensor, plain
from .operations import Form, literal

if TYPE_CHECKING:
    from .names import Names
    from .samples import Axes


class Numbers:
    """Writes numbers. `constants` are those that got a name, with their values; `notes` say why."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {}
        self.notes: list[str] = []
        self._known: dict[Any, Form] = {}

    def begin(self, names: Names, axes: Axes, T: int) -> None:
        """Before the first number is written."""
        self.names, self.axes, self.T = names, axes, T
        sizes = {length for node in axes.nodes for length in node.shape}
        self._counts = {1, 2} | sizes | {a * b for a in sizes for b in sizes}

    def form(self, value: Any, node: Tensor | None = None) -> Form:
        """A constant."""
        array = np.asarray(plain(value))
        if array.size and np.all(array == array.flat[0]):
            return self.number(float(array.flat[0]))
        if node is None:
            raise DerivationError(
                f"an array of shape {array.shape} without a name: give it one with tg.tensor(..., name=...)"
            )
        return self.array(array, node)

    def number(self, value: float) -> Form:
        """A number, the same in all entries."""
        if self.axes.count > 1 and value == self.axes.count:
            return self.samples()
        return self.named(value) if self.suspect(value) else literal(value)

    def array(self, array: np.ndarray, node: Tensor) -> Form:
        """An array without a name, by a name of its own."""
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = node
            self._known[key] = Form(name, axes=self.axes.of(node))
        return self._known[key]

    def samples(self) -> Form:
        """The number of samples, by name: another batch has another one."""
        if "N" not in self._known:
            name = self.names.free("N")
            self.constants[name] = float(self.axes.count)
            self._known["N"] = Form(name)
            self.notes.append(f"{name} is the number of samples, {self.axes.count} in this recording")
        return self._known["N"]

    def suspect(self, number: float) -> bool:
        """Whether a number may be a length or a share of one: a multiple of T or of its neighbours, or one over it."""
        if number in (0.0, 1.0, -1.0) or not np.isfinite(number):
            return False
        near = {n for n in (self.T - 1, self.T, self.T + 1) if n > 1}
        for size in (abs(number), 1.0 / abs(number)):
            whole = round(size)
            close = whole > 1 and abs(size - whole) < 1e-12 * whole and (whole > 2 or self.T < 4)
            if close and any(whole % n == 0 and whole // n in self._counts for n in near):
                return True
        return False

    def named(self, number: float) -> Form:
        """A constant with a name, and why it has one."""
        if number not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = number
            self.notes.append(
                f"{name} = {number!r} may have to do with the length, T = {self.T} in this recording: "
                "it stays a constant with a name; give the function instead of its result to have it told apart"
            )
            self._known[number] = Form(name)
        return self._known[number]
