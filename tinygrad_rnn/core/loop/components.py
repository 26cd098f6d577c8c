"""Which instructions of a step depend on themselves through time: the loops that must run step by step.

Everything else in a step can be computed for all steps at once. Only positions and shifts are seen here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import GraphError

#: for each position, what it reads: (position, shift)
Edges = list[list[tuple[int, int]]]


@dataclass(frozen=True)
class Part:
    """One pass over time: the `positions` it computes, from the first step on (direction 1) or from the last (-1)."""

    direction: int
    positions: tuple[int, ...]


def parts(reads: Edges) -> tuple[Part, ...]:
    """The passes over time, each after those it needs; loops of one direction share one unless another lies between.

    Raises `GraphError` for a loop that reads both earlier and later steps.
    """
    level: dict[int, tuple[int, int]] = {}  # position -> (number of turns before it, direction of the last pass or 0)
    found: dict[tuple[int, int], list[int]] = {}
    for component in components([[p for p, _ in targets] for targets in reads]):
        inside = set(component)
        shifts = {s for p in component for q, s in reads[p] if q in inside and s}
        if min(shifts, default=0) < 0 < max(shifts, default=0):
            raise GraphError("a loop reads both earlier and later steps: no direction computes it step by step")
        direction = 0 if not shifts else 1 if min(shifts) < 0 else -1
        before = [_ahead(level[q], s) for p in component for q, s in reads[p] if q not in inside]
        turns = max((n for n, _ in before), default=0)
        around = {d for n, d in before if n == turns and d}
        if around - {direction} and (direction or len(around) > 1):
            turns, around = turns + 1, set()
        level.update(dict.fromkeys(component, (turns, direction or (around.pop() if around else 0))))
        if direction:
            found.setdefault((turns, direction), []).extend(component)
    return tuple(Part(d, tuple(sorted(found[n, d]))) for n, d in sorted(found, key=lambda key: (key[0], -key[1])))


def _ahead(level: tuple[int, int], shift: int) -> tuple[int, int]:
    """What a pass has not reached yet is there only after the whole of it."""
    turns, direction = level
    return (turns + 1, 0) if direction and shift * direction > 0 else level


def components(reads: list[list[int]]) -> list[list[int]]:
    """Strongly connected components, each after those it reads (Tarjan's algorithm with a stack of its own)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    open_: list[int] = []
    done: set[int] = set()
    found: list[list[int]] = []
    for root in range(len(reads)):
        path = [] if root in order else [(root, iter(reads[root]))]
        while path:
            node, targets = path[-1]
            if node not in order:
                order[node] = low[node] = len(order)
                open_.append(node)
            for target in targets:
                if target not in order:
                    path.append((target, iter(reads[target])))
                    break
                if target not in done:
                    low[node] = min(low[node], order[target])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == order[node]:
                    start = open_.index(node)
                    found.append(sorted(open_[start:]))
                    done.update(open_[start:])
                    del open_[start:]
    return found
