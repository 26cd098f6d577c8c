"""The same functions at other inputs: whether a right pass stays right there, and an explanation true.

Zeros, ones and equal numbers hide mistakes and make different ones look alike. Moved are the arrays whose gradients are
judged; labels and masks are what they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import copy

import numpy as np

from ...core.errors import GraphError
from ...core.graph import Graph
from ...core.tensor import Tensor
from ..measure.witness import KINKED
from .arrays import LeafName
from .mistakes import MistakeSearch
from .subject import ReturnedGradients, Subject
from .true_gradients import record, recorded_truth

#: entries are moved by so much of the typical size of their array
SHARE = 0.1
#: and by so much, each time another way, where a kink lies on one side only
FARTHER = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
#: of each kink of a forward pass, in their order, the signs of its argument
KinkSigns = list[frozenset[float]]


@contextmanager
def moved(subject: Subject, places: Collection[LeafName], share: float = SHARE) -> Iterator[Subject]:
    """The subject with these of its arrays moved a little; weights that stand elsewhere are restored in the end."""
    rng = np.random.default_rng(3 if share == SHARE else int(share))
    values = {leaf: _moved(a, share, rng) if leaf in places else a for leaf, a in subject.leaves.items()}
    other = copy(subject)
    other.inputs = subject.inputs.at(values)
    other.leaves = values
    with subject.params.written(values):
        yield other


def kinks(loss: Tensor | None) -> KinkSigns:
    """On which sides of its kinks a recorded forward pass lies: signs of arguments, truth values, places of maxima."""
    signs: KinkSigns = []
    for node in Graph(loss).nodes if loss is not None else ():
        name = node.op.name if node.op is not None else ""
        params = node.params or {}
        first, *second = (np.real(np.asarray(x.value)) for x in node.inputs) if node.inputs else (np.zeros(0),)
        if name == "clip":
            signs += [_signs(first - end) for end in (params["a_min"], params["a_max"]) if end is not None]
        elif name == "where":
            signs.append(frozenset(np.unique(params["condition"]).tolist()))
        elif name in ("max", "min"):
            signs.append(frozenset([int(np.argmax(first) if name == "max" else np.argmin(first))]))
        elif name in KINKED:
            signs.append(_signs(first - second[0] if second else first))
    return signs


def _signs(argument: np.ndarray) -> frozenset[float]:
    signs = np.unique(np.sign(argument))
    return frozenset(signs[np.isin(signs, (-1.0, 1.0))].tolist())


def one_sided(seen: KinkSigns) -> bool:
    """Whether some kink lies on one side only, so that a slope that is forgotten on the other one does not show."""
    return any(len(signs) < 2 for signs in seen)


def elsewhere(subject: Subject, places: Collection[LeafName], eps: float, share: float = SHARE) -> MistakeSearch | None:
    """The search for mistakes at moved inputs, or None where the functions do not take them."""
    with moved(subject, places, share) as other:
        loss, leaves, _ = record(other)
        if loss is None:
            return None
        try:
            returned, _ = other.returned()
            gradients = ReturnedGradients(other, returned, steps_of(loss)).gradients
        except GraphError:  # these functions refuse what is moved, by an assertion of their own perhaps
            return None
        graph = Graph(loss)
        nodes = {leaf: node_of(leaf, leaves, graph) for leaf in [*leaves, *gradients]}
        truth = recorded_truth(loss, nodes)
        finite = all(np.isfinite(value).all() for value in (*truth.values.values(), *gradients.values()))
        return MistakeSearch(truth, gradients, other.vocabulary, eps) if finite else None


def steps_of(loss: Tensor | None) -> dict[str, list[int]]:
    """The quantities a recorded forward pass names at time steps, and at which."""
    steps: dict[str, set[int]] = {}
    for node in Graph(loss).nodes if loss is not None else ():
        if node.name and isinstance(node.scope.step, int):
            steps.setdefault(node.name, set()).add(node.scope.step)
    return {quantity: sorted(at) for quantity, at in steps.items()}


def node_of(leaf: LeafName, leaves: Mapping[LeafName, Tensor], graph: Graph) -> Tensor:
    """The node of an input, or of a named quantity at a step."""
    name, step = leaf
    return leaves[leaf] if leaf in leaves else graph[name] if step is None else graph[name, step]


def _moved(array: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    size = float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
    return (array + share * (size or 1.0) * rng.standard_normal(array.shape)).astype(array.dtype)
