"""The equations of a recorded loop as a model, with the recorded numbers under its names.

loss ──recorded──> folded ──from_graph──> text ──language──> model ──> checked against what was recorded
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import DerivationError, LanguageError
from ..core.graph import Graph
from ..core.tensor import Tensor, plain
from ..language.run.model import Model, load
from ..language.run.unroll import Run
from .from_graph import RecordingWriter
from .literals import Numbers
from .quantity_names import ENTRY
from .recorded import RecordedLoss
from .samples import Axes, is_learned
from .times import ALONE

Place = tuple[str, int | None]


@dataclass(frozen=True)
class Equations:
    """`model`, the equations of a loop; `T`, how many steps were recorded; `values`, the recorded ones of its leaves by
    name and step, as `model.unroll` takes them; `nodes`, all recorded quantities by name and step; `notes`, what a
    reader has to know.

    Steps are those of the equations: 1 is the first that computes something. `samples` were recorded at once.
    """

    model: Model
    T: int
    samples: int
    values: dict[Any, Any]
    nodes: dict[Place, Tensor]
    notes: tuple[str, ...]
    axes: Axes

    def value(self, name: str, step: int | None = None) -> np.ndarray:
        """A recorded quantity as the language has it: a column for each sample, or a matrix."""
        return as_column(self.nodes[name, step], self.axes)

    def turned(self, name: str, step: int | None, value: np.ndarray) -> np.ndarray:
        """A value of the language, such as a gradient of that quantity, in the shape of the code."""
        return as_recorded(value, self.nodes[name, step], self.axes)

    def run(self) -> Run:
        """The model run on the recorded numbers."""
        return self.model.unroll(self.T, batch=self.samples, values=self.values)


def as_column(node: Tensor, axes: Axes) -> np.ndarray:
    """The value of a node with its entries first and its samples last."""
    return _column(np.asarray(plain(node.value)), node, axes)


def _column(value: np.ndarray, node: Tensor, axes: Axes) -> np.ndarray:
    """A value that stands where the node does."""
    roots = [axes.root(node, axis) for axis in range(node.ndim)]
    kept = [axis for axis, root in enumerate(roots) if axes.holds_entries(root)]
    samples = [axis for axis, root in enumerate(roots) if root == axes.sample]
    rest = [axis for axis in range(node.ndim) if axis not in kept and axis not in samples]
    entries = np.transpose(value, (*kept, *samples, *rest)).reshape([value.shape[i] for i in (*kept, *samples)])
    if len(kept) == 2:
        return entries
    columns = value.shape[samples[0]] if samples else 1
    found = entries.reshape(-1 if kept else 1, columns)
    return found.T if axes.rows and kept else found


def as_recorded(value: np.ndarray, node: Tensor, axes: Axes) -> np.ndarray:
    """The way back: a column for each sample, or a matrix, in the shape of a node."""
    roots = [axes.root(node, axis) for axis in range(node.ndim)]
    kept = [axis for axis, root in enumerate(roots) if axes.holds_entries(root)]
    samples = [axis for axis, root in enumerate(roots) if root == axes.sample]
    rest = [axis for axis in range(node.ndim) if axis not in kept and axis not in samples]
    order = [*samples, *kept, *rest] if axes.rows and len(kept) == 1 else [*kept, *samples, *rest]
    shaped = np.reshape(value, [node.shape[axis] for axis in order])
    return np.transpose(shaped, np.argsort(order)) if order else shaped


def write_equations(
    loss: Tensor | Graph,
    numbers: Numbers | None = None,
    anchor: str = ALONE,
    times: Mapping[int, int] | None = None,
) -> Equations:
    """The equations behind a recorded loss, or behind a graph of one output.

    `numbers` and `anchor` say what one recording cannot tell; see `functions`, which compares several. `times`: which
    leaves are sequences (see `RecordedLoss`).

    Raises `DerivationError` for what cannot be written: an operation that the language lacks, steps that are not one
    step repeated, samples that depend on each other.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.system.equations import write_equations
    >>> W, h = tg.tensor(np.eye(2), name="W"), np.ones((3, 2))
    >>> for t in tg.steps(5):
    ...     h = tg.name("h", np.tanh(h @ W))
    >>> print(write_equations(np.sum(h**2)).model.document.source.text)
    vectors: rows
    sizes: h = 2
    <BLANKLINE>
    h[t] = tanh(h[t-1] @ W)
    L = sum(h[T]**2)
    <BLANKLINE>
    """
    numbers = numbers or Numbers()
    if isinstance(loss, Graph):
        if len(loss.outputs) != 1:
            raise DerivationError(f"a derivation starts from one loss, but this graph has {len(loss.outputs)} outputs")
        (loss,) = loss.outputs
    recorded = RecordedLoss(loss, times)
    writer = RecordingWriter(recorded, numbers, anchor)
    collected = _Collected(writer)
    notes = list(numbers.notes)
    if writer.axes.shared:
        notes.append(f"the loss adds up {writer.axes.count} samples; what they share, as a penalty, counts once")
    model = collected.model(notes)
    used = {name for name, _ in model.quantities.used}
    values = {
        place: v for place, v in collected.values.items() if (place[0] if type(place) is tuple else place) in used
    }
    found = Equations(model, writer.clock.T, writer.axes.count, values, collected.nodes, tuple(notes), writer.axes)
    _check(found, loss, recorded.loss)
    return found


#: which input of an operation is a class number
_CLASSES = {"cross_entropy": 1, "onehot": 0, "pick": 1}


class _Collected:
    """What the header of the equations says, and the recorded numbers by name."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer, self.axes, self.recorded = writer, writer.axes, writer.recorded
        self.nodes: dict[Place, Tensor] = {}
        self.values: dict[Any, Any] = {}
        self.fixed: list[str] = []
        self.inputs: list[str] = []
        self.labels = self._labels(self.recorded.graph.nodes)
        self._of_steps()
        self._outside()
        self._constants()

    def _of_steps(self) -> None:
        writer, clock = self.writer, self.writer.clock
        for start, (value, node) in writer.starts.items():
            self.values[start] = _column(np.broadcast_to(value, node.shape), node, self.axes)
        slots = [(slot, name) for slot, name in writer.names.of.items() if slot[0] in ("body", "end")]
        for slot, name in slots:
            for step in range(clock.lo, clock.hi + 1) if slot[0] == "body" else [clock.listed(int(slot[1]))]:
                self._of_step(name, step - clock.zero + 1, clock.node(slot, step))
        for node in self.recorded.graph.leaves:
            if ENTRY.fullmatch(node.name or ""):
                self._of_step(*writer.place_of_entry(node), node)

    def _of_step(self, name: str, step: int, node: Tensor) -> None:
        self.nodes[name, step] = node
        if node.op is None and (name, step) not in self.writer.stated:
            self.values[name, step] = self._given(node)

    def _given(self, node: Tensor) -> Any:
        """The value of a leaf as `unroll` takes it."""
        return np.asarray(plain(node.value)).reshape(-1) if node.id in self.labels else as_column(node, self.axes)

    @staticmethod
    def _labels(nodes: tuple[Tensor, ...]) -> set[int]:
        """The leaves that are class numbers, by their use."""
        found: set[int] = set()
        for node in nodes:
            slot = _CLASSES.get(node.op.name) if node.op is not None else None
            if slot is not None:
                label = node.inputs[slot]
                while label.op is not None and label.op.name in ("identity", "reshape", "cast", "ranged"):
                    (label,) = label.inputs
                found.add(label.id)
        return found

    def _outside(self) -> None:
        names = self.writer.names
        for node in names.roots():
            name = names.of.get(("root", node.id))
            if name is None:
                continue
            self.nodes[name, None] = node
            if node.op is None:
                self.values[name] = self._given(node)
                if self.axes.has_samples(node):
                    self.inputs.append(name)
                elif not is_learned(node):
                    self.fixed.append(name)
        for slot, name in names.of.items():
            if slot[0] == "after":
                self.nodes[name, None] = self.writer.clock.node(slot)

    def _constants(self) -> None:
        for name, value in self.writer.numbers.constants.items():
            if isinstance(value, Tensor):
                self.nodes[name, None] = value
                self.values[name] = self._given(value)
                (self.inputs if self.axes.has_samples(value) else self.fixed).append(name)
            else:
                self.values[name] = value
                self.fixed.append(name)

    # -- as a document ------------------------------------------------------------------------------------------------
    def model(self, notes: list[str]) -> Model:
        """The model; sizes are stated where the equations do not tell them, notes as where it is from."""
        self.notes = notes
        shapes = {name: self._shape(node) for (name, _), node in self.nodes.items()}
        numbers = [name for name, value in self.writer.numbers.constants.items() if not isinstance(value, Tensor)]
        shapes |= dict.fromkeys(numbers, (1, 1))
        single = {name for name, shape in shapes.items() if shape and self._is_vector(shape)}
        columns = {name: str(max(shape)) for name, shape in shapes.items() if shape and name in single}
        matrices = {name: f"{shape[0]} x {shape[1]}" for name, shape in shapes.items() if shape and name not in single}
        stepped = {name: size for name, size in columns.items() if any((name, t) in self.nodes for t in (1, 2))}
        outside = {name for name, step in self.nodes if step is not None and not 1 <= step <= self.writer.clock.T}
        given = {place[0] for place in self.values if isinstance(place, tuple)}
        of_states = {name: size for name, size in stepped.items() if name in outside | given}
        for sizes in (of_states, stepped, {**columns, **matrices}):
            try:
                model = load(self._text(sizes))
            except LanguageError:
                continue
            wrong = {
                name: {**columns, **matrices}[name]
                for name, shape in shapes.items()
                if shape is not None and self._typed(model, name) not in (None, shape)
            }
            return load(self._text({**sizes, **wrong})) if wrong else model
        return load(self._text({**columns, **matrices}))

    def _is_vector(self, shape: tuple[int, int]) -> bool:
        """Whether a size alone says it: n x 1, or 1 x n in a file of rows."""
        return shape[0] == 1 if self.axes.rows else shape[1] == 1

    @staticmethod
    def _typed(model: Model, name: str) -> tuple[int, int] | None:
        return next((shape for key, shape in model.shapes.items() if key.partition("[")[0] == name), None)

    def _shape(self, node: Tensor) -> tuple[int, int] | None:
        """Rows and columns; None for class numbers, whose size is that of what they are compared with."""
        if node.id in self.labels:
            return None
        roots = [axis for axis in range(node.ndim) if self.axes.holds_entries(self.axes.root(node, axis))]
        if len(roots) > 2:
            raise DerivationError(
                f"{node.name} has {len(roots)} axes {node.shape}; equations have columns and matrices"
            )
        sizes = [node.shape[axis] for axis in roots]
        if self.axes.rows and len(sizes) == 1:
            return 1, sizes[0]
        return (*sizes, 1, 1)[0], (*sizes, 1, 1)[1]

    def _text(self, sizes: dict[str, str]) -> str:
        used = "\n".join(self.writer.lines)
        header = [f"source: {'; '.join(self.notes)}"] if self.notes else []
        header += ["vectors: rows"] if self.axes.rows else []
        header += [f"sizes: {', '.join(f'{name} = {size}' for name, size in sizes.items())}"] if sizes else []
        picks = [f"{name} one-hot" for name in self.recorded.one_hot]
        header += [f"labels: {', '.join(picks)}"] if picks else []
        header += [f"inputs: {', '.join(self.inputs)}"] if self.inputs else []
        header += [f"fixed: {', '.join(self.fixed)}"] if self.fixed else []
        return "\n".join([*header, "", used, ""])


