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
from .arrays import Place
from .results import Results
from .subject import Subject
from .suspects import Search
from .truth import record, recorded_truth

#: entries are moved by so much of the typical size of their array
SHARE = 0.1


@contextmanager
def moved(subject: Subject, places: Collection[Place]) -> Iterator[Subject]:
    """The subject with these of its arrays moved a little; weights that stand elsewhere are restored in the end."""
    rng = np.random.default_rng(3)
    values = {place: _moved(a, rng) if place in places else a for place, a in subject.leaves.items()}
    other = copy(subject)
    other.inputs = subject.inputs.at(values)
    other.leaves = values
    with subject.params.written(values):
        yield other


def elsewhere(subject: Subject, places: Collection[Place], eps: float) -> Search | None:
    """The search for mistakes at moved inputs, or None where the functions do not take them."""
    with moved(subject, places) as other:
        loss, leaves, _ = record(other)
        if loss is None:
            return None
        try:
            returned, _ = other.returned()
            gradients = Results(other, returned, steps_of(loss)).gradients
        except GraphError:  # these functions refuse what is moved, by an assertion of their own perhaps
            return None
        graph = Graph(loss)
        nodes = {place: node_of(place, leaves, graph) for place in [*leaves, *gradients]}
        return Search(recorded_truth(loss, nodes), gradients, other.vocabulary, eps)


def steps_of(loss: Tensor | None) -> dict[str, list[int]]:
    """The quantities a recorded forward pass names at time steps, and at which."""
    steps: dict[str, set[int]] = {}
    for node in Graph(loss).nodes if loss is not None else ():
        if node.name and isinstance(node.scope.step, int):
            steps.setdefault(node.name, set()).add(node.scope.step)
    return {quantity: sorted(at) for quantity, at in steps.items()}


def node_of(place: Place, leaves: Mapping[Place, Tensor], graph: Graph) -> Tensor:
    """The node of an input, or of a named quantity at a step."""
    name, step = place
    return leaves[place] if place in leaves else graph[name] if step is None else graph[name, step]


def _moved(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0
    return (array + SHARE * (size or 1.0) * rng.standard_normal(array.shape)).astype(array.dtype)
