"""A plan as the text of a module for numba: one function that runs all its stages.

Everything in the text comes from this file and from the plan's numbers: buffers are numbered anew, names and labels are
not even looked at. How the text becomes a function is in `run_jit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from math import prod
from typing import Any

from ..passes.loop_fusion import Group, grouped, key, squeezed, strides
from ..passes.loop_sinking import one_column, sunk
from ..planning.plan import Buffer, Instr, Loop, Map, MemRef, Once, Plan, Stage, Tile, chunk_of
from ..unsupported import NotJittable
from . import blas_calls
from .loop_nest import DTYPES, MOVES, NOW, Writer, move

_HEADER = '''"""One plan, written out for numba. Buffers are addresses; t counts steps, i, j, k entries."""

import numpy as np
from numba import njit

from tinygrad_rnn.compiler.jit import class_kernels, kernels
from tinygrad_rnn.compiler.jit.kernels import NO, YES, gemm, gemv, get, product, put
'''
_DECORATOR = '@njit("void(intp, intp[::1])", cache=True, fastmath={"contract", "nsz"}, error_model="numpy")'
#: functions of BLAS whose addresses come first in what the function takes, then the largest product that is small
BLAS = ("sgemm", "dgemm", "sgemv", "dgemv")
#: where addresses of buffers start
FIRST = len(BLAS) + 1
#: primitives of which `classes` has a form
CLASSES = frozenset({"softmax", "log_softmax", "logsumexp", "cross_entropy", "onehot"})


def emit(plan: Plan) -> tuple[str, list[Buffer], set[int]]:
    """The text, the buffers whose addresses its function takes, and which of these (by `id`) have a single slot."""
    writer = _Module(plan)
    text, buffers = writer.module()
    return text, buffers, writer.momentary


class _Module(Writer):
    """Writes stage by stage; what it knows of the plan as a whole is worked out first."""

    def __init__(self, plan: Plan) -> None:
        self.plan = sunk(plan)
        super().__init__(self.plan, chunk_of(plan.stages))

    def module(self) -> tuple[str, list[Buffer]]:
        self.clear_sums()
        for stage in self.plan.stages:
            self.stage(stage)
        opening = ["def run(N, at):", f"    {', '.join(BLAS)}, limit = {', '.join(f'at[{n}]' for n in range(FIRST))}"]
        for buffer in self.listed:
            n, d = self.buffers[id(buffer)], DTYPES[buffer.dtype][0]
            opening.append(f"    a{n} = at[{n + FIRST}]")
            opening.append(f"    b{n} = kernels.place{d}(a{n}, {n}, {len(self.listed)})")
        constants = [f"{name} = {kind}({text})" for (kind, text), name in self.constants.items()]
        text = "\n".join([_HEADER, *constants, "", "", _DECORATOR, *opening, *self.lines])
        return text + "\n", self.listed

    # -- stages -------------------------------------------------------------------------------------------------------
    def clear_sums(self) -> None:
        """What is summed over time starts from zero."""
        cleared: set[tuple[Any, ...]] = set()
        for _, instr in self.plan.instructions():
            if instr.op in ("contract", "total", "total_rows") and key(instr.out) not in cleared:
                cleared.add(key(instr.out))
                self.group(Group(squeezed(instr.out.shape), [Instr("fill", instr.out, (0.0,))]))

    def stage(self, stage: Stage) -> None:
        low, high = self.bounds
        if isinstance(stage, Once):
            self.items(stage.body)
        elif isinstance(stage, Loop):
            order = f"range({low}, {high})" if stage.direction > 0 else f"range({high} - 1, {low} - 1, -1)"
            with self.block(f"for t in {order}:"):
                self.bounds = NOW
                self.items(stage.body)
                self.bounds = low, high
        elif isinstance(stage, Map):
            self.map(stage.body)
        else:
            self.tile(stage)

    def tile(self, tile: Tile) -> None:
        outer, low, high, q = self.bounds, self.fresh("low"), self.fresh("high"), self.fresh("q")
        c = tile.chunk
        first, last = f"{outer[0]} // {c}", f"({outer[1]} + {c - 1}) // {c}"
        order = f"range({first}, {last})" if tile.direction > 0 else f"range({last} - 1, {first} - 1, -1)"
        with self.block(f"for {q} in {order}:"):
            self.line(f"{low}, {high} = max({q} * {c}, {outer[0]}), min({q} * {c} + {c}, {outer[1]})")
            self.bounds = low, high
            for stage in tile.body:
                self.stage(stage)
            self.bounds = outer

    def map(self, body: list[Instr]) -> None:
        """All steps: products of one column as one product over all steps, the rest step by step."""
        waiting: list[Instr] = []
        for instr in body:
            if one_column(instr):
                self.steps(waiting)
                waiting = []
                blas_calls.all_steps(self, instr)
                continue
            if any(_reads_elsewhere(instr, other) for other in waiting):
                self.steps(waiting)
                waiting = []
            waiting.append(instr)
        self.steps(waiting)

    def steps(self, body: list[Instr]) -> None:
        if body:
            with self.block(f"for t in range({self.bounds[0]}, {self.bounds[1]}):"):
                self.items(body)

    def items(self, body: Iterable[Instr]) -> None:
        for item in grouped(body):
            if isinstance(item, Group):
                self.group(item)
            elif item.op in blas_calls.PRODUCTS:
                blas_calls.write(self, item)
            elif item.op in ("total", "total_rows", "sum"):
                getattr(self, item.op)(item)
            elif item.op == "call" and item.function.name in CLASSES:
                self.classes(item)
            elif item.op == "call" and item.function.name in MOVES:
                move(self, item)
            else:
                raise NotJittable(f"the operation {getattr(item.function, 'name', item.op)}")

    # -- over classes -------------------------------------------------------------------------------------------------
    def classes(self, instr: Instr) -> None:
        """softmax and its kin: a call for each step, with the array seen as (outer, classes, inner)."""
        refs, out, name = instr.refs, instr.out, instr.function.name
        shape = out.shape if name == "onehot" else refs[0].shape
        axis, size = instr.params.get("axis", -1), out.buffer.dtype.itemsize
        floats = [ref for ref in (*refs, out) if ref.buffer.dtype.kind == "f"]
        if not isinstance(axis, int) or any(ref.T and min(ref.shape) > 1 for ref in (*refs, out)):
            raise NotJittable(f"{name} over several axes, or of a matrix read transposed")
        if len({ref.buffer.dtype for ref in floats}) > 1:
            raise NotJittable(f"{name} of different dtypes")
        axis %= len(shape)
        for ref in (*refs, out):
            self.number(ref.buffer)
        places = ", ".join(self.address(ref) for ref in (*refs, out))
        counts = f"{prod(shape[:axis])}, {shape[axis]}, {prod(shape[axis + 1 :])}"
        self.line(f"class_kernels.{name}{size}({places}, {counts})")

    # -- sums ---------------------------------------------------------------------------------------------------------
    def total(self, instr: Instr) -> None:
        (a,) = instr.ins  # may be a number
        with self.summed():
            self.group(Group(squeezed(instr.out.shape), [Instr("add", instr.out, (instr.out, a))]))

    def total_rows(self, instr: Instr) -> None:
        """The sum over time first, whole slots at a time; then once over the columns."""
        (a,), out = instr.refs, instr.out
        if a.shape[1] == 1:
            return self.total(instr)
        sums = MemRef(Buffer("", a.shape, out.buffer.dtype))
        row = MemRef(Buffer("", out.shape, out.buffer.dtype))
        self.group(Group(squeezed(a.shape), [Instr("fill", sums, (0.0,))]))
        with self.summed():
            self.group(Group(squeezed(a.shape), [Instr("add", sums, (sums, a))]))
        self.sum(Instr("sum", row, (sums,), {"axis": (1,), "keepdims": True}))
        self.group(Group(squeezed(out.shape), [Instr("add", out, (out, row))]))

    def sum(self, instr: Instr) -> None:
        """Axes that stay are loops around the axes that are summed; the last of those is a kernel's."""
        (a,), out, goal = instr.refs, instr.out, self.number(instr.out.buffer)
        dtype, size = a.buffer.dtype, a.buffer.dtype.itemsize
        axes = list(zip(a.shape, strides(a), strict=True))
        *outer, (count, step) = _merged([axes[k] for k in instr.params["axis"]])
        s, at, to, room = self.fresh("s"), f"{self.address(a)}", self.fresh("o"), prod(out.shape)
        self.line(f"{to} = {self.place(out)}")
        with ExitStack() as loops:
            for n, stride in [axis for k, axis in enumerate(axes) if k not in instr.params["axis"]]:
                i, room = self.fresh("i"), room // n
                loops.enter_context(self.block(f"for {i} in range({n}):"))
                at, to = f"{at} + {stride * size} * {i}", f"{to} + {room} * {i}"
            self.line(f"{s} = {self.constant(0.0, dtype)}")
            with ExitStack() as inside:
                for n, stride in outer:
                    i = self.fresh("i")
                    inside.enter_context(self.block(f"for {i} in range({n}):"))
                    at = f"{at} + {stride * size} * {i}"
                self.line(f"{s} = kernels.total{size}({at}, {count}, {step}, {s})")
            self.line(
                f"put(b{goal}, {to}, {s if dtype == out.buffer.dtype else f'{DTYPES[out.buffer.dtype][1]}({s})'})"
            )


# -- how sums read ----------------------------------------------------------------------------------------------------
def _merged(axes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Lengths and strides of the same entries, in the same order, along as few axes as possible."""
    found = [(1, 1)]
    for n, stride in axes:
        if found[-1][0] == 1:
            found[-1] = n, stride
        elif n != 1 and found[-1][1] == n * stride:
            found[-1] = found[-1][0] * n, stride
        elif n != 1:
            found.append((n, stride))
    return found


def _reads_elsewhere(instr: Instr, other: Instr) -> bool:
    """Whether an instruction reads what another one of its map writes, at a step other than its own."""
    out, before = instr.out, other.out
    crossing = any(ref.buffer is before.buffer and ref.time not in (None, before.time) for ref in (out, *instr.refs))
    return crossing or any(ref.buffer is out.buffer and ref.time not in (None, out.time) for ref in other.refs)
