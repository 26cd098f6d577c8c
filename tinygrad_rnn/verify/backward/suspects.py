"""Which one mistake in a backward pass gives just the gradients that came out: the recorded graph is swept backwards
with one rule changed, the same way at all steps, until the result is what the user has.

The changes are those people make: a path forgotten, W for its transpose, tanh' as 1 - h, a factor left out or taken from
another quantity or another step. A change is told only if it explains every gradient that is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.graph import ancestors
from ...core.sweep import fit
from ...core.tensor import Tensor
from .arrays import Place
from .relations import close
from .truth import Truth

#: seconds the search may take
BUDGET = 4.0
#: operations inside of one operand are told apart so deep, and printed so deep
DEPTH = 5
ANY = "…"
#: a quantity that stands so far down the line may have been taken in place of the right factor
NEAR = 4

Rule = Callable[[Tensor, int, Any, Any], Any]
Shape = tuple[Any, ...] | str


@dataclass(frozen=True)
class Change:
    """One rule changed for some nodes and one of their inputs; the sentence says how."""

    nodes: frozenset[int]
    operand: int
    rule: Rule
    sentence: str


def suspect(stated: Mapping[Place, np.ndarray], truth: Truth, eps: float) -> str:
    """The sentence of the first change that explains all gradients, or nothing."""
    assert truth.loss is not None
    nodes = [node for node in ancestors([truth.loss]) if node.requires_grad]
    targets = {place: truth.nodes[place] for place in stated}
    start = time.perf_counter()
    for change in _changes(nodes):
        if time.perf_counter() - start > BUDGET:
            return ""
        try:
            swept = _swept(nodes, truth.loss, change)
        except ValueError:  # shapes do not fit: nobody has written that
            continue
        if all(close(stated[p], swept.get(node.id, np.zeros(node.shape)), eps) for p, node in targets.items()):
            return change.sentence
    return ""


def _swept(nodes: list[Tensor], loss: Tensor, change: Change) -> dict[int, Any]:
    """Gradients of all nodes with one rule changed."""
    wanted = {node.id for node in nodes}
    cotangents: dict[int, Any] = {loss.id: np.ones(loss.shape)}
    for node in reversed(nodes):
        g = cotangents.get(node.id)
        if g is None or node.op is None:
            continue
        for i, (x, part) in enumerate(zip(node.inputs, pulled(node, g), strict=True)):
            if x.id not in wanted:
                continue
            if i == change.operand and node.id in change.nodes:
                part = change.rule(node, i, g, part)
            part = np.asarray(fit(np.asarray(part), x))
            cotangents[x.id] = cotangents[x.id] + part if x.id in cotangents else part
    return cotangents


def pulled(node: Tensor, g: Any) -> list[Any]:
    """What each input of a node receives by the primitive's own rule."""
    op, params = node.op, node.params or {}
    assert op is not None
    y, xs = np.asarray(node.value), [np.asarray(x.value) for x in node.inputs]
    if op.joint is not None:
        return list(op.joint(g, y, *xs, **params))
    return [rule(g, y, *xs, **params) for rule in op.separate]


# -- the same operation at all steps ---------------------------------------------------------------------------------
def _groups(nodes: list[Tensor]) -> list[tuple[str, list[Tensor]]]:
    """Nodes that are the same line of the forward pass, told apart by the weights they are made of."""
    shapes: dict[tuple[int, int], Shape] = {}
    groups: list[tuple[Shape, list[Tensor]]] = []
    for node in reversed([node for node in nodes if node.op is not None]):  # the last steps are made of the most
        shape = _shape(node, DEPTH, shapes)
        for known, members in groups:
            if _alike(known, shape):
                members.append(node)
                break
        else:
            groups.append((shape, [node]))
    return [(_printed(shape), sorted(members, key=lambda node: node.id)) for shape, members in groups]


def _shape(node: Tensor, depth: int, shapes: dict[tuple[int, int], Shape]) -> Shape:
    if node.op is None:
        return node.name if node.requires_grad and node.name else ANY
    if depth == 0:
        return ANY
    key = (node.id, depth)
    if key not in shapes:
        weight = any(x.op is None and x.requires_grad for x in node.inputs)
        inner = depth - 1 if not (weight and node.op.name in ("matmul", "getitem")) else 0
        shapes[key] = (node.op.label or node.op.name, node.op.name, *(_shape(x, inner, shapes) for x in node.inputs))
    return shapes[key]


def _alike(a: Shape, b: Shape) -> bool:
    if ANY in (a, b):
        return True
    if isinstance(a, str) or isinstance(b, str):
        # a state that starts as a named array goes on as something computed
        return a == b
    return len(a) == len(b) and a[1] == b[1] and all(_alike(x, y) for x, y in zip(a[2:], b[2:], strict=True))


