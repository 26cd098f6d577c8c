"""How one instruction becomes a numpy call, for one step or for several at once.

Which instructions run when is the business of `run_numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.choosing import HOLE
from ..core.primitives import PRIMITIVES
from .plan import Instr, Ref

if TYPE_CHECKING:
    from .run_numpy import NumpyRunner

Call = Callable[[], Any]
#: columns of a sum over time that are multiplied at once
COLUMNS = 1024

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
    if instr.op == "copy" and not span:
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
    alike = a.dtype == b.dtype == out.dtype
    if not lead and out.flags.c_contiguous and alike:
        return partial(np.dot, a, b, out)
    if lead and alike and a.ndim == 2 and b.ndim == 3 and b.shape[2] == 1 and out.flags.c_contiguous:
        return partial(np.dot, b[:, :, 0], a.T, out[:, :, 0])  # one column: all steps are one product
    return partial(np.matmul, a, b, out)


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
    program: list[Call] = [_total(runner, instr, start, stop, first) for instr in body if instr.op == "total"]
    products = [instr for instr in body if instr.op != "total"]
    needed = _rows_needed(products)
    batch = max((instr.refs[0].shape[1] for instr in products), default=1)
    chunk = max(1, COLUMNS // max(1, batch))
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
    (x,), made, dtype = instr.ins, runner.made, instr.out.buffer.dtype
    i = runner.index[id(instr.out.buffer)]
    if not isinstance(x, Ref) or x.time is None:
        get = runner.finder(x, 0, stop) if isinstance(x, Ref) else partial(runner.scalar, x, dtype)

        def part() -> Any:
            return get() * dtype.type(stop - start)

    else:
        find = runner.finder(x, start, stop, span=True)

        def part() -> Any:
            return np.add.reduce(find(), 0)

    def begin() -> None:
        made[i] = np.array(part())

    def more() -> None:
        made[i] += part()

    return begin if first else more


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
    if batch == 1:
        if not runner.is_late(ref.buffer):
            array = find()[:, :, 0].T
            return lambda: array
        return lambda: find()[:, :, 0].T
    if ref.T and ref.rows is None and ref.view is None and ref.buffer.kind == "argument":
        return lambda: find().transpose(0, 2, 1).reshape(count * batch, rows).T  # in rows already: nothing moves
    if ref.T or ref.view is not None or not ref.buffer.shape:
        return lambda: np.ascontiguousarray(find().transpose(1, 0, 2)).reshape(rows, count * batch)
    key = (id(ref.buffer), ref.time)
    first, last = needed[key]
    if key not in moved:
        whole, size = Ref(ref.buffer, ref.time, (first, last)), last - first
        wide = moved[key] = runner.columns(ref.buffer.name + str(ref.time), size, count * batch, ref.buffer.dtype)
        get, place = runner.finder(whole, start, stop, span=True), wide.reshape(size, count, batch)
        program.append(lambda: np.copyto(place, get().transpose(1, 0, 2)))
    at = (ref.rows[0] if ref.rows else 0) - first
    part = moved[key][at : at + rows]
    return lambda: part


SUMS = frozenset({"total", "total_rows", "contract"})
