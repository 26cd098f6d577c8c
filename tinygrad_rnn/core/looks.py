"""When a value leaves the graph: whether it may do so by itself, and whether it did.

Only asked and noted here; what follows from it is decided by those who record or differentiate a function.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import local

from .errors import NotDifferentiableError

UNCOPIED: ContextVar[bool] = ContextVar("tinygrad_rnn_uncopied", default=False)


@contextmanager
def uncopied() -> Iterator[None]:
    """While the block lasts, no Tensor becomes a plain array by itself: for recordings that hold for other values."""
    token = UNCOPIED.set(True)
    try:
        yield
    finally:
        UNCOPIED.reset(token)


_thread = local()


@contextmanager
def followed() -> Iterator[None]:
    """While the block lasts, what is computed belongs to a graph that will be differentiated."""
    _thread.depth = getattr(_thread, "depth", 0) + 1
    try:
        yield
    finally:
        _thread.depth -= 1


def is_followed() -> bool:
    """Whether somebody differentiates or records what this thread computes."""
    return bool(getattr(_thread, "depth", 0)) or UNCOPIED.get()


def looks() -> int:
    """How often this thread took a plain value out of a graph that asks for gradients, so far."""
    return getattr(_thread, "count", 0)


def note_look() -> None:
    """A plain value was taken out of a graph that asks for gradients."""
    _thread.count = looks() + 1


def refuse_choice() -> None:
    """Ends a comparison that np.linalg makes to choose a norm: `np.linalg.norm(a, ord=t)` of a plain array `a`.

    numpy asks the classes of the arrays alone who is to compute this, so the comparison is all that a Tensor given as
    `ord` hears of it; what comes out is plain, and no gradient would flow to it. Raises `NotDifferentiableError`.
    """
    if sys._getframe(2).f_globals.get("__name__", "").startswith("numpy.linalg"):
        raise NotDifferentiableError(
            "np.linalg chooses a norm by the value of a Tensor (ord=, p=) and loses its gradient: give a number, "
            "t.item(), or write np.sum(np.abs(x) ** t) ** (1 / t), which is differentiated by t as well"
        )
