"""Circles among stated equations, for every length: steps that read themselves in the end.

That there are none is shown by an order: along one index, forwards or backwards, every reading leads on, and what stays
at the same step leads on along another index or reads no circle of names (Karp, Miller and Winograd, "The organization
of computations for uniform recurrence equations", 1967; shortest paths make room for readings that go back by less than
others go forward). Where no order is found, circles are looked for by putting readings one after the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import product
from typing import TypeVar

from ..core.loop.components import components
from ..language.affine import Affine, affine
from ..language.syntax.indices import Constraint
from .affine_system import Clause
from .domain import Domain
from .readings import Reading
from .time_limit import keep_on

Node = TypeVar("Node", bound=Hashable)

#: so many readings may be put one after the other before a search for circles gives up
MOST_TRIED = 400
#: beside one for each equation, a circle may have so many readings
MORE_READINGS = 6
#: so many orders are tried
MOST_ORDERS = 32

Edges = Sequence[Reading]


def tangles(edges: Iterable[Reading]) -> list[list[Reading]]:
    """The sets of readings that no order was found for: they may go round. None: nothing goes round at any length.

    >>> from tinygrad_rnn.language import load
    >>> from tinygrad_rnn.system import System
    >>> from tinygrad_rnn.system.readings import readings
    >>> forward = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\ndh[T] = h[T]\\n"
    >>> for way in ("+1", "", "+1] + dh[t-1"):
    ...     stated = System.of(load(f"{forward}dh[t] = dh[t{way}] for t < T")).gradients
    ...     found = tangles(readings(stated["dh", True], stated))
    ...     print(len(found), [str(lengths) for edges in found for lengths in circles(edges)][:1])
    0 []
    1 ['T-2 >= 0']
    1 ['T-3 >= 0']
    """
    left = []
    waiting = _rings(list(edges))
    while waiting:
        ring = waiting.pop()
        shorter = (_without_progress(ring, order) for order in _orders(ring))
        rest = next((rest for rest in shorter if rest is not None and len(rest) < len(ring)), None)
        if rest is None:
            left.append(ring)
        else:
            waiting += _rings(rest)
    return left


def _rings(edges: Edges) -> list[list[Reading]]:
    """The readings that stand in circles of equations, those that share circles together."""
    onward: dict[int, list[int]] = {}
    for edge in edges:
        onward.setdefault(id(edge.reader), []).append(id(edge.read))
        onward.setdefault(id(edge.read), [])
    component = {clause: at for at, members in enumerate(components(onward)) for clause in members}
    rings: dict[int, list[Reading]] = {}
    for edge in edges:
        if component[id(edge.reader)] == component[id(edge.read)]:
            rings.setdefault(component[id(edge.reader)], []).append(edge)
    return list(rings.values())


def reached(start: Node, onward: Mapping[Node, AbstractSet[Node]]) -> set[Node]:
    """Everything that can be reached from a start by at least one step.

    >>> reached(1, {1: {2}, 2: {3}, 4: {1}})
    {2, 3}
    """
    seen: set[Node] = set()
    waiting = list(onward[start])
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += onward.get(here, ())
    return seen


def _clauses(edges: Edges) -> dict[int, Clause]:
    return {id(clause): clause for edge in edges for clause in (edge.reader, edge.read)}


# -- an order ---------------------------------------------------------------------------------------------------------
def _orders(ring: Edges) -> Iterator[tuple[dict[str, int], int]]:
    """Along which index of each name, and whether forwards or backwards; first the same one for all."""
    counts = {clause.equation.target.name: len(clause.indices) for clause in _clauses(ring).values()}
    if not all(counts.values()):
        return
    places = sorted(product(*(range(count) for count in counts.values())), key=lambda each: len(set(each)))
    for each in places[:MOST_ORDERS]:
        along = dict(zip(counts, each, strict=True))
        yield along, 1
        yield along, -1


def _without_progress(ring: Edges, order: tuple[dict[str, int], int]) -> list[Reading] | None:
    """The readings that an order leaves where they are; None where it is no order: something goes back in a circle."""
    steps = [_least_step(edge, order) for edge in ring]
    if None in steps:
        return None
    lengths = [step for step in steps if step is not None]
    away = dict.fromkeys(_clauses(ring), 0)
    for _ in range(len(away) + 1):
        changed = False
        for edge, length in zip(ring, lengths, strict=True):
            if away[id(edge.reader)] + length < away[id(edge.read)]:
                away[id(edge.read)] = away[id(edge.reader)] + length
                changed = True
        if not changed:
            pairs = zip(ring, lengths, strict=True)
            return [edge for edge, step in pairs if step + away[id(edge.reader)] - away[id(edge.read)] < 1]
    return None


def _least_step(edge: Reading, order: tuple[dict[str, int], int]) -> int | None:
    """How far a reading leads on at least; None where it may lead back by any number."""
    along, sign = order
    own = edge.reader.indices[along[edge.reader.equation.target.name]]
    onward = (edge.indices[along[edge.read.equation.target.name]] - own) * sign
    if not onward.variables:
        return onward.constant
    return next((least for least in (1, 0) if edge.domain.implies(Constraint(">=", onward - least))), None)


# -- a circle ---------------------------------------------------------------------------------------------------------
def circles(ring: Edges) -> list[Domain]:
    """The lengths at which readings go round, a domain for each circle that is found.

    Looked for among the first `MOST_TRIED` ways; none found says nothing.
    """
    readers: dict[int, list[Reading]] = {}
    for edge in ring:
        readers.setdefault(id(edge.reader), []).append(edge)
    longest, tried = len(readers) + MORE_READINGS, 0
    found: list[Domain] = []
    for start in _clauses(ring).values():
        names = {name: affine(f"{name}@0") for name in start.variables}
        home = [index.substituted(names) for index in start.indices]
        waiting = [(start, start.domain.substituted(names), home, 1)]
        while waiting and tried < MOST_TRIED:
            keep_on()
            clause, domain, indices, depth = waiting.pop(0)
            for edge in readers.get(id(clause), ()):
                tried += 1
                there, read = _step(edge, domain, indices, depth)
                if there.is_empty:
                    continue
                if edge.read is start:
                    closed = there.where(*(Constraint("=", a - b) for a, b in zip(read, home, strict=True)))
                    if not closed.is_empty:
                        found += closed.projected(*(n for n in sorted(closed.variables) if not n[0].isupper()))
                        continue
                if depth < longest:
                    waiting.append((edge.read, there, read, depth + 1))
        if found:
            break
    return list(dict.fromkeys(found))


def _step(edge: Reading, domain: Domain, indices: Sequence[Affine], depth: int) -> tuple[Domain, list[Affine]]:
    """One reading more, from the step at `indices`: the steps at which it is made, and what it reads."""
    running = sorted(n for n in {*edge.domain.variables, *edge.reader.variables} if not n[0].isupper())
    names = {name: affine(f"{name}@{depth}") for name in running}
    at = (own.substituted(names) - index for own, index in zip(edge.reader.indices, indices, strict=True))
    here = (domain & edge.domain.substituted(names)).where(*(Constraint("=", form) for form in at))
    return here, [index.substituted(names) for index in edge.indices]
