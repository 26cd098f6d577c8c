"""Which part each node plays, from the structure of the picture alone."""

from __future__ import annotations

from ..picture import Picture

#: a node read by more named nodes than this is neither a loss nor a target
MANY_READERS = 16


def assign_roles(picture: Picture, sizes: list[int]) -> None:
    """Set `role` of every node: operation, input, state, inner, output, loss or target."""
    nodes, columns = picture.nodes, picture.columns
    into: list[list[int]] = [[] for _ in nodes]
    out: list[list[int]] = [[] for _ in nodes]
    for e in picture.edges:
        out[e.tail].append(e.head)
        into[e.head].append(e.tail)
    timed = [columns[n.column].kind in ("step", "boundary") for n in nodes]
    slots: dict[int, list[int]] = {}
    for i, n in enumerate(nodes):
        slots.setdefault(n.slot, []).append(i)
    states = {s for s, members in slots.items() if _is_state(picture, members, timed, out)}
    before_state = _leading_to(picture, states)
    readers = _named_readers(picture, out)
    losses = _losses(picture, out, readers, sizes, states, timed)
    for i, n in enumerate(nodes):
        if not n.named:
            n.role = "constant" if n.leaf else "operation"
        elif n.slot in states:
            n.role = "state"
        elif n.leaf and all(nodes[m].leaf for m in slots[n.slot]):
            n.role = "input"
        elif i in losses:
            n.role = "loss"
        else:
            used = columns[n.column].kind in ("plain", "before", "between") and bool(out[i])
            # without a state, what leads to an output is intermediate
            used = used or (not states and not losses.issuperset(readers[i] or ()))
            n.role = "inner" if used or n.slot in before_state else "output"
    computed = [readers[i] for i, n in enumerate(nodes) if n.named and not n.leaf and n.role != "loss"]
    judged = {r for reading in computed if reading for r in reading}
    # a loss compares a target with something computed; a function of data alone has no target. What other steps read it
    # for, as the label of the step before, does not count
    targets = set()
    for i, n in enumerate(nodes):
        if n.role == "input" and (reading := readers[i]):
            here = [r for r in reading if nodes[r].column == n.column or nodes[r].role == "loss"]
            if here and all(nodes[r].role == "loss" and r in judged for r in here):
                targets.add(n.slot)
    for n in nodes:
        if n.role == "input" and n.slot in targets:
            n.role = "target"


def _is_state(picture: Picture, members: list[int], timed: list[bool], out: list[list[int]]) -> bool:
    nodes = picture.nodes
    if not nodes[members[0]].named or nodes[members[0]].given:
        return False
    crossing = [m for m in members if any(nodes[h].column != nodes[m].column and timed[h] for h in out[m])]
    if all(nodes[m].leaf for m in members):
        # leaves are states where nothing of their own step reads them: initial states
        return bool(crossing) and all(picture.columns[nodes[m].column].kind in ("boundary", "before") for m in crossing)
    return any(timed[m] for m in crossing)


def _leading_to(picture: Picture, states: set[int]) -> set[int]:
    """Slots from which a state of the same step is reached."""
    before: dict[int, set[int]] = {}
    for e in picture.edges:
        tail, head = picture.nodes[e.tail], picture.nodes[e.head]
        if tail.column == head.column:
            before.setdefault(head.slot, set()).add(tail.slot)
    found: set[int] = set()
    stack = list(states)
    while stack:
        for slot in before.get(stack.pop(), ()):
            if slot not in found:
                found.add(slot)
                stack.append(slot)
    return found


def _losses(
    picture: Picture,
    out: list[list[int]],
    readers: list[frozenset[int] | None],
    sizes: list[int],
    states: set[int],
    timed: list[bool],
) -> set[int]:
    """Named scalars that nothing reads, and the named results of single steps that only such a total reads."""
    nodes = picture.nodes
    able = [n.named and not n.leaf and n.slot not in states for n in nodes]
    final = {i for i in range(len(nodes)) if able[i] and not out[i] and sizes[i] == 1}
    totals = {i for i in final if not timed[i]}
    found = set(final)
    for i in range(len(nodes)):
        if able[i] and timed[i] and sizes[i] == 1:
            reading = readers[i]
            if reading and reading <= totals:
                found.add(i)
    return found


def _named_readers(picture: Picture, out: list[list[int]]) -> list[frozenset[int] | None]:
    """For every node the named nodes that read it, directly or through unnamed operations; None when there are many."""
    readers: list[frozenset[int] | None] = [None] * len(picture.nodes)
    for i in range(len(picture.nodes) - 1, -1, -1):  # nodes come after what they read
        found: set[int] = set()
        for h in out[i]:
            more = frozenset((h,)) if picture.nodes[h].named else readers[h]
            if more is None or len(found) > MANY_READERS:
                break
            found |= more
        else:
            readers[i] = frozenset(found)
    return readers
