"""Learning rates that change: torch's schedules, with torch's names and values.

A schedule is a formula in the number of its steps (`rate`), so that it can be taken up anywhere; only
`ReduceLROnPlateau` has a memory. What a rate is used for is in `optim`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import cos, inf, pi
from typing import Any

from ..core.errors import GraphError, kind_of
from ..nn.arguments import whole
from .optim import Optimizer


class Schedule:
    """What all schedules share: the rates of every parameter group, from where they start and step by step.

    Raises `GraphError` for what is no optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise GraphError(f"{type(self).__name__} is made for an optimizer, not for {kind_of(optimizer)}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set()

    def rate(self, base: float, t: int) -> float:
        """The learning rate after t steps, for a group that starts from `base`; every subclass writes its own."""
        raise NotImplementedError

    def step(self) -> None:
        """One step further: call it after the optimiser's."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """How far it came, and from which rates: all that a resumed run needs."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.last_epoch, self.base_lrs = int(state["last_epoch"]), list(state["base_lrs"])
        self._set()

    def _set(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(base, self.last_epoch)


class StepLR(Schedule):
    """Times gamma every `step_size` steps.

    >>> import tinygrad_rnn as tg
    >>> sgd = tg.train.SGD([tg.tensor(1.0)], lr=0.8)
    >>> schedule = tg.train.StepLR(sgd, step_size=2, gamma=0.5)
    >>> [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [0.8, 0.4, 0.4, 0.2]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = whole("StepLR", "step_size", step_size), gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        return base * self.gamma ** (t // self.step_size)


class ExponentialLR(Schedule):
    """Times gamma every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        return base * self.gamma**t


class CosineAnnealingLR(Schedule):
    """Half a cosine from the rate to `eta_min` in `T_max` steps, and up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = whole("CosineAnnealingLR", "T_max", T_max), eta_min
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + cos(pi * t / self.T_max)) / 2


class LinearLR(Schedule):
    """From `start_factor` to `end_factor` of the rate in `total_iters` steps, then constant: a warm-up.

    >>> import tinygrad_rnn as tg
    >>> sgd = tg.train.SGD([tg.tensor(1.0)], lr=1.0)
    >>> warm_up = tg.train.LinearLR(sgd, start_factor=0.25, total_iters=3)
    >>> [sgd.param_groups[0]["lr"]] + [(warm_up.step(), warm_up.get_last_lr()[0])[1] for _ in range(4)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = whole("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        share = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class SequentialLR(Schedule):
    """One schedule after the other: the second begins at the first milestone, and so on.

    Raises `GraphError` unless there is a milestone between any two schedules.

    >>> import tinygrad_rnn as tg
    >>> sgd = tg.train.SGD([tg.tensor(1.0)], lr=1.0)
    >>> warm_up, decay = tg.train.LinearLR(sgd, 0.5, total_iters=2), tg.train.ExponentialLR(sgd, 0.5)
    >>> schedule = tg.train.SequentialLR(sgd, [warm_up, decay], milestones=[2])
    >>> [sgd.param_groups[0]["lr"]] + [(schedule.step(), schedule.get_last_lr()[0])[1] for _ in range(4)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise GraphError(f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} milestones")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        i = bisect_right(self.milestones, t)
        return self.schedulers[i].rate(base, t - self.milestones[i - 1] if i else t)


class ReduceLROnPlateau:
    """Times `factor` once a number has not improved for more than `patience` steps; `step` takes that number.

    Raises `GraphError` for an option out of range.

    >>> import tinygrad_rnn as tg
    >>> sgd = tg.train.SGD([tg.tensor(1.0)], lr=1.0)
    >>> schedule = tg.train.ReduceLROnPlateau(sgd, patience=1)
    >>> [(schedule.step(loss), schedule.get_last_lr()[0])[1] for loss in [5.0, 4.0, 4.0, 4.0]]
    [1.0, 1.0, 1.0, 0.1]
    """

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:  # fmt: skip
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs") or not 0 <= factor < 1:
            raise GraphError("ReduceLROnPlateau: mode is min or max, threshold_mode rel or abs, factor below 1")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = inf if mode == "min" else -inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: float) -> None:
        """Take notice of the number, and lower the rates if it is time."""
        self.last_epoch += 1
        if self._improved(metrics):
            self.best, self.num_bad_epochs = metrics, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What it remembers: all that a resumed run needs besides the optimiser's own rates."""
        return {key: getattr(self, key) for key in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        for key in self.state_dict():
            setattr(self, key, state[key])

    def _improved(self, metrics: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        relative = self.threshold_mode == "rel"
        bar = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return sign * metrics > sign * bar

    def _reduce(self) -> None:
        for group in self.optimizer.param_groups:
            lower = max(group["lr"] * self.factor, self.min_lr)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower
