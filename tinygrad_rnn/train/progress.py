"""What a training run says while it runs: a bar in a terminal, lines of text everywhere else.

The loop calls `step` after every step and `look` whenever it looked at the run; how that is told is decided here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

Log = bool | Callable[[str], Any]


class Quiet:
    """Says nothing; what the other tellers share."""

    def step(self, step: int, loss: float) -> None:
        """After every step."""

    def look(self, text: str) -> None:
        """When the run was looked at, or something happened that a person should know."""


class Lines(Quiet):
    """One line for each look."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.say = say

    def look(self, text: str) -> None:
        self.say(text)


class Bar(Quiet):
    """rich's progress bar with the loss beside it; looks are printed above."""

    def __init__(self, progress: Any, total: int) -> None:
        self.progress, self.task = progress, progress.add_task("training", total=total, loss="")
        self.total, self.shown = total, 0.0

    def step(self, step: int, loss: float) -> None:
        now = monotonic()
        if now - self.shown > 0.1 or step == self.total:  # a bar that moves ten times a second costs nothing
            self.progress.update(self.task, completed=step, loss=f"loss {loss:.4g}")
            self.shown = now

    def look(self, text: str) -> None:
        self.progress.print(text, markup=False, highlight=False)


@contextmanager
def teller(log: Log, total: int) -> Iterator[Quiet]:
    """Who tells: nobody (`log=False`), a function of yours, a bar where there is a terminal and rich, else lines."""
    if callable(log):
        yield Lines(log)
    elif not log:
        yield Quiet()
    elif not sys.stdout.isatty() or (progress := _rich()) is None:
        yield Lines(lambda text: print(text, flush=True))
    else:
        with progress:
            yield Bar(progress, total)


def _rich() -> Any:
    """A progress bar, or None where rich is not installed: it is a comfort, not a need."""
    try:
        # an extra, without which a run says less
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"), TimeRemainingColumn())
    return Progress(*columns)
