"""Equations of a Python function or a layer: recorded at several lengths, so that what depends on the length shows.

The function runs on its examples cut, or repeated, to other lengths, and with another number of samples; the equations
of all runs have to be the same but for numbers. A number that differs is one of T, of the number of samples N, or both;
one that fits nothing stays a constant with a name.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from ..compile.record import Leaf, candidates, cut
from ..core.errors import DerivationError, TinygradError
from ..core.graph import Graph
from ..core.scope import ROOT, entered, step, steps
from ..core.tensor import Tensor, plain, tensor
from ..language.model import Model
from ..language.unroll import Run
from .equations import Equations, write_equations
from .numbers import Numbers
from .operations import PRODUCT, SUM, Form, literal
from .recorded import Recorded

#: at so many steps a function is recorded
LENGTHS = (6, 7, 9)
#: the powers of the length and of the number of samples that are looked for in a number
_POWERS = (0, -1, 1, -2, 2)


def equations_of(function: Callable[..., Any], examples: Sequence[Any] | Mapping[str, Any] = ()) -> Equations:
    """The equations of a function that returns a loss, or of a layer, on arguments like the examples.

    Arrays along which steps run are found by trying. Floats that are no sequences are parameters. A result that is
    no single number, as that of a layer, is taken up by a loss of its own: `sum(h[t] * v[t])`, where `v[t]` is
    whatever gradient comes from above. Raises `DerivationError` where the function does something else at another
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
    reasons: list[str] = []
    try:
        for times in recording.candidates():
            try:
                return recording.equations(times)
            except DerivationError as error:
                reasons.append(str(error))
            except (
                TinygradError,
                ValueError,
                IndexError,
                TypeError,
                KeyError,
            ) as error:  # what it says to other lengths
                reasons.append(f"{type(error).__name__}: {error}")
    except DerivationError as error:
        reasons.insert(0, str(error))
    raise DerivationError(f"{recording.name} cannot be written as equations: {reasons[0]}")


def model_of(code: Any, examples: Sequence[Any] | Mapping[str, Any] = ()) -> Model:
    """The equations of whatever computes a loss: a Run, a loss Tensor or Graph, a layer or function with examples."""
    if isinstance(code, Run):
        return code.model
    if isinstance(code, Tensor | Graph):
        return write_equations(code).model
    if not callable(code):
        raise DerivationError(
            f"what is derived is a model, an equation file, a loss, or a function that computes one; not {code!r}"
        )
    return equations_of(code, examples).model


class _Recording:
    """A function and its examples, to be run at any length."""

    def __init__(self, function: Callable[..., Any], examples: Sequence[Any] | Mapping[str, Any]) -> None:
        self.function, given = _callable(function, examples)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.given = _named(self.function, given)
        self.places = list(_places(self.given))
        self.leaves = [Leaf(n, value, False) for n, (_, value) in enumerate(self.places)]

    def candidates(self) -> Iterator[dict[int, int]]:
        """Which arguments are sequences, and along which axis: those that the steps read by entries; where there are
        too few steps to tell, what may be."""
        try:
            recorded = Recorded(self.run({}, 0, {}, 0))
        except DerivationError as error:
            yield from candidates([leaf for leaf in self.leaves if np.ndim(leaf.array)])
            raise error from None
        numbers = {name: n for n, (name, _) in enumerate(self.places)}
        pairs = zip(recorded.sequences.values(), recorded.time_axes, strict=True)
        yield {numbers[str(leaf.name)]: axis for leaf, axis in pairs if leaf.name in numbers}

    def run(self, times: Mapping[int, int], length: int, sample_axes: Mapping[int, int], samples: int) -> Tensor:
        """The loss at one length and number of samples."""
        values: dict[int, Any] = {}
        for n, leaf in enumerate(self.leaves):
            array = leaf.array
            if n in times:
                array = cut(array, times[n], length)
            if n in sample_axes:
                array = cut(array, sample_axes[n], samples)
            values[n] = array
        learned = [n not in times and np.asarray(value).dtype.kind == "f" for n, value in values.items()]
        with entered(ROOT), np.errstate(all="ignore"):
            tensors = iter(
                [tensor(values[n], name=name, requires_grad=learned[n]) for n, (name, _) in enumerate(self.places)]
            )
            args = _rebuilt(self.given, tensors)
            return _loss(self.function(**args) if isinstance(args, dict) else self.function(*args), self.name)

    def equations(self, times: Mapping[int, int]) -> Equations:
        """The equations, if these are the sequences."""
        if not times:
            return write_equations(self.run({}, 0, {}, 0))
        first = _Collecting()
        found = write_equations(self.run(times, LENGTHS[0], {}, 0), first)
        kinds = [(found, first)]
        for length in LENGTHS[1:]:
            kinds.append(self._again(times, length, {}, 0))
        T = [equations.T for equations, _ in kinds]
        if len(set(T)) < len(T):
            raise DerivationError(f"its loop has {T[0]} steps, however long its arguments are")
        axes = self._sample_axes(found, times)
        if axes:
            kinds.append(self._again(times, LENGTHS[0], axes, found.samples + 1))
            kinds.append(self._again(times, LENGTHS[1], axes, found.samples + 2))
        resolved = _Resolved(kinds)
        given = {leaf.array.shape[times[n]] for n, leaf in enumerate(self.leaves) if n in times}
        length = max(*given, LENGTHS[0])
        return write_equations(self.run(times, length, {}, 0), resolved)

    def _again(self, times: Any, length: int, axes: Any, samples: int) -> tuple[Equations, _Collecting]:
        numbers = _Collecting()
        return write_equations(self.run(times, length, axes, samples), numbers), numbers

    def _sample_axes(self, found: Equations, times: Mapping[int, int]) -> dict[int, int]:
        """The axis of the samples in each argument that has one."""
        if found.samples == 1:
            return {}
        axes: dict[int, int] = {}
        names = {name: n for n, (name, _) in enumerate(self.places)}
        for (name, _), node in found.nodes.items():
            n = names.get(name)
            if n is None or node.op is not None or not found.axes.has_samples(node):
                continue
            at = next(axis for axis in range(node.ndim) if found.axes.root(node, axis) == found.axes.sample)
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
    bound = inspect.signature(target).bind(*examples)
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
    elif isinstance(value, list | tuple):
        for n, part in enumerate(value, start=1):
            yield from _places(part, f"{name}_{n}")
    elif _is_value(value):
        yield name, plain(value) if isinstance(value, Tensor) else value


