"""What a compiled function does, as data: stages of instructions on named buffers, for any number of steps.

Here a plan is described and printed. It is made by the passes beside this file and carried out by an executor
(`run_numpy`, `run_jit`): `executor(plan)(values, N)` takes an array for each of `plan.arguments`, the number of steps
`N >= 0`, and returns an array for each of `plan.outputs`. Every size but `N` is a number known to the plan.

A buffer with time holds one slot for each step, and possibly one more before the first (an initial state) or after the
last (where a loop that runs backwards starts from): `lead + N + tail` slots, step t in slot `lead + t`.

Where instructions stand says for which steps they run:

    Once    one time; no reference means a step of its own
    Map     for all steps, in any order: a reference to step t means all of them, as one array (N, *shape)
    Loop    step after step, t = 0 .. N-1 if `direction` is 1, N-1 .. 0 if it is -1
    Tile    the stages inside for `chunk` steps at a time, chunks in `direction`, boundaries at multiples of `chunk`

Instructions are single assignment within a pass over a step: what is written is not written again before it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

#: how references name a slot: `step` relative to the current step, `start` to the first one, `end` to one past the last
STEP, START, END, ALL = "step", "start", "end", "all"


@dataclass(eq=False)
class Buffer:
    """An array that the plan knows by name.

    `shape` and `dtype` are those of one slot (of the whole array when `time` is False). `kind` is `argument` (given by
    the caller), `constant` (holds `value`), `result` (allocated anew for each call, because the caller keeps it),
    `scratch` (allocated once and used again) or, for scratch with time, `chunk`: only the steps of one chunk are alive,
    step t in slot `t % chunk`, where `chunk` belongs to the innermost Tile that all its uses share. `label` is the
    user's word for it, to be shown to people and to nothing else.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    time: bool = False
    kind: str = "scratch"
    lead: int = 0
    tail: int = 0
    value: Any = None
    label: str = ""

    @property
    def size(self) -> int:
        """Entries of one slot."""
        return int(np.prod(self.shape, dtype=int))

    def slots(self, N: int, chunk: int | None = None) -> int:
        """How many slots stand in memory for N steps."""
        if not self.time:
            return 1
        return chunk if self.kind == "chunk" and chunk else self.lead + N + self.tail


