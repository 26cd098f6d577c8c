"""The true gradients of a user's forward function, and how exactly they are known.

Three ways, the first that holds: the function runs on Tensors and its recorded graph is differentiated; it runs on
complex arrays and the derivative is read off the imaginary part; it runs on floats and differences are extrapolated.
The first two are believed only if they agree with differences of the function as it runs on plain arrays: code can
lose a Tensor or an imaginary part on its way without saying so.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.autodiff import gradients
from ...core.errors import GraphError, NotDifferentiableError, ReadOnlyError
from ...core.graph import Graph, ancestors
from ...core.looks import uncopied
from ...core.tensor import Tensor, tensor
from ..measure.gradcheck import STEP, richardson
from ..measure.rounding import EPS, SAFETY, magnitudes
from .arrays import LeafName, said
from .code import noted
from .subject import LOSS, Subject, told, where
from .written import numpy_that_remembers

RECORDED, COMPLEX, DIFFERENCES = "recorded graph", "complex step", "Richardson differences"
#: seconds that derivatives entry by entry may take; beyond them whole rows and columns are taken at once
BUDGET = 8.0
#: rounding in single precision is sampled so often; code may round that much more than the samples show
SAMPLES, MARGIN = 6, 4.0
#: the hand-written code may add and multiply in another order than the engine, and take more operations
FREEDOM = 8.0
#: an axis is cut into at most so many stretches then
MOST_SLICES = 32
#: an extrapolated difference is believed to so many times its own estimate of its error
DOUBT = 100.0


@dataclass(frozen=True)
class Slice:
    """The slope of the loss in a direction that is zero outside of some indices of one axis."""

    axis: int
    indices: np.ndarray
    direction: np.ndarray
    slope: float
    accuracy: float


@dataclass
class Truth:
    """True gradients by leaf. `sizes` are the magnitudes of their terms where the graph is recorded, else `accuracy`
    is the largest error to be expected in any entry. Of large arrays only the slopes of `slices` are known.
    """

    method: str
    values: dict[LeafName, np.ndarray] = field(default_factory=dict)
    sizes: dict[LeafName, np.ndarray] = field(default_factory=dict)
    accuracy: dict[LeafName, float] = field(default_factory=dict)
    slices: dict[LeafName, list[Slice]] = field(default_factory=dict)
    loss: Tensor | None = None
    nodes: dict[LeafName, Tensor] = field(default_factory=dict)
    #: the gradients themselves, as graphs
    recorded: dict[LeafName, Tensor] = field(default_factory=dict)
    #: why a better way did not hold
    reasons: list[str] = field(default_factory=list)


@dataclass
class Slopes:
    """Derivatives of the loss by one way of taking them, in any direction."""

    subject: Subject
    method: str
    arrays: Mapping[LeafName, np.ndarray]

    def along(self, directions: Mapping[LeafName, np.ndarray]) -> tuple[float, float]:
        """The derivative in a direction and an estimate of its error; raises what the user's function raises."""
        if self.method == COMPLEX:
            return self._complex(directions), 0.0
        return richardson(lambda s: self.moved(directions, s))

    def _complex(self, directions: Mapping[LeafName, np.ndarray]) -> float:
        moved = {p: a + 1j * STEP * directions[p] if p in directions else a + 0j for p, a in self.arrays.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            value = self.subject.loss_at(moved, in_place=False)
        if not np.iscomplexobj(value):
            raise TypeError("the loss came out without an imaginary part")
        return float(np.imag(value)) / STEP

    def moved(self, directions: Mapping[LeafName, np.ndarray], s: float) -> float:
        """The loss so far along a direction."""
        moved = {p: a + s * directions.get(p, 0.0) for p, a in self.arrays.items()}
        return float(np.real(self.subject.loss_at(moved)))


def record(subject: Subject) -> tuple[Tensor | None, dict[LeafName, Tensor], str]:
    """The loss recorded on Tensors with a leaf for every array, or None and why it cannot be."""
    if subject.kinds:
        return None, {}, f"it computes with {subject.kinds[0]}"
    leaves = {leaf: tensor(array.astype(float), name=said(leaf)) for leaf, array in subject.leaves.items()}
    reason = ""
    for numpy in (nullcontext(), numpy_that_remembers(subject.functions)):
        try:
            with numpy, uncopied(), subject.params.replaced(leaves), noted(subject.functions, subject.vocabulary):
                loss = subject.scalar(subject.call(leaves))
        except Exception as error:  # the user's code met a Tensor where it expects an array; it may raise anything then
            reason = reason or f"{_short(error)}{where(error)}"
            loss = _loss_before(error, subject)
        if isinstance(loss, Tensor) and loss.requires_grad:
            return loss, leaves, ""
        reason = reason or "the loss came out as a plain number: it is not computed from what was handed to it"
    return None, {}, reason


def _loss_before(error: BaseException, subject: Subject) -> Any:
    """The loss of a function that went on to its gradients and could not take Tensors there, by its name in there.

    Whether it was complete is seen afterwards: its value and slope are compared with those of the whole function.
    """
    frame = error.__traceback__
    while subject.backward is None and frame is not None:
        if frame.tb_frame.f_code is getattr(subject.forward, "__code__", None):
            local = frame.tb_frame.f_locals
            losses = [local[name] for name in LOSS if isinstance(local.get(name), Tensor)]
            return np.sum(losses[0]) if losses else None
        frame = frame.tb_next
    return None


def recorded_truth(loss: Tensor, nodes: Mapping[LeafName, Tensor]) -> Truth:
    """The engine's gradients, with the magnitudes of their terms."""
    pulled = dict(zip(nodes, gradients(loss, list(nodes.values()), create_graph=True), strict=True))
    sizes = dict(zip(pulled, magnitudes(pulled.values()), strict=True))
    values = {leaf: np.asarray(g.value, dtype=float) for leaf, g in pulled.items()}
    return Truth(RECORDED, values, sizes, loss=loss, nodes=dict(nodes), recorded=pulled)


def rounded_at_random(truth: Truth, eps: float) -> None:
    """Measure the rounding of a coarser precision: how far recorded gradients move when every operation is rounded.

    The magnitudes of all terms, which bound the rounding of double precision well enough, explain far too much in
    units of single precision. So each result is moved by a random share of the unit, several times over (Monte Carlo
    arithmetic), and the largest change is what `accuracy` says; `sizes` are dropped.
    """
    rng = np.random.default_rng(2)
    targets = {leaf: truth.recorded[leaf] for leaf in truth.recorded}
    nodes = ancestors(targets.values())
    moved = dict.fromkeys(targets, 0.0)
    for _ in range(SAMPLES):
        values: dict[int, Any] = {}
        for node in nodes:
            if node.op is None:
                values[node.id] = node.value
                continue
            exact = node.op.forward(*[values[x.id] for x in node.inputs], **(node.params or {}))
            values[node.id] = exact * (1.0 + eps * rng.uniform(-1.0, 1.0, np.shape(exact)))
        for leaf, node in targets.items():
            change = np.max(np.abs(values[node.id] - np.asarray(node.value)), initial=0.0)
            moved[leaf] = max(moved[leaf], float(change))
    truth.accuracy = {leaf: FREEDOM * MARGIN * change for leaf, change in moved.items()}
    truth.sizes = {}


def doubtful(subject: Subject, loss: Tensor, truth: Truth) -> str:
    """Why a recorded graph is not the user's function: another value, or another slope, than on plain arrays."""
    if Graph(loss).select(op="stop"):
        return ""  # declared truncation: the gradients are not those of the function, and are not meant to be
    directions = _random({leaf: truth.values[leaf].shape for leaf in subject.leaves if leaf in truth.values})
    slopes = Slopes(subject, DIFFERENCES, _double(subject))
    try:
        plain = float(np.real(subject.loss_at(slopes.arrays)))
        slope, error = slopes.along(directions)
    except GraphError:
        raise
    except Exception:  # written for Tensors only: the graph is what the user wrote
        return ""
    if not np.isfinite(plain + slope):
        return ""
    (size,) = magnitudes([loss])
    if abs(plain - loss.item()) > 8 * SAFETY * EPS * float(np.sum(size)):
        return f"on Tensors forward returns {loss.item():.6g}, on arrays {plain:.6g}"
    ours = sum(float(np.sum(truth.values[p] * v)) for p, v in directions.items())
    scale = sum(float(np.sum(np.abs(truth.values[p] * v))) for p, v in directions.items())
    if abs(ours - slope) > 10 * DOUBT * error + 1e-6 * (scale + abs(slope)):
        return f"the recorded graph changes by {ours:.6g} where forward on arrays changes by {slope:.6g}"
    return ""


def differenced_truth(subject: Subject, places: list[LeafName], reason: str) -> Truth:
    """Complex step where it holds, else differences; of every entry, or of rows and columns where there are many."""
    arrays = _double(subject)
    reasons = [reason] if reason else []
    _repeatable(subject, arrays)
    differences = Slopes(subject, DIFFERENCES, arrays)
    method = DIFFERENCES if subject.kinds else _complex_or_why(differences, places, reasons)
    slopes = Slopes(subject, method, arrays)
    truth = Truth(method, reasons=reasons)
    cost = _seconds(slopes, places[0])
    if cost * sum(arrays[leaf].size for leaf in places) <= BUDGET:
        for leaf in places:
            truth.values[leaf], truth.accuracy[leaf] = _entries(slopes, leaf)
        return truth
    reasons.append("entry by entry would take too long, so whole rows and columns were differentiated")
    for leaf in places:
        truth.slices[leaf] = list(_slices(slopes, leaf))
    return truth


def _complex_or_why(differences: Slopes, places: list[LeafName], reasons: list[str]) -> str:
    """Whether the complex step holds: in one direction for each array it agrees with differences."""
    complex_step = Slopes(differences.subject, COMPLEX, differences.arrays)
    for leaf in places:
        direction = _random({leaf: differences.arrays[leaf].shape})
        try:
            value, _ = complex_step.along(direction)
        except Exception as error:  # the user's code met complex numbers; it may raise anything then
            reasons.append(f"nor can it take complex numbers: {_short(error)}{where(error)}")
            return DIFFERENCES
        wanted, doubt = differences.along(direction)
        if abs(value - wanted) > 10 * DOUBT * doubt + 1e-6 * abs(wanted):
            reasons.append("nor does it take complex numbers: an imaginary part is lost on the way, perhaps by np.abs")
            return DIFFERENCES
    return COMPLEX


def _entries(slopes: Slopes, leaf: LeafName) -> tuple[np.ndarray, float]:
    """The gradient entry by entry, and the largest error to be expected in it."""
    shape = slopes.arrays[leaf].shape
    value, worst = np.zeros(shape), 0.0
    for index in np.ndindex(shape):
        unit = np.zeros(shape)
        unit[index] = 1.0
        value[index], doubt = slopes.along({leaf: unit})
        worst = max(worst, doubt)
    return value, DOUBT * worst


def _slices(slopes: Slopes, leaf: LeafName) -> Iterator[Slice]:
    """Along each axis stretches of it, each in a random direction: a wrong entry shows in its row and its column."""
    shape = slopes.arrays[leaf].shape
    for axis, length in enumerate(shape):
        for indices in np.array_split(np.arange(length), min(length, MOST_SLICES)):
            direction = np.zeros(shape)
            part = (slice(None),) * axis + (indices,)
            direction[part] = _random({leaf: direction[part].shape})[leaf]
            slope, doubt = slopes.along({leaf: direction})
            yield Slice(axis, indices, direction, slope, DOUBT * doubt)


def on_a_kink(subject: Subject, leaf: LeafName) -> bool:
    """Whether the loss bends at the user's values: the two one-sided slopes do not meet as the step gets shorter."""
    slopes = Slopes(subject, DIFFERENCES, _double(subject))
    direction = _random({leaf: subject.leaves[leaf].shape})
    middle = slopes.moved(direction, 0.0)
    gaps = [abs(slopes.moved(direction, h) - 2.0 * middle + slopes.moved(direction, -h)) / h for h in (1e-3, 1e-5)]
    return bool(gaps[1] > 0.1 * gaps[0] and gaps[1] > 1e-6)


def _seconds(slopes: Slopes, leaf: LeafName) -> float:
    """How long one derivative takes."""
    start = time.perf_counter()
    slopes.along({leaf: np.ones(slopes.arrays[leaf].shape)})
    return time.perf_counter() - start


def _repeatable(subject: Subject, arrays: Mapping[LeafName, np.ndarray]) -> None:
    """Refuse a function whose loss is another each time: it has no derivative that could be compared."""
    first, second = (told("forward", subject.loss_at, arrays) for _ in range(2))
    if not np.array_equal(first, second, equal_nan=True):
        raise GraphError(
            f"forward returned {first:.9g} and then {second:.9g} for the same inputs: "
            "seed its random numbers inside, and let it keep nothing from call to call"
        )


def _double(subject: Subject) -> dict[LeafName, np.ndarray]:
    return {leaf: array.astype(float) for leaf, array in subject.leaves.items()}


def _random(shapes: Mapping[LeafName, tuple[int, ...]]) -> dict[LeafName, np.ndarray]:
    rng = np.random.default_rng(1)
    return {leaf: rng.standard_normal(shape) for leaf, shape in shapes.items()}


def _short(error: BaseException) -> str:
    """The first clause of what an error says; its advice is for other occasions."""
    if isinstance(error, (NotDifferentiableError, ReadOnlyError)):
        return str(error).partition(":")[0].partition(", because")[0].replace("this call", "it")
    if isinstance(error, np.exceptions.ComplexWarning) or "complex128" in str(error):
        return "they do not fit into an array of floats"
    return f"{type(error).__name__}: {error}"
