"""How one instruction becomes a numpy call, for one step or for several at once.

Which instructions run when is the business of `run_numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.choosing import HOLE
from ..core.primitives import PRIMITIVES
from .plan import Instr, Ref, columns

if TYPE_CHECKING:
    from .run_numpy import NumpyRunner

Call = Callable[[], Any]
#: so many plain calls take no longer than one that broadcasts
_APART = 3

_UFUNCS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "negative": np.negative,
    "tanh": np.tanh, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "square": np.square, "reciprocal": np.reciprocal, "maximum": np.maximum, "minimum": np.minimum, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "arcsinh": np.arcsinh,
    "logaddexp": np.logaddexp, "power": np.power, "abs": np.absolute,
}  # fmt: skip
#: primitives that take one more axis in front, if their `axis` is counted from there
_WITH_AXIS = frozenset({"softmax", "log_softmax", "logsumexp", "cross_entropy", "onehot", "concatenate"})


# -- one step -----------------------------------------------------------------------------------------------------
def apart(body: Sequence[Instr]) -> list[Instr]:
    """The instructions of a loop, those that broadcast one operand to a few groups of rows taken group by group."""
    return [part for instr in body for part in _groups(instr)]


def _groups(instr: Instr) -> list[Instr]:
    k = instr.out.groups
    if not 1 < k <= _APART or any(x.groups != k and _overlap(x, instr.out) for x in instr.refs):
        return [instr]
    parts = []
    for g in range(k):
        ins = tuple(_group(x, g) if isinstance(x, Ref) and x.groups == k else x for x in instr.ins)
        parts.append(Instr(instr.op, _group(instr.out, g), ins, instr.params, instr.function))
    return parts


def _overlap(a: Ref, b: Ref) -> bool:
    """Whether writing one may change the other."""
    (start, stop), (first, last) = (x.rows or (0, x.buffer.shape[0]) for x in (a, b))
    return a.buffer is b.buffer and start < last and first < stop


def _group(ref: Ref, g: int) -> Ref:
    first, last = ref.rows or (0, ref.buffer.shape[0])
    size = (last - first) // ref.groups
    return replace(ref, rows=(first + g * size, first + (g + 1) * size), groups=1)


def steps(runner: NumpyRunner, body: Sequence[Instr], times: Sequence[int], N: int) -> list[Call]:
    """The calls of a loop, in order."""
    rows = [[bound(runner, instr, t, N) for t in times] for instr in body]
    return [call for step in zip(*rows, strict=True) for call in step] if rows else []


def bound(runner: NumpyRunner, instr: Instr, t: int, N: int) -> Call:
    """The call for an instruction at one step."""
    return _bound(runner, instr, t, N, False)


def spanned(runner: NumpyRunner, instr: Instr, start: int, stop: int) -> Call:
    """The call for an instruction for the steps from start to stop."""
    return _bound(runner, instr, start, stop, True)


def _bound(runner: NumpyRunner, instr: Instr, t: int, N: int, span: bool) -> Call:
    late = any(runner.is_late(r.buffer) for r in (instr.out, *instr.refs))
    dtype = instr.out.buffer.dtype
    if not late:
        out = runner.look(runner.arrays[id(instr.out.buffer)], instr.out, t, N, span)
        ins = [
            runner.look(runner.arrays[id(x.buffer)], x, t, N, span) if isinstance(x, Ref) else runner.scalar(x, dtype)
            for x in instr.ins
        ]
        return _call(instr, out, ins, span)
    get_out = runner.finder(instr.out, t, N, span)
    getters = [
        runner.finder(x, t, N, span) if isinstance(x, Ref) else partial(runner.scalar, x, dtype) for x in instr.ins
    ]
    simple = _UFUNCS.get(instr.op) if not span else None
    if instr.op == "copy" and len(instr.out.shape) == len(instr.ins[0].shape if isinstance(instr.ins[0], Ref) else ()):
        (get,) = getters
        return lambda: np.copyto(get_out(), get())
    if simple is not None and len(getters) == 2:
        first, second = getters
        return lambda: simple(first(), second(), get_out())
    return lambda: _call(instr, get_out(), [get() for get in getters], span)()


def _call(instr: Instr, out: np.ndarray, ins: list[Any], span: bool) -> Call:
    op, lead = instr.op, int(span)
    if span and op not in ("call", "dot", "sum"):
        ins = [_widened(x, array, out.ndim) for x, array in zip(instr.ins, ins, strict=True)]
    ufunc = _UFUNCS.get(op)
    if ufunc is not None:
        return partial(ufunc, *ins, out)
    if op == "dot":
        return _product(out, ins[0], ins[1], lead)
    if op in ("copy", "fill"):
        return partial(np.copyto, out, ins[0])
    if op == "sum":
        axes = tuple(axis + lead for axis in instr.params["axis"])
        return partial(np.add.reduce, ins[0], axes, None, out, instr.params["keepdims"])
    if op == "call" and span:
        return _call_of_steps(instr, out, ins)
    function = instr.function.forward if instr.function is not None else PRIMITIVES[op].forward
    return partial(_write, out, partial(function, *ins, **instr.params))


def _widened(x: Any, array: np.ndarray, rank: int) -> np.ndarray:
    """A value of each step with axes put in after that of time, so that it broadcasts as it does within a step."""
    if not isinstance(x, Ref) or x.time is None or array.ndim == rank:
        return array
    return array.reshape((len(array), *[1] * (rank - array.ndim), *array.shape[1:]))


def _product(out: np.ndarray, a: np.ndarray, b: np.ndarray, lead: int) -> Call:
    # the method: np.dot asks in Python whether an argument overrides it, for a quarter of a small product's time
    alike = a.dtype == b.dtype == out.dtype
    if not lead and alike and out.flags.c_contiguous:
        return partial(a.dot, b, out)
    if not lead and alike and out.flags.f_contiguous:
        return partial(b.T.dot, a.T, out.T)
    if lead and alike and a.ndim == 2 and b.ndim == 3 and _in_rows(b) and _in_rows(out):
        return partial(_samples(b).dot, a.T, _samples(out))  # all steps are one product
    return partial(np.matmul, a, b, out)


def _in_rows(array: np.ndarray) -> bool:
    """Whether the samples of all steps stand one after the other in memory."""
    return array.swapaxes(1, 2).flags.c_contiguous


def _samples(array: np.ndarray) -> np.ndarray:
    """(steps, rows, batch) as (steps * batch, rows): a view, if samples are rows in memory."""
    steps, rows, batch = array.shape
    return array.swapaxes(1, 2).reshape(steps * batch, rows)


def _write(out: np.ndarray, function: Call) -> None:
    out[...] = function()


def _call_of_steps(instr: Instr, out: np.ndarray, ins: list[Any]) -> Call:
    """A primitive that is no operation entry by entry, for several steps."""
    name, params = instr.function.name, dict(instr.params)
    timed = [isinstance(x, Ref) and x.time is not None for x in instr.ins]
    axis = params.get("axis", 0 if name == "concatenate" else -1)
    if name in _WITH_AXIS and all(timed) and isinstance(axis, int):
        rank = out.ndim if name == "onehot" else ins[0].ndim
        params["axis"] = axis + 1 if axis >= 0 else axis + rank
        return partial(_write, out, partial(instr.function.forward, *ins, **params))
    if instr.function.elementwise:
        wide = [_widened(x, array, out.ndim) for x, array in zip(instr.ins, ins, strict=True)]
        return partial(_write, out, partial(instr.function.forward, *wide, **params))
    if name == "pick" and timed == [False, True] and params["index"] == (HOLE,):
        return partial(_write, out, partial(instr.function.forward, *ins, **params))
    return partial(_each_step, instr, out, ins, timed)


def _each_step(instr: Instr, out: np.ndarray, ins: list[Any], timed: list[bool]) -> None:
    for t in range(len(out)):
        now = [np.asarray(x[t]) if moving else x for x, moving in zip(ins, timed, strict=True)]
        out[t] = instr.function.forward(*now, **instr.params)


# -- sums over time -----------------------------------------------------------------------------------------------
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
            i = runner.index[id(instr.out.buffer)]
            left = _columns(runner, instr.refs[0], at, end, needed, moved, program)
            if instr.op == "contract":
                right = _columns(runner, instr.refs[1], at, end, needed, moved, program)
            else:
                right = _Ones(np.ones(((end - at) * instr.refs[0].shape[1], 1), instr.out.buffer.dtype))
            begins = first and at == start
            program.append(_first(runner.made, i, left, right) if begins else _more(runner.made, i, left, right))
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
        made[i] = np.array(part())

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
    shape, dtype = instr.out.buffer.shape, instr.out.buffer.dtype

    def nothing() -> None:
        made[i] = np.zeros(shape, dtype)

    return nothing


def _first(made: list[Any], i: int, left: Call, right: Call) -> Call:
    def first() -> None:
        made[i] = np.dot(left(), right().T)

    return first


def _more(made: list[Any], i: int, left: Call, right: Call) -> Call:
    def more() -> None:
        made[i] += np.dot(left(), right().T)

    return more


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
            array = _samples(find()).T
            return lambda: array
        return lambda: _samples(find()).T
    if ref.T and ref.rows is None and ref.view is None and ref.buffer.kind == "argument":
        return lambda: _samples(find()).T  # in rows already: nothing moves
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
