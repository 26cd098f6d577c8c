"""From what a backward pass returned, a tuple, a dict, an object or attributes left behind, to a gradient per place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.errors import DtypeError, GraphError
from ...core.tensor import plain
from . import foreign
from .arrays import ArrayPlace, said
from .subject import LOSS, Subject, close_to

#: how the gradient of W is called: dW, d_W, dL_dW, ...
SPELLINGS = (
    "d{}", "d_{}", "dL_d{}", "dLd{}", "dL_{}", "dJ_d{}", "grad_{}", "g_{}", "D{}", "∂{}", "{}_grad", "grad{}",
    "delta_{}",
)  # fmt: skip
#: so many names are listed in an example
MOST = 6


class ReturnedGradients:
    """Gradients by place, read from what backward returned; notes say what had to be guessed."""

    def __init__(self, subject: Subject, returned: Any, quantities: Mapping[str, Sequence[int]]) -> None:
        self.subject = subject
        self.leaves = {place: array.shape for place, array in subject.leaves.items()}
        self.quantities = quantities
        self.notes: list[str] = []
        self.known = {name for name, _ in self.leaves} | set(quantities)
        self.gradients: dict[ArrayPlace, np.ndarray] = {}
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
            return returned  # torch's or jax's own, by place
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
            np.shape(_array(part)) == self.leaves[place] for part, place in zip(parts, places, strict=True)
        ):
            order = ", ".join("d" + said(place) for place in places)
            if len(places) > 1:
                self.notes.append(
                    f"the results were taken in the order of the inputs: {order}; names= says it otherwise"
                )
            return dict(zip(places, parts, strict=True))
        what = "one result" if len(parts) == 1 else f"{len(parts)} results"
        example = ", ".join(repr("d" + said(place)) for place in places[:MOST])
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

    def _put(self, place: ArrayPlace, value: Any, key: str) -> None:
        array = _array(value)
        at = "" if place[1] is None else f" at {place[1]}"
        if array.dtype.kind not in "fiub":
            raise GraphError(
                f"backward returned {type(value).__name__} for {key}{at}; a gradient is an array of floats"
            )
        if place in self.gradients:
            raise GraphError(f"backward returned the gradient of {said(place)} twice")
        self.gradients[place] = array.copy()  # the pass may fill the same array again when it runs once more


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