def _printed(shape: Shape) -> str:
    if isinstance(shape, str):
        return shape
    label, op, *inputs = shape
    parts = [_printed(part) for part in inputs]
    sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "matmul": "@"}.get(op)
    if sign and len(parts) == 2:
        parts = [
            f"({p})" if " " in p and _binds(op) > _binds(s) else p for p, s in zip(parts, map(_op, inputs), strict=True)
        ]
        return f"{parts[0]} {sign} {parts[1]}"
    if op == "transpose":
        return f"{parts[0]}.T"
    return parts[0] if op in ("identity", "reshape", "broadcast_to") else f"{op}({', '.join(parts)})"


def _op(shape: Any) -> str:
    return "" if isinstance(shape, str) else shape[1]


def _binds(op: str) -> int:
    return {"add": 1, "subtract": 1, "multiply": 2, "divide": 2, "matmul": 3}.get(op, 4)


# -- what people get wrong -------------------------------------------------------------------------------------------
def _changes(nodes: list[Tensor]) -> Iterator[Change]:
    groups = _groups(nodes)
    consumers: dict[int, list[Tensor]] = {}
    for node in nodes:
        for x in node.inputs:
            consumers.setdefault(x.id, []).append(node)
    for make in (_turned, _slopes, _factors, _dropped, _shifted):
        for printed, members in groups:
            yield from make(printed, members, consumers)


def _operands(members: list[Tensor]) -> Iterator[int]:
    """Operands of a group through which a gradient flows."""
    yield from (i for i in range(len(members[0].inputs)) if any(m.inputs[i].requires_grad for m in members))


def _change(members: list[Tensor], operand: int, rule: Rule, sentence: str) -> Change:
    return Change(frozenset(node.id for node in members), operand, rule, sentence)


def _turned(printed: str, members: list[Tensor], consumers: Any) -> Iterator[Change]:
    """A matrix for its transpose."""
    if members[0].op is None or members[0].op.name != "matmul":
        return
    for i in _operands(members):
        other = members[0].inputs[1 - i]
        if other.ndim == 2 and other.shape[0] == other.shape[1]:
            name = other.name or "the matrix"
            says = f"`{name}` and `{name}.T` are exchanged on the way back through `{printed}`"
            yield _change(members, i, _transposed, says)


def _transposed(node: Tensor, i: int, g: Any, part: Any) -> Any:
    other = np.asarray(node.inputs[1 - i].value)
    return other @ g if i == 1 else g @ other


_SLOPES: dict[str, list[tuple[str, Callable[[Any], Any]]]] = {
    "tanh": [
        ("1", lambda y: np.ones_like(y)),
        ("1 - y", lambda y: 1 - y),
        ("(1 - y)**2", lambda y: (1 - y) ** 2),
        ("y * (1 - y)", lambda y: y * (1 - y)),
        ("1 - tanh(y)**2", lambda y: 1 - np.tanh(y) ** 2),
        ("1 + y**2", lambda y: 1 + y**2),
    ],
    "sigmoid": [
        ("1", lambda y: np.ones_like(y)),
        ("1 - y", lambda y: 1 - y),
        ("y", lambda y: y),
        ("1 - y**2", lambda y: 1 - y**2),
        ("y**2", lambda y: y**2),
        ("y - 1", lambda y: y - 1),
        ("y * (1 + y)", lambda y: y * (1 + y)),
        ("sigmoid'(y)", lambda y: 1 / (1 + np.exp(-y)) * (1 - 1 / (1 + np.exp(-y)))),
    ],
    "relu": [("1", lambda y: np.ones_like(y)), ("y", lambda y: y)],
}
_RIGHT = {"tanh": "1 - y**2", "sigmoid": "y * (1 - y)", "relu": "y > 0"}


def _slopes(printed: str, members: list[Tensor], consumers: Any) -> Iterator[Change]:
    """The derivative of a nonlinearity."""
    name = members[0].op.name if members[0].op is not None else ""
    for spelled, slope in _SLOPES.get(name, ()):

        def rule(node: Tensor, i: int, g: Any, part: Any, slope: Callable[[Any], Any] = slope) -> Any:
            return g * slope(np.asarray(node.value))

        missing = "is missing" if spelled == "1" else f"is taken as `{spelled}`"
        yield _change(members, 0, rule, f"the derivative `{_RIGHT[name]}` of y = `{printed}` {missing}")


def _factors(printed: str, members: list[Tensor], consumers: dict[int, list[Tensor]]) -> Iterator[Change]:
    """A factor left out, or one that belongs somewhere else, on the way back through a product."""
    if members[0].op is None or members[0].op.name != "multiply":
        return
    for i in _operands(members):
        into = _inside(printed, members[0], i)
        right = _inside(printed, members[0], 1 - i)
        yield _change(members, i, _no_factor, f"the factor `{right}` is missing on the way back into `{into}`")
        yield _change(
            members,
            i,
            _own_factor,
            f"`{into}` itself stands for the factor `{right}` on the way back through `{printed}`",
        )
        for hops, word in _further(members, consumers):
            yield _change(
                members,
                i,
                _of_consumer(consumers, hops),
                f"`{word}` stands for the factor `{right}` on the way back into `{into}`",
            )


