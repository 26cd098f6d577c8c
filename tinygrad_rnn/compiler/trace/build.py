"""The loop program of a recorded function: what `fold` wrote, its leaves bound to arguments; what of it depends on T.

A function is recorded on two short sequences, and a number that differs between the two programs is one that depends on
the length. Which arguments are sequences was decided before (`record`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.graph import Graph
from ...core.loop import fold
from ...core.loop.program import LoopProgram, Node, at_step, constant, of_tensor, order, rewrite
from ...core.loop.timeline import Timeline, same_static, same_value
from ...core.primitive import PRIMITIVES
from ...core.tensor import Tensor
from ..unsupported import OtherNumber, Unfoldable
from .length_numbers import power


class Built:
    """A program made from one recording: `outputs`, and `ends`, how many of the sequence's steps stand outside of the
    loop."""

    def __init__(self, outputs: list[Node], ends: int, length: int) -> None:
        self.outputs, self.ends, self.length = outputs, ends, length
        #: the `Recording` it was made from: to check a plan against
        self.recorded: Any = None
        #: further arguments, computed from others: see `Unstacking`
        self.derived: dict[int, tuple[int, int, int]] = {}


def build(
    outputs: list[list[Tensor]],
    leaves: Mapping[int, int | Tensor],
    first_id: int,
    length: int,
    folded: bool = True,
) -> Built:
    """The program of a recording. Raises `FoldError` where there is none.

    outputs: each a single Tensor, or the entries of a sequence. leaves: id of a leaf -> number of the argument, or the
    Tensor outside of the function that it stands for.
    first_id: leaves older than that were made outside of the function, so that their values are read at each call.
    """
    if not outputs:
        raise Unfoldable("nothing that is computed from its arguments is returned")
    writer = _Writer(leaves, first_id, length)
    if not folded:
        return writer.flat(outputs)
    timeline = Timeline(Graph([x for group in outputs for x in group]))
    return writer.folded(fold.folded(timeline, outputs), outputs)


class _Writer:
    def __init__(self, leaves: Mapping[int, int | Tensor], first_id: int, length: int) -> None:
        self.leaves, self.first_id, self.length = leaves, first_id, length
        self.roots: dict[int, Node] = {}

    # -- a graph without repetition -----------------------------------------------------------------------------------
    def flat(self, outputs: list[list[Tensor]]) -> Built:
        return Built([self.root(group[0]) for group in outputs], 0, self.length)

    def root(self, tensor: Tensor) -> Node:
        """What belongs to no step and reads none: leaves, and what is computed from them."""
        return of_tensor(tensor, self.roots, self.leaf)

    def leaf(self, node: Tensor) -> Node:
        number = self.leaves.get(node.id)
        if isinstance(number, Tensor):
            return Node("input", (), {"tensor": number}, False, node.value)
        if number is not None:
            at = node.name.partition(":at ")[2] if node.name and node.name.startswith("@") else ""
            params: dict[str, Any] = {"leaf": number}
            if at:
                k = int(at)
                params["at"] = k if 2 * k < self.length else k - self.length
            return Node("input", (), params, False, node.value, label=node.name or "")
        if node.id < self.first_id and (node.requires_grad or node.name is not None):
            return Node("input", (), {"tensor": node}, False, node.value, label=node.name or "")
        return constant(node.value)

    # -- a graph of steps ---------------------------------------------------------------------------------------------
    def folded(self, program: LoopProgram, outputs: list[list[Tensor]]) -> Built:
        self.program = program
        self.count = program.T - program.ends
        self.lists = self.count + len(program.first) + len(program.last)
        found = [_output(group, x) for group, x in zip(outputs, program.outputs, strict=True)]
        return Built(rewrite(rewrite(found, self.bound), _over_steps), self.length - self.count, self.length)

    def bound(self, node: Node) -> Node | None:
        """What stands for a leaf: an argument, or a constant."""
        if node.op != "input":
            return None
        if "tensor" in node.params:
            return self.root(node.params["tensor"])
        (values,) = (x.values for x in self.program.inputs if x.name == node.place)
        return self._step_leaf(node, values) if node.step else self._single_leaf(node, values)

    def _step_leaf(self, node: Node, values: Mapping[int | None, Any]) -> Node:
        """A leaf of the step that repeats."""
        start, name = self.program.start + len(self.program.first), node.label
        sample = next(iter(values.values()))
        if name.startswith("@"):
            number, shift = (int(part) for part in name[1:].split(":"))
            backwards = number < 0  # counted down from the end
            number, offset = (-number - 1, self.length - 1 - shift + start) if backwards else (number, start + shift)
            return Node("input", (), {"leaf": number, "offset": offset, "backwards": backwards}, True, sample)
        if all(same_value(sample, value) for step, value in values.items() if step is not None):
            return constant(sample)
        raise Unfoldable(f"the leaf {name} has a value of its own at each step, and is no argument")

    def _single_leaf(self, node: Node, values: Mapping[int | None, Any]) -> Node:
        """A leaf of a step that differs from the others."""
        step, name = node.params["at"], node.label
        recorded = self.program.start + (step if step >= 0 else self.lists + step)
        value = values[recorded]
        if name.startswith("@"):
            number, shift = (int(part) for part in name[1:].split(":"))
            number, at = (-number - 1, shift - recorded) if number < 0 else (number, recorded + shift)
        else:
            return constant(value)
        return Node("input", (), {"leaf": number, "at": at if step >= 0 else at - self.length}, False, value)


def _output(group: list[Tensor], node: Node) -> Node:
    """A single output, or one that is a whole sequence."""
    if node.op != "spread":
        return node
    if node.params["start"] or node.params["stop"] or len(group) < 2 or len(node.ins) != 1:
        raise Unfoldable("part of a sequence is an output")
    sample = np.broadcast_to(np.zeros((), group[0].dtype), (len(group), *group[0].shape))
    return Node("each", node.ins, {"axis": 0, "backwards": node.params["backwards"]}, False, sample)


def _over_steps(node: Node) -> Node | None:
    """What crosses time as the executors do it: sums and stacks of all steps, no constant of each step."""
    match node.op:
        case "at" | "ends" if not (source := at_step(node).node).step:
            return source
        case "each" | "total" if not node.ins[0].step:
            raise Unfoldable("a sum or a stack of constants over the steps")
        case "shift" if not _spreads(node.ins[1].shape, node.shape):
            raise Unfoldable(f"a state of shape {node.shape} starts with shape {node.ins[1].shape}")
    runs = [x for x in node.ins if x.op == "spread"]
    if not runs:
        return None
    whole = not any(x.params["start"] or x.params["stop"] for x in runs)
    if not all(part.step for x in runs for part in x.ins):
        raise Unfoldable("a sum or a stack of constants over the steps")
    if node.op == "stack" and whole and len(node.ins) == 1 and len(runs[0].ins) == 1:
        params = {"axis": node.params.get("axis", 0), "backwards": runs[0].params["backwards"]}
        return Node("each", runs[0].ins, params, False, node.sample)
    if node.op != "add_n" or not whole:
        raise Unfoldable(f"{node.op} over some of the steps" if not whole else f"{node.op} over the steps")
    terms: list[Node] = []
    for x in node.ins:
        terms += [Node("total", [part], {}, False, part.sample) for part in x.ins] if x in runs else [x]
    total, *rest = terms
    for term in rest:
        total = Node("add", [total, term], {}, False, total.sample, PRIMITIVES["add"])
    return total


# -- what depends on the length -----------------------------------------------------------------------------------
def matched(a: Built, b: Built) -> list[Node]:
    """The program of the first recording, with numbers that depend on the length written so.

    Raises `Unfoldable` where the two recordings differ otherwise: the function then does something else for another
    length, or for other values.
    """
    if a.ends != b.ends:
        raise Unfoldable("the number of steps is not that of the sequence")
    left, right = order(a.outputs), order(b.outputs)
    if len(left) != len(right):
        raise Unfoldable(f"{len(left)} operations for {a.length} steps, {len(right)} for {b.length}")
    numbers = {id(node): n for n, node in enumerate(left)}
    others = {id(node): n for n, node in enumerate(right)}
    for x, y in zip(left, right, strict=True):
        if x.op != y.op or x.step != y.step or [numbers[id(i)] for i in x.ins] != [others[id(i)] for i in y.ins]:
            raise Unfoldable(f"{x.op} stands where for another length stands {y.op}")
        if x.op == "constant":
            if not same_value(x.params["value"], y.params["value"]):
                _of_length(x, y.params["value"], a.length, b.length)
        elif x.op == "input" and "tensor" in x.params:
            if x.params["tensor"] is not y.params["tensor"]:
                raise Unfoldable("another leaf is read for another length")
        elif not same_static(x.params, y.params):
            raise Unfoldable(f"{x.op} has other parameters for another length")
        elif x.shape != y.shape and x.op != "each":
            raise Unfoldable(f"{x.op} has another shape for another length")
    return a.outputs


def confirm(outputs: list[Node], built: Built) -> None:
    """Raise `Unfoldable` unless numbers of the length are in a third recording what they are in the program."""
    for x, y in zip(order(outputs), order(built.outputs), strict=True):
        if x.op == "steps":
            expected, found = x.params["factor"] * float(built.length) ** x.params["power"], y.params["value"]
            if abs(found - expected) > 1e-14 * abs(expected):
                raise OtherNumber(f"the number {found!r} stands where {expected!r} was foretold")


def _of_length(node: Node, other: Any, n: int, m: int) -> None:
    """Write a number that differs as one of T: c T or c / T."""
    a, b = node.params["value"], other
    if type(a) is not float or type(b) is not float:
        raise Unfoldable("an array differs between two recordings: it depends on values, on chance or on the length")
    if not n:
        raise Unfoldable(f"the number {a!r} becomes {b!r} in another recording")
    found = power(a, b, n, m)
    if not found:
        raise OtherNumber(f"the number {a!r} for {n} steps is {b!r} for {m}")
    factor = a / n**found
    whole = abs(factor - round(factor)) <= 1e-12 * max(1.0, abs(factor))
    node.op, node.params, node.ins = "steps", {"factor": float(round(factor)) if whole else factor, "power": found}, []


def _spreads(shape: tuple[int, ...], over: tuple[int, ...]) -> bool:
    """Whether an array of one shape is repeated to another one by broadcasting."""
    rest = over[len(over) - len(shape) :]
    return len(shape) <= len(over) and all(n in (1, m) for n, m in zip(shape, rest, strict=True))
