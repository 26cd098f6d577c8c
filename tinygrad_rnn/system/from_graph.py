"""The equations of a folded recording, line by line.

Each node that has a name is an equation, everything else stands inside of one. Steps that differ at the ends have
equations of their own; what belongs to no step has equations without time. Nothing is generalised that a recording
cannot tell: a number that may be the length stays a constant with a name (`numbers`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DerivationError
from ..core.loop.program import Node, outside, shifted
from ..core.tensor import Tensor, plain
from .expression_text import ExpressionText
from .literals import Numbers
from .operations import WHOLE, write
from .quantity_names import ENTRY, QuantityNames, Slot
from .recorded import RecordedLoss
from .samples import Axes, said
from .time_sums import SUMS, Totals, running_sums
from .times import AFTER, ALONE, BODY, FIRST, LAST, NOW, Block, Clock, Instant, over


class RecordingWriter:
    """Writes the equations of a recording: `lines`."""

    def __init__(self, recorded: RecordedLoss, numbers: Numbers, anchor: str = ALONE) -> None:
        self.recorded, self.it, self.numbers = recorded, recorded.program, numbers
        self.clock = Clock(recorded, anchor)
        self.axes = Axes(recorded.graph.nodes, self.clock.aligned())
        running, self.running = running_sums(self.clock)
        self.names = QuantityNames(recorded, self.running)
        self.totals = Totals(self.clock, self.names, self.axes, running, self.form)
        numbers.begin(self.names, self.axes, self.clock.T)
        #: where states begin, as arrays without a name, each with a node of the same axes
        self.starts: dict[tuple[str, int], tuple[Any, Tensor]] = {}
        #: the leaves that an equation states
        self.stated: set[tuple[str, int]] = set()
        self._forms: dict[tuple[Block, Instant | None], list[ExpressionText | None]] = {}
        self._roots: dict[int, ExpressionText] = {}
        self._latest = self._latest_entries()
        self._ranges: dict[str, tuple[Instant, Instant]] = {}
        self.lines: list[str] = []
        self._write()

    # -- expressions --------------------------------------------------------------------------------------------------
    def form(self, x: Node, at: Instant | None, tensor: Tensor | None = None) -> ExpressionText:
        """What a node that is read at a time is written as; `tensor` is what it means."""
        clock = self.clock
        single = clock.single(x)
        if single is not None:
            slot, step = single
            if slot[0] == "body" and slot[1] in self.running:
                return self.totals.of(x, at)
            return self.reading(slot, clock.time(clock.meant(step)))
        if x in clock.slots:
            slot = clock.slots[x]
            return self.reading(slot, None if slot[0] == "after" else at)
        match x.op:
            case "constant":
                return self.numbers.form(x.params["value"], tensor)
            case "shift":
                source, by = shifted(x)
                return self.reading(clock.slots[source], (at or NOW).moved(by))
            case "spread":
                raise DerivationError("a whole sequence as one array has no equation")
        return self.root(x.params["tensor"])

    def reading(self, slot: Slot, at: Instant | None) -> ExpressionText:
        """A quantity by its name, or what it is made of."""
        if slot[0] == "body" and slot[1] in self.names.entry_of:
            slot = ("body", self.names.entry_of[int(slot[1])])
        node = self.clock.node(slot)
        if slot in self.names.of:
            return ExpressionText(self.names.of[slot] + ("" if at is None else f"[{at}]"), axes=self.axes.of(node))
        if node.op is None and ENTRY.fullmatch(node.name or ""):
            return self._entry(node, at or NOW)
        found = self._block(slot[:-1], at)[int(slot[-1])]
        assert found is not None
        return found

    def _block(self, block: Block, at: Instant | None) -> list[ExpressionText | None]:
        """What every node of a block is made of, at a time; nothing for sums that run along."""
        key = (block, at)
        if key not in self._forms:
            found = self._forms[key] = []
            for p, i in enumerate(self.clock.nodes(block)):
                skipped = block == BODY and p in self.running
                found.append(None if skipped else self._made(i, (*block, p), at))
        return self._forms[key]

    def _made(self, i: Node, slot: Slot, at: Instant | None) -> ExpressionText:
        """The right-hand side of a node."""
        block, node = slot[:-1], self.clock.node(slot)
        if i.function is None:
            return self.numbers.form(i.params["value"], node) if i.op == "constant" else self.reading(slot, at)
        if i.op in SUMS and block != BODY:
            away = i.op == "subtract"
            same = len(i.ins) == len(node.inputs)  # a run of steps is one node that stands for many
            parts = [
                self.totals.terms(x, at, away and bool(j), node.inputs[j] if same else None)
                for j, x in enumerate(i.ins)
            ]
            total = self.totals.written([term for part in parts for term in part])
            if total.pooled and self.axes.has_samples(node):
                raise DerivationError(
                    f"{said(node)}: a sum over the samples meets what belongs to one; record one sample"
                )
            return total
        if any(x.op == "spread" for x in i.ins):
            raise DerivationError(
                f"{said(node)}: a whole sequence as one array has no equation; compute with its entries, step by step"
            )
        args = [self._input(x, at, tensor, node) for x, tensor in zip(i.ins, node.inputs, strict=True)]
        return self._operation(node, args)

    def _operation(self, node: Tensor, args: list[ExpressionText]) -> ExpressionText:
        if "n" in (node.params or {}):
            self.numbers.exponent(node)
        return write(node, args, self.axes)

    def _input(self, x: Node, at: Instant | None, tensor: Tensor, reader: Tensor) -> ExpressionText:
        """What an operation reads; an array of one number is written out where its shape counts."""
        plainly = x.op == "constant" and x not in self.clock.slots
        if plainly and tensor.ndim and reader.op is not None and reader.op.name in WHOLE:
            return self.numbers.array(np.asarray(plain(tensor.value)), tensor)
        form = self.form(x, at, tensor)
        return self.numbers.of_data(tensor) if form.pooled and not tensor.requires_grad else form

    def _entry(self, node: Tensor, now: Instant) -> ExpressionText:
        """An entry of a whole sequence that a step reads, or something outside of all steps.

        The latest entry that the loop reads at step t is that of t.
        """
        parts = ENTRY.fullmatch(node.name or "")
        assert parts is not None
        number, shift, T = int(parts[1]), int(parts[2]), self.clock.T
        if number < 0:
            raise DerivationError(
                f"{self.names.sequences[-number - 1]} is read from its end to its start while steps count upwards; "
                "let the steps count down: for t in tg.steps(T, 0, -1)"
            )
        at = now.moved(shift - self._latest.get(number, shift))
        if self.recorded.timeline.split(node) is None:
            first = 1 - self.clock.zero - self.recorded.timeline.start - self._latest.get(number, 0)
            at = Instant("", shift + first) if 2 * (shift + first) <= T else Instant("T", shift + first - T)
        if at.variable != "t" and at.number(T) > T:
            raise DerivationError(
                f"{self.names.sequences[number]} is read {at.number(T) - T} steps after the last one of the loop; "
                "give what is read there as an argument of its own"
            )
        return ExpressionText(f"{self.names.sequences[number]}[{at}]", axes=self.axes.of(node))

    def place_of_entry(self, node: Tensor) -> tuple[str, int]:
        """The name and step of such an entry in the recording."""
        found = self.recorded.timeline.split(node)
        now = NOW if found is None else Instant("", found[0] - self.clock.zero + 1)
        name, _, index = self._entry(node, now).text.removesuffix("]").partition("[")
        return name, int(index.removeprefix("T") or 0) + (self.clock.T if index.startswith("T") else 0)

    def _latest_entries(self) -> dict[int, int]:
        """The latest entry, relative to its step, that the body reads of each sequence."""
        latest: dict[int, int] = {}
        for i in self.it.body:
            if i.op == "input" and (entry := ENTRY.fullmatch(i.label)):
                number, shift = int(entry[1]), int(entry[2])
                latest[number] = max(shift, latest.get(number, shift))
        return latest

    # -- what belongs to no step ------------------------------------------------------------------------------------
    def root(self, node: Tensor) -> ExpressionText:
        """A node that belongs to no step: by name, or what it is made of."""
        if not self._roots:
            for other in self.names.roots():
                self._roots[other.id] = self._written_root(other)
        return self._roots[node.id]

    def _written_root(self, node: Tensor) -> ExpressionText:
        slot = ("root", node.id)
        if slot in self.names.of:
            return ExpressionText(self.names.of[slot], axes=self.axes.of(node))
        if node.op is not None:
            return self._of_root(node)
        if ENTRY.fullmatch(node.name or ""):
            return self._entry(node, NOW)
        self.names.of[slot] = self.names.free(node.name or "w")
        return ExpressionText(self.names.of[slot], axes=self.axes.of(node))

    def _of_root(self, node: Tensor) -> ExpressionText:
        """What a root is made of."""
        return self._operation(node, [self._input(outside(x), None, x, node) for x in node.inputs])

    # -- equations ----------------------------------------------------------------------------------------------------
    def _write(self) -> None:
        """All equations, in the order in which they were recorded, the loss last."""
        for node in self.names.roots():
            self.root(node)
            name = self.names.of.get(("root", node.id))
            if name is not None and node.op is not None:
                self._state(name, self._of_root(node), node)
        for (position, distance), x in self.it.initial.items():
            name = self.names.of_body(position)
            if name is not None and position not in self.running:
                self._begin(name, position, distance, x)
        self._ends([step for step in self.clock.ends if step >= 0])
        self._equations(BODY, NOW)
        self._ends([step for step in self.clock.ends if step < 0])
        self._equations(AFTER, None)
        self._loss()

    def _equations(self, block: Block, at: Instant | None) -> None:
        for p, i in enumerate(self.clock.nodes(block)):
            slot = (*block, p)
            form = self._block(block, at)[p] if i.function is not None and slot in self.names.of else None
            if form is not None:
                name = self.names.of[slot]
                within = over(*self._held(name)) if block == BODY else "t"
                where = "" if within == "t" else f"    for {within}"
                self._state(name + ("" if at is None else f"[{at}]"), form, self.clock.node(slot), where)

    def _state(self, target: str, form: ExpressionText, node: Tensor, where: str = "") -> None:
        """`h[t] = ...`."""
        if form.axes != self.axes.of(node) and form.number != 0.0:
            raise DerivationError(f"{said(node)}: one number in all entries of {node.shape}; write it out")
        if form.pooled and node is not self.recorded.loss:
            raise DerivationError(f"{said(node)}: a sum over the samples has a name of its own; name the loss alone")
        self.lines.append(f"{target} = {form.text}{where}")

    def _held(self, name: str) -> tuple[Instant, Instant]:
        """From where to where the equation of the body holds.

        All steps, where those at the ends have the name too, as narrower equations come first; else as far as they say
        the same.
        """
        if name not in self._ranges:
            clock = self.clock
            position = next(
                int(slot[1]) for slot, other in self.names.of.items() if slot[0] == "body" and other == name
            )
            self._ranges[name] = FIRST, LAST
            computing = [step for step in clock.ends if self.recorded.timeline.busy[step]]
            found = {step: self._at_end(name, step) for step in computing}
            if any(form is None for form in found.values()):
                same = {s for s, form in found.items() if form and form == self._of_body(position, clock.time(s))}
                first, last = clock.first, clock.last
                for step in sorted((s for s in computing if s >= 0), reverse=True):
                    first = clock.time(step) if step in same and clock.time(step).moved(1) == first else first
                for step in sorted(s for s in computing if s < 0):
                    last = clock.time(step) if step in same and clock.time(step).moved(-1) == last else last
                self._ranges[name] = first, last
        return self._ranges[name]

    def _at_end(self, name: str, step: int) -> str | None:
        """What a name stands for in a step at an end; None where it stands for nothing."""
        forms = self._block(("end", step), self.clock.time(step))
        return next(
            (form.text for q, form in enumerate(forms) if form and self.names.of.get(("end", step, q)) == name), None
        )

    def _of_body(self, position: int, at: Instant) -> str:
        form = self._block(BODY, at)[position]
        return form.text if form is not None else ""

    def _within(self, name: str, at: Instant) -> bool:
        """Whether the equation of the body holds at a step."""
        first, last = self._held(name)
        return first.number(self.clock.T) <= at.number(self.clock.T) <= last.number(self.clock.T)

    def _ends(self, steps: list[int]) -> None:
        """Equations of the steps at an end, but those that say what the body says."""
        of_body = {name: int(slot[1]) for slot, name in self.names.of.items() if slot[0] == "body"}
        for step in steps:
            block, at = ("end", step), self.clock.time(step)
            for p, form in enumerate(self._block(block, at)):
                name, node = self.names.of.get((*block, p)), self.clock.node((*block, p))
                if name is not None and node.op is None and self._made_inside(of_body.get(name), at):
                    self._given_there(name, at, node)
                if name is None or form is None or node.op is None:
                    continue
                same = self._block(BODY, at)[of_body[name]] if name in of_body and self._within(name, at) else None
                if form.text != f"{name}[{at}]" and (same is None or same.text != form.text):
                    self._state(f"{name}[{at}]", form, node)

    def _made_inside(self, position: int | None, at: Instant) -> bool:
        """Whether other steps compute what a step has as a leaf."""
        inside = 1 <= at.number(self.clock.T) <= self.clock.T
        return inside and position is not None and self.it.body[position].function is not None

    def _begin(self, name: str, position: int, distance: int, x: Node) -> None:
        """What a state begins from, where that is no earlier state of its own name."""
        at, T = self.clock.beside(distance), self.clock.T
        early = at.number(T) <= 0  # there, where a state begins is given, like an input
        single = self.clock.single(x)
        if single is not None:
            slot, step = single
            node, here = self.clock.node(slot), self.clock.time(step).number(T)
            if self.names.of.get(slot) == name and here == at.number(T):
                if here > T and node.op is None:
                    self._given_there(name, at, node)
                return
            if early and node.op is None and not node.requires_grad:
                self.starts[name, at.number(T)] = (plain(node.value), node)
                return
        if x.op == "constant":
            value = plain(x.params["value"])
            if early and (np.size(value) > 1 or position in self.names.aliases):
                self.starts[name, at.number(T)] = (value, self.clock.node(("body", position)))
                return
            if not np.any(value):
                self.lines.append(f"{name}[{at}] = 0")
                return
        self.lines.append(f"{name}[{at}] = {self.form(x, None).text}")

    def _given_there(self, name: str, at: Instant, node: Tensor) -> None:
        """A leaf where the language has no inputs: after the last step, or where other steps have an equation."""
        self.stated.add((name, at.number(self.clock.T)))
        if not np.any(node.value):
            self.lines.append(f"{name}[{at}] = 0")
            return
        given = self.names.free(f"{name}_{'first' if not at.variable else 'last'}")
        self.numbers.constants[given] = node
        self.lines.append(f"{name}[{at}] = {given}")

    def _loss(self) -> None:
        (x,), loss = self.it.outputs, self.recorded.loss
        if self.axes.has_samples(loss):
            raise DerivationError("the loss is one number for each sample: add them up")
        slot = ("root", loss.id) if x.op == "input" else self.clock.slots.get(x)
        if slot in self.names.of and self.lines and self.lines[-1].startswith(f"{self.names.of[slot]} ="):
            return
        self.lines.append(f"{self.names.free('L')} = {self.totals.of(x, None).text}")
