"""Helpers that are gradients by another name: `delta[t] = (1 - h[t]**2) * (V.T @ do[t] + W.T @ delta[t+1])` is da[t].

A helper that is defined by itself cannot be put in. What it may be is found here, by value, at one random point; that
it is follows by induction (`prove`): each of its equations holds with the gradient in its place, and it reads itself at
later steps only, or at earlier ones only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.errors import TinygradError
from ..core.tensor import plain
from ..language import Model
from ..language.affine import Affine
from ..language.syntax.indices import Constraint
from ..language.types.quantities import Key, refs
from ..system.circles import reached
from ..system.domain import Domain
from .entries.units import Applied, Bound, Entry, Polynomial
from .prover.refute import APART, point_of

#: the equations of a helper entry by entry, each with its own indices and domain
Values = list[tuple[Polynomial, tuple[Affine, ...], Domain]]


def disguised(model: Model) -> dict[Key, Key]:
    """Helpers without which none is defined by itself, each with the quantity whose gradient it has the values of."""
    helpers = model.quantities.helpers
    read = {key: {ref.key for e in own for ref in refs(e)} & helpers.keys() for key, own in helpers.items()}
    found: dict[Key, Key] = {}
    while True:
        key = next((key for key in read if key in reached(key, read)), None)
        if key is None:
            return found
        base = _by_value(model, key)
        if base is not None:
            found[key] = base
        read = {other: names - {key} for other, names in read.items() if other != key}


def _by_value(model: Model, key: Key) -> Key | None:
    """The quantity whose gradient a helper equals at one random point, at every step it is defined for."""
    shape = model.shapes_.names[key]
    with np.errstate(all="ignore"):
        try:
            point = point_of(model)
            steps = [step for step in point.evaluator.coverage.get(key, {}) if step is not None]
            values = {step: plain(point.evaluator.operand((key[0], step), point.lookup).value) for step in steps}
        except TinygradError:  # what has no value has not that of a gradient
            return None
    for base in dict.fromkeys((name, True) for name, step in point.gradients if step is not None):
        if model.shapes_.names[base] != shape:
            continue
        pairs = [(values[step], point.gradients[base[0], step]) for step in steps if (base[0], step) in point.gradients]
        if pairs and all(np.max(np.abs(a - b)) <= APART * (1.0 + np.max(np.abs(b))) for a, b in pairs):
            return base
    return None


def circle(values: Mapping[Key, Values], gradients: Mapping[Key, str]) -> list[str]:
    """Helpers that may read each other, or themselves, all at the same step; none if induction along one axis holds.

    `gradients` are the names under which they are read. Along each axis, forwards or backwards, a helper must read some
    helpers at later steps, and those of its own step in one order.
    """
    axes = min((len(own) for equations in values.values() for _, own, _ in equations), default=0)
    found: list[str] = []
    for axis, sign in [(axis, sign) for axis in range(axes) for sign in (1, -1)]:
        reads = {
            helper: {other for other, name in gradients.items() if not _all_later(equations, name, axis, sign)}
            for helper, equations in values.items()
        }
        found = [helper[0] for helper in values if helper in reached(helper, reads)]
        if not found:
            return []
    return found


def _all_later(equations: Values, name: str, axis: int, sign: int) -> bool:
    """Whether equations read a quantity at later steps only (or earlier)."""
    return all(
        there.where(Constraint(">=", (own[axis] - unit.times[axis]) * sign)).is_empty
        for p, own, domain in equations
        for unit, there in _read(p, name, domain)
    )


def _read(p: Polynomial, name: str, domain: Domain) -> list[tuple[Entry, Domain]]:
    """The entries of a quantity in a polynomial, each with the domain of the variables around it."""
    found = []
    waiting = [(unit, domain & own) for own, factors in p.terms for unit, _ in factors]
    while waiting:
        unit, around = waiting.pop()
        match unit:
            case Entry() if unit.name == name:
                found.append((unit, around))
            case Applied():
                waiting += [(inner, around & own) for own, factors in unit.argument.terms for inner, _ in factors]
            case Bound():
                waiting += [(inner, around & unit.domain) for inner, _ in unit.factors]
    return found
