"""What a function reads besides its arguments: globals, closures, defaults, attributes of objects and classes.

A recording keeps whatever it met as a value. So what could be met is looked at in every call: a `Look` walks once
through all that can be reached, and then only asks whether each place still holds the same object, and each array the
same numbers. What is walked through are containers, Modules, and functions, classes and objects of the user's own;
anything else (objects of other packages, open files, generators) counts as the object that it is.

Whether a recording drew random numbers, which would be the same in every later call, is seen in the states of all
generators that are reached so, and of numpy's and Python's own (`Chance`).
"""

from __future__ import annotations

import dis
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache, partial
from hashlib import blake2b
from operator import is_
from typing import Any

import numpy as np

from ...core.tensor import Tensor
from ..unsupported import Unwatchable

#: objects, and bytes of arrays, that are looked at in a call at most
MOST, MOST_BYTES = 50_000, 1 << 28
#: states that are remembered; and objects among the arguments
_STATES, _OBJECTS = 4096, 64
_ATOMS = (bool, int, float, complex, str, bytes, type(None), type(...), range, slice, np.generic, np.dtype)
_SEQUENCES = (list, tuple, deque)
_ABSENT = object()


class Surroundings:
    """Numbers for states: the same number for the same object only while all that it reaches is as it was."""

    def __init__(self) -> None:
        self._looks: dict[int, Look] = {}
        self._numbers: dict[Any, int] = {}
        self._refused: dict[int, tuple[Any, Unwatchable]] = {}
        self._count = 0
        self.changed = ""  # the place that was found changed last

    def number(self, root: Any) -> int:
        """The state of an object. Raises `Unwatchable` for one that reaches too much."""
        if id(root) in self._refused:
            raise self._refused[id(root)][1]
        look = self._looks.get(id(root))
        if look is not None and look.root is root:
            place = look.changed()
            if place is None:
                return look.number
            self.changed = place
        elif len(self._looks) >= _OBJECTS:
            del self._looks[next(iter(self._looks))]
        if len(self._numbers) >= _STATES:
            self._numbers.clear()
        try:
            look = Look(root)
        except Unwatchable as error:  # it is not walked through again
            self._refused[id(root)] = root, error
            raise
        key = tuple(look.parts)
        if key not in self._numbers:
            self._count += 1
            self._numbers[key] = self._count
        look.number = self._numbers[key]
        self._looks[id(root)] = look
        return look.number

    def generators(self) -> list[tuple[str, Any]]:
        """What draws random numbers, by the name under which it is reached."""
        return [place for look in list(self._looks.values()) for place in look.generators]

    def made_since(self, first_id: int) -> str:
        """The place that holds a Tensor made since then; empty if there is none."""
        for look in list(self._looks.values()):
            if look.changed() is not None:
                place = Look(look.root).newest(first_id)
                if place:
                    return place
        return ""


