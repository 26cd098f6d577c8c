"""The terms of a derivation as data: columns, rows and matrices under sums and products, with affine steps.

A form is what an expression of the language says, flattened so that two that say the same can be told to: sums with
exact coefficients, products of powers, chains of matrices, sums over bound index variables. Forms compare by their
`key`. They are made by the constructors of `algebra` alone, which hold the one normal form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from ..language.affine import Affine
from ..language.syntax.indices import Constraint

Shape = tuple[int, int]
SCALAR: Shape = (1, 1)


@dataclass(frozen=True, eq=False)
class Form:
    """A part of a gradient: `shape` is rows x columns, `key` a text that two forms share when they say the same."""

    shape: Shape

    @property
    def parts(self) -> tuple[Form, ...]:
        """The forms it is made of."""
        return ()

    @property
    def head(self) -> str:
        return type(self).__name__

    @cached_property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.head}({', '.join(part.key for part in self.parts)})"

    @cached_property
    def cotangents(self) -> tuple[Symbol, ...]:
        """The gradients it contains, from left to right."""
        return tuple(symbol for part in self.parts for symbol in part.cotangents)

    @cached_property
    def variables(self) -> frozenset[str]:
        """The index variables and lengths in it that no sum inside binds."""
        return frozenset(name for part in self.parts for name in part.variables)

    @property
    def scalar(self) -> bool:
        """Whether it is one number."""
        return self.shape == SCALAR

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key


@dataclass(frozen=True, eq=False)
class Symbol(Form):
    """A quantity at its steps, or with `cotangent` its gradient; `name` is then that of the gradient, dh."""

    name: str
    indices: tuple[Affine, ...] = ()
    cotangent: bool = False

    @property
    def head(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.indices))}]" if self.indices else self.name

    @property
    def cotangents(self) -> tuple[Symbol, ...]:  # kept, it would hold itself
        return (self,) if self.cotangent else ()

    @cached_property
    def variables(self) -> frozenset[str]:
        return frozenset(name for index in self.indices for name in index.variables)


@dataclass(frozen=True, eq=False)
class Step(Form):
    """An index variable or a length as a number: the T of `1 / T`."""

    name: str

    @property
    def head(self) -> str:
        return f"#{self.name}"

    @cached_property
    def variables(self) -> frozenset[str]:
        return frozenset((self.name,))


@dataclass(frozen=True, eq=False)
class Combination(Form):
    """Terms with their coefficients; without terms it is zero."""

    terms: tuple[tuple[Fraction, Form], ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return tuple(form for _, form in self.terms)

    @property
    def head(self) -> str:
        return "+".join(str(c) for c, _ in self.terms) or f"0 {self.shape}"


@dataclass(frozen=True, eq=False)
class Product(Form):
    """Entry-by-entry product of factors to powers; factors of one entry stretch. Without factors it is one."""

    factors: tuple[tuple[Form, Fraction], ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return tuple(form for form, _ in self.factors)

    @property
    def head(self) -> str:
        return "*".join(str(n) for _, n in self.factors)


@dataclass(frozen=True, eq=False)
class Chain(Form):
    """Matrix product."""

    factors: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.factors


@dataclass(frozen=True, eq=False)
class Flip(Form):
    """A transpose."""

    inner: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.inner,)


@dataclass(frozen=True, eq=False)
class Apply(Form):
    """A function of the language; `stack` is a column above another, `**` a power that is no number."""

    function: str
    args: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.args

    @property
    def head(self) -> str:
        return self.function


@dataclass(frozen=True, eq=False)
class Rows(Form):
    """The rows `first` to `last` of a form, counted from 1."""

    inner: Form
    first: int
    last: int

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.inner,)

    @property
    def head(self) -> str:
        return f"rows{self.first}:{self.last}"


@dataclass(frozen=True, eq=False)
class Padded(Form):
    """A form as the rows from `first` on of something with more rows, which are zero elsewhere."""

    inner: Form
    first: int

    @property
    def last(self) -> int:
        return self.first + self.inner.shape[0] - 1

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.inner,)

    @property
    def head(self) -> str:
        return f"pad{self.first}:{self.shape[0]}"


@dataclass(frozen=True, eq=False)
class Total(Form):
    """A sum (or product) over a bound index variable, whose values satisfy all constraints."""

    kind: str
    variable: str
    constraints: tuple[Constraint, ...]
    body: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.body,)

    @cached_property
    def key(self) -> str:
        said = f"{self.kind}[{' & '.join(sorted(map(str, self.constraints)))}]({self.body.key})"
        depth = 1
        while f"${depth}$" in said:
            depth += 1
        return said.replace(self.variable, f"${depth}$")

    @cached_property
    def variables(self) -> frozenset[str]:
        bounds = {name for constraint in self.constraints for name in constraint.affine.variables}
        return (self.body.variables | bounds) - {self.variable}


#: a form and the power it stands to; a coefficient and what it stands before
Factor = tuple[Form, Fraction]
Term = tuple[Fraction, Form]
#: the number one
ONE = Product(SCALAR, ())


def zero(shape: Shape) -> Combination:
    """Nothing, in a shape."""
    return Combination(shape, ())


def is_zero(form: Form) -> bool:
    return isinstance(form, Combination) and not form.terms


def number(form: Form) -> Fraction | None:
    """The value of a form that is a number and nothing else."""
    if form is ONE or (isinstance(form, Product) and not form.factors):
        return Fraction(1)
    if isinstance(form, Combination):
        if not form.terms:
            return Fraction(0)
        if len(form.terms) == 1 and form.terms[0][1] == ONE:
            return form.terms[0][0]
    return None


def factors_of(form: Form) -> tuple[tuple[Form, Fraction], ...]:
    """The factors of a product, or the form itself as its only one."""
    return form.factors if isinstance(form, Product) else ((form, Fraction(1)),)


def terms_of(form: Form) -> tuple[tuple[Fraction, Form], ...]:
    """The terms of a sum, or the form itself as its only one."""
    return form.terms if isinstance(form, Combination) else ((Fraction(1), form),)


def walk(form: Form) -> Iterator[Form]:
    """Every part of a form, parents before children."""
    stack = [form]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(reversed(part.parts))
