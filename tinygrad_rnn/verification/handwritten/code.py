"""The user's own code behind a function: which functions it reaches, and the names they read.

Only what was written by the user counts, not what is installed. Names are looked up in the functions' globals and
closures; nothing is run.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CellType, FrameType, FunctionType, ModuleType
from typing import Any

from ...core.returns import on_return
from ...core.tensor import Tensor

#: functions called by functions are followed so deep
DEEPEST = 4
_PACKAGE = Path(__file__).resolve().parents[2]


def is_library(filename: str) -> bool:
    """Whether a file belongs to an installed package, or to this one."""
    path = Path(filename)
    return _PACKAGE in path.parents or "site-packages" in path.parts or _STANDARD in path.parents


_STANDARD = Path(inspect.__file__).resolve().parent


def functions_of(function: Any) -> list[FunctionType]:
    """The user's functions that a function can reach, itself first; methods by way of objects it reads."""
    functions: dict[int, FunctionType] = {}
    _collect(function, DEEPEST, functions, set())
    return list(functions.values())


def cells_of(functions: list[FunctionType]) -> list[CellType]:
    """The variables that functions share with the functions they were written in."""
    return [cell for function in functions for cell in function.__closure__ or () if _is_filled(cell)]


@dataclass
class Vocabulary:
    """What the user's code calls the Tensors of a recorded run, by id, and which are a function of another."""

    words: dict[int, list[str]] = field(default_factory=dict)
    #: the result of a function of one argument: that argument
    calls: dict[int, Tensor] = field(default_factory=dict)
    #: how many of the words were said where the Tensor was computed: these come first
    _computed: Counter[int] = field(default_factory=Counter)

    def note(self, frame: FrameType, result: Any) -> None:
        """Take down the local variables with which a function ends."""
        for word, value, own in _variables(frame):
            known = self.words.setdefault(value.id, [])
            if word not in known:
                known.insert(self._computed[value.id] if own else len(known), word)
                self._computed[value.id] += own
        if isinstance(result, Tensor) and frame.f_code.co_argcount == 1:
            argument = frame.f_locals[frame.f_code.co_varnames[0]]
            if isinstance(argument, Tensor) and argument is not result:
                self.calls[result.id] = argument


@contextmanager
def noted(functions: list[FunctionType], vocabulary: Vocabulary) -> Iterator[None]:
    """Fill a vocabulary while functions run."""
    codes = {function.__code__ for function in functions}

    def note(frame: FrameType, result: Any) -> None:
        if frame.f_code in codes:
            vocabulary.note(frame, result)

    with on_return(note):
        yield


def _variables(frame: FrameType) -> Iterator[tuple[str, Tensor, bool]]:
    """The Tensors among a frame's variables, also in lists and dicts as `hs[t]`; whether the frame computed them.

    What a function of one argument calls it, as the x of sigmoid(x), says nothing.
    """
    code = frame.f_code
    arguments = code.co_varnames[: code.co_argcount]
    general = len([word for word in arguments if word != "self"]) == 1
    variables = dict(frame.f_locals)
    if "self" in arguments:
        variables |= {f"self.{word}": value for word, value in getattr(variables.pop("self"), "__dict__", {}).items()}
    for word, value in variables.items():
        if isinstance(value, Tensor) and not (general and word in arguments):
            yield word, value, word not in arguments
    for word, value in variables.items():
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        yield from ((f"{word}[t]", part, False) for part in parts if isinstance(part, Tensor))


def _collect(thing: Any, depth: int, functions: dict[int, FunctionType], seen: set[int]) -> None:
    if depth < 0 or id(thing) in seen:
        return
    seen.add(id(thing))
    for function in _functions_behind(thing):
        if function.__code__.co_filename and not is_library(function.__code__.co_filename):
            functions.setdefault(id(function), function)
            for value in _read_by(function):
                _collect(value, depth - 1, functions, seen)


def _functions_behind(thing: Any) -> Iterator[Any]:
    """The function itself; of a method or an object all functions of its class."""
    if isinstance(thing, FunctionType):
        yield inspect.unwrap(thing)
        return
    if inspect.ismethod(thing):
        yield thing.__func__
        thing = thing.__self__
    if isinstance(thing, ModuleType):
        return
    owner = thing if isinstance(thing, type) else type(thing)
    if owner.__module__ != "builtins":
        for part in owner.__mro__:
            yield from (value for value in vars(part).values() if isinstance(value, FunctionType))


def _read_by(function: FunctionType) -> Iterator[Any]:
    yield from (cell.cell_contents for cell in cells_of([function]))
    names = set(function.__code__.co_names)
    for code in function.__code__.co_consts:  # functions written inside of this one
        names |= set(getattr(code, "co_names", ()))
    yield from (function.__globals__[name] for name in names if name in function.__globals__)


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable has no value yet
        return False