class _Same:
    """An object as a key: equal to itself alone, and alive as long as the key is."""

    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held

    def __hash__(self) -> int:
        return id(self.held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held


class Look:
    """One walk through all that a root reaches."""

    def __init__(self, root: Any) -> None:
        self.root, self.number = root, -1
        self._places: list[tuple[list[str], Callable[[], Collection[Any]], list[Any]]] = []
        self._arrays: list[tuple[str, np.ndarray, bytes]] = []
        self.generators: list[tuple[str, Any]] = []
        self._tensors: list[tuple[str, Tensor]] = []
        self.parts: list[Any] = []  # the state: equal ones are of equal state
        self._seen: dict[int, int] = {}
        self._bytes = 0
        self._visit(root, getattr(root, "__name__", None) or type(root).__name__)

    # -- questions ----------------------------------------------------------------------------------------------------
    def changed(self) -> str | None:
        """A place that holds something else than it did; None if there is none."""
        for paths, now, kept in self._places:
            found = now()
            if len(found) != len(kept) or not all(map(is_, found, kept)):
                differ = [path for path, a, b in zip(paths[1:], found, kept, strict=False) if a is not b]
                return differ[0] if differ and len(found) == len(kept) else paths[0]
        for path, array, kept_bytes in self._arrays:
            if array.tobytes() != kept_bytes:
                return path
        return None

    def newest(self, first_id: int) -> str:
        """A place that holds a Tensor made since `first_id`."""
        return next((path for path, tensor in self._tensors if tensor.id >= first_id), "")

    # -- the walk -----------------------------------------------------------------------------------------------------
    def _place(self, path: str, now: Callable[[], Collection[Any]], parts: Iterable[str] = ()) -> list[Any]:
        """What stands in a place, to be looked at again; what its parts are called."""
        kept = list(now())
        self._places.append(([path, *parts], now, kept))
        return kept

    def _visit(self, x: Any, path: str) -> None:
        if len(self.parts) > MOST or self._bytes > MOST_BYTES:
            raise Unwatchable(f"{path} is too much to be looked at in every call: make it an argument")
        if isinstance(x, _ATOMS):
            self.parts.append((type(x), repr(x) if isinstance(x, float | complex | slice | np.generic) else x))
            return
        if id(x) in self._seen:
            self.parts.append(("again", self._seen[id(x)]))
            return
        self._seen[id(x)] = len(self._seen)
        self.parts.append(type(x))
        if isinstance(x, Tensor):
            self._tensor(x, path)
        elif isinstance(x, np.ndarray):
            self._array(x, path)
        elif isinstance(x, Mapping) and hasattr(x, "values"):
            self._mapping(x, path)
        elif isinstance(x, _SEQUENCES):
            self._items(path, lambda: x)
        elif isinstance(x, set | frozenset):
            self._items(path, lambda: sorted(x, key=hash))
        else:
            self._object(x, path)

    def _items(self, path: str, now: Callable[[], Collection[Any]]) -> None:
        kept = self._place(path, now)
        self.parts.append(len(kept))
        for i, item in enumerate(kept):
            self._visit(item, f"{path}[{i}]")

    def _mapping(self, x: Mapping[Any, Any], path: str) -> None:
        self.parts.append(len(x))
        self._named(path, {str(key): value for key, value in x.items()}, x.values, "[{!r}]")

    def _named(self, path: str, items: dict[str, Any], now: Callable[[], Collection[Any]], form: str = ".{}") -> None:
        paths = [path + form.format(key) for key in items]
        self._place(path, now, paths)
        for inner, (key, value) in zip(paths, items.items(), strict=True):
            self.parts.append(key)
            self._visit(value, inner)

    def _tensor(self, x: Tensor, path: str) -> None:
        self._tensors.append((path, x))
        self.parts += [_Same(x), x.shape, x.dtype, x.requires_grad]  # its value is read at each call

    def _array(self, x: np.ndarray, path: str) -> None:
        if x.dtype.hasobject:
            self._items(path, lambda: list(x.flat))
            return
        self._bytes += x.nbytes
        kept = x.tobytes()
        self._arrays.append((path, x, kept))
        self.parts += [x.shape, x.dtype.str, kept if len(kept) <= 64 else blake2b(kept, digest_size=32).digest()]
        if isinstance(x, np.ma.MaskedArray):
            self._visit(np.ma.getmaskarray(x), f"{path}.mask")

    def _object(self, x: Any, path: str) -> None:
        if is_generator(x):
            self.generators.append((path, x))
            self.parts.append(_Same(x))
        elif isinstance(x, types.FunctionType):
            self._function(x, path)
        elif isinstance(x, types.MethodType):
            self._visit(x.__func__, path)
            self._visit(x.__self__, path.rpartition(".")[0] or path)
        elif isinstance(x, partial):
            for name in ("func", "args", "keywords"):
                self._visit(getattr(x, name), path if name == "func" else f"{path}.{name}")
        elif isinstance(x, property | classmethod | staticmethod):
            for function in (getattr(x, name, None) for name in ("fget", "__func__")):
                self._visit(function, path)
        elif isinstance(x, type):
            self._class(x, path)
        elif hasattr(x, "__wrapped__") and not _is_foreign(getattr(x, "__module__", "")):
            self._visit(x.__wrapped__, path)
        elif hasattr(x, "original") and hasattr(x, "known_forms"):  # compiled by itself
            self._visit(x.original, path)
        elif _is_open(x):
            self._attributes(x, path)
            self._visit(type(x), type(x).__name__)
        else:
            self.parts.append(_Same(x))

    def _attributes(self, x: Any, path: str) -> None:
        slots = [name for kind in type(x).__mro__ for name in _slots(kind) if hasattr(x, name)]
        if slots:
            values = {name: getattr(x, name) for name in slots}
            self._named(path, values, lambda: [getattr(x, name, _ABSENT) for name in slots])
        if hasattr(x, "__dict__"):
            self._named(path, dict(vars(x)), vars(x).values)

    def _class(self, x: type, path: str) -> None:
        self.parts.append(_Same(x))
        for kind in x.__mro__:
            if not _is_foreign(kind.__module__):
                self._members(kind)

    def _members(self, kind: type) -> None:
        held = vars(kind)
        names = [n for n in held if n == "__call__" or not (n.startswith("__") or n == "_abc_impl")]
        self._named(kind.__name__, {n: held[n] for n in names}, lambda: [held.get(n, _ABSENT) for n in names])

    def _function(self, x: types.FunctionType, path: str) -> None:
        inner = getattr(x, "function", None)
        if inner is not None and _is_foreign(x.__module__):  # a gradient of something
            self._visit(inner, path)
        if _is_foreign(x.__module__):
            self.parts.append(_Same(x))
            return
        self.parts.append(_Same(x.__code__))
        names, attributes = _read_by(x.__code__)
        found = x.__globals__
        read = [name for name in names if name in found]
        values = self._place(path, lambda: [found.get(name, _ABSENT) for name in read], read)
        for name, value in zip(read, values, strict=True):
            self.parts.append(name)
            self._global(value, name, attributes)
        cells = dict(zip(x.__code__.co_freevars, x.__closure__ or (), strict=True))
        if cells:
            self._named("", {n: _held(c) for n, c in cells.items()}, lambda: [_held(c) for c in cells.values()], "{}")
        if x.__defaults__ or x.__kwdefaults__:
            defaults = {"__defaults__": x.__defaults__, "__kwdefaults__": x.__kwdefaults__}
            self._named(path, defaults, lambda: (x.__defaults__, x.__kwdefaults__))

    def _global(self, x: Any, path: str, attributes: tuple[str, ...]) -> None:
        """Something by its name; of a module what is read of it."""
        if not isinstance(x, types.ModuleType):
            self._visit(x, path)
        elif not _is_foreign(x.__name__) and id(x) not in self._seen:
            self._seen[id(x)] = len(self._seen)
            held = vars(x)
            read = [name for name in attributes if name in held]
            paths = [f"{path}.{name}" for name in read]
            values = self._place(path, lambda: [held.get(name, _ABSENT) for name in read], paths)
            for name, value in zip(read, values, strict=True):
                self.parts.append(name)
                self._global(value, f"{path}.{name}", attributes)


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return _ABSENT


def _slots(kind: type) -> tuple[str, ...]:
    found = vars(kind).get("__slots__", ())
    names = (found,) if isinstance(found, str) else tuple(found)
    return tuple(name for name in names if not name.startswith("__") and name != "_walk")


def _is_open(x: Any) -> bool:
    """Whether the attributes of an object are looked at: those of Modules, of plain namespaces, and of the user's."""
    if isinstance(x, types.SimpleNamespace) or hasattr(x, "named_parameters"):
        return True
    kind = type(x)
    return not _is_foreign(kind.__module__) or (kind.__module__, kind.__name__) == ("argparse", "Namespace")


@lru_cache(maxsize=4096)
def _is_foreign(module: str) -> bool:
    """Whether a module is Python's, this package, or installed: whatever is in there does not change."""
    top = module.partition(".")[0]
    if top in ("tinygrad_rnn", "builtins") or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return any(f"{mark}-packages" in file for mark in ("site", "dist"))


@lru_cache(maxsize=4096)
def _read_by(code: types.CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names that a code reads as globals, and all that may be attributes; those of functions within it as well."""
    found: dict[str, None] = {}
    attributes: dict[str, None] = {}
    stack = [code]
    while stack:
        here = stack.pop()
        stack += [constant for constant in here.co_consts if isinstance(constant, types.CodeType)]
        attributes |= dict.fromkeys(here.co_names)
        for instruction in dis.get_instructions(here):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                found[instruction.argval] = None
    return tuple(found), tuple(attributes)


# -- random numbers ---------------------------------------------------------------------------------------------------
Place = tuple[str, Any]


def is_generator(x: Any) -> bool:
    """Whether something draws random numbers."""
    return isinstance(x, np.random.Generator | np.random.RandomState | random.Random)


class Chance:
    """The states of generators, by the names under which they are reached."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._held: list[tuple[str, Callable[[], Any], Callable[[Any], None], Any]] = []
        self._keep("np.random", lambda: np.random.get_state(legacy=False), np.random.set_state)
        self._keep("random", random.getstate, random.setstate)
        for path, x in places:
            if isinstance(x, np.random.Generator):
                bits = x.bit_generator
                self._keep(path, partial(getattr, bits, "state"), partial(setattr, bits, "state"))
            elif isinstance(x, np.random.RandomState):
                self._keep(path, partial(x.get_state, legacy=False), x.set_state)
            else:
                self._keep(path, x.getstate, x.setstate)

    def _keep(self, path: str, get: Callable[[], Any], put: Callable[[Any], Any]) -> None:
        self._held.append((path, get, put, get()))

    def drawn(self) -> str:
        """The generator that has moved on since, all of them put back; empty if none has."""
        found = ""
        for path, get, put, before in self._held:
            if _plain(get()) != _plain(before):
                found = found or path
                put(before)
        return found


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state
