"""Several small products of matrices as one large one.

Products that read the same value become one product with the weights stacked (the gates of a cell); a sum of products
becomes one product of what is stacked; a sum over time of outer products is a contraction, one product over all steps
and samples (the gradient of a weight). Only products of the same stage are merged, so that no work moves into a loop.

    join       its inputs one above the other; a storage order, not a copy, where the inputs can live in its place
    rows       some rows of its input (params start, stop): a view
    contract   once: the sum over all steps of a[t] @ b[t].T
    total_rows once: the sum over all steps and columns, as one column
"""

from __future__ import annotations

import numpy as np

from ...core.loop.program import Node, is_number, rewrite, users
from ..planning.stages import LOOP, Stages
from .features_first import gemm, transposed


def merge_products(outputs: list[Node]) -> list[Node]:
    """The outputs with products merged."""
    outputs = contractions(outputs)
    places = _places(outputs)
    outputs = _sums(outputs, places)
    outputs = _common_right(outputs, places)
    return _joined_contractions(outputs)


def join(nodes: list[Node]) -> Node:
    """Nodes one above the other."""
    sample = np.concatenate([np.asarray(x.sample) for x in nodes])
    return Node("join", nodes, {}, any(x.step for x in nodes), sample)


def rows(node: Node, start: int, stop: int, label: str = "") -> Node:
    """Some rows of a node."""
    return Node("rows", [node], {"start": start, "stop": stop}, node.step, node.sample[start:stop], None, label)


# -- sums over time -----------------------------------------------------------------------------------------------
def contractions(outputs: list[Node]) -> list[Node]:
    """Sums over time of products of two values of the steps, and of sums over the batch."""
    known: dict[int, Node] = {}

    def turned(x: Node, turn: bool) -> Node:
        return known.setdefault(id(x), transposed(x)) if turn else x

    def rule(node: Node) -> Node | None:
        if node.op != "total":
            return None
        (x,) = node.ins
        if x.op == "gemm" and all(y.step for y in x.ins):
            a, b = x.ins
            return Node("contract", [turned(a, x.params["ta"]), turned(b, not x.params["tb"])], {}, False, node.sample)
        if x.op == "sum" and not x.shape and x.ins[0].step:  # over time first, whole slots at once; then over entries
            summed = Node("total", x.ins, {}, False, x.ins[0].sample)
            return Node("sum", [summed], x.params, False, node.sample, x.function)
        if x.op == "sum" and x.params.get("axis") in (1, (1,)) and x.params.get("keepdims") and len(x.shape) == 2:
            return Node("total_rows", x.ins, {}, False, node.sample)
        return None

    return _oriented(rewrite(outputs, rule))


def _oriented(outputs: list[Node]) -> list[Node]:
    """Contractions with what is there first (an input, a state) on the right, whichever way weights are held: so those
    of all gates can become one."""
    rank = Stages(outputs).rank

    def rule(node: Node) -> Node | None:
        if node.op != "contract" or rank[id(node.ins[0])] >= rank[id(node.ins[1])]:
            return None
        return transposed(Node("contract", node.ins[::-1], {}, False, np.transpose(node.sample)))

    return rewrite(outputs, rule)


def _joined_contractions(outputs: list[Node]) -> list[Node]:
    """Contractions of parts of one stack with the same right side as one contraction."""
    stages = Stages(outputs)  # sums of one rank do not depend on each other
    nodes = stages.nodes
    place: dict[int, tuple[Node, int]] = {}
    for node in nodes:
        if node.op == "join" and node.step:
            at = 0
            for x in node.ins:
                place.setdefault(id(x), (node, at))
                at += x.shape[0]
    groups: dict[tuple[int, ...], list[Node]] = {}
    for node in nodes:
        if node.op in ("contract", "total_rows") and id(node.ins[0]) in place:
            stack, _ = place[id(node.ins[0])]
            key = (stages.rank[id(node)], id(stack), *[id(x) for x in node.ins[1:]])
            groups.setdefault(key, []).append(node)
    became: dict[int, Node] = {}
    alone: dict[tuple[int, int], list[Node]] = {}
    for node in nodes:
        if node.op == "contract":
            alone.setdefault((stages.rank[id(node)], id(node.ins[1])), []).append(node)
    for group in groups.values():
        stack = place[id(group[0].ins[0])][0]
        if len({id(node.ins[0]) for node in group}) != len(stack.ins):
            continue
        for node in group:
            if node.op == "contract":
                alone[stages.rank[id(node)], id(node.ins[1])].remove(node)
        if len(group) < 2:
            continue
        rest = group[0].ins[1:]
        width = group[0].shape[1]
        whole = Node(group[0].op, [stack, *rest], {}, False, np.zeros((stack.shape[0], width), group[0].dtype))
        for node in group:
            at = place[id(node.ins[0])][1]
            became[id(node)] = rows(whole, at, at + node.shape[0], node.label)
    for group in alone.values():
        _stack_of_its_own(group, place, became)
    return rewrite(outputs, lambda node: became.get(id(node)))


