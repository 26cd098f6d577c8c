"""Sums over time in a folded recording: `add_n` over the steps, sums that run along with them, what the ends add.

All that is added up where a reference stands is collected first; neighbouring steps that add the same are one sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.loop.recurrence import After, At, Each, Here, Reference, Shift
from ..core.tensor import Tensor
from .expression_text import SUM, Form, literal, negated
from .quantity_names import Names
from .samples import Axes
from .times import AFTER, BODY, NOW, Block, Clock, Time, over

#: what adds up
SUMS = frozenset(["add", "add_n", "subtract"])


@dataclass(frozen=True)
class Term:
    """What a reference from a block stands for, at each step from `first` to `last`; at one alone if there is none."""

    ref: Reference
    block: Block
    first: Time | None
    last: Time | None = None
    negative: bool = False
    node: Tensor | None = None


@dataclass(frozen=True)
class Running:
    """A sum that runs along with the steps, `shift` to the step before: what each step adds, or takes away."""

    shift: int
    added: tuple[tuple[Reference, bool], ...]


def running_sums(clock: Clock) -> tuple[dict[int, Running], frozenset[int]]:
    """The sums that nothing but the end of the loop reads, by their position in the body; and every position of the
    body that only serves them."""
    found: dict[int, Running] = {}
    inner: set[int] = set()
    reads = _reads(clock)
    for p in {ref.position for i in clock.it.body for ref in i.inputs if isinstance(ref, Shift)}:
        chain = _chain(clock, p, reads)
        if chain is not None:
            found[p], members = chain
            inner |= members
    return found, frozenset(inner)


def _chain(
    clock: Clock, p: int, reads: dict[int, list[tuple[int | None, Reference]]]
) -> tuple[Running, set[int]] | None:
    """From the sum so far, by one addition after the other, back to the sum at position p."""
    added: list[tuple[Reference, bool]] = []
    members: set[int] = set()
    shift, here = 0, p
    while here != p or not members:
        of_body = [(q, ref) for q, ref in reads.get(here, ()) if q is not None]
        elsewhere = [ref for q, ref in reads.get(here, ()) if q is None]
        if len(of_body) != 1 or (here != p and elsewhere):
            return None
        ((q, ref),) = of_body
        i = clock.it.body[q]
        if (
            i.op is None
            or i.name is not None
            or i.op.name not in ("add", "subtract")
            or (i.op.name == "subtract" and i.inputs[0] != ref)
        ):
            return None
        shift = ref.shift if isinstance(ref, Shift) else shift
        added += [(other, i.op.name == "subtract") for j, other in enumerate(i.inputs) if j != i.inputs.index(ref)]
        members.add(q)
        here = q
    end = clock.hi if shift < 0 else clock.lo
    outside = [ref for q, ref in reads[p] if q is None]
    if any(not isinstance(ref, At) or clock.listed(ref.step) != end for ref in outside):
        return None
    return Running(shift, tuple(added)), members


def _reads(clock: Clock) -> dict[int, list[tuple[int | None, Reference]]]:
    """Who reads each position of the body, and how; None for what stands outside of it."""
    it = clock.it
    found: dict[int, list[tuple[int | None, Reference]]] = {}
    outside = [ref for step in (*it.first, *it.last, it.after) for i in step for ref in i.inputs]
    for q, refs in [*((q, i.inputs) for q, i in enumerate(it.body)), (None, (*outside, *it.outputs))]:
        for ref in refs:
            match ref:
                case Here(position) if q is not None:
                    found.setdefault(position, []).append((q, ref))
                case Shift(position, _):
                    found.setdefault(position, []).append((q, ref))
                case At(step, position) if clock.block(step) == BODY:
                    found.setdefault(position, []).append((q, ref))
                case Each():
                    for position in ref.positions:
                        found.setdefault(position, []).append((q, ref))
    return found


class Totals:
    """Writes sums over time; `form` writes a reference from a block at a time."""

    def __init__(
        self,
        clock: Clock,
        names: Names,
        axes: Axes,
        running: dict[int, Running],
        form: Callable[[Reference, Block, Time | None, Tensor | None], Form],
    ) -> None:
        self.clock, self.names, self.axes, self.running, self.form = clock, names, axes, running, form

    def of(self, ref: Reference, block: Block, at: Time | None) -> Form:
        """Everything that is added up where a reference stands."""
        return self.written(self.terms(ref, block, at))

    def terms(
        self, ref: Reference, block: Block, at: Time | None, negative: bool = False, node: Tensor | None = None
    ) -> list[Term]:
        """What is added up where a reference stands: itself, or the terms of the sum that it means."""
        clock = self.clock
        stack: list[tuple[Reference, Block, Time | None, bool, Tensor | None]] = [(ref, block, at, negative, node)]
        found: list[Term] = []
        while stack:
            ref, block, at, negative, node = stack.pop()
            if isinstance(ref, Each):
                first, last = clock.span(ref.start, ref.stop)
                found += [Term(Here(p), BODY, first, last, negative) for p in ref.positions]
                continue
            home, position, time = self._meant(ref, block, at)
            if home == BODY and position in self.running:
                running = self.running[position]
                for other, taken in running.added:
                    found.append(Term(other, BODY, clock.first, clock.last, negative != taken))
                stack.append((clock.it.initial[position, running.shift], AFTER, None, negative, None))
                continue
            i = None if home is None or home == BODY else clock.instructions(home)[position]
            if home is not None and i is not None and i.op is not None and i.op.name in SUMS and i.name is None:
                inputs, away = clock.node((*home, position)).inputs, i.op.name == "subtract"
                for j in reversed(range(len(i.inputs))):
                    one = inputs[j] if len(inputs) == len(i.inputs) else None
                    stack.append((i.inputs[j], home, time, negative != (away and bool(j)), one))
            else:
                found.append(Term(ref, block, at, None, negative, node))
        return found

    def _meant(self, ref: Reference, block: Block, at: Time | None) -> tuple[Block | None, int, Time | None]:
        """Block, position and time of what a reference means; no block for what belongs to no step."""
        match ref:
            case Here(position):
                return block, position, at
            case After(position):
                return AFTER, position, None
            case At(step, position):
                return self.clock.block(step), position, self.clock.time(self.clock.meant(step))
        return None, 0, None

    def written(self, terms: list[Term]) -> Form:
        """Terms as a sum; neighbours in time that say the same are one."""
        single = [term for term in terms if term.last is None]
        alone = [(self.form(term.ref, term.block, term.first, term.node), term.negative) for term in single]
        alone = [(form, negative) for form, negative in alone if form.number != 0.0]
        total: Form | None = None
        for term in terms:
            if term.first is not None and term.last is not None:
                first, last, alone = self._widened(term, term.first, term.last, alone)
                body = self.form(term.ref, BODY, NOW, None)
                part = Form(f"sum({over(first, last)}, {body.text})", axes=body.axes, pooled=body.pooled)
                total = self._plus(total, part, term.negative)
        for form, negative in alone:
            total = self._plus(total, form, negative)
        return total or literal(0.0)

    def _plus(self, total: Form | None, form: Form, negative: bool) -> Form:
        if total is None:
            return negated(form) if negative else form
        self.axes.shared |= form.number is None and form.pooled != total.pooled
        axes, pooled = total.axes or form.axes, total.pooled or form.pooled
        right = form.text if not negative or form.level > SUM else f"({form.text})"
        return Form(f"{total.text} {'-' if negative else '+'} {right}", SUM, axes, pooled=pooled)

    def _widened(
        self, term: Term, first: Time, last: Time, alone: list[tuple[Form, bool]]
    ) -> tuple[Time, Time, list[tuple[Form, bool]]]:
        """From where to where a sum runs with the terms of the steps before and after that say the same."""
        left = list(alone)
        while True:
            for time in (first.moved(-1), last.moved(1)):
                if not 1 <= time.number(self.clock.T) <= self.clock.T:
                    continue
                body = self.form(term.ref, BODY, time, None)
                same = ((form.text, negative) == (body.text, term.negative) for form, negative in left)
                match = next((n for n, found in enumerate(same) if found), None)
                if match is not None:
                    del left[match]
                    first, last = (time, last) if time == first.moved(-1) else (first, time)
                    break
            else:
                return first, last, left
