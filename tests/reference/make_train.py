"""What torch's optimisers and schedules answer: `python -m tests.reference.make_train` writes train.npz anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 20
SHAPES = ((4, 3), (), (5,), (2, 3, 2))
Case = tuple[str, dict[str, Any], dict[str, Any]]

#: name -> optimiser, options, options of the first group of parameters (none: no groups)
OPTIMISERS: dict[str, Case] = {
    "sgd": ("SGD", {"lr": 0.1}, {}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.3}, {}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}, {}),
    "sgd_dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1}, {}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}, {}),
    "sgd_maximize": ("SGD", {"lr": 0.1, "momentum": 0.8, "maximize": True, "weight_decay": 0.1}, {}),
    "sgd_groups": ("SGD", {"lr": 0.1}, {"lr": 0.01, "momentum": 0.9}),
    "adagrad": ("Adagrad", {}, {}),
    "adagrad_all": (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3},
        {},
    ),
    "adagrad_groups": ("Adagrad", {"lr": 0.1, "maximize": True}, {"lr_decay": 0.1}),
    "rmsprop": ("RMSprop", {}, {}),
    "rmsprop_momentum": ("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.7, "eps": 1e-3}, {}),
    "rmsprop_centered": ("RMSprop", {"centered": True, "weight_decay": 0.1}, {}),
    "rmsprop_all": ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True}, {"alpha": 0.5}),
    "adam": ("Adam", {}, {}),
    "adam_all": ("Adam", {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-4, "weight_decay": 0.1, "maximize": True}, {}),
    "adam_amsgrad": ("Adam", {"lr": 0.05, "amsgrad": True}, {}),
    "adam_decoupled": ("Adam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, {}),
    "adam_groups": ("Adam", {"lr": 0.05}, {"betas": (0.5, 0.9), "lr": 0.2}),
    "adamw": ("AdamW", {}, {}),
    "adamw_all": ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True, "maximize": True}, {}),
    "adamw_groups": ("AdamW", {"lr": 0.05}, {"weight_decay": 0.5}),
}
#: name -> schedule and its options; a list of them with milestones in between is a sequence
SCHEDULES: dict[str, tuple[str, dict[str, Any]]] = {
    "step": ("StepLR", {"step_size": 3, "gamma": 0.5}),
    "exponential": ("ExponentialLR", {"gamma": 0.9}),
    "cosine": ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    "linear": ("LinearLR", {"start_factor": 0.1, "total_iters": 6}),
    "linear_down": ("LinearLR", {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 50}),
    "sequence": ("SequentialLR", {"milestones": [4, 9]}),
    "plateau": ("ReduceLROnPlateau", {"patience": 1}),
    "plateau_max": (
        "ReduceLROnPlateau",
        {"mode": "max", "factor": 0.5, "patience": 0, "threshold": 0.2, "threshold_mode": "abs", "cooldown": 2},
    ),
    "plateau_floor": ("ReduceLROnPlateau", {"patience": 0, "min_lr": 0.05, "threshold": 0.3, "eps": 0.01}),
}
#: what the schedules of a plateau are told
METRICS = [3.0, 2.0, 2.1, 1.9, 1.95, 1.96, 1.97, 0.5, -0.5, -0.6, -0.4, -0.3, -0.2, -1.5, -1.4, -1.3, -1.2, -1.1, -9, 5]


def rates(library: Any, optimizer: Any, case: str) -> np.ndarray:
    """The rates of all groups, from the start and after each of 20 steps; `library` is torch's or ours."""
    kind, options = SCHEDULES[case]
    if kind == "SequentialLR":
        parts = [library.LinearLR(optimizer, 0.1, total_iters=4), library.StepLR(optimizer, 2, 0.7)]
        options = {"schedulers": [*parts, library.CosineAnnealingLR(optimizer, T_max=30)], **options}
    schedule = getattr(library, kind)(optimizer, **options)
    found = [[group["lr"] for group in optimizer.param_groups]]
    for metric in METRICS:
        for p in [p for group in optimizer.param_groups for p in group["params"]]:
            p.grad = p.grad  # given anew, as a backward pass does
        optimizer.step()
        schedule.step(*([metric] if kind == "ReduceLROnPlateau" else []))
        found.append([group["lr"] for group in optimizer.param_groups])
    return np.array(found)


def torch_rates(case: str) -> np.ndarray:
    """The rates of two groups under torch's schedule."""
    import torch

    params = [torch.tensor(value, requires_grad=True) for value in (1.0, 2.0)]
    optimizer = torch.optim.SGD([{"params": params[:1], "lr": 0.3}, {"params": params[1:]}], lr=0.1)
    return rates(torch.optim.lr_scheduler, optimizer, case)


def start() -> list[np.ndarray]:
    """The parameters before the first step; one of them is a number."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in SHAPES]


def gradients() -> Iterator[list[np.ndarray]]:
    """The same made-up gradients for everybody, step by step, of very different sizes."""
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        yield [rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2) for shape in SHAPES]


def torch_optimiser(case: str) -> list[np.ndarray]:
    """All parameters after 20 steps of one optimiser under torch's rules."""
    import torch

    kind, options, own = OPTIMISERS[case]
    params = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in start()]
    groups: Any = [{"params": params[:2], **own}, {"params": params[2:]}] if own else params
    optimizer = getattr(torch.optim, kind)(groups, **options)
    for grads in gradients():
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    return [p.detach().numpy() for p in params]


def main() -> None:
    """Write everything that the tests compare with."""
    kept = {f"{case}.{i}": value for case in OPTIMISERS for i, value in enumerate(torch_optimiser(case))}
    kept |= {f"rates.{case}": torch_rates(case) for case in SCHEDULES}
    np.savez_compressed(Path(__file__).parent / "train.npz", **kept)


if __name__ == "__main__":
    main()
