"""Write forms of the algebra as expressions of the recurrence language, in the style of a book."""

from __future__ import annotations

from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Expr, Number, Ref, Stack, Time, Transpose, Unary
from ..language.source import NOWHERE
from . import algebra as forms

#: a factor beside the gradient is written as `diag(v) @ dh`, or entry by entry as `dh * v`
DIAG, HADAMARD = "diag", "hadamard"


def write(form: forms.Form, style: str = DIAG, at: Affine | None = None) -> Expr:
    """The expression a form stands for; relative steps are written from t, or from the step `at`."""
    return _Writer(style, at).expr(form)


class _Writer:
    def __init__(self, style: str, at: Affine | None) -> None:
        self.style, self.at = style, at or affine("t")

    def expr(self, form: forms.Form) -> Expr:
        match form:
            case forms.Number():
                return _number(form.value)
            case forms.Symbol():
                return self._symbol(form)
            case forms.Sum():
                return self._sum(form)
            case forms.Product():
                return self._product(form)
            case forms.Chain():
                return _joined("@", [part for factor in form.factors for part in self._links(factor)])
            case forms.Flip():
                return Transpose(NOWHERE, self.expr(form.inner))
            case forms.Apply(function="stack"):
                return Stack(NOWHERE, tuple(self.expr(arg) for arg in form.args))
            case forms.Apply():
                return Call(NOWHERE, form.function, tuple(self.expr(arg) for arg in form.args))
        raise TypeError(f"no way to write {form!r}")

    def _symbol(self, form: forms.Symbol) -> Expr:
        if form.name == forms.LENGTH:
            return Time(NOWHERE, affine("T"))
        if form.index is None:
            return Ref(NOWHERE, form.name)
        return Ref(NOWHERE, form.name, affine(self.at.variable, self.at.constant + form.index))

    def _sum(self, form: forms.Sum) -> Expr:
        total: Expr | None = None
        for c, part in form.terms:
            if total is None:
                total = self._multiple(c, part)
            else:
                total = Binary(NOWHERE, "-" if c < 0 else "+", total, self._multiple(abs(c), part), NOWHERE)
        assert total is not None
        return total

    def _multiple(self, c: float, part: forms.Form) -> Expr:
        if isinstance(part, forms.Number):
            return _number(c * part.value)
        written = self.expr(part)
        if c == 1.0:
            return written
        if c == -1.0:
            return Unary(NOWHERE, "-", written)
        return _times(_number(c), written)

    def _product(self, form: forms.Product) -> Expr:
        links = self._links(form)
        return links[0] if len(links) == 1 else _joined("@", links)

    def _links(self, form: forms.Form) -> list[Expr]:
        """A factor of a matrix product; in diag style a gradient with factors beside it is `diag(factors) @
        gradient`.
        """
        if isinstance(form, forms.Product) and self.style == DIAG and form.shape[1] == 1 and form.shape[0] > 1:
            gradient = [(f, n) for f, n in form.factors if f.cotangents and n == 1.0 and f.shape == form.shape]
            rest = [(f, n) for f, n in form.factors if not f.cotangents]
            if len(gradient) == 1 and len(gradient) + len(rest) == len(form.factors):
                inner = gradient[0][0]
                wide = [(f, n) for f, n in rest if f.shape != forms.SCALAR]
                scalars = [(f, n) for f, n in rest if f.shape == forms.SCALAR]
                links = self._links(inner) if isinstance(inner, forms.Chain) else [self.expr(inner)]
                if isinstance(inner, forms.Chain):
                    links = [part for factor in inner.factors for part in self._links(factor)]
                if wide and not scalars:
                    return [Call(NOWHERE, "diag", (self._factors(wide),)), *links]
        if isinstance(form, forms.Product):
            return [self._factors(form.factors)]
        return [self.expr(form)]

    def _factors(self, factors: tuple[tuple[forms.Form, float], ...] | list[tuple[forms.Form, float]]) -> Expr:
        above = [self._power(f, n) for f, n in factors if n > 0]
        below = [self._power(f, -n) for f, n in factors if n < 0]
        result = _joined("*", above) if above else _number(1.0)
        for divisor in below:
            result = Binary(NOWHERE, "/", result, divisor, NOWHERE)
        return result

    def _power(self, form: forms.Form, n: float) -> Expr:
        written = self.expr(form)
        if n == 1.0:
            return written
        if n == 0.5:
            return Call(NOWHERE, "sqrt", (written,))
        return Binary(NOWHERE, "**", written, _number(n), NOWHERE)


def _joined(op: str, parts: list[Expr]) -> Expr:
    result = parts[0]
    for part in parts[1:]:
        result = Binary(NOWHERE, op, result, part, NOWHERE)
    return result


def _times(number: Expr, expr: Expr) -> Expr:
    """`number * a * b / c` rather than `number * (a * b / c)`."""
    trailing = []
    while isinstance(expr, Binary) and expr.op in "*/":
        trailing.append(expr)
        expr = expr.left
    result: Expr = Binary(NOWHERE, "*", number, expr, NOWHERE)
    for operator in reversed(trailing):
        result = Binary(NOWHERE, operator.op, result, operator.right, NOWHERE)
    return result


def _number(value: float) -> Expr:
    exact = int(value) if value == int(value) else value
    return Unary(NOWHERE, "-", Number(NOWHERE, -exact)) if exact < 0 else Number(NOWHERE, exact)
