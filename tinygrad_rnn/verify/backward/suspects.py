"""Which one mistake in a backward pass gives just the gradients that came out: the recorded graph is swept backwards
with one rule changed, the same way at all steps, until the result is what the user has.

The changes are those people make: a path forgotten, W for its transpose, tanh' as 1 - h, a factor left out or taken
from another quantity or another step. A change is told only if it explains every gradient that is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.graph import ancestors
from ...core.sweep import fit
from ...core.tensor import Tensor
from .arrays import Place
from .mistakes import Change, Mistakes, pulled
from .relations import close
from .truth import Truth

#: seconds the search may take
BUDGET = 4.0


def suspect(stated: Mapping[Place, np.ndarray], truth: Truth, words: Mapping[int, list[str]], eps: float) -> str:
    """The sentence of the first change that explains all gradients, or nothing; `words` are the user's variables."""
    assert truth.loss is not None
    nodes = [node for node in ancestors([truth.loss]) if node.requires_grad]
    targets = {place: truth.nodes[place] for place in stated}
    start = time.perf_counter()
    for change in Mistakes(nodes, words):
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
