"""Make a compiled form of a function for given arguments: record, fold, differentiate, optimise, plan.

The folded form serves every length. Where steps are not one step repeated the flat form serves this length only; where
not even two recordings of one length agree, the function decides by values, and `CompileError` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.timeline import FoldError, same_static
from .apart import apart
from .build import Built, alike, matched
from .checkpoint import CheckpointRunner
from .errors import CompileError, Unfoldable
from .forms import Planned, Prepared
from .forms_jit import NotJittable
from .lower import lower
from .numbers import questions
from .passes import optimised, planned, with_gradients
from .plan import Plan
from .program import Node, order
from .record import Recorder, Times, candidates
from .run_numpy import NumpyRunner
from .simplify import simplify
from .watch import RECORDING

#: how many steps are recorded: more, where delays are long
_LENGTHS = (6, 12)


def form_for(known: list[Prepared], arrays: list[Any], make: Callable[[], Prepared]) -> Prepared:
    """The form among those known that fits, else a new one: made by one thread, while others wait for it."""
    found = next((form for form in known if form.fits(arrays)), None)
    if found is None:
        with RECORDING:
            found = next((form for form in known if form.fits(arrays)), None)
            if found is None:
                found = make()
                known.append(found)
    return found


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
            outputs = simplify(apart(simplify(outputs)))
            lowered = planned(optimised(with_gradients(compiled, recorder, outputs, times)), executor, compiled.chunk)
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
        lowered = lower(simplify(with_gradients(compiled, recorder, simplify(outputs))))
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
