"""One random run of a model on which equations are judged, and the truth they are judged against.

That truth is the engine's gradients on that run, themselves checked by the complex step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...core.autodiff import gradients
from ...core.errors import LanguageError
from ...core.graph import Graph, ancestors
from ...core.memory import weakly
from ...core.tensor import Tensor
from ...language import Equation, Evaluator, Model, Run
from ...language.run.operands import Operand
from ...language.run.resolver import Place
from ...language.syntax.indices import Step
from ..results import FAIL, INCONCLUSIVE, PASS, EngineCheck, StepVerdict
from .budget import Deadline
from .gradcheck import STEP, pushed
from .rounding import EPS, SAFETY, alive, magnitudes, on_kink

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
        """Whether the gradient and each of its terms can be told from zero on this run: see `rounding`."""
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


#: a bound above this share of the gradient could hide a mistake: nothing is concluded from it
BLUNT = 1e-6
#: terms below this have bounds among the subnormal numbers, where eps says nothing: no bound is smaller than the floor
SMALLEST, FLOOR = 1e-290, 1e-300


@dataclass
class Probe:
    """One run with its reference gradients, on which equations are judged."""

    model: Model
    run: Run
    reference: ReferenceGradients = field(init=False)
    #: contributions derived on this run, by vocabulary: see `truth`
    derived: dict[Any, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.reference = ReferenceGradients(self.run)
        self.evaluator = Evaluator(self.model, self.run)
        self.own = Evaluator(self.model, self.run)
        self.local = weakly(self.reference_value)  # one object, so that the evaluator keeps helpers between calls
        self.given = weakly(self.given_value)
        #: magnitudes of the nodes that the user's own values are made of
        self.own_sizes: dict[int, np.ndarray] = {}

    def reference_value(self, name: str, step: Step) -> np.ndarray | None:
        """The reference value of dX (local mode); None for what the user has to state."""
        key = self.model.quantities.base((name, step is not None))
        if key is None:
            return None
        if step is not None and not key[1]:
            return self.reference.copy(key[0], step).value if self.evaluator.inside((name, step)) else None
        if self.reference.has(key[0], step):
            return self.reference.of(key[0], step).value
        # what is stated for a step outside the sequence is 0, whatever the user's own equation gives
        beyond = step in self.evaluator.coverage.get((name, True), {})
        return np.zeros_like(self.reference.any_of(key[0]).value) if beyond else None

    def given_value(self, name: str, step: Step) -> np.ndarray | None:
        """The reference value of dX where the file declares it given and does not state it; None elsewhere."""
        stated = step in self.own.coverage.get((name, True), {}) or (
            step is None and (name, False) in self.model.quantities.stated
        )
        loss = self.model.quantities.loss
        given = name in self.model.document.given or (loss is not None and name == f"d{loss[0]}" and step is None)
        return self.reference_value(name, step) if given and not stated else None

    def operand(self, name: str, step: Step) -> Operand:
        """A quantity as the equations see it in local mode; raises `LanguageError` where there is none."""
        held = self.run.values.get((name, step))
        return self.evaluator.operand((name, step), self.local) if held is None else held

    def truth(self, equation: Equation, step: Step, whole: bool = False) -> ReferenceGradient:
        """What the equation's left-hand side is; `whole` counts the terms of the whole backward pass.

        A quantity that does not exist at the step, as dh[T+1], is 0 by convention.
        """
        base = self.model.quantities.base(equation.target.key)
        if self.model.role(equation) == "copy":
            assert base is not None
            assert step is not None
            return self.reference.copy(base[0], step)
        if base is None or not self.reference.has(base[0], step):
            return ReferenceGradient(np.zeros(()), np.zeros(()))
        return self.reference.whole(base[0], step) if whole else self.reference.of(base[0], step)

    def witnesses(self, equation: Equation, step: Step) -> bool:
        """Whether a mistake in a term of the equation would show at this step."""
        base = self.model.quantities.base(equation.target.key)
        if base is None or self.model.role(equation) == "copy":
            return True
        return self.reference.alive(base[0], step)

    def judge(self, equation: Equation, step: Step) -> StepVerdict:
        """The verdict on one equation at one step, its right-hand side seeing reference values."""
        with np.errstate(all="ignore"):
            try:
                stated = self.evaluator.right_hand_side(equation, step, self.local)
            except LanguageError as error:
                return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), error.message, self.run.T)
            return self._compared(stated, self.truth(equation, step), step)

    def fails(self, equation: Equation) -> bool:
        """Whether an equation is wrong at some step of this run."""
        steps = self.model.steps_of(equation, self.run.lengths)
        return any(self.judge(equation, step).verdict == FAIL for step in steps)

    def follow(self, equation: Equation, step: Step) -> StepVerdict:
        """The verdict when the right-hand side sees what the user's own equations give."""
        with np.errstate(all="ignore"):
            try:
                stated = self.own.right_hand_side(equation, step, self.given)
            except LanguageError as error:
                return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), error.message, self.run.T)
            return self._compared(stated, self.truth(equation, step, whole=True), step, self.own_sizes)

    def _compared(
        self, stated: Tensor, truth: ReferenceGradient, step: Step, known: dict[int, np.ndarray] | None = None
    ) -> StepVerdict:
        (size,) = magnitudes([stated], known=known)
        errors = np.abs(np.asarray(stated.value) - truth.value)
        size = size + truth.size
        if 0.0 < float(np.max(size, initial=0.0)) < SMALLEST:
            said = "values are too small to be told from 0"
            return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), said, self.run.T)
        bounds = SAFETY * EPS * size + FLOOR
        verdict = _judged(step, errors, bounds, float(np.max(np.abs(truth.value), initial=0.0)))
        return replace(verdict, T=self.run.T)


def states(model: Model, equation: Equation) -> bool:
    """Whether an equation is one of a model's: a trial may leave some out."""
    return any(stated is equation for stated in model.gradients)


def _judged(step: Step, errors: np.ndarray, bounds: np.ndarray, scale: float) -> StepVerdict:
    if not (np.all(np.isfinite(errors)) and np.all(np.isfinite(bounds))):
        return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), "values are not finite")
    excess = errors - bounds
    if not excess.size:
        return StepVerdict(step, PASS, 0.0, 0.0)
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    error, bound = float(errors[worst]), float(np.broadcast_to(bounds, errors.shape)[worst])
    if excess[worst] > 0.0:
        return StepVerdict(step, FAIL, error, bound)
    if scale and float(np.max(bounds)) > BLUNT * scale:
        return StepVerdict(step, INCONCLUSIVE, error, bound, "rounding could hide a mistake of this size")
    return StepVerdict(step, PASS, error, bound)


class Drawn(Iterable[Probe]):
    """Probes that are drawn when they are looked at, once; no more when a budget is spent."""

    def __init__(self, draw: Callable[[int], Probe], count: int, budget: Deadline | None = None) -> None:
        self.draw, self.count, self.budget = draw, count, budget
        self.drawn: list[Probe] = []

    def __iter__(self) -> Iterator[Probe]:
        for n in range(self.count):
            if n == len(self.drawn):
                if self.budget is not None and self.budget.spent:
                    return
                self.drawn.append(self.draw(n))
            yield self.drawn[n]
