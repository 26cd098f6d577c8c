"""A printed derivation against numbers: every equation, at every step, at three lengths it was not made from.

What is printed is read again as a file, so that the text is what is checked. A derivation that fails here is a mistake
of this package: it is refused, never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import DerivationError, LanguageError
from ..core.tensor import plain
from ..language import Equation, Evaluator, Model, Run, parse
from ..language.expressions import Ref, walk
from ..language.run.operation_count import MOST_UNASKED, operations, operations_of
from ..language.syntax.indices import Step
from ..language.syntax.source import Source

#: numbers that differ by less than this share of their size are the same
CLOSE = 1e-6
#: what is smaller is nothing
SMALLEST = 1e-9


def lengths_to_try(model: Model, least: int = 1) -> list[dict[str, int]]:
    """Three lengths, from `least` on, that show every delay and its ends and have every step that is read by number,
    told apart from every size, one even and one odd among them.
    """
    sizes = {n for shape in model.shapes.values() for n in shape}
    refs = [node for e in model.forward for node in walk(e.rhs) if isinstance(node, Ref)]
    steps = [index.constant for ref in refs for index in ref.indices if not index.terms]
    found: list[dict[str, int]] = []
    T = max(3, least, model.longest_delay + 2, *steps)
    while len(found) < 3:
        if T not in sizes or max(sizes) < T:
            lengths = model.lengths(T, _others(model, T, len(found)))
            if operations(model, lengths) > MOST_UNASKED:  # of many sequences: the others as short as they can be
                others = {name: 2 + (place + len(found)) % 2 for place, name in enumerate(list(lengths)[1:])}
                lengths = model.lengths(T, others)
            found.append(lengths)
        T += 1
    return found


def _others(model: Model, T: int, turn: int) -> dict[str, int]:
    """Every other length, apart from the first one by more or less each time."""
    names = list(model.lengths(T))[1:]
    return {name: max(2, T + (2, -1, 1)[turn] + place) for place, name in enumerate(names)}


def refute(text: str, name: str, least: int = 1) -> str | None:
    """Why a file of equations with gradients is wrong from a length on, as one sentence; None if nothing says so.

    Raises `DerivationError` where trying it would take too many operations.
    """
    try:
        model = Model(parse(Source(text, name)))
        for lengths in lengths_to_try(model, least):
            _check_size(model, lengths)
            T, *_ = lengths.values()
            run = model.unroll(T, seed=T, lengths=lengths)
            with np.errstate(all="ignore"):
                said = _wrong(model, run)
            if said is not None:
                return f"{said} ({', '.join(f'{length} = {n}' for length, n in lengths.items())})"
    except LanguageError as error:
        return f"it cannot be read: {error}"
    return None


def _check_size(model: Model, lengths: Mapping[str, int]) -> None:
    counts = {equation: operations_of(equation, lengths) for equation in (*model.forward, *model.gradients)}
    if sum(counts.values()) > MOST_UNASKED:
        largest = max(counts, key=lambda equation: counts[equation])
        said = ", ".join(f"{name} = {length}" for name, length in lengths.items())
        raise DerivationError(
            f"the derivation of {model.name} cannot be checked, so it is not shown: {largest.name} takes "
            f"{counts[largest]:,} operations at {said}, where all equations together may take {MOST_UNASKED:,}"
        )


def _wrong(model: Model, run: Run) -> str | None:
    places = [place for place, held in run.values.items() if held.value.requires_grad]
    found = gradients(run.loss, [run.values[place].value for place in places])
    truth = {place: np.asarray(plain(g), dtype=float) for place, g in zip(places, found, strict=True)}
    evaluator = Evaluator(model, run)
    shapes = {place: run.values[place].value.shape for place in run.values}

    def lookup(name: str, step: Step) -> Any:
        key = model.quantities.base((name, step is not None))
        if key is None:
            return None
        return truth[key[0], step] if (key[0], step) in truth else _zeros(shapes, key[0], step)

    for equation in model.gradients:
        base = model.quantities.base(equation.target.key)
        if base is None:
            continue
        for step in model.steps_of(equation, run.lengths):
            stated = np.asarray(plain(evaluator.right_hand_side(equation, step, lookup)), dtype=float)
            if not _close(stated, truth.get((base[0], step), np.zeros(()))):
                return f"{_said(equation, step)} is not the gradient"
    return None


def _zeros(shapes: Mapping[tuple[str, Step], tuple[int, ...]], name: str, step: Step) -> Any:
    return np.zeros(shapes[name, step]) if (name, step) in shapes else None


def _close(stated: np.ndarray, truth: np.ndarray) -> bool:
    scale = float(max(np.max(np.abs(stated), initial=0.0), np.max(np.abs(truth), initial=0.0)))
    if not np.isfinite(scale):
        return True  # no witness here: another length decides
    return bool(np.max(np.abs(stated - truth), initial=0.0) <= CLOSE * scale + SMALLEST)


def _said(equation: Equation, step: Step) -> str:
    return equation.text or f"{equation.name} at {step}"


def check(text: str, name: str, least: int = 1) -> None:
    """Raise `DerivationError` where numbers speak against a derivation that holds from the length `least` on."""
    why = refute(text, name, least)
    if why is not None:
        raise DerivationError(
            f"the derivation of {name} does not pass its own check, which is a mistake of this program: {why}"
        )
