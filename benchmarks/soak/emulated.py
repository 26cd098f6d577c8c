"""Machine code without a machine: what the jitted executor writes, carried out by Python, each access checked.

numba takes seconds for a loop, so that few random ones can be tried; here its place is taken for the text of the
program and for the kernels it calls, memory and addresses being the executor's own. A read or write outside of the
buffer that is meant raises `OutOfBounds`. What numba and LLVM make of the text is not looked at: that is for the part
of the soak which compiles.
"""

from __future__ import annotations

import ctypes
import types
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from benchmarks.soak import scripts
from tinygrad_rnn.compiler.jit import class_kernels as real_class_kernels
from tinygrad_rnn.compiler.jit import kernels as real_kernels
from tinygrad_rnn.compiler.jit import run_jit
from tinygrad_rnn.compiler.jit.emit_jit import FIRST

NO, YES = real_kernels.NO, real_kernels.YES
_SINGLE = {real_kernels.blas(name) for name in ("sgemm", "sgemv")}


class OutOfBounds(Exception):
    """Generated code reaches beyond the buffer it means."""


class _Memory:
    """The buffers there are, by their addresses."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.stops: list[int] = []

    def lay_out(self, regions: list[tuple[int, int]]) -> None:
        """Buffers as pairs of address and bytes."""
        regions = sorted((start, start + size) for start, size in regions if size)
        self.starts, self.stops = [a for a, _ in regions], [b for _, b in regions]

    def array(self, address: int, kind: Any) -> np.ndarray:
        """The entries from an address to the end of its buffer."""
        n = bisect_right(self.starts, address) - 1
        left = max(0, self.stops[n] - address) if n >= 0 else 0
        if not left:
            return np.empty(0, kind)  # of no use to anybody but for its address
        held = (ctypes.c_byte * left).from_address(address)
        return np.frombuffer(held, kind, left // np.dtype(kind).itemsize)

    def matrix(self, address: int, rows: int, columns: int, leading: int, kind: Any) -> np.ndarray:
        """A matrix whose columns start `leading` entries apart."""
        entries = self.array(address, kind)
        if rows and columns and (leading < rows or (columns - 1) * leading + rows > len(entries)):
            raise OutOfBounds(f"a matrix of {rows} x {columns} by {leading} in {len(entries)} entries")
        size = entries.itemsize
        return np.lib.stride_tricks.as_strided(entries, (rows, columns), (size, leading * size))


MEMORY = _Memory()


def get(place: np.ndarray, index: int) -> Any:
    """place[index]"""
    if not 0 <= index < len(place):
        raise OutOfBounds(f"entry {index} of {len(place)} is read")
    value = place[index]
    return int(value) if place.dtype.kind == "i" else value


def put(place: np.ndarray, index: int, value: Any) -> None:
    """place[index] = value"""
    if not 0 <= index < len(place):
        raise OutOfBounds(f"entry {index} of {len(place)} is written")
    place[index] = value


def gemm(
    f: int, ta: int, tb: int, m: int, n: int, k: int, a: int, lda: int, b: int, ldb: int, beta: Any, c: int, ldc: int
) -> None:
    """C = A B + beta C, as BLAS counts: columns first."""
    kind = np.float32 if f in _SINGLE else np.float64
    left = MEMORY.matrix(a, m, k, lda, kind) if ta == NO else MEMORY.matrix(a, k, m, lda, kind).T
    right = MEMORY.matrix(b, k, n, ldb, kind) if tb == NO else MEMORY.matrix(b, n, k, ldb, kind).T
    result = MEMORY.matrix(c, m, n, ldc, kind)
    result[...] = left @ right + (beta * result if beta else kind(0))


def gemv(f: int, t: int, m: int, n: int, a: int, lda: int, x: int, beta: Any, y: int) -> None:
    """y = A x + beta y"""
    kind = np.float32 if f in _SINGLE else np.float64
    matrix = MEMORY.matrix(a, m, n, lda, kind) if t == NO else MEMORY.matrix(a, m, n, lda, kind).T
    rows, columns = matrix.shape
    result = MEMORY.matrix(y, rows, 1, rows, kind)
    result[...] = matrix @ MEMORY.matrix(x, columns, 1, columns, kind) + (beta * result if beta else kind(0))


def _place(kind: Any) -> Callable[..., np.ndarray]:
    return lambda address, number, count: MEMORY.array(address, kind)


def njit(*args: Any, **kwargs: Any) -> Any:
    """Functions as they are."""
    return lambda function: function


# -- the kernels, as Python ---------------------------------------------------------------------------------------
_OWN: dict[str, Any] = {
    "get": get, "put": put, "gemm": gemm, "gemv": gemv, "_get": get, "_put": put,
    "place4": _place(np.float32), "place8": _place(np.float64), "place_int": _place(np.int64),
}  # fmt: skip


def _python(value: Any, names: dict[int, dict[str, Any]], done: dict[int, Any]) -> Any:
    """A compiled function as the Python it was made of, with what it calls."""
    if not isinstance(value, Dispatcher):
        intrinsics = {id(getattr(real_kernels, name)): own for name, own in _OWN.items()}
        return intrinsics.get(id(value), value)
    if id(value) not in done:
        source = value.py_func
        cells = tuple(types.CellType(_python(cell.cell_contents, names, done)) for cell in source.__closure__ or ())
        found = names[id(source.__globals__)]
        done[id(value)] = types.FunctionType(
            source.__code__, found, source.__name__, source.__defaults__, cells or None
        )
    return done[id(value)]


def _namespaces() -> list[types.SimpleNamespace]:
    modules = (real_kernels, real_class_kernels)
    names: dict[int, dict[str, Any]] = {id(module.__dict__): {} for module in modules}
    done: dict[int, Any] = {}
    for module in modules:
        names[id(module.__dict__)] |= {key: _python(x, names, done) for key, x in module.__dict__.items()}
    return [types.SimpleNamespace(**names[id(module.__dict__)]) for module in modules]


kernels, class_kernels = _namespaces()
product = kernels.product


# -- in place of the executor -------------------------------------------------------------------------------------
def _module(text: str, depends: str = "") -> Any:
    text = text.replace("from numba import njit", f"from {__name__} import njit")
    text = text.replace("from tinygrad_rnn.compiler.jit import", f"from {__name__} import")
    return scripts.module(text.replace("from tinygrad_rnn.compiler.jit.kernels import", f"from {__name__} import"))


class EmulatedRunner(run_jit.JitRunner):
    """The jitted executor, its machine code carried out by Python."""

    def __call__(self, values: Sequence[Any], N: int) -> list[np.ndarray]:
        code, self._run = self._run, self._checked
        self._code, self._values = code, values
        try:
            return super().__call__(values, N)
        finally:
            self._run = code

    def _checked(self, N: int, at: np.ndarray) -> None:
        at = [int(address) for address in at]
        regions = [(at[n], view.nbytes) for (b, n) in self._own for view in [self._places[id(b)]]]
        regions += [(held.ctypes.data, held.nbytes) for held in self._held]
        regions += [(at[n], np.asarray(self._values[k]).size * b.dtype.itemsize) for k, b, n in self._given]
        for (shape, dtype), (_, n) in zip(self._shapes_for(N), self._results, strict=True):
            regions.append((at[n], int(np.prod(shape, dtype=int)) * dtype.itemsize))
        assert len(at) == FIRST + len(self._buffers)
        MEMORY.lay_out(regions)
        with np.errstate(all="ignore"):
            self._code(N, at)


@contextmanager
def emulated() -> Iterator[None]:
    """The jitted executor is emulated inside."""
    before = run_jit.JitRunner, run_jit.module
    run_jit.JitRunner, run_jit.module = EmulatedRunner, _module  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        run_jit.JitRunner, run_jit.module = before  # type: ignore[misc]
