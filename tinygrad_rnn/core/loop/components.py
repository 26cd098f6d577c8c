"""Strongly connected components: what depends on itself, as a loop through time does, and the order of the rest."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def components(reads: Mapping[T, Iterable[T]]) -> list[list[T]]:
    """The sets of nodes that read each other in the end, each after those it reads; members as they were met.

    Tarjan's algorithm (1972) with a stack of its own.

    >>> components({"h": ["sum"], "sum": ["h", "x"], "x": [], "loss": ["h"]})
    [['x'], ['h', 'sum'], ['loss']]
    """
    order: dict[T, int] = {}
    low: dict[T, int] = {}
    path: list[T] = []
    on_path: set[T] = set()
    found: list[list[T]] = []
    for root in reads:
        stack = [] if root in order else [(root, iter(reads[root]))]
        while stack:
            here, rest = stack[-1]
            if here not in order:
                order[here] = low[here] = len(order)
                path.append(here)
                on_path.add(here)
            for node in rest:
                if node not in order:
                    stack.append((node, iter(reads[node])))
                    break
                if node in on_path:
                    low[here] = min(low[here], order[node])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[here])
                if low[here] == order[here]:
                    members = path[path.index(here) :] if path[-1] is not here else [here]
                    del path[-len(members) :]
                    on_path.difference_update(members)
                    found.append(members)
    return found
