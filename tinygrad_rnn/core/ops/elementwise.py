"""The table of elementwise operations: what each computes, its derivative, how it prints.

A rule is `vjp(g, y, x)`: the cotangent, the result, the input. Comparisons that a derivative needs are operations of
their own (`greater`, `equal`, `sign`) with no derivative, so that a recorded gradient holds for other values too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..declare import MATH_ERRORS, elementwise, primitive, record, spells
from ..kinks import with_slope
from ..looks import refuse_choice
from ..tensor import PLAIN, Tensor, plain
from .indexing import select

# -- arithmetic -----------------------------------------------------------------------------------------------------
add = elementwise("add", np.add, scalar=operator.add, arity=2, label="+", vjp=lambda g, y, a, b: (g, g))
subtract = elementwise("subtract", np.subtract, scalar=operator.sub, arity=2, label="−", vjp=lambda g, y, a, b: (g, -g))
multiply = elementwise(
    "multiply", np.multiply, scalar=operator.mul, arity=2, label="×",
    vjp=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
)  # fmt: skip
divide = elementwise(
    "divide", np.divide, scalar=operator.truediv, arity=2, label="÷",
    vjp=(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
)  # fmt: skip
negative = elementwise("negative", np.negative, scalar=operator.neg, label="−", vjp=lambda g, y, x: (-g,))

# -- comparisons as operations, without derivative ------------------------------------------------------------------
greater = elementwise(
    "greater", lambda a, b: _mask(a, b, np.real(a) > np.real(b)), scalar=lambda a, b: float(a > b), arity=2, label=">"
)
equal = elementwise(
    "equal", lambda a, b: _mask(a, b, np.real(a) == np.real(b)), scalar=lambda a, b: float(a == b), arity=2, label="="
)
sign = elementwise("sign", lambda x: _sign(x))


def _sign(x: Any) -> Any:
    return np.sign(np.real(x)).astype(np.real(np.result_type(x).type(0)).dtype)


def _mask(a: Any, b: Any, truth: Any) -> Any:
    return np.asarray(truth).astype(np.real(np.result_type(a, b).type(0)).dtype)


# -- exponentials and logarithms -----------------------------------------------------------------------------------
exp = elementwise("exp", np.exp, scalar=math.exp, vjp=lambda g, y, x: (g * y,))
expm1 = elementwise("expm1", np.expm1, scalar=math.expm1, vjp=lambda g, y, x: (g * exp(x),))
_log = elementwise("log", np.log, scalar=math.log, vjp=lambda g, y, x: (g / x,))


@spells(np.log)
def log(x: Any) -> Any:
    """The natural logarithm; of a sigmoid it is right where that is too small for its dtype."""
    y = _log(x)
    if type(x) is Tensor and x.op is sigmoid.primitive:  # type: ignore[attr-defined]
        # the sigmoid stops at the smallest number whose reciprocal is finite, so that its gradient stays right
        y.value = negative(softplus(negative(x.inputs[0].value)))
    return y


log.primitive = _log.primitive  # type: ignore[attr-defined]
log1p = elementwise("log1p", np.log1p, scalar=math.log1p, vjp=lambda g, y, x: (g / (1.0 + x),))
sqrt = elementwise("sqrt", np.sqrt, scalar=math.sqrt, label="√", vjp=lambda g, y, x: (0.5 * g / y,))
sqrt.__doc__ = (
    "Square root, entry by entry. As in numpy: nan below 0; the derivative at 0 is +inf (`norm` defines its own at 0)."
)


def _logaddexp(a: Any, b: Any) -> Any:
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        return np.logaddexp(a, b)
    top = np.where(np.real(a) > np.real(b), a, b)
    return top + np.log1p(np.exp(np.where(np.real(a) > np.real(b), b, a) - top))


logaddexp = elementwise(
    "logaddexp", _logaddexp, arity=2,
    vjp=lambda g, y, a, b: (g * exp(a - above_nothing(y)), g * exp(b - above_nothing(y))),
)  # fmt: skip
spells(np.logaddexp)(logaddexp)


def above_nothing(y: Any) -> Any:
    """`y`, but no -inf: then `exp(x - y)` is 0 and not nan where all terms of a sum of exponentials are 0."""
    if not np.any(np.isneginf(np.real(plain(y)))):
        return y
    return maximum(y, float(np.finfo(getattr(y, "dtype", np.float64)).min))


# -- circular and hyperbolic functions ------------------------------------------------------------------------------
sin = elementwise("sin", np.sin, scalar=math.sin, vjp=lambda g, y, x: (g * np.cos(x),))
cos = elementwise("cos", np.cos, scalar=math.cos, vjp=lambda g, y, x: (-g * np.sin(x),))
tan = elementwise("tan", np.tan, scalar=math.tan, vjp=lambda g, y, x: (g * (1.0 + y * y),))
arcsin = elementwise("arcsin", np.arcsin, scalar=math.asin, vjp=lambda g, y, x: (g / sqrt((1.0 - x) * (1.0 + x)),))
arccos = elementwise("arccos", np.arccos, scalar=math.acos, vjp=lambda g, y, x: (-g / sqrt((1.0 - x) * (1.0 + x)),))
arctan = elementwise("arctan", np.arctan, scalar=math.atan, vjp=lambda g, y, x: (g / (1.0 + x * x),))
sinh = elementwise("sinh", np.sinh, scalar=math.sinh, vjp=lambda g, y, x: (g * np.cosh(x),))
cosh = elementwise("cosh", np.cosh, scalar=math.cosh, vjp=lambda g, y, x: (g * np.sinh(x),))
tanh = elementwise("tanh", np.tanh, scalar=math.tanh, vjp=lambda g, y, x: (g * (1.0 - y * y),))
arcsinh = elementwise("arcsinh", np.arcsinh, scalar=math.asinh, vjp=lambda g, y, x: (g / np.cosh(y),))
arccosh = elementwise(
    "arccosh", np.arccosh, scalar=math.acosh, vjp=lambda g, y, x: (g / (sqrt(x - 1.0) * sqrt(x + 1.0)),)
)
arctanh = elementwise("arctanh", np.arctanh, scalar=math.atanh, vjp=lambda g, y, x: (g / ((1.0 - x) * (1.0 + x)),))


# -- the activations of neural networks ----------------------------------------------------------------------------
#: by dtype: the largest exponent without overflow (so that no warning is raised where the answer is simply 0), and one;
#: as 0-d arrays, which numpy takes twice as fast as Python floats
_LIMITS = {
    np.dtype(kind): (np.array(largest, kind), np.array(1.0, kind))
    for kind, largest in (("f2", 11.0), ("f4", 88.0), ("f8", 709.0))
}


def _sigmoid(x: Any) -> Any:
    if type(x) is not np.ndarray or x.dtype not in _LIMITS or not x.ndim:
        return 1.0 / (1.0 + np.exp(np.minimum(np.negative(x), 709.0 if np.result_type(x).itemsize > 4 else 88.0)))
    largest, one = _LIMITS[x.dtype]
    e = np.minimum(np.negative(x), largest)
    np.exp(e, e)
    np.add(e, one, e)
    return np.reciprocal(e, e)


def _softplus(x: Any) -> Any:
    return _logaddexp(x, np.zeros((), np.result_type(x)))


def _sigmoid_scalar(x: float) -> float:
    return 1.0 / (1.0 + math.exp(709.0 if x < -709.0 else -x))


sigmoid = elementwise(
    "sigmoid", _sigmoid, scalar=_sigmoid_scalar, label="σ",
    vjp=lambda g, y, x: (g * y * (1.0 - y),),
)  # fmt: skip
softplus = elementwise("softplus", _softplus, label="ζ", vjp=lambda g, y, x: (g * sigmoid(x),))
relu = elementwise(
    "relu", lambda x: np.maximum(x, 0.0), scalar=lambda x: 0.0 if x <= 0.0 else x,
    vjp=lambda g, y, x: (_passed(g, greater(x, 0.0)),),
)  # fmt: skip

# -- piecewise: at a tie the cotangent is shared equally ------------------------------------------------------------
absolute = elementwise(
    "abs", lambda x: np.abs(x) if not np.iscomplexobj(x) else np.where(np.real(x) < 0, -x, x), scalar=abs, label="|·|",
    vjp=lambda g, y, x: (with_slope(g * sign(x), g, y, x, strict=False),),
)  # fmt: skip
spells(np.absolute, np.fabs)(absolute)
maximum = elementwise(
    "maximum", np.maximum, scalar=lambda a, b: a if a >= b or a != a else b, arity=2, label="max",
    vjp=lambda g, y, a, b: _share(g, a, b),
)  # fmt: skip
minimum = elementwise(
    "minimum", np.minimum, scalar=lambda a, b: a if a <= b or a != a else b, arity=2, label="min",
    vjp=lambda g, y, a, b: _share(g, b, a),
)  # fmt: skip


def _share(g: Any, larger: Any, smaller: Any) -> tuple[Any, Any]:
    first = greater(larger, smaller) + 0.5 * equal(larger, smaller)
    return _passed(g, first), _passed(g, 1.0 - first)


def _passed(g: Any, share: Any) -> Any:
    """`g * share`, but 0 where the share is, also for a g that is not finite: there the result is constant.

    A recorded gradient is the product unless that is not finite, and what reads it can rely on this.
    """
    product = g * share
    return product if _is_finite(plain(product)) else select(product, 0.0, share)


def _is_finite(x: Any) -> bool:
    return math.isfinite(x) if type(x) is float else bool(np.isfinite(x).all())


@primitive("clip", elementwise=True, vjp=(lambda g, y, x, a_min=None, a_max=None: _passed(g, equal(y, x)),))
def _clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    return np.clip(x, a_min, a_max)


@spells(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    """Limit every entry to `[a_min, a_max]`; the cotangent passes where nothing was changed, else it goes to the bound,
    if that is a Tensor.
    """
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ValueError("clip: each bound is given once: a_min or min, a_max or max")
    low, high = a_min if min is None else min, a_max if max is None else max
    if not isinstance(low, Tensor) and not isinstance(high, Tensor):
        return _clip(a, a_min=low, a_max=high)
    if low is not None:
        a = select(low, a, greater(low, a))
    return a if high is None else select(high, a, greater(a, high))


@primitive(
    "where", inputs=2, elementwise=True, label="?:",
    vjp=(
        lambda g, y, a, b, condition: where(condition, g, 0.0),
        lambda g, y, a, b, condition: where(condition, 0.0, g),
    ),
)  # fmt: skip
def _where(a: Any, b: Any, condition: Any) -> Any:
    return np.where(condition, a, b)


@spells(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """`x` where the condition holds, `y` elsewhere; the condition is a boolean array, or a Tensor that holds one.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.grad(lambda x: np.sum(np.where(x > 0, x * x, 0.0)))(np.array([0.5, 3.0])).tolist()
    [1.0, 6.0]
    """
    if x is None or y is None:
        raise TypeError("where: takes a condition and two choices; np.nonzero(condition) gives the positions")
    return select(x, y, condition) if isinstance(condition, Tensor) else _where(x, y, condition=plain(condition))


# -- powers --------------------------------------------------------------------------------------------------------
@primitive(
    "power_constant", elementwise=True, label="^",
    vjp=(lambda g, y, x, n: g * 0.0 if n == 0 else g * (n * _power_constant(x, n=n - 1)),),
)  # fmt: skip
def _power_constant(x: Any, n: float) -> Any:
    if type(x) is float:
        try:
            return math.pow(x, n)
        except MATH_ERRORS:
            return float(np.power(np.float64(x), n))
    return np.power(x, n)


_power: Callable[..., Any] = elementwise(
    "power", np.power, scalar=math.pow, arity=2, label="^",
    vjp=(
        # a ** 0 is flat, also at 0, where a ** -1 would be infinite
        lambda g, y, a, b: g * b * _power(a, b - 1.0 + equal(b, 0.0)),
        # 0 ** b is flat in b from 0 on, and log(1) = 0 says so; below 0 no power but whole ones exists
        lambda g, y, a, b: g * y * log(a + equal(a, 0.0) * (1.0 - greater(0.0, b))),
    ),
)  # fmt: skip


@spells(np.power)
def power(x: Any, n: Any) -> Any:
    """`x ** n`; with a plain number as exponent x may be negative, as in numpy.

    >>> import tinygrad_rnn as tg
    >>> tg.grad(lambda x: x ** 3)(-2.0)
    12.0
    """
    if isinstance(n, np.integer):
        n = int(n)
    if type(x) is Tensor and isinstance(n, int | float) and not isinstance(n, bool):
        return square(x) if n == 2 else record(_power_constant.primitive, (x,), {"n": n})  # type: ignore[attr-defined]
    return _power(x, n)


square = elementwise("square", np.square, scalar=lambda x: x * x, label="²", vjp=lambda g, y, x: (2.0 * g * x,))
reciprocal = elementwise("reciprocal", np.reciprocal, scalar=lambda x: 1.0 / x, vjp=lambda g, y, x: (-g * y * y,))

# -- operators of the Tensor ----------------------------------------------------------------------------------------
for _symbol, _function in {"add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": power}.items():
    setattr(Tensor, f"__{_symbol}__", _function)
    setattr(Tensor, f"__r{_symbol}__", lambda self, other, function=_function: function(other, self))
for _symbol, _function in {"neg": negative, "pos": lambda self: self, "abs": absolute}.items():
    setattr(Tensor, f"__{_symbol}__", _function)


def _compared(name: str) -> Callable[[Tensor, Any], Any]:
    compare = getattr(operator, name)
    return lambda self, other: compare(self.value, plain(other))


def _equals(self: Tensor, other: Any) -> Any:
    if self.requires_grad and not self.shape:
        refuse_choice()
    return self.value == plain(other)


for _symbol in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_symbol}__", _equals if _symbol == "eq" else _compared(_symbol))

PLAIN |= {
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isfinite, np.isnan, np.isinf,
    np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.round, np.logical_and, np.logical_or, np.logical_not,
    np.argmax, np.argmin, np.argsort, np.allclose, np.isclose, np.array_equal, np.shape, np.ndim, np.size,
    np.zeros_like, np.ones_like, np.empty_like, np.result_type, np.any, np.all, np.count_nonzero,
    np.isrealobj, np.iscomplexobj, np.array2string, np.array_repr, np.array_str, np.nonzero, np.searchsorted,
}  # fmt: skip
spells(np.sign)(sign)