@dataclass(frozen=True)
class MemRef:
    """A buffer, or some rows of it, at a time: what MLIR calls a memref.

    `time` is None for a buffer without time, else (`step`, k): the slot of step t + k; (`start`, k): slot lead + k;
    (`end`, k): slot lead + N + k, so (`end`, -1) is the last step and (`end`, 0) what stands after it; (`all`, 0): the
    slots of all steps as one array. `rows` is a range of the slot's first axis; what it selects is then seen in the
    shape `view`, if there is one, and transposed (its axes reversed), if `T`. `groups = k` sees the rows as
    (k, rows / k, ...), to be broadcast against others.
    """

    buffer: Buffer
    time: tuple[str, int] | None = None
    rows: tuple[int, int] | None = None
    T: bool = False
    groups: int = 1
    view: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is meant, for one step."""
        shape = self.buffer.shape
        if self.rows is not None:
            shape = (self.rows[1] - self.rows[0], *shape[1:])
        if self.view is not None:
            shape = self.view
        if self.groups > 1:
            shape = (self.groups, shape[0] // self.groups, *shape[1:])
        return shape[::-1] if self.T else shape

    def __str__(self) -> str:
        text, inside = self.buffer.name, []
        if self.time is not None:
            base, k = self.time
            letter = {STEP: "t", START: "0", END: "N", ALL: ":"}[base]
            inside.append(letter if not k else f"{k}" if base == START else f"{letter}{k:+d}")
        if self.rows is not None and self.rows != (0, self.buffer.shape[0]):
            inside.append(f"{self.rows[0]}:{self.rows[1]}")
        text += f"[{', '.join(inside)}]" if inside else ""
        text += f".{self.groups}" if self.groups > 1 else ""
        return text + (".T" if self.T else "")


def overlap(a: MemRef, b: MemRef) -> bool:
    """Whether two references may mean the same entries, at whatever steps."""
    if a.buffer is not b.buffer:
        return False
    return a.rows is None or b.rows is None or (a.rows[0] < b.rows[1] and b.rows[0] < a.rows[1])


Operand = MemRef | float


@dataclass(frozen=True, eq=False)
class Instr:
    """`out = op(*ins, **params)`; a Python float among the inputs is a constant of the dtype of `out`.

    The kinds of `op`:

    - entry by entry, with numpy's broadcasting: the names of `ELEMENTWISE`; `power_constant` has params n.
    - `dot`: `ins[0] @ ins[1]`, two matrices (or in a Map: for each step).
    - `contract` (Once, or in a Tile): `out += sum over t of ins[0][t] @ ins[1][t].T`; `total`: `out += sum over t of
      ins[0][t]`. A step is referred to as (`step`, k), the range is that of the chunk around it, all steps in a Once.
      `out` holds zeros at the start of the call.
    - `sum`: over `axis` (a tuple), with `keepdims`. `copy`: `out[...] = ins[0]`. `fill`: `out[...] = ins[0]`, a float.
    - `total_rows`: `out += sum over t and columns of ins[0][t]`, as one column.
    - `call`: any other primitive; `params` are those of its forward function, `function` is that function; in a Map,
      for one step after the other.
    """

    op: str
    out: MemRef
    ins: tuple[Operand, ...]
    params: dict[str, Any] = field(default_factory=dict)
    function: Any = None

    def __str__(self) -> str:
        ins = [f"{x:.6g}" if isinstance(x, float) else str(x) for x in self.ins]
        if self.op in _INFIX:
            right = f" {_INFIX[self.op]} ".join(ins) if len(ins) > 1 else f"{_INFIX[self.op]}{ins[0]}"
        elif self.op in ("copy", "fill"):
            right = ins[0]
        elif self.op == "contract":
            other = self.refs[1]
            return f"{self.out} += sum(t, {ins[0]} @ {replace(other, T=not other.T)})"
        elif self.op == "total":
            return f"{self.out} += sum(t, {ins[0]})"
        elif self.op == "total_rows":
            return f"{self.out} += sum(t, columns, {ins[0]})"
        else:
            name = getattr(self.function, "name", "call") if self.op == "call" else self.op
            right = f"{name}({', '.join([*ins, *(f'{key}={_short(v)}' for key, v in self.params.items())])})"
        return f"{self.out} = {right}"

    @property
    def refs(self) -> list[MemRef]:
        """The inputs that are references."""
        return [x for x in self.ins if isinstance(x, MemRef)]


#: operations entry by entry that every executor knows
ELEMENTWISE = frozenset({
    "add", "subtract", "multiply", "divide", "negative", "tanh", "sigmoid", "exp", "expm1", "log", "log1p", "sqrt",
    "square", "reciprocal", "relu", "greater", "equal", "sign", "abs", "maximum", "minimum", "sin", "cos", "tan",
    "arctan", "sinh", "cosh", "arcsinh", "softplus", "logaddexp", "power", "power_constant",
})  # fmt: skip
_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "negative": "-", "dot": "@", "greater": ">"}


#: operations that add something up over the steps
SUMS = frozenset({"contract", "total", "total_rows"})
#: columns (steps times batch) that a sum over time takes at once, at least and at most: 16,384 columns added to 512 x
#: 128 take 53 ms 16 at a time, 23 at 64, 18.2 at 256, 17.4 at 1,024 and no less beyond; with more the copies of them
#: would leave the cache
_FEWEST, _MOST = 1024, 4096


def columns(sums: Iterable[Instr]) -> int:
    """How many columns such sums take at once: the larger what they are added to, the more, since adding costs too."""
    return min(max(_FEWEST, *(instr.out.buffer.size // 64 for instr in sums), 0), _MOST)


@dataclass(eq=False)
class Once:
    """Instructions that run one time."""

    body: list[Instr]


@dataclass(eq=False)
class Map:
    """Instructions that can run for all steps at once."""

    body: list[Instr]


@dataclass(eq=False)
class Loop:
    """Instructions that run step after step, forwards (`direction` 1) or backwards (-1)."""

    direction: int
    body: list[Instr]


@dataclass(eq=False)
class Tile:
    """Stages that run for `chunk` steps at a time, so that what one leaves is still near when the next reads it."""

    direction: int
    chunk: int
    body: list[Stage]


Stage = Once | Map | Loop | Tile


@dataclass(eq=False)
class Plan:
    """All that an executor needs. `print(plan)` reads like the code a person would write.

    `stages` run in order. `arguments` are filled by the caller: those with time by (N, *shape) arrays. `buffers` are
    all others. `outputs` refer to what is returned.
    """

    stages: list[Stage]
    arguments: list[Buffer]
    buffers: list[Buffer]
    outputs: list[MemRef]

    def instructions(self) -> Iterator[tuple[Stage, Instr]]:
        """Every instruction with the innermost stage around it, in order."""
        for stage in walk(self.stages):
            if not isinstance(stage, Tile):
                for instr in stage.body:
                    yield stage, instr

    def bytes(self, N: int) -> int:
        """Bytes of all buffers but the arguments, for N steps."""
        chunks = chunk_of(self.stages)
        return sum(
            b.slots(N, chunks.get(id(b))) * b.size * b.dtype.itemsize for b in self.buffers if b.kind != "constant"
        )

    def __str__(self) -> str:
        lines = [f"given {', '.join(_described(b) for b in self.arguments)}"]
        _write(self.stages, lines, "")
        lines.append(f"return {', '.join(map(str, self.outputs))}")
        return "\n".join(lines)


def walk(stages: list[Stage]) -> Iterator[Stage]:
    """Every stage, those inside of tiles after the tile."""
    for stage in stages:
        yield stage
        if isinstance(stage, Tile):
            yield from walk(stage.body)


def chunk_of(stages: list[Stage], outer: int | None = None) -> dict[int, int]:
    """For each buffer (by `id`) of kind `chunk` the length of the outermost tile that uses it."""
    found: dict[int, int] = {}
    for stage in stages:
        if isinstance(stage, Tile):
            found.update(chunk_of(stage.body, outer or stage.chunk))
        elif outer is not None:
            for instr in stage.body:
                for ref in (instr.out, *instr.refs):
                    if ref.buffer.kind == "chunk":
                        found[id(ref.buffer)] = outer
    return found


def _write(stages: list[Stage], lines: list[str], indent: str) -> None:
    for stage in stages:
        if isinstance(stage, Tile):
            order = "" if stage.direction > 0 else ", from the last to the first"
            lines.append(f"{indent}in chunks of {stage.chunk} steps{order}:")
            _write(stage.body, lines, indent + "    ")
            continue
        inner = indent
        if isinstance(stage, Loop):
            lines.append(f"{indent}for t in {'range(N)' if stage.direction > 0 else 'reversed(range(N))'}:")
            inner += "    "
        elif isinstance(stage, Map):
            lines.append(f"{indent}for all t at once:")
            inner += "    "
        lines += [inner + str(instr) for instr in stage.body]


def _described(b: Buffer) -> str:
    label = f" ({b.label})" if b.label else ""
    return f"{b.name}{label} {'N x ' if b.time else ''}{' x '.join(map(str, b.shape)) or 'scalar'}"


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 40 else text[:37] + "..."