def _is_value(value: Any) -> bool:
    return isinstance(value, np.ndarray | float | np.floating | Tensor)


def _rebuilt(value: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(value, Mapping):
        return {key: _rebuilt(part, tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_rebuilt(part, tensors) for part in value])
    return next(tensors) if _is_value(value) else value


def _loss(result: Any, name: str) -> Tensor:
    """The loss; of an output that is more than one number, what a gradient from above makes of it."""
    output = result[0] if isinstance(result, tuple) and result else result
    if not isinstance(output, Tensor):
        raise DerivationError(
            f"{name} returns {type(output).__name__}, which no graph leads to: compute with the arguments it is given"
        )
    if output.size == 1:
        return output if not output.shape else np.sum(output)
    rng = np.random.default_rng(0)
    above = tensor(rng.normal(size=output.shape), name="v", requires_grad=False)
    return np.sum(output * above)


# -- numbers that depend on the length ------------------------------------------------------------------------------
class _Collecting(Numbers):
    """Keeps every number in the order in which it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.met: list[float] = []

    def number(self, value: float) -> Form:
        self.met.append(value)
        return literal(value)


class _Resolved(Numbers):
    """Writes each number as what the recordings say it is."""

    def __init__(self, kinds: list[tuple[Equations, _Collecting]]) -> None:
        super().__init__()
        counts = {len(numbers.met) for _, numbers in kinds}
        shapes = {_skeleton(equations) for equations, _ in kinds}
        if len(counts) > 1 or len(shapes) > 1:
            raise DerivationError(_told_apart(kinds))
        points = [(equations.T, equations.samples) for equations, _ in kinds]
        self._forms = [_fitted([numbers.met[n] for _, numbers in kinds], points) for n in range(len(kinds[0][1].met))]
        self._next = 0

    def number(self, value: float) -> Form:
        found = self._forms[self._next]
        self._next += 1
        if found is None:
            return self.unknown(value)
        factor, more, t, n = found
        if not t and not n:
            return literal(factor)
        above: list[str] = []
        below: list[str] = []
        for name, power in ((f"(T{more:+d})" if more else "T", t), ("N", n)):
            if power:
                (above if power > 0 else below).append(self._power(name, abs(power)))
        return _quotient(factor, above, below)

    def _power(self, name: str, power: int) -> str:
        text = self.samples().text if name == "N" else name
        return text if power == 1 else f"{text}**{power}"

    def unknown(self, value: float) -> Form:
        """A number that changes with the length in no way that is known here."""
        if value not in self._known:
            name = self.names.free("k_1")
            self.constants[name] = value
            self._known[value] = Form(name)
            self.notes.append(f"{name} = {value!r} at this length, and another number at others: it is given")
        return self._known[value]


def _quotient(factor: float, above: list[str], below: list[str]) -> Form:
    exact = Fraction(factor).limit_denominator(1000)
    if abs(float(exact) - factor) < 1e-12 * abs(factor):
        if exact.numerator != 1 or not above:
            above.insert(0, str(exact.numerator))
        if exact.denominator != 1:
            below.insert(0, str(exact.denominator))
    else:
        above.insert(0, repr(factor))
    top = " * ".join(above)
    if not below:
        return Form(top, PRODUCT if len(above) > 1 else 5 if factor > 0 else SUM)
    bottom = " * ".join(below)
    return Form(f"{top} / {f'({bottom})' if len(below) > 1 else bottom}", PRODUCT)


def _fitted(values: list[float], points: list[tuple[int, int]]) -> tuple[float, int, int, int] | None:
    """A factor, m, and powers of T + m and N that give these values at these points; None if there are none."""
    if not all(np.isfinite(values)):
        return None
    if len(set(values)) == 1:
        return values[0], 0, 0, 0
    for more, n, t in product((0, -1, 1), _POWERS[:3], _POWERS):
        factors = [v / (float(T + more) ** t * float(N) ** n) for v, (T, N) in zip(values, points, strict=True)]
        if max(factors) - min(factors) <= 1e-13 * max(map(abs, factors)):
            factor, whole = factors[0], round(factors[0])
            return (float(whole) if abs(factor - whole) < 1e-12 * abs(factor) else factor), more, t, n
    return None


def _skeleton(equations: Equations) -> str:
    """The equations without their numbers."""
    lines = equations.model.document.source.text.partition("\n\n")[2]
    return re.sub(r"(?<![\w\[+-])\d+(\.\d+)?(e[+-]?\d+)?", "·", lines)


def _told_apart(kinds: list[tuple[Equations, _Collecting]]) -> str:
    first = kinds[0][0].model.forward
    for equations, _ in kinds[1:]:
        for a, b in zip(first, equations.model.forward, strict=False):
            if a.text != b.text:
                return (
                    f"it computes something else at another length: {a.text} with T = {kinds[0][0].T}, "
                    f"{b.text} with T = {equations.T}"
                )
    return "it computes something else at another length"
