"""A recorded loss, made ready to be folded: whole sequences as their entries, what differs from step to step by name.

Values do not change. What is folded is a loop program: it keeps which step at an end differs from the others,
as equations with an index of their own do, and the names and scopes that people gave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..compiler.trace.unstack import Unstacking, index_of
from ..core.declare import record
from ..core.errors import DerivationError, FoldError
from ..core.graph import Graph, is_constant, replaced, with_inputs
from ..core.loop.fold import folded
from ..core.loop.program import LoopProgram, Node, outside
from ..core.loop.timeline import Timeline, same_value
from ..core.ops.indexing import select
from ..core.primitive import PRIMITIVES
from ..core.scope import ROOT, entered
from ..core.tensor import Tensor, constant
from .loop_detection import with_steps
from .stacks import taken_apart


class RecordedLoss:
    """A loss over steps, folded: `graph`, its `timeline` and `program`; `sequences` are the leaves (time first) that
    steps read by entries, by number.

    `times` says which leaves these are, as the axis of time by id; else they are found by what reads them.
    """

    def __init__(self, loss: Tensor, times: Mapping[int, int] | None = None) -> None:
        if loss.size != 1:
            raise DerivationError(
                f"what is derived is one number, but this has shape {loss.shape}: give the loss that is minimised"
            )
        loss = _masks_as_inputs(with_steps(loss))
        self.sequences: dict[int, Tensor] = {}
        #: the leaf that each was, and its axis of time
        self.origins: list[tuple[Tensor, int]] = []
        loss = _entries_as_read(taken_apart(self._by_entries(loss, times)))
        #: the names of inputs that pick an entry each
        self.one_hot: list[str] = []
        self.loss = _differing_by_name(self._picks_as_products(loss))
        self.graph = Graph(self.loss)
        self.program = self._folded()
        #: where each node of the program stands: see `quantity_names`
        self.slots: dict[Node, tuple[str | int, ...]] = {node: ("body", p) for p, node in enumerate(self.program.body)}
        for i, block in self.program.blocks.items():
            home = ("after",) if i is None else ("end", i)
            self.slots.update({node: (*home, p) for p, node in enumerate(block)})

    def _folded(self) -> LoopProgram:
        self.timed = any(node.scope.step is not None for node in self.graph.nodes)
        if not self.timed:  # nothing repeats: equations without time
            self.timeline: Timeline | NoTime = NoTime()
            return LoopProgram((), (), (), (), (outside(self.loss),), (), self.graph.parameters, 1, 1)
        try:
            self.timeline = Timeline(self.graph)
            return folded(self.timeline)
        except FoldError as error:
            raise DerivationError(f"the steps are not one step repeated: {error}") from error

    def _by_entries(self, loss: Tensor, times: Mapping[int, int] | None) -> Tensor:
        """Whole sequences as what they consist of."""
        nodes = Graph(loss).nodes
        steps = {node.scope.step for node in nodes if node.op is not None and isinstance(node.scope.step, int)}
        leaves = [node for node in nodes if node.op is None and node.scope.step is None]
        if times is None:
            found = _picked(leaves, nodes)
        else:
            found = [(leaf, times[leaf.id]) for leaf in leaves if leaf.id in times]
        found += _met(leaves, nodes, found, len(steps))
        became: dict[int, Tensor] = {}
        with entered(ROOT):
            for number, (leaf, axis) in enumerate(found):
                whole = np.moveaxis(np.asarray(leaf.value), axis, 0)
                entries = Tensor(whole, None, (), None, leaf.name, ROOT, leaf.requires_grad)
                self.sequences[number] = entries
                self.origins.append((leaf, axis))
                axes = (*range(1, axis + 1), 0, *range(axis + 1, whole.ndim))
                became[leaf.id] = record(PRIMITIVES["transpose"], (entries,), {"axes": axes}) if axis else entries
            loss = replaced(loss, lambda node, inputs: became.get(node.id))
            if not found and not any(node.op is not None and node.op.name == "stack" for node in nodes):
                return loss
            numbers = {leaf.id: number for number, leaf in self.sequences.items()}
            length = len(next(iter(self.sequences.values()))) if self.sequences else len(steps)
            others = {leaf.id: -1 for leaf in leaves if leaf.id not in numbers}
            unstacking = Unstacking(numbers, others, len(numbers), length, 0)
            (rewritten,) = unstacking.outputs([loss])
            for node_id, number in unstacking.sequences.items():  # which steps lie inside of lengths
                if number in unstacking.derived:
                    inside = next(node for node in Graph(loss).nodes if node.id == node_id)
                    self.sequences[number] = inside
                    self.origins.append((inside, 0))
        if not isinstance(rewritten, Tensor):
            raise DerivationError("the loss is a sequence, not one number: add it up over time")
        return rewritten

    def _picks_as_products(self, loss: Tensor) -> Tensor:
        """`p[k]`, where k is another number at each step, as the sum of p times an input: a one at that entry."""
        nodes = Graph(loss).nodes
        names = {node.name for node in nodes}
        called: dict[int, str] = {}
        for step in zip(*_alike_steps(nodes), strict=True):
            picks = [node.params["index"] for node in step if node.op is PRIMITIVES["getitem"] and node.params]
            single = len(picks) == len(step) and all(node.size == 1 and node.inputs[0].op is not None for node in step)
            if single and any(pick != picks[0] for pick in picks):
                free = next(name for n in range(1, 10_000) if (name := f"y_{n}") not in names)
                names.add(free)
                self.one_hot.append(free)
                called.update((node.id, free) for node in step)

        def change(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor | None:
            if node.id not in called:
                return None
            (x,) = inputs
            one = np.zeros(x.shape)
            one[(node.params or {})["index"]] = 1.0
            chosen = Tensor(one, None, (), None, called[node.id], node.scope, False)
            picked: Any = np.sum(x * chosen)
            picked = picked if picked.shape == node.shape else np.reshape(picked, node.shape)
            picked.name = node.name
            return picked

        return replaced(loss, change) if called else loss


class NoTime:
    """The timeline of a graph without steps."""

    def __init__(self) -> None:
        self.lists: list[list[Tensor]] = [[]]
        self.busy, self.after, self.start = [True], list[Tensor](), 1

    def split(self, x: Tensor) -> tuple[int, int] | None:
        """No node stands in time."""
        return None


def _masks_as_inputs(loss: Tensor) -> Tensor:
    """`np.where` on a plain array of truth values, as one on a leaf of them."""

    def change(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor | None:
        if node.op is not PRIMITIVES["where"]:
            return None
        condition = np.broadcast_to((node.params or {})["condition"], node.shape)
        chosen: Tensor = select(*inputs, constant(condition.astype(float)))
        chosen.name = node.name
        return chosen

    return replaced(loss, change)


# -- whole sequences --------------------------------------------------------------------------------------------------
def _picked(leaves: list[Tensor], nodes: Iterable[Tensor]) -> list[tuple[Tensor, int]]:
    """The leaves that are read entry by entry, and along which axis; also by one entry, if they are as long."""
    readers: dict[int, list[Tensor]] = {}
    for node in nodes:
        for x in node.inputs:
            readers.setdefault(x.id, []).append(node)
    found: list[tuple[Tensor, int]] = []
    single: list[tuple[Tensor, int]] = []
    for leaf in leaves:
        reads = readers.get(leaf.id, [])
        for axis in range(min(leaf.ndim, 2)):
            picks = [index_of(x, axis) if x.op is PRIMITIVES["getitem"] else None for x in reads]
            entries = set(picks) - {None}
            if len(entries) > 1 and 2 * len(entries) >= leaf.shape[axis]:
                found.append((leaf, axis))
                break
            if picks and None not in picks:
                single.append((leaf, axis))
    known = {leaf.id for leaf, _ in found}
    lengths = {leaf.shape[axis] for leaf, axis in found}
    return found + [(leaf, axis) for leaf, axis in single if leaf.shape[axis] in lengths and leaf.id not in known]


def _met(
    leaves: list[Tensor], nodes: Iterable[Tensor], known: list[tuple[Tensor, int]], count: int
) -> list[tuple[Tensor, int]]:
    """The leaves, not learned, that have an entry for each step and meet a whole sequence entry by entry."""
    lengths = {leaf.shape[axis] for leaf, axis in known} | {count}
    whole = {leaf.id for leaf, axis in known if axis == 0}
    below: dict[int, set[int]] = {}
    met: set[int] = set()
    for node in nodes:
        long = node.scope.step is None and node.ndim > 0 and node.shape[0] in lengths
        if node.op is None:
            below[node.id] = {node.id} if long and node.id not in whole else set()
            continue
        below[node.id] = set().union(*(below[x.id] for x in node.inputs)) if long else set()
        if any(x.id in whole for x in node.inputs):
            met |= set().union(*(below[x.id] for x in node.inputs if x.id not in whole)) if long else set()
            below[node.id] = set()
            whole |= {node.id} if long else set()
        elif node.op.name == "stack" and all(x.scope.step is not None for x in node.inputs):
            whole.add(node.id)
    done = {leaf.id for leaf, _ in known}
    return [(leaf, 0) for leaf in leaves if leaf.id in met and leaf.id not in done]


def _entries_as_read(loss: Tensor) -> Tensor:
    """Leaves of the steps made anew where they are first read, so that each step has them in one order."""
    made: dict[int, Tensor] = {}

    def change(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor | None:
        if node.op is None:
            return None
        given = []
        for x in inputs:
            if x.op is None and x.scope.step is not None and x.id not in made:
                made[x.id] = Tensor(x.value, None, (), None, x.name, x.scope, x.requires_grad)
            given.append(made.get(x.id, x))
        return with_inputs(node, given)

    return replaced(loss, change)


# -- what differs -----------------------------------------------------------------------------------------------------
def _differing_by_name(loss: Tensor) -> Tensor:
    """Numbers, arrays and data that are others at each step, as inputs of the steps."""
    graph = Graph(loss)
    differing = _differing(graph)
    names = {node.name for node in graph.nodes}
    fresh = (name for name in (f"k_{n}" for n in range(1, 10_000)) if name not in names)
    called: dict[tuple[int, ...], str] = {}
    for group, leaves in differing.values():
        if group not in called:
            called[group] = _common_name(leaves) or next(fresh)
    made: dict[tuple[int, int], Tensor] = {}

    def change(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor | None:
        slots = [j for j in range(len(inputs)) if (node.id, j) in differing]
        if not slots:
            return None
        given = list(inputs)
        for j in slots:
            key = inputs[j].id, id(node.scope)
            if key not in made:
                name = called[differing[node.id, j][0]]
                made[key] = Tensor(inputs[j].value, None, (), None, name, node.scope, False)
            given[j] = made[key]
        return with_inputs(node, given)

    return replaced(loss, change) if differing else loss


def _common_name(leaves: list[Tensor]) -> str:
    """`x` of x1, x2, x3."""
    stems = {re.sub(r"_?\d+$", "", leaf.name or "") for leaf in leaves}
    return stems.pop() if len(stems) == 1 else ""


def _differing(graph: Graph) -> dict[tuple[int, int], tuple[tuple[int, ...], list[Tensor]]]:
    """Node and number of the input -> what stands there at the steps (ids, and leaves), for leaves outside of the steps
    that differ."""
    alike = _alike_steps(graph.nodes)
    found: dict[tuple[int, int], tuple[tuple[int, ...], list[Tensor]]] = {}
    for p, node in enumerate(alike[0] if alike else []):
        for j in range(len(node.inputs)):
            leaves = [nodes[p].inputs[j] for nodes in alike if j < len(nodes[p].inputs)]
            if _are_others(leaves):
                group = tuple(x.id for x in leaves)
                found.update({(nodes[p].id, j): (group, leaves) for nodes in alike})
    return found


def _alike_steps(all_nodes: Iterable[Tensor]) -> list[list[Tensor]]:
    """The nodes of those steps, most of all, that have the same operations."""
    steps: dict[Any, list[Tensor]] = {}
    for node in all_nodes:
        if node.scope.step is not None and not is_constant(node):
            steps.setdefault(node.scope.step, []).append(node)
    kinds: dict[tuple[Any, ...], list[list[Tensor]]] = {}
    for nodes in steps.values():
        kinds.setdefault(tuple(node.op for node in nodes), []).append(nodes)
    return max(kinds.values(), key=lambda steps: (len(steps), len(steps[0])), default=[])


def _are_others(leaves: list[Tensor]) -> bool:
    """Whether these are numbers or arrays of one shape that differ, or a vector or data of its own at each step."""
    if any(x.op is not None or x.scope.step is not None or x.shape != leaves[0].shape for x in leaves):
        return False
    if all(map(is_constant, leaves)):
        return any(not same_value(x.value, leaves[0].value) for x in leaves)
    data = all(not x.requires_grad or x.ndim < 2 or 1 in x.shape for x in leaves)
    return data and len(leaves) > 2 and len({x.id for x in leaves}) == len(leaves)
