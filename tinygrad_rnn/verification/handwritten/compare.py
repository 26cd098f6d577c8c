"""One gradient as the user has it beside the true one: how far apart they are, what explains it, and where.

How they are related, by their numbers alone (clipped, scaled, turned, exchanged), is an explanation and no verdict; but
a limit that was applied is checked within the bound of the gradient, since it decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..diagnosis.terms import CLOSE
from ..measure.probe import COARSEST
from ..measure.rounding import EPS, SAFETY
from ..results import FAIL, INCONCLUSIVE, PASS
from .arrays import LeafName, said
from .true_gradients import FREEDOM, Truth

#: without a recorded graph nobody knows how large the terms were: up to so many bounds nothing is said
GREY = 100.0


@dataclass
class GradientComparison:
    """The verdict on one gradient, the error and bound that decided, and which entries are wrong."""

    verdict: str
    error: float
    bound: float
    why: str = ""
    wrong: np.ndarray = field(default_factory=lambda: np.zeros((), bool))


def precision(dtypes: Iterable[np.dtype]) -> tuple[float, np.dtype]:
    """The rounding unit of the coarsest of these types, never less than that of double precision."""
    kinds = [np.dtype(np.float64), *(dtype for dtype in dtypes if dtype.kind == "f")]
    return max(((max(EPS, float(np.finfo(dtype).eps)), dtype) for dtype in kinds), key=lambda pair: pair[0])


def is_single(stated: np.ndarray) -> bool:
    """Whether an array of doubles holds numbers of single precision throughout, and not round ones by chance."""
    if stated.dtype != np.float64 or stated.size < 2:
        return False
    with np.errstate(all="ignore"):
        single = np.array_equal(stated.astype(np.float32), stated)
        return single and not np.array_equal(stated.astype(np.float16), stated)


def compare(leaf: LeafName, stated: np.ndarray, truth: Truth, eps: float) -> GradientComparison:
    """Judge what backward returned for one leaf."""
    finite = np.isfinite(np.asarray(stated, dtype=float))
    if leaf in truth.slices:
        return _sliced(leaf, stated, truth, eps) if finite.all() else _not_finite(finite)
    value = truth.values[leaf]
    if not np.all(np.isfinite(value)):
        return GradientComparison(INCONCLUSIVE, float("nan"), float("nan"), "the true gradient is not finite")
    if not finite.all():
        return _not_finite(finite)
    bounds = bounds_of(leaf, truth, eps)
    errors = np.abs(np.asarray(stated, dtype=float) - value)
    if not errors.size:
        return GradientComparison(PASS, 0.0, 0.0)
    over = errors - bounds if np.any(errors > bounds) else errors
    worst = np.unravel_index(int(np.argmax(over)), errors.shape)
    error, bound = float(errors[worst]), float(bounds[worst])
    limit = 1.0 if leaf in truth.sizes else GREY
    return _verdict(error, bound, limit, truth, eps, errors > bounds)


def bounds_of(leaf: LeafName, truth: Truth, eps: float) -> np.ndarray:
    """How far each entry may be off: rounding, and where no graph was recorded the method's own error."""
    if leaf in truth.sizes:
        return FREEDOM * SAFETY * eps * truth.sizes[leaf]
    value = truth.values[leaf]
    rounding = FREEDOM * SAFETY * eps * float(np.max(np.abs(value), initial=0.0))
    return np.full(value.shape, truth.accuracy[leaf] + rounding)


def _verdict(
    error: float, bound: float, limit: float, truth: Truth, eps: float, wrong: np.ndarray
) -> GradientComparison:
    if error > limit * bound:
        return GradientComparison(FAIL, error, bound, "", wrong)
    if error > bound:
        return GradientComparison(
            INCONCLUSIVE, error, bound, f"larger than {truth.method} explain for certain, but not by much"
        )
    if bound > coarsest(truth, eps):
        return GradientComparison(INCONCLUSIVE, error, bound, "rounding or the method could hide a mistake")
    return GradientComparison(PASS, error, bound)


def coarsest(truth: Truth, eps: float) -> float:
    """The largest bound that still tells something, in proportion to all gradients."""
    return min(0.1, max(COARSEST, 1e5 * eps)) * scale_of(truth)


def explains_too_much(truth: Truth, eps: float) -> bool:
    """Whether the magnitudes of all terms, as they grow over many steps, bound nothing any more."""
    bounds = [float(np.max(bounds_of(leaf, truth, eps), initial=0.0)) for leaf in truth.sizes]
    return any(bound > coarsest(truth, eps) for bound in bounds)


def scale_of(truth: Truth) -> float:
    """The largest entry of any true gradient, or the largest slope where entries are not known."""
    entries = [float(np.max(np.abs(value), initial=0.0)) for value in truth.values.values()]
    slopes = [abs(part.slope) for parts in truth.slices.values() for part in parts]
    return max([x for x in entries + slopes if np.isfinite(x)], default=0.0)


