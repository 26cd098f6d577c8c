"""Parameters laid end to end, so that a rule is called once for many small ones.

Here a user's way of listing parameters becomes groups, and a group becomes buckets: flat arrays of one dtype with what
the optimiser remembers beside them. What a rule computes is in `optim`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..core.errors import GraphError, kind_of
from ..core.memory import Stretch, holders
from ..core.tensor import Tensor

Options = dict[str, Any]
Buffers = dict[str, np.ndarray]
#: (w, g, s, t, o) -> None, changing w and s in place
Rule = Callable[[np.ndarray, np.ndarray, Buffers, int, Options], None]

#: entries that a bucket may have: small parameters share the calls, and the copy of their gradients stays near
LARGEST_BUCKET = 32_768


def groups_of(params: Any) -> list[Options]:
    """The groups a user wrote, as dicts; parameters without a group are one. Raises `GraphError` for anything else."""
    if isinstance(params, Mapping):
        return [{"params": params}]
    if not isinstance(params, Iterable) or isinstance(params, Tensor):
        raise GraphError(f"give the parameters as a list, such as model.parameters(), not as {kind_of(params)}")
    listed = list(params)
    if listed and all(isinstance(group, Mapping) for group in listed):
        if any("params" not in group for group in listed):
            raise GraphError('a group of parameters is a dict with "params" and the options of its own')
        return [dict(group) for group in listed]
    return [{"params": listed}]


def options_of(saved: Mapping[str, Any]) -> Options:
    """The options of a group that was saved, perhaps as JSON, which knows no tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in saved.items() if key != "params"}


def named(params: Any, first: int) -> list[tuple[str, Tensor]]:
    """Parameters with the names by which errors and dicts of gradients know them.

    Raises `GraphError` for what is no leaf that asks for a gradient.
    """
    pairs: list[tuple[str, Tensor]] = []
    for i, item in enumerate(params.items() if isinstance(params, Mapping) else _listed(params), first):
        name, p = item if isinstance(item, tuple) else (None, item)
        if not isinstance(p, Tensor) or p.op is not None or not p.requires_grad:
            what = f"{p!r} was computed or asks for no gradient" if isinstance(p, Tensor) else f"found {p!r}"
            raise GraphError(f"a parameter is a leaf that asks for a gradient; {what}")
        pairs.append((name or p.name or str(i), p))
    return pairs


def _listed(params: Any) -> list[Any]:
    return [params] if isinstance(params, Tensor) else list(params)


def buckets_of(group: Options) -> list[Bucket]:
    """The buckets of a group: neighbours of one dtype together, up to the largest size; a large parameter alone."""
    buckets: list[list[Tensor]] = []
    for p in group["params"]:
        last = buckets[-1] if buckets else []
        if not last or last[0].dtype != p.dtype or sum(x.size for x in last) + p.size > LARGEST_BUCKET:
            buckets.append([])
        buckets[-1].append(p)
    return [Bucket(bucket, group) for bucket in buckets]


class Flat:
    """A copy of the values of some parameters end to end, and for each the view that it is to be given."""

    def __init__(self, params: Sequence[Tensor], dtype: Any) -> None:
        begin = [0, *accumulate(p.size for p in params)]
        array = np.empty(begin[-1], dtype)
        np.concatenate([p.value for p in params], axis=None, out=array)
        self._parts = [array, *(array[a : a + p.size].reshape(p.shape) for a, p in zip(begin, params, strict=False))]
        for view in self.views:
            view.flags.writeable = False

    @property
    def array(self) -> np.ndarray:
        return self._parts[0]

    @property
    def views(self) -> list[np.ndarray]:
        return self._parts[1:]

    def holds(self, params: Sequence[Tensor]) -> bool:
        """Whether the parameters have these values: nobody has assigned others."""
        for p, view in zip(params, self.views, strict=True):
            if p.value is not view and not (type(p.value) is float and p.value == view.item()):
                return False
        return True

    def others(self, params: Sequence[Tensor]) -> bool:
        """Whether anybody but these parameters, which have these values, can see any of it: a graph, say, or who asked
        for a value."""
        own = len(self._parts) - 1  # each view holds the array
        return holders(self._parts) > own + sum(type(p.value) is not float for p in params)


