"""One gradient as the user has it beside the true one: how far apart they are, what explains it, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..measure.reference import COARSEST
from ..measure.rounding import EPS, SAFETY
from ..results import FAIL, INCONCLUSIVE, PASS
from .arrays import ArrayPlace
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


def compare(place: ArrayPlace, stated: np.ndarray, truth: Truth, eps: float) -> GradientComparison:
    """Judge what backward returned for one place."""
    finite = np.isfinite(np.asarray(stated, dtype=float))
    if place in truth.slices:
        return _sliced(place, stated, truth, eps) if finite.all() else _not_finite(finite)
    value = truth.values[place]
    if not np.all(np.isfinite(value)):
        return GradientComparison(INCONCLUSIVE, float("nan"), float("nan"), "the true gradient is not finite")
    if not finite.all():
        return _not_finite(finite)
    bounds = bounds_of(place, truth, eps)
    errors = np.abs(np.asarray(stated, dtype=float) - value)
    if not errors.size:
        return GradientComparison(PASS, 0.0, 0.0)
    over = errors - bounds if np.any(errors > bounds) else errors
    worst = np.unravel_index(int(np.argmax(over)), errors.shape)
    error, bound = float(errors[worst]), float(bounds[worst])
    limit = 1.0 if place in truth.sizes else GREY
    return _verdict(error, bound, limit, truth, eps, errors > bounds)


def bounds_of(place: ArrayPlace, truth: Truth, eps: float) -> np.ndarray:
    """How far each entry may be off: rounding, and where no graph was recorded the method's own error."""
    if place in truth.sizes:
        return FREEDOM * SAFETY * eps * truth.sizes[place]
    value = truth.values[place]
    rounding = FREEDOM * SAFETY * eps * float(np.max(np.abs(value), initial=0.0))
    return np.full(value.shape, truth.accuracy[place] + rounding)


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
    bounds = [float(np.max(bounds_of(place, truth, eps), initial=0.0)) for place in truth.sizes]
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


def _sliced(place: ArrayPlace, stated: np.ndarray, truth: Truth, eps: float) -> GradientComparison:
    """A wrong entry makes the slope of its row and of its column come out wrong."""
    parts = truth.slices[place]
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
