"""Judge derivations and gradients against the engine, and the engine against the complex step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..language import Model
    from .report import Report


def verify(
    model: Model | str | Path,
    T: int = 4,
    seeds: int = 3,
    scale: float = 1.0,
    values: Mapping[Any, Any] | None = None,
) -> Report:
    """Judge every gradient equation of a model, per time step, on `seeds` random probes of length `T`.

    `model` is a Model, a path, or the text of an equation file; `scale` and `values` change the probes as in `unroll`. Raises `LanguageError` when it cannot be read, has no loss
    or states no gradients.

    >>> import tinygrad_rnn as tg
    >>> report = tg.verify("sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\ndW = sum(t, dh[t] @ h[t].T)")
    >>> report.ok, report.rows[0].verdict
    (False, 'FAIL')
    """
    from .judge import judge

    return judge(model, T, seeds, scale, values)


__all__ = ["verify"]
