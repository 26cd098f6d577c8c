"""Why something cannot be compiled."""

from __future__ import annotations

from ..core.errors import FoldError, GraphError


class CompileError(GraphError):
    """What a function does depends on values, so that no recording of it holds for other values."""


class Unwatchable(GraphError):
    """What a function reads besides its arguments is too much to be looked at in every call; inside of this room."""


class Unfoldable(FoldError):
    """The recorded graph is not one step repeated; inside of this room only, where the flat form takes over."""


class OtherNumber(Unfoldable):
    """A number differs between two recordings, and is none that a form for all lengths can take."""


class NotJittable(CompileError):
    """A plan has something for which there is no machine code here: the numpy executor carries it out."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the jitted executor has no form for {what}: take executor='numpy'")
