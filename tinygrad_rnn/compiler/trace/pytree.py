"""The arguments of a function as a flat list of values, and back.

Dicts, lists and tuples are taken apart, Modules into their parameters. Arrays and floats are values; all else (whole
numbers, strings, None, ...) is part of the structure: for other such arguments a function is recorded anew, and so it
is where an object, or what a Module holds besides its parameters, has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import copy
from typing import Any

import numpy as np

from ...core.errors import GraphError
from ...core.tensor import Tensor

#: stands for a value in a structure
VALUE = "*"
#: what never changes
_PLAIN = frozenset({int, bool, str, bytes, type(None), complex, np.int64, np.int32, np.bool_})


class Parameter:
    """A parameter of a Module: the Tensor itself is used, and its value at the time of the call."""

    __slots__ = ("name", "tensor")

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name, self.tensor = name, tensor


def is_module(x: Any) -> bool:
    """Whether something holds parameters by name, as a `tg.nn.Module` does."""
    return hasattr(x, "named_parameters") and not isinstance(x, type)


def flatten(tree: Any, values: list[Any], objects: list[Any], lists: bool = False) -> Any:
    """Append the values of a tree to `values`, what can change otherwise to `objects`, and return its structure, which
    can be compared and hashed.

    lists: a list of arrays of one shape is one value, a sequence. Raises `GraphError` for a masked array.
    """
    kind = type(tree)
    if kind is np.ndarray or kind is float:
        values.append(tree)
        return VALUE
    if kind in _PLAIN:
        return (kind, tree)
    if isinstance(tree, Mapping):
        structure: list[Any] = [kind]
        for key, value in tree.items():
            if type(value) is np.ndarray:  # the common case, without a call
                values.append(value)
                structure.append((key, VALUE))
            else:
                structure.append((key, flatten(value, values, objects, lists)))
        return tuple(structure)
    if isinstance(tree, list | tuple):
        if lists and kind is list and _alike(tree):
            values.append(tree)
            return (VALUE, list)
        return (kind, *[flatten(value, values, objects, lists) for value in tree])
    if isinstance(tree, np.ma.MaskedArray):
        raise GraphError(
            "a masked array is no argument of a compiled function, which would not see the mask: give x.filled(0) and "
            "the mask as an array of its own"
        )
    if isinstance(tree, Tensor | np.floating | np.ndarray):
        values.append(tree if isinstance(tree, Tensor | np.floating) else np.asarray(tree))
        return VALUE
    objects.append(tree)
    if is_module(tree):
        named = list(tree.named_parameters())
        values += [Parameter(name, tensor) for name, tensor in named]
        return ("module", *[name for name, _ in named])
    return ("object", kind)


def _alike(items: Any) -> bool:
    """Whether a list is a sequence of arrays of one shape."""
    first = items[0] if items else None
    return isinstance(first, np.ndarray) and all(
        type(x) is np.ndarray and x.shape == first.shape and x.dtype == first.dtype for x in items
    )


def rebuild(tree: Any, leaf: Callable[[Any], Any], lists: bool = False) -> Any:
    """The tree with `leaf` of each value in its place, in the order of `flatten`; a Module as it is."""
    if isinstance(tree, Mapping):
        return _with_items(tree, {key: rebuild(value, leaf, lists) for key, value in tree.items()})
    if isinstance(tree, list | tuple):
        if lists and type(tree) is list and _alike(tree):
            return leaf(tree)
        return _with_entries(tree, [rebuild(value, leaf, lists) for value in tree])
    if isinstance(tree, np.ndarray | float | Tensor | np.floating):
        return leaf(np.asarray(tree) if isinstance(tree, np.ndarray) else tree)
    if is_module(tree):
        for name, tensor in tree.named_parameters():
            leaf(Parameter(name, tensor))
    return tree


def has_gradient(tree: Any) -> bool:
    """Whether all values of a tree are such that a gradient with respect to them can be taken."""
    if isinstance(tree, Mapping):
        return all(map(has_gradient, tree.values()))
    if isinstance(tree, list | tuple):
        return all(map(has_gradient, tree))
    return isinstance(tree, np.ndarray | float | Tensor | np.floating) or is_module(tree)


def _with_items(tree: Mapping[Any, Any], items: dict[Any, Any]) -> Mapping[Any, Any]:
    """A dict of the same kind (with its default, its attributes) with other values; a plain one in place of a view."""
    if type(tree) is dict or not isinstance(tree, MutableMapping):
        return items
    built = copy(tree)
    built.update(items)
    return built


def _with_entries(tree: list[Any] | tuple[Any, ...], entries: list[Any]) -> Any:
    kind = type(tree)
    return kind(*entries) if hasattr(tree, "_fields") else kind(entries)


def with_gradients(tree: Any, supply: Iterator[Any]) -> Any:
    """The structure of a tree around its gradients; those of a Module as a dict by dotted name."""
    if isinstance(tree, Mapping):
        return {k: next(supply) if type(v) is np.ndarray else with_gradients(v, supply) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return _with_entries(tree, [with_gradients(value, supply) for value in tree])
    if is_module(tree):
        return {name: next(supply) for name, _ in tree.named_parameters()}
    return next(supply)
