"""Make a compiled form of a function for given arguments: record, fold, differentiate, optimise, plan.

The folded form serves every length. Where steps are not one step repeated the flat form serves this length only; where
not even two recordings of one length agree, the function decides by values, and `CompileError` says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import TinygradError
from ..core.timeline import FoldError
from .adjoint import differentiate
from .build import matched
from .errors import CompileError, Unfoldable
from .layout import features_first
from .lower import Lowered, lower
from .merge import merge_products
from .program import Node, order
from .reassociate import reassociate
from .record import Recorder, Times, candidates, restored
from .run_numpy import NumpyRunner
from .sigmoid import sigmoids_as_tanh
from .simplify import simplify
from .trees import with_gradients

#: how many steps are recorded: more, where delays are long
_LENGTHS = (6, 12)


class Prepared:
    """One form of a function, for arguments of certain shapes."""

    def __init__(self, arrays: list[Any], times: Times, told: str) -> None:
        self.times, self.told = times, told
        self.key = self._key(arrays)
        self.plan: Any = None

    def _key(self, arrays: list[Any]) -> list[Any]:
        return [
            None if type(a) is float else (a.dtype, a.shape) if n not in self.times
            else (a.dtype, a.shape[: self.times[n]] + a.shape[self.times[n] + 1 :])
            for n, a in enumerate(arrays)
        ]  # fmt: skip

    def fits(self, arrays: list[Any]) -> bool:
        """Whether arguments have the shapes this form is for."""
        return self._key(arrays) == self.key and self.length(arrays) is not None

    def length(self, arrays: list[Any]) -> int | None:
        """How long the sequences are; None if they differ."""
        found = {arrays[n].shape[axis] for n, axis in self.times.items()}
        return found.pop() if len(found) == 1 else 0 if not found else None

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

    def fits(self, arrays: list[Any]) -> bool:
        """As for every form; and the loop needs as many steps as it was recorded to need."""
        return super().fits(arrays) and (not self.times or (self.length(arrays) or 0) >= self.ends)

    def run(self, compiled: Any, args: Any, kwargs: Any, arrays: list[Any]) -> Any:
        T = self.length(arrays) or 0
        N = T - self.ends
        values = [self._value(source, arrays, T, N) for source in self.lowered.sources]
        found = [
            self._result(array, result)
            for array, result in zip(self.runner(values, N), self.lowered.results, strict=True)
        ]
        return compiled.returned(args, restored(self.structure, found), found)

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
        each = result.get("each")
        if each is None:
            return array
        if each["backwards"]:
            array = array[::-1]
        if each.get("mode") == 1:
            array = array.swapaxes(1, 2)
        elif each.get("mode") == 2:
            array = array[:, :, 0]
        return np.ascontiguousarray(np.moveaxis(array, 0, each["axis"]))


def prepare(compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any], arrays: list[Any], known: int) -> Prepared:
    """The best form there is for these arguments, of whose structure so many forms are known already."""
    recorder = Recorder(compiled.function, args, kwargs, compiled.argnums)
    reasons: list[str] = []
    if not known or any(isinstance(form, Planned) and form.times for form in compiled.known_forms):
        for times in candidates(recorder.leaves):
            found = _folded(compiled, recorder, times, arrays, reasons)
            if found is not None:
                return found
    return _flat(compiled, recorder, arrays, reasons)


def _folded(
    compiled: Any, recorder: Recorder, times: Times, arrays: list[Any], reasons: list[str]
) -> Prepared | None:
    """The form for all lengths, if these are the sequences and their steps are one step repeated."""
    for length in _LENGTHS:
        try:
            compiled.recordings += 1
            first, structure = recorder.run(times, length, other=False)
            second, _ = recorder.run(times, length + 1, other=True)
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
            outputs = simplify(matched(first, second))
            lowered = lower(optimised(_with_gradients(compiled, recorder, outputs)), pack=compiled.executor == "numpy")
        except Unfoldable as error:
            reasons.append(str(error))
            return None
        form = Planned(arrays, times, "folded", lowered, structure[0], first.ends, _runner(compiled.executor)(lowered.plan))
        T = form.length(arrays)
        if T is None or T < first.ends:
            reasons.append(f"{T} steps are fewer than the {first.ends} that differ from the rest")
            return None
        return form
    return None


def _runner(executor: str) -> Any:
    """The class that carries out plans."""
    if executor == "jit":
        from .run_jit import JitRunner

        return JitRunner
    return NumpyRunner


def _flat(compiled: Any, recorder: Recorder, arrays: list[Any], reasons: list[str]) -> Prepared:
    compiled.recordings += 1
    reason = reasons[0] if reasons else "no argument is a sequence"
    first, structure = recorder.run({}, 0, other=False, folded=False)
    second, _ = recorder.run({}, 1, other=True, folded=False)
    try:
        outputs = matched(first, second)
    except Unfoldable as error:
        return Prepared(arrays, {}, f"as it is ({error})")
    outputs = simplify(_with_gradients(compiled, recorder, simplify(outputs)))
    lowered = lower(outputs)
    return Planned(arrays, {}, f"flat ({reason})", lowered, structure[0], 0, NumpyRunner(lowered.plan))


def optimised(outputs: list[Node]) -> list[Node]:
    """All passes, one after the other."""
    outputs = simplify(features_first(simplify(outputs)))
    outputs = simplify(reassociate(simplify(sigmoids_as_tanh(outputs))))
    return simplify(merge_products(outputs))


def _with_gradients(compiled: Any, recorder: Recorder, outputs: list[Node]) -> list[Node]:
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


__all__ = ["CompileError", "Planned", "Prepared", "prepare", "with_gradients"]