class Bucket:
    """Some parameters end to end: where each begins, what is remembered of them, how many steps each has made."""

    def __init__(self, params: list[Tensor], options: Options) -> None:
        self.params, self.options = params, options
        self.dtype = params[0].dtype
        self.begin = [0, *accumulate(p.size for p in params)]
        self.buffers: Buffers = {}
        self.steps = [0] * len(params)
        self._now: Flat | None = None
        self._spare: Flat | None = None
        self._stretch = Stretch()
        self._gathered: np.ndarray | None = None

    def move(self, grads: Sequence[Any], remembered: Mapping[str, float], rule: Rule) -> None:
        """One step of every parameter that has a gradient; `remembered` are buffers and the values they start from."""
        if all(g is not None for g in grads):
            self.move_all(self.end_to_end(grads), remembered, rule)
            return
        self._remember(remembered)
        for i, g in enumerate(grads):
            if g is not None:
                self._move(i, i + 1, self._flat(g), rule)

    def move_all(self, g: np.ndarray, remembered: Mapping[str, float], rule: Rule) -> None:
        """One step of every parameter, with all gradients end to end."""
        self._remember(remembered)
        if len(set(self.steps)) == 1:
            self._move(0, len(self.params), g, rule)
            return
        for i in range(len(self.params)):
            self._move(i, i + 1, g[self.begin[i] : self.begin[i + 1]], rule)

    def end_to_end(self, grads: Sequence[Any]) -> np.ndarray:
        """Gradients as one array of the parameters' dtype: where they lie so, or a copy."""
        if len(grads) == 1:
            return self._flat(grads[0])
        found = self._stretch(grads)
        if found is not None and found.dtype == self.dtype:
            return found
        if self._gathered is None:
            self._gathered = np.empty(self.begin[-1], self.dtype)
        return np.concatenate(grads, axis=None, out=self._gathered, casting="same_kind")

    def _flat(self, g: Any) -> np.ndarray:
        return np.ascontiguousarray(np.ravel(g).astype(self.dtype, casting="same_kind", copy=False))

    def _remember(self, remembered: Mapping[str, float]) -> None:
        for name, start in remembered.items():
            if name not in self.buffers:
                self.buffers[name] = np.full(self.begin[-1], start, self.dtype)

    def _move(self, first: int, last: int, g: np.ndarray, rule: Rule) -> None:
        begin, end, t = self.begin[first], self.begin[last], self.steps[first] + 1
        params, whole = self.params[first:last], last - first == len(self.params)
        if params[0].dtype != self.dtype:
            raise GraphError(
                f"step: {params[0].name or 'a parameter'} is {params[0].dtype}, but the optimizer was made when it was "
                f"{self.dtype}: make it after astype()"
            )
        flat = self._writable(params) if whole else Flat(params, self.dtype)
        remembered = self.buffers if whole else {name: buffer[begin:end] for name, buffer in self.buffers.items()}
        rule(flat.array, g, remembered, t, self.options)
        for p, view in zip(params, flat.views, strict=True):
            p.hand_over(view)
        self.steps[first:last] = [t] * (last - first)

    def _writable(self, params: Sequence[Tensor]) -> Flat:
        """The values of all parameters: where they are, if nobody else can see them there, else a copy."""
        now = self._now
        if now is None or not now.holds(params):
            self._now = Flat(params, self.dtype)
        elif now.others(params):
            spare = self._spare
            if spare is None or spare.others(()):
                self._now = Flat(params, self.dtype)
            else:
                np.copyto(spare.array, now.array)
                self._now = spare
            self._spare = now
        assert self._now is not None
        return self._now

    def states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """For each parameter that has moved, the number of its steps and copies of what is remembered."""
        for i, p in enumerate(self.params):
            if self.steps[i]:
                here = slice(self.begin[i], self.begin[i + 1])
                yield p, {"step": self.steps[i]} | {k: b[here].reshape(p.shape).copy() for k, b in self.buffers.items()}

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Take over what `states` gave for each parameter, nothing for one that has not moved."""
        self.buffers = {}
        for i, state in enumerate(states):
            self.steps[i] = int(state.get("step", 0))
            for name, value in state.items():
                if name != "step":
                    buffer = self.buffers.setdefault(name, np.zeros(self.begin[-1], self.dtype))
                    buffer[self.begin[i] : self.begin[i + 1]] = np.ravel(value)
