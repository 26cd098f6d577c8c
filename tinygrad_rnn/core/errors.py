"""Every error this package raises on purpose, and `extra`, which says what to install.

An error is part of the interface: it says where it happened, what was found, what was expected and what to do next. All
of them derive from `TinygradError` *and* from the built-in a numpy user would catch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


class TinygradError(Exception):
    """Base class: catching it catches everything this package raises on purpose."""


class ShapeError(TinygradError, ValueError):
    """Shapes do not fit; the message names the operation, the scope and time step, and the shapes."""


class DtypeError(TinygradError, TypeError):
    """A value has no derivative because of its type: integers, booleans, complex numbers, objects."""


class NotDifferentiableError(TinygradError, TypeError):
    """A numpy function with no declared derivative was called on a Tensor."""


class GraphError(TinygradError, ValueError):
    """A question that the recorded graph cannot answer: an unknown name, an output that is not a scalar."""


class FoldError(GraphError):
    """The steps of a graph are not one step repeated; the message names the first operation and step that differ."""


class ReadOnlyError(TinygradError, TypeError):
    """An attempt to write into a value that a graph can see."""


class NonFiniteError(TinygradError, FloatingPointError):
    """A value or gradient is nan or inf; the message names where it first was."""


class CheckpointError(TinygradError, ValueError):
    """A file is no checkpoint, or not a whole one, or belongs to another model."""


class DerivationError(TinygradError, ValueError):
    """No equations can be written or derived here; the message says what is in the way, where, and what would help."""


class MissingExtraError(TinygradError, ImportError):
    """A package that is only needed for this is not installed; the message names the extra to install."""


def kind_of(value: object) -> str:
    """The type of a value as its user knows it: with the package it comes from, unless that is Python or this one.

    >>> import numpy as np
    >>> kind_of(3), kind_of(np.ones(2))
    ('int', 'numpy.ndarray')
    """
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__name__ if package in ("builtins", "tinygrad_rnn") else f"{package}.{kind.__name__}"


@dataclass(frozen=True)
class Mend:
    """A proposal to write `text` between two places of the source, and how that is said."""

    start: int
    stop: int
    text: str
    said: str


class LanguageError(TinygradError, ValueError):
    """Something in an equation file cannot be read, with file, line, column, a caret and what was expected.

    Attributes: `message`, `name` (of the file), `line`, `column` (both from 1), `hint`, `excerpt` (the source line
    with its underline, ready to print), `mends` (what could be meant instead, the likeliest first).
    """

    mends: Sequence[Mend] = ()

    def __init__(
        self, message: str, name: str = "<text>", line: int = 1, column: int = 1, excerpt: str = "", hint: str = ""
    ) -> None:
        self.message, self.name, self.line, self.column = message, name, line, column
        self.excerpt, self.hint = excerpt, hint
        body = [f"{name}:{line}:{column}: {message}"]
        body += ["    " + text for text in excerpt.splitlines()]
        body += ["    " + text for text in hint.splitlines()]
        super().__init__("\n".join(body))


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import inside this block what the extra `name` of the package brings; `MissingExtraError` when it is not there.

    >>> from tinygrad_rnn.core.errors import extra
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
