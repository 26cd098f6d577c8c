"""Products of matrices as calls of BLAS, in the text of generated code.

BLAS counts columns first, so that a matrix in memory is its own transpose. What has one column is multiplied as a
vector: gemm would pack the matrix anew for every column.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from ..passes.loop_fusion import FAR
from ..planning.plan import Buffer, Instr, MemRef
from ..unsupported import NotJittable
from .loop_nest import Writer

#: samples of several steps that are multiplied at once where a result is too large to be read in every step: from 256
#: on products are within 5 % of their best (see `plan.columns`), and what is laid side by side stays in the cache
SIDE_BY_SIDE = 256


def write(writer: Writer, instr: Instr) -> None:
    """The lines for a product."""
    PRODUCTS[instr.op](writer, instr)


def all_steps(writer: Writer, instr: Instr) -> None:
    """out[t] = A x[t] for columns x[t]: one product, in which the steps are the columns."""
    a, x = instr.refs
    out, (low, high) = instr.out, writer.bounds
    f, zero = _letter(out.buffer.dtype, (a, x, out)), writer.constant(0.0, out.buffer.dtype)
    letter, leading = _operand(a, flip=True)
    with writer.block(f"if {high} > {low}:"):
        writer.line(f"t = {low}")
        writer.line(
            f"gemm({f}gemm, {letter}, NO, {out.shape[0]}, {high} - {low}, {a.shape[1]}, {writer.address(a)}, "
            f"{leading}, {writer.address(x)}, {x.buffer.size}, {zero}, {writer.address(out)}, {out.buffer.size})"
        )


def _dot(writer: Writer, instr: Instr) -> None:
    a, b = instr.refs
    f, (m, n), k = _letter(instr.out.buffer.dtype, (a, b, instr.out)), instr.out.shape, a.shape[1]
    if instr.out.T:
        raise NotJittable("a product stored transposed")
    if 1 in (m, n) and m * n * k:
        _column(writer, f, instr.out, *((a, b) if n == 1 else (b, a)), turned=n == 1)
        return
    dtype = instr.out.buffer.dtype
    zero, one, size = writer.constant(0.0, dtype), writer.constant(1.0, dtype), dtype.itemsize
    left, right = _operand(b, flip=False), _operand(a, flip=False)
    ends = f"{writer.address(b)}, {left[1]}, {writer.address(a)}, {right[1]}, {zero}"
    start, place = f"{f}gemm, {left[0]}, {right[0]}, {n}, {m}, {k}", f"{writer.address(instr.out)}, {n}"
    if m * k * size > FAR:  # in pieces it would come from far away piece by piece
        writer.line(f"gemm({start}, {ends}, {place})")
    else:
        writer.line(f"product({start}, {ends}, {one}, {place}, {size}, limit)")


def _column(writer: Writer, f: str, out: MemRef, matrix: MemRef, x: MemRef, turned: bool) -> None:
    """A matrix times a vector, or its transpose unless it is `turned`, since BLAS counts columns first."""
    letter, leading = _operand(matrix, flip=turned)
    places, zero = f"{writer.address(matrix)}, {leading}, {writer.address(x)}", writer.constant(0.0, out.buffer.dtype)
    size = prod(matrix.shape) // leading
    writer.line(f"gemv({f}gemv, {letter}, {leading}, {size}, {places}, {zero}, {writer.address(out)})")


def _contract(writer: Writer, instr: Instr) -> None:
    """out += sum over t of a[t] b[t].T: for columns one product over all steps, else one a step."""
    (a, b), out, (low, high) = instr.refs, instr.out, writer.bounds
    f, one = _letter(out.buffer.dtype, (a, b, out)), writer.constant(1.0, out.buffer.dtype)
    m, n = out.shape
    if a.shape[1] == 1:
        with writer.block(f"if {high} > {low}:"):
            writer.line(f"t = {low}")
            writer.line(
                f"gemm({f}gemm, NO, YES, {n}, {m}, {high} - {low}, {writer.address(b)}, {b.buffer.size}, "
                f"{writer.address(a)}, {a.buffer.size}, {one}, {writer.address(out)}, {n})"
            )
        return
    if not writer.one_step and not a.T:
        _side_by_side(writer, instr, f, one)
        return
    with writer.summed():
        if not b.T:  # as it lies in memory is the slowest way to read it
            turned = MemRef(Buffer("", b.shape[::-1], b.buffer.dtype), T=True)
            writer.turn(Instr("turn", turned, (b,)))
            b = turned
        left, right = _operand(b, flip=True), _operand(a, flip=False)
        writer.line(
            f"gemm({f}gemm, {left[0]}, {right[0]}, {n}, {m}, {a.shape[1]}, {writer.address(b)}, {left[1]}, "
            f"{writer.address(a)}, {right[1]}, {one}, {writer.address(out)}, {n})"
        )


def _side_by_side(writer: Writer, instr: Instr, f: str, one: str) -> None:
    """The same for several steps at once, whose samples are put side by side: fewer passes over a large result."""
    (a, b), out, (low, high) = instr.refs, instr.out, writer.bounds
    (m, n), samples = out.shape, a.shape[1]
    count = -(-SIDE_BY_SIDE // samples)
    wide, q, w, size = count * samples, writer.fresh("q"), writer.fresh("w"), out.buffer.dtype.itemsize
    left = MemRef(Buffer("", (m, wide), a.buffer.dtype))
    inputs = b.T and b.rows is None and b.view is None and b.buffer.kind != "chunk"  # one sample after the other
    right = MemRef(Buffer("", (n, wide), a.buffer.dtype))
    packed = [(a, left)] if inputs else [(a, left), (b, right)]
    with writer.block(f"for {q} in range({low}, {high}, {count}):"):
        writer.line(f"{w} = min({count}, {high} - {q})")
        with writer.block(f"for t in range({q}, {q} + {w}):"):
            for source, target in packed:
                writer.number(target.buffer)
                place = f"{writer.address(target)} + {size * samples} * (t - {q})"
                rows = source.shape[0]
                if source.T:
                    writer.line(f"kernels.turn{size}({writer.address(source)}, {samples}, {rows}, {place}, {wide})")
                else:
                    writer.line(f"kernels.beside{size}({writer.address(source)}, {rows}, {samples}, {place}, {wide})")
        writer.line(f"t = {q}")
        read = (
            f"NO, NO, {n}, {m}, {w} * {samples}, {writer.address(b)}, {n}"
            if inputs
            else f"YES, NO, {n}, {m}, {w} * {samples}, {writer.address(right)}, {wide}"
        )
        writer.line(f"gemm({f}gemm, {read}, {writer.address(left)}, {wide}, {one}, {writer.address(out)}, {n})")


PRODUCTS: dict[str, Any] = {"dot": _dot, "contract": _contract}


def _letter(dtype: np.dtype[Any], refs: Iterable[MemRef]) -> str:
    """s or d, as the functions of BLAS for this dtype begin."""
    if any(ref.buffer.dtype != dtype or len(ref.shape) != 2 for ref in refs):
        raise NotJittable("a product of different dtypes or of more than two axes")
    return "s" if dtype == np.float32 else "d"


def _operand(ref: MemRef, flip: bool) -> tuple[str, int]:
    """The letter and the leading dimension with which BLAS reads a matrix (or, with `flip`, its transpose)."""
    return ("YES" if flip != ref.T else "NO"), ref.shape[0 if ref.T else -1]
