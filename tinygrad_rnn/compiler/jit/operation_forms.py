"""How each operation entry by entry is written for numba, and what has no form.

`{0}` and `{1}` are the operands, `{one}` and `{zero}` numbers of their dtype, `{d}` is its name in those of kernels.
"""

from __future__ import annotations

import numpy as np

from ..unsupported import CompileError

#: what a dtype is called in names of kernels, and in full
DTYPES = {
    np.dtype(np.float32): ("4", "np.float32"),
    np.dtype(np.float64): ("8", "np.float64"),
    np.dtype(np.int64): ("_int", "np.int64"),  # numbers of classes: to be copied and looked up
}
_INFIX = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}"}
FORMS = _INFIX | {
    "negative": "-{0}",
    "square": "{0} * {0}",
    "reciprocal": "{one} / {0}",
    "copy": "{0}",
    "fill": "{0}",
    "tanh": "kernels.tanh{d}({0})",
    "exp": "kernels.exp{d}({0})",
    "sigmoid": "kernels.sigmoid{d}({0})",
    "relu": "{0} if {0} > {zero} or {0} != {0} else {zero}",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "greater": "{one} if {0} > {1} else {zero}",
    "equal": "{one} if {0} == {1} else {zero}",
    "sign": "{one} if {0} > {zero} else -{one} if {0} < {zero} else {0}",
    "abs": "abs({0})",
    "power": "{0} ** {1}",
    "power_constant": "{0} ** {n}",
    "softplus": "kernels.logaddexp({0}, {zero})",
    "logaddexp": "kernels.logaddexp({0}, {1})",
}
FORMS |= {name: f"np.{name}({{0}})" for name in ("expm1", "log", "log1p", "sqrt", "sin", "cos", "tan")}
FORMS |= {name: f"np.{name}({{0}})" for name in ("arctan", "sinh", "cosh", "arcsinh")}


class NotJittable(CompileError):
    """A plan has something for which there is no machine code here: the numpy executor carries it out."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the jitted executor has no form for {what}: take executor='numpy'")
