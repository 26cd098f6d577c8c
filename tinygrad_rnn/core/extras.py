"""Packages that only some features need: imported where they are used, with an error that says what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import MissingExtraError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import inside this block what the extra `name` of the package brings; `MissingExtraError` when it is not there.

    >>> from tinygrad_rnn.core.extras import extra
    >>> with extra("plot"):
    ...     import no_such_package
    Traceback (most recent call last):
    tinygrad_rnn.core.errors.MissingExtraError: no_such_package is not installed: pip install 'tinygrad_rnn[plot]'
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or str(error)).partition(".")[0]
        raise MissingExtraError(f"{missing} is not installed: pip install 'tinygrad_rnn[{name}]'") from error
