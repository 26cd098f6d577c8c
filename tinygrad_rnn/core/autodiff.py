"""Differentiate: what to differentiate with respect to what, and in which shape to return it.

Here stand the questions a user asks (gradients, Jacobians, Hessians, products with them). How a graph is walked
backwards is the business of `sweep`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .elementwise import identity, stop
from .errors import DtypeError, GraphError
from .graph import ancestors
from .scope import Index, current
from .sweep import Gradient, PerStep, numeric, recorded
from .tensor import Tensor, Value, constant, tensor


def backward(output: Tensor) -> None:
    """Fill `.grad` of every leaf and named tensor below a scalar output; see `Tensor.backward`."""
    if not output.requires_grad:
        raise GraphError("backward: nothing below this tensor asks for a gradient")
    active = _differentiable_ancestors(output)
    for i, g in numeric(active, {output.id: _seed_of(output)}).items():
        node = active[i]
        node._grad = g if type(g) is float and type(node.value) is float else _owned(g, node)


def gradients(
    output: Tensor,
    inputs: Any,
    create_graph: bool = False,
    per_step: bool = False,
    seed: Any = None,
) -> Any:
    """The gradient of a scalar output with respect to each input (a Tensor, a sequence or a dict of them).

    Values come back as floats and arrays of the input's shape and dtype, or as Tensors with `create_graph=True`; an
    input the output does not depend on has gradient zero. `per_step=True` gives for each input a dict from time step
    to the contribution of the uses at that step: the gradient with respect to the book's dummy copies W^(t) (document
    004, section 2.2.3); their sum is the gradient. `seed` (default 1) is the cotangent for an output that is not a
    scalar.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(0.2, name="w")
    >>> h = tg.tensor(0.9)
    >>> for t in tg.steps(1, 4):
    ...     h = w * h
    >>> {t: round(g, 4) for t, g in tg.gradients(h, w, per_step=True).items()}
    {1: 0.036, 2: 0.036, 3: 0.036}
    """
    if isinstance(inputs, dict):
        found = gradients(output, list(inputs.values()), create_graph, per_step, seed)
        return dict(zip(inputs, found, strict=True))
    targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for x in targets:
        if not isinstance(x, Tensor):
            raise GraphError(f"gradients are taken with respect to Tensors of the graph, not {type(x).__name__}")
    g = _seed_of(output) if seed is None else seed
    if create_graph and not isinstance(g, Tensor):
        g = constant(g)
    active = _between(output, targets)
    steps: PerStep | None = {x.id: {} for x in targets} if per_step else None
    start = {output.id: g} if output.id in active else {}
    grads = (recorded if create_graph else numeric)(active, start, {x.id for x in targets}, steps)
    if steps is not None:
        found = [
            {t: _finish(part, x, create_graph) for t, part in sorted(steps[x.id].items(), key=_by_step)}
            for x in targets
        ]
    else:
        found = [_finish(grads.get(x.id), x, create_graph) for x in targets]
    return found[0] if isinstance(inputs, Tensor) else found


def pullback(
    outputs: Sequence[Tensor],
    seeds: Sequence[Any],
    inputs: Sequence[Tensor],
    create_graph: bool = False,
    immediate: bool = False,
) -> list[Any]:
    """What cotangents of the outputs give each input, J^T g; the inputs are coordinates of their own.

    Other than in `gradients`, nothing flows from one input to another: with all states of a step as outputs and those
    of the step before as inputs, J is the Jacobian of one time step (document 004, section 3.1), at the cost of that
    step. With `create_graph` and `immediate` the rules see computed values as constants, so that differentiating the
    result gives the immediate partial derivative with respect to the parameters.

    >>> import tinygrad_rnn as tg
    >>> from tinygrad_rnn.core.autodiff import pullback
    >>> c = tg.tensor(3.0) * 1.0
    >>> h = 2.0 * c
    >>> pullback([h * c], [1.0], [h, c])
    [3.0, 6.0]
    """
    leaves = {x.id: x for x in inputs}
    # a node older than every input depends on none of them
    oldest = min((x.id for x in inputs), default=0) if all(x.op is not None for x in inputs) else 0
    reached = {y.id: y for y in outputs}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.id not in leaves:
            for x in node.inputs:
                if x.id not in reached and x.requires_grad and (x.id >= oldest or x.id in leaves):
                    reached[x.id] = x
                    stack.append(x)
    active: dict[int, Tensor] = {}
    for i in sorted(reached):
        if i in leaves:
            active[i] = _stand_in(leaves[i])
        elif any(x.id in active for x in reached[i].inputs):
            active[i] = reached[i]
    start = {y.id: g for y, g in zip(outputs, seeds, strict=True) if y.id in active}
    if create_graph:
        start = {i: g if isinstance(g, Tensor) else constant(g) for i, g in start.items()}
        found = recorded(active, start, set(leaves), seen=_as_constant if immediate else _itself)
    else:
        found = numeric(active, start, set(leaves))
    return [_finish(found.get(x.id), x, create_graph) for x in inputs]


def _stand_in(x: Tensor) -> Tensor:
    """Where a sweep ends although the graph goes on."""
    leaf = Tensor(x.value, None, (), None, x.name, x.scope, True)
    leaf.id = x.id
    return leaf


def _itself(x: Tensor) -> Tensor:
    return x


def _as_constant(x: Tensor) -> Tensor:
    return x if x.op is None else stop(x)


def _by_step(item: tuple[Index | None, Gradient]) -> tuple[int, ...]:
    step = item[0]
    return () if step is None else step if isinstance(step, tuple) else (step,)


def _differentiable_ancestors(output: Tensor) -> dict[int, Tensor]:
    seen = {output.id: output}
    stack = [output]
    while stack:
        for x in stack.pop().inputs:
            if x.id not in seen and x.requires_grad:
                seen[x.id] = x
                stack.append(x)
    return seen


def _between(output: Tensor, targets: Iterable[Tensor]) -> dict[int, Tensor]:
    """The nodes that lie on a differentiable path from a target to the output."""
    active = {x.id: x for x in targets}
    for node in ancestors([output]):
        if node.requires_grad and node.id not in active and any(x.id in active for x in node.inputs):
            active[node.id] = node
    return active


def _seed_of(output: Tensor) -> Value:
    if type(output.value) is float:
        return 1.0
    if output.size != 1:
        raise GraphError(
            f"a gradient starts from a scalar, but this output has shape {output.shape}: "
            "sum it, or give a seed of that shape"
        )
    return np.ones_like(output.value)


def _owned(g: Gradient, x: Tensor) -> Value:
    """A gradient nobody else holds, in the dtype of the value it belongs to."""
    return float(g) if type(x.value) is float else np.array(g, dtype=x.dtype)


def _finish(g: Gradient, x: Tensor, create_graph: bool) -> Gradient:
    if create_graph:
        return constant(np.zeros(x.shape, x.dtype)) if g is None else g
    if g is None:
        return 0.0 if type(x.value) is float else np.zeros(x.shape, x.dtype)
    return _owned(g, x)


# -- functions of functions ----------------------------------------------------------------------------------------
def _leaves_of(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves_of(value)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in _leaves_of(value)]
    return [tree]


def _rebuilt(tree: Any, leaves: Iterable[Any]) -> Any:
    """The structure of `tree` (dicts, lists, tuples) around other leaves."""
    supply = iter(leaves)

    def build(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: build(value) for key, value in part.items()}
        if isinstance(part, list | tuple):
            return type(part)([build(value) for value in part])
        return next(supply)

    return build(tree)


def _fresh(x: Any) -> Tensor:
    """A node of its own for `x`, so that gradients are taken with respect to this argument alone."""
    if isinstance(x, Tensor):
        return identity(x) if x.requires_grad else Tensor(x.value, None, (), None, x.name, current(), True)
    if isinstance(x, int | np.integer) or (isinstance(x, np.ndarray) and x.dtype.kind in "iub"):
        raise DtypeError(f"cannot differentiate with respect to an integer argument ({x!r}): pass it as a float")
    return tensor(x)


def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns `(f(*args), gradient)` for a scalar-valued `f`.

    The gradient is with respect to argument `argnums` (a number, or a tuple of them), which may be a float, an array,
    or dicts, lists and tuples of those; it comes back in the same structure. For a Module it comes back as a dict by
    the dotted names of its parameters. On Tensors the result is differentiable again.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> value, g = tg.value_and_grad(lambda p: p["w"] ** 2 * p["x"])({"w": 3.0, "x": 2.0})
    >>> value, g
    (18.0, {'w': 12.0, 'x': 9.0})
    """

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        numbers = (argnums,) if isinstance(argnums, int) else argnums
        given, trees, leaves = list(args), [], []
        nested = any(isinstance(x, Tensor) for x in _leaves_of(given))
        for i in numbers:
            if hasattr(args[i], "named_parameters"):  # a Module: its parameters are leaves already
                tree: Any = dict(args[i].named_parameters())
                found = _leaves_of(tree)
            else:
                tree = args[i]
                found = [_fresh(x) for x in _leaves_of(tree)]
                given[i] = _rebuilt(tree, found)
            trees.append(tree)
            leaves += found
        y = f(*given, **kwargs)
        if y is None:
            raise GraphError("the function to differentiate returned None: does it end in a return?")
        if not isinstance(y, Tensor):
            grads: list[Any] = [_finish(None, x, nested) for x in leaves]
        else:
            grads = gradients(y, leaves, create_graph=nested)
        result = _rebuilt(trees, grads)
        value = y if nested or not isinstance(y, Tensor) else y.value
        return value, result[0] if isinstance(argnums, int) else tuple(result)

    return _telling(both, f, argnums, "value and grad")


