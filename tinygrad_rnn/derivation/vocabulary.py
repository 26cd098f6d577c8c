"""Whose gradients a derivation speaks of when it is not told: those the file states, or those a textbook would keep."""

from __future__ import annotations

from ..language import Model
from ..language.expressions import Binary, Call, Expr, Ref, Sum, Unary, walk
from ..language.functions import FUNCTIONS
from ..system import System


def vocabulary(model: Model, system: System) -> list[str]:
    """The names in the file's own section `gradients:` that equations define; without one `default_names`."""
    loss = model.quantities.loss
    stated = [model.quantities.base(equation.target.key) for equation in model.gradients]
    named = [key[0] for key in dict.fromkeys(stated) if key and key in system.forward and key != loss]
    return [name for name in named if name not in _losses(model)] or default_names(model)


def default_names(model: Model) -> list[str]:
    """The names a textbook would keep: all but losses and numbers, and but pre-activations that feed one activation
    only; a number that is carried through time is kept, and one of two indices, as the weights of attention are.
    """
    quantities, shapes = model.quantities, model.shapes_.names
    carried = {key[0] for key in quantities.states}
    readers: dict[str, list[tuple[str, bool]]] = {}
    for equation in model.forward:
        for node in walk(equation.rhs):
            if isinstance(node, Ref):
                readers.setdefault(node.name, []).append((equation.name, _entrywise(equation.rhs, node)))
    kept = []
    for key in quantities.defined:
        weight = key[1] and len(quantities.axes_named(key[0])) > 1
        if key == quantities.loss or (shapes[key] == (1, 1) and key[0] not in carried and not weight):
            continue
        if key in quantities.boundary_only:
            continue
        uses = readers.get(key[0], [])
        inner = (
            len(uses) == 1 and uses[0][1] and not all(_activated(equation.rhs) for equation in quantities.defined[key])
        )
        if uses and not inner:
            kept.append(key[0])
    return list(dict.fromkeys(kept))


def _losses(model: Model) -> set[str]:
    """Numbers that are only added up to the loss: the L[t] of L = sum(t, L[t])."""
    loss = model.quantities.loss
    found: set[str] = set()
    for equation in model.quantities.defined.get(loss, []) if loss else []:
        found |= {node.name for node in _summands(equation.rhs) if isinstance(node, Ref)}
    others = [equation for equation in model.forward if equation.target.key != loss]
    read = {node.name for equation in others for node in walk(equation.rhs) if isinstance(node, Ref)}
    return {name for name in found if name not in read}


def _summands(expr: Expr) -> list[Expr]:
    stack, found = [expr], list[Expr]()
    while stack:
        node = stack.pop()
        if isinstance(node, Sum | Unary) or (isinstance(node, Binary) and node.op in "+-"):
            stack += node.children
        else:
            found.append(node)
    return found


def _activated(rhs: Expr) -> bool:
    """Whether a right-hand side is one function, entry by entry, so that what is so computed is no pre-activation."""
    return isinstance(rhs, Call) and FUNCTIONS[rhs.function].rule == "same"


def _entrywise(rhs: Expr, ref: Ref) -> bool:
    """Whether a right-hand side is one function, entry by entry, of one quantity."""
    return isinstance(rhs, Call) and FUNCTIONS[rhs.function].rule == "same" and rhs.args[0] is ref
