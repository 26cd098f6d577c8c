"""The float arrays a user's functions depend on: those passed at each call, and weights that are read from elsewhere.

An array is a leaf: it has the name it goes by, and a number where it stands in a list (`xs[2]`), else None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ...core.errors import GraphError
from ...core.tensor import Tensor, plain
from . import foreign
from .code import cells_of

LeafName = tuple[str, int | None]
Path = tuple[str | int, ...]

#: the attribute of a parameter object that holds its value, and the one that holds its gradient
VALUE = ("v", "value", "data", "val")
GRADIENT = ("d", "grad", "dv", "g")
#: containers inside containers are looked into so far
DEEPEST = 4


@dataclass
class ArraySlot:
    """Where an array stands: `container[key]`, or the attribute `key` of an object."""

    path: Path
    container: Any
    key: Any
    array: np.ndarray
    #: other places that hold the same array: globals and closures of the functions that read it
    aliases: list[tuple[Any, Any]] = field(default_factory=list)

    def put(self, value: Any) -> None:
        """Let the container hold another value there."""
        for owner, key in [(self.container, self.key), *self.aliases]:
            if isinstance(owner, (dict, list)):
                owner[key] = value
            else:
                setattr(owner, key, value)


class ArrayInputs:
    """What is passed at each call, a dict whose values may be dicts and lists again.

    >>> inputs = ArrayInputs({"x": np.ones(2), "parameters": {"W": np.ones((2, 2))}, "target": 3})
    >>> list(inputs.leaves)
    [('x', None), ('W', None)]
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.tree = dict(inputs)
        self._arrays = {path: array for key, value in inputs.items() for path, array in _floats(value, (key,))}
        self._places = _places(self._arrays)
        self.leaves: dict[LeafName, np.ndarray] = {self._places[path]: array for path, array in self._arrays.items()}
        self.kinds = {self._places[path]: foreign.kind_of(_at(self.tree, path)) for path in self._arrays}

    def filled(self, values: Mapping[LeafName, Any]) -> dict[str, Any]:
        """The inputs with other values in place of their arrays; what is not among `values` is copied."""
        return {key: self._filled(value, (key,), values) for key, value in self.tree.items()}

    def at(self, values: Mapping[LeafName, np.ndarray]) -> ArrayInputs:
        """The same inputs with other arrays in their places."""
        other = copy(self)
        other._arrays = {path: values[leaf] for path, leaf in self._places.items()}
        other.leaves = {leaf: values[leaf] for leaf in self.leaves}
        return other

    def arrays_in(self, arguments: Mapping[str, Any]) -> dict[LeafName, Any]:
        """Where the arrays are in what `filled` made."""
        return {self._places[path]: _at(arguments, path) for path in self._arrays}

    def _filled(self, value: Any, path: Path, values: Mapping[LeafName, Any]) -> Any:
        if path in self._arrays:
            leaf = self._places[path]
            return values[leaf] if leaf in values else foreign.like(self._arrays[path].copy(), value)
        if isinstance(value, Mapping):
            return {key: self._filled(part, (*path, key), values) for key, part in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self._filled(part, (*path, i), values) for i, part in enumerate(value))
        return value.copy() if isinstance(value, np.ndarray) else value


