"""The loop program: what a loop over time computes, for every number of steps.

A node is computed once (`step` False) or at each step (`step` True). An edge stays within a step; time is crossed by
the nodes of `CROSSING` alone, so that a loop is a cycle through a `shift`:

    shift    at step t its first input of step t + by (by = -1 or 1); where there is no such step, its second input
    at       once: its input at one step, params k: 0, 1, .. from the first, -1, .. from the last
    total    once: the sum of its input over all steps
    ends     once: what a `shift` gives beyond the last step it can see (the state after the loop), N >= 0
    each     once: its input at all steps, as one array with time first
    spread   once: its inputs at all steps but the first `start` and the last `stop`, an argument each, for functions
             that take any number of arguments (add_n, stack)

Leaves are `input` (params leaf, and offset, backwards of a step or `at` of what is read once; or the `tensor` that it
is), `constant` (params value) and `steps` (how many steps the sequence has). All else is a primitive of the core by
name, with the params of its forward function. `interpreter` says in code what a program means.

`fold` writes the program of a recorded graph and keeps, as a `LoopProgram`, which step each node was recorded in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..errors import FoldError
from ..graph import ancestors, is_constant
from ..primitive import Primitive
from ..tensor import Tensor, Value

CROSSING = frozenset({"shift", "at", "total", "ends", "each", "spread"})
LEAVES = frozenset({"input", "constant", "steps"})
#: the labels around a node, None where the index of its step stands
Scopes = tuple[str | None, ...]


class Node:
    """One operation; `sample` is a value it had when it was recorded, and so its shape and dtype.

    `function` is the primitive, None for leaves and for what crosses time; `label` the name, "" without one. `scopes`
    and `requires_grad` are those that `fold` found.
    """

    __slots__ = ("function", "ins", "label", "number", "op", "params", "requires_grad", "sample", "scopes", "step")

    def __init__(
        self,
        op: str,
        ins: Iterable[Node] = (),
        params: dict[str, Any] | None = None,
        step: bool = False,
        sample: Value = 0.0,
        function: Primitive | None = None,
        label: str = "",
        scopes: Scopes = (),
        requires_grad: bool = False,
    ) -> None:
        self.op, self.ins, self.params = op, list(ins), params or {}
        self.step, self.sample, self.function, self.label = step, sample, function, label
        self.scopes, self.requires_grad = scopes, requires_grad
        self.number = -1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape at one step."""
        return np.shape(self.sample)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype; float64 for what is held as a Python float."""
        return np.dtype(np.float64) if type(self.sample) is float else self.sample.dtype

    @property
    def place(self) -> str:
        """The name with the labels of its scopes, as `encoder.x`; "" without a name."""
        return self.label and ".".join([*(label for label in self.scopes if label), self.label])

    def __repr__(self) -> str:
        ins = ", ".join(f"{x.op}#{id(x) % 9973}" for x in self.ins)
        return f"<{self.op}{'[t]' if self.step else ''} {self.shape} ({ins}) {self.params or ''}>"


def constant(value: Value) -> Node:
    """A node for a number or an array."""
    return Node("constant", (), {"value": value}, False, value)


def outside(tensor: Tensor) -> Node:
    """A node for what belongs to no step: a plain value, or a Tensor as it is."""
    if is_constant(tensor):
        return constant(tensor.value)
    return Node("input", (), {"tensor": tensor}, False, tensor.value, label=tensor.name or "")


def of_tensor(tensor: Tensor, known: dict[int, Node], leaf: Callable[[Tensor], Node]) -> Node:
    """The node of a Tensor and, in `known` by id, of all that it was computed from and that is not known already."""
    for x in ancestors([tensor], stop=known):
        if x.id not in known:
            ins = [known[y.id] for y in x.inputs]
            step = any(y.step for y in ins)
            computed = x.op and Node(x.op.name, ins, x.params, step, x.value, x.op, x.name or "")
            known[x.id] = computed or leaf(x)
    return known[tensor.id]


def is_number(node: Node, number: float | None = None) -> bool:
    """Whether a node is a constant with one entry (of that value)."""
    if node.op != "constant" or node.shape:
        return False
    return number is None or float(node.params["value"]) == number


def order(outputs: Iterable[Node]) -> list[Node]:
    """Every node the outputs depend on, each after its inputs but for what a `shift` takes from another step.

    Raises `FoldError` for a node that depends on itself within a step.
    """
    done: dict[int, Node] = {}
    begun: set[int] = set()
    later: list[Node] = list(outputs)
    while later:
        stack = [(later.pop(), False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                done[id(node)] = node
            elif id(node) not in done:
                if id(node) in begun:
                    raise FoldError(f"{node.op} depends on itself within a step")
                begun.add(id(node))
                stack.append((node, True))
                ins = node.ins
                if node.op == "shift":
                    later.append(ins[0])
                    ins = ins[1:]
                stack += [(x, False) for x in reversed(ins) if id(x) not in done]
    return list(done.values())


def users(nodes: Iterable[Node]) -> dict[int, list[tuple[Node, int]]]:
    """For each node (by `id`) who reads it, and as which input."""
    found: dict[int, list[tuple[Node, int]]] = {}
    for node in nodes:
        for j, x in enumerate(node.ins):
            found.setdefault(id(x), []).append((node, j))
    return found


def rewrite(outputs: list[Node], rule: Callable[[Node], Node | None]) -> list[Node]:
    """The outputs after `rule` gave for each node, its inputs first, another one (or None to keep it).

    Nodes are changed in place where only their inputs differ; so whoever holds one sees the change.
    """
    became: dict[int, Node] = {}
    nodes = order(outputs)
    for node in nodes:
        for j, x in enumerate(node.ins):
            node.ins[j] = became.get(id(x), x)
        new = rule(node)
        if new is not None and new is not node:
            became[id(node)] = new
    if became:
        for node in nodes + list(became.values()):
            for j, x in enumerate(node.ins):
                node.ins[j] = _last(became, x)
    return [_last(became, x) for x in outputs]


def _last(became: dict[int, Node], node: Node) -> Node:
    while id(node) in became:
        node = became[id(node)]
    return node


# -- a folded graph ---------------------------------------------------------------------------------------------------
Step = tuple[Node, ...]


class Single(NamedTuple):
    """A node of the body at another step: `by` steps later, or step `k` of the body, from its end if negative."""

    node: Node
    by: int


def shifted(node: Node) -> Single:
    """What a node reads through so many `shift`s in a row, and how many steps later in all."""
    by = 0
    while node.op == "shift":
        node, by = node.ins[0], by + node.params["by"]
    return Single(node, by)


def at_step(node: Node) -> Single:
    """What an `at` or an `ends` reads of the body, and at which of its steps."""
    if node.op == "at":
        return Single(node.ins[0], node.params["k"])
    source, by = shifted(node.ins[0])
    return Single(source, -1 if by < 0 else 0)


@dataclass(frozen=True)
class Carry:
    """What one step takes from another: the node at `position` of the body, `shift` steps away; and from where at the
    ends.

    `initial` holds |shift| nodes in the order of time: of the steps before the body's first, or after its last.
    """

    name: str
    position: int
    shift: int
    initial: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Input:
    """A named leaf that is no parameter, and its recorded `values` by step; whether it stands in the `body`."""

    name: str
    body: bool
    values: Mapping[int | None, Value]


@dataclass(frozen=True, eq=False)
class LoopProgram:
    """What `fold` finds: `body` is the step that repeats, `first` and `last` are the steps at the ends that differ.

    Nodes stand in the order of recording. `after` holds what belongs to no step and reads some; `outputs` are those of
    the graph. `start` is the number of the first recorded step, `T` how many of the recorded steps compute something.
    But for `T` and the recorded values all of it is the same for every length.
    """

    body: Step
    first: tuple[Step, ...]
    last: tuple[Step, ...]
    after: Step
    outputs: tuple[Node, ...]
    inputs: tuple[Input, ...]
    parameters: tuple[Tensor, ...]
    start: int
    T: int = field(compare=False)

    @cached_property
    def carry(self) -> tuple[Carry, ...]:
        """What the steps of the body take from each other, by position."""
        position = {id(node): p for p, node in enumerate(self.body)}
        found: dict[tuple[int, int], Node] = {}
        for x in (x for node in self.body for x in node.ins if x.op == "shift"):
            source, by = shifted(x)
            found[position[id(source)], by] = x
        return tuple(Carry(self.body[p].label or f"v{p}", p, by, _initial(found[p, by], by)) for p, by in sorted(found))

    @cached_property
    def initial(self) -> dict[tuple[int, int], Node]:
        """What stands for a position of the body `n` steps after its last step (n > 0) or before its first (n < 0)."""
        found = {}
        for carried in self.carry:
            distances = range(carried.shift, 0) if carried.shift < 0 else range(1, carried.shift + 1)
            found.update({(carried.position, n): node for n, node in zip(distances, carried.initial, strict=True)})
        return found

    @property
    def ends(self) -> int:
        """How many of the first and last steps compute something."""
        return sum(computes(step) for step in (*self.first, *self.last))

    @property
    def blocks(self) -> dict[int | None, Step]:
        """The nodes beside the body: those after the steps by None, those of a step at an end by its number from there
        (0, 1, ... or -1, -2, ...)."""
        return dict([(None, self.after), *enumerate(self.first), *enumerate(self.last, -len(self.last))])

    def __repr__(self) -> str:
        carried = ", ".join(c.name for c in self.carry) or "nothing"
        return f"<LoopProgram of {len(self.body)} nodes that carries {carried}>"

    def __str__(self) -> str:
        return _Printer(self).text()


def _initial(node: Node, by: int) -> tuple[Node, ...]:
    """What a chain of shifts gives beyond the ends, in the order of time."""
    found = []
    while node.op == "shift":
        found.append(node.ins[1])
        node = node.ins[0]
    return tuple(found if by < 0 else found[::-1])


def computes(step: Iterable[Node]) -> bool:
    """Whether a step does more than hold leaves."""
    return any(node.function is not None for node in step)


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
    def __init__(self, program: LoopProgram) -> None:
        self.it = program
        first, last = program.first, program.last
        self.zero = program.start + next((i for i, step in enumerate(first) if computes(step)), len(first))
        self.trailing = next((i for i, step in enumerate(reversed(last)) if computes(step)), len(last))
        #: for each node its name and the time of its step; `v3` at position 3 of its step where nobody named it
        self.called: dict[int, tuple[str, str]] = {}
        ends = [("" if i is None else f"[{self.index(i)}]", step) for i, step in program.blocks.items()]
        for index, step in [("[t]", program.body), *ends]:
            self.called.update({id(node): (node.place or f"v{p}", index) for p, node in enumerate(step)})

    def text(self) -> str:
        it = self.it
        lines = [f"recurrence over t = {self.zero} .. {self.index(-1 - self.trailing)}"]
        if it.parameters:
            lines.append(f"parameters: {', '.join(f'{p.name or p.op} {p.shape}' for p in it.parameters)}")
        given = [i.name if None in i.values else f"{i.name}[t]" for i in it.inputs if i.body or None in i.values]
        lines += [f"inputs: {', '.join(given)}"] if given else []
        for c in it.carry:
            where = "start" if c.shift < 0 else "end"
            lines.append(f"carry: {c.name}[t{c.shift:+d}], at the {where} {', '.join(map(self.read, c.initial))}")
        for i, step in enumerate(it.first):
            lines += self.block(f"at t = {self.index(i)}:", step)
        head, tail = self.index(len(it.first)), self.index(-1 - len(it.last))
        lines += self.block(f"for t = {head} .. {tail}:", it.body)
        for i, step in enumerate(it.last, -len(it.last)):
            lines += self.block(f"at t = {self.index(i)}:", step)
        lines += self.block("after:", it.after) if it.after else []
        return "\n".join([*lines, f"outputs: {', '.join(map(self.read, it.outputs))}"])

    def index(self, i: int) -> str:
        """A step, counted among all recorded ones from the first (0, 1, ...) or the last (-1, -2, ...)."""
        if i >= 0:
            return str(self.it.start + i)
        offset = self.zero + i + self.trailing
        return f"T{offset:+d}" if offset else "T"

    def of_body(self, k: int) -> str:
        """A step of the body, counted from its first or its last."""
        return self.index(k + len(self.it.first) if k >= 0 else k - len(self.it.last))

    def block(self, title: str, step: Step) -> list[str]:
        return [title, *[f"    {self.line(node)}" for node in step]]

    def line(self, node: Node) -> str:
        here = self.called[id(node)][1]
        target = self.read(node, here)
        if node.function is None:
            return f"{target} = {show_value(node.params['value'])}" if node.op == "constant" else f"{target} is given"
        args = [self.read(x, here) for x in node.ins]
        if node.op in _INFIX:
            return f"{target} = {f' {_INFIX[node.op]} '.join(args)}"
        if node.op in _FORMS:
            return f"{target} = {_FORMS[node.op].format(*args)}"
        static = [f"{key}={_static(value)}" for key, value in node.params.items()]
        return f"{target} = {node.op}({', '.join(args + static)})"

    def read(self, x: Node, here: str | None = None) -> str:
        """A node as it is read, in the step of time `here`, which need not be said of what has no name."""
        if id(x) in self.called:
            name, index = self.called[id(x)]
            return name if index == here and not x.place else name + index
        match x.op:
            case "constant":
                return show_value(x.params["value"])
            case "input":
                tensor = x.params["tensor"]
                return tensor.name or f"the {tensor.op.name if tensor.op else 'leaf'} of shape {tensor.shape}"
            case "shift":
                source, by = shifted(x)
                return f"{self.called[id(source)][0]}[t{by:+d}]"
            case "spread":
                ends = [self.of_body(x.params["start"]), self.of_body(-1 - x.params["stop"])]
                names = ", ".join("".join(self.called[id(node)]) for node in x.ins)
                return f"{names} for t = {' .. '.join(ends[::-1] if x.params['backwards'] else ends)}"
        source, k = at_step(x)
        return f"{self.called[id(source)][0]}[{self.of_body(k)}]"


def _static(value: Any) -> str:
    return show_value(value) if isinstance(value, np.ndarray) else repr(value)
