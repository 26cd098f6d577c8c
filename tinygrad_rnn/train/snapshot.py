"""What a training run consists of: weights, the optimiser's memory, the schedule, the random generator.

Here they become arrays and facts, and come back from them, all or none. How those reach the disk is in `checkpoint`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import CheckpointError, TinygradError
from ..nn import Module
from ..nn.random import get_rng_state, set_rng_state
from .checkpoint import Checkpoint, checkpoints, read, runs, write
from .optim import Optimizer


def save_checkpoint(
    folder: str | os.PathLike[str], step: int, model: Module, optimizer: Optimizer, schedule: Any = None, *,
    arrays: Mapping[str, Any] | None = None, facts: Mapping[str, Any] | None = None, keep: int = 3,
) -> Path:  # fmt: skip
    """Write everything that the run needs to go on as if nothing had happened; returns the file.

    `arrays` and `facts` (anything JSON can hold) are yours; `load_checkpoint` gives them back. The last `keep` files of
    the folder stay.

    >>> import tempfile
    >>> import tinygrad_rnn as tg
    >>> class Line(tg.nn.Module):
    ...     def __init__(self):
    ...         self.w = tg.nn.parameter("w", 2.0)
    >>> model, folder = Line(), tempfile.TemporaryDirectory()
    >>> optimizer = tg.train.Adam(model.parameters())
    >>> _ = save_checkpoint(folder.name, 5, model, optimizer, facts={"epoch": 1})
    >>> model.w.assign(7.0)
    >>> load_checkpoint(folder.name, model, optimizer).facts, model.w.item()
    ({'epoch': 1}, 2.0)
    >>> folder.cleanup()
    """
    memory = optimizer.state_dict()
    held = {f"model.{name}": value for name, value in model.state_dict().items()}
    held |= {f"yours.{name}": value for name, value in (arrays or {}).items()}
    steps = {}
    for i, state in memory["state"].items():
        steps[str(i)] = state.pop("step")
        held |= {f"optimizer.{i}.{key}": value for key, value in state.items()}
    told = {
        "kinds": _kinds(optimizer, schedule),
        "groups": memory["param_groups"],
        "steps": steps,
        "schedule": None if schedule is None else schedule.state_dict(),
        "random": get_rng_state(),
        "yours": dict(facts or {}),
    }
    return write(folder, step, held, told, keep, optimizer.run)


def load_checkpoint(
    path: str | os.PathLike[str], model: Module, optimizer: Optimizer, schedule: Any = None
) -> Checkpoint:
    """Go back to what a file, or the last one of a folder, holds; returns its step and what was yours.

    Raises `CheckpointError`, before anything changes, for a file that is damaged, not ours or of another set-up, and
    for a folder in which several runs left theirs.
    """
    path = newest(path)
    return restore(path, read(path), model, optimizer, schedule)


def restore(path: Path, found: Checkpoint, model: Module, optimizer: Optimizer, schedule: Any = None) -> Checkpoint:
    """`load_checkpoint` of a file that was read: everything is as it was then, or stays as it is now.

    Raises `CheckpointError` for a file of another run.
    """
    facts = found.facts
    try:
        if facts["kinds"] != _kinds(optimizer, schedule):
            raise CheckpointError(f"it was written with {facts['kinds']}, here are {_kinds(optimizer, schedule)}")
        memory: dict[str, Any] = {"state": {}, "param_groups": facts["groups"]}
        memory["state"] = {i: {"step": step} for i, step in facts["steps"].items()}
        for name, value in _under("optimizer", found.arrays).items():
            i, key = name.split(".", 1)
            memory["state"][i][key] = value
        yours = Checkpoint(found.step, _under("yours", found.arrays), dict(facts["yours"]), found.run)
        wanted = Moment(_under("model", found.arrays), memory, facts["schedule"], facts["random"])
        wanted.all_or_nothing(model, optimizer, schedule)
    except KeyError as error:
        raise CheckpointError(f"{path} does not belong to this run: it does not say {error}") from error
    except (TinygradError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path} does not belong to this run: {error}") from error
    optimizer.run = found.run
    return yours


@dataclass(frozen=True)
class Moment:
    """What training changes, at one moment."""

    weights: dict[str, np.ndarray]
    memory: dict[str, Any]
    schedule: Any
    random: dict[str, Any]

    @classmethod
    def of(cls, model: Module, optimizer: Optimizer, schedule: Any) -> Moment:
        """This moment."""
        told = None if schedule is None else schedule.state_dict()
        return cls(model.state_dict(), optimizer.state_dict(), told, get_rng_state())

    def all_or_nothing(self, model: Module, optimizer: Optimizer, schedule: Any) -> None:
        """Go back to it, or, where one part does not fit, leave all as it is."""
        before = Moment.of(model, optimizer, schedule)
        try:
            self._put(model, optimizer, schedule)
        except Exception:
            before._put(model, optimizer, schedule)
            raise

    def _put(self, model: Module, optimizer: Optimizer, schedule: Any) -> None:
        # what can refuse without touching anything stands first
        set_rng_state(self.random)
        model.load_state_dict(self.weights)
        optimizer.load_state_dict(self.memory)
        if schedule is not None:
            schedule.load_state_dict(self.schedule)


def newest(path: str | os.PathLike[str]) -> Path:
    """A file itself, of a folder its last checkpoint; raises `CheckpointError` if there is none, or of several runs."""
    if not Path(path).is_dir():
        return Path(path)
    found = checkpoints(path)
    if not found:
        raise CheckpointError(f"{path}: no checkpoint in this folder")
    if len(last := [files[-1].name for files in runs(path).values()]) > 1:
        raise CheckpointError(
            f"{path}: the checkpoints in this folder are of {len(last)} runs (or one is damaged): give the file: "
            f"{', '.join(sorted(last))}"
        )
    return found[-1]


def _kinds(optimizer: Optimizer, schedule: Any) -> dict[str, str | None]:
    return {"optimizer": type(optimizer).__name__, "schedule": None if schedule is None else type(schedule).__name__}


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name[len(prefix) + 1 :]: value for name, value in arrays.items() if name.startswith(prefix + ".")}