class Params:
    """Weights that the functions read from somewhere else: a dict, or an object or module with arrays in it."""

    def __init__(self, source: Any) -> None:
        self.source = source
        slots = [] if source is None else list(_slots(source, (), set()))
        slots = [slot for slot in slots if slot.array.flags.writeable]
        if source is not None and not slots:
            raise GraphError(
                f"params= holds no float array: it is a dict from names to arrays, or an object with arrays as "
                f"attributes, not {_said(source)}"
            )
        places = _places({slot.path: slot.array for slot in slots})
        self.slots: dict[LeafName, ArraySlot] = {places[slot.path]: slot for slot in slots}
        self.leaves: dict[LeafName, np.ndarray] = {leaf: slot.array for leaf, slot in self.slots.items()}

    def shared_with(self, functions: list[FunctionType]) -> None:
        """Remember under which names functions read the same arrays, so that other values can be put there too."""
        owners: list[tuple[Any, Any, Any]] = [
            (cell, "cell_contents", cell.cell_contents) for cell in cells_of(functions)
        ]
        scopes = {id(function.__globals__): function.__globals__ for function in functions}
        owners += [(scope, key, value) for scope in scopes.values() for key, value in scope.items()]
        for slot in self.slots.values():
            slot.aliases = [(owner, key) for owner, key, value in owners if value is slot.array]

    @contextmanager
    def written(self, values: Mapping[LeafName, np.ndarray]) -> Iterator[None]:
        """Write values into the arrays themselves; they hold what they held before when the block ends or raises."""
        before = {leaf: slot.array.copy() for leaf, slot in self.slots.items()}
        try:
            for leaf, value in values.items():
                if leaf in self.slots:
                    self.slots[leaf].array[...] = value
            yield
        finally:
            for leaf, slot in self.slots.items():
                slot.array[...] = before[leaf]
                slot.put(slot.array)

    @contextmanager
    def replaced(self, values: Mapping[LeafName, Any]) -> Iterator[None]:
        """Let other objects, Tensors or complex arrays, stand where the arrays stand, until the block ends or
        raises.
        """
        before = {leaf: slot.array.copy() for leaf, slot in self.slots.items()}
        try:
            for leaf, slot in self.slots.items():
                if leaf in values:
                    slot.put(values[leaf])
            yield
        finally:
            for leaf, slot in self.slots.items():
                slot.array[...] = before[leaf]
                slot.put(slot.array)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Let functions bind attributes and items as they like; what stood there before stands there when it ends."""
        before = [(holder, dict(_items(holder))) for holder in _holders(self.source)]
        try:
            yield
        finally:
            for holder, items in before:
                _restore(holder, items)

    def rebound(self) -> list[LeafName]:
        """The places that no longer hold the array that stood there at first."""
        now = {slot.path: slot.array for slot in _slots(self.source, (), set())}
        return [leaf for leaf, slot in self.slots.items() if now.get(slot.path) is not slot.array]

    def drop(self, places: Iterable[LeafName]) -> None:
        """Take these for no weights."""
        for leaf in places:
            del self.slots[leaf], self.leaves[leaf]

    def gradients(self) -> dict[str, Any]:
        """What parameter objects hold beside their values: `p.W.d` for `p.W.v`."""
        gradients: dict[str, Any] = {}
        for (name, _), slot in self.slots.items():
            if slot.key in VALUE and not isinstance(slot.container, (dict, list)):
                for key in GRADIENT:
                    beside = getattr(slot.container, key, None)
                    if isinstance(beside, np.ndarray) and beside.shape == slot.array.shape:
                        gradients[name] = beside
        return gradients


def checked(inputs: ArrayInputs, params: Params) -> None:
    """Refuse names that mean two arrays, and arrays that hold nan."""
    both = [name for name, step in inputs.leaves if (name, step) in params.leaves]
    if both:
        raise GraphError(f"{both[0]!r} stands in inputs= and in params=: which of them is meant?")
    for where, leaves in (("inputs", inputs.leaves), ("params", params.leaves)):
        for leaf, array in leaves.items():
            if not np.all(np.isfinite(array)):
                at = tuple(map(int, np.argwhere(~np.isfinite(array))[0])) if array.ndim else ()
                raise GraphError(f"{where}: {said(leaf)} holds {array[at]}{f' at {at}' if at else ''}")


def said(leaf: LeafName) -> str:
    """`W`, or `xs[2]`."""
    name, step = leaf
    return name if step is None else f"{name}[{step}]"


def as_float_array(value: Any) -> np.ndarray | None:
    """A float array for what a user may call one: also a number, a list of floats, a Tensor, torch's and jax's."""
    if foreign.kind_of(value) != foreign.NUMPY:
        value = foreign.to_numpy(value)
    if isinstance(value, (Tensor, float, np.floating, np.ndarray)):
        array = np.asarray(plain(value))
    elif type(value) in (list, tuple) and _only_numbers(value):
        array = np.asarray(value)
    else:
        return None
    return array if array.dtype.kind == "f" else None


def _only_numbers(value: Any) -> bool:
    parts = value if type(value) in (list, tuple) else None
    return isinstance(value, (int, float)) if parts is None else bool(parts) and all(map(_only_numbers, parts))


def _floats(value: Any, path: Path) -> Iterator[tuple[Path, np.ndarray]]:
    array = as_float_array(value)
    if array is not None:
        yield path, array.copy()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _floats(part, (*path, key))
    elif type(value) in (list, tuple):
        for i, part in enumerate(value):
            yield from _floats(part, (*path, i))


def _slots(container: Any, path: Path, seen: set[int]) -> Iterator[ArraySlot]:
    """Every float array in a container, once: the same array under a second name is the same weight."""
    if len(path) > DEEPEST or id(container) in seen:
        return
    seen.add(id(container))
    for key, value in _items(container):
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "f" and id(value) not in seen and not _is_gradient(container, key):
                seen.add(id(value))
                at = path if key in VALUE and path and not isinstance(container, (dict, list)) else (*path, key)
                yield ArraySlot(at, container, key, value)
        elif isinstance(value, (dict, list)) or (hasattr(value, "__dict__") and not isinstance(value, _NO_HOLDERS)):
            yield from _slots(value, (*path, key), seen)


#: what a module's names may refer to without holding weights
_NO_HOLDERS = (ModuleType, type, FunctionType, BuiltinFunctionType, MethodType, np.ufunc)


def _items(container: Any) -> list[tuple[Any, Any]]:
    if isinstance(container, dict):
        return list(container.items())
    if isinstance(container, list):
        return list(enumerate(container))
    return [(key, value) for key, value in getattr(container, "__dict__", {}).items() if not key.startswith("__")]


def _holders(holder: Any, seen: set[int] | None = None, depth: int = 0) -> Iterator[Any]:
    """A container and those in it that arrays are looked for in."""
    seen = set() if seen is None else seen
    if holder is None or depth >= DEEPEST or id(holder) in seen or (isinstance(holder, _NO_HOLDERS) and depth):
        return
    if isinstance(holder, (dict, list)) or hasattr(holder, "__dict__"):
        seen.add(id(holder))
        yield holder
        for _, value in _items(holder):
            yield from _holders(value, seen, depth + 1)


def _restore(holder: Any, before: Mapping[Any, Any]) -> None:
    """Let a container hold what it held before, and nothing else."""
    if isinstance(holder, list):
        holder[:] = before.values()
        return
    for key, _ in _items(holder):
        if key not in before:
            if isinstance(holder, dict):
                del holder[key]
            else:
                delattr(holder, key)
    now = dict(_items(holder))
    for key, value in before.items():
        if key not in now or now[key] is not value:
            if isinstance(holder, dict):
                holder[key] = value
            else:
                setattr(holder, key, value)


def _is_gradient(container: Any, key: Any) -> bool:
    """`d` beside `v`, `dW` beside `W`: no weight."""
    if isinstance(container, list) or not isinstance(key, str):
        return False
    keys = {name for name, _ in _items(container)}
    if key in GRADIENT and keys & set(VALUE):
        return True
    return any(key.startswith(mark) and key.removeprefix(mark) in keys for mark in ("d_", "d", "grad_", "m_", "m"))


def _places(paths: Mapping[Path, Any]) -> dict[Path, LeafName]:
    """Names as short as they can be: `W` for `parameters["W"]` unless another W is there."""
    places: dict[Path, LeafName] = {}
    for path in paths:
        step = path[-1] if len(path) > 1 and isinstance(path[-1], int) else None
        words = path if step is None else path[:-1]
        last = [other if not isinstance(other[-1], int) or len(other) == 1 else other[:-1] for other in paths]
        unique = len({other for other in last if other[-1] == words[-1]}) == 1
        places[path] = (str(words[-1]) if unique else ".".join(map(str, words)), step)
    return places


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _said(value: Any) -> str:
    return f"an empty {type(value).__name__}" if value == {} else type(value).__name__
