"""The powers of a matrix, seen through its eigenvalues: what grows, what fades, how fast.

W^t = Q Λ^t Q^-1: along an eigenvector both the state and its gradient change by |λ| a step (document 004, section 3.1,
where Q is orthogonal). Jacobians that differ from step to step are in `jacobians`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import NonFiniteError, ShapeError
from ..core.tensor import plain
from ..nn.arguments import as_data
from .figures import BLUE, FAINT, GREEN, INK, RED, at_end, sheet


@dataclass(frozen=True)
class Spectrum:
    """W = Q Λ Q^-1: `eigenvalues` λ, largest |λ| first, and `vectors` Q with an eigenvector in each column."""

    W: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray

    @property
    def radius(self) -> float:
        """The spectral radius, the largest |λ|: above 1 something grows, below 1 everything fades."""
        return float(np.abs(self.eigenvalues[0]))

    @property
    def time_constants(self) -> np.ndarray:
        """After how many steps each part is down to 1/e (inf for |λ| = 1, negative for what grows): -1 / log|λ|."""
        with np.errstate(divide="ignore"):
            return 1.0 / np.log(1.0 / np.abs(self.eigenvalues))

    @property
    def condition(self) -> float:
        """||Q|| ||Q^-1||: 1 for a normal W; far above it, W^t first does something else than its eigenvalues say."""
        return float(np.linalg.cond(self.vectors))

    def growth(self, t: Any) -> np.ndarray:
        """|λ|^t: how long the part along each eigenvector is after t steps, one row for each t if several are given."""
        return np.abs(self.eigenvalues) ** np.asarray(t)[..., None]

    def power(self, t: int) -> np.ndarray:
        """Q Λ^t Q^-1, which is W^t (complex if eigenvalues are)."""
        return (self.vectors * self.eigenvalues**t) @ np.linalg.inv(self.vectors)

    def parts(self, h: Any) -> np.ndarray:
        """Q^-1 h: how much of a state lies along each eigenvector."""
        return np.linalg.solve(self.vectors, np.asarray(plain(h), complex))

    def plot(self, path: str | os.PathLike[str], steps: int = 30, title: str = "") -> None:
        """The eigenvalues in the complex plane with the unit circle, and beside them |λ|^t over t."""
        λ = self.eigenvalues
        colors = [RED if a > 1 + 1e-9 else GREEN if a > 1 - 1e-9 else BLUE for a in np.abs(λ)]
        with sheet(path, columns=2, width=3.2, height=3.0) as (plane, time):
            angle = np.linspace(0, 2 * np.pi, 200)
            plane.plot(np.cos(angle), np.sin(angle), color=FAINT, linewidth=0.7)
            plane.axhline(0, color=FAINT, linewidth=0.4)
            plane.axvline(0, color=FAINT, linewidth=0.4)
            plane.scatter(λ.real, λ.imag, c=colors, s=18, zorder=3)
            plane.set_aspect("equal")
            plane.set_xlabel(r"Re $\lambda$")
            plane.set_ylabel(r"Im $\lambda$")
            plane.set_title(title)
            t = np.arange(steps + 1)
            time.set_yscale("log")
            for line, color in zip(self.growth(t).T, colors, strict=True):
                time.plot(t, np.where(line > 1e-9, line, np.nan), color=color, linewidth=1.0)
            at_end(time, t[-1], self.growth(steps)[0], rf"$|\lambda|={self.radius:.2f}$", INK)
            time.set_xlabel("$t$")
            time.set_ylabel(r"$|\lambda|^t$")


def spectrum(W: Any) -> Spectrum:
    """The eigen-decomposition of a square matrix, a Tensor or an array.

    Raises `ShapeError` for another shape, `NonFiniteError` for nan and inf.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> s = tg.analysis.spectrum(np.array([[0.5, 1.0], [0.0, 2.0]]))
    >>> s.radius, s.growth([0, 1, 2]).tolist(), s.power(3).round(12).tolist()
    (2.0, [[1.0, 1.0], [2.0, 0.5], [4.0, 0.25]], [[0.125, 5.25], [0.0, 8.0]])
    """
    matrix = as_data(plain(W), np.float64, "spectrum", "W")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ShapeError(f"spectrum: eigenvalues are those of a square matrix, not of shape {matrix.shape}")
    if not np.all(np.isfinite(matrix)):
        raise NonFiniteError("spectrum: W holds nan or inf, so that it has no eigenvalues")
    values, vectors = np.linalg.eig(matrix)
    order = np.argsort(-np.abs(values), kind="stable")
    return Spectrum(matrix, values[order], vectors[:, order])
