"""The table of functions an equation may call: shape rule, evaluation, spelling in LaTeX. One line for each.

Evaluation is written on `Operand` (see `operands`), so it serves plain arrays and Tensors alike. What a shape rule
means stands in `shapes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.ops.elementwise import greater, relu, sigmoid, sign, softplus
from ..core.ops.identity import stop
from ..core.ops.linalg import norm
from ..core.ops.reductions import cross_entropy, log_softmax, logsumexp, onehot, softmax
from ..core.tensor import plain
from .run import operands
from .run.operands import Operand, column, entrywise, pairwise

REDUCTIONS = ("sum", "mean", "prod")
ALIASES = {
    "σ": "sigmoid",
    "σ'": "sigmoid'",
    "ReLU": "relu",
    "ReLU'": "relu'",
    "ln": "log",
    "max": "maximum",
    "min": "minimum",
}


@dataclass(frozen=True)
class Function:
    """One function: its shape rule, its arguments, how it is evaluated on operands, how LaTeX spells it."""

    rule: str
    arguments: tuple[str, ...]
    evaluate: Callable[..., Operand]
    latex: str

    def takes(self, count: int) -> bool:
        """Whether it may be called with so many arguments; a last argument `…` stands for any number more."""
        if self.arguments[-1] == "…":
            return count >= len(self.arguments) - 1
        return count == len(self.arguments)


FUNCTIONS: dict[str, Function] = {}


def _declare(name: str, rule: str, arguments: str, evaluate: Callable[..., Operand], latex: str = "") -> None:
    FUNCTIONS[name] = Function(rule, tuple(arguments.split()), evaluate, latex or rf"\operatorname{{{name}}}")


def _entrywise(f: Callable[[Any], Any]) -> Callable[..., Operand]:
    return lambda x: entrywise(f, x)


def _tanh_slope(x: Any) -> Any:
    return 1.0 - np.tanh(x) ** 2


def _sigmoid_slope(x: Any) -> Any:
    y = sigmoid(x)
    return y * (1.0 - y)


def _cross_entropy(o: Operand, y: Operand) -> Operand:
    batch = o.batch or y.batch
    o, y = operands.upright(o), y if y.classes else operands.upright(y)
    if y.classes:
        return _one_number(cross_entropy(o.value, y.value, axis=0), batch)
    return operands.negative(_one_number(y.value * log_softmax(o.value, axis=0), batch))


def _one_number(terms: Any, batch: int | None) -> Operand:
    """The sum of terms down each column: one number, or one for each sample."""
    if batch in (None, 1):
        return Operand(np.sum(terms))
    whole = np.reshape(terms, (1, batch)) if np.ndim(plain(terms)) < 2 else np.sum(terms, axis=0, keepdims=True)
    return Operand(whole, batch=batch)


def _onehot(y: Operand) -> Operand:
    result = column(onehot(y.value, y.classes, axis=0), y.classes, y.batch)
    if y.batch == 1 and np.size(plain(y.value)) > 1:  # a file of batches
        return Operand(result.value, y.classes, np.size(plain(y.value)), 1)
    return operands.transpose(result) if y.is_row else result


def _squared_error(o: Operand, y: Operand) -> Operand:
    difference = operands.upright(operands.subtract(o, y))
    total = _one_number(difference.value**2, difference.batch)
    return Operand(0.5 * total.value, batch=total.batch)


def _softmax_columns(x: Operand) -> Operand:
    """Each column a distribution; a row has one entry in each of its columns."""
    return entrywise((lambda v: v * 0.0 + 1.0) if x.is_row else (lambda v: softmax(v, axis=0)), x)


def _softmax_rows(x: Operand) -> Operand:
    return operands.transpose(_softmax_columns(operands.transpose(x)))


def _logsumexp(v: Operand) -> Operand:
    if v.is_matrix:  # a column for each sample
        return Operand(logsumexp(v.value, axis=0, keepdims=True), 1, v.columns, v.batch)
    return operands.over_entries(lambda v: logsumexp(v, axis=0, keepdims=True))(v)


def _outer(v: Operand, w: Operand, contract: bool = True) -> Operand:
    return operands.matmul(operands.upright(v), operands.transpose(operands.upright(w)), contract)


def _dot(v: Operand, w: Operand, contract: bool = True) -> Operand:
    return operands.matmul(operands.transpose(operands.upright(v)), operands.upright(w), contract)


_declare("tanh", "same", "x", _entrywise(np.tanh), r"\tanh")
_declare("sigmoid", "same", "x", _entrywise(sigmoid), r"\sigma")
_declare("relu", "same", "x", _entrywise(relu))
_declare("softplus", "same", "x", _entrywise(softplus), r"\zeta")
_declare("exp", "same", "x", _entrywise(np.exp), r"\exp")
_declare("log", "same", "x", _entrywise(np.log), r"\log")
_declare("log1p", "same", "x", _entrywise(np.log1p))
_declare("sqrt", "same", "x", _entrywise(np.sqrt))
_declare("sin", "same", "x", _entrywise(np.sin), r"\sin")
_declare("cos", "same", "x", _entrywise(np.cos), r"\cos")
_declare("abs", "same", "x", _entrywise(np.abs))
_declare("sign", "same", "x", _entrywise(sign))
_declare("ones_like", "same", "x", _entrywise(lambda x: np.ones(np.shape(plain(x)))))
_declare("stop", "same", "x", _entrywise(stop))
_declare("tanh'", "same", "x", _entrywise(_tanh_slope), r"\tanh'")
_declare("sigmoid'", "same", "x", _entrywise(_sigmoid_slope), r"\sigma'")
_declare("relu'", "same", "x", _entrywise(lambda x: greater(x, 0.0)), r"\operatorname{relu}'")
_declare("softplus'", "same", "x", _entrywise(sigmoid), r"\zeta'")
_declare("softmax", "column", "v", operands.of_vector(lambda v: softmax(v, axis=0)))
_declare(
    "log_softmax", "column", "v", operands.of_vector(lambda v: log_softmax(v, axis=0)), r"\log\operatorname{softmax}"
)
_declare("softmax_columns", "same", "A", _softmax_columns)
_declare("softmax_rows", "same", "A", _softmax_rows)
_declare("logsumexp", "entries of a column", "v", _logsumexp)
_declare("diag", "diagonal", "v", operands.diagonal)
_declare("onehot", "classes", "y[t]", _onehot)
_declare("cross_entropy", "against", "o[t] y[t]", _cross_entropy)
_declare("squared_error", "equal", "o[t] y[t]", _squared_error)
_declare(
    "sum", "entries", "v", operands.over_entries(lambda v: np.sum(v, axis=0, keepdims=True)), r"\operatorname{sum}"
)
_declare("mean", "entries", "v", operands.over_entries(lambda v: np.mean(v, axis=0, keepdims=True)))
_declare("norm", "entries", "v", operands.over_entries(lambda v: norm(v, axis=0, keepdims=True)))
_declare("maximum", "pair", "a b", lambda a, b: pairwise(np.maximum, a, b), r"\max")
_declare("minimum", "pair", "a b", lambda a, b: pairwise(np.minimum, a, b), r"\min")
_declare("transpose", "transpose", "A", operands.transpose)
_declare("outer", "outer", "v w", _outer)
_declare("dot", "dot", "v w", _dot)
_declare("rows", "rows", "v first last", operands.rows)
_declare("columns", "columns", "A first last", operands.columns)
_declare("row_sums", "row sums", "A", operands.row_sums)
_declare("column_sums", "column sums", "A", lambda x: operands.transpose(operands.row_sums(operands.transpose(x))))
_declare("inv", "square", "A", operands.inverse)
_declare("solve", "solve", "A b", operands.solve)
_declare("concat", "stack", "v w …", lambda *parts: operands.stack(parts))
