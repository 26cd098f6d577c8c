"""Which one mistake in a backward pass gives just the gradients that came out: the recorded graph is swept backwards
with one rule changed, the same way at all steps, until the result is what the user has.

The changes are those people make: a path forgotten, W for its transpose, tanh' as 1 - h, a factor left out or taken
from another quantity or another step. A change is told only if it explains every gradient that is wrong.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ...core.backward import fit
from ...core.graph import ancestors
from ...core.tensor import Tensor
from ..measure.rounding import pulled
from .arrays import ArrayPlace, said
from .code import Vocabulary
from .loop_lines import Steps
from .mistakes import Change, Mistakes, sides
from .relations import close
from .true_gradients import Truth

#: so many operations may be passed in all sweeps of a search: some five seconds
MOST_VISITS = 500_000
#: and so many where the numbers alone tell already what is wrong
FEW_VISITS = 50_000


class MistakeSearch:
    """Sweeps over the recorded graph, compared with what the user's pass returned.

    Where it returned gradients of quantities inside of the graph, a sweep goes on with these, right or not: so what
    comes out for each place is what follows from the user's other gradients, and a difference is that line's own.
    """

    def __init__(
        self, truth: Truth, stated: Mapping[ArrayPlace, np.ndarray], vocabulary: Vocabulary, eps: float
    ) -> None:
        assert truth.loss is not None
        self.nodes = [node for node in ancestors([truth.loss]) if node.requires_grad]
        self.loss, self.eps = truth.loss, eps
        self.changes = Mistakes(self.nodes, vocabulary)
        self.wanted = {node.id for node in self.nodes}
        self.targets = {place: (truth.nodes[place], value) for place, value in stated.items()}
        self.inner = {node.id: value for node, value in self.targets.values() if node.op is not None}
        self.limit = _limit(stated)

    def wrong_by_themselves(self) -> set[ArrayPlace]:
        """The places whose gradient does not follow from the user's other gradients."""
        swept = self._swept(None)
        return {place for place in self.targets if not self._agrees(place, swept)}

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
        return all(self._agrees(place, swept) for place in self.targets)

    def _agrees(self, place: ArrayPlace, swept: Mapping[int, Any]) -> bool:
        node, value = self.targets[place]
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

    def same_as(self, place: ArrayPlace) -> str:
        """Of which other quantity of the graph a gradient is, if it is one's."""
        node, value = self.targets[place]
        swept = self._swept(None)
        for other in self.nodes:
            if other is not node and other.id in swept and close(value, np.asarray(swept[other.id]), self.eps):
                word = self.changes.printed(other)
                return f"this is the gradient of `{word}`, not of `{said(place)}`"
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
            if all(self._agrees(place, kept) for place in self.targets):
                return [
                    f"each error is walked back over {k} step{'s' if k != 1 else ''} only: gradients of truncated "
                    "backpropagation are not those of the loss"
                ]
        return []


def _limit(stated: Mapping[ArrayPlace, np.ndarray]) -> float:
    """The limit at which wrong gradients may have been clipped as well: a round number."""
    limit = max(float(np.max(np.abs(value), initial=0.0)) for value in stated.values())
    return limit if limit and limit == float(f"{limit:.1g}") else float("inf")
