"""What a training run was like: numbers per step, kept as they come, and as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..analysis.figures import BLUE, RED, at_end, sheet


@dataclass
class History:
    """Numbers of every step: entry i belongs to step i + 1.

    `loss`; `norm`, the length of the gradient before clipping; `lr`, the first group's rate. `looks` are the steps at
    which the run was looked at and `watched` what was found: the validation, or the mean loss since the look before
    (`watching` says which). `stopped` says why the run ended before its time, `resumed` at which step it was taken up
    (0: from the start).
    """

    loss: list[float] = field(default_factory=list)
    norm: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    watching: str = "mean loss"
    stopped: str = ""
    resumed: int = 0

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.loss)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers as arrays, for a checkpoint."""
        return {key: np.array(getattr(self, key), float) for key in ("loss", "norm", "lr", "looks", "watched")}

    @classmethod
    def of(cls, arrays: Mapping[str, Any], stopped: str) -> History:
        """The history that `arrays` gave."""
        columns: dict[str, Any] = {key: arrays[key].tolist() for key in ("loss", "norm", "lr", "watched")}
        return cls(**columns, looks=[int(step) for step in arrays["looks"]], stopped=stopped)

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """Loss and length of the gradient over the steps, side by side; the ending of the file chooses its form.

        Raises `MissingExtraError` where matplotlib is not installed.
        """
        with sheet(path, columns=2, width=3.6, height=2.6) as (left, right):
            for axes, values, what in ((left, self.loss, "loss"), (right, self.norm, r"$\Vert\nabla L\Vert$")):
                _curve(axes, np.array(values, float), what)
            if self.looks and self.watching == "validation":
                left.plot(self.looks, self.watched, color=RED, marker="o", markersize=2.5, linewidth=0.8)
                at_end(left, self.looks[-1], self.watched[-1], self.watching, RED)
            left.set_title(title)


def _curve(axes: Any, values: np.ndarray, what: str) -> None:
    """Every step faintly, and their running median, on a logarithmic scale where the values allow."""
    steps = np.arange(1, len(values) + 1)
    if len(values) and np.nanmin(values) > 0:
        axes.set_yscale("log")
    wide = max(len(values) // 50, 1)
    whole = len(values) // wide * wide
    axes.plot(steps, values, color=BLUE, alpha=0.25 if wide > 1 else 1.0, linewidth=0.6 if wide > 1 else 1.4)
    if wide > 1:
        middle = np.median(values[:whole].reshape(-1, wide), axis=1)
        axes.plot(steps[:whole].reshape(-1, wide).mean(axis=1), middle, color=BLUE)
    axes.set_xlabel("step")
    axes.set_ylabel(what)
