"""Random programs as Python scripts: written down, run from a file of their own, and measured against rounding."""

from __future__ import annotations

import importlib.abc
import importlib.util
import linecache
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

#: the relative size of the noise that measures how far rounding can move a result
NOISE = 1e-7
#: how often noise is drawn before a difference counts
DRAWS = 5
#: rounding errors that may add up, in units of what one rounding of every input moves
UNITS = 400.0
#: a result that the noise moves by more than this part of the largest one stands at a kink, or is ill-conditioned
KINK = 0.01
#: what is left of terms of size 1 that cancel, in roundings
CANCELLED = 100.0
#: how far inputs are moved, in pairs of opposite directions, where the reference's own rounding is measured; how many
#: pairs; and how many of its standard deviations a result may lie from its mean
NEAR, PAIRS, DEVIATIONS = 1e-9, 32, 3.0
#: a result that rounding alone can move by more than this part of its size says nothing
ILL = 1e-4


class _Script(importlib.abc.InspectLoader):
    """A script that lies in memory."""

    def __init__(self, text: str):
        self.text = text

    def get_source(self, fullname: str) -> str:
        return self.text


def module(text: str, name: str = "program") -> ModuleType:
    """The script as a module; its functions have source lines to be named in errors."""
    spec = importlib.util.spec_from_loader(name, _Script(text), origin=f"<{name}>")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    linecache.cache["<string>"] = (len(text), None, text.splitlines(keepends=True), "<string>")
    spec.loader.exec_module(made)
    return made


def flat(value: Any) -> list[np.ndarray]:
    """All arrays of nested dicts, lists and tuples, in one order."""
    if isinstance(value, dict):
        return [array for key in sorted(value, key=str) for array in flat(value[key])]
    if isinstance(value, (list, tuple)):
        return [array for part in value for array in flat(part)]
    return [np.asarray(getattr(value, "value", value), dtype=np.float64)]


def verdict(got: Any, right: Any, moved: Callable[[int], Any], eps: float, size: float = 1.0) -> str | None:
    """`disagreement`, for several draws of the noise where the first does not explain what is seen."""
    said = None
    for draw in range(DRAWS):
        said = disagreement(got, right, moved(draw), eps, size)
        if said is None or said == "ill":
            break
    return said


def excused(got: Any, near: Callable[[int, float], Any], moved: Any, eps: float, size: float = 1.0) -> bool:
    """Whether it is the reference that rounds badly: its results near by scatter, and `got` agrees with their mean.

    near: the reference where everything was moved by one draw of noise, times a number. What the noise itself does
    cancels between opposite directions; what stays is rounding, and that the mean makes smaller.
    """
    pairs = [[flat(near(draw, sign * NEAR)) for sign in (1.0, -1.0)] for draw in range(PAIRS)]
    middles = [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in pairs]
    stacked = [np.stack(parts) for parts in zip(*middles, strict=True)]
    mean = [middle.mean(axis=0) for middle in stacked]
    spread = [float(np.sqrt(2.0) * middle.std(axis=0).max(initial=0.0)) for middle in stacked]
    return disagreement(got, mean, moved, eps, size, [DEVIATIONS * one for one in spread]) is None


def disagreement(
    got: Any, right: Any, moved: Any, eps: float, size: float = 1.0, spread: list[float] | None = None
) -> str | None:
    """None where `got` is `right` as far as rounding allows, "ill" where rounding decides, else what differs.

    moved: `right` for inputs with relative noise of size NOISE: what one rounding of all inputs does is this times
    `eps / NOISE`. size: how large numbers are from which these were computed. spread: how far `right` itself is off.
    """
    ours, theirs, noisy = flat(got), flat(right), flat(moved)
    if len(ours) != len(theirs):
        return f"{len(ours)} results in place of {len(theirs)}"
    if not all(np.isfinite(b).all() for b in theirs + noisy):
        return "ill"
    said, largest = None, max((float(np.abs(b).max()) for b in theirs if b.size), default=0.0)
    for number, (a, b, c) in enumerate(zip(ours, theirs, noisy, strict=True)):
        if a.shape != b.shape:
            return f"result {number} has shape {a.shape} in place of {b.shape}"
        if not b.size:
            continue
        scale, change = float(np.abs(b).max()), float(np.abs(c - b).max())
        allowed = UNITS * eps * (largest + change / NOISE)
        if change > KINK * largest or allowed > (ILL if eps < 1e-10 else 100 * ILL) * max(largest, 1e-3):
            said = "ill"
            continue
        error = float(np.abs(a - b).max())
        if not error <= allowed + CANCELLED * eps * size + (spread[number] if spread else 0.0):
            return f"result {number} is off by {error:.2g} of {scale:.2g} (rounding explains {allowed:.1g})"
    return said


def reason(error: Exception) -> str:
    """The kind of error and how it begins, without numbers and names, so that equal reasons count as one."""
    first = re.sub(r"^\S+:\d+(, in \w+)?: ", "", str(error).partition("\n")[0])
    return f"{type(error).__name__}: " + re.sub(r"\b\d+\b", "N", first)[:70]
