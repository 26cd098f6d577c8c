"""The table of numpy's rarer elementwise functions; those of everyday stand in `elementwise`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..declare import elementwise, primitive, spells
from ..errors import DtypeError
from ..kinks import with_slope
from ..tensor import PLAIN, Tensor
from .elementwise import divide, equal, maximum, minimum, multiply, power, sign
from .identity import stop
from .indexing import cast, equals, select

# -- exponentials and logarithms -----------------------------------------------------------------------------------
_LN2, _LN10 = math.log(2.0), math.log(10.0)
exp2 = elementwise("exp2", np.exp2, vjp=lambda g, y, x: (g * y * _LN2,))
log2 = elementwise("log2", np.log2, scalar=math.log2, vjp=lambda g, y, x: (g / x / _LN2,))
log10 = elementwise("log10", np.log10, scalar=math.log10, vjp=lambda g, y, x: (g / x / _LN10,))
logaddexp2 = elementwise(
    "logaddexp2", np.logaddexp2, arity=2,
    vjp=lambda g, y, a, b: (g * exp2(a - y), g * exp2(b - y)),
)  # fmt: skip
cbrt = elementwise("cbrt", np.cbrt, label="∛", vjp=lambda g, y, x: (g / (3.0 * y * y),))


@spells(np.float_power)
def float_power(x1: Any, x2: Any) -> Any:
    """`x1 ** x2`, in double precision at least."""
    return power(astype(x1, np.float64) if getattr(x1, "dtype", np.float64) != np.float64 else x1, x2)


# -- angles and lengths --------------------------------------------------------------------------------------------
hypot = elementwise(
    "hypot", np.hypot, scalar=math.hypot, arity=2,
    vjp=lambda g, y, a, b: tuple([with_slope(g * (x / (y + equal(y, 0.0))), g, y, x) for x in (a, b)]),
)  # fmt: skip
arctan2 = elementwise(
    "arctan2", np.arctan2, scalar=math.atan2, arity=2,
    vjp=lambda g, y, a, b: (g * (b / hypot(a, b) / hypot(a, b)), -g * (a / hypot(a, b) / hypot(a, b))),
)  # fmt: skip


@spells(np.deg2rad, np.radians)
def deg2rad(x: Any) -> Any:
    """Degrees as radians."""
    return multiply(x, math.pi / 180.0)


@spells(np.rad2deg, np.degrees)
def rad2deg(x: Any) -> Any:
    """Radians as degrees."""
    return multiply(x, 180.0 / math.pi)


def _series(square: Any, n: int) -> Any:
    """`j_n(z) / z**n` as a power series in `square = z**2`, for |z| up to n + 1."""
    term = total = 1.0 / math.prod(range(1, 2 * n + 2, 2)) + 0.0 * square
    for k in range(1, 20 + 2 * n):
        term = term * square * (-0.5 / (k * (2 * n + 2 * k + 1)))
        total = total + term
    return total


def _bessel(z: Any, n: int) -> Any:
    """`j_n(z) / z**n` for the spherical Bessel function j_n: with n = 0, sin(z) / z."""
    square = z * z
    small = np.real(square) < (n + 1.0) ** 2
    far = np.where(small, 1.0, z)  # upwards in n loses digits where z is below it, and the series beyond
    before, result = np.cos(far), np.sin(far) / far
    for k in range(n):
        before, result = result, ((2 * k + 1) * result - before) / (far * far)
    return np.where(small, _series(np.where(small, square, 0.0), n), result)


@primitive("sinc", elementwise=True, vjp=(lambda g, y, z, n=0: -g * z * _sinc(z, n=n + 1),))
def _sinc(z: Any, n: int = 0) -> Any:
    return np.asarray(_bessel(z, n)).astype(np.result_type(z), copy=False)


@spells(np.sinc)
def sinc(x: Any) -> Any:
    """`sin(pi x) / (pi x)`, and 1 at 0; the derivatives are right at 0 as well.

    Each derivative of `j_n(z) / z**n` is `-z` times the next of these functions, so no order divides by z.
    """
    return _sinc(multiply(x, math.pi))


# -- division with rest --------------------------------------------------------------------------------------------
#: whole numbers of times, which no small change of the inputs changes
floor_divide = elementwise("floor_divide", np.floor_divide, arity=2, label="//")
remainder = elementwise(
    "remainder", np.remainder, arity=2, label="mod",
    vjp=lambda g, y, a, b: (g, g * stop(divide(y - a, b))),
)  # fmt: skip
fmod = elementwise("fmod", np.fmod, arity=2, vjp=lambda g, y, a, b: (g, g * stop(divide(y - a, b))))


@spells(np.divmod)
def divmod(x1: Any, x2: Any) -> tuple[Any, Any]:
    """`x1 // x2`, which has no derivative, and `x1 % x2`."""
    return floor_divide(x1, x2), remainder(x1, x2)


for _name, _function in {"mod": remainder, "floordiv": floor_divide, "divmod": divmod}.items():
    setattr(Tensor, f"__{_name}__", _function)
    setattr(Tensor, f"__r{_name}__", lambda self, other, function=_function: function(other, self))


# -- what is not a number ------------------------------------------------------------------------------------------
@primitive("is_nan", elementwise=True)
def is_nan(x: Any) -> Any:
    """Which entries are nan, as truth values."""
    return np.isnan(x)


@spells(np.nan_to_num)
def nan_to_num(x: Any, nan: Any = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in place of nan and of the infinities; nothing flows back to an entry that was replaced."""
    largest = float(np.finfo(x.dtype).max)
    x = select(nan, x, is_nan(x))
    x = select(largest if posinf is None else posinf, x, equals(x, number=np.inf))
    return select(-largest if neginf is None else neginf, x, equals(x, number=-np.inf))


