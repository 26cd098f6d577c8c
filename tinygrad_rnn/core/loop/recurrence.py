"""What a recurrence is: one step as a list of instructions, what is carried between steps, what differs at the ends.

Data, and how it reads when printed. Finding a recurrence in a graph belongs to `fold`, running one to `unfold`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import GraphError
from ..primitive import Primitive
from ..tensor import Tensor, Value
from .components import Part, parts


# -- what an instruction may read -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Here:
    """The node at `position` of the same step."""

    position: int


@dataclass(frozen=True)
class Shift:
    """The node at `position` of the step `shift` later (earlier if negative)."""

    position: int
    shift: int


@dataclass(frozen=True)
class At:
    """The node at `position` of one step, counted as in Python: 0, 1, ... from the first, -1, ... from the last."""

    step: int
    position: int


@dataclass(frozen=True)
class Each:
    """The nodes at `positions` of the steps of the body, the first `start` and the last `stop` of them left out."""

    positions: tuple[int, ...]
    start: int = 0
    stop: int = 0
    backwards: bool = False


@dataclass(frozen=True)
class After:
    """The node at `position` of those that belong to no step and read some."""

    position: int


@dataclass(frozen=True, eq=False)
class Root:
    """A node that belongs to no step and reads none: a parameter, or something computed from parameters."""

    node: Tensor


@dataclass(frozen=True, eq=False)
class Constant:
    """A value that has no name and asks for no gradient. Which uses shared one leaf is not kept."""

    value: Value


Reference = Here | Shift | At | Each | After | Root | Constant
Scopes = tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Instruction:
    """One node of a step. `op` is None for a leaf: an input by `name`, or of fixed `value` when it has none.

    `scopes` are the labels around it, None where the step's index stands; `shape` and `dtype` are the recorded ones.
    """

    op: Primitive | None
    params: Mapping[str, Any] | None
    name: str | None
    inputs: tuple[Reference, ...]
    scopes: Scopes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    requires_grad: bool
    value: Value | None = None

    @property
    def place(self) -> str | None:
        """The name with the labels of its scopes, as `encoder.x`."""
        labels = [label for label in self.scopes if label]
        return None if self.name is None else ".".join([*labels, self.name])


Step = tuple[Instruction, ...]


@dataclass(frozen=True)
class Carry:
    """What one step takes from another: the node at `position`, `shift` steps away; and from where at the ends.

    `initial` holds |shift| references in the order of time: to the steps before the body's first, or after its last.
    """

    name: str
    position: int
    shift: int
    initial: tuple[Reference, ...]


@dataclass(frozen=True, eq=False)
class Input:
    """A named leaf that is no parameter, and its recorded `values` by step.

    `position` is its place in the body, None if it stands in the first or last steps alone, or in no step.
    """

    name: str
    position: int | None
    values: Mapping[int | None, Value]


@dataclass(frozen=True, eq=False)
class Recurrence:
    """What `fold` finds: `body` is the step that repeats, `first` and `last` are the steps at the ends that differ.

    `after` holds what belongs to no step and reads some; `outputs` are those of the graph. `start` is the number of the
    first recorded step, `T` how many of the recorded steps compute something. But for `T` and the values in `inputs`,
    all of it is the same for every length.
    """

    carry: tuple[Carry, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Reference, ...]
    parameters: tuple[Tensor, ...]
    body: Step
    first: tuple[Step, ...]
    last: tuple[Step, ...]
    after: Step
    start: int
    T: int = field(compare=False)

    @cached_property
    def initial(self) -> dict[tuple[int, int], Reference]:
        """What stands for a position of the body `n` steps after its last step (n > 0) or before its first (n < 0)."""
        found = {}
        for carried in self.carry:
            distances = range(carried.shift, 0) if carried.shift < 0 else range(1, carried.shift + 1)
            found.update({(carried.position, n): ref for n, ref in zip(distances, carried.initial, strict=True)})
        return found

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The loops over time, in an order in which they can run one after the other, each with its direction.

        Stacked layers are one part, the two directions of a bidirectional net two; what is in no part can be computed
        for all steps at once.
        """
        shifts = {(r.position, r.shift) for r in self._reads() if isinstance(r, Shift)}
        if not shifts:
            return ()
        edges = [
            [(r.position, getattr(r, "shift", 0)) for r in i.inputs if isinstance(r, Here | Shift)] for i in self.body
        ]
        return parts(edges)

    @property
    def ends(self) -> int:
        """How many of the first and last steps compute something."""
        return sum(computes(step) for step in (*self.first, *self.last))

    def _reads(self) -> Iterable[Reference]:
        return (reference for instruction in self.body for reference in instruction.inputs)

    def __repr__(self) -> str:
        carried = ", ".join(c.name for c in self.carry) or "nothing"
        return f"<Recurrence of {len(self.body)} instructions that carries {carried}>"

    def __str__(self) -> str:
        return _Printer(self).text()


def computes(step: Iterable[Instruction]) -> bool:
    """Whether a step does more than hold leaves."""
    return any(instruction.op is not None for instruction in step)


