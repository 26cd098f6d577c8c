"""The mistakes people make in a backward pass, as changes to one rule of the sweep.

A change belongs to one line of the forward pass, at all its steps, and to one of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.tensor import Tensor
from .loops import Printer, Steps, lines, sigmoid_of

#: what an operand receives: (node, operand, cotangent of the node, what the rule gives) to what the user gives
Rule = Callable[[Tensor, int, Any, Any], Any]
#: a quantity so many operations further on may have been taken in place of the right one
NEAR = 4

ONE = "1"
#: what is taken for the derivative of a nonlinearity, in terms of its value y
SLOPES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "tanh": {
        ONE: np.ones_like,
        "1 - y": lambda y: 1 - y,
        "(1 - y)**2": lambda y: (1 - y) ** 2,
        "y * (1 - y)": lambda y: y * (1 - y),
        "1 - tanh(y)**2": lambda y: 1 - np.tanh(y) ** 2,
        "1 + y**2": lambda y: 1 + y**2,
        "y**2 - 1": lambda y: y**2 - 1,
    },
    "sigmoid": {
        ONE: np.ones_like,
        "1 - y": lambda y: 1 - y,
        "y": lambda y: y,
        "1 - y**2": lambda y: 1 - y**2,
        "y**2": lambda y: y**2,
        "y * (y - 1)": lambda y: y * (y - 1),
        "y * (1 + y)": lambda y: y * (1 + y),
        "sigmoid(y) * (1 - sigmoid(y))": lambda y: np.exp(-y) / (1 + np.exp(-y)) ** 2,
    },
    "relu": {ONE: np.ones_like, "y": lambda y: y},
}
RIGHT = {"tanh": "1 - y**2", "sigmoid": "y * (1 - y)", "relu": "y > 0"}


@dataclass(frozen=True)
class Change:
    """One rule changed at some edges, (node, operand); the sentence says how."""

    edges: frozenset[tuple[int, int]]
    rule: Rule
    sentence: str


class Mistakes:
    """All changes to the sweep over some nodes, the likeliest kinds first."""

    def __init__(self, nodes: list[Tensor], words: Mapping[int, list[str]]) -> None:
        self.groups = lines(nodes)
        self.steps = Steps(self.groups)
        self.printed = Printer(self.steps, words)
        self.consumers: dict[int, list[Tensor]] = {}
        for node in nodes:
            for x in node.inputs:
                self.consumers.setdefault(x.id, []).append(node)

    def __iter__(self) -> Iterator[Change]:
        for kind in (self._transposes, self._slopes, self._factors, self._paths, self._operands, self._uses):
            if kind == self._paths:
                yield from self._states()
            for members in self.groups:
                last = members[-1]
                for operand in range(len(last.inputs)):
                    if any(node.inputs[operand].requires_grad for node in members):
                        yield from kind(members, last, operand)

    def _transposes(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A matrix for its transpose."""
        other = last.inputs[1 - operand] if _op(last) == "matmul" else last
        if _op(last) == "matmul" and other.ndim == 2 and other.shape[0] == other.shape[1]:
            name = self.printed(other)
            says = f"`{name}` and its transpose are exchanged on the way back through `{self.printed(last)}`"
            yield _change(members, operand, _transposed, says)

    def _slopes(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """The derivative of a nonlinearity."""
        written_out = sigmoid_of(last) is not None
        name = "sigmoid" if written_out else _op(last)
        if operand != int(written_out):
            return
        for spelled, slope in SLOPES.get(name, {}).items():
            taken = "is missing" if spelled == ONE else f"is taken as `{spelled}`"
            says = f"the derivative `{RIGHT[name]}` of y = `{self.printed(last)}` {taken}"
            yield _change(members, operand, _with_slope(slope, written_out), says)

    def _factors(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A factor left out, or taken from another quantity, on the way back through a product."""
        if _op(last) != "multiply":
            return
        into, right = self.printed(last.inputs[operand]), self.printed(last.inputs[1 - operand], state_of=last)
        yield _change(members, operand, _no_factor, f"the factor `{right}` is missing on the way back into `{into}`")
        says = f"`{into}` itself stands for the factor `{right}` on the way back through `{self.printed(last)}`"
        yield _change(members, operand, _own_factor, says)
        for hops, word in self._further(last, 0):
            other = f"`{word}`" if word != right else f"the next `{word}`"
            says = f"{other} stands for the factor `{right}` on the way back into `{into}`"
            yield _change(members, operand, self._factor_from(hops), says)

    def _paths(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A path that is forgotten, or comes in with the wrong sign."""
        into = self.printed(last.inputs[operand], state_of=last)
        says = f"what comes back from `{self.printed(last)}` into `{into}`"
        yield _change(members, operand, _nothing, f"{says} is missing")
        yield _change(members, operand, lambda node, i, g, part: -np.asarray(part), f"{says} has the wrong sign")

    def _states(self) -> Iterator[Change]:
        """All that comes back from the next step into a state forgotten, or into one of several."""
        edges: dict[int, list[tuple[int, int]]] = {}
        states: dict[int, Tensor] = {}
        for members in self.groups:
            for node in members:
                for i, x in enumerate(node.inputs):
                    if x.requires_grad and self.steps.crosses(node, x):
                        edges.setdefault(self.steps.last[x.id], []).append((node.id, i))
                        states[self.steps.last[x.id]] = node
        for last, crossing in edges.items():
            node = states[last]
            x = next(x for i, x in enumerate(node.inputs) if (node.id, i) in crossing)
            word = self.printed(x, state_of=node)
            says = f"what comes back from the next step, by way of `{word}`, is not added to the gradient of the step"
            yield Change(frozenset(crossing), _nothing, says)

    def _operands(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A weight's gradient made with the quantity of another step."""
        name = _weight(members, operand)
        if not name or _op(last) != "matmul":
            return
        right = self.printed(last.inputs[1 - operand], state_of=last)
        for hops, word in self._further(last, 1):
            other = f"`{word}`" if word != right else f"the next `{word}`"
            says = f"{other} stands for `{right}` in the gradient of `{name}`"
            yield _change(members, operand, self._operand_from(hops), says)
        before = {node.id: earlier for earlier, node in pairwise(members)}
        says = f"`{right}` is taken one step early in the gradient of `{name}`"
        yield _change(members, operand, _operand_before(before), says)

    def _uses(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A weight's gradient of some of its uses only."""
        name = _weight(members, operand)
        if not name or len(members) < 2:
            return
        line = self.printed(last)
        every, first, final = (
            frozenset((node.id, operand) for node in part) for part in (members, members[:1], members[-1:])
        )
        for edges, says in (
            (every - final, f"only the last use of `{name}` in `{line}` is counted: `=` for `+=`?"),
            (every - first, f"only the first use of `{name}` in `{line}` is counted: `=` for `+=`?"),
            (first, f"the first use of `{name}` in `{line}` is left out"),
            (final, f"the last use of `{name}` in `{line}` is left out"),
        ):
            yield Change(edges, _nothing, says)

    # -- quantities further on ---------------------------------------------------------------------------------------
    def _further(self, node: Tensor, start: int) -> Iterator[tuple[int, str]]:
        """Quantities computed from a node: how many operations on, and how they print."""
        for hops in range(start, NEAR + 1):
            other = self._on(node, hops)
            if other is None:
                return
            yield hops, self.printed(other)

    def _on(self, node: Tensor, hops: int) -> Tensor | None:
        for _ in range(hops):
            if node.id not in self.consumers:
                return None
            node = self.consumers[node.id][0]
        return node

    def _factor_from(self, hops: int) -> Rule:
        def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
            return g * _fitting(self._on(node, hops), node.inputs[1 - i])

        return rule

    def _operand_from(self, hops: int) -> Rule:
        def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
            return _pulled_with(node, i, g, _fitting(self._on(node, hops), node.inputs[1 - i]))

        return rule


def pulled(node: Tensor, g: Any, values: list[Any] | None = None) -> list[Any]:
    """What each input of a node receives by the primitive's own rule, its inputs holding these values."""
    op, params = node.op, node.params or {}
    assert op is not None
    y = np.asarray(node.value)
    xs = [np.asarray(x.value) for x in node.inputs] if values is None else values
    if op.joint is not None:
        return list(op.joint(g, y, *xs, **params))
    return [rule(g, y, *xs, **params) for rule in op.separate]


def _op(node: Tensor) -> str:
    return node.op.name if node.op is not None else ""


def _change(members: list[Tensor], operand: int, rule: Rule, sentence: str) -> Change:
    return Change(frozenset((node.id, operand) for node in members), rule, sentence)


def _weight(members: list[Tensor], operand: int) -> str:
    """The name of the operand if it is the same leaf at all steps."""
    leaves = {node.inputs[operand].id: node.inputs[operand] for node in members}
    (leaf, *others) = leaves.values()
    return leaf.name or "" if not others and leaf.op is None else ""


def _transposed(node: Tensor, i: int, g: Any, part: Any) -> Any:
    other = np.asarray(node.inputs[1 - i].value)
    return other @ g if i == 1 else g @ other


def _with_slope(slope: Callable[[Any], Any], written_out: bool) -> Rule:
    def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
        y = np.asarray(node.value)
        return part * (slope(y) / (y * (1 - y))) if written_out else g * slope(y)

    return rule


def _no_factor(node: Tensor, i: int, g: Any, part: Any) -> Any:
    return g + np.zeros(np.shape(part))


def _own_factor(node: Tensor, i: int, g: Any, part: Any) -> Any:
    return g * np.asarray(node.inputs[i].value)


def _nothing(node: Tensor, i: int, g: Any, part: Any) -> Any:
    return np.zeros(np.shape(part))


def _fitting(other: Tensor | None, example: Tensor) -> np.ndarray:
    """The value of another quantity in place of this one; a ValueError where its shape says it cannot be."""
    if other is None or other.shape != example.shape:
        raise ValueError(f"shapes {other.shape if other is not None else None} and {example.shape}")
    return np.asarray(other.value)


def _pulled_with(node: Tensor, i: int, g: Any, other: np.ndarray) -> Any:
    values = [np.asarray(x.value) for x in node.inputs]
    values[1 - i] = other
    return pulled(node, g, values)[i]


def _operand_before(before: Mapping[int, Tensor]) -> Rule:
    def rule(node: Tensor, i: int, g: Any, part: Any) -> Any:
        if node.id not in before:
            return _nothing(node, i, g, part)
        return _pulled_with(node, i, g, np.asarray(before[node.id].inputs[1 - i].value))

    return rule
