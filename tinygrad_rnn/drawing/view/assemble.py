"""From the nodes chosen at a level to a picture: texts, roles, and one slot for the same quantity in all steps.

No rule here knows a model by name: which part each node plays follows from the structure of the picture alone. Which
steps are drawn, and whether the picture is folded, is decided by `view`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...core.graph import Graph, ancestors
from ...core.tensor import Tensor
from ..layout.columns import arrange_in_time, outer_indices, scope_of
from ..picture import Column, Edge, Picture, PictureNode, Shared, Stub
from .label_text import Text, clean, constant_text, joined, shape_text, symbol, value_lines, words
from .levels import Level, at_level, data_without_time

# -- roles -------------------------------------------------------------------------------------------------------------
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
    if not nodes[members[0]].named or nodes[members[0]].untimed:
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
    leading: set[int] = set()
    stack = list(states)
    while stack:
        for slot in before.get(stack.pop(), ()):
            if slot not in leading:
                leading.add(slot)
                stack.append(slot)
    return leading


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
    losses = set(final)
    for i in range(len(nodes)):
        if able[i] and timed[i] and sizes[i] == 1:
            reading = readers[i]
            if reading and reading <= totals:
                losses.add(i)
    return losses


def _named_readers(picture: Picture, out: list[list[int]]) -> list[frozenset[int] | None]:
    """For every node the named nodes that read it, directly or through unnamed operations; None when there are many."""
    readers: list[frozenset[int] | None] = [None] * len(picture.nodes)
    for i in range(len(picture.nodes) - 1, -1, -1):  # nodes come after what they read
        direct: set[int] = set()
        for h in out[i]:
            more = frozenset((h,)) if picture.nodes[h].named else readers[h]
            if more is None or len(direct) > MANY_READERS:
                break
            direct |= more
        else:
            readers[i] = frozenset(direct)
    return readers


def assemble(
    graph: Graph, level: str, values: bool | str, only: Any = None, untimed: frozenset[int] = frozenset()
) -> tuple[Picture, list[Tensor]]:
    """The picture of a whole graph, and the tensors its nodes stand for.

    values: False, True, or `"shapes"` for these alone. untimed: ids of inputs outside of time.
    """
    untimed |= data_without_time(graph)
    chosen = at_level(graph, level, only if level == "named" else None, untimed)
    columns, column_of = arrange_in_time(chosen.drawn, chosen.links)
    slots = _slots(chosen, column_of)
    picture = _assemble(chosen, columns, column_of, slots, level, values)
    for node, tensor in zip(picture.nodes, chosen.drawn, strict=True):
        node.untimed = tensor.id in untimed and tensor.op is None and tensor.scope.step is None
    assign_roles(picture, [n.size for n in chosen.drawn])
    _with_its_loss(picture)
    picture.shared = _legend(graph, chosen)
    return picture, chosen.drawn


def _with_its_loss(picture: Picture) -> None:
    """The target of a single loss that comes after all steps, as y(T), stands with that loss and not in its step."""
    nodes, columns = picture.nodes, picture.columns
    slots, beside = Counter(n.slot for n in nodes), Counter(n.column for n in nodes)
    readers: dict[int, set[int]] = {}
    for e in picture.edges:
        readers.setdefault(e.tail, set()).add(nodes[e.head].column)
    for i, n in enumerate(nodes):
        if n.role == "target" and slots[n.slot] == 1 and beside[n.column] > 1 and len(readers[i]) == 1:
            (there,) = readers[i]
            if columns[there].kind == "after":
                n.column = there


def _slots(chosen: Level, column_of: dict[int, int]) -> dict[int, int]:
    """One number for the same quantity in all steps: by name and part of the model, or operation and arguments.

    What does not fold is drawn as well, so this asks less than `core.loop.fold`: which nodes stand level, not whether
    the steps are one step repeated.
    """
    arguments = {n.id: [_argument(u.source) for u in chosen.uses.get(n.id, ())] for n in chosen.drawn}
    slots: dict[int, int] = {}
    numbers: dict[Any, int] = {}
    seen: dict[Any, int] = {}
    into: dict[int, list[int]] = {}
    for link in chosen.links:
        into.setdefault(link.head.id, []).append(link.tail.id)
    outer = outer_indices(chosen.drawn)
    for n in chosen.drawn:
        scope = scope_of(n)
        inner = map(str, scope[1][outer:]) if scope and outer else ()
        labels = (*scope[0], *inner) if scope else ("", str(column_of[n.id]))
        if n.name is not None:
            key: Any = ("named", labels, n.name)
        else:
            # an argument from another step is any argument: the first step may take it from elsewhere
            inside = [slots[i] if column_of[i] == column_of[n.id] else -1 for i in into.get(n.id, ())]
            key = ("op", labels, n.op.name if n.op else "", tuple(inside), tuple(arguments[n.id]))
        copy = seen[column_of[n.id], key] = seen.get((column_of[n.id], key), -1) + 1
        slots[n.id] = numbers.setdefault((key, copy), len(numbers))
    return slots


def _argument(source: Tensor) -> Any:
    """A parameter is itself in every step; a number written in a formula is made anew at each, so its value counts."""
    return source.id if source.requires_grad or source.name is not None else _tag(source).unicode


def _assemble(
    chosen: Level,
    columns: list[Column],
    column_of: dict[int, int],
    slots: dict[int, int],
    level: str,
    values: bool | str,
) -> Picture:
    number = {n.id: i for i, n in enumerate(chosen.drawn)}
    ambiguous = _ambiguous(chosen.drawn)
    nodes = []
    for n in chosen.drawn:
        node = PictureNode(_text(n), "", column_of[n.id], slots[n.id], named=n.name is not None, leaf=n.op is None)
        if n.op is not None and (n.name is not None or level == "named"):
            node.operation = clean(n.op.label) if level == "op" and n.op.name != "identity" else ""
        if n.name in ambiguous and (scope := scope_of(n)) and scope[0]:
            node.lines = (clean(".".join(scope[0]), 16),)
        if values and (node.named or not n.shape):
            node.lines += (shape_text(n.shape),) if values == "shapes" else value_lines(n.value)
        node.tooltip = _tooltip(n)
        node.stubs = [Stub(_tag(u.source), _tag_role(u.source), u.side) for u in chosen.uses.get(n.id, ())]
        nodes.append(node)
    edges = [
        Edge(number[k.tail.id], number[k.head.id], _label(k.factors), k.differentiable, k.parallel)
        for k in chosen.links
    ]
    return Picture(nodes, edges, columns, [], level, "LR")


def _ambiguous(drawn: list[Tensor]) -> set[str]:
    """Names that mean different things in different parts of the model, so the part must be said."""
    parts: dict[str, set[Any]] = {}
    for n in drawn:
        if n.name is not None and (scope := scope_of(n)) is not None:
            parts.setdefault(n.name, set()).add(scope[0])
    return {name for name, paths in parts.items() if len(paths - {()}) > 1}


def _text(n: Tensor) -> Text:
    if n.name is not None:
        scope = scope_of(n)
        return symbol(n.name, None if scope is None else scope[1] if len(scope[1]) > 1 else scope[1][0])
    if n.op is not None:
        return words("=" if n.op.name == "identity" else clean(n.op.label))
    return words(constant_text(n.value))


def _tag(source: Tensor) -> Text:
    """The symbol of a parameter; W with a raised T for its transpose; the value of a constant."""
    raised, here = "", source
    while here.name is None and here.op is not None and len(here.inputs) == 1:
        raised += "T" if here.op.name == "transpose" else "′"
        here = here.inputs[0]
    if here.name is not None:
        text = symbol(here.name)
        return Text(text.base, text.sub, raised)
    if here.op is None:
        return words(constant_text(here.value)) if not here.requires_grad else Text("θ", sup=raised)
    return words(clean(here.op.label))


def _tag_role(source: Tensor) -> str:
    return "parameter" if source.requires_grad else "constant"


def _label(sources: tuple[Tensor, ...]) -> Text | None:
    if not sources:
        return None
    return joined([_tag(s) for s in sources])


def _tooltip(n: Tensor) -> str:
    parts = [clean(n.name) if n.name else "", "leaf" if n.op is None else n.op.name, shape_text(n.shape), str(n.scope)]
    return clean(" · ".join(p for p in parts if p), 120)


def _legend(graph: Graph, chosen: Level) -> list[Shared]:
    """Every parameter once, and other named values that several steps share, as weights that are not learned."""
    parameters = {n.id for n in graph.parameters}
    known = {n.id for n in ancestors(chosen.drawn)}  # what only left-out nodes read is left out as well
    return [
        Shared(_tag(n), _tag_role(n), shape_text(n.shape) + ("" if n.requires_grad else ", fixed"))
        for n in graph.nodes
        if n.id in chosen.shared and n.id in known and n.op is None and (n.id in parameters or n.name is not None)
    ]
