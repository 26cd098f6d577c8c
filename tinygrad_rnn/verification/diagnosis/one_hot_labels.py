"""An equation that is right for a one-hot label and not for any column: what to declare.

`dz[t] = softmax(z[t]) - y[t]` takes for granted that the entries of y add up to 1. A file that does not say so has y
drawn as any column, and the equation fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.errors import TinygradError
from ...language import Equation, Model
from ...language.expressions import Call, Label, Ref, walk
from ...language.syntax.source import NOWHERE
from ..results import PASS, Diagnosis

if TYPE_CHECKING:
    from ..measure.probe import Probe

LABEL = "label"
#: what a label is assumed to be, the weaker first
KINDS = {"simplex": "add up to 1, as those of a one-hot column do", "one-hot": "are 0 but for a single 1"}
_LOGARITHMS = {"log", "cross_entropy", "log_softmax", "logsumexp", "binary_cross_entropy"}


def undeclared_label(equation: Equation, probes: Sequence[Probe]) -> Diagnosis | None:
    """What to declare for a failed equation that is right for labels; None for one that is wrong for them too."""
    model = probes[0].model
    for name, timed in _possible(model):
        for kind, meaning in KINDS.items():
            drawn = _drawn(name, kind, probes)
            if drawn and all(_right(equation, probe) for probe in drawn):
                called = model.quantities.show((name, timed))
                says = f"it is right if the entries of `{called}` {meaning}: then declare `labels: {name} {kind}`"
                return Diagnosis(LABEL, says, [])
    return None


def _possible(model: Model) -> Iterator[tuple[str, bool]]:
    """Real inputs of more than one entry that stand in an equation with a logarithm: targets of a cross entropy."""
    quantities = model.quantities
    for key in quantities.inputs:
        if key in quantities.classes or key in quantities.labels or model.shapes_.names[key] == (1, 1):
            continue
        for equation in model.forward:
            nodes = list(walk(equation.rhs))
            logarithm = any(isinstance(node, Call) and node.function in _LOGARITHMS for node in nodes)
            if logarithm and any(isinstance(node, Ref) and node.key == key for node in nodes):
                yield key
                break


def _drawn(name: str, kind: str, probes: Sequence[Probe]) -> list[Probe]:
    """Two probes of the same length on which a name is such a label; none where the model does not take it for one."""
    first = probes[0]
    if (name, kind) not in first.derived:
        labels = {**first.model.document.labels, name: Label(kind, NOWHERE)}
        try:
            model = Model(replace(first.model.document, labels=labels))
            main = next(iter(first.run.lengths.values()))
            runs = [model.unroll(main, seed=4000 + seed, lengths=first.run.lengths) for seed in range(2)]
        except TinygradError:
            runs = []
        first.derived[name, kind] = [type(first)(model, run) for run in runs]
    found: list[Probe] = first.derived[name, kind]
    return found


def _right(equation: Equation, probe: Probe) -> bool:
    try:
        steps = probe.model.steps_of(equation, probe.run.lengths)
        return all(probe.judge(equation, step).verdict == PASS for step in steps)
    except TinygradError:
        return False
