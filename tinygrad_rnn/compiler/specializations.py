"""Forms of a compiled function: what runs for arguments of certain shapes, and what it needs of them.

Which form a function takes is decided in `prepare`; here one is asked whether it fits, and run. A recording never sees
later values, so whatever the function itself refuses (numbers that are none of the classes, nothing to average, few
steps) is looked for before a plan runs, or after it where it is nan; the function then says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..core.loop.program import Node, order
from ..core.ops.indexing import axis_of, inside
from .blas_threads import calm
from .planning.lower import Lowered
from .trace.length_numbers import Lengths
from .trace.record import Times, restored


class Executor(Protocol):
    """What carries out a plan: called with the values of the arguments and a number of steps, it gives the outputs."""

    #: the package whose BLAS it calls
    blas: str

    def __call__(self, values: list[Any], N: int) -> list[np.ndarray]: ...

    def peak_bytes(self, N: int) -> int:
        """Bytes of all buffers for N steps."""
        ...

    def source(self) -> str:
        """The code that runs, to be read."""
        ...


class Prepared:
    """One form of a function, for arguments of certain shapes."""

    def __init__(self, arrays: list[Any], times: Times, told: str) -> None:
        self.times, self.told = times, told
        self.key = self._key(arrays)
        self.plan: Any = None

    def _key(self, arrays: list[Any]) -> list[Any]:
        """For each value dtype and shape (of a sequence that of one step) and the axis of time."""
        found: list[Any] = []
        for n, a in enumerate(arrays):
            axis = self.times.get(n)
            if type(a) is float:
                found.append((None, None, None))
            else:
                shape = a.shape if axis is None else a.shape[:axis] + a.shape[axis + 1 :]
                found.append((a.dtype, shape, axis))
        return found

    def fits(self, arrays: list[Any]) -> bool:
        """Whether arguments have the shapes this form is for."""
        for a, (dtype, shape, axis) in zip(arrays, self.key, strict=True):
            if type(a) is float:
                if dtype is not None:
                    return False
            elif a.dtype is not dtype and a.dtype != dtype:
                return False
            elif axis is None:
                if a.shape != shape:
                    return False
            else:
                found = a.shape
                if len(found) != len(shape) + 1 or found[:axis] + found[axis + 1 :] != shape:
                    return False
        return self.length(arrays) is not None

    def length(self, arrays: list[Any]) -> int | None:
        """How long the sequences are; None if they differ."""
        found = -1
        for n, axis in self.times.items():
            length = arrays[n].shape[axis]
            if length != found >= 0:
                return None
            found = length
        return max(found, 0)

    def in_use(self) -> list[Prepared]:
        """What runs for such arguments: this form, or those that took its place."""
        return [self]

    def peak_bytes(self, T: int) -> int:
        """Bytes of buffers for sequences of length T: none of its own."""
        return 0

    def source(self) -> str:
        """The code that runs; nothing for a function that runs as it is."""
        return ""

    def run(self, compiled: Any, args: Any, kwargs: Any, arrays: list[Any]) -> Any:
        """The result of the function; `compiled.last` is what gave it."""
        compiled.last = self
        return compiled.original(*args, **kwargs)


class Planned(Prepared):
    """A form with a plan."""

    def __init__(
        self, arrays: list[Any], times: Times, told: str, lowered: Lowered, structure: Any, ends: int, runner: Executor
    ) -> None:
        super().__init__(arrays, times, told)
        self.lowered, self.structure, self.ends = lowered, structure, ends
        self.plan, self.runner = lowered.plan, runner
        self._alone = Lock()  # a runner works in memory of its own: calls from several threads wait for each other
        self.calm = calm(lowered.plan, runner.blas)
        #: the lengths it was looked at; None for the flat form
        self.lengths: Lengths | None = None
        #: why it is not used any more, after another length spoke against it; and the forms that are used instead
        self.refused: str | None = None
        self.instead: list[Prepared] = []
        #: what says for a length not looked at so far which form runs instead, or None (`prepare`, which makes forms)
        self.reconsidered: Callable[..., Prepared | None] = lambda *call: None
        #: the fewest steps it can do: a step of the loop that is read by itself has to be there
        self.least = ends
        self.questions = Questions({}, False, 0)
        self.derived: dict[int, tuple[int, int, int]] = {}
        #: for each source the number of the argument that is taken as it is
        self.plain = [
            s["leaf"] if "leaf" in s and "at" not in s and not s["step"] and s["leaf"] not in times else None
            for s in lowered.sources
        ]
        self.handed = [r if r["float"] or "each" in r else None for r in lowered.results]  # None: as it is
        self.dtypes: list[Any] = []  # of the gradients, which are those of what they belong to

    @cached_property
    def casts(self) -> list[tuple[int, Any]]:
        """Which gradients have another dtype than what they belong to, and that dtype."""
        refs = self.plan.outputs
        pairs = enumerate(self.dtypes, len(refs) - len(self.dtypes))
        return [(i, dtype) for i, dtype in pairs if dtype is float or refs[i].buffer.dtype != dtype]

    def fits(self, arrays: list[Any]) -> bool:
        """As for every form; and the loop needs as many steps as it was recorded to need."""
        return super().fits(arrays) and (not self.times or (self.length(arrays) or 0) >= self.least)

    def in_use(self) -> list[Prepared]:
        """This form, or what runs in its place since another length spoke against it."""
        return self.instead if self.refused else [self]

    def run(self, compiled: Any, args: Any, kwargs: Any, arrays: list[Any]) -> Any:
        """The result, by the plan; by another form or by the function itself where the plan does not hold."""
        T = self.length(arrays) or 0
        if self.lengths is not None and (self.refused or T not in self.lengths):
            other = self.reconsidered(compiled, self, args, kwargs, arrays)
            if other is not None:
                return other.run(compiled, args, kwargs, arrays)
        if not self._allowed(arrays, T):
            return self._as_it_is(compiled, args, kwargs, arrays)  # which says what is wrong, or knows what is meant
        compiled.last = self
        found = self.outputs(arrays, T)
        if self.questions.nothing and np.isnan(found[0]).any():
            return self._as_it_is(compiled, args, kwargs, arrays)
        for i, dtype in self.casts:
            found[i] = float(found[i]) if dtype is float else np.asarray(found[i], dtype)
        return compiled.returned(args, restored(self.structure, found), found)

    @staticmethod
    def _as_it_is(compiled: Any, args: Any, kwargs: Any, arrays: list[Any]) -> Any:
        return Prepared(arrays, {}, "as it is (for these values)").run(compiled, args, kwargs, arrays)

    def _allowed(self, arrays: list[Any], T: int) -> bool:
        """Whether all whole numbers are such as the function takes."""
        given = self._with_derived(arrays, T)
        for n, allowed in self.questions.allowed.items():
            if not allowed.holds(given[n], None if allowed.under is None else given[allowed.under]):
                return False
        return not self.derived or all(
            Allowed(low, T + more, frozenset()).holds(arrays[n]) for n, low, more in self.derived.values()
        )

    def _with_derived(self, arrays: list[Any], T: int) -> list[Any]:
        return [*arrays, *[inside(arrays[n], T) for n, _, _ in self.derived.values()]] if self.derived else arrays

    def peak_bytes(self, T: int) -> int:
        """Bytes of buffers for sequences of length T."""
        return self.runner.peak_bytes(T - self.ends if self.times else 0)

    def source(self) -> str:
        """The generated code of the jitted executor; of the numpy executor the plan, which it follows line by line."""
        return self.runner.source()

    def outputs(self, arrays: list[Any], T: int) -> list[Any]:
        """Values and gradients for sequences of length T."""
        N = T - self.ends
        arrays = self._with_derived(arrays, T)
        values = [
            arrays[n] if n is not None else self._value(source, arrays, T, N)
            for n, source in zip(self.plain, self.lowered.sources, strict=True)
        ]
        with self._alone, self.calm:
            made = self.runner(values, N)
        results = zip(made, self.handed, strict=True)
        return [array if result is None else self._result(array, result) for array, result in results]

    def _value(self, source: dict[str, Any], arrays: list[Any], T: int, N: int) -> Any:
        if "steps" in source:
            p = source["steps"]
            return p["factor"] * float(T) ** p["power"]
        if "tensor" in source:
            return source["tensor"].value
        n = source["leaf"]
        array = arrays[n]
        if self.times.get(n):
            array = np.moveaxis(array, self.times[n], 0)
        if "at" in source:
            return array[source["at"]]
        if not source["step"]:
            return array
        if source["backwards"]:
            array = array[::-1]
        return array[source["offset"] : source["offset"] + N]

    @staticmethod
    def _result(array: np.ndarray, result: dict[str, Any]) -> Any:
        if result["float"]:
            return float(array)
        each = result["each"]
        if each["backwards"]:
            array = array[::-1]
        if each.get("mode") == 1:
            array = array.swapaxes(1, 2)
        elif each.get("mode") == 2:
            array = array[:, :, 0]
        return np.ascontiguousarray(np.moveaxis(array, 0, each["axis"]))


# -- what each call is asked ------------------------------------------------------------------------------------------
#: what passes whole numbers on
_PASSING = frozenset({
    "shift", "reshape", "broadcast_to", "transpose", "getitem", "copy", "at", "ends", "identity", "ranged", "stack",
})  # fmt: skip


class Allowed(NamedTuple):
    """The whole numbers from `low` on and below `high`, and those of `also`; any where the argument `under` is 0."""

    low: int
    high: int
    also: frozenset[int]
    under: int | None = None

    def holds(self, numbers: Any, mask: Any = None) -> bool:
        """Whether all numbers are such, or those under the mask."""
        if mask is not None and np.shape(mask) == np.shape(numbers):
            numbers = numbers[mask != 0]
        if not np.size(numbers):
            return True
        if not self.also and not self.low and getattr(numbers, "dtype", None) == np.int64:
            return bool(np.maximum.reduce(numbers.view(np.uint64), None) < self.high)  # below 0 is very large there
        for number in self.also:
            numbers = np.where(numbers == number, self.low, numbers)
        return bool(self.low <= np.min(numbers) and np.max(numbers) < self.high)

    def both(self, other: Allowed) -> Allowed:
        """What is allowed by both."""
        also = {n for n in self.also | other.also if self._has(n) and other._has(n)}
        under = self.under if self.under == other.under else None
        return Allowed(max(self.low, other.low), min(self.high, other.high), frozenset(also), under)

    def _has(self, number: int) -> bool:
        return number in self.also or self.low <= number < self.high


class Questions(NamedTuple):
    """`allowed` numbers of each argument that has some; `nothing`: whether an average may be one of nothing; `steps`:
    how many the loop has at least, since they are read by themselves.
    """

    allowed: dict[int, Allowed]
    nothing: bool
    steps: int


def questions(outputs: list[Node]) -> Questions:
    """What has to be asked of the arguments and results of a program."""
    found: dict[int, Allowed] = {}
    nodes = order(outputs)
    for node in nodes:
        read = _read(node)
        for leaf, also, under in _leaves(read[0]) if read is not None else ():
            allowed = Allowed(read[1], read[2], also, under)  # type: ignore[index]
            found[leaf] = found[leaf].both(allowed) if leaf in found else allowed
    picked = [node.params["k"] for node in nodes if node.op == "at"]
    steps = max((k + 1 if k >= 0 else -k for k in picked), default=0)
    return Questions(found, any(node.op == "some" for node in nodes), steps)


def _read(node: Node) -> tuple[Node, int, int] | None:
    """The numbers that a node reads, the least, and the first that is too large."""
    match node.op:
        case "cross_entropy":
            return node.ins[1], 0, node.ins[0].shape[node.params.get("axis", -1)]
        case "onehot":
            return node.ins[0], 0, node.params["classes"]
        case "pick":
            axis = axis_of(node.params["index"])
            return node.ins[1], 0, node.ins[0].shape[axis or 0]
        case "ranged":
            return node.ins[0], node.params["low"], node.params["high"]
    return None


def _leaves(x: Node) -> list[tuple[int, frozenset[int], int | None]]:
    """The arguments that numbers come from, which numbers are replaced before they are read, and under which mask."""
    found: list[tuple[int, frozenset[int], int | None]] = []
    stack: list[tuple[Node, frozenset[int], int | None]] = [(x, frozenset(), None)]
    seen: set[tuple[int, frozenset[int], int | None]] = set()
    while stack:
        node, also, under = stack.pop()
        if (id(node), also, under) in seen:
            continue
        seen.add((id(node), also, under))
        if node.op == "input" and "leaf" in node.params:
            found.append((node.params["leaf"], also, under))
        elif node.op == "select" and node.ins[2].op == "equals":
            stack.append((node.ins[1], also | {node.ins[2].params["number"]}, under))
        elif node.op == "select":
            mask = node.ins[2].params.get("leaf") if node.ins[2].op == "input" else None
            stack += [(node.ins[0], also, mask), (node.ins[1], also, None)]
        elif node.op in _PASSING:
            stack += [(y, also, under) for y in node.ins]
    return found
