"""Why something cannot be compiled, or recorded: what a function said to Tensors and short sequences, and where."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import FoldError, GraphError, TinygradError

_PACKAGE = str(Path(__file__).resolve().parents[1])


class CompileError(GraphError):
    """What a function does depends on values, so that no recording of it holds for other values."""


class Unwatchable(GraphError):
    """What a function reads besides its arguments is too much to be looked at in every call; inside of this package."""


class Unfoldable(FoldError):
    """The recorded graph is not one step repeated; inside of this package only, where the flat form takes over."""


class OtherNumber(Unfoldable):
    """A number differs between two recordings, and is none that a form for all lengths can take."""


class NotJittable(CompileError):
    """A plan has something for which there is no machine code here: the numpy executor carries it out."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the jitted executor has no form for {what}: take executor='numpy'")


@contextmanager
def told_as_reason(steps: int) -> Iterator[None]:
    """Whatever a function raises when it is given Tensors, and sequences cut to so many steps if any, as `Unfoldable`.

    What it decides by values (`CompileError`) and what memory lacks are no such reasons.
    """
    try:
        yield
    except (CompileError, MemoryError):
        raise
    except Exception as error:
        raise Unfoldable(_said(error, steps)) from error


def _said(error: Exception, steps: int) -> str:
    if isinstance(error, TinygradError):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_PACKAGE)]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    cut = f" and {steps} steps" if steps else ""
    return f"given Tensors{cut} it raises {type(error).__name__}: {error}{place}"