def _check(found: Equations, loss: Tensor, rewritten: Tensor) -> None:
    """The equations have to give what was recorded, values and gradients; anything else is a mistake of this writer.

    What all samples share a run counts for each of them and the recorded loss once: there the gradients of what each
    sample has are compared.
    """
    run = found.run()
    for (name, step), node in found.nodes.items():
        place = name if step is None else (name, step)
        if place in run and node.dtype.kind == "f":
            _agree(f"{name} at {step}", np.asarray(run[place].value), found.value(name, step))
    if found.axes.shared:
        places = [p for p, node in found.nodes.items() if p[1] is not None and node.op is not None and p in run]
        mine = gradients(run.loss, [run[place] for place in places])
        theirs = gradients(rewritten, [found.nodes[place] for place in places])
        for (name, step), g, truth in zip(places, mine, theirs, strict=True):
            _agree(f"the gradient of {name} at {step}", found.turned(name, step, np.asarray(g)), np.asarray(truth))
        return
    _agree("the loss", np.asarray(run.loss.value), np.asarray(plain(loss.value)))
    learned = {name: node for (name, step), node in found.nodes.items() if step is None and is_learned(node)}
    mine = gradients(run.loss, [run[name] for name in learned])
    for name, g, truth in zip(learned, mine, gradients(loss, list(learned.values())), strict=True):
        _agree(f"the gradient of {name}", found.turned(name, None, np.asarray(g)), np.asarray(truth))


def _agree(what: str, found: np.ndarray, recorded: np.ndarray) -> None:
    found, recorded = found.reshape(-1), recorded.reshape(-1)
    if found.shape != recorded.shape or not np.allclose(found, recorded, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise DerivationError(
            f"the equations written do not give what was recorded ({what}): the function computes with numbers that "
            "stand in no graph, such as counts of labels, or with what no equation says; use an equation file instead"
        )
