"""The derivative of every function of the language, as a textbook states it: what each argument's gradient receives.

A rule is given the algebra, the gradient `g` of the result, the arguments as forms, and the result `y` as the file
calls it: where h[t] = tanh(...), the rule of tanh says 1 - h[t]**2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from .algebra import Algebra
from .forms import ONE, Apply, Form
from .from_expressions import entry_count

#: what each argument receives; None for what has no gradient
Rule = Callable[[Algebra, Form, Sequence[Form], Form], Sequence[Form | None]]

_HALF, _ONE, _TWO = Fraction(1, 2), Fraction(1), Fraction(2)


def _minus(algebra: Algebra, a: Form, b: Form) -> Form:
    return algebra.combine([(_ONE, a), (-_ONE, b)])


def _times(slope: Callable[[Algebra, Form, Form], Form]) -> Rule:
    """An entrywise function, by its slope in terms of its argument and its value."""
    return lambda algebra, g, args, y: [algebra.mul(g, slope(algebra, args[0], y))]


def _named(function: str) -> Rule:
    return _times(lambda algebra, x, y: algebra.apply(function, x))


def _nothing(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [None] * len(args)


def _square(algebra: Algebra, y: Form) -> Form:
    return algebra.mul(y, y)


def _softmax(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    weighted = algebra.entries(algebra.mul(g, y))
    return [_minus(algebra, algebra.mul(g, y), algebra.mul(y, weighted))]


def _log_softmax(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [_minus(algebra, g, algebra.mul(algebra.apply("softmax", args[0]), algebra.entries(g)))]


def _cross_entropy(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    o, label = args
    softmax = algebra.apply("softmax", o)
    if label.scalar and not o.scalar:  # a class number
        target: Form = Apply(o.shape, "onehot", (label,))
        return [algebra.mul(g, _minus(algebra, softmax, target)), None]
    mass = algebra.entries(label)
    ahead = softmax if mass == ONE else algebra.mul(softmax, mass)
    back = algebra.scale(-_ONE, algebra.mul(g, algebra.apply("log_softmax", o)))
    return [algebra.mul(g, _minus(algebra, ahead, label)), back]


def _squared_error(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    difference = _minus(algebra, args[0], args[1])
    return [algebra.mul(g, difference), algebra.mul(g, algebra.scale(-_ONE, difference))]


def _sum(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.mul(g, algebra.ones(args[0]))]


def _mean(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    share = algebra.power(entry_count(algebra, args[0]), -1)
    return [algebra.mul(g, share, algebra.ones(args[0]))]


def _maximum(sign: int) -> Rule:
    """Where both are equal the step function is 0 for the first argument and the second receives it all."""

    def rule(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
        ahead = algebra.combine([(Fraction(sign), args[0]), (Fraction(-sign), args[1])])
        back = algebra.combine([(Fraction(-sign), args[0]), (Fraction(sign), args[1])])
        return [algebra.mul(g, algebra.apply("relu'", difference)) for difference in (ahead, back)]

    return rule


def _diag(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.diagonal(g, args[0])]


def _outer(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    v, w = algebra.dot(g, algebra.upright(args[1])), algebra.dot(algebra.flip(g), algebra.upright(args[0]))
    return [algebra.upright(v), algebra.upright(w)]  # turned back, where vectors are rows


def _dot(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.mul(g, args[1]), algebra.mul(g, args[0])]


def _row_sums(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.dot(_diagonal_of(algebra, g), algebra.ones(args[0]))]


def _column_sums(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.dot(algebra.ones(args[0]), _diagonal_of(algebra, algebra.flip(g)))]


def _softmax_rows(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    weighted = algebra.mul(g, y)
    sums = algebra.apply("row_sums", weighted, shape=(y.shape[0], 1))
    return [_minus(algebra, weighted, algebra.dot(_diagonal_of(algebra, sums), y))]


def _softmax_columns(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    weighted = algebra.mul(g, y)
    sums = algebra.apply("column_sums", weighted, shape=(1, y.shape[1]))
    return [_minus(algebra, weighted, algebra.dot(y, _diagonal_of(algebra, algebra.flip(sums))))]


def _diagonal_of(algebra: Algebra, column: Form) -> Form:
    """The diagonal matrix of a column, as `diag` takes it."""
    return algebra.apply("diag", algebra.upright(column), shape=(column.shape[0], column.shape[0]))


def _transpose(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.flip(g)]


def _inv(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    return [algebra.scale(-_ONE, algebra.dot(algebra.flip(y), g, algebra.flip(y)))]


def _solve(algebra: Algebra, g: Form, args: Sequence[Form], y: Form) -> Sequence[Form | None]:
    back = algebra.apply("solve", algebra.flip(args[0]), g, shape=args[1].shape)
    return [algebra.scale(-_ONE, algebra.dot(back, algebra.flip(y))), back]


RULES: dict[str, Rule] = {
    "tanh": _times(lambda algebra, x, y: _minus(algebra, ONE, _square(algebra, y))),
    "sigmoid": _times(lambda algebra, x, y: algebra.mul(y, _minus(algebra, ONE, y))),
    "relu": _named("relu'"),
    "softplus": _named("softplus'"),
    "exp": _times(lambda algebra, x, y: y),
    "log": _times(lambda algebra, x, y: algebra.power(x, -1)),
    "log1p": _times(lambda algebra, x, y: algebra.power(algebra.add(ONE, x), -1)),
    "sqrt": _times(lambda algebra, x, y: algebra.scale(_HALF, algebra.power(y, -1))),
    "sin": _named("cos"),
    "cos": _times(lambda algebra, x, y: algebra.scale(-_ONE, algebra.apply("sin", x))),
    "abs": _named("sign"),
    "tanh'": _times(
        lambda algebra, x, y: algebra.scale(-_TWO, algebra.mul(algebra.apply("tanh", x), algebra.apply("tanh'", x)))
    ),
    "sigmoid'": _times(
        lambda algebra, x, y: algebra.mul(
            algebra.apply("sigmoid'", x), _minus(algebra, ONE, algebra.scale(_TWO, algebra.apply("sigmoid", x)))
        )
    ),
    "softplus'": _named("sigmoid'"),
    "relu'": _nothing,
    "sign": _nothing,
    "ones_like": _nothing,
    "stop": _nothing,
    "onehot": _nothing,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _times(lambda algebra, x, y: algebra.apply("softmax", x)),
    "cross_entropy": _cross_entropy,
    "squared_error": _squared_error,
    "sum": _sum,
    "mean": _mean,
    "norm": _times(lambda algebra, x, y: algebra.product([(x, _ONE), (y, -_ONE)])),
    "maximum": _maximum(1),
    "minimum": _maximum(-1),
    "diag": _diag,
    "outer": _outer,
    "dot": _dot,
    "transpose": _transpose,
    "row_sums": _row_sums,
    "column_sums": _column_sums,
    "softmax_rows": _softmax_rows,
    "softmax_columns": _softmax_columns,
    "inv": _inv,
    "solve": _solve,
}
