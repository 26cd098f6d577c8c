"""Make a compiled form of a function for given arguments: record, fold, differentiate, optimise, plan.

The folded form serves every length. Where steps are not one step repeated the flat form serves this length only; where
not even two recordings of one length agree, the function decides by values, and `CompileError` says so.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..core.choosing import inside
from ..core.timeline import FoldError, same_static
from .adjoint import differentiate
from .build import Built, alike, matched
from .checkpoint import CheckpointRunner
from .errors import CompileError, Unfoldable
from .forms_jit import NotJittable
from .layout import features_first
from .lower import Lowered, lower
from .merge import inner_products, merge_products
from .numbers import Allowed, Questions, questions
from .plan import Plan
from .program import Node, order
from .reassociate import reassociate
from .record import Recorder, Times, candidates, restored
from .run_numpy import WORKING, NumpyRunner
from .sigmoid import sigmoids_as_tanh
from .simplify import simplify
from .threads import calm
from .tile import tiled
from .turn import turned

#: how many steps are recorded: more, where delays are long
_LENGTHS = (6, 12)


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

    def peak_bytes(self, T: int) -> int:
        """Bytes of buffers for sequences of length T: none of its own."""
        return 0

    def source(self) -> str:
        """The code that runs; nothing for a function that runs as it is."""
        return ""

    def run(self, compiled: Any, args: Any, kwargs: Any, arrays: list[Any]) -> Any:
        """The result of the function."""
        return compiled.original(*args, **kwargs)


class Planned(Prepared):
    """A form with a plan."""

    def __init__(
        self, arrays: list[Any], times: Times, told: str, lowered: Lowered, structure: Any, ends: int, runner: Any
    ) -> None:
        super().__init__(arrays, times, told)
        self.lowered, self.structure, self.ends = lowered, structure, ends
        self.plan, self.runner = lowered.plan, runner
        self.calm = calm(lowered.plan, "numpy" if isinstance(runner, NumpyRunner | CheckpointRunner) else "scipy")
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

    def run(self, compiled: Any, args: Any, kwargs: Any, arrays: list[Any]) -> Any:
        if (self.questions.allowed or self.derived) and not self._allowed(arrays):
            return compiled.original(*args, **kwargs)  # which says what is wrong, or knows what is meant
        found = self.outputs(arrays, self.length(arrays) or 0)
        if self.questions.nothing and np.isnan(found[0]).any():
            return compiled.original(*args, **kwargs)
        for i, dtype in self.casts:
            found[i] = float(found[i]) if dtype is float else found[i].astype(dtype)
        return compiled.returned(args, restored(self.structure, found), found)

    def _allowed(self, arrays: list[Any]) -> bool:
        """Whether all whole numbers are such as the function takes."""
        T = self.length(arrays) or 0
        return all(allowed.holds(arrays[n]) for n, allowed in self.questions.allowed.items()) and all(
            Allowed(low, T + more, frozenset()).holds(arrays[n]) for n, low, more in self.derived.values()
        )

    def peak_bytes(self, T: int) -> int:
        """Bytes of buffers for sequences of length T."""
        N = T - self.ends if self.times else 0
        if isinstance(self.runner, CheckpointRunner):
            return self.runner.peak_bytes(N) + WORKING
        return self.plan.bytes(N) + (WORKING if isinstance(self.runner, NumpyRunner) else 0)

    def source(self) -> str:
        """The generated code of the jitted executor; of the numpy executor the plan, which it follows line by line."""
        generated = getattr(self.runner, "source", None)
        return generated() if callable(generated) else generated or str(self.plan)

    def outputs(self, arrays: list[Any], T: int) -> list[Any]:
        """Values and gradients for sequences of length T."""
        N = T - self.ends
        if self.derived:
            arrays = [*arrays, *[inside(arrays[n], T) for n, _, _ in self.derived.values()]]
        values = [
            arrays[n] if n is not None else self._value(source, arrays, T, N)
            for n, source in zip(self.plain, self.lowered.sources, strict=True)
        ]
        with self.calm:
            made = self.runner(values, N)
        results = zip(made, self.handed, strict=True)
        return [array if result is None else self._result(array, result) for array, result in results]

    def _value(self, source: dict[str, Any], arrays: list[Any], T: int, N: int) -> Any:
        if "steps" in source:
            p = source["steps"]
            return p["factor"] * float(T) ** p["power"] + p["offset"]
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


def prepare(compiled: Any, args: Any, kwargs: Any, arrays: list[Any], known: int, recorder: Any = None) -> Prepared:
    """The best form there is for these arguments, of whose structure so many forms are known already."""
    recorder = recorder or Recorder(compiled.function, args, kwargs, compiled.argnums)
    reasons: list[str] = list(getattr(recorder, "reasons", ()))
    if not known or any(isinstance(form, Planned) and form.times for form in compiled.known_forms):
        times_of = getattr(recorder, "times", None)
        for times in candidates(recorder.leaves) if times_of is None else [times_of] if times_of else []:
            found = _folded(compiled, recorder, times, arrays, reasons)
            if found is not None:
                return found
    return _flat(compiled, recorder, arrays, reasons)


def _folded(compiled: Any, recorder: Any, times: Times, arrays: list[Any], reasons: list[str]) -> Prepared | None:
    """The form for all lengths, if these are the sequences and their steps are one step repeated."""
    if compiled.executor == "jit":
        try:
            return _repeated(compiled, recorder, times, arrays, reasons, "jit")
        except NotJittable as error:
            form = _repeated(compiled, recorder, times, arrays, reasons, "numpy")
            if form is not None:
                form.told += f" (by numpy: {str(error).partition(': take')[0]})"
            return form
    return _repeated(compiled, recorder, times, arrays, reasons, "numpy")


def _repeated(
    compiled: Any, recorder: Any, times: Times, arrays: list[Any], reasons: list[str], executor: str
) -> Prepared | None:
    for length in _LENGTHS:
        try:
            compiled.recordings += 1
            first, structure = recorder.run(times, length, other=False)
            second, again = recorder.run(times, length + 1, other=True)
        except (CompileError, MemoryError):
            raise
        except FoldError as error:
            reasons.append(str(error))
            if "too few" in str(error):
                continue
            return None
        except Exception as error:  # what a function says to sequences that are none
            reasons.append(str(error))
            return None
        try:
            outputs = _matched(first, second, structure, again)
            if any(node.op == "steps" for node in order(outputs)):  # or do the values say it?
                third, _ = recorder.run(times, length + 1, other=False)
                if not alike(second, third):
                    raise Unfoldable("a number depends on values")
            asked = questions(outputs)
            outputs = simplify(outputs)
            lowered = _lowered(optimised(_with_gradients(compiled, recorder, outputs)), executor)
        except (CompileError, MemoryError):
            raise
        except Exception as error:  # Unfoldable, or what a pass makes of a graph that it does not know
            reasons.append(str(error))
            return None
        runner = _runner(compiled, lowered.plan, executor)
        form = Planned(arrays, times, "folded", lowered, structure[0], first.ends, runner)
        form.dtypes, form.questions, form.derived = _dtypes(compiled, recorder), asked, first.derived
        form.least += asked.steps
        if not _agrees(form, first):
            reasons.append("the plan does not give what was recorded")
            return None
        T = form.length(arrays)
        if T is None or form.least > T:
            reasons.append(f"{T} steps are fewer than the {form.least} that are looked at by themselves")
            return None
        return form
    return None


def _lowered(outputs: list[Node], executor: str) -> Lowered:
    """The plan as the executor likes it."""
    if executor != "numpy":
        return lower(outputs, pack=False)
    lowered = lower(inner_products(outputs))
    lowered.plan = turned(tiled(lowered.plan))
    return lowered


def _matched(first: Built, second: Built, structure: Any, again: Any) -> list[Node]:
    """The program of both recordings; what is no Tensor in a result has to be the same in both."""
    if not same_static(structure, again):
        raise Unfoldable("a part of the result that is no Tensor differs between two recordings")
    return matched(first, second)


def _agrees(form: Planned, built: Built) -> bool:
    """Whether the plan gives what the function returned when it was recorded."""
    arrays = [built.given[n] for n in range(len(form.key))]
    for found, expected in zip(form.outputs(arrays, built.length), built.returned, strict=False):
        allowed = 1e-3 if np.result_type(expected).itemsize < 8 else 1e-9
        if np.shape(found) != np.shape(expected) or not np.allclose(found, expected, allowed, allowed, equal_nan=True):
            return False
    return True


def _runner(compiled: Any, plan: Plan, executor: str) -> Any:
    """What carries out the plan."""
    if executor == "jit":
        from .run_jit import JitRunner

        return JitRunner(plan, getattr(compiled, "together", False))
    if compiled.checkpoint is not None:
        return CheckpointRunner(plan, compiled.checkpoint)
    return NumpyRunner(plan, getattr(compiled, "together", False))


def _flat(compiled: Any, recorder: Any, arrays: list[Any], reasons: list[str]) -> Prepared:
    """The form for one length; as it is where what the function does with its arguments cannot be followed."""
    compiled.recordings += 1
    before = [form.told[6:-1] for form in compiled.known_forms if form.told.startswith("flat (")]
    reason = (reasons or before or ["no argument is a sequence"])[0]
    try:
        first, structure = recorder.run({}, 0, other=False, folded=False)
        second, again = recorder.run({}, 1, other=True, folded=False)
        outputs = _matched(first, second, structure, again)
        asked = questions(outputs)
        lowered = lower(simplify(_with_gradients(compiled, recorder, simplify(outputs))))
    except (CompileError, MemoryError):
        raise
    except Exception as error:  # what it says to a Tensor in place of an array; run as it is, it says what is wrong
        return Prepared(arrays, {}, f"as it is ({error})")
    form = Planned(arrays, {}, f"flat ({reason})", lowered, structure[0], 0, NumpyRunner(lowered.plan))
    form.dtypes, form.questions = _dtypes(compiled, recorder), asked
    return form if _agrees(form, first) else Prepared(arrays, {}, "as it is (the plan does not give what was recorded)")


def _dtypes(compiled: Any, recorder: Any) -> list[Any]:
    if not compiled.argnums:
        return []
    arrays = [leaf.array for leaf in recorder.leaves if leaf.differentiated]
    return [float if type(array) is float else array.dtype for array in arrays]


def optimised(outputs: list[Node]) -> list[Node]:
    """All passes, one after the other."""
    outputs = simplify(features_first(simplify(outputs)))
    outputs = simplify(reassociate(simplify(sigmoids_as_tanh(outputs))))
    return simplify(merge_products(outputs))


def _with_gradients(compiled: Any, recorder: Any, outputs: list[Node]) -> list[Node]:
    """The outputs, and the gradients of the first with respect to what was asked for."""
    if not compiled.argnums:
        return outputs
    if len(outputs) != 1:
        raise Unfoldable("a function to differentiate returns one number")
    inputs: dict[int, list[Node]] = {}
    for node in order(outputs):
        if node.op == "input" and "leaf" in node.params:
            inputs.setdefault(node.params["leaf"], []).append(node)
    wanted = [leaf for leaf in recorder.leaves if leaf.differentiated]
    targets = [inputs.get(leaf.number, []) for leaf in wanted]
    found = iter(differentiate(outputs[0], [node for nodes in targets for node in nodes]))
    grads = []
    for leaf, nodes in zip(wanted, targets, strict=True):
        parts = [next(found) for _ in nodes]
        if any(node.step or "at" in node.params for node in nodes):
            grads.append(_of_sequence(nodes, parts))
        else:
            grads.append(parts[0] if parts else _no_gradient(leaf.array))
    return outputs + grads


def _no_gradient(array: Any) -> Node:
    value = 0.0 if type(array) is float else np.zeros(array.shape, array.dtype)
    return Node("constant", (), {"value": value}, False, value)


def _of_sequence(nodes: list[Node], parts: list[Node]) -> Node:
    """The gradient with respect to a sequence: that of each entry."""
    if len(nodes) != 1 or nodes[0].params.get("offset") != 0 or not parts[0].step:
        raise Unfoldable("the gradient of a sequence that is read in several ways")
    backwards = nodes[0].params["backwards"]
    return Node("each", parts, {"axis": 0, "backwards": backwards}, False, np.zeros((1, *parts[0].shape)))