@spells(np.fmax)
def fmax(x1: Any, x2: Any) -> Any:
    """The larger one; where one is nan, the other."""
    return maximum(select(x2, x1, is_nan(x1)), select(x1, x2, is_nan(x2)))


@spells(np.fmin)
def fmin(x1: Any, x2: Any) -> Any:
    """The smaller one; where one is nan, the other."""
    return minimum(select(x2, x1, is_nan(x1)), select(x1, x2, is_nan(x2)))


@spells(np.heaviside)
def heaviside(x1: Any, x2: Any) -> Any:
    """0 below 0, 1 above, and `x2` at 0: there its gradient flows to `x2`, and nothing does to `x1`."""
    return select(x2, 0.5 * (sign(x1) + 1.0), equals(x1, number=0))


# -- kinds of numbers ----------------------------------------------------------------------------------------------
@primitive("astype", elementwise=True, vjp=(lambda g, y, x, dtype: astype(g, x.dtype),))
def _astype(x: Any, dtype: Any) -> Any:
    return np.asarray(x).astype(np.result_type(dtype, 1j) if np.iscomplexobj(x) else dtype)


def astype(x: Any, dtype: Any) -> Any:
    """The same numbers in another float dtype; in a dtype of integers or booleans they have no derivative.

    Raises `DtypeError` for complex numbers and objects.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.tensor([1.5, 2.0]).astype(np.float32).dtype
    dtype('float32')
    """
    kind = np.dtype(dtype).kind
    if kind not in "fiub":
        raise DtypeError(f"astype: a Tensor holds real numbers, not {np.dtype(dtype)}")
    return (_astype if kind == "f" else cast)(x, dtype=np.dtype(dtype))


@spells(np.positive, np.conjugate, np.real, np.real_if_close)
def real(x: Any) -> Any:
    """A real number as it is; `DtypeError` for complex ones, which have no derivative here."""
    if x.dtype.kind == "c":
        raise DtypeError("complex numbers have no derivative here: take the real part of t.numpy()")
    return x


@spells(np.imag)
def imag(x: Any) -> Any:
    """Zeros: a differentiable Tensor is real."""
    return np.zeros_like(real(x))


PLAIN |= {np.isreal, np.iscomplex, np.isposinf, np.isneginf, np.logical_xor, np.spacing, np.fix, np.angle}
