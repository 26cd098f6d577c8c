"""Carry a plan out in machine code: one function for all its stages, compiled by numba, kept on disk.

Here buffers get memory and the function its arguments. What the function does is written in `emit_jit`, what it calls
stands in `kernels`, where it is kept is decided in `cache`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, partial
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import ref as weakly

import numpy as np

from ...core.errors import MissingExtraError
from ..planning.plan import END, START, Buffer, MemRef, Plan, chunk_of
from ..result_memory import Results
from .cache import module
from .emit_jit import BLAS, FIRST, emit

ALIGNED = 64
#: addresses of so many arrays are remembered for each argument
_KEPT = 4


class JitRunner:
    """A plan in machine code: call it with the values of the arguments and N, as `NumpyRunner`.

    `together`: see `Results`. Raises `MissingExtraError` without numba or scipy, `NotJittable` for a plan with
    operations that have no form here.
    """

    blas = "scipy"

    def __init__(self, plan: Plan, together: bool = False) -> None:
        self._kernels = kernels = _kernels()
        self.plan = plan
        self._text, self._buffers, self._momentary = emit(plan)
        self._run = module(self._text, _stamp(kernels)).run
        self._chunks = chunk_of(plan.stages)
        number = {id(buffer): n + FIRST for n, buffer in enumerate(self._buffers)}
        self._at = np.zeros(len(self._buffers) + FIRST, np.intp)
        self._at[:FIRST] = [*map(kernels.blas, BLAS), _limit(kernels)]
        self._given = [(k, b, number[id(b)]) for k, b in enumerate(plan.arguments) if id(b) in number]
        self._known: list[dict[int, tuple[Any, int]]] = [{} for _ in plan.arguments]
        self._there: list[Any] = [None] * len(plan.arguments)  # whose address was given last
        self._copies: list[Any] = [None] * len(plan.arguments)
        order = {id(ref.buffer): n for n, ref in enumerate(plan.outputs)}
        results = sorted([b for b in self._buffers if b.kind == "result"], key=lambda b: order.get(id(b), -1))
        self._results = [(b, number[id(b)]) for b in results]
        self._outputs = [(self._result(ref), ref) for ref in plan.outputs]
        self._made = Results([(k, partial(_seen, ref)) for k, ref in self._outputs if k >= 0], together)
        self._shapes: tuple[int, Any] = (-1, None)
        self._own = [(b, number[id(b)]) for b in self._buffers if b.kind in ("scratch", "chunk")]
        self._held = [np.ascontiguousarray(b.value, b.dtype) for b in self._buffers if b.kind == "constant"]
        constants = [b for b in self._buffers if b.kind == "constant"]
        for buffer, held in zip(constants, self._held, strict=True):
            self._at[number[id(buffer)]] = held.ctypes.data
        self._memory = np.empty(0, np.uint8)
        self._places: dict[int, np.ndarray] = {}
        self._room = -1

    def peak_bytes(self, N: int) -> int:
        """Bytes of all buffers for N steps."""
        return self.plan.bytes(N)

    def source(self) -> str:
        """The text of the generated module."""
        return self._text

    def __call__(self, values: Sequence[Any], N: int) -> list[np.ndarray]:
        at = self._at
        if self._room < N:
            self._make_room(N)
        for k, buffer, n in self._given:
            value, there = values[k], self._there[k]
            if there is None or there() is not value:
                at[n] = self._address(k, buffer, value)
        made = self._made.renewed(self._shapes_for(N))
        if made is not None:
            for result, (_, n) in zip(made, self._results, strict=True):
                at[n] = result.__array_interface__["data"][0]
        self._run(N, at)
        results = iter(self._made)
        return [next(results) if k >= 0 else self._copied(ref, values, N) for k, ref in self._outputs]

    def _address(self, k: int, buffer: Buffer, value: Any) -> int:
        """Where an argument stands; asked of an array only once, since that takes longer than many a loop."""
        known = self._known[k].get(id(value))
        if known is not None and known[0]() is value:
            self._there[k] = known[0]
            return known[1]
        if type(value) is np.ndarray and value.dtype == buffer.dtype and value.flags.c_contiguous:
            address = value.__array_interface__["data"][0]
            if len(self._known[k]) >= _KEPT:
                self._known[k].clear()
            self._there[k] = weakly(value)
            self._known[k][id(value)] = self._there[k], address
            return address
        self._there[k] = None
        self._copies[k] = copy = np.ascontiguousarray(value, buffer.dtype)
        return copy.__array_interface__["data"][0]

    def _shapes_for(self, N: int) -> list[tuple[tuple[int, ...], Any]]:
        if self._shapes[0] != N:
            self._shapes = N, [(self._shape(b, N) if b.time else b.shape, b.dtype) for b, _ in self._results]
        return self._shapes[1]

    # -- memory -------------------------------------------------------------------------------------------------------
    def _shape(self, buffer: Buffer, N: int) -> tuple[int, ...]:
        if not buffer.time:
            return buffer.shape
        return (1 if id(buffer) in self._momentary else buffer.slots(N, self._chunks.get(id(buffer))), *buffer.shape)

    def _make_room(self, N: int) -> None:
        """One block of memory for all scratch, each buffer where vectors start."""
        shapes = [self._shape(buffer, N) for buffer, _ in self._own]
        sizes = [prod(shape) * buffer.dtype.itemsize for shape, (buffer, _) in zip(shapes, self._own, strict=True)]
        rounded = [-(-size // ALIGNED) * ALIGNED for size in sizes]
        self._memory = np.empty(sum(rounded) + ALIGNED, np.uint8)
        start = -self._memory.ctypes.data % ALIGNED
        self._places = {}
        for (buffer, n), shape, size, room in zip(self._own, shapes, sizes, rounded, strict=True):
            view = self._memory[start : start + size].view(buffer.dtype).reshape(shape)
            self._places[id(buffer)] = view
            self._at[n] = view.ctypes.data if view.size else self._memory.ctypes.data
            start += room
        self._room = N

    # -- outputs ------------------------------------------------------------------------------------------------------
    def _result(self, ref: MemRef) -> int:
        """The number of the result an output is part of; -1 for one from memory that is used again."""
        own = [k for k, (buffer, _) in enumerate(self._results) if buffer is ref.buffer and ref.time is None]
        return own[0] if own else -1

    def _copied(self, ref: MemRef, values: Sequence[Any], N: int) -> np.ndarray:
        """An output from memory that is used again."""
        buffer = ref.buffer
        if id(buffer) in self._places:
            whole = self._places[id(buffer)]
        else:
            given = buffer.kind == "argument"
            whole = np.asarray(values[self.plan.arguments.index(buffer)] if given else buffer.value, buffer.dtype)
        if ref.time is None:
            return _seen(ref, whole).copy()
        base, k = ref.time
        lead = buffer.lead + k
        if base in (START, END):
            return _seen(ref, whole[lead] if base == START else whole[lead + N]).copy()
        return np.array([_seen(ref, slot) for slot in whole[lead : lead + N]], buffer.dtype).reshape(N, *ref.shape)


def _part(ref: MemRef) -> tuple[slice | None, tuple[int, ...] | None]:
    """Which rows of a slot a reference means, and in which shape they stand there, where that is not what it is."""
    shape = ref.shape[::-1] if ref.T else ref.shape
    return None if ref.rows is None else slice(*ref.rows), shape if ref.view is not None or ref.groups > 1 else None


def _seen(ref: MemRef, slot: np.ndarray) -> np.ndarray:
    """What a reference means of a slot of its buffer."""
    rows, shape = _part(ref)
    slot = slot if rows is None else slot[rows]
    slot = slot if shape is None else slot.reshape(shape)
    return slot.T if ref.T else slot


@cache
def _kernels() -> ModuleType:
    try:
        from . import kernels  # compiles, or loads what was compiled
    except ImportError as error:
        raise MissingExtraError(
            f"the jitted executor needs numba and scipy ({error}): pip install 'tinygrad-rnn[jit]', or take "
            "executor='numpy'"
        ) from None
    return kernels


@cache
def _limit(kernels: ModuleType) -> int:
    return kernels.small_products()


@cache
def _stamp(kernels: ModuleType) -> str:
    """What a compiled plan depends on besides its own text: numba does not look at the functions it calls."""
    folder = Path(str(kernels.__file__)).parent
    sources = [(folder / f"{name}.py").read_bytes() for name in ("kernels", "class_kernels")]
    return hashlib.sha256(b"".join(sources)).hexdigest()
