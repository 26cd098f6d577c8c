"""Sums over time in a folded recording: `add_n` over the steps, sums that run along with them, what the ends add.

All that is added up where a reference stands is collected first; neighbouring steps that add the same are one sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.recurrence import After, At, Each, Here, Reference, Shift
from .names import Names
from .operations import SUM, Form, literal
from .samples import Axes
from .times import AFTER, BODY, NOW, Block, Clock, Time, over


@dataclass(frozen=True)
class Term:
    """What a reference from a block stands for, at each step from `first` to `last`; at one alone if there is none."""

    ref: Reference
    block: Block
    first: Time | None
    last: Time | None = None


def running_sums(clock: Clock) -> dict[int, int]:
    """The positions of the body that only add up, so that nothing but the end of the loop reads them; and which of
    their inputs is the sum so far."""
    it = clock.it
    found: dict[int, int] = {}
    for p, i in enumerate(it.body):
        so_far = [j for j, ref in enumerate(i.inputs) if isinstance(ref, Shift) and ref.position == p]
        if i.op is not None and i.op.name == "add" and i.name is None and len(so_far) == 1:
            found[p] = so_far[0]
    reads: list[tuple[int, Reference]] = []
    for q, i in enumerate(it.body):
        reads += [
            (p, ref) for j, ref in enumerate(i.inputs) for p in _read(clock, ref, True) if (q, j) != (p, found.get(p))
        ]
    others = [ref for step in (*it.first, *it.last, it.after) for i in step for ref in i.inputs]
    reads += [(p, ref) for ref in (*others, *it.outputs) for p in _read(clock, ref, False)]
    read_inside = {
        p for p, ref in reads if not (isinstance(ref, At) and clock.listed(ref.step) in (clock.lo, clock.hi))
    }
    return {p: j for p, j in found.items() if p not in read_inside}


def _read(clock: Clock, ref: Reference, inside: bool) -> tuple[int, ...]:
    """The positions of the body that a reference means."""
    match ref:
        case Shift(position, _):
            return (position,)
        case Here(position):
            return (position,) if inside else ()
        case At(step, position):
            return (position,) if clock.block(step) == BODY else ()
        case Each():
            return ref.positions
    return ()


class Totals:
    """Writes sums over time; `form` writes a reference from a block at a time."""

    def __init__(
        self,
        clock: Clock,
        names: Names,
        axes: Axes,
        running: dict[int, int],
        form: Callable[[Reference, Block, Time | None], Form],
    ) -> None:
        self.clock, self.names, self.axes, self.running, self.form = clock, names, axes, running, form

    def of(self, ref: Reference, block: Block, at: Time | None) -> Form:
        """Everything that is added up where a reference stands."""
        return self.written(self.terms(ref, block, at))

    def terms(self, ref: Reference, block: Block, at: Time | None) -> list[Term]:
        """What is added up where a reference stands: itself, or the terms of the sum that it means."""
        clock = self.clock
        stack: list[tuple[Reference, Block, Time | None]] = [(ref, block, at)]
        found: list[Term] = []
        while stack:
            ref, block, at = stack.pop()
            if isinstance(ref, Each):
                first, last = clock.span(ref.start, ref.stop)
                found += [Term(Here(p), BODY, first, last) for p in ref.positions]
                continue
            home, position, time = self._meant(ref, block, at)
            if home == BODY and position in self.running:
                inputs, so_far = clock.it.body[position].inputs, self.running[position]
                found.append(Term(inputs[1 - so_far], BODY, clock.first, clock.last))
                stack.append((clock.it.initial[position, inputs[so_far].shift], AFTER, None))  # type: ignore[union-attr]
                continue
            i = None if home is None or home == BODY else clock.instructions(home)[position]
            if i is not None and i.op is not None and i.op.name in ("add", "add_n") and i.name is None:
                stack += [(inner, home, time) for inner in reversed(i.inputs)]  # type: ignore[misc]
            else:
                found.append(Term(ref, block, at))
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
        alone = [self.form(term.ref, term.block, term.first) for term in terms if term.last is None]
        total: Form | None = None
        for term in terms:
            if term.first is not None and term.last is not None:
                first, last, alone = self._widened(term.ref, term.first, term.last, alone)
                body = self.form(term.ref, BODY, NOW)
                part = Form(f"sum({over(first, last)}, {body.text})", axes=body.axes, pooled=body.pooled)
                total = self._plus(total, part)
        for form in alone:
            total = total if form.number == 0.0 and total is not None else self._plus(total, form)
        return total or literal(0.0)

    def _plus(self, total: Form | None, form: Form) -> Form:
        if total is None:
            return form
        self.axes.shared |= form.number is None and form.pooled != total.pooled
        axes, pooled = total.axes or form.axes, total.pooled or form.pooled
        return Form(f"{total.text} + {form.text}", SUM, axes, pooled=pooled)

    def _widened(self, ref: Reference, first: Time, last: Time, alone: list[Form]) -> tuple[Time, Time, list[Form]]:
        """From where to where a sum runs with the terms of the steps before and after that say the same."""
        left = list(alone)
        while True:
            for time in (first.moved(-1), last.moved(1)):
                if not 1 <= time.number(self.clock.T) <= self.clock.T:
                    continue
                body = self.form(ref, BODY, time)
                match = next((n for n, form in enumerate(left) if form.text == body.text), None)
                if match is not None:
                    del left[match]
                    first, last = (time, last) if time == first.moved(-1) else (first, time)
                    break
            else:
                return first, last, left
