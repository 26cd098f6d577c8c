"""The user's two functions: how they are called, unchanged, what the forward one's scalar is, and what came back.

A forward function returns the loss, or (loss, cache), or (output, cache) for a backward function that is handed the
gradient of the output. Without a backward function the forward one returns loss and gradients together, or torch or jax
differentiates it. What a backward function returned, a tuple, a dict, an object or attributes left behind, is read as a
gradient for each leaf.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DtypeError, GraphError, kind_of
from ...core.tensor import Tensor, plain
from ..handwritten import foreign
from .arrays import ArrayInputs, LeafName, Params, said
from .code import Vocabulary, functions_of, is_library

#: what a loss is called where results have names
LOSS = ("loss", "L", "cost", "J", "E", "total_loss")


class Subject:
    """A forward and a backward function with the arrays they are judged on."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any] | None,
        inputs: ArrayInputs,
        params: Params,
        names: Any,
    ) -> None:
        self.inputs, self.params, self.names = inputs, params, names
        self.forward = foreign.callable_of(forward)
        self.in_order = foreign.takes_positions(forward)
        self.backward = backward
        self.functions = functions_of(forward)
        self.vocabulary = Vocabulary()
        self.params.shared_with(self.functions)
        self.leaves: dict[LeafName, np.ndarray] = {**inputs.leaves, **params.leaves}
        self.kinds = sorted(set(inputs.kinds.values()) - {foreign.NUMPY})
        self._cotangents: list[np.ndarray] = []
        if not self.in_order:
            _fits(self.forward, self.inputs.tree, "forward")

    @property
    def upstream(self) -> bool:
        """Whether an output that is no scalar is weighted with an upstream gradient."""
        return any(c.size > 1 for c in self._cotangents)

    def call(self, values: Mapping[LeafName, Any]) -> Any:
        """What forward returns with these values in its inputs; weights elsewhere stay as they are."""
        arguments = self.inputs.filled(values)
        return self.forward(*arguments.values()) if self.in_order else self.forward(**arguments)

    def drop_caches(self) -> None:
        """Take for no weights what an earlier call left in `params=`: what forward binds anew, and does not read."""
        if not self.params.slots:
            return
        own = self._of_their_kind(self.inputs.leaves)
        with self.params.restored(), self.params.written({}):
            told("forward", self.call, own)
            rebound = self.params.rebound()
        if not rebound:
            return
        with self.params.restored(), self.params.written({p: np.array(np.nan) for p in rebound}):
            unread = bool(np.all(np.isfinite(self.loss_now(own))))
        if unread:
            self.params.drop(rebound)
            for leaf in rebound:
                self.leaves.pop(leaf, None)
            self.leaves.update(self.inputs.leaves)

    def loss_now(self, values: Mapping[LeafName, Any]) -> Any:
        """The loss with these inputs and the weights as they stand."""
        scalar = self.scalar(told("forward", self.call, values))
        return plain(scalar) if foreign.kind_of(scalar) == foreign.NUMPY else foreign.to_numpy(scalar)

    def scalar(self, result: Any) -> Any:
        """The loss in what forward returned: its number, or its output weighted with the upstream gradient."""
        outputs = self.outputs(result)
        if all(_is_scalar(y) for y in outputs) and len(outputs) == 1:
            return _number(outputs[0])
        terms = [_weighted(c, y) for c, y in zip(self.cotangents(outputs), outputs, strict=True)]
        return sum(terms[1:], terms[0])

    def outputs(self, result: Any) -> Sequence[Any]:
        """What of a result is differentiated."""
        if self.backward is None and isinstance(self.names, (list, tuple)):
            self._check_count(result)
        if isinstance(result, tuple) and result and self._differentiated_elsewhere(result[0]):
            return [part for part in result if foreign.kind_of(part) != foreign.NUMPY]
        if isinstance(result, (tuple, list)) and result:
            return [self._loss_among(result)] if self.backward is None else [result[0]]
        if isinstance(result, Mapping):
            named = [result[key] for key in LOSS if key in result]
            if named:
                return named[:1]
        if self._usable(result):
            return [result]
        raise GraphError(
            f"forward has to return the loss, as a number or a Tensor, not {kind_of(result)}: "
            "alone, or first in a tuple"
        )

    def _usable(self, result: Any) -> bool:
        return isinstance(result, (Tensor, float, int, complex, np.ndarray, np.number)) or (
            foreign.kind_of(result) != foreign.NUMPY
        )

    def _differentiated_elsewhere(self, output: Any) -> bool:
        return self.backward is None and self.names is None and foreign.kind_of(output) != foreign.NUMPY

    def _check_count(self, result: Any) -> None:
        if isinstance(result, (list, tuple)) and len(result) != len(self.names):
            raise GraphError(f"forward returned {len(result)} results, names= says what {len(self.names)} are")

    def _loss_among(self, result: Sequence[Any]) -> Any:
        if isinstance(self.names, (list, tuple)):
            for name, part in zip(self.names, result, strict=True):
                if name in LOSS:
                    return part
        for part in result:
            if _is_scalar(part):
                return part
        raise GraphError(
            "forward returned no number that could be the loss: with backward=None it returns loss and gradients "
            "together; names= says which result is which"
        )

    def cotangents(self, outputs: Sequence[Any]) -> list[np.ndarray]:
        """The upstream gradient of each output: 1 for a number, else random numbers, the same ones always."""
        shapes = [np.shape(plain(y)) if foreign.kind_of(y) == foreign.NUMPY else tuple(y.shape) for y in outputs]
        if [c.shape for c in self._cotangents] != shapes:
            rng = np.random.default_rng(0)  # sixteenths: the same numbers in every precision
            drawn = [np.round(16 * rng.standard_normal(shape)) / 16 for shape in shapes]
            self._cotangents = [np.ones(c.shape) if c.size == 1 else c for c in drawn]
        return self._cotangents

    # -- numbers ---------------------------------------------------------------------------------------------------
    def loss_at(self, values: Mapping[LeafName, np.ndarray], in_place: bool = True) -> Any:
        """The loss with these arrays: written into the weights where they are, or put in their place (complex ones)."""
        with ExitStack() as stack:
            stack.enter_context(foreign.double_precision(self.kinds))
            stack.enter_context(self.params.written(values) if in_place else self.params.replaced(values))
            scalar = self.scalar(self.call(self._of_their_kind(values)))
        number = plain(scalar) if foreign.kind_of(scalar) == foreign.NUMPY else foreign.to_numpy(scalar)
        return np.asarray(number).reshape(())[()]

    def _of_their_kind(self, values: Mapping[LeafName, np.ndarray]) -> dict[LeafName, Any]:
        """Arrays for the inputs, of torch or jax where these were."""
        return {p: foreign.of_kind(values[p].copy(), kind) for p, kind in self.inputs.kinds.items() if p in values}

    def returned(self) -> tuple[Any, list[tuple[str, str]]]:
        """What the backward pass returns on the user's own arrays, in their own dtype; and which of the two functions
        wrote into which of them.
        """
        own = self._of_their_kind(self.inputs.leaves)
        if self.backward is None and self.names is None and self.kinds:
            return foreign.own_gradients(self._outputs_at, own, self.cotangents, self.kinds[0]), []
        with self.params.written({}):
            arguments = self.inputs.filled(own)
            positions, keywords = (list(arguments.values()), {}) if self.in_order else ([], arguments)
            result = told("forward", self.forward, *positions, **keywords)
            self.scalar(result)
            changed = self._changed(arguments, self.leaves, "forward")
            if self.backward is None:
                return result, changed
            between = {leaf: np.array(value) for leaf, value in self._now(arguments).items()}
            answer = self._backward(arguments, result)
            return answer, changed + self._changed(arguments, between, "backward")

    def _outputs_at(self, values: Mapping[LeafName, Any]) -> Sequence[Any]:
        return self.outputs(told("forward", self.call, values))

    def _changed(self, arguments: Mapping[str, Any], before: Mapping[LeafName, np.ndarray], role: str) -> list[Any]:
        now = self._now(arguments)
        return [(role, said(leaf)) for leaf in before if not np.array_equal(now[leaf], before[leaf])]

    def _now(self, arguments: Mapping[str, Any]) -> dict[LeafName, np.ndarray]:
        """The arrays as they are after a call."""
        now = {leaf: slot.array for leaf, slot in self.params.slots.items()}
        return now | {leaf: foreign.to_numpy(value) for leaf, value in self.inputs.arrays_in(arguments).items()}

    def _backward(self, arguments: dict[str, Any], result: Any) -> Any:
        assert self.backward is not None
        parameters = _parameters(self.backward)
        if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters):
            return told("backward", self.backward, **arguments)
        names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
        required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        unknown = [name for name in required if name not in arguments]
        if not unknown:
            return told("backward", self.backward, **{k: v for k, v in arguments.items() if k in names})
        handed = dict(zip(unknown, self._handed(unknown, result), strict=True))
        return told("backward", self.backward, **{k: v for k, v in {**arguments, **handed}.items() if k in names})

    def _handed(self, unknown: list[str], result: Any) -> list[Any]:
        """The gradient of forward's output and its cache, for the parameters of backward that are no inputs."""
        outputs = self.outputs(result)
        cotangent = self.cotangents(outputs)[0].astype(np.asarray(plain(outputs[0])).dtype)
        cache = result[-1] if isinstance(result, tuple) and len(result) > 1 else None
        no_array = cache is not None and not isinstance(cache, (np.ndarray, Tensor, float))
        if len(unknown) == 1 and cache is not None and (no_array or "cache" in unknown[0]):
            return [cache]
        if len(unknown) == 1:
            return [cotangent]
        if len(unknown) == 2 and cache is not None:
            return [cotangent, cache]
        close = close_to(unknown[0], self.inputs.tree)
        raise GraphError(
            f"backward takes {', '.join(unknown)}, which "
            f"{'is no input' if len(unknown) == 1 else 'are no inputs'}"
            + (f" (did you mean {close!r}?)" if close else "")
            + ": it is called with the inputs it names, or with the gradient of forward's output and its cache; "
            "for anything else pass a lambda of the inputs"
        )


