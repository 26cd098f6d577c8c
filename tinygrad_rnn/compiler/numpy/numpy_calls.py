"""How one instruction becomes a numpy call, for one step or for several at once.

Which instructions run when is the business of `run_numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.ops.indexing import HOLE
from ...core.primitive import PRIMITIVES
from ..planning.plan import Instr, Operand, Ref, overlap

if TYPE_CHECKING:
    from .run_numpy import NumpyRunner

Call = Callable[[], Any]
#: a function and its arguments
Spread = tuple[Any, ...]
#: so many plain calls take no longer than one that broadcasts
_APART = 3


def _maximum(a: Any, b: Any, out: np.ndarray) -> Any:
    return np.maximum(a, b, out=out)  # of these two numpy wants it by name


def _minimum(a: Any, b: Any, out: np.ndarray) -> Any:
    return np.minimum(a, b, out=out)


_UFUNCS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "negative": np.negative,
    "tanh": np.tanh, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "square": np.square, "reciprocal": np.reciprocal, "maximum": _maximum, "minimum": _minimum, "sin": np.sin,
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
    if not 1 < k <= _APART or any(x.groups != k and overlap(x, instr.out) for x in instr.refs):
        return [instr]
    parts = []
    for g in range(k):
        ins = tuple(_group(x, g) if isinstance(x, Ref) and x.groups == k else x for x in instr.ins)
        parts.append(Instr(instr.op, _group(instr.out, g), ins, instr.params, instr.function))
    return parts


def _group(ref: Ref, g: int) -> Ref:
    first, last = ref.rows or (0, ref.buffer.shape[0])
    size = (last - first) // ref.groups
    return replace(ref, rows=(first + g * size, first + (g + 1) * size), groups=1)


def steps(runner: NumpyRunner, body: Sequence[Instr], times: Sequence[int], N: int) -> list[Spread]:
    """The calls of a loop, in order; a view that several calls share is made once, since views have to be read too."""
    late = [any(runner.is_late(ref.buffer) for ref in (instr.out, *instr.refs)) for instr in body]
    early = [instr for instr, is_late in zip(body, late, strict=True) if not is_late]
    refs = dict.fromkeys(ref for instr in early for ref in (instr.out, *instr.refs))
    views = {ref: runner.look(runner.arrays[id(ref.buffer)], ref, 0, N, False) for ref in refs if ref.time is None}
    moving = [(ref, runner.arrays[id(ref.buffer)]) for ref in refs if ref.time is not None]
    calls: list[Spread] = []
    for t in times:
        for ref, array in moving:
            views[ref] = runner.look(array, ref, t, N, False)
        for instr, is_late in zip(body, late, strict=True):
            calls.append(spread(bound(runner, instr, t, N) if is_late else _viewed(runner, instr, views)))
    return calls


def spread(call: Call | Spread) -> Spread:
    """A function with what it is given: less to read from memory than an object that holds both."""
    if isinstance(call, tuple):
        return call
    return (call.func, *call.args) if isinstance(call, partial) and not call.keywords else (call,)


def _viewed(runner: NumpyRunner, instr: Instr, views: Mapping[Ref, np.ndarray]) -> Call:
    """The call for an instruction whose references are seen so."""
    dtype = instr.out.buffer.dtype
    return _call(instr, views[instr.out], [_operand(runner, x, dtype, views) for x in instr.ins], False)


def _operand(runner: NumpyRunner, x: Operand, dtype: np.dtype[Any], views: Mapping[Ref, np.ndarray]) -> np.ndarray:
    return views[x] if isinstance(x, Ref) else runner.scalar(x, dtype)


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
        return partial(samples(b).dot, a.T, samples(out))  # all steps are one product
    return partial(np.matmul, a, b, out)


def _in_rows(array: np.ndarray) -> bool:
    """Whether the samples of all steps stand one after the other in memory."""
    return array.swapaxes(1, 2).flags.c_contiguous


def samples(array: np.ndarray) -> np.ndarray:
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
