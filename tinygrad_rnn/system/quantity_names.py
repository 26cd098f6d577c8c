"""What the quantities of a recorded loop are called in its equations: their own names as far as the language has them.

A place in the loop is a `Slot`: a position of the body, of a step at an end, of what stands after the steps, or a node
that belongs to no step. What nobody named gets a short name only where an equation has to speak of it: a state, or
something long that is read twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from ..core.graph import is_constant
from ..core.loop.program import Node
from ..core.tensor import Tensor
from ..language.functions import FUNCTIONS, REDUCTIONS
from .recorded import RecordedLoss

#: ("body", position), ("end", step, position) with the step counted from the first (0, 1, ...) or the last (-1, ...),
#: ("after", position), ("root", id of the node)
Slot = tuple[str | int, ...]
_RESERVED = frozenset({"t", "T", "for", "and", "in", *FUNCTIONS, *REDUCTIONS})
#: what is no work of its own: an expression that holds nothing else is written again at each use
_PLAIN = frozenset({"identity", "transpose", "reshape", "broadcast_to", "cast", "some", "ranged"})
#: what changes no value
_SAME = frozenset({"identity", "ranged", "cast"})
_STATES = ("h", "s", "r", "q")
ENTRY = re.compile(r"@(-?\d+):(?:at )?(-?\d+)")


class QuantityNames:
    """`of` maps slots to names; `sequences` the numbers of whole sequences."""

    def __init__(self, recorded: RecordedLoss, running: Iterable[int]) -> None:
        self.recorded, self.program = recorded, recorded.program
        self.slots = recorded.slots
        self.running = set(running)
        self.of: dict[Slot, str] = {}
        self._taken: set[str] = set(_RESERVED)
        self.sequences: dict[int, str] = {}
        self._by_place: dict[str, str]
        self.aliases = self._names_of_entries()
        self._given()
        self._states()
        self._read_by_steps()
        self._read_twice()
        self._at_the_ends()

    def free(self, wish: str) -> str:
        """The wish as a name of the language that nothing else has."""
        name = re.sub(r"\W", "_", wish)
        name = name if re.match(r"[^\W\d_]", name) else f"v_{name}".rstrip("_")
        if name[0] == "d" and name[1:] in self._taken:  # dh is the gradient of h
            name = f"grad_{name[1:]}"
        found = name
        more = 1
        while found in self._taken or (found[0] == "d" and found[1:] in self._taken) or f"d{found}" in self._taken:
            more += 1
            found = f"{name}_{more}"
        self._taken.add(found)
        return found

    def _names_of_entries(self) -> dict[int, int]:
        """What whole sequences are called: as their entries, if these have a name of their own. The positions of the
        body that only give it, with the number of the sequence."""
        body = self.program.body
        wishes = {n: leaf.name or "k_1" for n, leaf in self.recorded.sequences.items()}
        aliases: dict[int, int] = {}
        #: the position of the entry that such a position names
        self.entry_of: dict[int, int] = {}
        for p, i in enumerate(body):
            source = i
            while source.op in _SAME:
                source = source.ins[0]
            match self.slots.get(source), ENTRY.fullmatch(source.label):
                case ("body", int() as position), re.Match() as entry if i.label and i.function is not None:
                    number = int(entry[1])
                    if number >= 0 and number not in aliases.values():
                        wishes[number], aliases[p], self.entry_of[p] = i.label, number, position
        self.sequences = {n: self.free(wish) for n, wish in wishes.items()}
        self._by_place = {body[p].place: self.sequences[n] for p, n in aliases.items()}
        return aliases

    def of_body(self, position: int) -> str | None:
        """What a position of the body is called: by a name of its own, or as an entry of a sequence."""
        if position in self.aliases:
            return self.sequences[self.aliases[position]]
        return self.of.get(("body", position))

    # -- what people named --------------------------------------------------------------------------------------------
    def _given(self) -> None:
        named = [(slot, i) for i, slot in self.slots.items() if i.label and not i.label.startswith("@")]
        named = [(slot, i) for slot, i in named if slot[0] != "body" or slot[1] not in self.aliases]
        outside = [node for node in self.roots() if node.name is not None and not node.name.startswith("@")]
        alone = Counter(node.name for node in outside)
        places = Counter({i.label: len({j.place for _, j in named if j.label == i.label}) for _, i in named})
        wishes: list[tuple[str, str, Slot]] = []
        seen: dict[str, set[str]] = {}
        for node in outside:
            labels = [scope.label for scope in node.scope.path if scope.label]
            wish = str(node.name) if alone[node.name] == 1 else _spelled(".".join([*labels, str(node.name)]))
            wishes.append((f"/{node.id}", wish, ("root", node.id)))
        for slot, i in named:
            place, block = i.place, str(slot[:-1])
            while place in seen.setdefault(block, set()):  # two of one name in one step
                place += "_2"
            seen[block].add(place)
            wishes.append((place, i.label if places[i.label] == 1 else _spelled(place), slot))
        # dh gives way to h, whose gradient is called so
        for place, wish, slot in sorted(wishes, key=lambda entry: entry[1][0] == "d"):
            self.of[slot] = self._named(place, wish)

    def _named(self, place: str, wish: str) -> str:
        if place not in self._by_place:
            self._by_place[place] = self.free(wish if "_2" not in place else place.rpartition(".")[2])
        return self._by_place[place]

    def roots(self) -> Iterator[Tensor]:
        """The nodes that belong to no step and read none; constants are none of them."""
        after = {node.id for node in self.recorded.timeline.after}
        for node in self.recorded.graph.nodes:
            if self.recorded.timeline.split(node) is None and node.id not in after and not is_constant(node):
                yield node

    # -- what needs a name --------------------------------------------------------------------------------------------
    def _states(self) -> None:
        """What is read at another step."""
        it = self.program
        crossing = {carried.position for carried in it.carry} - self.running
        for p in sorted(crossing):
            if self.of_body(p) is None and not _entry(it.body[p]):
                wish = next((name for name in _STATES if name not in self._taken), "v")
                self.of["body", p] = self.free(wish)

    def _read_by_steps(self) -> None:
        """What stands after some steps and is read by others."""
        it = self.program
        reads = {x for block in (it.body, *it.first, *it.last) for i in block for x in i.ins}
        for p, node in enumerate(it.after):
            if node in reads and ("after", p) not in self.of:
                self.of["after", p] = self.free("v")

    def _read_twice(self) -> None:
        for block, slots in (("body", self.program.body), ("after", self.program.after)):
            uses = Counter(x for i in slots for x in i.ins)
            work: dict[Node, int] = {}
            for p, i in enumerate(slots):
                inner = sum(work.get(x, 0) for x in i.ins)
                work[i] = inner + (i.function is not None and i.op not in _PLAIN)
                if (block, p) in self.of or (block == "body" and p in {*self.running, *self.aliases}):
                    work[i] = 0
                    continue
                gate = _gate(i) if block == "body" else ""
                if (gate and inner > (3 if _spelled_out(i) else 0)) or (uses[i] > 1 and work[i] > 1):
                    self.of[block, p] = self.free(gate or "v")
                    work[i] = 0

    def _at_the_ends(self) -> None:
        """What stands for a state of the body at a step before the first, or after the last, is called as it is."""
        it = self.program
        ends = [*enumerate(it.first), *enumerate(it.last, start=-len(it.last))]
        for (position, distance), node in it.initial.items():
            name, slot = self.of_body(position), self.slots.get(node)
            beside = len(it.first) + distance if distance < 0 else -len(it.last) + distance - 1
            if name is not None and slot is not None and slot[:2] == ("end", beside):
                self.of.setdefault(slot, name)
        for step, block in ends:
            for p, (i, other) in enumerate(zip(block, it.body, strict=False)):  # steps that differ in few places
                name = self.of.get(("body", p))
                named = {self.of.get(("end", step, q)) for q, _ in enumerate(block)}
                if name is not None and name not in named and i.function is not None and i.op == other.op:
                    self.of.setdefault(("end", step, p), name)


def _gate(i: Node) -> str:
    """What an activation is called that nobody named: g for a sigmoid, n for any other; empty for what is none."""
    if i.op in ("tanh", "relu", "softplus"):
        return "n"
    return "g" if i.op == "sigmoid" or _is_sigmoid(i) else ""


def _spelled_out(i: Node) -> bool:
    return i.op in ("divide", "reciprocal")


def _is_sigmoid(i: Node) -> bool:
    """Whether it is 1 / (1 + exp(-z)), spelled out."""
    return _spelled_out(i) and i.ins[-1].op == "add" and any(x.op == "exp" for x in i.ins[-1].ins)


def _spelled(place: str) -> str:
    """`rnn.l0.h` as `h_l0`: the name, and the last label that tells it apart."""
    *labels, name = place.split(".")
    return "_".join([name, *labels[1:]] if len(labels) > 1 else [name, *labels])


def _entry(i: Node) -> bool:
    """Whether it is an entry of a whole sequence."""
    return i.op == "input" and ENTRY.fullmatch(i.label) is not None
