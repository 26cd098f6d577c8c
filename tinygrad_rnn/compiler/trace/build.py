"""From recorded steps to a program over all steps.

Recording a function on two short sequences gives two graphs; each is folded, and what is written here compares the two:
a number that differs is one that depends on the length. Which arguments are sequences was decided before (`record`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.graph import Graph
from ...core.loop.fold import fold
from ...core.loop.program import Node, constant, order
from ...core.loop.recurrence import After, At, Constant, Each, Here, Instruction, Recurrence, Reference, Root, Shift
from ...core.loop.timeline import same_static, same_value
from ...core.primitive import Primitive
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
    leaves: Mapping[int, int | tuple[int, Any] | Tensor],
    first_id: int,
    length: int,
    folded: bool = True,
    named: dict[Any, int] | None = None,
) -> Built:
    """The program of a recording.

    outputs: each a single Tensor, or the entries of a sequence. leaves: id of a leaf -> number of the argument, or that
    and the place in it, or the Tensor outside of the function that it stands for.
    first_id: leaves older than that were made outside of the function, so that their values are read at each call.
    named: name of a leaf of the steps -> number of the argument, whose first entry is that of step 1; (name, step) for
    what stands before.
    """
    graph = Graph([x for group in outputs for x in group])
    writer = _Writer(leaves, first_id, length, named or {})
    return writer.folded(fold(graph), outputs) if folded else writer.flat(graph, outputs)


class _Writer:
    def __init__(
        self, leaves: Mapping[int, int | tuple[int, Any] | Tensor], first_id: int, length: int, named: dict[Any, int]
    ) -> None:
        self.leaves, self.first_id, self.length, self.named = leaves, first_id, length, named
        self.roots: dict[int, Node] = {}
        self.shifts: dict[tuple[int, int], Node] = {}
        self.body: list[Node] = []
        self.after: list[Node] = []
        self.once: dict[tuple[str, int, int], Node] = {}

    # -- a graph without repetition -----------------------------------------------------------------------------------
    def flat(self, graph: Graph, outputs: list[list[Tensor]]) -> Built:
        for node in graph.nodes:
            self.root(node)
        return Built([self.roots[group[0].id] for group in outputs], 0, self.length)

    def root(self, tensor: Tensor) -> Node:
        """What belongs to no step and reads none: leaves, and what is computed from them."""
        stack = [tensor]
        while stack:
            node = stack[-1]
            missing = [x for x in node.inputs if x.id not in self.roots]
            if missing:
                stack += missing
                continue
            stack.pop()
            if node.id in self.roots:
                continue
            if node.op is None:
                self.roots[node.id] = self.leaf(node)
            else:
                ins = [self.roots[x.id] for x in node.inputs]
                self.roots[node.id] = Node(node.op.name, ins, node.params, False, node.value, node.op, node.name or "")
        return self.roots[tensor.id]

    def leaf(self, node: Tensor) -> Node:
        number = self.leaves.get(node.id)
        if isinstance(number, Tensor):
            return Node("input", (), {"tensor": number}, False, node.value)
        if isinstance(number, tuple):
            return Node("input", (), {"leaf": number[0], "at": number[1]}, False, node.value, label=node.name or "")
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
    def folded(self, recurrence: Recurrence, outputs: list[list[Tensor]]) -> Built:
        self.recurrence = recurrence
        self.start = recurrence.start + len(recurrence.first)
        self.lists = recurrence.T - recurrence.ends + len(recurrence.first) + len(recurrence.last)
        self.count = recurrence.T - recurrence.ends
        for instruction in recurrence.body:
            self.body.append(self._body_leaf(instruction) if instruction.op is None else self._shell(instruction, True))
        for p, instruction in enumerate(recurrence.body):
            self.body[p].ins = [self.inside(ref) for ref in instruction.inputs]
        for instruction in recurrence.after:
            self.after.append(self._after(instruction))
        refs = iter(recurrence.outputs)
        found = [self._output(group, refs) for group in outputs]
        return Built(found, self.length - self.count, self.length)

    def _shell(self, i: Instruction, step: bool) -> Node:
        assert i.op is not None
        sample: Any = 0.0 if i.shape == () and i.dtype == np.float64 else np.full(i.shape, 0.5).astype(i.dtype)
        return Node(i.op.name, (), dict(i.params or {}) or None, step, sample, i.op, i.name or "")

    def _body_leaf(self, i: Instruction) -> Node:
        if i.name is None:
            assert i.value is not None
            return constant(i.value)
        values = next(x.values for x in self.recurrence.inputs if x.name == i.place)
        sample = next(iter(values.values()))
        if i.name.startswith("@"):
            number, shift = (int(part) for part in i.name[1:].split(":"))
            if number < 0:
                number, k = -number - 1, self.length - 1 - (shift - self.start)
                return Node("input", (), {"leaf": number, "offset": k, "backwards": True}, True, sample)
            return Node("input", (), {"leaf": number, "offset": self.start + shift, "backwards": False}, True, sample)
        if i.name in self.named:
            params = {"leaf": self.named[i.name], "offset": self.start - 1, "backwards": False}
            return Node("input", (), params, True, sample)
        inner = [value for step, value in values.items() if step is not None]
        if all(same_value(sample, value) for value in inner):
            return constant(sample)
        raise Unfoldable(f"the leaf {i.name} has a value of its own at each step, and is no argument")

    def inside(self, ref: Reference) -> Node:
        """What a step of the body reads."""
        match ref:
            case Here(p):
                return self.body[p]
            case Shift(p, by):
                return self.shift(p, by)
            case _:
                return self.outside(ref)

    def shift(self, p: int, by: int) -> Node:
        """The node at p of another step, as a chain of shifts by one."""
        way = 1 if by > 0 else -1
        source = self.body[p]
        for n in range(1, abs(by) + 1):
            key = (p, way * n)
            if key not in self.shifts:
                self.shifts[key] = Node("shift", (), {"by": way}, True, source.sample, label=source.label)
                first = self.outside(self.recurrence.initial[key])
                if not _spreads(first.shape, source.shape):
                    raise Unfoldable(f"a state of shape {source.shape} starts with shape {first.shape}")
                self.shifts[key].ins = [source, first]
            source = self.shifts[key]
        return source

    def outside(self, ref: Reference) -> Node:
        """What is computed once, or at one step of those that are."""
        match ref:
            case Constant(value):
                return constant(value)
            case Root(tensor):
                return self.root(tensor)
            case After(p):
                return self.after[p]
            case At(step, p):
                return self.at(step, p)
        raise Unfoldable(f"no way to read {ref!r} from outside of the steps")

    def at(self, step: int, p: int) -> Node:
        recurrence = self.recurrence
        first, last = len(recurrence.first), len(recurrence.last)
        if 0 <= step < first:
            return self.peeled(step, p)
        if -last <= step < 0:
            return self.peeled(step, p)
        k = step - first if step >= 0 else step + last
        key = ("at", k, p)
        if key not in self.once:
            source = self.body[p]
            if not source.step:
                return source
            if k == -1 and (p, -1) in recurrence.initial:
                self.once[key] = Node("ends", [self.shift(p, -1)], {}, False, source.sample)
            elif k == 0 and (p, 1) in recurrence.initial:
                self.once[key] = Node("ends", [self.shift(p, 1)], {}, False, source.sample)
            else:
                self.once[key] = Node("at", [source], {"k": k}, False, source.sample)
        return self.once[key]

    def peeled(self, step: int, p: int) -> Node:
        """A node of a step that differs from the others."""
        recurrence = self.recurrence
        steps = recurrence.first if step >= 0 else recurrence.last
        key = ("peeled", step, p)
        if key not in self.once:
            i = steps[step][p]
            if i.op is None:
                self.once[key] = self._peeled_leaf(i, step)
            else:
                shell = self.once[key] = self._shell(i, False)
                shell.ins = [self._from_peeled(ref, step) for ref in i.inputs]
        return self.once[key]

    def _from_peeled(self, ref: Reference, step: int) -> Node:
        return self.peeled(step, ref.position) if isinstance(ref, Here) else self.outside(ref)

    def _peeled_leaf(self, i: Instruction, step: int) -> Node:
        if i.name is None:
            return constant(i.value)
        values = next(x.values for x in self.recurrence.inputs if x.name == i.place)
        recorded = self.recurrence.start + (step if step >= 0 else self.lists + step)
        value = values[recorded]
        if i.name.startswith("@"):
            number, shift = (int(part) for part in i.name[1:].split(":"))
            at = recorded + shift
            if number < 0:
                number, at = -number - 1, shift - recorded
            return Node("input", (), {"leaf": number, "at": at if step >= 0 else at - self.length}, False, value)
        if (i.name, recorded) in self.named:
            return Node("input", (), {"leaf": self.named[i.name, recorded]}, False, value)
        if i.name in self.named:
            at = recorded - 1 if step >= 0 else recorded - 1 - self.length
            return Node("input", (), {"leaf": self.named[i.name], "at": at}, False, value)
        return constant(value)

    def _after(self, i: Instruction) -> Node:
        if any(isinstance(ref, Each) for ref in i.inputs):
            return self._gathered(i)
        node = self._shell(i, False)
        node.ins = [self.outside(ref) for ref in i.inputs]
        return node

    def _gathered(self, i: Instruction) -> Node:
        """A sum over the steps, or a stack of them, with what may stand before and after."""
        assert i.op is not None
        if i.op.name == "add_n":
            terms = []
            for ref in i.inputs:
                if isinstance(ref, Each):
                    if ref.start or ref.stop:
                        raise Unfoldable("a sum over some of the steps")
                    terms += [self._total(self.body[p]) for p in ref.positions]
                else:
                    terms.append(self.outside(ref))
            total = terms[0]
            for term in terms[1:]:
                total = Node("add", [total, term], {}, False, total.sample, _primitive("add"))
            return total
        if i.op.name == "stack" and len(i.inputs) == 1:
            (ref,) = i.inputs
            if isinstance(ref, Each) and len(ref.positions) == 1 and not (ref.start or ref.stop):
                return self.each(ref, i.params or {}, self._shell(i, False).sample)
        raise Unfoldable(f"{i.op.name} over the steps")

    def _total(self, node: Node) -> Node:
        if not node.step:
            raise Unfoldable("a sum of constants over the steps")
        return Node("total", [node], {}, False, node.sample)

    def each(self, ref: Each, params: Any, sample: Any) -> Node:
        node = self.body[ref.positions[0]]
        if not node.step:
            raise Unfoldable("a stack of constants")
        params = {"axis": params.get("axis", 0), "backwards": ref.backwards}
        return Node("each", [node], params, False, sample)

    def _output(self, group: list[Tensor], refs: Any) -> Node:
        ref = next(refs)
        if not isinstance(ref, Each):
            if len(group) > 1:
                raise Unfoldable("a sequence whose ends differ is an output")
            return self.outside(ref)
        if ref.start or ref.stop or len(group) < 2 or len(ref.positions) != 1:
            raise Unfoldable("part of a sequence is an output")
        entry = group[0]
        sample = np.broadcast_to(np.zeros((), entry.dtype), (len(group), *entry.shape))
        return self.each(ref, {"axis": 0}, sample)


def _primitive(name: str) -> Primitive:
    from ...core.primitive import PRIMITIVES

    return PRIMITIVES[name]


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