def _not_finite(finite: np.ndarray) -> GradientComparison:
    at = tuple(map(int, np.argwhere(~finite)[0]))
    return GradientComparison(
        FAIL, float("inf"), 0.0, f"nan or inf was returned{f', first at {at}' if at else ''}", ~finite
    )


def _sliced(leaf: LeafName, stated: np.ndarray, truth: Truth, eps: float) -> GradientComparison:
    """A wrong entry makes the slope of its row and of its column come out wrong."""
    parts = truth.slices[leaf]
    along = [np.zeros(length, bool) for length in stated.shape]
    size = max((abs(part.slope) for part in parts), default=0.0)
    worst, bound_there = 0.0, 0.0
    for part in parts:
        products = np.asarray(stated, dtype=float) * part.direction
        error = abs(float(np.sum(products)) - part.slope)
        bound = part.accuracy + FREEDOM * SAFETY * eps * max(size, float(np.sum(np.abs(products))))
        along[part.axis][part.indices] |= error > bound
        if error - bound > worst - bound_there or not bound_there:
            worst, bound_there = error, bound
    wrong = np.ones(stated.shape, bool)
    for axis, mask in enumerate(along):
        wrong &= mask.reshape([-1 if i == axis else 1 for i in range(stated.ndim)])
    return _verdict(worst, bound_there, GREY, truth, eps, wrong)


# -- relations ---------------------------------------------------------------------------------------------------------
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
    stated: Mapping[LeafName, np.ndarray],
    comparisons: Mapping[LeafName, GradientComparison],
    truth: Truth,
    eps: float,
) -> Clipped | None:
    """The limit that makes all gradients the true ones, clipped; None where that is not what happened."""
    places = [leaf for leaf in stated if leaf in truth.values]
    if len(places) < len(stated) or not any(c.wrong.any() for c in comparisons.values()):
        return None
    limit = max(float(np.max(np.abs(stated[leaf]), initial=0.0)) for leaf in places)
    cut = {leaf: np.clip(truth.values[leaf], -limit, limit) for leaf in places}
    at_limit = sum(int(np.sum(np.abs(stated[p]) == limit)) for p in places)
    beyond = sum(int(np.sum(np.abs(truth.values[p]) > limit)) for p in places)
    below = sum(int(np.sum((truth.values[p] != 0.0) & (np.abs(stated[p]) < limit))) for p in places)
    # what is at the limit tells a sign and no more: most entries have to tell their value
    if limit and beyond and at_limit < below and all(_within(p, stated[p], cut[p], truth, eps) for p in places):
        return Clipped(limit, False, at_limit)
    whole = float(np.sqrt(sum(float(np.sum(np.square(stated[p], dtype=float))) for p in places)))
    true = float(np.sqrt(sum(float(np.sum(np.square(truth.values[p]))) for p in places)))
    if true > whole > 0.0 and abs(whole - float(f"{whole:.2g}")) <= 1e3 * eps * whole:
        scaled = {leaf: truth.values[leaf] * (whole / true) for leaf in places}
        if all(_within(leaf, stated[leaf], scaled[leaf], truth, eps) for leaf in places):
            return Clipped(float(f"{whole:.2g}"), True)
    return None


def related(leaf: LeafName, stated: np.ndarray, truth: Truth, eps: float, lengths: Mapping[int, str]) -> str:
    """What a wrong gradient is instead of the right one, or nothing; `lengths` names the lengths of axes."""
    if leaf not in truth.values:
        return ""
    true = truth.values[leaf]
    if not np.any(stated):
        return "it is zero throughout: is it ever added to?"
    if stated.size > 1 and np.ptp(stated) == 0.0 and np.ptp(true) > 0.0:
        return (
            "every entry is the same number: is it an inner product where an outer one belongs, spread by broadcasting?"
        )
    for candidate, sentence in _candidates(leaf, true, truth):
        if close(stated, candidate, eps):
            return sentence
    return _factor(stated, true, eps, lengths)


def _candidates(leaf: LeafName, true: np.ndarray, truth: Truth) -> Iterator[tuple[np.ndarray, str]]:
    name = said(leaf)
    yield -true, "its sign is wrong: this is minus the true gradient"
    if true.ndim == 2 and true.shape[0] == true.shape[1] and true.shape[0] > 1:
        yield true.T, "it is transposed: this is the transpose of the true gradient"
    for other, value in truth.values.items():
        if other != leaf and value.shape == true.shape and np.any(value):
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


def _within(leaf: LeafName, stated: np.ndarray, candidate: np.ndarray, truth: Truth, eps: float) -> bool:
    """Whether an array is this one to the bound of the true gradient."""
    return bool(np.all(np.abs(stated - candidate) <= bounds_of(leaf, truth, eps)))