def _telling(made: Callable[..., Any], f: Callable[..., Any], argnums: Any, returns: str) -> Callable[..., Any]:
    """Let a function of a function say what it was made of, for whoever wants to compute it in another way."""
    made.function, made.argnums, made.returns = f, argnums, returns  # type: ignore[attr-defined]
    return made


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that computes the gradient of a scalar-valued `f`; nests to any order. See `value_and_grad`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.grad(tg.grad(lambda x: x ** 3))(2.0)
    12.0
    """
    both = value_and_grad(f, argnums)
    return _telling(lambda *args, **kwargs: both(*args, **kwargs)[1], f, argnums, "grad")


def vjp(f: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """`f(*args)` and the function that maps a cotangent of the result to cotangents of the arguments.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> y, pull = tg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> y.tolist(), pull(np.array([1.0, 1.0]))[0].tolist()
    ([1.0, 4.0], [2.0, 4.0])
    """
    nested = any(isinstance(x, Tensor) for x in args)
    leaves = [_fresh(x) for x in args]
    y = f(*leaves)

    def pull(g: Any) -> tuple[Any, ...]:
        differentiable = nested or isinstance(g, Tensor)
        return tuple(gradients(y, leaves, create_graph=differentiable, seed=g))

    return (y if nested else y.value), pull


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """`f(*primals)` and its derivative in the direction of the tangents (the VJP of the VJP).

    >>> import tinygrad_rnn as tg
    >>> tg.jvp(lambda x: x ** 3, [2.0], [1.0])
    (8.0, 12.0)
    """
    nested = any(isinstance(x, Tensor) for x in (*primals, *tangents))
    leaves = [_fresh(x) for x in primals]
    y = f(*leaves)
    cotangent = _fresh(0.0 if not y.shape else np.zeros(y.shape, y.dtype))
    pulled = gradients(y, leaves, create_graph=True, seed=cotangent)
    total: Any = 0.0
    for g, tangent in zip(pulled, tangents, strict=True):
        total = total + np.sum(g * tangent)
    direction = gradients(total, cotangent, create_graph=nested) if isinstance(total, Tensor) else 0.0 * y.value
    return (y, direction) if nested else (y.value, direction)


def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that computes all derivatives of an array-valued `f`, of shape `f(x).shape + x.shape`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.jacobian(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x)(np.ones(2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    def matrix(*args: Any) -> Any:
        nested = any(isinstance(x, Tensor) for x in args)
        x = _fresh(args[argnums])
        y = f(*args[:argnums], x, *args[argnums + 1 :])
        if not isinstance(y, Tensor):
            return np.zeros(np.shape(y) + x.shape)
        units = np.eye(y.size, dtype=y.dtype).reshape((y.size, *y.shape))
        rows = [gradients(y, x, create_graph=nested, seed=unit if y.shape else 1.0) for unit in units]
        if not y.shape:
            return rows[0]
        if not rows:
            return np.zeros(y.shape + x.shape)
        return np.reshape(np.stack(rows), y.shape + x.shape)

    return matrix


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that computes the matrix of second derivatives of a scalar-valued `f`, of shape `x.shape + x.shape`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.hessian(lambda x: np.sum(x ** 3))(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """The Hessian of a scalar-valued `f` at `x` times `v`, without forming the Hessian.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.hvp(lambda x: np.sum(x ** 3), np.array([1.0, 2.0]), np.array([1.0, 0.0])).tolist()
    [6.0, 0.0]
    """
    return grad(lambda z: np.sum(grad(f)(z) * v))(x)
