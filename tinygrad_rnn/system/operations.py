"""What each recorded operation is called in the language: text of columns and matrices, one sample at a time.

A table from the name of a primitive to how it is written. What has no line here has no equation and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import DerivationError
from ..core.ops.indexing import HOLE
from ..core.tensor import Tensor
from .expression_text import ATOM, PRODUCT, SIGN, SUM, ExpressionText, add, call, literal, negated, over, times, turned
from .samples import Axes, Axis, axes_of, index_parts, permutation, said


def write(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    """The operation of `node` on what its inputs are written as. Raises `DerivationError` for what has no equation."""
    assert node.op is not None
    rule = _TABLE.get(node.op.name)
    if rule is None:
        raise DerivationError(
            f"{said(node)}: {node.op.name} has no equation; write it with functions of the language "
            "(docs/language.md has the table), or give its result as an input"
        )
    logistic = _logistic(node, args)
    if logistic is not None:
        return logistic
    mixed = [form for form in args if form.pooled]
    if mixed and node.op.name not in _LINEAR:
        raise DerivationError(
            f"{said(node)}: {node.op.name} of a sum over the {axes.count} samples makes each sample depend on the "
            "others; equations hold for one sample: record one"
        )
    return rule(node, args, axes)


def _logistic(node: Tensor, args: list[ExpressionText]) -> ExpressionText | None:
    """`1 / (1 + exp(-x))` by its name, the sigmoid of x."""
    name = node.op.name if node.op is not None else ""
    if name != "reciprocal" and (name != "divide" or args[0].number != 1.0):
        return None
    inner = args[-1].text.removeprefix("1 + ").removesuffix(" + 1")
    if len(args[-1].text) - len(inner) != 4 or not inner.startswith("exp(-") or not inner.endswith(")"):
        return None
    x = inner.removeprefix("exp(-").removesuffix(")")
    depth = 0
    for place, sign in enumerate(x):
        depth += (sign in "([") - (sign in ")]")
        if depth < 0 or (depth == 0 and sign in " " and place):
            return None
    bare = x[1:-1] if x.startswith("(") else x
    return ExpressionText(f"sigmoid({bare})", axes=args[-1].axes)


Rule = Callable[[Tensor, list[ExpressionText], Axes], ExpressionText]
#: what mixes entries: an array of one number is no number there
WHOLE = frozenset(["matmul", "linear", "sum", "concatenate", "norm", "softmax", "log_softmax", "logsumexp", "diag"])
#: what may follow a sum over the samples on the way to the loss
_LINEAR = frozenset(
    ["add", "subtract", "negative", "multiply", "divide", "add_n", "identity", "sum", "reshape", "cast", "some"]
)


def _function(name: str) -> Rule:
    return lambda node, args, axes: call(name, *args, axes=_common(node, args))


def _composed(pattern: str, level: int = SUM) -> Rule:
    return lambda node, args, axes: ExpressionText(pattern.format(*[a.atom for a in args]), level, _common(node, args))


def _common(node: Tensor, args: list[ExpressionText]) -> tuple[Axis, ...]:
    """The axes of an operation entry by entry."""
    kinds = {arg.axes for arg in args if arg.axes}
    if len(kinds) > 1:
        shapes = " and ".join(str(x.shape) for x in node.inputs)
        raise DerivationError(
            f"{said(node)}: shapes {shapes} meet by broadcasting, which equations of columns and matrices do not have; "
            "write it as a product, or record one sample at a time"
        )
    return kinds.pop() if kinds else ()


def _add(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    total = args[0]
    for arg in args[1:]:
        total = add(total, arg, _common(node, args))
    return replace(total, pooled=_pooled(node, args, axes))


def _pooled(node: Tensor, args: list[ExpressionText], axes: Axes) -> bool:
    """Whether terms are sums over the samples; a term of each sample cannot be added to these."""
    pooled = any(arg.pooled for arg in args)
    if pooled and node.op is not None and node.op.name in ("add", "subtract", "add_n"):
        axes.shared |= any(not arg.pooled and arg.number is None for arg in args)
    if pooled and axes.has_samples(node):
        raise DerivationError(f"{said(node)}: a sum over the samples meets what belongs to one; record one sample")
    return pooled


def _subtract(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    a, b = args
    common, pooled = _common(node, args), _pooled(node, args, axes)
    if a.number == 0.0:
        return replace(negated(b), pooled=pooled)
    if b.number == 0.0:
        return a
    right = b.text if b.level > SUM and not b.text.startswith("-") else f"({b.text})"
    return ExpressionText(f"{a.text} - {right}", SUM, common, pooled=pooled)


def _multiply(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    common, pooled = _common(node, args), _pooled(node, args, axes)
    if all(arg.pooled for arg in args):
        raise DerivationError(f"{said(node)}: a product of two sums over the samples; record one sample")
    return replace(times(*args), axes=common, pooled=pooled)


def _divide(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    common = _common(node, args)
    if args[1].pooled:
        raise DerivationError(f"{said(node)}: the divisor is a sum over the samples; record one sample")
    return replace(over(*args), axes=common, pooled=_pooled(node, args, axes))


def _power(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    n = 2.0 if node.op is not None and node.op.name == "square" else float((node.params or {})["n"])
    return ExpressionText(f"{args[0].atom}**{literal(n).atom}", SIGN, args[0].axes)


def _matmul(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    return product(node, args[0], args[1], axes.root(node.inputs[0], -1), axes)


def product(node: Tensor, left: ExpressionText, right: ExpressionText, inner: Axis, axes: Axes) -> ExpressionText:
    """A product of matrices, in which a column may have stood as a row."""
    if inner == axes.sample:
        raise DerivationError(f"{said(node)}: the product adds up over the {axes.count} samples; record one sample")
    for form, x in zip((left, right), node.inputs, strict=True):
        if form.axes != axes.of(x):
            raise DerivationError(f"{said(node)}: a factor is one number in all of its entries; write it out")
    found = (*left.axes[:-1], *right.axes[1:])
    if not axes.holds_entries(inner):  # a column times a row
        if not (left.axes and right.axes):
            return times(left, right)
        found = left.axes + right.axes
        left, right = (turned(left), right) if axes.rows else (left, turned(right))
    elif len(left.axes) == len(right.axes) == 1:
        left, right = (left, turned(right)) if axes.rows else (turned(left), right)
    elif len(left.axes) == 1 and not axes.rows:
        left, right = turned(right), left
    elif len(right.axes) == 1 and axes.rows:
        left, right = right, turned(left)
    return ExpressionText(f"{left.atom} @ {right.atom}", PRODUCT, found)


def _linear(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    x, W = args
    if len(x.axes) == 2:
        return ExpressionText(f"{x.atom} @ {turned(W).text}", PRODUCT, x.axes[:1] + W.axes[:1])
    if x.axes != axes.of(node.inputs[0]):
        raise DerivationError(f"{said(node)}: what W is applied to is one number in all of its entries; write it out")
    text = f"{x.atom} @ {turned(W).text}" if axes.rows else f"{W.atom} @ {x.atom}"
    return ExpressionText(text, PRODUCT, W.axes[:1])


def _sum(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    return reduced("sum", node, args[0], axes)


def reduced(function: str, node: Tensor, form: ExpressionText, axes: Axes) -> ExpressionText:
    """All entries as one number; over the samples nothing is written, as every equation holds for each."""
    (x,) = node.inputs
    roots = [axes.root(x, axis) for axis in axes_of(node, x)]
    pooled = form.pooled or (axes.sample is not None and axes.sample in roots)
    taken = [root for root in roots if axes.holds_entries(root)]
    if pooled and function != "sum" and axes.sample in roots:
        raise DerivationError(f"{said(node)}: {function} looks at all samples at once; record one sample")
    if not taken:
        return replace(form, pooled=pooled)
    if form.axes != axes.of(x):  # one number in all of its entries
        if function != "sum" or form.axes:
            raise DerivationError(f"{said(node)}: {function} of one number in all of its entries; write it out")
        count = literal(float(np.prod([axes.length(root) for root in taken])))
        return replace(times(count, form), pooled=pooled)
    if len(taken) != len(form.axes):
        raise DerivationError(
            f"{said(node)}: {function} along one axis of a matrix {x.shape} has no equation; "
            "write it as a product with a vector of ones"
        )
    return replace(call(function, form), pooled=pooled)


def _over_a_column(name: str) -> Rule:
    def rule(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
        x = node.inputs[0]
        root = axes.root(x, (node.params or {}).get("axis", -1))
        if len(args[0].axes) > 1 or not axes.holds_entries(root):
            raise DerivationError(f"{said(node)}: {name} of {x.shape}, but only that of a column has an equation")
        return call(name, *args, axes=args[0].axes)

    return rule


def _cross_entropy(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    o, y = args
    if len(o.axes) != 1 or y.axes:
        raise DerivationError(f"{said(node)}: cross_entropy of {node.inputs[0].shape}, but it is one of columns")
    return call("cross_entropy", o, y)


def _onehot(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    return call("onehot", args[0], axes=axes.of(node))


def _same_entries(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    (form,) = args
    long = tuple(axis for axis in form.axes if axes.length(axis) > 1)
    if form.axes and long == tuple(axis for axis in axes.of(node) if axes.length(axis) > 1):
        return replace(form, axes=axes.of(node))
    if form.axes and axes.of(node) != form.axes:
        raise DerivationError(
            f"{said(node)}: entries of shape {node.inputs[0].shape} in the shape {node.shape} are another vector or "
            "matrix than before, which has no equation"
        )
    return form


def _transpose(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    (form,), (x,) = args, node.inputs
    kept = [axis for axis in permutation(node) if axes.holds_entries(axes.root(x, axis))]
    return turned(form) if kept != sorted(kept) else form


def _getitem(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    (form,), (x,) = args, node.inputs
    at = -1
    for axis, part in index_parts(node):
        root = axes.root(x, axis) if axis < x.ndim and part is not None else None
        if part is None:
            continue
        if root == axes.sample and part != slice(None):
            raise DerivationError(f"{said(node)}: one of the {axes.count} samples is picked; record one sample")
        if root is None or not axes.holds_entries(root):
            continue
        at += 1
        if part != slice(None):
            form = _stretch(node, form, at, part, x.shape[axis])
            at -= not isinstance(part, slice)
    return replace(form, axes=axes.of(node))


def _stretch(node: Tensor, form: ExpressionText, at: int, part: Any, length: int) -> ExpressionText:
    """Entries from one to another along one axis of a column or matrix."""
    low, high, step = part.indices(length) if isinstance(part, slice) else (part % length, part % length + 1, 1)
    if step != 1 or low >= high:
        raise DerivationError(
            f"{said(node)}: every {step}th entry is picked; only a stretch of entries has an equation"
        )
    bounds = literal(low + 1), literal(high)
    if at:
        return turned(call("rows", turned(form), *bounds, axes=form.axes[::-1]))
    return call("rows", form, *bounds, axes=form.axes)


def _concatenate(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    axis = ((node.params or {}).get("axis") or 0) % node.ndim
    root = axes.root(node, axis)
    if root == axes.sample:
        raise DerivationError(f"{said(node)}: samples are put together; record one sample")
    along = axes.of(node).index(root) if root in axes.of(node) else 0
    for form, x in zip(args, node.inputs, strict=True):
        if len(form.axes) != len(axes.of(x)):
            raise DerivationError(f"{said(node)}: a part is one number in all of its entries; write it out")
    parts = [turned(form) for form in args] if along else args
    stacked = ExpressionText(
        f"[{'; '.join(part.text for part in parts)}]", ATOM, axes.of(node)[::-1] if along else axes.of(node)
    )
    return turned(stacked) if along else stacked


def _pick(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    if (node.params or {})["index"] != (HOLE,) or len(args[0].axes) != 2:
        raise DerivationError(f"{said(node)}: entries picked by numbers have an equation only as rows of a matrix")
    return ExpressionText(f"{turned(args[0]).text} @ onehot({args[1].text})", PRODUCT, args[0].axes[1:])


def _select(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    a, b, mask = args
    axes_ = _common(node, args)
    there = ExpressionText(f"1 - {mask.text}", SUM, mask.axes)
    chosen = times(mask, a) if a.number != 0.0 else None
    other = times(there, b) if b.number != 0.0 else None
    parts = [part for part in (chosen, other) if part is not None] or [literal(0.0)]
    return replace(parts[0] if len(parts) == 1 else add(parts[0], parts[1], axes_), axes=axes_)


def _clip(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    (form,) = args
    params = node.params or {}
    for name, bound in (("maximum", params.get("a_min")), ("minimum", params.get("a_max"))):
        if bound is not None:
            form = call(name, form, literal(float(bound)), axes=form.axes)
    return form


def _greater(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    if args[1].number == 0.0:
        return call("relu'", args[0], axes=args[0].axes)
    raise DerivationError(f"{said(node)}: a comparison has an equation only with 0; give it as a 0/1 input")


def _diag(node: Tensor, args: list[ExpressionText], axes: Axes) -> ExpressionText:
    if (node.params or {}).get("k", 0):
        raise DerivationError(f"{said(node)}: only the main diagonal has an equation")
    return call("diag", args[0], axes=axes.of(node))


_TABLE: dict[str, Rule] = {
    "identity": lambda node, args, axes: args[0], "cast": lambda node, args, axes: args[0],
    "some": lambda node, args, axes: args[0], "ranged": lambda node, args, axes: args[0],
    "unlike": lambda node, args, axes: ExpressionText(f"1 - {args[0].atom}", SUM, args[0].axes),
    "add": _add, "add_n": _add, "subtract": _subtract, "negative": lambda node, args, axes: negated(args[0]),
    "multiply": _multiply, "divide": _divide, "square": _power, "power_constant": _power,
    "reciprocal": _composed("1 / {0}", PRODUCT), "matmul": _matmul, "linear": _linear, "sum": _sum,
    "norm": lambda node, args, axes: reduced("norm", node, args[0], axes),
    "logsumexp": lambda node, args, axes: reduced("logsumexp", node, args[0], axes),
    "softmax": _over_a_column("softmax"), "log_softmax": _over_a_column("log_softmax"),
    "cross_entropy": _cross_entropy, "onehot": _onehot, "reshape": _same_entries, "broadcast_to": _same_entries,
    "transpose": _transpose, "getitem": _getitem, "concatenate": _concatenate, "pick": _pick, "select": _select,
    "clip": _clip, "greater": _greater, "diag": _diag,
    "expm1": _composed("exp({0}) - 1"), "sinh": _composed("(exp({0}) - exp(-{0})) / 2", PRODUCT),
    "cosh": _composed("(exp({0}) + exp(-{0})) / 2", PRODUCT), "tan": _composed("sin({0}) / cos({0})", PRODUCT),
    "logaddexp": _composed("log(exp({0}) + exp({1}))", ATOM),
}  # fmt: skip
_ENTRYWISE = ("tanh", "sigmoid", "relu", "softplus", "exp", "log", "log1p", "sqrt", "sin", "cos", "abs", "sign", "stop")
_TABLE |= {name: _function(name) for name in (*_ENTRYWISE, "maximum", "minimum")}
