"""Which nodes of a graph are drawn at a level, and what joins them.

`op` draws every operation, `named` the named nodes only: there an edge from u to v stands for all paths of unnamed
operations between them. Parameters and constants are never ends of an edge: they are `Use`s of an operation, or the
label of an edge.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ...core.graph import Graph
from ...core.tensor import Tensor

#: products whose matrix the book writes as a letter on the arrow
PRODUCTS = {"matmul", "linear", "dot", "einsum", "tensordot", "inner", "embedding"}


@dataclass(slots=True)
class ViewEdge:
    """An edge between drawn tensors: the parameters multiplied on the way, and whether a gradient flows back."""

    tail: Tensor
    head: Tensor
    factors: tuple[Tensor, ...] = ()
    differentiable: bool = True
    parallel: int = 0


@dataclass(slots=True)
class Use:
    """A parameter or constant in the argument list of a drawn operation."""

    source: Tensor
    side: int


@dataclass(slots=True)
class Level:
    """What is drawn: tensors in topological order, links, uses by tensor id, and the ids drawn as tags only."""

    drawn: list[Tensor]
    links: list[ViewEdge] = field(default_factory=list)
    uses: dict[int, list[Use]] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)


def at_level(
    graph: Graph, level: str, only: Collection[str] | None = None, untimed: frozenset[int] = frozenset()
) -> Level:
    """Choose nodes and edges; `only` keeps these names (level `named`), `untimed` are ids of inputs outside of time."""
    shared = _shared(graph, untimed)
    nodes = [n for n in graph.nodes if n.id not in shared]
    if level == "op":
        return _operations(nodes, shared)
    kept = [n for n in nodes if n.name is not None and (only is None or n.name in only)]
    if not kept:
        kept = [n for n in graph.outputs if n.id not in shared]
    return _contracted(kept, shared)


def _operations(nodes: list[Tensor], shared: set[int]) -> Level:
    result = Level(nodes, shared=shared)
    for node in nodes:
        copies: dict[int, int] = {}
        last = len(node.inputs) - 1
        for position, x in enumerate(node.inputs):
            if x.id in shared:
                result.uses.setdefault(node.id, []).append(Use(x, 1 if position and position == last else -1))
                continue
            copy = copies[x.id] = copies.get(x.id, -1) + 1
            result.links.append(ViewEdge(x, node, (), x.requires_grad, copy))
    return result


def _contracted(kept: list[Tensor], shared: set[int]) -> Level:
    """Walk back from every kept node to those before it, noting the matrices met and whether a gradient flows."""
    result = Level(kept, shared=shared)
    ids = {n.id for n in kept}
    for head in kept:
        reached: dict[int, tuple[Tensor, list[tuple[Tensor | None, ...]], bool]] = {}
        start: tuple[Tensor, tuple[Tensor, ...], bool] = (head, (), True)
        stack, seen = [start], set()
        while stack:
            node, met, smooth = stack.pop()
            factors = tuple(x for x in node.inputs if x.id in shared and not _is_number(x)) if _is_product(node) else ()
            for x in node.inputs:
                if x.id in shared:
                    continue
                # two matrices on one path have no label of their own; (None, None) marks that and stays as it is
                along = (met + factors)[:2] if len(met) < 2 else met
                flows = smooth and x.requires_grad
                if x.id in ids:
                    _, paths, before = reached.setdefault(x.id, (x, [], False))
                    paths.append(along)
                    reached[x.id] = (x, paths, before or flows)
                elif (key := (x.id, tuple(f.id for f in along), flows)) not in seen:
                    seen.add(key)
                    stack.append((x, along, flows))
        for tail, paths, flows in reached.values():
            result.links.append(ViewEdge(tail, head, _factors(paths), flows))
    return result


def _factors(paths: list[Any]) -> tuple[Tensor, ...]:
    """The matrices to write on an edge: those of paths that meet exactly one, unless they are too many to read."""
    if any(len(path) > 1 for path in paths):
        return ()
    single = {path[0].id: path[0] for path in paths if path}
    return tuple(single[i] for i in sorted(single)) if len(single) <= 3 else ()


def _is_product(node: Tensor) -> bool:
    return node.op is not None and node.op.name in PRODUCTS


def _is_number(x: Tensor) -> bool:
    """An array written in a formula, as ones: it has no symbol."""
    return x.op is None and x.name is None and not x.requires_grad


def data_without_time(graph: Graph) -> frozenset[int]:
    """Ids of leaves outside of time that are data: they ask for no gradient, and a parameter multiplies them."""
    data: set[int] = set()
    for node in graph.nodes:
        leaves = [x for x in node.inputs if x.op is None and x.name is not None and x.scope.step is None]
        if _is_product(node) and len(leaves) == 2 and leaves[0].requires_grad != leaves[1].requires_grad:
            data |= {x.id for x in leaves if not x.requires_grad}
    return frozenset(data)


def _shared(graph: Graph, untimed: frozenset[int]) -> set[int]:
    """Ids of what is drawn as tags: parameters, constants, and what is computed from these alone outside of time."""
    timed = any(n.scope.step is not None for n in graph.nodes)
    users = _columns_using(graph)
    initial = _initial_states(graph, users) if timed else set()
    shared: set[int] = set()
    for node in graph.nodes:
        if node.op is not None:
            if timed and all(x.id in shared for x in node.inputs) and (node.scope.step is None or node.name is None):
                shared.add(node.id)
        elif node.name is None and not node.requires_grad:
            shared.add(node.id)
        elif not timed or node.scope.step is not None or node.id in initial or node.id in untimed:
            continue
        elif node.requires_grad or len(users.get(node.id, ())) > 1:
            shared.add(node.id)
    return shared - {n.id for n in graph.outputs}


def _columns_using(graph: Graph) -> dict[int, set[Any]]:
    """For every node outside of time, the steps of the operations that use it."""
    users: dict[int, set[Any]] = {}
    for node in graph.nodes:
        for x in node.inputs:
            if x.scope.step is None:
                users.setdefault(x.id, set()).add(node.scope.step)
    return users


def _initial_states(graph: Graph, users: dict[int, set[Any]]) -> set[int]:
    """Leaves outside of time that stand where other steps have the state of their neighbour: `h0` of a loop.

    The place is the same when operation, position and the other arguments are.
    """
    candidates = {
        n.id
        for n in graph.leaves
        if n.scope.step is None
        and len(s := users.get(n.id, set())) == 1
        and None not in s
        and (n.name or n.requires_grad)
    }
    if not candidates:
        return set()
    places: dict[Any, list[int]] = {}
    occupied: set[Any] = set()
    for node in graph.nodes:
        for position, x in enumerate(node.inputs):
            place = (
                node.op.name if node.op else "",
                position,
                node.name,
                x.shape,
                tuple(_manner(y, node) for k, y in enumerate(node.inputs) if k != position),
            )
            if x.id in candidates:
                places.setdefault(place, []).append(x.id)
            elif x.scope.step is not None and x.scope.step != node.scope.step:
                occupied.add(place)
    return {i for place, ids in places.items() if place in occupied for i in ids}


def _manner(x: Tensor, user: Tensor) -> Any:
    """What an argument is, up to the time step."""
    if x.scope.step is None:
        return x.id
    return (x.name, x.op.name if x.op else None, x.scope.step == user.scope.step)
