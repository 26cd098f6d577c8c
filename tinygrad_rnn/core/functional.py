"""Functions that differentiate functions: `grad`, `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`.

Each calls the function once on leaves of its own. Whether the result is a Tensor, which can be differentiated again, is
decided by what it depends on: an argument that is a Tensor, or a Tensor from outside that the function read. Gradients
of a recorded graph are the business of `autodiff`, tangents that of `tangents`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .autodiff import gradients_between, reached_from
from .errors import DtypeError, GraphError, NotDifferentiableError, ShapeError
from .forward import pushforward
from .looks import followed, looks
from .ops.identity import identity
from .tensor import Tensor, next_id, tensor


# -- arguments as trees of leaves ----------------------------------------------------------------------------------
def _leaves_of(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves_of(value)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in _leaves_of(value)]
    return [tree]


def _rebuilt(tree: Any, leaves: Iterable[Any]) -> Any:
    """The structure of `tree` (dicts, lists, tuples) around other leaves."""
    supply = iter(leaves)
    if isinstance(tree, dict):
        return {key: _rebuilt(value, supply) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        items = [_rebuilt(value, supply) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return next(supply)


def _fresh(x: Any) -> Tensor:
    """A node of its own for `x`, so that gradients are taken with respect to this argument alone."""
    if isinstance(x, Tensor):
        made = identity(x)
        made.name, made.requires_grad = None if x.requires_grad else x.name, True
        return made
    if isinstance(x, int | np.integer) or (isinstance(x, np.ndarray) and x.dtype.kind in "iub"):
        raise DtypeError(f"cannot differentiate with respect to an integer argument ({x!r}): pass it as a float")
    return tensor(x)


class _Call:
    """One call of a function on fresh leaves in place of some arguments, and what is known of its result.

    `leaves` are those of the arguments `argnums` in order, `trees` their structures, `y` the result as a Tensor,
    `nested` says whether it takes part in a graph from outside.
    """

    def __init__(self, what: str, f: Callable[..., Any], argnums: Sequence[int], args: Sequence[Any], kwargs: Any):
        start = oldest = next_id()
        self.trees: list[Any] = []
        self.leaves: list[Tensor] = []
        self.nested = any(isinstance(x, Tensor) for x in _leaves_of([list(args), kwargs]))
        given = list(args)
        for i in argnums:
            if not -len(args) <= i < len(args):
                raise GraphError(f"{what}: argument {i} is to be differentiated, but {len(args)} are given by position")
            if hasattr(args[i], "named_parameters"):  # a Module: its parameters are leaves already
                tree: Any = dict(args[i].named_parameters())
                leaves = _leaves_of(tree)
                oldest = 0
            else:
                tree = args[i]
                leaves = [_fresh(x) for x in _leaves_of(tree)]
                given[i] = _rebuilt(tree, leaves)
            self.trees.append(tree)
            self.leaves += leaves
        before = looks()
        with followed():
            result = f(*given, **kwargs)
            looked = looks() != before or (_is_plain(result) and self._follows(f, argnums, given, kwargs, result))
        self.y = _as_result(what, result, looked)
        # what depends on the leaves, and whether anything else that asks for a gradient was read
        self.active, outside = reached_from(self.y, self.leaves, start, oldest)
        self.nested = self.nested or outside

    def _follows(
        self, f: Callable[..., Any], argnums: Sequence[int], given: list[Any], kwargs: Any, result: Any
    ) -> bool:
        """Whether a plain result is another one for arguments nearby: then it was computed beside the graph.

        The parameters of a Module are left as they are.
        """
        moved, supply = list(given), iter([_nearby(x) for x in self.leaves])
        for i, tree in zip(argnums, self.trees, strict=True):
            leaves = [next(supply) for _ in _leaves_of(tree)]
            if not hasattr(given[i], "named_parameters"):
                moved[i] = _rebuilt(tree, leaves)
        again = f(*moved, **kwargs)
        return not (_is_plain(again) and np.array_equal(result, again, equal_nan=True))

    def value(self) -> Any:
        return self.y if self.nested else self.y.value

    def pull(self, seed: Any, create_graph: bool) -> list[Any]:
        """The cotangent of each leaf."""
        return gradients_between(self.active, self.y, self.leaves, seed, create_graph)


def _is_plain(result: Any) -> bool:
    return isinstance(result, float | np.ndarray | np.floating) and np.asarray(result).dtype.kind == "f"


def _nearby(x: Tensor) -> Tensor:
    """A leaf whose numbers differ from those of x by about half of their digits."""
    step = np.sqrt(np.finfo(x.dtype).eps)
    return tensor(np.asarray(x.value + step * (1.0 + abs(x.value)), x.dtype))


def _as_result(what: str, y: Any, looked: bool) -> Tensor:
    """The result of a function as a Tensor; raises for what has no derivative or has lost it."""
    if isinstance(y, Tensor):
        if not y.requires_grad and not y.scope.recording:
            raise GraphError(f"{what}: the result was computed under no_grad, which records nothing: leave that block")
        if y.dtype.kind not in "f":
            raise DtypeError(
                f"{what}: the result has dtype {y.dtype}, and only floats have a derivative: "
                "return a real number, such as np.sum of real and imaginary parts apart"
            )
        return y
    if y is None:
        raise GraphError("the function to differentiate returned None: does it end in a return?")
    if isinstance(y, list | tuple | dict):
        raise GraphError(
            f"{what}: the function returned a {type(y).__name__}: return one Tensor (np.stack or np.concatenate join "
            "several), or differentiate a function for each"
        )
    if not _is_plain(y):
        raise DtypeError(
            f"{what}: the function returned a {type(y).__name__} ({y!r}), which has no derivative: "
            "return a Tensor, or a float where the result is constant"
        )
    if looked:
        raise NotDifferentiableError(
            f"{what}: the function returned a plain {type(y).__name__} after it took a value out of the graph (by "
            "item(), numpy() or value): compute with the Tensor itself, or with tg.stop of it if no gradient is meant"
        )
    return tensor(y, requires_grad=False)


def _numbers(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def _telling(made: Callable[..., Any], f: Callable[..., Any], argnums: Any, returns: str) -> Callable[..., Any]:
    """Let a function of a function say what it was made of, for whoever wants to compute it in another way."""
    made.function, made.argnums, made.returns = f, argnums, returns  # type: ignore[attr-defined]
    return made


# -- gradients -----------------------------------------------------------------------------------------------------
def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns `(f(*args), gradient)` for a scalar-valued `f`.

    The gradient is with respect to argument `argnums` (a number, or a tuple of them), which may be a float, an array,
    or dicts, lists and tuples of those; it comes back in the same structure. For a Module it comes back as a dict by
    the dotted names of its parameters. Values are plain unless an argument is a Tensor or `f` read a Tensor from
    outside that asks for a gradient: then they are Tensors, differentiable again. Raises `GraphError`, `DtypeError` or
    `NotDifferentiableError` for a result that is no real number or was taken out of the graph.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> value, g = tg.value_and_grad(lambda p: p["w"] ** 2 * p["x"])({"w": 3.0, "x": 2.0})
    >>> value, g
    (18.0, {'w': 12.0, 'x': 9.0})
    """

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        call = _Call("grad", f, _numbers(argnums), args, kwargs)
        result = _rebuilt(call.trees, call.pull(None, call.nested))
        return call.value(), result[0] if isinstance(argnums, int) else tuple(result)

    return _telling(both, f, argnums, "value and grad")


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that computes the gradient of a scalar-valued `f`; nests to any order. See `value_and_grad`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.grad(tg.grad(lambda x: x ** 3))(2.0)
    12.0
    >>> tg.grad(lambda x: x * tg.grad(lambda y: x * y)(2.0))(1.0)  # the inner gradient depends on the outer x
    2.0
    """
    both = value_and_grad(f, argnums)
    return _telling(lambda *args, **kwargs: both(*args, **kwargs)[1], f, argnums, "grad")


# -- products with the Jacobian ------------------------------------------------------------------------------------
def vjp(f: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """`f(*args, **kwargs)` and the function that maps a cotangent of the result to cotangents of the arguments.

    Arguments may be dicts, lists and tuples; their cotangents have the same structure. Raises `ShapeError` for a
    cotangent of another shape than the result's.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> y, pull = tg.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> y.tolist(), pull(np.array([1.0, 1.0]))[0].tolist()
    ([1.0, 4.0], [2.0, 4.0])
    """
    call = _Call("vjp", f, range(len(args)), args, kwargs)

    def pull(g: Any) -> tuple[Any, ...]:
        return tuple(_rebuilt(call.trees, call.pull(g, call.nested or isinstance(g, Tensor))))

    return call.value(), pull


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], **kwargs: Any) -> tuple[Any, Any]:
    """`f(*primals, **kwargs)` and its derivative in the direction of the tangents, which have the primals' structure.

    The tangents are carried forward through what `f` recorded, at about the cost of `f`. Raises `ShapeError` for
    tangents that do not fit. Raises `GraphError` unless primals and tangents are sequences.

    >>> import tinygrad_rnn as tg
    >>> tg.jvp(lambda x: x ** 3, [2.0], [1.0])
    (8.0, 12.0)
    """
    if not isinstance(primals, list | tuple) or not isinstance(tangents, list | tuple):
        raise GraphError("jvp: primals and tangents are lists or tuples, one entry for each argument: jvp(f, [x], [v])")
    call = _Call("jvp", f, range(len(primals)), primals, kwargs)
    directions = _aligned("jvp", "tangent", call.trees, list(tangents))
    call.nested = call.nested or any(isinstance(v, Tensor) for v in directions)
    given = {x.id: v for x, v in zip(call.leaves, directions, strict=True)}
    direction = pushforward(call.active, call.y, given, call.nested)
    return call.value(), direction


def _aligned(what: str, role: str, tree: Any, given: Any) -> list[Any]:
    """The leaves of `given` in the order of those of `tree`; raises unless structure and shapes are the same."""
    if isinstance(tree, dict):
        if not isinstance(given, dict) or set(given) != set(tree):
            raise ShapeError(f"{what}: the {role} of a dict is a dict with the keys {', '.join(map(str, tree))}")
        return [leaf for key in tree for leaf in _aligned(what, role, tree[key], given[key])]
    if isinstance(tree, list | tuple):
        if not isinstance(given, list | tuple) or len(given) != len(tree):
            raise ShapeError(f"{what}: {len(tree)} arrays take {len(tree)} {role}s, in a list or tuple")
        return [leaf for x, v in zip(tree, given, strict=True) for leaf in _aligned(what, role, x, v)]
    if np.shape(given) != np.shape(tree):
        raise ShapeError(f"{what}: the {role} of an argument of shape {np.shape(tree)} has shape {np.shape(given)}")
    return [given]


def jacobian(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that computes all derivatives of an array-valued `f`, of shape `f(x).shape + x.shape`.

    For arguments that are dicts, lists or tuples, and for several `argnums`, one such array for each leaf, in the same
    structure.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.jacobian(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x)(np.ones(2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    def matrix(*args: Any, **kwargs: Any) -> Any:
        call = _Call("jacobian", f, _numbers(argnums), args, kwargs)
        y = call.y
        units = np.eye(y.size, dtype=y.dtype).reshape((y.size, *y.shape)) if y.shape else [1.0]
        rows = [call.pull(unit, call.nested) for unit in units]
        entries = [_matrix(column, y, x) for x, column in zip(call.leaves, _columns(rows, call.leaves), strict=True)]
        result = _rebuilt(call.trees, entries)
        return result[0] if isinstance(argnums, int) else tuple(result)

    return matrix


def _columns(rows: list[list[Any]], leaves: Sequence[Tensor]) -> list[list[Any]]:
    return [[row[i] for row in rows] for i in range(len(leaves))]


def _matrix(rows: list[Any], y: Tensor, x: Tensor) -> Any:
    if not y.shape:
        return rows[0]
    return np.reshape(np.stack(rows), y.shape + x.shape) if rows else np.zeros(y.shape + x.shape, y.dtype)


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that computes the matrix of second derivatives of a scalar-valued `f`, of shape `x.shape + x.shape`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.hessian(lambda x: np.sum(x ** 3))(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
    """The Hessian of a scalar-valued `f(x, *args, **kwargs)` with respect to `x`, times `v`, without forming it.

    x and v may be dicts, lists and tuples of arrays; the result has their structure. Raises `ShapeError` where they do
    not fit.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.hvp(lambda x: np.sum(x ** 3), np.array([1.0, 2.0]), np.array([1.0, 0.0])).tolist()
    [6.0, 0.0]
    """

    def slope(z: Any) -> Any:
        """How fast `f` grows in the direction v."""
        tree = grad(f)(z, *args, **kwargs)
        parts = [np.sum(g * d) for g, d in zip(_leaves_of(tree), _aligned("hvp", "direction", tree, v), strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    return grad(slope)(x)
