"""Run a function on short sequences and keep what it did.

A function is recorded with its own arguments, but sequences are cut (or repeated) to a few steps: what it does for more
is the same again, and whoever reads the recording checks that. Which arguments are sequences is found by trying; the
likeliest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...core.autodiff import gradients
from ...core.declare import record
from ...core.primitive import PRIMITIVES
from ...core.scope import ROOT, entered
from ...core.tensor import Tensor, as_value, next_id
from ..unsupported import Unfoldable, told_as_reason
from .build import Built, build
from .guard import watched
from .pytree import Parameter, rebuild
from .unstack import Sequence, Unstacking

#: leaf -> the axis that is time
Times = dict[int, int]


class Leaf:
    """A value among the arguments: which it is, and whether a gradient with respect to it is wanted."""

    __slots__ = ("alone", "differentiated", "number", "value")

    def __init__(self, number: int, value: Any, differentiated: bool) -> None:
        self.number, self.value, self.differentiated = number, value, differentiated
        self.alone = False  # whether it is a whole argument

    @property
    def array(self) -> Any:
        """The value as an array or float."""
        return array_of(self.value)


def array_of(value: Any) -> Any:
    """The numbers of a value, whatever holds them."""
    kind = type(value)
    if kind is np.ndarray or kind is float:
        return value
    if kind is Parameter:
        return value.tensor.value
    if kind is list:
        return np.stack(value) if value else np.zeros(0)
    return as_value(value.value if isinstance(value, Tensor) else value)


class Recording:
    """What a function returned in one run: its Tensors, and the structure they stood in.

    given: the values of its arguments. wanted: the leaves to differentiate with respect to, and from which axis that of
    time was moved to the front.
    """

    def __init__(self, outputs: list[Tensor], structure: Any, given: dict[int, Any]) -> None:
        self.outputs, self.structure, self.given = outputs, structure, given
        self.wanted: list[tuple[Tensor, int]] = []

    def gradients(self) -> list[Any]:
        """The gradients of the first output, as they are computed without compiling."""
        with np.errstate(all="ignore"):
            found = gradients(self.outputs[0], [leaf for leaf, _ in self.wanted])
        return [np.moveaxis(g, 0, axis) if axis else g for g, (_, axis) in zip(found, self.wanted, strict=True)]


class Recorder:
    """Records `function(*args, **kwargs)` with other lengths and other values of the same shapes."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: tuple[int, ...]
    ) -> None:
        self.function, self.args, self.kwargs, self.argnums = function, args, kwargs, argnums
        self.leaves: list[Leaf] = []
        #: which leaves are sequences, where that is known; and why none is
        self.times: Times | None = None
        self.reasons: list[str] = []
        self.each_leaf(lambda value, differentiated: self.leaves.append(Leaf(len(self.leaves), value, differentiated)))
        for leaf in self.leaves:
            leaf.alone = any(leaf.value is args[i] for i in argnums)

    def each_leaf(self, make: Callable[[Any, bool], Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with `make(value, differentiated)` in place of each value."""
        given = []
        for i, arg in enumerate(self.args):
            wanted = i in self.argnums
            given.append(rebuild(arg, lambda value, wanted=wanted: make(value, wanted), lists=not wanted))  # type: ignore[misc]
        return given, {
            key: rebuild(arg, lambda value: make(value, False), lists=True) for key, arg in self.kwargs.items()
        }

    def run(self, times: Times, length: int, other: bool, folded: bool = True) -> tuple[Built, Any]:
        """One recording as a program; `other`: with other values, so that what depends on them shows."""
        run = _Run(self, times, length, other)
        with entered(ROOT), watched(), np.errstate(all="ignore"):
            with told_as_reason(length if folded else 0):
                found = run.recording()
            return run.built(found, folded)

    def recording(self, times: Times, length: int) -> Recording:
        """One recording as it is."""
        with entered(ROOT), watched(), np.errstate(all="ignore"):
            return _Run(self, times, length, other=False).recording()


class _Run:
    """One run of the function of a recorder."""

    def __init__(self, recorder: Recorder, times: Times, length: int, other: bool) -> None:
        self.recorder, self.times, self.length, self.other = recorder, times, length, other
        self.tensors: dict[int, Any] = {}
        self.given: dict[int, Any] = {}
        self.sequences: dict[int, int] = {}
        self.wanted: list[tuple[Tensor, int]] = []
        self.first_id = next_id()

    def recording(self) -> Recording:
        """The function, run."""
        given, named = self.recorder.each_leaf(self._argument)
        outputs: list[Tensor] = []
        structure = _structure(self.recorder.function(*given, **named), outputs)
        found = Recording(outputs, structure, self.given)
        found.wanted = self.wanted
        return found

    def _argument(self, value: Any, differentiated: bool) -> Any:
        """What the function gets for a value."""
        number, times = len(self.given), self.times
        if type(value) is Parameter:
            self.tensors[value.tensor.id] = number
            self.given[number] = value.tensor.value
            if differentiated:
                self.wanted.append((value.tensor, 0))
            return None
        array = array_of(value)
        if number in times:
            array = cut(array, times[number], self.length)
        elif times and type(array) is not float and array.dtype.kind in "iu":
            array = np.minimum(array, array.dtype.type(self.length))  # it may say where sequences end
        if self.other:
            array = changed(array)
        self.given[number] = array
        axis = times.get(number, 0)
        leaf = Tensor(np.moveaxis(array, 1, 0) if axis else array, None, (), None, f"@{number}", ROOT, differentiated)
        self.tensors[leaf.id] = number
        if differentiated:
            self.wanted.append((leaf, axis))
        if number not in times:
            return list(leaf) if type(value) is list else leaf
        self.sequences[leaf.id] = number
        if axis:
            axes = (1, 0, *range(2, array.ndim))
            return record(PRIMITIVES["transpose"], (leaf,), {"axes": axes})
        return Entries(leaf) if type(value) is list else leaf

    def built(self, found: Recording, folded: bool) -> tuple[Built, Any]:
        """A recording as a program."""
        others = {i: n for i, n in self.tensors.items() if self.times and i not in self.sequences}
        unstacking = Unstacking(self.sequences, others, len(self.given), self.length, self.first_id)
        rewritten = unstacking.outputs(found.outputs) if found.outputs else []
        rewritten = rewritten if folded else [unstacking.whole(x) for x in rewritten]
        groups = [x.entries if isinstance(x, Sequence) else [x] for x in rewritten]
        for at_leaf in list(unstacking.origin):
            self.tensors[at_leaf] = unstacking.origin[at_leaf][0]
        self.tensors |= unstacking.outside
        axes = [x.axis if isinstance(x, Sequence) else None for x in rewritten]
        built = build(groups, self.tensors, self.first_id, self.length, folded)
        built.recorded, built.derived = found, unstacking.derived
        if folded and self.times and not unstacking.origin:
            raise Unfoldable("no argument is read step by step")
        return built, (found.structure, axes)


class Entries:
    """A list of arrays while it is recorded: each entry is picked when it is asked for, in the step that asks."""

    def __init__(self, whole: Tensor) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Tensor:
        return self.whole[index]

    def __iter__(self) -> Iterator[Tensor]:
        return (self.whole[i] for i in range(len(self.whole)))


def cut(array: np.ndarray, axis: int, length: int) -> np.ndarray:
    """As many steps as are recorded; a shorter sequence starts again."""
    return np.take(array, np.arange(length) % array.shape[axis], axis=axis)


def changed(value: Any) -> Any:
    """Other values of the same kind, so that whatever was kept of the first ones shows.

    Floats are a little smaller and moved on, and none stays 0; truth values are the opposite; each whole number becomes
    another one of those given (that may be class numbers), or its neighbour where all are the same.
    """
    if type(value) is float:
        return value * 0.9375 or 0.0625
    kind = value.dtype.kind
    if kind == "b":
        return ~value
    if kind in "iu" and value.size:
        found, places = np.unique(value, return_inverse=True)
        others = np.roll(found, 1) if len(found) > 1 else np.where(found > 0, found - 1, found + 1)
        return others[places].reshape(value.shape).astype(value.dtype)
    moved = np.roll(value, 1)
    if kind != "f":
        return moved
    return np.where(moved == 0, 0.0625, moved * 0.9375).astype(value.dtype)


def _structure(result: Any, outputs: list[Tensor]) -> Any:
    """What the function returned, with the number of an output in place of each Tensor."""
    if isinstance(result, Tensor):
        outputs.append(result)
        return ("output", len(outputs) - 1)
    if isinstance(result, dict):
        return ("dict", [(key, _structure(value, outputs)) for key, value in result.items()])
    if isinstance(result, list | tuple):
        return ("sequence", type(result), [_structure(value, outputs) for value in result])
    return ("value", result)


def restored(structure: Any, values: list[Any]) -> Any:
    """What the function returns, around these outputs."""
    match structure:
        case ("output", n):
            return values[n]
        case ("dict", items):
            return {key: restored(part, values) for key, part in items}
        case ("sequence", kind, parts):
            built = [restored(part, values) for part in parts]
            return kind(*built) if hasattr(kind, "_fields") else kind(built)
    return structure[1]


def candidates(leaves: list[Leaf]) -> Iterator[Times]:
    """Which leaves may be sequences, and along which axis; the likeliest first."""
    arrays = [(leaf, leaf.array) for leaf in leaves if type(leaf.value) is not Parameter]
    arrays = [(leaf, array) for leaf, array in arrays if np.ndim(array)]
    seen: list[Times] = []
    for axis in (0, 1):
        for also in (False, True):
            able = [
                (leaf, a) for leaf, a in arrays if a.ndim > axis and (not leaf.differentiated or (also and leaf.alone))
            ]
            for length in dict.fromkeys(a.shape[axis] for _, a in sorted(able, key=lambda pair: -pair[1].ndim)):
                found = {leaf.number: axis for leaf, a in able if a.shape[axis] == length}
                for times in [found, *_without_one(found)]:
                    if times and length and times not in seen:
                        seen.append(times)
                        yield times


def _without_one(times: Times) -> list[Times]:
    return [{n: axis for n, axis in times.items() if n != left} for left in times] if 1 < len(times) < 5 else []


__all__ = ["Leaf", "Recorder", "Recording", "array_of", "candidates", "restored"]