def _stack_of_its_own(group: list[Node], place: dict[int, tuple[Node, int]], became: dict[int, Node]) -> None:
    """Contractions with one right side whose left sides stand in no common stack yet: those that stand in another one
    in its order, before the rest if they are its last ones and else after it, so that they can lie there once."""
    lefts = {id(node.ins[0]): node.ins[0] for node in group}
    known = sorted((i for i in lefts if i in place), key=lambda i: place[i][1])
    rest = [i for i in lefts if i not in place]
    last = known and place[known[-1]][0].ins[-1] is lefts[known[-1]]
    lefts = {i: lefts[i] for i in ([*known, *rest] if last else [*rest, *known])}
    if not 1 < len(lefts) < 5 or any(x.op in ("join", "input", "shift") for x in lefts.values()):
        return
    stack = join(list(lefts.values()))
    whole = Node(
        "contract", [stack, group[0].ins[1]], {}, False, np.zeros((stack.shape[0], group[0].shape[1]), group[0].dtype)
    )
    at = 0
    for i, x in lefts.items():
        for node in group:
            if id(node.ins[0]) == i:
                became[id(node)] = rows(whole, at, at + x.shape[0], node.label)
        at += x.shape[0]


# -- products -----------------------------------------------------------------------------------------------------
def _left(node: Node) -> Node:
    """The left matrix of a product, as it is multiplied."""
    return transposed(node.ins[0]) if node.params["ta"] else node.ins[0]


def _is_weighted(node: Node) -> bool:
    """Whether a node is a matrix known beforehand times a value of the step."""
    return node.op == "gemm" and node.step and not node.ins[0].step and node.ins[1].step and not node.params["tb"]


def _groups(stages: Stages) -> list[list[Node]]:
    """Products of one stage that read the same value."""
    groups: dict[tuple[int, ...], list[Node]] = {}
    for node in stages.nodes:
        if _is_weighted(node):
            key = (stages.rank[id(node)], stages.loop.get(id(node), -1), id(node.ins[1]))
            groups.setdefault(key, []).append(node)
    return [group for group in groups.values() if len(group) > 1]


def _places(outputs: list[Node]) -> dict[int, int]:
    """For weights (by `id`) where they stand among those they are merged with, however the function has them.

    What one call can compute lies together (`horizontal_packing`): first what goes the same way longest, as all
    sigmoids do; and of these last what then meets a state, before it what meets another one of the products: beside
    them lie what these go on as, and the state.
    """
    stages = Stages(outputs)
    readers = users(stages.nodes)
    found: dict[int, int] = {}
    groups = sorted(_groups(stages), key=lambda group: not stages.inside(group[0]))
    for group in groups:
        if stages.inside(group[0]):
            group.sort(key=lambda node: _way(node, {id(x) for x in group}, stages, readers))
        else:  # in the order of those they are added to, and then what is added to none
            group.sort(key=lambda node: [found.get(id(_weights(x)), 0) for x in _added(node, readers)] or [len(found)])
        for n, node in enumerate(group):
            found.setdefault(id(_weights(node)), n)
    return found


def _added(node: Node, readers: dict[int, list[tuple[Node, int]]]) -> list[Node]:
    """The products that a product is added to, by itself or with what else was added before."""
    while len(readers[id(node)]) == 1 and readers[id(node)][0][0].op == "add":
        before, node = node, readers[id(node)][0][0]
        if products := [x for x in node.ins if x.op == "gemm" and x is not before]:
            return products
    return []


