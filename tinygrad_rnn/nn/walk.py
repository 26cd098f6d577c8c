"""What a module was found to consist of, for as long as all its attributes are what they were.

A walk through all attributes takes longer than a step of a small network. Looking whether each is still the same object
does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import is_
from typing import TYPE_CHECKING, Any

from ..core.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


class Walk:
    """The parameters found in a module, and the modules inside of it, by dotted name."""

    def __init__(self, modules: Iterable[tuple[str, Module]]) -> None:
        found = list(modules)
        self.inside = found[1:]  # without the module itself: a walk never keeps its own module alive
        self.parameters: list[tuple[str, Tensor]] = []
        self._seen = [seen for _, module in found for seen in _containers(vars(module))]
        self._flags: list[tuple[Tensor, bool]] = []
        known: set[int] = set()
        for prefix, module in found:
            for key, x in module._parts():
                if isinstance(x, Tensor) and x.op is None and id(x) not in known:
                    known.add(id(x))
                    self._flags.append((x, x.requires_grad))
                    if x.requires_grad:
                        self.parameters.append((f"{prefix}.{key}" if prefix else key, x))

    def holds(self) -> bool:
        """Whether another walk would find the same."""
        for container, keys, values in self._seen:
            now = container.values() if keys is not None else container
            if len(container) != len(values) or not all(map(is_, now, values)):
                return False
            if keys is not None and list(container) != keys:
                return False
        return all(x.requires_grad is flag for x, flag in self._flags)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy of a module walks for itself."""
        return type(None), ()


def _containers(x: Any) -> Iterator[tuple[Any, list[Any] | None, list[Any]]]:
    """A dict, list or tuple and those inside of it, each with its keys and what it holds."""
    values = list(x.values() if isinstance(x, dict) else x)
    yield x, list(x) if isinstance(x, dict) else None, values
    for value in values:
        if isinstance(value, dict | list | tuple):
            yield from _containers(value)
