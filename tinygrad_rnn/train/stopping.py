"""When a run has learned what it can: stop, and go back to the best weights seen."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np

from ..nn import Module
from ..nn.arguments import whole


class EarlyStopping:
    """Stop after `patience` looks in a row at which the watched number did not fall by more than `min_delta`.

    With `restore` the model gets the weights of the best look back at the end.
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.0, restore: bool = True) -> None:
        self.patience = whole("EarlyStopping", "patience", patience)
        self.min_delta, self.restore = min_delta, restore
        self.best, self.best_step, self.bad = inf, 0, 0
        self.weights: dict[str, np.ndarray] = {}

    def look(self, step: int, watched: float, model: Module) -> str:
        """Take notice of the number; why to stop, or an empty text."""
        if watched < self.best - self.min_delta:
            self.best, self.best_step, self.bad = watched, step, 0
            self.weights = model.state_dict() if self.restore else {}
        else:
            self.bad += 1
        if self.bad < self.patience:
            return ""
        return f"no better than {self.best:.6g}, reached at step {self.best_step}, in {self.bad} looks"

    def finish(self, model: Module) -> None:
        """Give the model its best weights back."""
        if self.weights:
            model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, without the weights."""
        return {"best": self.best, "best_step": self.best_step, "bad": self.bad}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
        """Go on from where it was."""
        self.best, self.best_step, self.bad = state["best"], state["best_step"], state["bad"]
        self.weights = dict(weights)
