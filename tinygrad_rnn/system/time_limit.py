"""How long questions about domains may take: some have answers that no one waits for.

Eliminating a variable with coefficients other than one multiplies the domains, so that the work can grow without any
bound that is known before. Whoever asks says how long, and tells that the time was not enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import thread_time

from ..core.errors import DerivationError

#: when the time is over, and how long it was; None where nobody set a limit
_LIMIT: ContextVar[tuple[float, float] | None] = ContextVar("limit", default=None)


class Undecided(DerivationError):
    """A question about a domain took longer than it may."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Within the block, questions about domains end with `Undecided` after so many seconds, or when those of a block
    around it are over.

    >>> with patience(0.0):
    ...     keep_on()
    Traceback (most recent call last):
    tinygrad_rnn.system.time_limit.Undecided: the conditions on its indices take more than 0 s to decide
    """
    around, end = _LIMIT.get(), thread_time() + seconds
    token = _LIMIT.set((end, seconds) if around is None or end < around[0] else around)
    try:
        yield
    finally:
        _LIMIT.reset(token)


def keep_on() -> None:
    """Raises `Undecided` when the time is over."""
    limit = _LIMIT.get()
    if limit is not None and thread_time() > limit[0]:
        raise Undecided(f"the conditions on its indices take more than {limit[1]:g} s to decide")
