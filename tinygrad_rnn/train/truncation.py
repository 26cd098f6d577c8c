"""Backpropagation through time that looks back only so far: every k1 steps, through k2 steps.

The forward pass goes through the whole sequence; each update sees a window of it. With k1 = 2 and k2 = 4:

    step          1    2    3    4    5    6    7    8
    update 1    [ L    L ]                                  losses of 1, 2, from the initial state
    update 2    [ ·    ·    L    L ]                        losses of 3, 4, through 4 steps
    update 3              [ ·    ·    L    L ]              losses of 5, 6; the state before 3 is taken as given
    update 4                        [ ·    ·    L    L ]

Each loss counts once. A window begins at a state whose value is kept and whose history is not (`detach_state`); its
steps before the losses (·) are run again, with the weights of now, because a graph recorded before an update cannot be
differentiated after it. With k1 = k2, the usual choice, nothing is run twice. What a step computes is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..core.errors import GraphError
from ..core.ops.reductions import add_n
from ..core.scope import no_grad, steps
from ..core.tensor import Tensor

State = Any


class Window(NamedTuple):
    """Run steps first..last, from the state after step first - 1; count the losses of steps counted..last."""

    first: int
    counted: int
    last: int


def windows(T: int, k1: int, k2: int | None = None) -> Iterator[Window]:
    """The windows of a sequence of T steps: one for each k1 steps, of the last k2 (k1 if not given).

    With k2 < k1 the losses of steps farther back than k2 are not counted: no gradient would reach them. Raises
    `GraphError` for less than one step.

    >>> import tinygrad_rnn as tg
    >>> [tuple(window) for window in tg.train.windows(5, 2, 3)]
    [(1, 1, 2), (2, 3, 4), (4, 5, 5)]
    """
    k2 = k1 if k2 is None else k2
    if k1 < 1 or k2 < 1:
        raise GraphError(f"truncated backpropagation takes k1 >= 1 and k2 >= 1, not {k1} and {k2}")
    done = 0
    while done < T:
        last = min(done + k1, T)
        first = max(done + 1 - (k2 - k1), 1) if k2 >= k1 else max(last - k2, done) + 1
        yield Window(first, max(done + 1, first), last)
        done = last


def truncated(
    step: Callable[[int, State], tuple[State, Tensor | None]], T: int, state: State, k1: int, k2: int | None = None
) -> Iterator[tuple[Tensor, State]]:
    """For each window its loss and the state after it; differentiate the loss, update, and ask for the next.

    `step(t, state)` computes time step t = 1..T and returns the new state and the loss of that step, or None.
    A window in which no loss was counted is passed over.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(0.2, name="w")
    >>> def step(t, h):
    ...     h = tg.name("h", w * h)
    ...     return h, h
    >>> for loss, h in tg.train.truncated(step, 3, tg.tensor(0.9), k1=1, k2=2):
    ...     print(round(tg.gradients(loss, w), 6))
    0.9
    0.36
    0.072
    """
    kept: dict[int, State] = {0: detach_state(state)}
    done = 0
    for window in windows(T, k1, k2):
        for t in steps(done + 1, window.first):
            with no_grad():
                kept[t] = detach_state(step(t, kept[t - 1])[0])
        # the first window alone reaches what came before the sequence
        now = kept[window.first - 1] if done or window.first > 1 else state
        losses = []
        for t in steps(window.first, window.last + 1):
            now, loss = step(t, now)
            kept[t] = detach_state(now)
            if loss is not None and t >= window.counted:
                losses.append(loss)
        done = window.last
        kept = {t: value for t, value in kept.items() if t >= window.first - 1}
        if losses:
            yield losses[0] if len(losses) == 1 else add_n(losses), kept[done]


def detach_state(state: State) -> State:
    """The same values and names without their history, in the same tuples, lists and dicts: a new beginning.

    >>> import tinygrad_rnn as tg
    >>> h, c = tg.train.detach_state((tg.tensor(1.0) * 2.0, None))
    >>> h.item(), h.op, h.requires_grad, c
    (2.0, None, False, None)
    """
    if isinstance(state, Tensor):
        if state.op is None and not state.requires_grad:
            return state
        free = state.detach()
        free.name = state.name
        return free
    if isinstance(state, dict):
        return {key: detach_state(part) for key, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(detach_state, state))
    if isinstance(state, list | tuple):
        return type(state)(map(detach_state, state))
    return state
