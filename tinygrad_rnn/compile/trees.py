"""The arguments of a function as a flat list of values, and back.

Dicts, lists and tuples are taken apart, Modules into their parameters. Arrays and floats are values; all else (whole
numbers, strings, None, ...) is part of the structure: for other such arguments a function is recorded anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.tensor import Tensor

#: stands for a value in a structure
VALUE = "*"


class Parameter:
    """A parameter of a Module: the Tensor itself is used, and its value at the time of the call."""

    __slots__ = ("name", "tensor")

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name, self.tensor = name, tensor


def is_module(x: Any) -> bool:
    """Whether something holds parameters by name, as a `tg.nn.Module` does."""
    return hasattr(x, "named_parameters") and not isinstance(x, type)


def flatten(tree: Any, values: list[Any], lists: bool = False) -> Any:
    """Append the values of a tree to `values` and return its structure, which can be compared and hashed.

    lists: a list of arrays of one shape is one value, a sequence.
    """
    kind = type(tree)
    if kind is np.ndarray or kind is float:
        values.append(tree)
        return VALUE
    if kind is dict:
        structure: list[Any] = [dict]
        for key, value in tree.items():
            if type(value) is np.ndarray:  # the common case, without a call
                values.append(value)
                structure.append((key, VALUE))
            else:
                structure.append((key, flatten(value, values, lists)))
        return tuple(structure)
    if isinstance(tree, list | tuple):
        if lists and kind is list and _alike(tree):
            values.append(tree)
            return (VALUE, list)
        return (kind, *[flatten(value, values, lists) for value in tree])
    if isinstance(tree, Tensor | np.floating):
        values.append(tree)
        return VALUE
    if is_module(tree):
        named, modules, buffers = tree.pieces() if hasattr(tree, "pieces") else (list(tree.named_parameters()), [], [])
        values += [Parameter(name, tensor) for name, tensor in named]
        training = tuple([getattr(module, "training", None) for module in modules])
        # buffers by value: what is recorded keeps them
        kept = tuple([(name, np.asarray(value).tobytes()) for name, value in buffers])
        return ("module", id(tree), training, kept, *[name for name, _ in named])
    try:
        hash(tree)
    except TypeError:
        return ("object", id(tree))
    return ("static", kind, tree)


def _alike(items: Any) -> bool:
    """Whether a list is a sequence of arrays of one shape."""
    first = items[0] if items else None
    return isinstance(first, np.ndarray) and all(
        type(x) is np.ndarray and x.shape == first.shape and x.dtype == first.dtype for x in items
    )


def rebuild(tree: Any, leaf: Callable[[Any], Any], lists: bool = False) -> Any:
    """The tree with `leaf` of each value in its place, in the order of `flatten`; a Module as it is."""
    kind = type(tree)
    if kind is dict:
        return {key: rebuild(value, leaf, lists) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        if lists and kind is list and _alike(tree):
            return leaf(tree)
        built = [rebuild(value, leaf, lists) for value in tree]
        return kind(*built) if hasattr(tree, "_fields") else kind(built)
    if isinstance(tree, np.ndarray | float | Tensor | np.floating):
        return leaf(tree)
    if is_module(tree):
        for name, tensor in tree.named_parameters():
            leaf(Parameter(name, tensor))
    return tree


def with_gradients(tree: Any, supply: Iterator[Any]) -> Any:
    """The structure of a tree around its gradients; those of a Module as a dict by dotted name."""
    if isinstance(tree, dict):
        return {k: next(supply) if type(v) is np.ndarray else with_gradients(v, supply) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)([with_gradients(value, supply) for value in tree])
    if is_module(tree):
        return {name: next(supply) for name, _ in tree.named_parameters()}
    return next(supply)
