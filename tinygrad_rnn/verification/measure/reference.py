"""The truth a derivation is judged against: the engine's gradients on one probe, themselves checked by the complex
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...core.autodiff import gradients
from ...core.graph import Graph, ancestors
from ...core.tensor import Tensor
from ...language import Run
from ...language.run.resolver import Place
from ...language.syntax.indices import Step
from ..results import EngineCheck
from .gradcheck import STEP, pushed
from .liveness import alive
from .rounding import EPS, SAFETY, magnitudes, on_kink

#: engine and complex step differ by no more than this share of the gradient, however large the terms it is made of
COARSEST = 1e-6
#: gradients are compared with the complex step by name, all steps at once; of many, so many names at once
MANY, FEW_GROUPS = 1000, 6
#: a number below this times the complex step may be zero
UNDERFLOW = 1e-200
#: the complex step leaves its square behind
LEFT_BEHIND = 1e4 * STEP**2


@dataclass(frozen=True)
class ReferenceGradient:
    """One reference value and the sum of the absolute values of its terms."""

    value: np.ndarray
    size: np.ndarray


class ReferenceGradients:
    """Total derivatives of a run's loss with respect to every quantity, by `(name, step)`.

    >>> from tinygrad_rnn.language import load
    >>> run = load("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]))").unroll(3)
    >>> ReferenceGradients(run).of("h", 3).value.ravel().tolist()
    [1.0, 1.0]
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.places: list[Place] = [place for place, held in run.values.items() if held.value.requires_grad]
        self.nodes: list[Tensor] = [run.values[place].value for place in self.places]
        recorded = gradients(run.loss, self.nodes, create_graph=True)
        #: the recorded gradients
        self.by_place: dict[Place, Tensor] = dict(zip(self.places, recorded, strict=True))
        self._named = frozenset(node.id for node in ancestors(recorded) if node.name is not None)
        self._copies: dict[str, dict[Any, Tensor]] = {}
        self._found: dict[tuple[Place, bool], ReferenceGradient] = {}
        self._may_differ: dict[int, bool] = {}

    def has(self, name: str, step: Step) -> bool:
        """Whether the loss can be differentiated with respect to this quantity."""
        return (name, step) in self.by_place

    def of(self, name: str, step: Step) -> ReferenceGradient:
        """The gradient with respect to a quantity at a step (None for a parameter)."""
        place = (name, step)
        if (place, False) not in self._found:
            self._found[place, False] = self._gradient(self.by_place[place])
        return self._found[place, False]

    def alive(self, name: str, step: Step) -> bool:
        """Whether the gradient and each of its terms can be told from zero on this run: see `liveness`."""
        node = self.by_place.get((name, step))
        if node is None:
            return True
        return alive(node, self.of(name, step).size, self._may_differ, whole=step is None)

    def any_of(self, name: str) -> ReferenceGradient:
        """The gradient with respect to a quantity at the last of its steps, for its shape."""
        return self.of(*[place for place in self.places if place[0] == name][-1])

    def copy(self, name: str, step: Step) -> ReferenceGradient:
        """The contribution of one step to a parameter's gradient: with respect to the dummy copy W^(t)."""
        part = self.recorded(name, step, copy=True)
        if part is None:
            zero = np.zeros_like(np.asarray(self.run.values[name, None].value.value))
            return ReferenceGradient(zero, zero)
        return self._gradient(part)

    def recorded(self, name: str, step: Step, copy: bool = False) -> Tensor | None:
        """The node of a gradient, or of the contribution of one step to it; None where there is none."""
        if not copy:
            return self.by_place.get((name, step))
        if name not in self._copies:
            parameter = self.run.values[name, None].value
            self._copies[name] = gradients(self.run.loss, parameter, create_graph=True, per_step=True)
        return self._copies[name].get(step)

    def _gradient(self, node: Tensor) -> ReferenceGradient:
        (size,) = magnitudes([node], exact=self._named)
        return ReferenceGradient(np.asarray(node.value, dtype=float), size)

    def check(self, seed: int = 0) -> EngineCheck:
        """The engine against the complex step: each gradient in two random directions."""
        values = [np.asarray(self.by_place[place].value, dtype=float) for place in self.places]
        return compared(self.run.loss, self.nodes, values, [self._sizes[place] for place in self.places], seed)

    def whole(self, name: str, step: Step) -> ReferenceGradient:
        """As `of`, with the terms of the whole backward pass counted, not those of its last line alone."""
        return ReferenceGradient(self.of(name, step).value, self._sizes[name, step])

    @cached_property
    def _sizes(self) -> dict[Place, np.ndarray]:
        return dict(zip(self.places, magnitudes([self.by_place[p] for p in self.places]), strict=True))


