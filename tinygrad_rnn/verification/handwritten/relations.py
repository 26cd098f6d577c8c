"""How a wrong gradient is related to the true one, by its numbers alone: clipped, scaled, turned, exchanged.

A limit that was applied is checked within the bound of the gradient, since it decides the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..diagnosis.terms import CLOSE
from .arrays import ArrayPlace, said
from .compare import GradientComparison, bounds_of
from .true_gradients import Truth


@dataclass(frozen=True)
class Clipped:
    """A limit that was applied to true gradients: to each entry, or to the norm of all of them."""

    limit: float
    by_norm: bool
    entries: int = 0

    def __str__(self) -> str:
        if self.by_norm:
            return f"these are the true gradients scaled to norm {self.limit:g}"
        many = f"{self.entries} {'entry' if self.entries == 1 else 'entries'}"
        return f"these are the true gradients clipped to +-{self.limit:g} ({many} at the limit)"


def clipped(
    stated: Mapping[ArrayPlace, np.ndarray],
    comparisons: Mapping[ArrayPlace, GradientComparison],
    truth: Truth,
    eps: float,
) -> Clipped | None:
    """The limit that makes all gradients the true ones, clipped; None where that is not what happened."""
    places = [place for place in stated if place in truth.values]
    if len(places) < len(stated) or not any(c.wrong.any() for c in comparisons.values()):
        return None
    limit = max(float(np.max(np.abs(stated[place]), initial=0.0)) for place in places)
    cut = {place: np.clip(truth.values[place], -limit, limit) for place in places}
    at_limit = sum(int(np.sum(np.abs(stated[p]) == limit)) for p in places)
    beyond = sum(int(np.sum(np.abs(truth.values[p]) > limit)) for p in places)
    below = sum(int(np.sum((truth.values[p] != 0.0) & (np.abs(stated[p]) < limit))) for p in places)
    # what is at the limit tells a sign and no more: most entries have to tell their value
    if limit and beyond and at_limit < below and all(_within(p, stated[p], cut[p], truth, eps) for p in places):
        return Clipped(limit, False, at_limit)
    whole = float(np.sqrt(sum(float(np.sum(np.square(stated[p], dtype=float))) for p in places)))
    true = float(np.sqrt(sum(float(np.sum(np.square(truth.values[p]))) for p in places)))
    if true > whole > 0.0 and abs(whole - float(f"{whole:.2g}")) <= 1e3 * eps * whole:
        scaled = {place: truth.values[place] * (whole / true) for place in places}
        if all(_within(place, stated[place], scaled[place], truth, eps) for place in places):
            return Clipped(float(f"{whole:.2g}"), True)
    return None


def related(place: ArrayPlace, stated: np.ndarray, truth: Truth, eps: float, lengths: Mapping[int, str]) -> str:
    """What a wrong gradient is instead of the right one, or nothing; `lengths` names the lengths of axes."""
    if place not in truth.values:
        return ""
    true = truth.values[place]
    if not np.any(stated):
        return "it is zero throughout: is it ever added to?"
    if stated.size > 1 and np.ptp(stated) == 0.0 and np.ptp(true) > 0.0:
        return (
            "every entry is the same number: is it an inner product where an outer one belongs, spread by broadcasting?"
        )
    for candidate, sentence in _candidates(place, true, truth):
        if close(stated, candidate, eps):
            return sentence
    return _factor(stated, true, eps, lengths)


def _candidates(place: ArrayPlace, true: np.ndarray, truth: Truth) -> Iterator[tuple[np.ndarray, str]]:
    name = said(place)
    yield -true, "its sign is wrong: this is minus the true gradient"
    if true.ndim == 2 and true.shape[0] == true.shape[1] and true.shape[0] > 1:
        yield true.T, "it is transposed: this is the transpose of the true gradient"
    for other, value in truth.values.items():
        if other != place and value.shape == true.shape and np.any(value):
            yield value, f"this is the gradient of {said(other)}, not of {name}"
    for axis in range(true.ndim):
        if true.shape[axis] > 1:
            yield np.flip(true, axis), f"it is the true gradient in reverse order along axis {axis}"


def _factor(stated: np.ndarray, true: np.ndarray, eps: float, lengths: Mapping[int, str]) -> str:
    square = float(np.sum(true * true))
    if true.size < 2 or square == 0.0:
        return ""
    factor = float(np.sum(stated * true)) / square
    if not factor or not close(stated, factor * true, eps):
        return ""
    for number, spelled in ((factor, "{} times the true gradient"), (1.0 / factor, "the true gradient divided by {}")):
        if abs(number - round(number)) < 1e-6 and abs(number) >= 2:
            named = lengths.get(abs(round(number)), "")
            mean = f" ({abs(round(number))} is {named}): a mean taken for a sum, or a sum for a mean?" if named else ""
            return f"this is {spelled.format(round(number))}{mean}"
    return f"this is {factor:.12g} times the true gradient"


def close(stated: np.ndarray, candidate: np.ndarray, eps: float) -> bool:
    """Whether two arrays are the same as far as an explanation goes: no verdict hangs on it."""
    scale = float(np.max(np.abs(candidate), initial=0.0))
    return stated.shape == candidate.shape and bool(np.all(np.abs(stated - candidate) <= max(CLOSE, 1e4 * eps) * scale))


def _within(place: ArrayPlace, stated: np.ndarray, candidate: np.ndarray, truth: Truth, eps: float) -> bool:
    """Whether an array is this one to the bound of the true gradient."""
    return bool(np.all(np.abs(stated - candidate) <= bounds_of(place, truth, eps)))
