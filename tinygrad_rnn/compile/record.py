"""Run a function on short sequences and keep what it did.

A function is recorded with its own arguments, but sequences are cut (or repeated) to a few steps: what it does for more
is the same again, and whoever reads the recording checks that. Which arguments are sequences is found by trying; the
likeliest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.primitives import PRIMITIVES, record
from ..core.scope import ROOT, entered
from ..core.tensor import Tensor, as_value, next_id
from .build import Built, build
from .errors import Unfoldable
from .program import Node, constant
from .trees import Parameter, rebuild
from .unstack import Sequence, Unstacking
from .watch import watched

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


class Recorded:
    """The result of one recording: a program, and the structure of what the function returned."""

    def __init__(self, built: Built, structure: Any, inputs: dict[int, Node]) -> None:
        self.built, self.structure, self.inputs = built, structure, inputs


class Recorder:
    """Records `function(*args, **kwargs)` with other lengths and other values of the same shapes."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: tuple[int, ...]
    ) -> None:
        self.function, self.args, self.kwargs, self.argnums = function, args, kwargs, argnums
        self.leaves: list[Leaf] = []
        self._each_leaf(lambda value, differentiated: self.leaves.append(Leaf(len(self.leaves), value, differentiated)))
        for leaf in self.leaves:
            leaf.alone = any(leaf.value is args[i] for i in argnums)

    def _each_leaf(self, make: Callable[[Any, bool], Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with `make(value, differentiated)` in place of each value."""
        given = []
        for i, arg in enumerate(self.args):
            wanted = i in self.argnums
            given.append(rebuild(arg, lambda value, wanted=wanted: make(value, wanted), lists=not wanted))  # type: ignore[misc]
        return given, {
            key: rebuild(arg, lambda value: make(value, False), lists=True) for key, arg in self.kwargs.items()
        }

    def run(self, times: Times, length: int, other: bool, folded: bool = True) -> tuple[Built, Any]:
        """One recording; `other`: with other values, so that what depends on them shows."""
        tensors: dict[int, Any] = {}
        used: dict[int, Any] = {}
        sequences: dict[int, int] = {}
        counter = iter(range(len(self.leaves)))

        def make(value: Any, differentiated: bool) -> Any:
            number = next(counter)
            if type(value) is Parameter:
                tensors[value.tensor.id] = number
                used[number] = value.tensor.value
                return None
            array = array_of(value)
            if number in times:
                array = cut(array, times[number], length)
            elif times and type(array) is not float and array.dtype.kind in "iu":
                array = np.minimum(array, array.dtype.type(length))  # it may say where sequences end
            if other:
                array = changed(array)
            used[number] = array
            leaf = Tensor(array, None, (), None, f"@{number}", ROOT, differentiated)
            tensors[leaf.id] = number
            if number not in times:
                return list(leaf) if type(value) is list else leaf
            if times[number]:
                whole, leaf = leaf, Tensor(np.moveaxis(array, 1, 0), None, (), None, f"@{number}", ROOT, differentiated)
                del whole
                tensors[leaf.id] = number
                sequences[leaf.id] = number
                axes = (1, 0, *range(2, array.ndim))
                return record(PRIMITIVES["transpose"], (leaf,), {"axes": axes})
            sequences[leaf.id] = number
            return Entries(leaf) if type(value) is list else leaf

        first_id = next_id()
        with entered(ROOT), watched(), np.errstate(all="ignore"):
            given, named = self._each_leaf(make)
            result = self.function(*given, **named)
            outputs: list[Any] = []
            structure = _structure(result, outputs)
            others = {i: n for i, n in tensors.items() if times and i not in sequences}
            unstacking = Unstacking(sequences, others, len(self.leaves), length, first_id)
            rewritten = unstacking.outputs(outputs) if outputs else []
            groups = [x.entries if isinstance(x, Sequence) else [x] for x in rewritten]
            for at_leaf in list(unstacking.origin):
                tensors[at_leaf] = unstacking.origin[at_leaf][0]
            tensors |= unstacking.outside
            axes = [x.axis if isinstance(x, Sequence) else None for x in rewritten]
            built = build(groups, tensors, first_id, length, folded)
            built.given, built.returned = used, [output.value for output in outputs]
            built.derived = unstacking.derived
        if folded and times and not unstacking.origin:
            raise Unfoldable("no argument is read step by step")
        return built, (structure, axes)


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


__all__ = ["Leaf", "Recorder", "array_of", "candidates", "constant", "restored"]
