"""Equations of a recorded loop: a graph, folded, as a model of the recurrence language.

Each node that has a name is an equation, everything else stands inside of one. Steps that differ at the ends have
equations of their own; what belongs to no step has equations without time. Nothing is generalised that one recording
cannot tell: a number that may be the length stays a named constant (`numbers`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import DerivationError
from ..core.recurrence import After, At, Constant, Each, Here, Instruction, Reference, Root, Shift
from ..core.tensor import Tensor, plain
from ..core.timeline import is_constant
from .names import ENTRY, Names, Slot, slot_of
from .numbers import Numbers
from .operations import SUM, Form, literal, write
from .recorded import Recorded
from .samples import Axes, said


@dataclass(frozen=True)
class Time:
    """A step as it is written: t-1, T or 3."""

    variable: str
    offset: int

    def __str__(self) -> str:
        if not self.variable:
            return str(self.offset)
        return f"{self.variable}{self.offset:+d}" if self.offset else self.variable

    def moved(self, by: int) -> Time:
        """So many steps later."""
        return Time(self.variable, self.offset + by)

    def number(self, T: int) -> int:
        """Which step it is in a run of T steps."""
        return self.offset + (T if self.variable == "T" else 0)


NOW = Time("t", 0)
Block = tuple[str | int, ...]


@dataclass(frozen=True)
class Term:
    """A term of a sum over time: what stands at each step from `first` to `last`, or at one of them."""

    slot: Slot | None
    ref: Reference
    block: Block
    first: Time
    last: Time


class Writer:
    """Writes the equations of a recording; `lines` are those of the forward part, `values` what was recorded."""

    def __init__(self, recorded: Recorded, numbers: Numbers) -> None:
        self.recorded, self.it, self.numbers = recorded, recorded.recurrence, numbers
        lists, busy = recorded.timeline.lists, recorded.timeline.busy
        self.count, self.zero, self.T = len(lists), busy.index(True), sum(busy)
        self.trailing = busy[::-1].index(True)
        self.lo, self.hi = len(self.it.first), self.count - len(self.it.last) - 1
        self.axes = Axes(recorded.graph.nodes, self._aligned())
        self.running = self._running()
        self.names = Names(recorded, self.running)
        numbers.begin(self.names, self.axes, self.T)
        #: where states begin, as arrays without a name, each with a node of the same axes
        self.starts: dict[tuple[str, int], tuple[Any, Tensor]] = {}
        self._forms: dict[tuple[Block, Time | None], list[Form | None]] = {}
        self._roots: dict[int, Form] = {}
        self._first_read = self._entries()
        self.lines: list[str] = []
        self.write()

    # -- where things stand -------------------------------------------------------------------------------------------
    def _aligned(self) -> list[list[Tensor]]:
        """The nodes that play one part of the body."""
        body = self.recorded.timeline.lists[self.lo : self.hi + 1]
        return [list(parts) for parts in zip(*body, strict=False)]

    def time(self, step: int) -> Time:
        """A recorded step, counted as in `At`: 1 is the first that computes something, T the last."""
        return Time("", step - self.zero + 1) if step >= 0 else Time("T", step + 1 + self.trailing)

    def listed(self, step: int) -> int:
        """Where a step stands among all recorded ones."""
        return step if step >= 0 else self.count + step

    def instructions(self, block: Block) -> tuple[Instruction, ...]:
        """What a block consists of."""
        match block:
            case ("body",):
                return self.it.body
            case ("after",):
                return self.it.after
            case ("end", int() as step):
                return self.it.first[step] if step >= 0 else self.it.last[step]
        raise TypeError(f"{block} is no block")

    def node(self, slot: Slot, step: int | None = None) -> Tensor:
        """The recorded node of a slot, of the body that of one step."""
        lists = self.recorded.timeline.lists
        match slot:
            case ("body", int() as p):
                return lists[(self.lo + self.hi) // 2 if step is None else step][p]
            case ("end", int() as at, int() as p):
                return lists[self.listed(at)][p]
            case ("after", int() as p):
                return self.recorded.timeline.after[p]
        raise TypeError(f"{slot} is no slot")

    def block_at(self, step: int) -> Block:
        """The block that a step, counted as in `At`, belongs to."""
        first, last = len(self.it.first), len(self.it.last)
        return ("end", step) if 0 <= step < first or -last <= step < 0 else ("body",)

    # -- sums that run along with the steps -------------------------------------------------------------------------
    def _running(self) -> dict[int, int]:
        """The positions of the body where something is added up that nobody but the last step's reader looks at, and
        which input is the sum so far."""
        found: dict[int, int] = {}
        for p, i in enumerate(self.it.body):
            so_far = [j for j, ref in enumerate(i.inputs) if isinstance(ref, Shift) and ref.position == p]
            if i.op is not None and i.op.name == "add" and i.name is None and len(so_far) == 1:
                found[p] = so_far[0]
        for block in (self.it.body, *self.it.first, *self.it.last, self.it.after):
            for q, i in enumerate(block):
                for j, ref in enumerate(i.inputs):
                    for p in _positions(ref):
                        if (
                            p in found
                            and not (block is self.it.body and q == p and j == found[p])
                            and not self._ends(ref)
                        ):
                            del found[p]
        for ref in self.it.outputs:
            for p in _positions(ref):
                if p in found and not self._ends(ref):
                    del found[p]
        return found

    def _ends(self, ref: Reference) -> bool:
        """Whether a reference means the last step of the body."""
        return (
            isinstance(ref, At) and self.listed(ref.step) in (self.lo, self.hi) and self.block_at(ref.step) == ("body",)
        )

    def terms(self, ref: Reference, block: Block, at: Time | None) -> list[Term]:
        """What is added up over time where a reference stands: the reference itself, or the terms of the sum it means."""
        stack, found = [(ref, block, at)], []
        while stack:
            ref, block, at = stack.pop()
            if isinstance(ref, Each):
                first, last = self.time(self.lo + ref.start), self.time(self.hi - self.count - ref.stop)
                found += [Term(("body", p), Here(p), ("body",), first, last) for p in ref.positions]
                continue
            place = self._of_step(ref, block, at)
            if place is not None and place[0] == ("body",) and place[1] in self.running:
                found += self._run_over(place[1], stack)
                continue
            if place is not None and (place[0][0] == "end" or place[0] == ("after",)):
                i = self.instructions(place[0])[place[1]]
                if i.op is not None and i.op.name in ("add", "add_n") and (*place[0], place[1]) not in self.names.of:
                    stack += [(inner, place[0], place[2]) for inner in reversed(i.inputs)]
                    continue
            here = at or NOW
            found.append(Term(None, ref, block, here, here))
        return found

    def _of_step(self, ref: Reference, block: Block, at: Time | None) -> tuple[Block, int, Time | None] | None:
        """Block, position and time of what a reference means; None for what belongs to no step."""
        match ref:
            case Here(position):
                return block, position, at
            case After(position):
                return ("after",), position, None
            case At(step, position):
                return self.block_at(step), position, self.time(step)
        return None

    def _run_over(self, p: int, stack: list[Any]) -> list[Term]:
        """The terms of a sum that runs along with the body; where it began goes to the stack."""
        i, j = self.it.body[p], self.running[p]
        way = i.inputs[j].shift  # type: ignore[union-attr]
        begin = self.it.initial[p, way]
        stack.append((begin, ("after",), None))
        other = i.inputs[1 - j]
        return [Term(None, other, ("body",), self.time(self.lo), self.time(self.hi - self.count))]

    def total(self, terms: Iterable[Term]) -> Form:
        """Terms over time as a sum, neighbours that say the same as one."""
        spans: list[Term] = []
        single: list[tuple[Term, Form]] = []
        for term in terms:
            if term.block == ("body",) and term.first != NOW:
                spans.append(term)
            else:
                single.append((term, self.form(term.ref, term.block, term.first if term.block != ("after",) else None)))
        result: Form | None = None
        for span in spans:
            span, single = self._widened(span, single)
            body = self.form(span.ref, ("body",), NOW)
            part = Form(f"sum({self.range(span.first, span.last)}, {body.text})", axes=body.axes, pooled=body.pooled)
            result = part if result is None else _plus(result, part)
        for _, form in single:
            if form.number != 0.0:
                self.axes.shared |= form.number is None and result is not None and form.pooled != result.pooled
                result = form if result is None else _plus(result, form)
        return result or literal(0.0)

    def _widened(self, span: Term, single: list[tuple[Term, Form]]) -> tuple[Term, list[tuple[Term, Form]]]:
        """The span with the terms before and after it that say the same at their step."""
        left = list(single)
        while True:
            for time, edge in ((span.first.moved(-1), "first"), (span.last.moved(1), "last")):
                said_ = self.form(span.ref, ("body",), time)
                match = next((n for n, (_, form) in enumerate(left) if form.text == said_.text), None)
                if match is not None and 1 <= time.number(self.T) <= self.T:
                    del left[match]
                    span = replace(span, **{edge: time})
                    break
            else:
                return span, left

    def range(self, first: Time, last: Time) -> str:
        """The range of a sum: `t`, `t > 1`, `t < T` or `t = 2..T-1`."""
        if last == Time("T", 0):
            return (
                "t"
                if first == Time("", 1)
                else f"t > {first.moved(-1)}"
                if not first.variable
                else f"t = {first}..{last}"
            )
        return f"t < {last.moved(1)}" if first == Time("", 1) else f"t = {first}..{last}"

    # -- expressions --------------------------------------------------------------------------------------------------
    def form(self, ref: Reference, block: Block, at: Time | None, node: Tensor | None = None) -> Form:
        """What a reference from a block, at its time, is written as; `node` is what it means."""
        match ref:
            case Constant(value):
                return self.numbers.form(value, node)
            case Shift(position, shift):
                return self.reading(("body", position), (at or NOW).moved(shift))
            case At(step, position):
                if self.block_at(step) == ("body",) and position in self.running:
                    return self.total(self.terms(ref, block, at))
                return self.reading((*self.block_at(step), position), self.time(step))
            case Root(root):
                return self.root(root)
            case Each():
                raise DerivationError("a whole sequence as one array has no equation")
        slot = slot_of(ref, block)
        return self.reading(slot, None if slot[0] == "after" else at)

    def reading(self, slot: Slot, at: Time | None) -> Form:
        """A quantity by its name, or what it is made of."""
        node = self.node(slot)
        index = "" if at is None else f"[{at}]"
        if slot in self.names.of:
            return Form(self.names.of[slot] + index, ATOM, self.axes.of(node))
        if node.op is None and node.name is not None and (entry := ENTRY.fullmatch(node.name)):
            return self.entry(int(entry[1]), int(entry[2]), node, at)
        found = self.forms(slot[:-1], at)[int(slot[-1])]
        assert found is not None
        return found

    def forms(self, block: Block, at: Time | None) -> list[Form | None]:
        """What every node of a block is made of, at a time."""
        key = (block, at)
        if key not in self._forms:
            found = self._forms[key] = []
            for p, i in enumerate(self.instructions(block)):
                found.append(None if block == ("body",) and p in self.running else self.made(i, (*block, p), at))
        return self._forms[key]

    def made(self, i: Instruction, slot: Slot, at: Time | None) -> Form:
        """The right-hand side of a node."""
        block, node = slot[:-1], self.node(slot)
        if i.op is None:
            return self.numbers.form(i.value, node) if i.value is not None else self.reading(slot, at)
        if i.op.name in ("add", "add_n") and block != ("body",):
            return self.total([term for ref in i.inputs for term in self.terms(ref, block, at)])
        if i.op.name == "stack":
            raise DerivationError(
                f"{said(node)}: a whole sequence as one array has no equation; compute with its entries, step by step"
            )
        args = [self.form(ref, block, at, x) for ref, x in zip(i.inputs, node.inputs, strict=False)]
        return self.written(node, args)

    def written(self, node: Tensor, args: list[Form]) -> Form:
        """An operation; a sum divided by how many were added up is a mean."""
        assert node.op is not None
        if node.op.name == "divide" and is_constant(node.inputs[1]) and node.inputs[1].size == 1:
            mean = self.mean(node)
            if mean is not None:
                return mean
        return write(node, args, self.axes)

    def mean(self, node: Tensor) -> Form | None:
        """A mean over entries, samples or both; None where the divisor is another number, or may be a length."""
        return None

    def entry(self, number: int, shift: int, node: Tensor, at: Time | None) -> Form:
        """An entry of a whole sequence."""
        if number < 0:
            raise DerivationError(
                f"{self.names.sequences[-number - 1]} is read from its end to its start while steps count upwards; "
                "let the steps count down: for t in tg.steps(T, 0, -1)"
            )
        index = (at or NOW).moved(shift - self._first_read.get(number, shift))
        return Form(f"{self.names.sequences[number]}[{index}]", ATOM, self.axes.of(node))

    def _entries(self) -> dict[int, int]:
        """The latest entry, relative to its step, that the body reads of each sequence."""
        found: dict[int, int] = {}
        for i in self.it.body:
            if i.op is None and i.name is not None and (entry := ENTRY.fullmatch(i.name)):
                number, shift = int(entry[1]), int(entry[2])
                found[number] = max(shift, found.get(number, shift))
        return found

    def root(self, node: Tensor) -> Form:
        """What belongs to no step: by name, or what it is made of."""
        if node.id not in self._roots:
            self._write_roots()
        return self._roots[node.id]

    def _write_roots(self) -> None:
        for node in self.names.roots():
            if node.op is None and ("root", node.id) not in self.names.of:
                entry = ENTRY.fullmatch(node.name or "")
                if entry is None:
                    self.names.of["root", node.id] = self.names.free(node.name or "w")
            name = self.names.of.get(("root", node.id))
            if name is not None:
                self._roots[node.id] = Form(name, ATOM, self.axes.of(node))
            elif node.op is None:
                self._roots[node.id] = self._picked(node)
            else:
                self._roots[node.id] = self.written(node, [self._input(x) for x in node.inputs])

    def _input(self, x: Tensor) -> Form:
        return self.numbers.form(x.value, x) if is_constant(x) else self._roots[x.id]

    def _picked(self, node: Tensor) -> Form:
        """One entry of a whole sequence, read outside of the steps."""
        entry = ENTRY.fullmatch(node.name or "")
        assert entry is not None
        number, k = int(entry[1]), int(entry[2])
        at = k + 1 - self.zero - self.recorded.timeline.start - self._first_read.get(number, 0) + self.zero
        time = Time("", at) if 2 * at <= self.T else Time("T", at - self.T)
        return Form(f"{self.names.sequences[number]}[{time}]", ATOM, self.axes.of(node))

    # -- equations ----------------------------------------------------------------------------------------------------
    def write(self) -> None:
        """All equations, in the order in which they were recorded."""
        self._write_roots_named()
        self._starts()
        self._ends_of("first")
        for p, i in enumerate(self.it.body):
            slot = ("body", p)
            if i.op is not None and slot in self.names.of:
                self.equation(slot, NOW, self._where(p))
        self._ends_of("last")
        for p, i in enumerate(self.it.after):
            if i.op is not None and ("after", p) in self.names.of:
                self.equation(("after", p), None)
        self._loss()

    def equation(self, slot: Slot, at: Time | None, where: str = "") -> None:
        """`h[t] = ...`."""
        node, name = self.node(slot), self.names.of[slot]
        form = self.forms(slot[:-1], at)[int(slot[-1])]
        assert form is not None
        if form.axes != self.axes.of(node) and form.number != 0.0:
            raise DerivationError(f"{said(node)}: one number in all entries of {node.shape}; write it out")
        if form.pooled and node is not self.recorded.loss:
            raise DerivationError(f"{said(node)}: a sum over the samples has a name of its own; name the loss alone")
        self.lines.append(f"{name}{'' if at is None else f'[{at}]'} = {form.text}{where}")

    def _write_roots_named(self) -> None:
        self._write_roots()
        for node in self.names.roots():
            name = self.names.of.get(("root", node.id))
            if name is not None and node.op is not None:
                form = self.written(node, [self._input(x) for x in node.inputs])
                self.lines.append(f"{name} = {form.text}")

    def _where(self, p: int) -> str:
        """The steps at which an equation of the body holds: all, but those at the ends that have nothing of its name."""
        name = self.names.of["body", p]
        missing = [
            step
            for step in (*range(len(self.it.first)), *range(-len(self.it.last), 0))
            if self.recorded.timeline.busy[step]
            and not any(
                self.names.of.get(("end", step, q)) == name for q in range(len(self.instructions(("end", step))))
            )
        ]
        if not missing:
            return ""
        first, last = self.time(self.lo), self.time(self.hi - self.count)
        return f"    for {self.range(first, last)}" if self.range(first, last) != "t" else ""

    def _ends_of(self, which: str) -> None:
        """Equations of the steps at an end, but those that say what the body says."""
        steps = range(len(self.it.first)) if which == "first" else range(-len(self.it.last), 0)
        by_name = {self.names.of[s]: int(s[1]) for s in self.names.of if s[0] == "body"}
        for step in steps:
            block: Block = ("end", step)
            for p, i in enumerate(self.instructions(block)):
                slot, at = (*block, p), self.time(step)
                if i.op is None or slot not in self.names.of:
                    continue
                same = by_name.get(self.names.of[slot])
                form = self.forms(block, at)[p]
                if same is not None and form is not None:
                    body = self.forms(("body",), at)[same]
                    if body is not None and body.text == form.text:
                        continue
                self.equation(slot, at)

    def _starts(self) -> None:
        """What states begin from, where that is no state of an earlier step by the same name."""
        for (position, distance), ref in self.it.initial.items():
            if position in self.running:
                continue
            at = Time("", self.lo - self.zero + 1) if distance < 0 else self.time(self.hi - self.count)
            at = at.moved(distance)
            name = self.names.of.get(("body", position))
            beside = len(self.it.first) + distance if distance < 0 else -len(self.it.last) + distance - 1
            if name is None:
                continue
            if isinstance(ref, At):
                slot = (*self.block_at(ref.step), ref.position)
                if self.names.of.get(slot) == name and self.listed(ref.step) == self.listed(beside):
                    self._behind(name, at, slot)
                    continue
            if isinstance(ref, Constant):
                zero = not np.any(plain(ref.value))
                if at.number(self.T) <= 0 and np.size(ref.value) > 1:
                    self.starts[name, at.number(self.T)] = (plain(ref.value), self.node(("body", position)))
                    continue  # where a state begins is given, like an input
                if zero:
                    self.lines.append(f"{name}[{at}] = 0")
                    continue
            form = self.form(ref, ("after",), None)
            self.lines.append(f"{name}[{at}] = {form.text}")

    def _behind(self, name: str, at: Time, slot: Slot) -> None:
        """A leaf after the last step: what is given there has no time of its own."""
        node = self.node(slot)
        if node.op is not None or at.number(self.T) <= self.T:
            return
        if not np.any(node.value):
            self.lines.append(f"{name}[{at}] = 0")
            return
        given = self.names.free(f"{name}_last")
        self.numbers.constants[given] = node
        self.lines.append(f"{name}[{at}] = {given}")

    def _loss(self) -> None:
        (ref,) = self.it.outputs
        loss = self.recorded.loss
        form = self.total(self.terms(ref, ("after",), None))
        slot = slot_of(ref, ("after",)) if isinstance(ref, After | Root) else None
        if (
            slot is not None
            and slot in self.names.of
            and self.lines
            and self.lines[-1].startswith(f"{self.names.of[slot]} =")
        ):
            return
        if self.axes.has_samples(loss):
            raise DerivationError("the loss is one number for each sample: add them up")
        self.lines.append(f"{self.names.free('L')} = {form.text}")


ATOM = 5


def _plus(a: Form, b: Form) -> Form:
    return Form(f"{a.text} + {b.text}", SUM, a.axes or b.axes, pooled=a.pooled or b.pooled)


def _positions(ref: Reference) -> tuple[int, ...]:
    """The positions of the body, or of whatever step, that a reference means."""
    match ref:
        case Here(position) | Shift(position, _) | At(_, position):
            return (position,)
        case Each():
            return ref.positions
    return ()
