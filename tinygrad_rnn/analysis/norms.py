"""How long a gradient is on its way back through time: at each step, and for each pair of loss and state.

A gradient that vanishes or explodes is seen here (document 004, section 3.1). What the network does to any small change
is in `jacobians`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import GraphError
from ..core.tensor import Tensor
from .figures import BLUE, FAINT, sheet
from .recorded_quantities import GraphSource, NodeTimeline, quantity, rows


@dataclass(frozen=True)
class GradientNorms:
    """||dL/dh[t]|| for each t in `times`: `norms` has shape (T, B), one for each sample."""

    name: str
    times: tuple[int, ...]
    norms: np.ndarray

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """The lengths over time on a logarithmic scale: each sample faintly, and their mean."""
        with sheet(path) as axes:
            axes.set_yscale("log")
            shown = np.where(self.norms > 0, self.norms, np.nan)
            axes.plot(self.times, shown, color=FAINT, linewidth=0.5)
            axes.plot(self.times, np.nanmean(shown, axis=1), color=BLUE)
            axes.set_xlabel("$t$")
            axes.set_ylabel(rf"$\Vert\partial L/\partial {_math(self.name)}^{{(t)}}\Vert$")
            axes.set_title(title)


@dataclass(frozen=True)
class PairNorms:
    """||dL[t]/dh[s]|| for each loss step t (rows) and state step s (columns), the mean over samples; 0 for s > t."""

    name: str
    losses: tuple[int, ...]
    states: tuple[int, ...]
    norms: np.ndarray

    def plot(self, path: str | os.PathLike[str], title: str = "", decades: float = 8.0) -> None:
        """A square for each pair, darker for longer gradients, over so many decades; time runs right and down."""
        with sheet(path, width=3.8, height=3.2) as axes:
            with np.errstate(divide="ignore"):
                shown = np.log10(np.where(self.norms > 0, self.norms, np.nan))
            top = float(np.nanmax(shown)) if np.isfinite(shown).any() else 0.0
            edges = [np.arange(len(times) + 1) + times[0] - 0.5 for times in (self.states, self.losses)]
            mesh = axes.pcolormesh(*edges, shown, cmap="Greys", vmin=top - decades, vmax=top, rasterized=True)
            axes.invert_yaxis()
            axes.set_aspect("equal")
            axes.set_xlabel("state $s$")
            axes.set_ylabel("loss $t$")
            axes.set_title(title)
            bar = axes.figure.colorbar(mesh, ax=axes, shrink=0.8)
            bar.set_label(rf"$\log_{{10}}\Vert\partial L^{{(t)}}/\partial {_math(self.name)}^{{(s)}}\Vert$")
            bar.outline.set_linewidth(0.5)


def gradient_norms(loss: Tensor, states: str = "h", axis: int = -1) -> GradientNorms:
    """How long dL/dh[t] is at each step, for each sample; `axis` as in `jacobians`.

    Raises `GraphError` for an unknown name, or a loss that is not a scalar.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> w, h = tg.tensor(0.5, name="w"), tg.tensor(1.0)
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", w * h)
    >>> tg.analysis.gradient_norms(h).norms[:, 0].tolist()
    [0.25, 0.5, 1.0]
    """
    timeline = _asking(quantity(loss, states), states)
    grads = gradients(loss, list(timeline.values()))
    return GradientNorms(states, tuple(timeline), np.stack([_lengths(g, axis) for g in grads]))


def pair_norms(
    source: GraphSource, losses: str | Sequence[Tensor] = "L", states: str = "h", axis: int = -1
) -> PairNorms:
    """How long the gradient of each step's loss is at each earlier state: which loss still teaches which step.

    `losses` are scalars by name, or a list of them; one that was recorded outside of the steps counts as of the latest
    state it teaches. Costs one sweep for each loss. Raises `GraphError` for no losses.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> w, h, losses = tg.tensor(0.5, name="w"), tg.tensor(1.0), []
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", w * h)
    ...     losses.append(tg.name("L", 1.0 * h))
    >>> tg.analysis.pair_norms(losses).norms.tolist()
    [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]]
    """
    timeline = _asking(quantity(source, states), states)
    given = list(quantity(source, losses).values()) if isinstance(losses, str) else list(losses)
    if not given:
        raise GraphError("pair_norms: there has to be at least one loss")
    times = tuple(timeline)
    grads = [gradients(L, list(timeline.values())) for L in given]
    norms = np.array([[float(np.mean(_lengths(g, axis))) for g in line] for line in grads])
    of = tuple(_time(L, times, line) for L, line in zip(given, norms, strict=True))
    return PairNorms(states, of, times, norms)


def _time(loss: Tensor, states: tuple[int, ...], norms: np.ndarray) -> int:
    """The step a loss was recorded in, or of the latest state its gradient reaches."""
    if isinstance(loss.scope.step, int):
        return loss.scope.step
    if not norms.any():
        raise GraphError(f"{loss.name or 'a loss'} depends on none of the states")
    return states[int(np.flatnonzero(norms)[-1])]


def _asking(timeline: NodeTimeline, name: str) -> NodeTimeline:
    asking = {t: node for t, node in timeline.items() if node.requires_grad}
    if not asking:
        raise GraphError(f"{name} asks for a gradient at no step")
    return asking


def _lengths(g: object, axis: int) -> np.ndarray:
    """One for each sample: (B,)."""
    return np.linalg.norm(rows(g, axis), axis=1)


def _math(name: str) -> str:
    return name.rpartition(".")[2].replace("_", r"\_")