def compared(
    loss: Tensor, nodes: Sequence[Tensor], values: Sequence[np.ndarray], sizes: Sequence[np.ndarray], seed: int = 0
) -> EngineCheck:
    """Gradients of a loss against the complex step, each in two random directions; `sizes` are those of their terms."""
    rng = np.random.default_rng(seed)
    graph = Graph(loss)
    worst, ok = 0.0, True
    outside = _outside_its_domain(graph)
    for group in _together(nodes):
        for _ in range(2 if len(nodes) <= MANY else 1):
            directions = [rng.standard_normal(nodes[i].shape) for i in group]
            wanted = pushed(graph, {nodes[i].id: v for i, v in zip(group, directions, strict=True)})
            stated = scale = size = 0.0
            for i, v in zip(group, directions, strict=True):
                stated += float(np.sum(values[i] * v))
                scale += float(np.sum(np.abs(values[i] * v)))
                size += float(np.sum((np.abs(values[i]) + sizes[i]) * np.abs(v)))
            if not size < (scale + 1.0) / EPS:  # over many steps the terms can outgrow any number, and explain anything
                size = COARSEST / (SAFETY * EPS) * scale + 1.0
            error = abs(stated - wanted)
            if outside or not np.isfinite(error + size):
                return EngineCheck(len(nodes), float("nan"), False, outside)
            if error > SAFETY * EPS * size + LEFT_BEHIND:
                if _underflows(graph):
                    return EngineCheck(len(nodes), float("nan"), False)
                ok = False
            worst = max(worst, error / size if size > LEFT_BEHIND else 0.0)
    return EngineCheck(len(nodes), worst, ok, "" if ok else _on_a_kink(graph))


def _outside_its_domain(graph: Graph) -> str:
    """Which operation has no real value, as the logarithm of a negative number; empty where the loss has one."""
    if not np.any(np.isnan([_real(output) for output in graph.outputs])):
        return ""
    first = next(
        node for node in graph.nodes
        if np.any(np.isnan(_real(node))) and not any(np.any(np.isnan(_real(x))) for x in node.inputs)
    )  # fmt: skip
    if first.op is None or not all(np.all(np.isfinite(_real(x))) for x in first.inputs):
        return ""
    return f"the loss has no value on a probe: `{first.op.name}` is outside of its domain there"


def _real(node: Tensor) -> np.ndarray:
    return np.asarray(node.value, dtype=float)


def _on_a_kink(graph: Graph) -> str:
    """Whether a function of the graph has two slopes where it is; empty if none has."""
    if not any(np.any(on_kink(node)) for node in graph.nodes):
        return ""
    return "a value of a probe stands exactly on a kink, where the two take different sides"


def worst_of(checks: Sequence[EngineCheck]) -> EngineCheck:
    """The checks of several probes as one; what is about the file explains it only where it explains every probe."""
    worst = float(np.max([c.worst for c in checks]))  # numpy's max keeps a nan
    why = "" if any(c.refuted for c in checks) else next((c.why for c in checks if c.why), "")
    return EngineCheck(sum(c.gradients for c in checks), worst, all(c.ok for c in checks), why)


def _underflows(graph: Graph) -> bool:
    """Whether a value is so small that its slope times the complex step is zero."""
    sizes = (np.abs(np.asarray(node.value, dtype=float)) for node in graph.nodes)
    return any(bool(np.any((size > 0.0) & (size < UNDERFLOW))) for size in sizes)


def _together(nodes: Sequence[Tensor]) -> list[list[int]]:
    """Which nodes are moved at once, by their places: those of one name, at all steps; where they are many, several
    names, so that the work grows no faster than the graph.
    """
    groups: dict[str | None, list[int]] = {}
    for i, node in enumerate(nodes):
        groups.setdefault(node.name, []).append(i)
    if len(nodes) <= MANY:
        return list(groups.values())
    merged: list[list[int]] = [[] for _ in range(min(FEW_GROUPS, len(groups)))]
    for place, group in enumerate(groups.values()):
        merged[place % len(merged)] += group
    return merged
