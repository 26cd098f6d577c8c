"""numpy's signatures: from a call of a numpy function to the call of ours, so that no argument is ever ignored.

A function of ours declares, by numpy's names, the arguments it honours. Every other argument of numpy's either says
what holds anyway (its default, spelled out, or one of `HARMLESS`) or is refused by name. Which function of ours a numpy
function reaches is said by `spells` in `primitives`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .errors import NotDifferentiableError
from .spellings import KEYWORDS

#: what numpy passes for an argument that was not given
NOT_GIVEN: Any = getattr(np, "_NoValue")  # noqa: B009 - a private name of numpy's, for mypy

#: numpy function -> the same function with the rarer arguments, asked where the quick one does not take them all
WIDE: dict[Any, Callable[..., Any]] = {}

#: the options of every ufunc, with their defaults
_UFUNC = {
    "out": None, "where": True, "casting": "same_kind", "order": "K", "dtype": None, "subok": True, "signature": None,
    "axes": NOT_GIVEN, "axis": NOT_GIVEN, "keepdims": False,
}  # fmt: skip

#: values beside the default that change nothing a Tensor could show: how memory lies, how fast it goes, subclasses
HARMLESS: dict[str, tuple[Any, ...]] = {
    "casting": ("same_kind", "unsafe"),
    "copy": (None, True),
    "device": (None, "cpu"),
    "kind": (None, "quicksort", "mergesort", "heapsort", "stable"),
    "optimize": (False, True, "greedy", "optimal"),
    "order": ("K", "C", "F", "A"),
    "out": (None,),
    "overwrite_input": (False, True),
    "stable": (None, False, True),
    "subok": (False, True),
}
#: functions whose `order` or `copy` is no matter of memory
_MEANING = {"sort": ("order",), "partition": ("order",), "reshape": ("order",), "ravel": ("order",)}

#: what to write instead of an argument that is refused
_INSTEAD = {
    "out": "a Tensor is never written to: use the result",
    "dtype": "use .astype(dtype) on the argument",
    "where": "put neutral entries in with np.where(mask, x, neutral) first",
}


class _Plan(NamedTuple):
    """How the arguments of a numpy function reach one of ours."""

    names: tuple[str, ...]  # numpy's positional arguments; all given ones are passed on after a variadic one
    defaults: Mapping[str, Any]
    renamed: Mapping[str, str]  # numpy's names of the operands -> ours
    accepted: frozenset[str]
    ours: tuple[str, ...]  # our positional arguments
    lead: int  # as many positional arguments mean the same in both
    open: bool = False  # numpy's takes further options that its signature does not name


@cache
def _plan(function: Any, ours: Callable[..., Any]) -> _Plan:
    mine = inspect.signature(ours).parameters.values()
    accepted = frozenset(p.name for p in mine if p.kind is not p.VAR_POSITIONAL)
    positional = tuple(p.name for p in mine if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    defaults: dict[str, Any]
    if isinstance(function, np.ufunc):
        names = (*positional[: function.nin], "out")
        return _Plan(names, _UFUNC, {}, accepted, positional, function.nin)
    try:
        theirs = list(inspect.signature(function).parameters.values())
    except ValueError:  # functions in C do not tell theirs before numpy 2.4
        theirs = list(mine)
    defaults = {p.name: p.default for p in theirs if p.default is not p.empty}
    further = any(p.kind is p.VAR_KEYWORD for p in theirs)
    if further:
        defaults = _UFUNC | defaults
    if any(p.kind is p.VAR_POSITIONAL for p in theirs):
        return _Plan((), defaults, {}, accepted, (), 1_000, further)
    names = tuple(p.name for p in theirs if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    required = {p.name for p in mine if p.default is p.empty}
    renamed: dict[str, str] = {}
    lead = 0
    for name, own in zip(names, positional, strict=False):
        if name != own and (own not in required or name in accepted):
            break
        renamed[name] = own
        lead += 1
    return _Plan(names, defaults, renamed, accepted, positional, lead, further)


def called(function: Any, ours: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call `ours` with the arguments of a call of the numpy function; `NotDifferentiableError` names one that ours
    cannot honour.
    """
    plan = _plan(function, ours)
    if len(args) <= plan.lead and plan.accepted.issuperset(kwargs) and all(v is not NOT_GIVEN for v in kwargs.values()):
        return ours(*args, **kwargs)
    if function in WIDE:
        ours = WIDE[function]
        plan = _plan(function, ours)
    given = dict(kwargs) if not plan.names else _by_name(function, plan, args) | dict(kwargs)
    options: dict[str, Any] = {}
    for name, value in given.items():
        own = plan.renamed.get(name, name)
        if value is NOT_GIVEN:
            continue
        if own in plan.accepted:
            options[own] = value
        elif not _changes_nothing(function, plan, name, value):
            raise _refusal(function, plan, name)
    operands = list(args) if not plan.names else []
    for own in plan.ours:
        if own not in options:
            break
        operands.append(options.pop(own))
    return ours(*operands, **options)


