"""The compiled function: what to run for which arguments, recorded anew only when their shapes are new.

A call takes its arguments apart, looks for a program made for such shapes (whatever the length), and runs it. Which
form a function takes (folded, flat for one length, or as it is) is decided in `prepare`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.looks import is_followed
from ..core.tensor import Tensor, next_id
from .prepare import prepare
from .specializations import Prepared
from .trace.guard import RECORDING
from .trace.pytree import flatten, has_gradient, with_gradients
from .trace.record import Recorder, array_of
from .trace.surroundings import Chance, Surroundings
from .unsupported import CompileError, Unwatchable

#: forms are kept for so many states of what is read besides the arguments
_STATES = 8


class States:
    """Forms for arguments of one structure, by the state of what is read besides them.

    As long as few states are known each is recorded; after that only one that lasts for two calls.
    """

    def __init__(self) -> None:
        self.forms: dict[tuple[int, ...], list[Prepared]] = {}
        self.passing: Prepared | None = None
        self._last: tuple[int, ...] | None = None

    def fitting(self, state: tuple[int, ...], arrays: list[Any]) -> Prepared | None:
        """The form made for such arguments in this state."""
        for form in self.forms.get(state, ()):
            if form.fits(arrays):
                return form
        return None

    def lasts(self, state: tuple[int, ...]) -> bool:
        """Whether it is worth while to record for a state."""
        if state in self.forms or len(self.forms) < _STATES // 2 or state == self._last:
            return True
        self._last = state
        return False

    def keep(self, state: tuple[int, ...], forms: list[Prepared]) -> None:
        """The forms for a state; those of the oldest state go."""
        self.forms.pop(state, None)
        if len(self.forms) >= _STATES:
            del self.forms[next(iter(self.forms))]
        self.forms[state] = forms

    def all(self) -> list[Prepared]:
        """All forms."""
        passing = [] if self.passing is None else [self.passing]
        return [form for forms in self.forms.values() for form in forms] + passing


class Compiled:
    """A function compiled for the shapes it meets; call it as the function itself.

    `recordings` counts how often the function was recorded, `plan` is the plan last run, `forms` says for each kind of
    arguments met how it runs, and why.
    """

    def __init__(
        self, function: Callable[..., Any], executor: str = "numpy", checkpoint: int | str | None = None
    ) -> None:
        if executor not in ("numpy", "jit"):
            raise GraphError(f"compile: executor is 'numpy' or 'jit', not {executor!r}")
        if not (checkpoint is None or checkpoint == "sqrt" or (isinstance(checkpoint, int) and checkpoint > 0)):
            raise CompileError(f"checkpoint is None, 'sqrt' or a number of steps, not {checkpoint!r}")
        if checkpoint is not None and executor != "numpy":
            raise CompileError("checkpoint: only the numpy executor keeps states at some steps and computes the rest")
        self.original, self.executor, self.checkpoint = function, executor, checkpoint
        self.function = getattr(function, "function", function)
        numbers = getattr(function, "argnums", None)
        self.mode = getattr(function, "returns", "value")
        self.argnums: tuple[int, ...] = () if numbers is None else (numbers,) if isinstance(numbers, int) else numbers
        self.single = isinstance(numbers, int)
        self.recordings = 0
        self.together = False  # whether results may lie in one block of memory, and who keeps one keeps all
        self.chunk: int | None = None  # steps of each tile; None for as many as suit the sizes of its values
        self._known: dict[Any, States] = {}
        self._around = Surroundings()
        #: the form last run
        self.last: Prepared | None = None
        self.__name__ = f"compiled_{getattr(self.function, '__name__', 'function')}"
        self.__doc__ = getattr(function, "__doc__", None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if is_followed():
            return self.original(*args, **kwargs)  # the result has to stay in the caller's graph
        values: list[Any] = []
        objects: list[Any] = [self.function]
        structure = [flatten(arg, values, objects, lists=i not in self.argnums) for i, arg in enumerate(args)]
        if kwargs:
            structure += [(key, flatten(arg, values, objects, lists=True)) for key, arg in sorted(kwargs.items())]
        arrays = []
        for value in values:
            kind = type(value)
            if kind is Tensor and value.requires_grad:
                return self.original(*args, **kwargs)  # as above: the caller records it
            arrays.append(value if kind is np.ndarray or kind is float else array_of(value))
        key = tuple(structure)
        known = self._known.get(key) or self._known.setdefault(key, States())
        try:
            state = self._state(objects)
        except Unwatchable as error:
            known.passing = Prepared(arrays, {}, f"as it is ({error})")
            return known.passing.run(self, args, kwargs, arrays)
        found = known.fitting(state, arrays)
        if found is None:
            with RECORDING:
                found = known.fitting(state, arrays) or self._made(known, state, objects, args, kwargs, arrays)
        return found.run(self, args, kwargs, arrays)

    def _state(self, objects: list[Any]) -> tuple[int, ...]:
        return tuple([self._around.number(x) for x in objects])

    def _made(
        self, known: States, state: tuple[int, ...], objects: list[Any], args: Any, kwargs: Any, arrays: list[Any]
    ) -> Prepared:
        if not known.lasts(state):
            told = f"as it is ({self._around.changed} changes from call to call: make it an argument)"
            known.passing = Prepared(arrays, {}, told)
            return known.passing
        if not all(has_gradient(args[i]) for i in self.argnums if i < len(args)):
            return Prepared(arrays, {}, "as it is (an argument to differentiate is no float)")  # it says which
        first_id, chance = next_id(), Chance(self._around.generators())
        forms = known.forms.get(state, [])
        found = prepare(self, args, kwargs, arrays, len(forms))
        if place := self._around.made_since(first_id):
            raise CompileError(
                f"{place} keeps a Tensor that was made while the function was recorded, and no later call makes "
                "another: return it, or run the function eagerly"
            )
        if place := chance.drawn():
            found = Prepared(arrays, {}, f"as it is (it draws random numbers from {place}: make them an argument)")
        known.keep(self._state(objects), [*forms, found])  # what the recording itself has left behind is as it was
        return found

    def recorder(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recorder:
        """What records the function with these arguments."""
        return Recorder(self.function, args, kwargs, self.argnums)

    def returned(self, args: tuple[Any, ...], value: Any, outputs: list[Any]) -> Any:
        """The value, the gradients, or both, as the function that was compiled returns them."""
        if self.mode == "value":
            return value
        grads = iter(outputs[1:])
        trees = [with_gradients(args[i], grads) for i in self.argnums]
        found = trees[0] if self.single else tuple(trees)
        return found if self.mode == "grad" else (outputs[0], found)

    @property
    def known_forms(self) -> list[Prepared]:
        """All forms made so far."""
        return [used for known in self._known.values() for form in known.all() for used in form.in_use()]

    @property
    def plan(self) -> Any:
        """The plan last run; None before the first call, and where the function runs as it is."""
        return None if self.last is None else self.last.plan

    def peak_bytes(self, T: int) -> int:
        """Bytes of buffers for sequences of length T, with what a call returns; of the plan last run."""
        if self.last is None or self.last.plan is None:
            raise CompileError("there is no plan yet: call the function first")
        return self.last.peak_bytes(T)

    def source(self) -> str:
        """The code that ran last, to be read: made of the plan's names and numbers only."""
        return "" if self.last is None else self.last.source()

    @property
    def forms(self) -> list[str]:
        """How each kind of arguments met runs: folded, flat or as it is, and why."""
        return [found.told for found in self.known_forms]

    def __repr__(self) -> str:
        return f"<{self.__name__}: {'; '.join(self.forms) or 'not called yet'}>"