# -- how it reads -----------------------------------------------------------------------------------------------------
_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "matmul": "@", "power": "**"}
_FORMS = {"negative": "-{0}", "transpose": "{0}.T", "square": "{0} ** 2", "identity": "{0}"}


def show_value(value: Value) -> str:
    """A constant in a few characters: `0.5`, `0.0 of shape (4, 1)`, `array of shape (4,)`."""
    array = np.asarray(value)
    if not array.ndim:
        return repr(array.item())
    same = array.size and np.all(array == array.flat[0])
    return f"{array.flat[0].item()!r} of shape {array.shape}" if same else f"array of shape {array.shape}"


class _Printer:
    def __init__(self, recurrence: Recurrence) -> None:
        self.it = recurrence
        first = recurrence.first
        self.zero = recurrence.start + next((i for i, step in enumerate(first) if computes(step)), len(first))
        self.trailing = next(
            (i for i, step in enumerate(reversed(recurrence.last)) if computes(step)), len(recurrence.last)
        )

    def text(self) -> str:
        it = self.it
        lines = [f"recurrence over t = {self.zero} .. {self.from_end(-1 - self.trailing)}"]
        lines += (
            [f"parameters: {', '.join(f'{p.name or p.op} {p.shape}' for p in it.parameters)}"] if it.parameters else []
        )
        given = [
            i.name if None in i.values else f"{i.name}[t]"
            for i in it.inputs
            if i.position is not None or None in i.values
        ]
        lines += [f"inputs: {', '.join(given)}"] if given else []
        for c in it.carry:
            lines.append(
                f"carry: {c.name}[t{c.shift:+d}], at the {'start' if c.shift < 0 else 'end'} "
                + ", ".join(map(self.outside, c.initial))
            )
        for i, step in enumerate(it.first):
            lines += self.block(f"at t = {self.from_start(i)}:", step, f"[{self.from_start(i)}]")
        head, tail = self.from_start(len(it.first)), self.from_end(-1 - len(it.last))
        lines += self.block(f"for t = {head} .. {tail}:", it.body, "[t]")
        for i, step in enumerate(it.last):
            at = self.from_end(i - len(it.last))
            lines += self.block(f"at t = {at}:", step, f"[{at}]")
        lines += self.block("after:", it.after, "") if it.after else []
        return "\n".join([*lines, f"outputs: {', '.join(map(self.outside, it.outputs))}"])

    def from_start(self, i: int) -> str:
        return str(self.it.start + i)

    def from_end(self, i: int) -> str:
        offset = self.zero + i + self.trailing
        return f"T{offset:+d}" if offset else "T"

    def block(self, title: str, step: Step, index: str) -> list[str]:
        return [title, *[f"    {self.line(step, p, index)}" for p in range(len(step))]]

    def line(self, step: Step, p: int, index: str) -> str:
        node = step[p]
        target = _called(step, p, index)
        if node.op is None:
            return f"{target} is given" if node.value is None else f"{target} = {show_value(node.value)}"
        args = [self.read(ref, step, index) for ref in node.inputs]
        form = _FORMS.get(node.op.name)
        if node.op.name in _INFIX:
            return f"{target} = {f' {_INFIX[node.op.name]} '.join(args)}"
        if form is not None:
            return f"{target} = {form.format(*args)}"
        static = [f"{key}={_static(value)}" for key, value in (node.params or {}).items()]
        return f"{target} = {node.op.name}({', '.join(args + static)})"

    def read(self, ref: Reference, step: Step, index: str) -> str:
        if isinstance(ref, Here):
            return _called(step, ref.position, index)
        if isinstance(ref, Shift):
            return f"{_called(self.it.body, ref.position, '')}[t{ref.shift:+d}]"
        return self.outside(ref)

    def outside(self, ref: Reference) -> str:
        it = self.it
        match ref:
            case Constant():
                return show_value(ref.value)
            case Root():
                return ref.node.name or f"the {ref.node.op.name if ref.node.op else 'leaf'} of shape {ref.node.shape}"
            case After():
                return _called(it.after, ref.position, "")
            case At():
                index = self.from_start(ref.step) if ref.step >= 0 else self.from_end(ref.step)
                n = len(it.first) if ref.step >= 0 else len(it.last)
                peeled = it.first if ref.step >= 0 else it.last
                inside = 0 <= ref.step < n or -n <= ref.step < 0
                return f"{_called(peeled[ref.step] if inside else it.body, ref.position, '')}[{index}]"
            case Each():
                ends = [self.from_start(len(it.first) + ref.start), self.from_end(-1 - len(it.last) - ref.stop)]
                names = ", ".join(_called(it.body, p, "", always=True) for p in ref.positions)
                return f"{names} for t = {' .. '.join(ends[::-1] if ref.backwards else ends)}"
        raise GraphError(f"{ref} is not read from outside of a step")


def _called(step: Step, position: int, index: str, always: bool = False) -> str:
    """A named node with its time; `v3` for the unnamed node at position 3, whose time is that of the line."""
    place = step[position].place
    return (f"v{position}" if place is None else place + index) + ("[t]" if always else "")


def _static(value: Any) -> str:
    return show_value(value) if isinstance(value, np.ndarray) else repr(value)