def _by_name(function: Any, plan: _Plan, args: tuple[Any, ...]) -> dict[str, Any]:
    if len(args) > len(plan.names):
        raise TypeError(f"{spelled(function)}() takes {len(plan.names)} positional arguments, not {len(args)}")
    return dict(zip(plan.names, args, strict=False))


def _changes_nothing(function: Any, plan: _Plan, name: str, value: Any) -> bool:
    default = plan.defaults.get(name, NOT_GIVEN)
    if value is default or (isinstance(value, str | bool | int) and type(value) is type(default) and value == default):
        return True
    if name in _MEANING.get(function.__name__, ()):
        return False
    return isinstance(value, str | bool | None) and name in HARMLESS and value in HARMLESS[name]


def _refusal(function: Any, plan: _Plan, name: str) -> Exception:
    if name not in plan.defaults and name not in plan.names and not plan.open:
        meant = f": numpy's name is {KEYWORDS[name]}=" if name in KEYWORDS else ""
        return TypeError(f"{spelled(function)}() got an unexpected keyword argument {name!r}{meant}")
    instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
    return NotDifferentiableError(f"{spelled(function)} on a Tensor does not take {name}={instead}")


def spelled(function: Any) -> str:
    """How a user writes a numpy function.

    >>> import numpy as np
    >>> spelled(np.linalg.norm)
    'np.linalg.norm'
    """
    module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np").replace("._linalg", "")
    return f"{module}.{function.__name__}"


# -- the methods of ufuncs -----------------------------------------------------------------------------------------
#: ufunc method -> ufunc -> the numpy function it is
FOLDS: dict[str, dict[Any, Any]] = {
    "reduce": {
        np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min, np.fmax: np.nanmax,
        np.fmin: np.nanmin,
    },
    "accumulate": {np.add: np.cumsum, np.multiply: np.cumprod},
}  # fmt: skip
_POSITIONS = {
    "reduce": ("a", "axis", "dtype", "out", "keepdims", "initial", "where"),
    "accumulate": ("a", "axis", "dtype", "out"),
}


def folded(ufunc: np.ufunc, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The numpy function and its keyword arguments for `ufunc.reduce` or `ufunc.accumulate`, whose axis is 0 unless
    said otherwise; `NotDifferentiableError` where there is none.
    """
    function = FOLDS.get(method, {}).get(ufunc)
    if function is None:
        raise NotDifferentiableError(f"{spelled(ufunc)}.{method} has no declared derivative")
    given = {"axis": 0, **dict(zip(_POSITIONS[method], args, strict=False)), **kwargs}
    if "array" in given:
        given["a"] = given.pop("array")
    return function, {name: value for name, value in given.items() if name not in ("dtype", "out") or value is not None}
