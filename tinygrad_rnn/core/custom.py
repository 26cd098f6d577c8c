"""A function with a rule of its own: one more primitive, declared by the user where it is needed.

What this package declares itself stands in the tables; how a rule is applied is the business of `backward`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import count as count_from
from typing import Any

import numpy as np

from .declare import record, shape_of
from .errors import DtypeError, GraphError, NotDifferentiableError, ShapeError
from .primitive import PRIMITIVES, Primitive
from .tensor import Tensor, constant

#: how many rules have been declared under each name
_counts: dict[str, count_from] = {}


class CustomVjp:
    """What `custom_vjp` returns: called as its forward function, on numbers, arrays and Tensors."""

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any], name: str | None = None) -> None:
        self.forward, self.backward = forward, backward
        called = str(name or getattr(forward, "__name__", type(forward).__name__)).replace("<lambda>", "custom")
        self.__name__ = self.__qualname__ = called
        self.__doc__ = forward.__doc__
        # readers of a graph tell operations by their names, so no two may have the same one
        count = next(_counts.setdefault(called, count_from(1)))
        own = called if count == 1 and called not in PRIMITIVES else f"{called}_{count}"
        self.primitive = Primitive(own, self._value, joint=self._cotangents, label=called)

    def __call__(self, *xs: Any, **static: Any) -> Any:
        if not any(isinstance(x, Tensor) for x in xs):
            return self.forward(*xs, **static)
        for key, value in static.items():
            if isinstance(value, Tensor) and value.requires_grad:
                raise NotDifferentiableError(f"{self}: {key}= is no input: give by position what is differentiated")
        return record(self.primitive, tuple([x if isinstance(x, Tensor) else constant(x) for x in xs]), static or None)

    def __repr__(self) -> str:
        return f"custom_vjp {self.__name__}"

    def hand_written(self) -> tuple[Callable[..., Any], Callable[..., Any], list[str]]:
        """Forward as a function that also returns what backward needs, backward on that, and names of its results."""
        names = list(inspect.signature(self.forward).parameters)

        def forward(*xs: Any, **named: Any) -> Any:
            values = [*xs, *[named[name] for name in names[len(xs) :] if name in named]]
            y = self.forward(*values)
            return y, (y, values)

        def backward(dout: Any, cache: Any) -> tuple[Any, ...]:
            y, values = cache
            return _listed(self.backward(dout, y, *values))

        forward.__signature__ = inspect.signature(self.forward)  # type: ignore[attr-defined]
        return forward, backward, ["d" + name for name in names]

    def _value(self, *xs: Any, **static: Any) -> Any:
        y = self.forward(*xs, **static)
        if isinstance(y, Tensor):
            y = y.value
        if np.asarray(y).dtype.kind not in "fc":
            raise DtypeError(f"{self}: forward has to return a number or an array of floats, not {type(y).__name__}")
        return np.array(y)  # a buffer that forward fills anew must not change the graph

    def _cotangents(self, g: Any, y: Any, *xs: Any, **static: Any) -> tuple[Any, ...]:
        parts = _listed(self.backward(g, y, *xs, **static))
        if len(parts) != len(xs):
            raise GraphError(f"{self}: backward returned {len(parts)} cotangents for {len(xs)} inputs")
        return tuple([self._checked(n, part, x, g) for n, (part, x) in enumerate(zip(parts, xs, strict=True))])

    def _checked(self, n: int, part: Any, x: Any, g: Any) -> Any:
        """The cotangent of input n, where None stands for zero."""
        if part is None:
            part = np.zeros(shape_of(x))
        shape = np.shape(part)
        try:
            fits = np.broadcast_shapes(shape, shape_of(x)) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"{self}: backward returned shape {shape} for input {n}, which has shape {shape_of(x)}")
        if isinstance(g, Tensor) and not isinstance(part, Tensor):
            if np.any(part):
                raise NotDifferentiableError(
                    f"{self}: backward left the graph, so it can be differentiated once only: write it with operators "
                    "and numpy's functions of g, y and the inputs"
                )
            part = constant(part)
        return part if isinstance(part, Tensor | float) else np.asarray(part)


def _listed(parts: Any) -> tuple[Any, ...]:
    return tuple(parts) if isinstance(parts, list | tuple) else (parts,)


def custom_vjp(forward: Callable[..., Any], backward: Callable[..., Any], name: str | None = None) -> CustomVjp:
    """A function whose derivative is given by a rule of its own.

    `forward(*xs, **static)` computes one array from arrays. `backward(g, y, *xs, **static)` returns the cotangent of
    each input (a tuple, or one for a single input; None for zero) from g, that of the result, and y, the result. g and
    y have one shape, the cotangent of x that of x, or of what x was broadcast to. Written with operators and numpy's
    functions it can be differentiated again, compiled and carried forwards. `name` is what pictures and errors call it.
    Declare it once, outside of loops: what is declared anew at each step is another operation at each step.
    `tg.check_grads(f, ...)` and `tg.verify_backward(f, inputs=...)` judge the rule against derivatives of `forward`.
    Raises, when the rule is applied, `GraphError` for another number of cotangents, `ShapeError` for shapes that do not
    fit, `NotDifferentiableError` for a second derivative of a rule that left the graph.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rounded = tg.custom_vjp(np.round, lambda g, y, x: g, name="round")  # a straight-through estimator
    >>> x = tg.tensor([0.4, 1.6])
    >>> tg.gradients(np.sum(rounded(x) ** 2), x).tolist()
    [0.0, 4.0]
    """
    return CustomVjp(forward, backward, name)
