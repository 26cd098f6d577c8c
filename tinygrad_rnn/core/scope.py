"""Where in the model, and at which time step, a node was made.

Scopes nest. Each has a label (`encoder`) or an index (`t = 3`, a pair for a 2-D net, a path for a tree). Here is only
answered "where are we now?"; nothing is known of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

Index = int | tuple[int, ...]


class Scope:
    """One place of the model: `parent`, `label`, `index`, the innermost time `step`, and whether operations are
    recorded.
    """

    __slots__ = ("index", "label", "parent", "recording", "step")

    def __init__(
        self, parent: Scope | None, label: str | None = None, index: Index | None = None, recording: bool | None = None
    ) -> None:
        self.parent, self.label, self.index = parent, label, index
        inherited = parent is None or parent.recording
        self.recording: bool = inherited if recording is None else recording
        self.step: Index | None = index if index is not None or parent is None else parent.step

    @property
    def path(self) -> tuple[Scope, ...]:
        """The scopes from the outermost to this one that have a label or an index."""
        scopes: list[Scope] = []
        here: Scope | None = self
        while here is not None and here.parent is not None:
            if here.label is not None or here.index is not None:
                scopes.append(here)
            here = here.parent
        return tuple(reversed(scopes))

    def __deepcopy__(self, memo: object) -> Scope:
        return self  # a place of the model, whoever stands there

    def __str__(self) -> str:
        parts = [s.label if s.index is None else f"t={s.index}" for s in self.path]
        return ", ".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"Scope({str(self) or 'root'})"


ROOT = Scope(None)
_current: ContextVar[Scope] = ContextVar("tinygrad_rnn_scope", default=ROOT)

current = _current.get


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Make `scope` the current one until the block ends."""
    before = _current.get()
    _current.set(scope)
    try:
        yield scope
    finally:
        _current.set(before)


def scope(label: str) -> AbstractContextManager[Scope]:
    """Name a part of the model; nodes made inside the block carry the label.

    >>> import tinygrad_rnn as tg
    >>> with tg.scope("encoder"):
    ...     h = tg.tensor(0.5) * 2.0
    >>> str(h.scope)
    'encoder'
    """
    return entered(Scope(current(), label=label))


def step(index: Index) -> AbstractContextManager[Scope]:
    """Enter one time step (a pair of indices for a 2-D net, a path for a tree).

    >>> import tinygrad_rnn as tg
    >>> with tg.step(3):
    ...     h = tg.tensor(0.5) * 2.0
    >>> h.scope.step
    3
    """
    return entered(Scope(current(), index=index))


def steps(*bounds: int) -> Iterator[int]:
    """Count as `range` does, and enter each time step while its block lasts.

    >>> import tinygrad_rnn as tg
    >>> [t for t in tg.steps(3)], [t for t in tg.steps(1, 4)]
    ([0, 1, 2], [1, 2, 3])
    """
    here: Scope | None = None
    try:
        for t in range(*bounds):
            here = Scope(_outside(here), index=t)
            _current.set(here)
            yield t
    finally:
        # nothing to leave where the block was left before: a traceback can keep the generator for long
        _current.set(_outside(here))


def _outside(left: Scope | None) -> Scope:
    """The current scope, or the one around `left` if we are still inside of that."""
    here: Scope | None = current()
    while here is not None and here is not left:
        here = here.parent
    return current() if here is None or here.parent is None else here.parent


def no_grad() -> AbstractContextManager[Scope]:
    """Compute values without recording a graph.

    >>> import tinygrad_rnn as tg
    >>> with tg.no_grad():
    ...     y = tg.tensor(2.0) * 3.0
    >>> y.op is None, y.item()
    (True, 6.0)
    """
    return entered(Scope(current(), recording=False))


def move_to(place: Scope) -> None:
    """Continue in `place`: for a sweep that visits many scopes inside one `entered` block."""
    _current.set(place)
