"""Equations of a Python function or a layer: recorded at several lengths, so that what depends on the length shows.

The function runs on its examples cut, or repeated, to other lengths, and with another number of samples; the equations
of all runs have to be the same but for numbers. A number that differs is one of T, of the number of samples N, or both;
one that fits nothing stays a constant with a name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from ..compiler.trace.record import Entries, Leaf, candidates, changed, cut
from ..core.errors import DerivationError, TinygradError, kind_of
from ..core.graph import Graph
from ..core.looks import uncopied
from ..core.scope import ROOT, entered, step, steps
from ..core.tensor import Tensor, plain, tensor
from ..language.run.model import Model
from ..language.run.unroll import Run
from .equations import Equations, write_equations
from .from_graph import RecordingWriter
from .literals import Collected, LengthsDiffer, Told
from .quantity_names import ENTRY
from .recorded import RecordedLoss
from .times import FROM_FIRST, FROM_LAST, NEARER

#: at so many steps a function is recorded, and once more at so many, where it has to do the same
LENGTHS, FURTHER = (8, 9, 11), 23


def equations_of(function: Callable[..., Any], examples: Sequence[Any] | Mapping[str, Any] = ()) -> Equations:
    """The equations of a function that returns a loss, or of a layer, on arguments like the examples.

    Arrays along which steps run are found by trying. Floats that are no sequences are parameters. A result that is
    no single number, as that of a layer, is taken up by a loss of its own: `sum(h[t] * v[t])`, where `v[t]` is
    whatever gradient comes from above. It is recorded at 8, 9, 11 and 23 steps, and at as many as the examples
    have: what begins later is not seen. Raises `DerivationError` where the function does something else at another
    length.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> def loss(x, W):
    ...     h, total = np.zeros(2), 0.0
    ...     for t in range(len(x)):
    ...         h = tg.name("h", np.tanh(W @ h + x[t]))
    ...         total = total + np.sum(h**2)
    ...     return total / len(x)
    >>> found = equations_of(loss, (np.ones((4, 2)), np.eye(2)))
    >>> print(found.model.document.source.text.splitlines()[-1])
    L = sum(t, sum(h[t]**2)) / T
    """
    recording = _Recording(function, examples)
    refusals: list[str] = []
    complaints: list[str] = []
    for times in recording.candidates():
        try:
            return recording.equations(times)
        except _Refused as error:
            complaints.append(str(error))
        except DerivationError as error:
            refusals.append(str(error))
        except TinygradError as error:  # what the language says to its equations
            complaints.append(f"{type(error).__name__}: {error}")
    told = [*refusals, *recording.reasons, *complaints]
    raise DerivationError(f"{recording.name} cannot be written as equations: {told[0]}")


def model_of(code: Any, examples: Sequence[Any] | Mapping[str, Any] = ()) -> Model:
    """The equations of whatever computes a loss: a Run, a loss Tensor or Graph, a layer or function with examples."""
    if isinstance(code, Run):
        assert isinstance(code.model, Model)  # who else unrolls
        return code.model
    if isinstance(code, Tensor | Graph):
        return write_equations(code).model
    if not callable(code):
        raise DerivationError(
            f"what is derived is a model, an equation file, a loss, or a function that computes one; not {code!r}"
        )
    return equations_of(code, examples).model


class _Refused(DerivationError):
    """What a function says to arguments of other lengths."""


class _Recording:
    """A function and its examples, to be run at any length."""

    def __init__(self, function: Callable[..., Any], examples: Sequence[Any] | Mapping[str, Any]) -> None:
        self.function, given = _callable(function, examples)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.given = _named(self.function, given)
        self.places = list(_places(self.given))
        self.leaves = [Leaf(n, value, False) for n, (_, value) in enumerate(self.places)]
        self.tensors: list[Tensor] = []
        #: whether arguments that are no sequences are learned: not where the function has parameters of its own
        self.learns_arguments = True
        #: whether whole numbers are given as they are; what is computed from them is then data of each step
        self.plain_numbers = False
        self.reasons: list[str] = []

    def candidates(self) -> Iterator[dict[int, int]]:
        """Which arguments may be sequences, and along which axis: those that the steps read by entries, and whatever
        else is as long as another."""
        seen: list[dict[int, int]] = []
        try:
            loss = self.run({}, 0, {}, 0)
        except _Refused:  # whole numbers may have to be what they are, to pick with
            self.plain_numbers = True
            loss = self.run({}, 0, {}, 0)
        made_outside = {leaf.id for leaf in Graph(loss).parameters} - {leaf.id for leaf in self.tensors}
        self.learns_arguments = not made_outside
        try:
            numbers = {leaf.id: n for n, leaf in enumerate(self.tensors)}
            seen.append({numbers[leaf.id]: axis for leaf, axis in RecordedLoss(loss).origins if leaf.id in numbers})
            yield seen[0]
        except DerivationError as error:
            self.reasons.append(str(error))
        lists = {n: 0 for n, (name, _) in enumerate(self.places) if _is_sequence(self.given.get(name))}
        for times in [lists, *candidates([leaf for leaf in self.leaves if np.ndim(leaf.array)])]:
            if times and times not in seen:
                yield times

    def run(
        self,
        times: Mapping[int, int],
        length: int,
        sample_axes: Mapping[int, int],
        samples: int,
        other: float = 0.0,
    ) -> Tensor:
        """The loss at one length and number of samples; `other`: with other values, so many times as large, so that
        what depends on them shows."""
        values: dict[int, Any] = {}
        for n, leaf in enumerate(self.leaves):
            array = leaf.array
            if n in times:
                array = cut(array, times[n], length)
            if n in sample_axes:
                array = cut(array, sample_axes[n], samples)
            values[n] = array
            if other:
                values[n] = changed(array) * other if np.asarray(array).dtype.kind == "f" else changed(array)
        learned = [
            self.learns_arguments and n not in times and np.asarray(value).dtype.kind == "f"
            for n, value in values.items()
        ]
        with entered(ROOT), np.errstate(all="ignore"):
            self.tensors = [
                tensor(values[n], name=name, requires_grad=learned[n]) for n, (name, _) in enumerate(self.places)
            ]
            given = [x.value if self.plain_numbers and x.dtype.kind in "iu" else x for x in self.tensors]
            args = _rebuilt(self.given, iter(given))
            with uncopied():  # numbers copied out of the graph would be those of the examples
                try:
                    result = self.function(**args) if isinstance(args, dict) else self.function(*args)
                except DerivationError:
                    raise
                except (TinygradError, ValueError, IndexError, TypeError, KeyError) as error:
                    raise _Refused(f"{type(error).__name__}: {error}") from error
            return _loss(result, self.name)

    def equations(self, times: Mapping[int, int]) -> Equations:
        """The equations, if these are the sequences."""
        if not times:
            return self._of_one_length()
        reasons: list[str] = []
        for anchor in (NEARER, FROM_FIRST, FROM_LAST):
            try:
                told = self._compared(times, anchor)
            except LengthsDiffer as error:
                reasons.append(str(error))
                continue
            given = max(LENGTHS[0], *(leaf.array.shape[times[n]] for n, leaf in enumerate(self.leaves) if n in times))
            found, further = (self._written(times, length, told, anchor) for length in (given, FURTHER))
            one, other = ([equation.text for equation in each.model.forward] for each in (found, further))
            if one != other:
                raise DerivationError(f"at {FURTHER} steps it does something else than at {given}")
            return found
        raise DerivationError(reasons[0])

    def _written(self, times: Mapping[int, int], length: int, told: Told, anchor: str) -> Equations:
        loss = self.run(times, length, {}, 0)
        return write_equations(loss, deepcopy(told), anchor, self._by_id(times))  # it hands out each number once

    def _of_one_length(self) -> Equations:
        """The equations of a function without sequences, if other values change nothing in them."""
        told = Told()
        for other in (0.0, 0.25, 4.0):
            numbers = Collected()
            writer = RecordingWriter(RecordedLoss(self.run({}, 0, {}, 0, other)), numbers, NEARER)
            told.add(writer.clock.T, writer.axes, writer.lines, numbers)
        told.compare(lengths=1)
        return write_equations(self.run({}, 0, {}, 0))

    def _compared(self, times: Mapping[int, int], anchor: str) -> Told:
        """What the numbers are, from recordings of several lengths, other values and other numbers of samples."""
        plans = [*((length, 0.0, 0) for length in LENGTHS), (LENGTHS[0], 0.25, 0)]
        axes: dict[int, int] = {}
        told = Told()
        for n, (length, other, samples) in enumerate(plans):
            numbers = Collected()
            loss = self.run(times, length, axes if samples else {}, samples, other)
            recorded = RecordedLoss(loss, self._by_id(times))
            writer = RecordingWriter(recorded, numbers, anchor)
            told.add(writer.clock.T, writer.axes, writer.lines, numbers)
            if not n:
                axes = self._sample_axes(writer, times)
                if axes:
                    count = writer.axes.count
                    plans += [(LENGTHS[0], 0.0, count + 1), (LENGTHS[1], 0.0, count + 2)]
        told.compare()
        return told

    def _by_id(self, times: Mapping[int, int]) -> dict[int, int]:
        """The axes of time by the leaves of the last run."""
        return {self.tensors[n].id: axis for n, axis in times.items()}

    def _sample_axes(self, writer: RecordingWriter, times: Mapping[int, int]) -> dict[int, int]:
        """The axis of the samples in each argument that has one."""
        numbers = {leaf.id: n for n, leaf in enumerate(self.tensors)}
        axes: dict[int, int] = {}
        if writer.axes.sample is not None:  # whole numbers, one for each sample, may say where it ends
            arrays = {n: np.asarray(leaf.array) for n, leaf in enumerate(self.leaves) if n not in times}
            axes = {n: 0 for n, x in arrays.items() if x.dtype.kind in "iu" and x.shape == (writer.axes.count,)}
        for node in writer.recorded.graph.leaves:
            if not writer.axes.has_samples(node):
                continue
            entry = ENTRY.fullmatch(node.name or "")
            leaf = writer.recorded.origins[abs(int(entry[1]))][0] if entry else node
            if leaf.id in numbers:
                at = next(axis for axis in range(node.ndim) if writer.axes.root(node, axis) == writer.axes.sample)
                n = numbers[leaf.id]
                axes[n] = at + (n in times and at >= times[n])
        return axes


# -- arguments and results ------------------------------------------------------------------------------------------
def _callable(function: Any, examples: Any) -> tuple[Callable[..., Any], Any]:
    """What is called, and with what: a layer or cell runs on an input of its own size where none is given."""
    size = getattr(function, "input_size", None)
    if hasattr(function, "step") and hasattr(function, "initial") and size is not None:  # a cell
        return _stepped(function), examples or [np.ones((LENGTHS[0], size))]
    if size is not None and not examples:
        return function, [np.ones((LENGTHS[0], size))]
    return function, examples


def _stepped(cell: Any) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        outputs = []
        with step(0):
            states = cell.initial(*np.shape(x)[1:-1])
        for t in steps(1, len(x) + 1):
            states = cell.step(x[t - 1], *states)
            outputs.append(cell.output(*states))
        return np.stack(outputs)

    return run


def _named(function: Callable[..., Any], examples: Any) -> dict[str, Any]:
    """The examples by the names of the arguments."""
    if isinstance(examples, Mapping):
        return dict(examples)
    examples = [examples] if isinstance(examples, np.ndarray | float | Tensor) else list(examples)
    target = function.forward if hasattr(function, "forward") else function
    try:
        bound = inspect.signature(target).bind(*examples)
    except TypeError as error:
        what = getattr(function, "__name__", type(function).__name__)
        raise DerivationError(f"{what} needs examples of its arguments: {error}; give them as examples=(...)") from None
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = inspect.signature(target).parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            raise DerivationError(
                f"the argument *{name} has no names: give the examples as a dict from names to values"
            )
        found[name] = value
    return found


def _places(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every array or number among the arguments, with a name of its own."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _places(part, str(key))
    elif _is_sequence(value):
        yield name, np.stack([plain(part) for part in value])
    elif isinstance(value, list | tuple):
        for n, part in enumerate(value, start=1):
            yield from _places(part, f"{name}_{n}")
    elif _is_value(value):
        yield name, plain(value) if isinstance(value, Tensor) else value


def _is_value(value: Any) -> bool:
    return isinstance(value, np.ndarray | float | np.floating | Tensor)


def _is_sequence(value: Any) -> bool:
    """Whether a list has an entry for each step: numbers or vectors of one shape. Matrices are layers, more often."""
    if not isinstance(value, list | tuple) or len(value) < 3:
        return False
    numbers = all(isinstance(part, int | np.integer) or _is_value(part) for part in value)
    shapes = {np.shape(plain(part)) for part in value} if numbers else set()
    return len(shapes) == 1 and all(len(shape) < 2 or shape[1] == 1 for shape in shapes)


def _rebuilt(value: Any, tensors: Iterator[Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _rebuilt(part, tensors) for key, part in value.items()}
    if _is_sequence(value):
        whole = next(tensors)
        return Entries(whole) if isinstance(whole, Tensor) else list(whole)
    if isinstance(value, list | tuple):
        return type(value)([_rebuilt(part, tensors) for part in value])
    return next(tensors) if _is_value(value) else value


def _loss(result: Any, name: str) -> Tensor:
    """The loss; of an output that is more than one number, what a gradient from above makes of it."""
    output = result[0] if isinstance(result, tuple) and result else result
    if not isinstance(output, Tensor):
        raise DerivationError(
            f"{name} returns {kind_of(output)}, which no graph leads to: compute with the arguments it is given"
        )
    if output.size == 1:
        return output if not output.shape else np.sum(output)
    rng = np.random.default_rng(0)
    above = tensor(rng.normal(size=output.shape), name="v", requires_grad=False)
    return np.sum(output * above)