def _way(node: Node, group: set[int], stages: Stages, readers: dict[int, list[tuple[Node, int]]]) -> tuple[int, ...]:
    """How long a product goes alone, and whether it then meets a state, or another product of the group."""
    links = 0
    while True:
        after = [reader for reader, _ in readers[id(node)] if stages.together(reader, node)]
        if len(after) != 1 or len(_moving(after[0], stages)) > 1:
            break
        node, links = after[0], links + 1
    met = [x for reader in after if reader.op == "multiply" for x in reader.ins if x is not node]
    return -links, any(x.op == "shift" for x in met), any(id(_start(x, stages)) in group for x in met)


def _start(x: Node, stages: Stages) -> Node:
    """Where a value comes from, if on its way it met only what is known before the loop."""
    while x.op not in ("gemm", "shift") and len(moving := _moving(x, stages)) == 1:
        (x,) = moving
    return x


def _moving(node: Node, stages: Stages) -> list[Node]:
    return [x for x in node.ins if stages.inside(x)]


def _weights(node: Node) -> Node:
    """The weights of a product as they were given."""
    x = node.ins[0]
    while x.op == "transpose" or (x.op == "multiply" and any(map(is_number, x.ins))):
        x = next(y for y in x.ins if not is_number(y))
    return x


def _common_right(outputs: list[Node], places: dict[int, int]) -> list[Node]:
    tried: set[tuple[int, ...]] = set()
    while True:
        groups = [sorted(g, key=lambda x: places.get(id(_weights(x)), 0)) for g in _groups(Stages(outputs))]
        fresh = [g for g in groups if tuple(map(id, g)) not in tried]
        if not fresh:
            return outputs
        tried.add(tuple(map(id, fresh[0])))
        if not _depend(fresh[0]):  # one at a time: what is merged may make others depend on each other
            outputs = _merged(outputs, fresh[0])


def _merged(outputs: list[Node], group: list[Node]) -> list[Node]:
    became: dict[int, Node] = {}
    whole = gemm(join([_left(node) for node in group]), group[0].ins[1])
    at = 0
    for node in group:
        became[id(node)] = rows(whole, at, at + node.shape[0], node.label)
        at += node.shape[0]
    return rewrite(outputs, lambda node: became.get(id(node)))


def _depend(group: list[Node]) -> bool:
    """Whether one product of the group needs another one of the same step."""
    inside = {id(node) for node in group}
    seen: set[int] = set()
    stack = [x for node in group for x in node.ins]
    while stack:
        x = stack.pop()
        if id(x) in seen or x.op == "shift":
            continue
        if id(x) in inside:
            return True
        seen.add(id(x))
        stack += x.ins
    return False


def _sums(outputs: list[Node], places: dict[int, int]) -> list[Node]:
    """W1.T @ d1 + W2.T @ d2 + ... as one product."""
    stages = Stages(outputs)
    readers = users(stages.nodes)
    asked = {id(output) for output in outputs}
    became: dict[int, Node] = {}

    def alone(x: Node, root: Node) -> bool:
        return len(readers[id(x)]) == 1 and id(x) not in asked and x.shape == root.shape and stages.together(x, root)

    for root in stages.nodes:
        if root.op != "add" or not root.step:
            continue
        above = readers.get(id(root), [])
        if len(above) == 1 and above[0][0].op == "add" and alone(root, above[0][0]):
            continue
        terms, stack = [], [root]
        while stack:
            x = stack.pop()
            if x is root or (x.op == "add" and alone(x, root)):
                stack += reversed(x.ins)
            else:
                terms.append(x)
        products = [x for x in terms if _is_weighted(x) and alone(x, root)]
        if len(products) < 2:
            continue
        products.sort(key=lambda x: places.get(id(_weights(x)), 0))
        stacked = join([transposed(_left(x)) for x in products])
        result = gemm(stacked, join([x.ins[1] for x in products]), ta=True)
        for x in terms:
            if x not in products:
                function = root.function
                result = Node("add", [x, result], {}, True, root.sample, function)
        result.label = root.label
        became[id(root)] = result
    return rewrite(outputs, lambda node: became.get(id(node)))


__all__ = ["LOOP", "contractions", "join", "merge_products", "rows"]
