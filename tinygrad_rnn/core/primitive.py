"""What a primitive is: one operation with its derivative.

How one is declared, and how an application of it becomes a node of the graph, stands in `declare`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import GraphError

#: a rule `(g, y, *xs, **params)` from cotangent, result and inputs to cotangents of the inputs
Vjp = Callable[..., Any]

#: every primitive by name: the tests, the documentation and the readers of the graph go through this table
PRIMITIVES: dict[str, Primitive] = {}


class Primitive:
    """One operation: `forward`, its VJP, and how it prints.

    `joint` is one function `(g, y, *xs, **params) -> tuple` (elementwise operations share work between inputs);
    `separate` is one function per input (so that an unwanted contraction is skipped). `multilinear` says the result is
    linear in each input; `elementwise` that entry i of the result depends on entry i of the (broadcast) inputs alone.
    `add_into(total, g, **params)`, where given, adds the one input's share of `g` to an existing gradient in place.
    """

    __slots__ = (
        "add_into", "differentiable", "elementwise", "forward", "joint", "label", "multilinear", "name", "scalar",
        "separate",
    )  # fmt: skip

    def __init__(
        self, name: str, forward: Callable[..., Any], *, joint: Vjp | None = None, separate: tuple[Vjp, ...] = (),
        scalar: Callable[..., float] | None = None, label: str | None = None, elementwise: bool = False,
        multilinear: bool = False, add_into: Callable[..., None] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.forward, self.scalar = name, forward, scalar
        self.joint, self.separate = joint, separate
        self.differentiable = joint is not None or bool(separate)
        self.label = label or name
        self.elementwise, self.multilinear, self.add_into = elementwise, multilinear, add_into

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if PRIMITIVES.get(self.name) is not self:
            raise GraphError(
                f"{self.name} is a rule of its own (custom_vjp), which no file holds: copy values, not graphs"
            )
        return called, (self.name,)

    def __deepcopy__(self, memo: Any) -> Primitive:
        return self  # an operation is what it is, whoever holds it


def called(name: str) -> Primitive:
    """The primitive of this name."""
    return PRIMITIVES[name]
