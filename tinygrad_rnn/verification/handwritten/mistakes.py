"""The mistakes people make in a backward pass, as changes to one rule of the sweep; and which of them was made.

A change belongs to one line of the forward pass, at all its steps, and to one of its operands: a path forgotten, W for
its transpose, tanh' as 1 - h, a factor left out or taken from another quantity or another step. The recorded graph is
swept backwards with one rule changed until the result is what the user has. A change is told only if it explains every
gradient that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, islice, pairwise
from typing import Any

import numpy as np

from ...core.backward import fit
from ...core.graph import ancestors
from ...core.tensor import Tensor
from ..measure.rounding import on_kink, pulled
from .arrays import LeafName, said
from .code import Vocabulary
from .compare import close
from .loop_lines import Printer, Quantity, Steps, lines, nonlinearities, quantities
from .true_gradients import Truth

#: what an operand receives: (node, operand, cotangent of the node, what the rule gives, all cotangents so far) to what
#: the user gives
ChangedRule = Callable[[Tensor, int, Any, Any, Mapping[int, Any]], Any]
#: a cotangent so many operations further on may have been taken in place of the right one
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
RIGHT_SLOPES: dict[str, Callable[[Any], Any]] = {"tanh": lambda y: 1 - y**2, "sigmoid": lambda y: y * (1 - y)}


@dataclass(frozen=True)
class Change:
    """One rule changed at some edges, (node, operand), or another slope of nonlinearities; the sentence says how."""

    edges: frozenset[tuple[int, int]]
    rule: ChangedRule
    sentence: str
    slopes: Mapping[int, Callable[[Tensor], Any]] = field(default_factory=dict)


class Mistakes:
    """All changes to the sweep over some nodes, the likeliest kinds first."""

    def __init__(self, nodes: list[Tensor], vocabulary: Vocabulary) -> None:
        self.groups = lines(nodes)
        self.steps = Steps(self.groups)
        self.printed = Printer(self.steps, vocabulary.words)
        self.quantities = quantities(self.groups, self.steps, self.printed, vocabulary.words)
        self.nonlinearities = nonlinearities(nodes, vocabulary.calls)
        self.consumers: dict[int, list[Tensor]] = {}
        for node in nodes:
            for x in node.inputs:
                self.consumers.setdefault(x.id, []).append(node)

    def __iter__(self) -> Iterator[Change]:
        yield from self._slopes()
        yield from self._edges(self._masks, self._transposes, self._left_out)
        yield from self._states()
        yield from self._edges(self._paths, self._uses, self._operands, self._early)
        yield from self._blocks()
        yield from self._edges(self._factors)
        yield from self._slopes_elsewhere()

    def _edges(self, *kinds: Callable[[list[Tensor], Tensor, int], Iterator[Change]]) -> Iterator[Change]:
        for kind in kinds:
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

    def _masks(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """The derivative of a choice, which is 0 where something else is chosen."""
        says = f"the derivative of `{self.printed(last)}`"
        if _op(last) in _CHOICES:
            says += "" if _op(last) == "clip" else f" by `{self.printed(last.inputs[operand], state_of=last)}`"
            yield _change(members, operand, _no_factor, f"{says}, {_CHOICES[_op(last)]}, is missing")
        if _op(last) == "clip":
            yield _change(members, operand, _within("a_min", 1), f"{says} is taken as 0 below its lower limit only")
            yield _change(members, operand, _within("a_max", -1), f"{says} is taken as 0 above its upper limit only")

    def _slopes(self) -> Iterator[Change]:
        """The derivative of a nonlinearity."""
        for members, name in self._bent():
            for spelled, slope in SLOPES[name].items():
                taken = "is missing" if spelled == ONE else f"is taken as `{spelled}`"
                says = f"the derivative `{RIGHT[name]}` of y = `{self.printed(members[-1])}` {taken}"
                yield _slope_change(members, _at_value(slope), says)

    def _slopes_elsewhere(self) -> Iterator[Change]:
        """The derivative of a nonlinearity taken at another quantity."""
        for members, name in self._bent():
            for quantity in self.quantities if name in RIGHT_SLOPES else ():
                word = self.printed(members[-1])
                if quantity.word != word:
                    says = f"the derivative `{RIGHT[name]}` of y = `{word}` is taken at y = `{quantity.word}`"
                    yield _slope_change(members, self._slope_at(RIGHT_SLOPES[name], quantity), says)

    def _bent(self) -> Iterator[tuple[list[Tensor], str]]:
        for members in self.groups:
            if all(node.id in self.nonlinearities for node in members):
                yield members, self.nonlinearities[members[-1].id][1]

    def _left_out(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A factor left out on the way back through a product."""
        if _op(last) == "multiply":
            into, right = (self.printed(last.inputs[i], state_of=last) for i in (operand, 1 - operand))
            says = f"the factor `{right}` is missing on the way back into `{into}`"
            yield _change(members, operand, _no_factor, says)

    def _factors(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A factor taken from another quantity, on the way back through a product."""
        if _op(last) != "multiply":
            return
        into, right = (self.printed(last.inputs[i], state_of=last) for i in (operand, 1 - operand))
        for quantity in self.quantities:
            if quantity.word != right:
                says = f"`{quantity.word}` stands for the factor `{right}` on the way back into `{into}`"
                yield _change(members, operand, self._factor_from(quantity), says)

    def _paths(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A path that is forgotten, or comes in with the wrong sign."""
        into = self.printed(last.inputs[operand], state_of=last)
        says = f"what comes back from `{self.printed(last)}` into `{into}`"
        yield _change(members, operand, _nothing, f"{says} is missing")
        yield _change(members, operand, _negative, f"{says} has the wrong sign")

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
        """A weight's gradient made with another quantity, or that of another step."""
        name = _weight(members, operand)
        if not name or _op(last) != "matmul":
            return
        right = self.printed(last.inputs[1 - operand], state_of=last)
        for quantity in self.quantities:
            if quantity.word != right:
                says = f"`{quantity.word}` stands for `{right}` in the gradient of `{name}`"
                yield _change(members, operand, self._operand_from(quantity), says)
        before = {node.id: earlier for earlier, node in pairwise(members)}
        says = f"`{right}` is taken one step early in the gradient of `{name}`"
        yield _change(members, operand, _operand_before(before), says)

    def _early(self, members: list[Tensor], last: Tensor, operand: int) -> Iterator[Change]:
        """A weight's gradient made with a cotangent that has not come through all operations yet."""
        name = _weight(members, operand)
        for hops in range(1, NEAR + 1):
            other = self._on(last, hops)
            if not name or other is None:
                return
            wrong, right = self.printed(other), self.printed(last)
            says = f"the gradient of `{name}` is made with that of `{wrong}`, not of `{right}`"
            yield _change(members, operand, self._cotangent_of(hops), says)

    def _blocks(self) -> Iterator[Change]:
        """Two gates exchanged in the gradient of what they are cut from."""
        cut = [members for members in self.groups if _op(members[-1]) == "getitem"]
        for one, two in combinations(cut, 2):
            a, b = one[-1], two[-1]
            if a.inputs[0] is b.inputs[0] and a.shape == b.shape and len(one) == len(two):
                partner = {x.id: y for x, y in zip(one + two, two + one, strict=True)}
                names = " and ".join(f"`{self._word_after(node)}`" for node in (a, b))
                says = f"the blocks of {names} are exchanged in the gradient of `{self.printed(a.inputs[0])}`"
                yield _change(one + two, 0, _as_partner(partner), says)

    def _word_after(self, node: Tensor) -> str:
        """The word for what a node soon becomes: the gate of a block."""
        bent = next((y for y, (x, _) in self.nonlinearities.items() if x is node), None)
        members = next((m for m in self.groups if m[-1].id == bent), [node])
        return self.printed(members[-1])

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

    # -- rules that need the loop --------------------------------------------------------------------------------------
    def _on(self, node: Tensor, hops: int) -> Tensor | None:
        """What is computed from a node, so many operations on."""
        for _ in range(hops):
            if node.id not in self.consumers:
                return None
            node = self.consumers[node.id][0]
        return node

    def _value_of(self, quantity: Quantity, node: Tensor, example: Tensor) -> np.ndarray:
        """A quantity at a node's iteration; a ValueError where its shape says it cannot stand for the right one."""
        other = quantity.at.get(self.steps.iteration(node))
        if other is None or other.shape != example.shape:
            raise ValueError(f"{quantity.word} does not fit")
        return np.asarray(other.value)

    def _factor_from(self, quantity: Quantity) -> ChangedRule:
        return lambda node, i, g, part, cotangents: g * self._value_of(quantity, node, node.inputs[1 - i])

    def _slope_at(self, slope: Callable[[Any], Any], quantity: Quantity) -> Callable[[Tensor], Any]:
        return lambda node: slope(self._value_of(quantity, node, node))

    def _operand_from(self, quantity: Quantity) -> ChangedRule:
        return lambda node, i, g, part, cotangents: _pulled_with(
            node, i, g, self._value_of(quantity, node, node.inputs[1 - i])
        )

    def _cotangent_of(self, hops: int) -> ChangedRule:
        def rule(node: Tensor, i: int, g: Any, part: Any, cotangents: Mapping[int, Any]) -> Any:
            other = self._on(node, hops)
            if other is None or other.shape != node.shape or other.id not in cotangents:
                raise ValueError(f"no gradient {hops} operations on")
            return pulled(node, cotangents[other.id])[i]

        return rule


def sides(nodes: list[Tensor]) -> Iterator[Change]:
    """The other derivatives that are right where a function has a kink and an argument stands exactly on it."""
    kinks = [node for node in nodes if np.any(on_kink(node))]
    edges = frozenset((node.id, i) for node in kinks for i in range(len(node.inputs)))
    for share in (0.0, 1.0, -1.0) if kinks else ():
        said = " and ".join(sorted({f"`{_op(node)}`" for node in kinks}))
        yield Change(edges, _with_share(share), f"{said} at a kink, where its derivative may be taken as {share:g}")


#: what chooses between values, and its derivative by one of them
_CHOICES = {
    "clip": "0 beyond its limits",
    "abs": "the sign",
    **dict.fromkeys(("maximum", "minimum", "where"), "0 where the other is taken"),
}


def _within(end: str, sign: int) -> ChangedRule:
    """A clip's derivative as if it had one limit only."""

    def rule(node: Tensor, i: int, g: Any, part: Any, cotangents: Mapping[int, Any]) -> Any:
        limit = (node.params or {})[end]
        return g if limit is None else g * (sign * (np.asarray(node.inputs[0].value) - limit) >= 0)

    return rule


def _with_share(share: float) -> ChangedRule:
    def rule(node: Tensor, i: int, g: Any, part: Any, cotangents: Any) -> Any:
        constant = len(node.inputs) == 2 and not node.inputs[1 - i].requires_grad
        return np.where(on_kink(node), g * (share if i == 0 or constant else 1.0 - share), part)

    return rule


def _op(node: Tensor) -> str:
    return node.op.name if node.op is not None else ""


def _change(members: list[Tensor], operand: int, rule: ChangedRule, sentence: str) -> Change:
    return Change(frozenset((node.id, operand) for node in members), rule, sentence)


def _weight(members: list[Tensor], operand: int) -> str:
    """The name of the operand if it is the same leaf at all steps."""
    leaves = {node.inputs[operand].id: node.inputs[operand] for node in members}
    (leaf, *others) = leaves.values()
    return leaf.name or "" if not others and leaf.op is None else ""


def _at_value(slope: Callable[[Any], Any]) -> Callable[[Tensor], Any]:
    return lambda node: slope(np.asarray(node.value))


def _as_partner(partner: Mapping[int, Tensor]) -> ChangedRule:
    return lambda node, i, g, part, cotangents: pulled(partner[node.id], g)[0]


def _slope_change(members: list[Tensor], slope: Callable[[Tensor], Any], sentence: str) -> Change:
    return Change(frozenset(), _nothing, sentence, {node.id: slope for node in members})


def _transposed(node: Tensor, i: int, g: Any, part: Any, cotangents: Any) -> Any:
    other = np.asarray(node.inputs[1 - i].value)
    return other @ g if i == 1 else g @ other


def _no_factor(node: Tensor, i: int, g: Any, part: Any, cotangents: Any) -> Any:
    return g + np.zeros(np.shape(part))


def _nothing(node: Tensor, i: int, g: Any, part: Any, cotangents: Any) -> Any:
    return np.zeros(np.shape(part))


def _negative(node: Tensor, i: int, g: Any, part: Any, cotangents: Any) -> Any:
    return -np.asarray(part)


def _pulled_with(node: Tensor, i: int, g: Any, other: np.ndarray) -> Any:
    values = [np.asarray(x.value) for x in node.inputs]
    values[1 - i] = other
    return pulled(node, g, values)[i]


def _operand_before(before: Mapping[int, Tensor]) -> ChangedRule:
    def rule(node: Tensor, i: int, g: Any, part: Any, cotangents: Any) -> Any:
        if node.id not in before:
            return _nothing(node, i, g, part, cotangents)
        return _pulled_with(node, i, g, np.asarray(before[node.id].inputs[1 - i].value))

    return rule


# -- which of them -----------------------------------------------------------------------------------------------------
#: so many operations may be passed in all sweeps of a search: some five seconds
MOST_VISITS = 500_000
#: and so many where the numbers alone tell already what is wrong
FEW_VISITS = 50_000


class MistakeSearch:
    """Sweeps over the recorded graph, compared with what the user's pass returned.

    Where it returned gradients of quantities inside of the graph, a sweep goes on with these, right or not: so what
    comes out for each leaf is what follows from the user's other gradients, and a difference is that line's own.
    """

    def __init__(self, truth: Truth, stated: Mapping[LeafName, np.ndarray], vocabulary: Vocabulary, eps: float) -> None:
        assert truth.loss is not None
        self.nodes = [node for node in ancestors([truth.loss]) if node.requires_grad]
        self.loss, self.eps = truth.loss, eps
        self.changes = Mistakes(self.nodes, vocabulary)
        self.wanted = {node.id for node in self.nodes}
        self.targets = {leaf: (truth.nodes[leaf], value) for leaf, value in stated.items()}
        self.inner = {node.id: value for node, value in self.targets.values() if node.op is not None}
        self.limit = _limit(stated)

    def wrong_by_themselves(self) -> set[LeafName]:
        """The places whose gradient does not follow from the user's other gradients."""
        swept = self._swept(None)
        return {leaf for leaf in self.targets if not self._agrees(leaf, swept)}

    def side_of_a_kink(self) -> str:
        """Whether the user's gradients are right with another derivative at a kink."""
        return next((change.sentence for change in sides(self.nodes) if self._explains(change)), "")

    def mistakes(self, visits: int = MOST_VISITS) -> Iterator[str]:
        """The sentences of all changes that explain all gradients, the likeliest first, as far as `visits` go."""
        for change in islice(self.changes, visits // len(self.nodes)):
            if self._explains(change):
                yield change.sentence
        yield from self._truncated(self.changes.steps)

    def confirms(self, sentence: str) -> bool:
        """Whether a change with this sentence explains all gradients here too."""
        if any(self._explains(change) for change in self.changes if change.sentence == sentence):
            return True
        return sentence in self._truncated(self.changes.steps)

    def _explains(self, change: Change) -> bool:
        try:
            swept = self._swept(change)
        except ValueError:  # shapes do not fit: nobody has written that
            return False
        return all(self._agrees(leaf, swept) for leaf in self.targets)

    def _agrees(self, leaf: LeafName, swept: Mapping[int, Any]) -> bool:
        node, value = self.targets[leaf]
        other = np.asarray(swept.get(node.id, np.zeros(node.shape)))
        return close(value, np.clip(other, -self.limit, self.limit), self.eps)

    def _swept(self, change: Change | None) -> dict[int, Any]:
        cotangents: dict[int, Any] = {self.loss.id: np.ones(self.loss.shape)}
        edges: Container[tuple[int, int]] = change.edges if change is not None else ()
        for node in reversed(self.nodes):
            g = self.inner.get(node.id, cotangents.get(node.id))
            if g is None or node.op is None:
                continue
            if change is not None and node.id in change.slopes:
                x, _ = self.changes.nonlinearities[node.id]
                parts: list[tuple[Tensor, Any]] = [(x, g * change.slopes[node.id](node))]
            else:
                parts = list(zip(node.inputs, pulled(node, g), strict=True))
            for i, (x, part) in enumerate(parts):
                if x.id not in self.wanted:
                    continue
                if change is not None and (node.id, i) in edges:
                    part = change.rule(node, i, g, part, cotangents)
                part = np.asarray(fit(np.asarray(part), x))
                cotangents[x.id] = cotangents[x.id] + part if x.id in cotangents else part
        return cotangents

    def same_as(self, leaf: LeafName) -> str:
        """Of which other quantity of the graph a gradient is, if it is one's."""
        node, value = self.targets[leaf]
        swept = self._swept(None)
        for other in self.nodes:
            if other is not node and other.id in swept and close(value, np.asarray(swept[other.id]), self.eps):
                word = self.changes.printed(other)
                return f"this is the gradient of `{word}`, not of `{said(leaf)}`"
        return ""

    def _truncated(self, steps: Steps) -> list[str]:
        """Whether each error was walked back over so many steps only."""
        by_age: dict[int, dict[int, Any]] = {self.loss.id: {0: np.ones(self.loss.shape)}}
        for node in reversed(self.nodes):
            for age, g in by_age.get(node.id, {}).items() if node.op is not None else ():
                for x, part in zip(node.inputs, pulled(node, g), strict=True):
                    if x.id in self.wanted:
                        older = age + steps.crosses(node, x)
                        ages = by_age.setdefault(x.id, {})
                        part = np.asarray(fit(np.asarray(part), x))
                        ages[older] = ages[older] + part if older in ages else part
        oldest = max((age for node, _ in self.targets.values() for age in by_age.get(node.id, {})), default=0)
        for k in range(oldest):
            kept = {i: sum(g for age, g in ages.items() if age <= k) for i, ages in by_age.items()}
            if all(self._agrees(leaf, kept) for leaf in self.targets):
                return [
                    f"each error is walked back over {k} step{'s' if k != 1 else ''} only: gradients of truncated "
                    "backpropagation are not those of the loss"
                ]
        return []


def _limit(stated: Mapping[LeafName, np.ndarray]) -> float:
    """The limit at which wrong gradients may have been clipped as well: a round number."""
    limit = max(float(np.max(np.abs(value), initial=0.0)) for value in stated.values())
    return limit if limit and limit == float(f"{limit:.1g}") else float("inf")