def _inside(printed: str, node: Tensor, i: int) -> str:
    x = node.inputs[i]
    return x.name or _printed(_shape(x, 3, {}))


def _no_factor(node: Tensor, i: int, g: Any, part: Any) -> Any:
    return g + np.zeros(np.shape(part))


def _own_factor(node: Tensor, i: int, g: Any, part: Any) -> Any:
    return g * np.asarray(node.inputs[i].value)


def _further(members: list[Tensor], consumers: dict[int, list[Tensor]]) -> Iterator[tuple[int, str]]:
    """Quantities computed from a node: so many operations on, and how they print."""
    node = members[-1]
    for hops in range(NEAR):
        yield hops, node.name or _printed(_shape(node, 3, {}))
        if node.id not in consumers:
            return
        node = consumers[node.id][0]


def _of_consumer(consumers: dict[int, list[Tensor]], hops: int) -> Rule:
    def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
        other = _on(node, consumers, hops)
        if other is None or np.shape(other.value) != np.shape(node.inputs[1 - i].value):
            raise ValueError
        return g * np.asarray(other.value)

    return rule


def _on(node: Tensor, consumers: dict[int, list[Tensor]], hops: int) -> Tensor | None:
    for _ in range(hops):
        if node.id not in consumers:
            return None
        node = consumers[node.id][0]
    return node


def _dropped(printed: str, members: list[Tensor], consumers: Any) -> Iterator[Change]:
    """A path that is forgotten, or comes in with the wrong sign."""
    for i in _operands(members):
        into = _inside(printed, members[-1], i)
        says = f"what comes back from `{printed}` into `{into}`"
        yield _change(members, i, lambda node, i, g, part: np.zeros(np.shape(part)), f"{says} is missing")
        yield _change(members, i, lambda node, i, g, part: -np.asarray(part), f"{says} has the wrong sign")


def _shifted(printed: str, members: list[Tensor], consumers: dict[int, list[Tensor]]) -> Iterator[Change]:
    """A weight's gradient made with the quantity of another step, or of one use alone."""
    if members[0].op is None or len(members) < 2:
        return
    first, last = frozenset({members[0].id}), frozenset({members[-1].id})
    for i in _operands(members):
        name = members[0].inputs[i].name
        if members[0].inputs[i].op is not None or name is None or members[0].inputs[i].id != members[-1].inputs[i].id:
            continue
        zero: Rule = lambda node, i, g, part: np.zeros(np.shape(part))  # noqa: E731
        every = frozenset(node.id for node in members)
        yield Change(every - last, i, zero, f"only the last use of `{name}` in `{printed}` is counted: `=` for `+=`?")
        yield Change(every - first, i, zero, f"only the first use of `{name}` in `{printed}` is counted: `=` for `+=`?")
        yield Change(first, i, zero, f"the first use of `{name}` in `{printed}` is left out")
        yield Change(last, i, zero, f"the last use of `{name}` in `{printed}` is left out")
        if members[0].op.name == "matmul":
            for hops in range(1, NEAR + 1):
                says = f"the gradient of `{name}` is made with the quantity that `{printed}` leads to, one step late"
                yield _change(members, i, _other_operand(consumers, hops), says)
            before = {node.id: earlier for earlier, node in zip(members, members[1:], strict=False)}
            says = f"the gradient of `{name}` is made with the operand of the step before in `{printed}`"
            yield _change(members, i, _operand_before(before), says)


def _outer(node: Tensor, i: int, g: Any, other: Any) -> Any:
    if np.shape(other) != np.shape(node.inputs[1 - i].value):
        raise ValueError
    values = [np.asarray(x.value) for x in node.inputs]
    values[1 - i] = np.asarray(other)
    op, params = node.op, node.params or {}
    assert op is not None
    if op.joint is not None:
        return op.joint(g, np.asarray(node.value), *values, **params)[i]
    return op.separate[i](g, np.asarray(node.value), *values, **params)


def _other_operand(consumers: dict[int, list[Tensor]], hops: int) -> Rule:
    def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
        other = _on(node, consumers, hops)
        if other is None:
            raise ValueError
        return _outer(node, i, g, other.value)

    return rule


def _operand_before(before: Mapping[int, Tensor]) -> Rule:
    def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
        if node.id not in before:
            return np.zeros(np.shape(part))
        return _outer(node, i, g, before[node.id].inputs[1 - i].value)

    return rule
