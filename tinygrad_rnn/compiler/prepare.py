"""Make a compiled form of a function for given arguments: record, fold, differentiate, optimise, plan.

The folded form serves every length. Where steps are not one step repeated the flat form serves this length only; where
not even two recordings of one length agree, the function decides by values, and `CompileError` says so. What cannot be
folded raises `FoldError`, which says why; whatever else is raised here is a fault, and surfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import FoldError, NotDifferentiableError
from ..core.loop.program import Node, order
from ..core.loop.timeline import same_static
from .numpy.rematerialize import CheckpointRunner
from .numpy.run_numpy import NumpyRunner
from .passes.pipeline import optimised, planned, with_gradients
from .passes.simplify import simplify
from .passes.split_gates import apart
from .planning.lower import lower
from .planning.plan import Plan
from .specializations import Executor, Planned, Prepared, questions
from .trace.build import Built, confirm, matched
from .trace.guard import RECORDING
from .trace.length_numbers import Lengths, census, line_of
from .trace.record import Recording, Times, candidates
from .unsupported import NotJittable, OtherNumber, Unfoldable

#: how many steps are recorded, first and then for comparison: more, where delays are long. Few, so that
#: it is quick; 17 and 23 are prime and far from 6 and 12, so that nothing but c T and c / T fits both lengths by chance
_LENGTHS = ((6, 17), (12, 23))


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


def prepare(compiled: Any, args: Any, kwargs: Any, arrays: list[Any], known: int) -> Prepared:
    """The best form there is for these arguments, of whose structure so many forms are known already."""
    recorder = compiled.recorder(args, kwargs)
    reasons: list[str] = recorder.reasons
    if not known or any(
        isinstance(form, Planned) and form.lengths and not form.refused for form in compiled.known_forms
    ):
        for times in candidates(recorder.leaves) if recorder.times is None else filter(None, [recorder.times]):
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
    for length, other in _LENGTHS:
        try:
            compiled.recordings += 1
            first, structure = recorder.run(times, length, other=False)
            second, again = recorder.run(times, other, other=True)
        except FoldError as error:
            reasons.append(str(error))
            if "too few" in str(error):
                continue
            return None
        try:
            outputs = _matched(first, second, structure, again)
            if any(node.op == "steps" for node in order(outputs)):  # or do the values say it?
                confirm(outputs, recorder.run(times, (length + other) // 2, other=False)[0])
            asked = questions(outputs)
            outputs = simplify(apart(simplify(outputs)))
            outputs = optimised(with_gradients(compiled, recorder, outputs, times, first.ends))
            lowered = planned(outputs, executor, compiled.chunk)
        except OtherNumber as error:
            reasons.append(_with_line(str(error), recorder, times, length, other))
            return None
        except (FoldError, NotDifferentiableError) as error:
            reasons.append(str(error))
            return None
        runner = executor_of(compiled, lowered.plan, executor)
        form = Planned(arrays, times, "folded", lowered, structure[0], first.ends, runner)
        form.dtypes, form.questions, form.derived = _dtypes(compiled, recorder), asked, first.derived
        form.least += asked.steps
        T = form.length(arrays)
        if T is None or form.least > T:
            reasons.append(f"{T} steps are fewer than the {form.least} that are looked at by themselves")
            return None
        form.reconsidered = another
        form.lengths = Lengths(*[census(each.recorded.outputs, each.length) for each in (first, second)])
        found = _disagreement(compiled, form, first.recorded, length)
        found = (
            found
            or _disagreement(compiled, form, second.recorded, other)
            or _in_segments(compiled, form, second.recorded, other)
            or _looked_at(compiled, form, recorder, T)
        )
        if found is not None:
            reasons.append(found)
            return None
        return form
    return None


def _matched(first: Built, second: Built, structure: Any, again: Any) -> list[Node]:
    """The program of both recordings; what is no Tensor in a result has to be the same in both."""
    if not same_static(structure, again):
        raise Unfoldable("a part of the result that is no Tensor differs between two recordings")
    return matched(first, second)


def _with_line(what: str, recorder: Any, times: Times, n: int, m: int) -> str:
    """What is said of a number, with the line that computes with it at these lengths."""
    line = line_of(lambda length: recorder.recording(times, length), n, m)
    return f"{line}: {what}; what depends on the length T folds as c T or c / T alone" if line else what


# -- compared with what it is without compiling -----------------------------------------------------------------------
def _disagreement(compiled: Any, form: Planned, run: Recording, T: int) -> str | None:
    """What the plan does not give as the function does, values and gradients; None if there is nothing."""
    expected = [output.value for output in run.outputs]
    expected += run.gradients() if compiled.argnums else []
    found = form.outputs([run.given[n] for n in range(len(form.key))], T)
    scale = max((_largest(x) for x in expected), default=0.0)
    count = len(run.outputs)
    # what is computed in single precision stays rounded so, whatever it is multiplied with later
    rounded = any(b.dtype.kind == "f" and b.dtype.itemsize < 8 for b in (*form.plan.arguments, *form.plan.buffers))
    overflown = not all(np.isfinite(x).all() for x in expected[:count])
    for n, (x, y) in enumerate(zip(found, expected, strict=True)):
        single = rounded or np.result_type(y).itemsize < 8
        allowed = (1e-3 if single else 1e-9) * _largest(y) + (1e-4 if single else 1e-13) * scale
        if np.shape(x) == np.shape(y) and n >= count and overflown:
            # 0 times nan is nan for eager code, 0 where a plan leaves out what nobody reads: what is finite is compared
            x, y = (np.where(np.isfinite(y), z, 0.0) for z in (x, y))
        if np.shape(x) != np.shape(y) or not np.allclose(x, y, 0, allowed, equal_nan=True):
            what = "gradients" if n >= count else "values"
            return f"the plan does not give the {what} of the function"
    return None


def _in_segments(compiled: Any, form: Planned, run: Recording, T: int) -> str | None:
    """What a plan that keeps states at some steps does not give as the function does, in several segments."""
    runner = form.runner
    if not isinstance(runner, CheckpointRunner):
        return None
    form.runner = runner.shortened()
    try:
        return _disagreement(compiled, form, run, T)
    finally:
        form.runner = runner


def _largest(x: Any) -> float:
    """The largest finite entry, without its sign."""
    x = np.abs(np.asarray(x, float))
    return float(np.max(x, initial=0.0, where=np.isfinite(x)))


def _looked_at(compiled: Any, form: Planned, recorder: Any, T: int) -> str | None:
    """What speaks against the form at a length that was not looked at so far; None if nothing does."""
    lengths = form.lengths
    assert lengths is not None
    if T in lengths:
        return None
    length = lengths.next(T)
    run = recorder.recording(form.times, length)
    short = length < lengths.second.length  # so that rounding cannot have grown
    found = _disagreement(compiled, form, run, T) if short else lengths.explain(census(run.outputs, length))
    if found is None:
        lengths.looked_at(T, length)
        return None
    return _with_line(found, recorder, form.times, lengths.second.length, length)


def another(compiled: Any, form: Planned, args: Any, kwargs: Any, arrays: list[Any]) -> Prepared | None:
    """The form to be taken in place of one that does not hold at the length of these arguments; None if it does."""
    for other in form.instead:
        if other.fits(arrays):
            return other
    with RECORDING:
        recorder = compiled.recorder(args, kwargs)
        reason = form.refused or _looked_at(compiled, form, recorder, form.length(arrays) or 0)
        if reason is None:
            return None
        form.refused = reason
        return form_for(form.instead, arrays, lambda: _flat(compiled, recorder, arrays, [reason]))


def executor_of(compiled: Any, plan: Plan, executor: str) -> Executor:
    """What carries out the plan; nothing else knows which executors there are."""
    if executor == "jit":
        from .jit.run_jit import JitRunner  # numba: seconds

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
    except FoldError as error:  # what it says to a Tensor in place of an array; run as it is, it says what is wrong
        return Prepared(arrays, {}, f"as it is ({error})")
    try:
        outputs = _matched(first, second, structure, again)
        asked = questions(outputs)
        lowered = lower(simplify(with_gradients(compiled, recorder, simplify(outputs))))
    except (FoldError, NotDifferentiableError) as error:
        return Prepared(arrays, {}, f"as it is ({error})")
    form = Planned(arrays, {}, f"flat ({reason})", lowered, structure[0], 0, NumpyRunner(lowered.plan))
    form.dtypes, form.questions = _dtypes(compiled, recorder), asked
    found = _disagreement(compiled, form, first.recorded, 0)
    return form if found is None else Prepared(arrays, {}, f"as it is ({found})")


def _dtypes(compiled: Any, recorder: Any) -> list[Any]:
    if not compiled.argnums:
        return []
    arrays = [leaf.array for leaf in recorder.leaves if leaf.differentiated]
    return [float if type(array) is float else array.dtype for array in arrays]
