"""The training loop: a batch, an update, and now and then a look at how it goes.

A run that was killed is taken up from its last checkpoint and ends in the same bits as one that was not. How gradients
come about and what becomes of them is in `gradient`, what a checkpoint holds in `snapshot`, what the run says
in `progress`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.figures import drawable
from ..analysis.finite import NonFinite
from ..core.errors import CheckpointError, GraphError, NonFiniteError
from ..core.tensor import plain
from ..nn import Module
from ..nn.arguments import whole
from ..nn.random import get_rng_state, set_rng_state
from . import clip as clipping
from .checkpoint import Checkpoint, checkpoints, make_ready, read
from .data import Batches, batches_of
from .gradient import CompiledGradient, LossFunction, RecordedGradient, Update
from .history import History
from .optim import Optimizer
from .progress import Log, Quiet, teller
from .schedules import ReduceLROnPlateau, Schedule
from .snapshot import newest, restore, save_checkpoint
from .stopping import EarlyStopping


def fit(
    model: Module, loss_fn: LossFunction, data: Batches | Sequence[Any], optimizer: Optimizer, *,
    steps: int | None = None, epochs: int | None = None, clip: float | clipping.Rule | None = None,
    schedule: Schedule | ReduceLROnPlateau | None = None, validate: Callable[[Module], Any] | None = None,
    early_stopping: EarlyStopping | None = None, stop: Callable[[History], bool] | None = None,
    checkpoint: str | os.PathLike[str] | None = None, every: int | None = None, keep: int = 3, resume: bool = True,
    nonfinite: str = "raise", compile: bool | str = False, log: Log = True, plot: str | os.PathLike[str] | None = None,
) -> History:  # fmt: skip
    """Train a model for `steps` steps, or `epochs` times through the data; returns what the run was like.

    | Argument | Meaning |
    |---|---|
    | `loss_fn(model, batch)` | a scalar Tensor |
    | `data` | a function from the step's number (from 0) to its batch, a `Minibatches`, or a list of batches |
    | `clip` | the largest norm of all gradients together, or a rule of `train.clip` |
    | `schedule` | moves once a step; `ReduceLROnPlateau` once a look, with what is watched there |
    | `every` | a look at the run every so many steps (100, or an epoch), and one at the end |
    | `validate(model)` | the number watched at a look, with `training` off; else the mean loss since the look before |
    | `early_stopping` | stops when what is watched no longer falls |
    | `stop(history)` | asked at each look; true ends the run |
    | `checkpoint` | a folder; the last `keep` looks are kept there, and an interrupted run goes on (`resume`) |
    | `nonfinite` | `raise` an error that names the first operation and step that gave nan or inf, or `skip` the step |
    | `compile` | train what `tg.compile` makes of the loss: True, or "jit" (extra `jit`) |
    | `log` | a progress bar or lines (True), nothing (False), or a function that takes a line |
    | `plot` | a file for the curves of loss and gradient norm |

    A resumed run is bit-identical to an uninterrupted one if batches depend on the step's number or draw from
    `nn.random`, and what the model carries from step to step is a buffer. Raises `NonFiniteError`, `CheckpointError`
    for a checkpoint that belongs to another run, `GraphError` when what there is to do is not clear.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> class Line(tg.nn.Module):
    ...     def __init__(self):
    ...         self.w = tg.nn.parameter("w", 0.0)
    >>> model = Line()
    >>> def loss(model, x):
    ...     return np.sum((model.w * x - 3.0 * x) ** 2)
    >>> sgd = tg.train.SGD(model.parameters(), lr=0.05)
    >>> history = tg.train.fit(model, loss, lambda step: np.array([1.0, 2.0]), sgd, steps=50, every=25, log=print)
    step 25/50: loss 2.4, gradient 1.79e-06
    step 50/50: loss 2.13e-15, gradient 5.33e-14
    >>> round(model.w.item(), 6)
    3.0
    """
    total, every = _extent(data, steps, epochs, every)
    _check(model, optimizer, schedule, early_stopping, nonfinite)
    if plot is not None:
        drawable(plot)  # told now, not after hours of training
    gradient = _gradient_of(model, loss_fn, optimizer, compile)
    run = _Run(model, optimizer, schedule, early_stopping, checkpoint, keep)
    run.begin(resume)
    run.history.watching = "validation" if validate else "mean loss"
    batches = batches_of(data)
    update = Update(gradient, clipping.rule_of(clip), optimizer, "jit" if compile == "jit" else "numpy")
    with teller(log, total) as told:
        if run.history.resumed:
            told.look(f"taken up at step {run.step} from {checkpoint}")
        while run.step < total and not run.history.stopped:
            with np.errstate(all="ignore"):  # what is not finite is told below, once and with its place
                batch = batches(run.step)
                loss, norm, usable = update(batch)
                if not usable and nonfinite == "raise":
                    raise NonFiniteError(_unusable(run.step, loss, gradient.first_nonfinite(batch)))
            run.advance(loss, norm)
            told.step(run.step, loss)
            if run.step % every == 0 or run.step == total:
                run.look(validate, stop, told, total)
    if early_stopping is not None:
        early_stopping.finish(model)
    if plot is not None:
        run.history.plot(plot)
    return run.history


class _Run:
    """A run at one moment: everything that changes from step to step."""

    def __init__(
        self, model: Module, optimizer: Optimizer, schedule: Schedule | ReduceLROnPlateau | None,
        stopping: EarlyStopping | None, folder: str | os.PathLike[str] | None, keep: int,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.schedule, self.stopping = model, optimizer, schedule, stopping
        self.folder, self.keep, self.history = folder, keep, History()

    @property
    def step(self) -> int:
        return self.history.steps

    def begin(self, resume: bool) -> None:
        """Start, or go back to the last checkpoint of the folder."""
        self.model.train()
        if self.folder is not None:
            make_ready(self.folder)
        if self.folder is None or not (there := checkpoints(self.folder)):
            return
        if not resume:
            raise CheckpointError(
                f"{self.folder} holds checkpoints up to {there[-1].name}: resume=True goes on from there; "
                "for a new run give another folder, or delete them"
            )
        path = newest(self.folder)
        found = read(path)
        history = self._told(path, found)
        best = {name[11:]: value for name, value in found.arrays.items() if name.startswith("yours.best.")}
        facts = restore(path, found, self.model, self.optimizer, self.schedule).facts
        self.history = history
        if self.stopping is not None:
            self.stopping.load_state_dict(facts["stopping"], best)

    def _told(self, path: Path, found: Checkpoint) -> History:
        """The history in a file; raises `CheckpointError`, before anything changes, where it is of another kind."""
        kind = "was written by another kind of run"
        try:
            facts, stopping = found.facts["yours"], self.stopping
            if "stopped" not in facts:
                raise CheckpointError(f"{path} {kind}: by save_checkpoint, not by fit")
            if (facts["stopping"] is None) != (stopping is None):
                raise CheckpointError(f"{path} {kind}: with early stopping or without it")
            if stopping is not None and (lacking := stopping.state_dict().keys() - facts["stopping"].keys()):
                raise KeyError(*lacking)
            arrays = {name[6:]: value for name, value in found.arrays.items() if name.startswith("yours.")}
            history = History.of(arrays, facts["stopped"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{path} does not belong to this run: it does not say {error}") from error
        history.resumed = history.steps
        return history

    def advance(self, loss: float, norm: float) -> None:
        """Remember one step, and move on."""
        history = self.history
        history.loss.append(loss)
        history.norm.append(norm)
        history.lr.append(self.optimizer.param_groups[0]["lr"])
        if isinstance(self.schedule, Schedule):
            self.schedule.step()

    def look(
        self, validate: Callable[[Module], Any] | None, stop: Callable[[History], bool] | None, told: Quiet, total: int
    ) -> None:
        """Validate, tell, decide whether to go on, and save."""
        history = self.history
        since = history.looks[-1] if history.looks else 0
        mean = _mean(history.loss[since:])
        watched = _validated(validate, self.model) if validate else mean
        history.looks.append(self.step)
        history.watched.append(watched)
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(watched)
        beside = f", validation {watched:.3g}" if validate else ""
        told.look(f"step {self.step}/{total}: loss {mean:.3g}, gradient {history.norm[-1]:.3g}{beside}")
        if self.stopping is not None:
            history.stopped = self.stopping.look(self.step, watched, self.model)
        if not history.stopped and stop is not None and stop(history):
            history.stopped = "asked to stop"
        if history.stopped:
            told.look(f"stopped at step {self.step}: {history.stopped}")
        if self.folder is not None:
            self._save()

    def _save(self) -> None:
        assert self.folder is not None
        stopping = self.stopping
        best = {} if stopping is None else {f"best.{name}": value for name, value in stopping.weights.items()}
        facts = {"stopped": self.history.stopped, "stopping": None if stopping is None else stopping.state_dict()}
        save_checkpoint(
            self.folder,
            self.step,
            self.model,
            self.optimizer,
            self.schedule,
            arrays=self.history.arrays() | best,
            facts=facts,
            keep=self.keep,
        )


def _extent(data: Any, steps: int | None, epochs: int | None, every: int | None) -> tuple[int, int]:
    """How many steps in all, and how many from one look to the next."""
    if (steps is None) == (epochs is None):
        raise GraphError("fit: say how long to train, by steps= or by epochs=")
    every = None if every is None else whole("fit", "every", every)
    if epochs is None:
        return whole("fit", "steps", steps, least=0), every or 100
    if not hasattr(data, "__len__"):
        raise GraphError("fit: epochs= needs data with a length: a list of batches or Minibatches; or give steps=")
    return whole("fit", "epochs", epochs, least=0) * len(data), every or len(data)


def _check(model: Module, optimizer: Any, schedule: Any, stopping: Any, nonfinite: str) -> None:
    """Raise `GraphError` for what does not belong together."""
    if not isinstance(optimizer, Optimizer):
        raise GraphError(f"fit: optimizer is one of train.SGD, Adam, ... made for the parameters, not {optimizer!r}")
    if not {id(p) for p in optimizer.parameters} & {id(p) for p in model.parameters()}:
        raise GraphError("fit: the optimizer was made for other parameters than those of this model")
    if schedule is not None and getattr(schedule, "optimizer", None) is not optimizer:
        raise GraphError(f"fit: schedule is one of train.StepLR, ... made for this very optimizer, not {schedule!r}")
    if stopping is not None and not isinstance(stopping, EarlyStopping):
        raise GraphError(f"fit: early_stopping is a train.EarlyStopping(patience=...), not {stopping!r}")
    if nonfinite not in ("raise", "skip"):
        raise GraphError(f"fit: nonfinite is 'raise' or 'skip', not {nonfinite!r}")


def _gradient_of(model: Module, loss_fn: LossFunction, optimizer: Optimizer, compile: bool | str) -> RecordedGradient:
    if not compile:
        return RecordedGradient(model, loss_fn, optimizer.parameters)
    return CompiledGradient(model, loss_fn, optimizer.parameters, "numpy" if compile is True else compile)


def _unusable(step: int, loss: float, first: NonFinite | None) -> str:
    what = "gradient" if isfinite(loss) else f"loss is {loss}: its gradient"
    return (
        f"training step {step}: the {what} is of no use. {first or ''}. Nothing was changed in this step: "
        "lower the learning rate, clip (clip=1.0), or skip such steps (nonfinite='skip')"
    )


@contextmanager
def _apart(model: Module) -> Iterator[None]:
    """With `training` off, and so that the training that follows draws and carries on what it would have without."""
    random = get_rng_state()
    buffers = {name: np.array(value) for name, value in model.named_buffers()}
    model.eval()
    try:
        yield
    finally:
        model.train()
        set_rng_state(random)
        modules = dict(model.named_modules())
        for name, value in buffers.items():
            owner, _, key = name.rpartition(".")
            setattr(modules[owner], key, value)


def _mean(losses: list[float]) -> float:
    """Of those that are finite: steps may have been skipped."""
    finite = [loss for loss in losses if isfinite(loss)]
    return sum(finite) / len(finite) if finite else float("nan")


def _validated(validate: Callable[[Module], Any], model: Module) -> float:
    with _apart(model):
        found = plain(validate(model))
    if np.size(found) != 1 or np.asarray(found).dtype.kind not in "biuf":
        raise GraphError(f"fit: validate has to return one number, not {found!r}")
    return float(np.asarray(found).item())
