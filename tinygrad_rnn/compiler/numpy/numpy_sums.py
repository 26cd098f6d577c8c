"""Sums over time carried out by numpy: products over as many steps at once as make them efficient.

Which sums there are, and over which steps, is the business of `run_numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..planning.plan import Instr, Ref, columns
from .numpy_calls import samples

if TYPE_CHECKING:
    from .run_numpy import NumpyRunner

Call = Callable[[], Any]


def sums(runner: NumpyRunner, body: Sequence[Instr], start: int, stop: int, first: bool) -> list[Call]:
    """Sums over the steps from start to stop, as a beginning (`first`) or added to what is there.

    They are products over as many steps at once as make them efficient; the columns of several steps are put side by
    side, once for all sums that read them.
    """
    if stop <= start:
        return [_zeros(runner, instr) for instr in body] if first else []
    program: list[Call] = [_TOTALS[i.op](runner, i, start, stop, first) for i in body if i.op in _TOTALS]
    products = [instr for instr in body if instr.op not in _TOTALS]
    needed = _rows_needed(products)
    batch = max((instr.refs[0].shape[1] for instr in products), default=1)
    chunk = max(1, columns(products) // max(1, batch))
    for at in range(start, stop, chunk):
        end = min(stop, at + chunk)
        moved: dict[Any, np.ndarray] = {}
        for instr in products:
            left = _columns(runner, instr.refs[0], at, end, needed, moved, program)
            if instr.op == "contract":
                right = _columns(runner, instr.refs[1], at, end, needed, moved, program)
            else:
                right = _Ones(np.ones(((end - at) * instr.refs[0].shape[1], 1), instr.out.buffer.dtype))
            begins = first and at == start
            program.append(_product(runner, instr, left, right, begins))
    return program


def _total(runner: NumpyRunner, instr: Instr, start: int, stop: int, first: bool) -> Call:
    (x,), dtype = instr.ins, instr.out.buffer.dtype
    if not isinstance(x, Ref) or x.time is None:
        get = runner.finder(x, 0, stop) if isinstance(x, Ref) else partial(runner.scalar, x, dtype)

        def part() -> Any:
            return get() * dtype.type(stop - start)

    else:
        find = runner.finder(x, start, stop, span=True)

        def part() -> Any:
            return np.add.reduce(find(), 0)

    return _added(runner, instr, part, first)


def _inner(runner: NumpyRunner, instr: Instr, start: int, stop: int, first: bool) -> Call:
    a, b = (runner.finder(x, start, stop, span=True) for x in instr.refs)
    late = any(runner.is_late(x.buffer) for x in instr.refs)
    part = (lambda: _dotted(a(), b())()) if late else _dotted(a(), b())
    return _added(runner, instr, part, first)


def _dotted(x: np.ndarray, y: np.ndarray) -> Call:
    """The sum of all entries of x * y."""
    for order in (range(x.ndim), (0, *range(x.ndim - 1, 0, -1))):
        pair = [z.transpose(order) for z in (x, y)]
        if all(z.flags.c_contiguous for z in pair):
            return partial(np.dot, *[z.reshape(-1) for z in pair])
        if all(z[0].flags.c_contiguous for z in pair):
            left, right = (z.reshape(len(z), -1) for z in pair)
            return lambda: np.add.reduce(np.matmul(left[:, None, :], right[:, :, None]), None)
    return lambda: np.add.reduce(np.multiply(x, y), None)


def _added(runner: NumpyRunner, instr: Instr, part: Call, first: bool) -> Call:
    """`part` as the beginning of a sum, or added to it."""
    made, i = runner.made, runner.index[id(instr.out.buffer)]

    def begin() -> None:
        made[i][...] = part()

    def more() -> None:
        made[i] += part()

    return begin if first else more


_TOTALS = {"total": _total, "inner": _inner}


def _rows_needed(products: list[Instr]) -> dict[Any, tuple[int, int]]:
    """Which rows of each buffer the sums read, from the first to the last."""
    needed: dict[Any, tuple[int, int]] = {}
    for instr in products:
        for ref in instr.refs:
            key = (id(ref.buffer), ref.time)
            first, last = ref.rows or (0, ref.buffer.shape[0] if ref.buffer.shape else 0)
            known = needed.get(key, (first, last))
            needed[key] = min(first, known[0]), max(last, known[1])
    return needed


class _Ones:
    """A right side that adds up columns."""

    def __init__(self, ones: np.ndarray) -> None:
        self.turned = ones.T

    def __call__(self) -> np.ndarray:
        return self.turned


def _zeros(runner: NumpyRunner, instr: Instr) -> Call:
    made, i = runner.made, runner.index[id(instr.out.buffer)]
    return lambda: made[i].fill(0)


def _product(runner: NumpyRunner, instr: Instr, left: Call, right: Call, begins: bool) -> Call:
    """The beginning of a sum, or what is added to it by way of memory kept for that."""
    made, i, out = runner.made, runner.index[id(instr.out.buffer)], instr.out.buffer
    alike = all(ref.buffer.dtype == out.dtype for ref in instr.refs)

    def first() -> None:
        left().dot(right().T, made[i])

    def first_of_another_dtype() -> None:
        made[i][...] = left().dot(right().T)

    if begins:
        return first if alike else first_of_another_dtype
    part = runner.columns("part", out.shape[0], out.shape[1], out.dtype)

    def more() -> None:
        total = made[i]
        np.add(total, left().dot(right().T, part), total)

    def more_of_another_dtype() -> None:
        made[i] += left().dot(right().T)

    return more if alike else more_of_another_dtype


def _columns(
    runner: NumpyRunner,
    ref: Ref,
    start: int,
    stop: int,
    needed: dict[Any, tuple[int, int]],
    moved: dict[Any, np.ndarray],
    program: list[Call],
) -> Call:
    """(steps, rows, batch) as (rows, steps * batch)."""
    rows, batch = ref.shape
    count = stop - start
    find = runner.finder(ref, start, stop, span=True)
    if batch == 1 or ref.buffer.turned:
        if not runner.is_late(ref.buffer):
            array = find()
            beside = samples(array).T
            if np.may_share_memory(array, beside):  # a copy would keep what stood there when it was made
                return lambda: beside
        return lambda: samples(find()).T
    if ref.T and ref.rows is None and ref.view is None and ref.buffer.kind == "argument":
        return lambda: samples(find()).T  # in rows already: nothing moves
    if ref.T or ref.view is not None or not ref.buffer.shape:
        return lambda: np.ascontiguousarray(find().transpose(1, 0, 2)).reshape(rows, count * batch)
    key = (id(ref.buffer), ref.time)
    first, last = needed[key]
    if key not in moved:
        whole, size = Ref(ref.buffer, ref.time, (first, last)), last - first
        wide = moved[key] = runner.columns(ref.buffer.name + str(ref.time), size, count * batch, ref.buffer.dtype)
        get, place = runner.finder(whole, start, stop, span=True), wide.reshape(size, count, batch)
        program.append(lambda: _lay_out(place, get()))
    at = (ref.rows[0] if ref.rows else 0) - first
    part = moved[key][at : at + rows]
    return lambda: part


def _lay_out(place: np.ndarray, array: np.ndarray) -> None:
    """(steps, rows, batch) into (rows, steps, batch), the samples of a row as one item: short rows take numpy long."""
    if array.strides[2] == array.itemsize:
        item = np.dtype((np.void, array.shape[2] * array.itemsize))
        np.copyto(place.view(item)[:, :, 0], array.view(item)[:, :, 0].T)
    else:
        np.copyto(place, array.transpose(1, 0, 2))
