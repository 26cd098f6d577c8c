"""Where in an array a gradient is wrong: which steps, rows and columns, and which gate's block of fused weights.

The names of gates are those of the user's own code: `f = sigmoid(a[:, H:2*H])` in a forward function, or
`i, f, o, g = np.split(a, 4, axis=1)`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from types import FunctionType

import numpy as np

from .arrays import ArrayPlace

#: gates of an LSTM, of a GRU, of simpler cells, of an LSTM with one more
USUAL = (4, 3, 2, 5)


def located(wrong: np.ndarray, blocks: int, gates: list[str]) -> str:
    """Which part of an array is wrong, unless it is all of it: `columns 5 to 9 (block 2 of 4: gate f)`."""
    if wrong.ndim == 0 or wrong.all() or not wrong.any():
        return ""
    parts, ending = [], ""
    for axis in range(wrong.ndim):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        along = np.any(wrong, axis=others)
        if not along.all():
            stretch = f"{_axis(axis, wrong.ndim)} {_listed(np.flatnonzero(along))}"
            fused = blocks > 1 and axis == wrong.ndim - 1 and wrong.shape[axis] % blocks == 0
            parts.append(stretch + (_gates(along, blocks, gates) if fused else ""))
            if wrong.ndim > 2 and along[:-1].all() and not along[-1]:
                ending = ": right at the last, so what comes back from later steps is wrong"
    if not parts:
        return f"wrong at {int(wrong.sum())} of {wrong.size} entries"
    return f"wrong in {' and '.join(parts)} only{ending}"


def _axis(axis: int, rank: int) -> str:
    if rank == 2:
        return ("rows", "columns")[axis]
    return "entries" if rank == 1 else f"axis {axis} at"


def _listed(indices: np.ndarray) -> str:
    """`2`, or `5 to 9`, or `0, 4, 7`."""
    first, last = int(indices[0]), int(indices[-1])
    if len(indices) > 2 and last - first == len(indices) - 1:
        return f"{first} to {last}"
    shown = [str(int(i)) for i in indices[:6]]
    return ", ".join(shown) + (", ..." if len(indices) > 6 else "")


def _gates(along: np.ndarray, blocks: int, gates: list[str]) -> str:
    """The blocks in which something is wrong."""
    wrong = [i for i, block in enumerate(np.split(along, blocks)) if block.any()]
    if len(wrong) == blocks:
        return ""
    named = [f"gate {gates[i]}" for i in wrong] if len(gates) == blocks else []
    numbers = " and ".join(str(i + 1) for i in wrong)
    which = f"block{'s' if len(wrong) > 1 else ''} {numbers} of {blocks}"
    return f" ({which}{': ' + ' and '.join(named) if named else ''})"


def fused(
    place: ArrayPlace, shapes: Mapping[ArrayPlace, tuple[int, ...]], functions: list[FunctionType]
) -> tuple[int, list[str]]:
    """How many gates are fused in the last axis of an array, and what they are called, as far as that is found."""
    counts = blocks_of(place, shapes)
    named = [(count, names) for count in counts if (names := gate_names(functions, count))]
    return named[0] if named else (counts[0] if counts else 1, [])


def blocks_of(place: ArrayPlace, shapes: Mapping[ArrayPlace, tuple[int, ...]]) -> list[int]:
    """How many gates may be fused in the last axis of an array: 4 where some weight is (H, 4H) and it ends in 4H."""
    shape = shapes[place]
    counts: set[int] = set()
    for rows, columns in (other for other in shapes.values() if len(other) == 2 and 0 not in other):
        if shape and shape[-1] == columns and columns % rows == 0:
            counts.add(columns // rows)
    return [count for count in USUAL if count in counts]


def gate_names(functions: list[FunctionType], blocks: int) -> list[str]:
    """What the blocks of a fused product are called in the source of the forward function; empty if that is not
    found.
    """
    for function in functions:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, SyntaxError):  # typed at a prompt, or a lambda inside of a longer line
            continue
        names = _from_split(tree, blocks) or _from_slices(tree, blocks)
        if names:
            return names
    return []


def _from_split(tree: ast.AST, blocks: int) -> list[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Tuple):
            called = node.value.func
            word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            names = [part.id for part in node.targets[0].elts if isinstance(part, ast.Name)]
            if word in ("split", "array_split", "hsplit") and len(names) == blocks:
                return names
    return []


def _from_slices(tree: ast.AST, blocks: int) -> list[str]:
    """Names assigned from something that slices the last axis, in the order of where the slices begin."""
    begins: dict[str, float] = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            continue
        slices = [part for inner in ast.walk(node.value) if isinstance(inner, ast.Subscript) for part in _last(inner)]
        if len(slices) == 1 and (slices[0].lower is not None or slices[0].upper is not None):
            begin = _multiple(slices[0].lower)
            if begin is not None:
                begins[node.targets[0].id] = begin
    if sorted(begins.values()) != list(range(blocks)):
        return []
    return sorted(begins, key=lambda name: begins[name])


def _last(subscript: ast.Subscript) -> list[ast.Slice]:
    index = subscript.slice.elts[-1] if isinstance(subscript.slice, ast.Tuple) else subscript.slice
    return [index] if isinstance(index, ast.Slice) else []


def _multiple(bound: ast.expr | None) -> float | None:
    """2 for `2*H` or `H*2`, 1 for `H`, 0 for nothing; None for anything else."""
    match bound:
        case None | ast.Constant(value=0):
            return 0
        case ast.Name() | ast.Attribute():
            return 1
        case (
            ast.BinOp(op=ast.Mult(), left=ast.Constant(value=int(n)))
            | ast.BinOp(op=ast.Mult(), right=ast.Constant(value=int(n)))
        ):
            return n
    return None
