"""On which sides of its kinks a probe sees a gradient: of relu, abs, maximum and minimum, and where sign jumps.

A unit that is on at every probe makes its relu' a factor of 1, and an equation that forgets it agrees with all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.graph import ancestors
from ..core.tensor import Tensor
from ..language import Equation
from ..language.rewriting import names
from .probe import Probe

#: what bends or jumps where its input is zero, or its two inputs are equal
KINKED = frozenset({"relu", "abs", "maximum", "minimum", "greater", "sign"})
#: of each kink, named by its form, the signs of its argument
Sides = dict[int, frozenset[float]]


def sides(probe: Probe, equation: Equation) -> Sides:
    """The sides of the kinks that an equation's truth depends on, other than through what its right-hand side reads.

    All steps count together, for a kink looks alike at each. An argument that is zero has no side.

    >>> from tinygrad_rnn.language import load
    >>> forward = "sizes: h = 1\\nh[t] = tanh(w * h[t-1])\\nz = h[T]\\nL = relu(z)\\n"
    >>> model = load(forward + "gradients:\\ndz = 1\\ndh[T] = dz")
    >>> probe = Probe(model, model.unroll(4))
    >>> [[len(signs) for signs in sides(probe, equation).values()] for equation in model.gradients]
    [[1], []]
    """
    read = _read(probe, equation)
    targets = list(_targets(probe, equation))
    nodes = ancestors({x.id: x for node in targets for x in (node, *node.inputs)}.values(), stop=read)
    forms = _named(probe)
    # where a power is taken of what is negative it has no value: that side of its guard is none
    guarded = {node.inputs[0].id for node in nodes if node.op is not None and node.op.name == "power"}
    signs: dict[int, set[float]] = {}
    for node in nodes:
        name = "" if node.op is None else node.op.name
        form = hash((name, *(forms.get(x.id, 0) for x in node.inputs)))
        forms.setdefault(node.id, form if node.inputs else hash(np.asarray(node.value).tobytes()))
        inside = node.id not in read or any(node is target for target in targets)
        if name in KINKED and inside and node.inputs[0].id not in guarded:
            first, *second = (np.real(np.asarray(x.value)) for x in node.inputs)
            found = np.unique(np.sign(first - second[0] if second else first))
            signs.setdefault(form, set()).update(found[np.isfinite(found) & (found != 0.0)].tolist())
    return {form: frozenset(found) for form, found in signs.items() if found}


def together(one: Sides, other: Sides) -> Sides:
    """What two probes see."""
    return {form: one.get(form, frozenset()) | other.get(form, frozenset()) for form in one | other}


def one_sided(seen: Sides) -> bool:
    """Whether some kink is seen on one side only."""
    return any(len(signs) < 2 for signs in seen.values())


def _targets(probe: Probe, equation: Equation) -> Iterator[Tensor]:
    """The recorded gradients that the equation states."""
    base = probe.model.quantities.base(equation.target.key)
    for step in probe.model.steps_of(equation, probe.run.lengths) if base else ():
        copy = probe.model.role(equation) == "copy"
        node = probe.reference.recorded(base[0], step, copy) if base else None
        if node is not None:
            yield node


def _read(probe: Probe, equation: Equation) -> set[int]:
    """The ids of what the equation reads, itself and through helpers: quantities, and gradients of them."""
    stated = probe.model.quantities.stated
    reads, helpers = set(names(equation.rhs)), list(probe.model.quantities.helpers)
    for _ in helpers:
        for key in helpers:
            if key[0] in reads:
                reads |= {name for helper in stated[key] for name in names(helper.rhs)}
    bases = (probe.model.quantities.base((name, indexed)) for name in reads for indexed in (False, True))
    differentiated = {base[0] for base in bases if base is not None}
    values = {held.value.id for (name, _), held in probe.run.values.items() if name in reads}
    return values | {node.id for (name, _), node in probe.reference.by_place.items() if name in differentiated}


def _named(probe: Probe) -> dict[int, int]:
    """The forms of what has a name: that name, so that a kink has one form at all steps and on all probes."""
    gradients = {node.id: hash(f"d{name}") for (name, _), node in probe.reference.by_place.items()}
    return gradients | {held.value.id: hash(name) for (name, _), held in probe.run.values.items()}
