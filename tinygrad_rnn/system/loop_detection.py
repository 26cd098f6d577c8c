"""Find the steps of a plain Python loop, which nobody marked with `tg.steps`, in the order of its operations.

A loop records the same operations again and again; where that begins is its first operation. Nothing is moved: what
follows only gives each repetition its step, as `tg.steps` would have, and whether these are one step repeated is asked
of `fold`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.trace.unstack import index_of
from ..core.errors import DerivationError
from ..core.graph import Graph, is_constant, replaced, with_inputs
from ..core.scope import Scope
from ..core.tensor import Tensor
from .samples import is_learned

#: so often a thing has to be done to be called a loop
FEWEST = 3
MOST_NODES = 20_000


def with_steps(loss: Tensor) -> Tensor:
    """The graph with steps, where it has none; as it is where it repeats nothing.

    Raises `DerivationError` where two loops have different numbers of steps.
    """
    nodes = Graph(loss).nodes
    if any(node.scope.step is not None for node in nodes):
        return loss
    step_of = _steps([node for node in nodes if node.op is not None])
    if not step_of:
        return loss
    scopes: dict[tuple[int, int], Scope] = {}

    def change(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor | None:
        if node.id not in step_of:
            return None
        key = (id(node.scope), step_of[node.id])
        return with_inputs(node, inputs, scopes.setdefault(key, Scope(node.scope, index=step_of[node.id])))

    return replaced(loss, change)


def _steps(nodes: list[Tensor]) -> dict[int, int]:
    """The step of each node that belongs to one, by id."""
    if len(nodes) > MOST_NODES:
        raise DerivationError(f"a recording of {len(nodes):,} operations: record a shorter sequence")
    kinds: dict[Any, int] = {}
    codes = np.array([kinds.setdefault(_kind(node), len(kinds)) for node in nodes], dtype=np.int64)
    found: dict[int, int] = {}
    counts: dict[int, tuple[int, int]] = {}
    left = np.arange(len(nodes))
    while True:
        run = _longest(codes[left])
        if run is None:
            break
        start, period, count = run
        start, count = _phase([nodes[i] for i in left], start, period, count)
        inner = left[start : start + period * count]
        if _own_parameters([nodes[i] for i in inner], period):  # layers of a network, one above the other
            left = np.concatenate([left[:start], left[start + period * count :]])
            continue
        if counts and count not in counts and period > 1:
            (others,) = counts
            raise DerivationError(
                f"two loops with {others} and {count} steps: equations here run along one length; mark the steps of "
                "the main loop with tg.steps, or derive from an equation file with two indices"
            )
        if count in counts or not counts:
            counts[count] = start, period
            backwards = _counts_down([nodes[i] for i in inner])
            for k, i in enumerate(inner):
                found[nodes[i].id] = count - k // period if backwards else k // period + 1
        left = np.concatenate([left[:start], left[start + period * count :]])
    return found


def _own_parameters(nodes: list[Tensor], period: int) -> bool:
    """Whether repetitions read a parameter each, which no step of a loop does."""
    pairs = zip(nodes, nodes[period:], strict=False)
    return any(
        is_learned(x) and is_learned(y) and x is not y
        for a, b in pairs
        for x, y in zip(a.inputs, b.inputs, strict=False)
    )


def _kind(node: Tensor) -> Any:
    """What an operation is, apart from which entry of a sequence it picks."""
    params = {key: _static(value) for key, value in (node.params or {}).items()}
    return node.op, node.name, node.scope.label, node.shape, len(node.inputs), tuple(sorted(params.items()))


def _static(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return "whole number"
    return f"({', '.join(map(_static, value))})" if isinstance(value, tuple) else repr(value)


def _longest(codes: np.ndarray) -> tuple[int, int, int] | None:
    """Start, period and length of the longest stretch that repeats itself, the shortest period first."""
    best: tuple[int, int, int] | None = None
    covered = 0
    for period in range(1, len(codes) // FEWEST + 1):
        same = np.concatenate([[0], (codes[:-period] == codes[period:]).astype(np.int8), [0]])
        edges = np.flatnonzero(np.diff(same))
        starts, stops = edges[::2], edges[1::2]
        if not len(starts):
            continue
        longest = int(np.argmax(stops - starts))
        length = int(stops[longest] - starts[longest]) + period
        if length >= FEWEST * period and length - length % period > covered:
            best, covered = (int(starts[longest]), period, length), length - length % period
    return best


def _phase(nodes: list[Tensor], start: int, period: int, length: int) -> tuple[int, int]:
    """Where the loop begins in a stretch that repeats itself, and how often it runs.

    An operation before the loop, or after it, may be like one of its own. It does not read what they read: the start
    with the fewest such misfits is the loop's, the latest of these as what comes before is more often like its end.
    """
    count = length // period
    misfits = []
    for shift in range(length - period * count + 1):
        first = start + shift
        place = {nodes[first + k].id: k for k in range(period * count)}
        wrong = 0
        for k in range(period, period * count):
            a, b = nodes[first + k - period], nodes[first + k]
            for x, y in zip(a.inputs, b.inputs, strict=True):
                if y.id in place and x.id in place:
                    wrong += place[y.id] - place[x.id] not in (0, period)
                elif y.id not in place:
                    wrong += x is not y and not (is_constant(x) and is_constant(y))
        misfits.append(wrong)
    best = max(range(len(misfits)), key=lambda shift: (-misfits[shift], shift))
    return start + best, count


def _counts_down(nodes: list[Tensor]) -> bool:
    """Whether a loop reads its sequences from the end."""
    picks: dict[int, list[int]] = {}
    for node in nodes:
        if node.op is not None and node.op.name == "getitem" and node.inputs[0].op is None:
            at = index_of(node, 0)
            at = index_of(node, 1) if at is None and node.inputs[0].ndim > 1 else at
            if at is not None:
                picks.setdefault(node.inputs[0].id, []).append(at)
    return bool(picks) and all(
        found == sorted(found, reverse=True) and found[0] > found[-1] for found in picks.values()
    )