def told(role: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the user's; what it raises is told with the line where it was raised."""
    try:
        return function(*args, **kwargs)
    except GraphError:
        raise
    except Exception as error:  # user code may raise anything; it is passed on, with its place
        raise GraphError(f"{role} raised {type(error).__name__}: {error}{where(error)}") from error


def where(error: BaseException) -> str:
    """The line of the user's code at which an error was raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_library(f.filename)]
    if not frames:
        return ""
    last = frames[-1]
    return f" (line {last.lineno} of {Path(last.filename).name}{f': `{last.line}`' if last.line else ''})"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return None


def _fits(function: Callable[..., Any], arguments: Mapping[str, Any], role: str) -> None:
    """Refuse an input that a function does not take, and a missing one, before anything runs."""
    parameters = _parameters(function)
    if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    names = [p.name for p in parameters]
    for key in arguments:
        if key not in names:
            close = close_to(key, names)
            hint = f": did you mean {close!r}?" if close else ""
            raise GraphError(f"inputs= has {key!r}, but {role} takes {', '.join(names) or 'no arguments'}{hint}")
    lacking = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    lacking = [name for name in lacking if name not in arguments]
    if lacking:
        raise GraphError(f"{role} takes {', '.join(names)}, but inputs= has no {', '.join(lacking)}")


def close_to(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant, or nothing."""
    by_lower = {other.lower(): other for other in names}
    return next((by_lower[lower] for lower in get_close_matches(name.lower(), by_lower, 1)), "")


def _is_scalar(value: Any) -> bool:
    if isinstance(value, (bool, str)) or value is None:
        return False
    if isinstance(value, (float, int, complex, np.number)):
        return True
    if foreign.kind_of(value) != foreign.NUMPY:
        return not tuple(value.shape)
    return isinstance(value, (Tensor, np.ndarray)) and value.size == 1


def _number(value: Any) -> Any:
    """A loss of one entry, shape (1, 1) or (), as a number."""
    return np.sum(value) if isinstance(value, (Tensor, np.ndarray)) and np.shape(plain(value)) else value


def _weighted(cotangent: np.ndarray, output: Any) -> Any:
    kind = foreign.kind_of(output)
    if kind == foreign.NUMPY:
        return np.sum(cotangent * output)
    return (foreign.of_kind(cotangent.astype(foreign.to_numpy(output).dtype), kind) * output).sum()


# -- what came back ----------------------------------------------------------------------------------------------------
#: how the gradient of W is called: dW, d_W, dL_dW, ...
SPELLINGS = (
    "d{}", "d_{}", "dL_d{}", "dLd{}", "dL_{}", "dJ_d{}", "grad_{}", "g_{}", "D{}", "∂{}", "{}_grad", "grad{}",
    "delta_{}",
)  # fmt: skip
#: so many names are listed in an example
MOST = 6


class ReturnedGradients:
    """Gradients by leaf, read from what backward returned; notes say what had to be guessed."""

    def __init__(self, subject: Subject, returned: Any, quantities: Mapping[str, Sequence[int]]) -> None:
        self.subject = subject
        self.leaves = {leaf: array.shape for leaf, array in subject.leaves.items()}
        self.quantities = quantities
        self.notes: list[str] = []
        self.known = {name for name, _ in self.leaves} | set(quantities)
        self.gradients: dict[LeafName, np.ndarray] = {}
        for key, value in self._named(returned).items():
            if isinstance(key, tuple):
                self._put(key, value, f"d{said(key)}")
            else:
                self._add(key, value)
        if not self.gradients:
            raise GraphError("backward returned no gradient of anything that forward depends on")

    # -- which result is which --------------------------------------------------------------------------------------
    def _named(self, returned: Any) -> Mapping[Any, Any]:
        names = self.subject.names
        if isinstance(returned, dict) and all(isinstance(key, tuple) for key in returned) and returned:
            return returned  # torch's or jax's own, by leaf
        if isinstance(names, Mapping):
            return self._renamed(returned, names)
        if names is not None and not isinstance(returned, Mapping):
            return self._in_order(returned, [names] if isinstance(names, str) else list(names))
        if isinstance(returned, Mapping):
            return self._dict(returned)
        if returned is None or (self.subject.backward is None and _is_number(returned)):
            return self._left_behind()
        if isinstance(returned, tuple) and hasattr(returned, "_asdict"):
            return self._dict(returned._asdict())
        if isinstance(returned, (tuple, list)):
            return self._unnamed(list(returned))
        if isinstance(returned, np.ndarray) or foreign.kind_of(returned) != foreign.NUMPY or _is_number(returned):
            return self._unnamed([returned])
        return self._attributes([returned], type(returned).__name__)

    def _dict(self, returned: Mapping[str, Any]) -> dict[str, Any]:
        if not returned:
            raise GraphError("backward has to return a dict from names to gradients, not an empty dict")
        return {key: value for key, value in returned.items() if not (key in LOSS and key not in self.known)}

    def _renamed(self, returned: Any, names: Mapping[str, Any]) -> dict[str, Any]:
        members = returned if isinstance(returned, Mapping) else _members(returned)
        lacking = [key for key in names if key not in members]
        if lacking:
            raise GraphError(f"names= speaks of {lacking[0]!r}; backward returned {', '.join(map(str, members))}")
        return {str(names[key]): members[key] for key in names if names[key] is not None}

    def _in_order(self, returned: Any, names: list[str | None]) -> dict[str, Any]:
        parts = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        if len(parts) != len(names):
            many = "more" if len(parts) > len(names) else "fewer"
            raise GraphError(
                f"backward returned {len(parts)} results, {many} than the {len(names)} of names= "
                f"({', '.join(str(name) for name in names)}); None stands for a result that is no gradient"
            )
        pairs = zip(names, parts, strict=True)
        gradients = {name: part for name, part in pairs if name not in (None, "_") and not self._is_loss(name)}
        return gradients or self._left_behind()

    def _is_loss(self, name: str | None) -> bool:
        return name in LOSS and name not in self.known

    def _unnamed(self, parts: list[Any]) -> Mapping[Any, Any]:
        """Without names: a dict or object among the results, or one result per array, in order, if every shape fits."""
        if self.subject.backward is None:
            loss = next((i for i, part in enumerate(parts) if _is_number(part)), None)
            parts = [part for i, part in enumerate(parts) if i != loss]
        if len(parts) == 1 and isinstance(parts[0], Mapping):
            return self._dict(parts[0])
        if len(parts) == 1 and not isinstance(parts[0], (np.ndarray, list, tuple)) and not _is_number(parts[0]):
            return self._attributes(parts, type(parts[0]).__name__)
        places = list(self.leaves)
        if len(parts) == len(places) and all(
            np.shape(_array(part)) == self.leaves[leaf] for part, leaf in zip(parts, places, strict=True)
        ):
            order = ", ".join("d" + said(leaf) for leaf in places)
            if len(places) > 1:
                self.notes.append(
                    f"the results were taken in the order of the inputs: {order}; names= says it otherwise"
                )
            return dict(zip(places, parts, strict=True))
        what = "one result" if len(parts) == 1 else f"{len(parts)} results"
        example = ", ".join(repr("d" + said(leaf)) for leaf in places[:MOST])
        raise GraphError(
            f"backward returned {what} without names: say what each is with names=(...), such as names=({example}); "
            "None stands for one that is no gradient"
        )

    def _left_behind(self) -> dict[str, Any]:
        """Gradients that stand in attributes after backward has run."""
        gradients = self.subject.params.gradients()
        if gradients:
            return gradients
        owners = [self.subject.params.source, *map(_owner, (self.subject.backward, self.subject.forward))]
        return self._attributes([owner for owner in owners if owner is not None], "params=")

    def _attributes(self, owners: list[Any], what: str) -> dict[str, Any]:
        spelled = {spelling.format(name): name for name in self.known for spelling in SPELLINGS}
        gradients: dict[str, Any] = {}
        for owner in owners:
            for key, value in _members(owner).items():
                if key in spelled and not isinstance(owner, type):
                    gradients.setdefault(spelled[key], value)
        if not gradients:
            raise GraphError(
                "backward has to return a dict from names to gradients, a tuple with names=, or an object, or to leave "
                f"them in attributes of params=; in {what} there is no attribute such as "
                f"{', '.join(f'd{name}' for name in sorted(self.known)[:3])}"
            )
        return gradients

    # -- from a key to places ---------------------------------------------------------------------------------------
    def _add(self, key: str, value: Any) -> None:
        name = self._quantity(key)
        if (name, None) in self.leaves:
            self._put((name, None), value, key)
            return
        steps = self._steps(name)
        parts = list(value.items()) if isinstance(value, Mapping) else _zipped(key, steps, value)
        for step, part in parts:
            if step not in steps:
                raise GraphError(
                    f"backward returned {key} at step {step}, but {name} stands at {', '.join(map(str, steps))}"
                )
            self._put((name, int(step)), part, key)

    def _steps(self, name: str) -> list[int]:
        listed = [step for other, step in self.leaves if other == name and step is not None]
        return listed or list(self.quantities.get(name, []))

    def _quantity(self, key: str) -> str:
        if key in self.known:
            return key
        for name in self.known:
            if key in (spelling.format(name) for spelling in SPELLINGS):
                return name
        bare = next((key.removeprefix(mark) for mark in ("dL_d", "d_", "d") if key.startswith(mark)), key)
        self._refuse_integers(key, bare)
        close = close_to(bare, self.known)
        hint = f" (did you mean {'d' if bare != key else ''}{close}?)" if close else ""
        raise GraphError(
            f"backward returned {key!r}, but the forward pass has no quantity {bare!r}{hint}: "
            f"it names {', '.join(sorted(self.known))}"
        )

    def _refuse_integers(self, key: str, bare: str) -> None:
        for name in (key, bare):
            value = self.subject.inputs.tree.get(name)
            if isinstance(value, (np.ndarray, int, list)):
                raise DtypeError(
                    f"backward returned {key!r}, but inputs[{name!r}] holds {np.asarray(value).dtype}: "
                    "pass it as floats"
                )

    def _put(self, leaf: LeafName, value: Any, key: str) -> None:
        array = _array(value)
        at = "" if leaf[1] is None else f" at {leaf[1]}"
        if array.dtype.kind not in "fiub":
            raise GraphError(
                f"backward returned {type(value).__name__} for {key}{at}; a gradient is an array of floats"
            )
        if leaf in self.gradients:
            raise GraphError(f"backward returned the gradient of {said(leaf)} twice")
        self.gradients[leaf] = array.copy()  # the pass may fill the same array again when it runs once more


def _zipped(key: str, steps: Collection[int], value: Any) -> Iterator[tuple[int, Any]]:
    if len(np.shape(value)) == 0 and not isinstance(value, (list, tuple)):
        raise GraphError(
            f"backward returned one number for {key}, which has {len(steps)} steps: a dict by step, or a list"
        )
    if len(value) != len(steps):
        raise GraphError(f"backward returned {len(value)} steps of {key}; the forward pass has {len(steps)}")
    return zip(steps, value, strict=True)


def _array(value: Any) -> np.ndarray:
    value = plain(value)
    if foreign.kind_of(value) != foreign.NUMPY:
        return foreign.to_numpy(value)
    if isinstance(value, (np.ndarray, np.number, float, int)):
        return np.asarray(value)
    try:
        return np.asarray(value)
    except ValueError:  # lists of unequal length: no array
        return np.asarray(value, dtype=object)


def _members(owner: Any) -> dict[str, Any]:
    if hasattr(owner, "__dict__"):
        return dict(vars(owner))
    return {key: getattr(owner, key) for key in getattr(type(owner), "__slots__", ()) if hasattr(owner, key)}


def _owner(function: Any) -> Any:
    return getattr(function, "__self__", None)


def _is_number(value: Any) -> bool:
    value = plain(value)
    return isinstance(value, (float, int, np.number)) or (isinstance(value, np.ndarray) and value.ndim == 0)
