"""Check recorded gradients against derivatives that are computed another way.

The reference is the complex step: replay the recorded operations with `x + i·1e-100·v` and read the derivative in the
direction v off the imaginary part, exact to rounding. Where an operation has no complex form, Richardson's
extrapolation of central differences takes its place, and the bound says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...core.autodiff import gradients
from ...core.errors import TinygradError
from ...core.graph import Graph
from ...core.tensor import Tensor, Value, tensor
from .rounding import EPS, SAFETY, magnitudes

STEP = 1e-100


class GradientError(TinygradError, AssertionError):
    """A gradient differs from the reference by more than rounding; the message says which, by how much and how it was
    judged.
    """


def directional(output: Tensor | Graph, inputs: Sequence[Tensor], directions: Sequence[Value]) -> float:
    """The derivative of a scalar output in a direction, by the complex step; nodes inside the graph may be inputs.

    A Graph may be given for its output, so that it need not be followed again for every direction.

    >>> import tinygrad_rnn as tg
    >>> x = tg.tensor(3.0)
    >>> directional(x * x, [x], [1.0])
    6.0
    """
    moved = {x: np.asarray(x.value) + 1j * STEP * np.asarray(v) for x, v in zip(inputs, directions, strict=True)}
    with np.errstate(all="ignore"):
        (value,) = (output if isinstance(output, Graph) else Graph(output)).replay(moved)
    return float(np.sum(np.imag(np.asarray(value)))) / STEP


def pushed(graph: Graph, directions: Mapping[int, Value]) -> float:
    """The derivative of a scalar when many nodes are pushed at once, by their ids, each from the value it then has.

    By the chain rule that is the sum of all gradients, each in its own direction: one replay checks them together.

    >>> x = tensor(3.0)
    >>> y = x * x
    >>> pushed(Graph(y * y), {x.id: 1.0, y.id: 1.0})
    126.0
    """
    changed: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            value = node.value
            if node.op is not None and any(x.id in changed for x in node.inputs):
                value = node.op.forward(*[changed.get(x.id, x.value) for x in node.inputs], **(node.params or {}))
                changed[node.id] = value
            if node.id in directions:
                changed[node.id] = np.asarray(value) + 1j * STEP * np.asarray(directions[node.id])
    (output,) = graph.outputs
    return float(np.sum(np.imag(np.asarray(changed.get(output.id, output.value))))) / STEP


def richardson(f: Callable[[float], float], step: float = 0.1, levels: int = 8) -> tuple[float, float]:
    """The derivative of `f` at 0 by extrapolated central differences, and an estimate of its error.

    >>> import math
    >>> value, error = richardson(lambda s: math.exp(s))
    >>> abs(value - 1.0) < 1e-10
    True
    """
    table: list[list[float]] = []
    best, error = 0.0, float("inf")
    for i in range(levels):
        h = step / 2.0**i
        above, below = f(h), f(-h)
        rounding = EPS * max(abs(above), abs(below)) / h
        row = [(above - below) / (2.0 * h)]
        for k in range(i):
            row.append(row[k] + (row[k] - table[i - 1][k]) / (4.0 ** (k + 1) - 1.0))
            change = max(abs(row[-1] - row[-2]), abs(row[-1] - table[i - 1][k]), rounding)
            if change < error:
                best, error = row[-1], change
        table.append(row)
        if i > 2 and error <= rounding:
            break  # shorter steps only add rounding
    return best, error


def check_grads(f: Callable[..., Any], *args: Any, order: int = 2, seed: int = 0) -> bool:
    """Check the gradients of `f` at `args` up to `order`, in random directions; True, or `GradientError`.

    `f` takes and returns Tensors of any shape; args are floats or float arrays. The reference is the complex step where
    every operation has a complex form, else Richardson's extrapolation.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.check_grads(lambda x: np.tanh(x) * x, np.array([0.3, -1.2]), order=3)
    True
    """
    rng = np.random.default_rng(seed)
    leaves = [tensor(np.asarray(x, dtype=float)) for x in args]
    outputs: list[Tensor] = [f(*leaves)]
    for k in range(1, order + 1):
        weights = [rng.standard_normal(y.shape) for y in outputs]
        terms: list[Any] = [np.sum(w * y) for w, y in zip(weights, outputs, strict=True)]
        scalar: Tensor = sum(terms[1:], terms[0])
        outputs = gradients(scalar, leaves, create_graph=True)
        _check_directions(scalar, leaves, outputs, k, rng)
    return True


def _check_directions(scalar: Tensor, leaves: list[Tensor], grads: list[Tensor], order: int, rng: Any) -> None:
    for i, (leaf, g) in enumerate(zip(leaves, grads, strict=True)):
        if g.shape != leaf.shape:
            raise GradientError(
                f"order {order}, argument {i}: the gradient has shape {g.shape}, the argument {leaf.shape}"
            )
        v = rng.standard_normal(leaf.shape)
        got: Any = np.sum(g * v)
        if not isinstance(got, Tensor):
            continue
        size = float(magnitudes([got])[0])
        try:
            wanted, error, method = directional(scalar, [leaf], [v]), 0.0, "the complex step"
        except TypeError:
            wanted, error = richardson(partial(_moved, scalar, leaf, v))
            method = "Richardson differences"
        if not np.isfinite(got.item()) or not np.isfinite(scalar.item()):
            raise GradientError(f"order {order}, argument {i}: the function or its derivative is not finite there")
        bound = SAFETY * EPS * size + 100.0 * error
        if not abs(got.item() - wanted) <= bound:
            raise GradientError(
                f"order {order}, argument {i}: derivative {got.item():.17g} against {wanted:.17g} by {method}; "
                f"they differ by {abs(got.item() - wanted):.3g}, rounding explains {bound:.3g}"
            )


def _moved(scalar: Tensor, leaf: Tensor, v: Any, s: float) -> float:
    with np.errstate(all="ignore"):
        (value,) = Graph(scalar).replay({leaf: np.asarray(leaf.value) + s * v})
    return float(np.sum(value))
