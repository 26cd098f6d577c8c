"""Where the parts of a folded recording stand in time, and how a step is written: t-1, T or 3."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import DerivationError
from ..core.loop.program import Node, Step, at_step
from ..core.tensor import Tensor
from .quantity_names import Slot
from .recorded import RecordedLoss


@dataclass(frozen=True)
class Instant:
    """A step as it is written."""

    variable: str
    offset: int

    def __str__(self) -> str:
        if not self.variable:
            return str(self.offset)
        return f"{self.variable}{self.offset:+d}" if self.offset else self.variable

    def moved(self, by: int) -> Instant:
        """So many steps later."""
        return Instant(self.variable, self.offset + by)

    def number(self, T: int) -> int:
        """Which step it is in a run of T steps."""
        return self.offset + (T if self.variable == "T" else 0)


NOW, FIRST, LAST = Instant("t", 0), Instant("", 1), Instant("T", 0)
Block = tuple[str | int, ...]
ALONE, NEARER, FROM_FIRST, FROM_LAST = "alone", "nearer", "first", "last"
BODY: Block = ("body",)
AFTER: Block = ("after",)


def over(first: Instant, last: Instant) -> str:
    """The steps from one to another: `t`, `t > 1`, `t < T` or `t = 2..T-1`."""
    if (first, last) == (FIRST, LAST):
        return "t"
    if last == LAST and not first.variable:
        return f"t > {first.moved(-1)}"
    return f"t < {last.moved(1)}" if first == FIRST else f"t = {first}..{last}"


class Clock:
    """The steps of a recording. Step 1 of the equations is the first that computes something, `T` the last.

    Recorded steps are counted 0, 1, ... from the first, -1, ... from the last. From which end a step of
    the body was meant, one recording cannot tell but for the ends themselves; `anchor` says it: FROM_FIRST, FROM_LAST,
    or NEARER (fold's choice, to be compared with other lengths), ALONE for a recording that nothing is compared with.
    """

    def __init__(self, recorded: RecordedLoss, anchor: str = ALONE) -> None:
        self.anchor = anchor
        self.it, self.timeline = recorded.program, recorded.timeline
        self.slots = recorded.slots
        busy = self.timeline.busy
        self.count, self.zero, self.T = len(busy), busy.index(True), sum(busy)
        self.trailing = busy[::-1].index(True)
        #: the first and last step of the body
        self.lo, self.hi = len(self.it.first), self.count - len(self.it.last) - 1

    @property
    def first(self) -> Instant:
        """The first step of the body."""
        return self.time(self.lo) if self.lo <= self.hi else FIRST

    @property
    def last(self) -> Instant:
        """The last step of the body."""
        return self.time(self.hi - self.count)

    @property
    def ends(self) -> tuple[int, ...]:
        """The steps that differ from the body."""
        return (*range(len(self.it.first)), *range(-len(self.it.last), 0))

    def time(self, step: int) -> Instant:
        """How a recorded step is written."""
        return Instant("", step - self.zero + 1) if step >= 0 else Instant("T", step + 1 + self.trailing)

    def meant(self, step: int) -> int:
        """A step that something outside of it reads, counted from the end it was meant from."""
        if self.block(step) != BODY:
            return step
        if self.anchor == ALONE:
            early = self.listed(step) - self.zero
            late = self.T - 1 - early
            if min(early, late) > 1 or (min(early, late) == 1 and max(early, late) < 3):
                raise DerivationError(
                    f"step {early + 1} of {self.T} is read by itself: one recording cannot tell whether it is counted "
                    "from the first step or from the last; give the function instead of its result"
                )
        if self.anchor == FROM_FIRST:
            return self.listed(step)
        return self.listed(step) - self.count if self.anchor == FROM_LAST else step

    def span(self, start: int, stop: int) -> tuple[Instant, Instant]:
        """The steps of the body but so many at the start and the end."""
        first, last = self.meant(self.lo + start) if start else self.lo, self.hi - stop
        last = self.meant(last - self.count) if stop else last - self.count
        return self.time(first), self.time(last)

    def beside(self, distance: int) -> Instant:
        """The step so far before the body's first (distance < 0) or after its last."""
        return (Instant("", self.lo - self.zero + 1) if distance < 0 else self.last).moved(distance)

    def listed(self, step: int) -> int:
        """Where a step stands among all recorded ones."""
        return step if step >= 0 else self.count + step

    def block(self, step: int) -> Block:
        """The block that a recorded step belongs to."""
        first, last = len(self.it.first), len(self.it.last)
        return ("end", step) if 0 <= step < first or -last <= step < 0 else BODY

    def nodes(self, block: Block) -> Step:
        """What a block consists of."""
        match block:
            case ("end", int() as step):
                return self.it.first[step] if step >= 0 else self.it.last[step]
        return self.it.body if block == BODY else self.it.after

    def single(self, x: Node) -> tuple[Slot, int] | None:
        """Slot and step of what a node reads of one step; None for what it reads of its own, or of none."""
        slot = self.slots.get(x)
        if slot is not None:
            return (slot, int(slot[1])) if slot[0] == "end" else None
        if x.op not in ("at", "ends"):
            return None
        node, k = at_step(x)
        return self.slots[node], k + self.lo if k >= 0 else k - len(self.it.last)

    def node(self, slot: Slot, step: int | None = None) -> Tensor:
        """The recorded node of a slot, of the body that of one step."""
        match slot:
            case ("body", int() as p):
                return self.timeline.lists[(self.lo + self.hi) // 2 if step is None else step][p]
            case ("end", int() as at, int() as p):
                return self.timeline.lists[self.listed(at)][p]
            case ("after", int() as p):
                return self.timeline.after[p]
        raise TypeError(f"{slot} is no slot")

    def aligned(self) -> list[list[Tensor]]:
        """The nodes that play one part of the body."""
        return [list(parts) for parts in zip(*self.timeline.lists[self.lo : self.hi + 1], strict=False)]
