"""An optimiser's rule as a graph: recorded once for what it decides by, then carried out on all entries of a bucket.

What the rules compute is in `optim`, how a graph over entries is carried out in `compiler.entrywise_functions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import numpy as np

from ..compiler.entrywise_functions import Entrywise
from ..compiler.unsupported import NotJittable
from .flat_parameters import Buffers, Options

#: what is remembered of each parameter, by name
State = Mapping[str, Any]
#: options by name: a number, or a tuple of numbers
Numbers = Mapping[str, Any]
#: what may be decided by
Choices = Mapping[str, bool]
#: a factor for every entry of a gradient, and the largest that an entry may be after that
Cut = tuple[float, float]
UNCUT: Cut = (1.0, inf)


def chosen(options: Options) -> dict[str, bool]:
    """Of each option whether it is on."""
    return {key: bool(value) for key, value in options.items() if key not in ("params", "initial_lr")}


def penalised(w: Any, g: Any, o: Numbers, on: Choices) -> Any:
    """The gradient to descend, with that of weight_decay / 2 · ||w||² added."""
    g = -g if on["maximize"] else g
    return g + o["weight_decay"] * w if on["weight_decay"] else g


class Rules:
    """All that a rule was recorded for; called as `flat_parameters.Rule`. `choices` and `update` are an optimiser's."""

    def __init__(self, choices: Callable[..., dict[str, bool]], update: Callable[..., tuple[Any, State]]) -> None:
        self.choices, self.update = choices, update
        self.known: dict[Any, Entrywise] = {}
        #: for each group's options what was called for last: all that was said, the rule, the options as numbers
        self.last: dict[int, tuple[Any, Entrywise, list[float]]] = {}

    def __call__(
        self, w: np.ndarray, g: np.ndarray, s: Buffers, t: int, o: Options, cut: Cut = UNCUT, executor: str = "numpy"
    ) -> None:
        """One step of a bucket: changes w, and what is remembered in s, in place."""
        # in machine code another operation costs less than another function to compile
        cutting = (True, True) if executor == "jit" else (cut[0] != 1.0, cut[1] != inf)
        said = (executor, cutting, t == 1, w.dtype, *s, *o.values())
        last = self.last.get(id(o))
        if last is None or last[0] != said:
            on = self.choices(t == 1, o)
            key = (executor, w.dtype, cutting, *on.values(), *s)
            if key not in self.known:
                self.known[key] = self._recorded(w.dtype, cutting, on, list(s), o, executor)
            last = self.last[id(o)] = said, self.known[key], _flat(o)
        _, rule, options = last
        rule([w, g, *s.values()], [*cut, float(t), *options])

    def _recorded(
        self, dtype: Any, cutting: tuple[bool, bool], on: dict[str, bool], remembered: list[str], options: Options,
        executor: str,
    ) -> Entrywise:  # fmt: skip
        names = _names(options)

        def rule(arrays: dict[str, Any], numbers: dict[str, Any]) -> dict[str, Any]:
            g, scaled, limited = arrays["g"], *cutting
            g = g * numbers["factor"] if scaled else g
            g = np.minimum(np.maximum(g, -numbers["limit"]), numbers["limit"]) if limited else g
            s = {name: arrays[f"s.{name}"] for name in remembered}
            w, new = self.update(arrays["w"], g, s, numbers["t"], _named(options, numbers), on)
            return {"w": w} | {f"s.{name}": value for name, value in new.items()}

        def made(executor: str) -> Entrywise:
            arrays = ["w", "g", *(f"s.{name}" for name in remembered)]
            return Entrywise(rule, arrays, ["factor", "limit", "t", *names], dtype, executor)

        try:
            return made(executor)
        except NotJittable:
            return made("numpy")


def _numeric(options: Options) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in ("params", "initial_lr")}


def _names(options: Options) -> list[str]:
    found: list[str] = []
    for key, value in _numeric(options).items():
        found += [f"{key}.{i}" for i in range(len(value))] if isinstance(value, tuple) else [key]
    return found


def _flat(options: Options) -> list[float]:
    found: list[float] = []
    for value in _numeric(options).values():
        found += map(float, value) if isinstance(value, tuple) else [float(value)]
    return found


def _named(options: Options, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are grouped, with a recorded number for each."""
    return {
        key: tuple(numbers[f"{key}.{i}"] for i in range(len(value))) if isinstance(value, tuple) else numbers[key]
        for key, value in _numeric(options).items()
    }
