"""Sums over time in a folded recording: `add_n` over the steps, sums that run along with them, what the ends add.

All that is added up where a node is read is collected first; neighbouring steps that add the same are one sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.loop.program import Node, shifted
from ..core.tensor import Tensor
from .expression_text import SUM, ExpressionText, literal, negated
from .quantity_names import QuantityNames
from .samples import Axes
from .times import NOW, Clock, Instant, over

#: what adds up
SUMS = frozenset(["add", "add_n", "subtract"])
#: who reads, and by which node
Reads = list[tuple[int | None, Node]]


@dataclass(frozen=True)
class SumTerm:
    """What a node stands for, at each step from `first` to `last`; at one alone if there is none. `tensor` is it."""

    node: Node
    first: Instant | None
    last: Instant | None = None
    negative: bool = False
    tensor: Tensor | None = None


@dataclass(frozen=True)
class Running:
    """A sum that runs along with the steps, `shift` to the step before: what each step adds, or takes away."""

    shift: int
    added: tuple[tuple[Node, bool], ...]


def running_sums(clock: Clock) -> tuple[dict[int, Running], frozenset[int]]:
    """The sums that nothing but the end of the loop reads, by their position in the body; and every position of the
    body that only serves them."""
    found: dict[int, Running] = {}
    inner: set[int] = set()
    reads = _reads(clock)
    for p in {carried.position for carried in clock.it.carry}:
        chain = _chain(clock, p, reads)
        if chain is not None:
            found[p], members = chain
            inner |= members
    return found, frozenset(inner)


def _chain(clock: Clock, p: int, reads: dict[int, Reads]) -> tuple[Running, set[int]] | None:
    """From the sum so far, by one addition after the other, back to the sum at position p."""
    added: list[tuple[Node, bool]] = []
    members: set[int] = set()
    shift, here = 0, p
    while here != p or not members:
        of_body = [(q, x) for q, x in reads.get(here, ()) if q is not None]
        elsewhere = [x for q, x in reads.get(here, ()) if q is None]
        if len(of_body) != 1 or (here != p and elsewhere):
            return None
        ((q, x),) = of_body
        i = clock.it.body[q]
        if i.label or i.op not in ("add", "subtract") or (i.op == "subtract" and i.ins[0] is not x):
            return None
        shift = shifted(x).by or shift
        added += [(other, i.op == "subtract") for j, other in enumerate(i.ins) if j != i.ins.index(x)]
        members.add(q)
        here = q
    end = clock.hi if shift < 0 else clock.lo
    outside = [clock.single(x) for q, x in reads[p] if q is None]
    if any(found is None or clock.listed(found[1]) != end for found in outside):
        return None
    return Running(shift, tuple(added)), members


def _reads(clock: Clock) -> dict[int, Reads]:
    """Who reads each position of the body, and by which node; None for what stands outside of it."""
    it = clock.it
    found: dict[int, Reads] = {}
    outside = [x for block in it.blocks.values() for i in block for x in i.ins]
    for q, ins in [*((q, i.ins) for q, i in enumerate(it.body)), (None, [*outside, *it.outputs])]:
        for x in ins:
            single = clock.single(x)
            sources = x.ins if x.op == "spread" else [shifted(x).node]
            slots = [single[0]] if single is not None else [clock.slots.get(node) for node in sources]
            for slot in slots:
                if slot is not None and slot[0] == "body":
                    found.setdefault(int(slot[1]), []).append((q, x))
    return found


class Totals:
    """Writes sums over time; `form` writes a node at a time."""

    def __init__(
        self,
        clock: Clock,
        names: QuantityNames,
        axes: Axes,
        running: dict[int, Running],
        form: Callable[[Node, Instant | None, Tensor | None], ExpressionText],
    ) -> None:
        self.clock, self.names, self.axes, self.running, self.form = clock, names, axes, running, form

    def of(self, x: Node, at: Instant | None) -> ExpressionText:
        """Everything that is added up where a node is read."""
        return self.written(self.terms(x, at))

    def terms(self, x: Node, at: Instant | None, negative: bool = False, tensor: Tensor | None = None) -> list[SumTerm]:
        """What is added up where a node is read: itself, or the terms of the sum that it means."""
        clock = self.clock
        stack: list[tuple[Node, Instant | None, bool, Tensor | None]] = [(x, at, negative, tensor)]
        found: list[SumTerm] = []
        while stack:
            x, at, negative, tensor = stack.pop()
            if x.op == "spread":
                first, last = clock.span(x.params["start"], x.params["stop"])
                found += [SumTerm(node, first, last, negative) for node in x.ins]
                continue
            single = clock.single(x)
            slot, time = (clock.slots.get(x), at) if single is None else (single[0], clock.time(clock.meant(single[1])))
            if slot is not None and slot[0] == "body" and slot[1] in self.running:
                position = int(slot[1])
                running = self.running[position]
                for other, taken in running.added:
                    found.append(SumTerm(other, clock.first, clock.last, negative != taken))
                stack.append((clock.it.initial[position, running.shift], None, negative, None))
            elif slot is not None and slot[0] != "body" and x.op in SUMS and not x.label:
                inputs, away = clock.node(slot).inputs, x.op == "subtract"
                for j in reversed(range(len(x.ins))):
                    one = inputs[j] if len(inputs) == len(x.ins) else None
                    stack.append((x.ins[j], None if slot[0] == "after" else time, negative != (away and bool(j)), one))
            else:
                found.append(SumTerm(x, at, None, negative, tensor))
        return found

    def written(self, terms: list[SumTerm]) -> ExpressionText:
        """Terms as a sum; neighbours in time that say the same are one."""
        single = [term for term in terms if term.last is None]
        alone = [(self.form(term.node, term.first, term.tensor), term.negative) for term in single]
        alone = [(form, negative) for form, negative in alone if form.number != 0.0]
        total: ExpressionText | None = None
        for term in terms:
            if term.first is not None and term.last is not None:
                first, last, alone = self._widened(term, term.first, term.last, alone)
                body = self.form(term.node, NOW, None)
                part = ExpressionText(f"sum({over(first, last)}, {body.text})", axes=body.axes, pooled=body.pooled)
                total = self._plus(total, part, term.negative)
        for form, negative in alone:
            total = self._plus(total, form, negative)
        return total or literal(0.0)

    def _plus(self, total: ExpressionText | None, form: ExpressionText, negative: bool) -> ExpressionText:
        if total is None:
            return negated(form) if negative else form
        self.axes.shared |= form.number is None and form.pooled != total.pooled
        axes, pooled = total.axes or form.axes, total.pooled or form.pooled
        right = form.text if not negative or form.level > SUM else f"({form.text})"
        return ExpressionText(f"{total.text} {'-' if negative else '+'} {right}", SUM, axes, pooled=pooled)

    def _widened(
        self, term: SumTerm, first: Instant, last: Instant, alone: list[tuple[ExpressionText, bool]]
    ) -> tuple[Instant, Instant, list[tuple[ExpressionText, bool]]]:
        """From where to where a sum runs with the terms of the steps before and after that say the same."""
        left = list(alone)
        while True:
            for time in (first.moved(-1), last.moved(1)):
                if not 1 <= time.number(self.clock.T) <= self.clock.T:
                    continue
                body = self.form(term.node, time, None)
                same = ((form.text, negative) == (body.text, term.negative) for form, negative in left)
                match = next((n for n, found in enumerate(same) if found), None)
                if match is not None:
                    del left[match]
                    first, last = (time, last) if time == first.moved(-1) else (first, time)
                    break
            else:
                return first, last, left
