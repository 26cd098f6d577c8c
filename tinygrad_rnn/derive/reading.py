"""Read a recorded computation as a form of the algebra: each primitive, as a textbook writes it.

One table, from the primitive's name to the form. A primitive without a line here has no textbook form and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..core.errors import DerivationError
from ..core.graph import ancestors
from ..core.tensor import Tensor
from .algebra import SCALAR, Algebra, Apply, Form, Number, Shape, Sum


def read(output: Tensor, known: Mapping[int, Form], algebra: Algebra) -> Form:
    """The form of `output` in terms of the nodes whose forms are `known` (by id)."""
    forms: dict[int, Form] = dict(known)
    for node in ancestors([output], stop=known):
        if node.id not in forms:
            forms[node.id] = (
                _constant(node, algebra)
                if node.op is None
                else _operation(node, [forms[x.id] for x in node.inputs], algebra)
            )
    return forms[output.id]


def shape_of(node: Tensor) -> Shape:
    """Rows and columns; raises `DerivationError` for anything but scalars and matrices."""
    if (node.size == 1 and node.ndim < 2) or node.dtype.kind in "iu":  # class numbers are symbols, not matrices
        return SCALAR
    if len(node.shape) != 2:
        raise DerivationError(
            f"a derivation speaks of columns, rows and matrices, but {_describe(node)} has shape {node.shape}: "
            "give vectors two axes, (n, 1) for a column"
        )
    return node.shape


def _describe(node: Tensor) -> str:
    what = node.name or (node.op.name if node.op else "a constant")
    where = str(node.scope)
    return f"{what} at {where}" if where else what


def _constant(node: Tensor, algebra: Algebra) -> Form:
    values = np.asarray(node.value)
    if values.size and np.all(values == values.flat[0]):
        return algebra.number(float(values.flat[0]), shape_of(node))
    raise DerivationError(
        f"an array of shape {node.shape} without a name stands in the computation: "
        "give it one, so that it can be printed"
    )


def _operation(node: Tensor, forms: list[Form], algebra: Algebra) -> Form:
    assert node.op is not None
    rule = _TABLE.get(node.op.name)
    if rule is None:
        raise DerivationError(
            f"{_describe(node)}: the derivative through {node.op.name} has no textbook form here; "
            "name its result and keep it"
        )
    return rule(algebra, node, forms)


Rule = Callable[[Algebra, Tensor, list[Form]], Form]


def _function(name: str) -> Rule:
    return lambda algebra, node, forms: algebra.apply(name, *forms)


def _over_rows(name: str) -> Rule:
    """A function that runs down a column."""

    def rule(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
        axis = (node.params or {}).get("axis", -1)
        if forms[0].shape[1 - axis % 2] != 1:
            raise DerivationError(
                f"{_describe(node)}: {name} of a {forms[0].shape[0]} x {forms[0].shape[1]} matrix; "
                "only of a column or row"
            )
        return algebra.apply(name, *forms)

    return rule


def _sum(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
    form = forms[0]
    shape = shape_of(node.inputs[0])
    if form.shape == SCALAR and shape != SCALAR:  # a stretched scalar, summed again
        return algebra.scale(float(np.prod(shape)) / float(np.prod(shape_of(node))), form)
    axis = (node.params or {}).get("axis")
    axes = range(len(node.inputs[0].shape)) if axis is None else np.atleast_1d(axis) % 2
    if all(shape[i] == 1 for i in axes):
        return form
    if shape_of(node) != SCALAR:
        raise DerivationError(
            f"{_describe(node)}: a sum over one axis of a matrix has no textbook form; write it as a product with ones"
        )
    return total(algebra, form)


def total(algebra: Algebra, form: Form) -> Form:
    """The sum of all entries."""
    if isinstance(form, Sum) and (form.cotangents or len(form.terms) == 1):
        return algebra.combine([(c, total(algebra, part)) for c, part in form.terms])
    if isinstance(form, Apply) and form.function in ("onehot", "softmax"):
        return algebra.number(1.0)
    return form if form.shape == SCALAR else algebra.apply("sum", form, shape=SCALAR)


def _broadcast(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
    form = forms[0]
    if isinstance(form, Number):
        return Number(shape_of(node), form.value)
    if form.shape in (SCALAR, shape_of(node)):
        return form
    raise DerivationError(
        f"{_describe(node)}: repeating a {form.shape[0]} x {form.shape[1]} matrix has no textbook form"
    )


def _reshape(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
    form = forms[0]
    if len(node.shape) < 2 or shape_of(node) == form.shape or form.shape == SCALAR:
        return form
    raise DerivationError(f"{_describe(node)}: reshaping has no textbook form")


def _rows(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
    """A stretch of rows, what a stack passes back to each of its parts."""
    index = (node.params or {})["index"]
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) != 1 or not isinstance(parts[0], slice) or parts[0].step not in (None, 1):
        raise DerivationError(f"{_describe(node)}: picking {index!r} has no textbook form; only a stretch of rows has")
    low, high, _ = parts[0].indices(node.inputs[0].shape[0])
    first, last = Number(SCALAR, low + 1.0), Number(SCALAR, float(high))
    return algebra.apply("rows", forms[0], first, last, shape=shape_of(node))


def _exp(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
    """exp(x - logsumexp(x)) and exp(log_softmax(x)) are the softmax of x."""
    form = forms[0]
    if isinstance(form, Apply) and form.function == "log_softmax":
        return algebra.apply("softmax", *form.args)
    if isinstance(form, Sum) and len(form.terms) == 2:
        for (c, x), (d, y) in (form.terms, form.terms[::-1]):
            if c == 1.0 and d == -1.0 and isinstance(y, Apply) and y.function == "logsumexp" and y.args == (x,):
                return algebra.apply("softmax", x)
    return algebra.apply("exp", form)


def _greater(algebra: Algebra, node: Tensor, forms: list[Form]) -> Form:
    if isinstance(forms[1], Number) and forms[1].value == 0.0:
        return algebra.apply("relu'", forms[0])
    raise DerivationError(f"{_describe(node)}: a comparison (of a maximum, minimum or clip) has no textbook form here")


_TABLE: dict[str, Rule] = {
    "identity": lambda algebra, node, forms: forms[0],
    "stop": lambda algebra, node, forms: forms[0],
    "add": lambda algebra, node, forms: algebra.add(*forms),
    "add_n": lambda algebra, node, forms: algebra.add(*forms),
    "subtract": lambda algebra, node, forms: algebra.combine([(1.0, forms[0]), (-1.0, forms[1])]),
    "negative": lambda algebra, node, forms: algebra.scale(-1.0, forms[0]),
    "multiply": lambda algebra, node, forms: algebra.mul(*forms),
    "divide": lambda algebra, node, forms: algebra.product([(forms[0], 1.0), (forms[1], -1.0)]),
    "square": lambda algebra, node, forms: algebra.power(forms[0], 2.0),
    "reciprocal": lambda algebra, node, forms: algebra.power(forms[0], -1.0),
    "sqrt": lambda algebra, node, forms: algebra.power(forms[0], 0.5),
    "power_constant": lambda algebra, node, forms: algebra.power(forms[0], node.params["n"]),  # type: ignore[index]
    "matmul": lambda algebra, node, forms: algebra.dot(*forms),
    "transpose": lambda algebra, node, forms: algebra.flip(forms[0]),
    "sum": _sum,
    "broadcast_to": _broadcast,
    "reshape": _reshape,
    "getitem": _rows,
    "exp": _exp,
    "greater": _greater,
    "onehot": lambda algebra, node, forms: algebra.apply("onehot", *forms, shape=shape_of(node)),
    "concatenate": lambda algebra, node, forms: algebra.apply("stack", *forms, shape=shape_of(node)),
    "norm": lambda algebra, node, forms: algebra.apply("norm", *forms, shape=SCALAR),
    "cross_entropy": lambda algebra, node, forms: algebra.apply("cross_entropy", *forms, shape=SCALAR),
    "logsumexp": lambda algebra, node, forms: algebra.apply("logsumexp", *forms, shape=SCALAR),
    "diag": lambda algebra, node, forms: algebra.apply("diag", *forms, shape=shape_of(node)),
    "softmax": _over_rows("softmax"),
    "log_softmax": _over_rows("log_softmax"),
    "abs": _function("abs"),
}
_ENTRYWISE = ("tanh", "sigmoid", "relu", "softplus", "log", "log1p", "expm1", "sin", "cos", "sign", "sinh", "cosh")
_TABLE |= {name: _function(name) for name in _ENTRYWISE}

#: the primitives that can be read in a forward expression and whose derivative can be read as well
TEXTBOOK = frozenset(_TABLE)
