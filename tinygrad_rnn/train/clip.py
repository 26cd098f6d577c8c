"""Gradients that are too long, or not numbers at all, before they move anything (document 004, section 3.3).

A rule (`by_value`, `by_norm`, `by_random_direction`) maps a list of gradients to the clipped ones and the norm that all
had together; `train.fit` takes one as `clip=`. `clip_grad_value_` and `clip_grad_norm_` apply them, as torch spells it,
to what `backward()` left. How a gradient moves a parameter is in `optim`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf, isfinite, sqrt
from numbers import Real
from typing import Any

import numpy as np

from ..core.errors import GraphError, NonFiniteError
from ..core.tensor import Tensor
from ..nn.random import generator
from .rule_graphs import Cut

Gradients = Sequence[Any]
#: gradients -> (clipped gradients, norm of all of them before)
Rule = Callable[[Gradients], tuple[list[Any], float]]


class Alike:
    """A rule that does the same to every entry, as soon as the norm of all is known.

    `cut(norm)` says what: the factor for every entry, and the largest that an entry may be after that. So `train.fit`
    clips in the very pass over the gradients that moves the parameters.
    """

    def __init__(self, cut: Callable[[float], Cut], norm_type: float, error_if_nonfinite: bool) -> None:
        self.cut, self.norm_type, self.error_if_nonfinite = cut, norm_type, error_if_nonfinite

    def measured(self, grads: Gradients) -> float:
        """The norm of all gradients together; raises `NonFiniteError` as the rule does."""
        norm = total_norm(grads, self.norm_type)
        if self.error_if_nonfinite:
            require_finite(grads, norm)
        return norm

    def __call__(self, grads: Gradients) -> tuple[list[Any], float]:
        norm = self.measured(grads)
        return cut_by(self.cut(norm), grads), norm


def by_value(v: float, error_if_nonfinite: bool = True) -> Rule:
    """g_i if |g_i| <= v, else sign(g_i)·v: entry by entry, so that the direction changes (document 004, section 3.3).

    The rule raises `NonFiniteError` for a gradient that holds nan or inf, unless told not to.

    >>> from tinygrad_rnn.train import clip
    >>> clip.by_value(1.0)([3.0, -0.5])[0]
    [1.0, -0.5]
    """

    v = limit(v)
    return Alike(lambda norm: (1.0, v), 2.0, error_if_nonfinite)


def by_norm(
    v: float, norm_type: float = 2.0, error_if_nonfinite: bool = True, per_parameter: bool = False, eps: float = 1e-6
) -> Rule:
    """g if ||g|| <= v, else g·v/||g||: shorter, in the same direction (document 004, section 3.3).

    ||g|| is the norm of all gradients together, or with `per_parameter` of each by itself. As in torch the divisor is
    ||g|| + eps; `eps=0` is the document's formula to the last digit. The rule raises `NonFiniteError` for a gradient
    that holds nan or inf, unless told not to.

    >>> import numpy as np
    >>> from tinygrad_rnn.train import clip
    >>> (g,), norm = clip.by_norm(1.0, eps=0.0)([np.array([3.0, 4.0])])
    >>> g.tolist(), norm
    ([0.6000000000000001, 0.8], 5.0)
    """

    v = limit(v)

    def cut(norm: float) -> Cut:
        return (1.0 if norm + eps <= v else v / (norm + eps)), inf

    together = Alike(cut, norm_type, error_if_nonfinite)
    if not per_parameter:
        return together

    def rule(grads: Gradients) -> tuple[list[Any], float]:
        norm = together.measured(grads)
        return [cut_by(cut(total_norm([g], norm_type)), [g])[0] for g in grads], norm

    return rule


def by_random_direction(v: float) -> Rule:
    """g if ||g|| <= v, else a vector of length v in a random direction (document 004, section 3.3).

    Such a step usually leads out of the region where gradients explode. A gradient with nan or inf counts as too long:
    the rule never raises. Directions are drawn from the package's generator (`nn.manual_seed`). Raises `GraphError` for
    an infinite v.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> (g,), norm = tg.train.clip.by_random_direction(2.0)([np.array([np.nan, 1.0])])
    >>> round(float(np.linalg.norm(g)), 12), norm
    (2.0, nan)
    """

    v = limit(v)
    if v == inf:
        raise GraphError("by_random_direction: no direction has an infinite length; give a finite one")

    def rule(grads: Gradients) -> tuple[list[Any], float]:
        norm = total_norm(grads)
        if norm <= v:
            return list(grads), norm
        drawn = [generator().normal(size=np.shape(g)) for g in grads]
        scale = v / total_norm(drawn)
        return [_like(g, scale * d) for g, d in zip(grads, drawn, strict=True)], norm

    return rule


def limit(v: Any) -> float:
    """The largest length or entry that is left as it is; raises `GraphError` unless it is a number from 0 to inf."""
    if not isinstance(v, Real) or not float(v) >= 0.0:
        raise GraphError(f"clip: the limit is {v!r}, but has to be a number from 0 on, or a rule of train.clip")
    return float(v)


def rule_of(clip: float | Rule | None) -> Rule:
    """A rule as it is, a number as the largest norm of all gradients together, None as a rule that only measures."""
    if clip is None:
        return by_norm(inf)
    return clip if callable(clip) else by_norm(clip)


def clip_grad_value_(
    parameters: Iterable[Tensor] | Tensor, clip_value: float, error_if_nonfinite: bool = True
) -> float:
    """Clip what `backward()` left in `.grad` entry by entry; returns the norm before. See `by_value`."""
    return apply(by_value(clip_value, error_if_nonfinite), parameters)


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = True,
    per_parameter: bool = False,
) -> float:  # fmt: skip
    """Shorten what `backward()` left in `.grad` to `max_norm`; returns the norm before. See `by_norm`.

    Numbers are torch's; other than torch it raises `NonFiniteError` for nan and inf, before anything changes, unless
    told not to: catch it to skip the step.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> w = tg.tensor([3.0, 4.0], name="w")
    >>> np.sum(w * w).backward()
    >>> tg.train.clip_grad_norm_([w], 1.0)
    10.0
    >>> round(float(np.linalg.norm(w.grad)), 6)
    1.0
    """
    return apply(by_norm(max_norm, norm_type, error_if_nonfinite, per_parameter), parameters)


def apply(rule: Rule, parameters: Iterable[Tensor] | Tensor) -> float:
    """Clip what `backward()` left in `.grad` by any rule; returns the norm before.

    Raises `NonFiniteError` for nan or inf in a gradient.
    """
    held = [p for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p.grad is not None]
    grads: list[Any] = [p.grad for p in held]
    try:
        clipped, norm = rule(grads)
    except NonFiniteError:
        named = zip(held, grads, strict=True)
        bad = [p.name or f"a parameter of shape {p.shape}" for p, g in named if not np.all(np.isfinite(g))]
        raise NonFiniteError(_told(", ".join(bad))) from None
    for p, g in zip(held, clipped, strict=True):
        p.replace_grad(g)
    return norm


def cut_by(cut: Cut, grads: Gradients) -> list[Any]:
    """Every entry times the factor, and no larger than the limit."""
    factor, most = cut
    found = list(grads) if factor == 1.0 else [g * factor for g in grads]
    return found if most == inf else [_like(g, np.clip(g, -most, most)) for g in found]


def total_norm(grads: Gradients, norm_type: float = 2.0) -> float:
    """||g|| of all gradients as one vector; not finite exactly when one of them is not.

    >>> import numpy as np
    >>> from tinygrad_rnn.train import clip
    >>> clip.total_norm([3.0, np.array([0.0, 4.0])])
    5.0
    """
    if not grads:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        if norm_type == 2.0:
            norm = sqrt(sum([float(g.dot(g)) for g in (np.ravel(g, "K") for g in grads)]))
        else:
            norm = float(np.linalg.norm(np.concatenate(grads, axis=None), norm_type))
        if isfinite(norm):
            return norm
        # the squares of an exploded gradient can overflow where the gradient does not
        g = np.concatenate(grads, axis=None)
        largest = float(np.linalg.norm(g, inf))
        return largest * float(np.linalg.norm(g / largest, norm_type)) if isfinite(largest) else largest


def require_finite(grads: Gradients, norm: float) -> None:
    """Raise `NonFiniteError` if the norm says that one of the gradients holds nan or inf."""
    if not isfinite(norm):
        bad = [i for i, g in enumerate(grads) if not np.all(np.isfinite(g))]
        raise NonFiniteError(_told(f"number {', '.join(map(str, bad))}"))


def _told(which: str) -> str:
    return (
        f"the gradient of {which} holds nan or inf, and no clipping mends that: skip this step, or look for the first "
        "operation that gave it with tg.analysis.first_nonfinite(loss)"
    )


def _like(g: Any, value: Any) -> Any:
    return float(value) if type(g) is float else np.asarray(value, g.dtype)
