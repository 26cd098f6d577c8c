"""Expressions as they are written: text of the language, with what it is to be an operand of something else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .samples import Axis

#: how tightly what stands outermost binds
SUM, PRODUCT, SIGN, ATOM = 1, 2, 3, 5


@dataclass(frozen=True)
class ExpressionText:
    """An expression as text, and the classes of its axes: none for a number, one for a column, two for a matrix.

    `number` is its value where it is a literal; `pooled` says that it was added up over the samples.
    """

    text: str
    level: int = ATOM
    axes: tuple[Axis, ...] = ()
    number: float | None = None
    pooled: bool = False

    @property
    def atom(self) -> str:
        """As an operand of anything."""
        return self.text if self.level >= ATOM else f"({self.text})"


def literal(value: float) -> ExpressionText:
    """A number, exactly: whole ones without a point."""
    text = str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
    return ExpressionText(text, ATOM if value >= 0 else SIGN, number=float(value))


def call(function: str, *args: ExpressionText, axes: tuple[Axis, ...] = ()) -> ExpressionText:
    """A function applied."""
    return ExpressionText(f"{function}({', '.join(arg.text for arg in args)})", ATOM, axes)


def turned(form: ExpressionText) -> ExpressionText:
    """The transpose; a column becomes a row, which only a product takes."""
    axes = form.axes[::-1]
    if form.level == ATOM and form.text.endswith(".T"):
        return replace(form, text=form.text.removesuffix(".T"), axes=axes)
    return form if not axes else ExpressionText(f"{form.atom}.T", ATOM, axes)


def add(a: ExpressionText, b: ExpressionText, axes: tuple[Axis, ...] = ()) -> ExpressionText:
    """A sum; a zero is left out."""
    for one, other in ((a, b), (b, a)):
        if one.number == 0.0 and len(other.axes) == len(axes):
            return other
    sign, right = ("-", b.text[1:]) if b.text.startswith("-") and b.level > SUM else ("+", b.text)
    return ExpressionText(f"{a.text} {sign} {right}", SUM, axes or a.axes or b.axes)


def times(a: ExpressionText, b: ExpressionText) -> ExpressionText:
    """A product with a number, or entry by entry; a one is left out."""
    if a.number == 1.0 or b.number == 1.0:
        return b if a.number == 1.0 else a
    return ExpressionText(f"{a.atom} * {b.atom}", PRODUCT, a.axes or b.axes, pooled=a.pooled or b.pooled)


def over(a: ExpressionText, b: ExpressionText) -> ExpressionText:
    """A quotient."""
    if b.number == 1.0:
        return a
    above = a.text if a.level >= PRODUCT and "@" not in a.text else a.atom
    return ExpressionText(f"{above} / {b.atom}", PRODUCT, a.axes or b.axes, pooled=a.pooled)


def negated(a: ExpressionText) -> ExpressionText:
    """Minus it."""
    if a.number is not None:
        return literal(-a.number)
    return ExpressionText(f"-{a.atom}", SIGN, a.axes, pooled=a.pooled)
