"""Formulas of the equation language as data of the soak's own: built, walked, printed.

What is judged and what judges it must not share a mistake, so the soak has its own tree, its own reader (`reading`),
its own arithmetic (`numeric`) and its own adjoint (`adjoint`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "neg": 3, "**": 4}
ATOM = 5


@dataclass(frozen=True)
class Index:
    """An affine step such as `t-1`, `2*n+1` or `T+1-t`: coefficients by name, and a constant."""

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @staticmethod
    def read(text: str) -> Index:
        """`t-1`, `T`, `0`, `2*n+1`, `T+1-t`."""
        terms: dict[str, int] = {}
        constant = 0
        for sign, scale, name, number in re.findall(r"([+-]?)\s*(?:(\d+)\*)?(?:([^\W\d]\w*)|(\d+))", text):
            unit = -1 if sign == "-" else 1
            if name:
                terms[name] = terms.get(name, 0) + unit * int(scale or 1)
            else:
                constant += unit * int(number)
        return Index(tuple(sorted((n, k) for n, k in terms.items() if k)), constant)

    def at(self, times: Mapping[str, int]) -> int:
        return self.constant + sum(scale * times[name] for name, scale in self.terms)

    def put(self, values: Mapping[str, Index]) -> Index:
        """With variables replaced by indices."""
        terms: dict[str, int] = {}
        constant = self.constant
        for name, scale in self.terms:
            into = values.get(name, Index(((name, 1),)))
            constant += scale * into.constant
            for inner, more in into.terms:
                terms[inner] = terms.get(inner, 0) + scale * more
        return Index(tuple(sorted((n, k) for n, k in terms.items() if k)), constant)

    def moved(self, by: int) -> Index:
        return replace(self, constant=self.constant + by)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.terms)

    @property
    def running(self) -> tuple[str, ...]:
        """Its variables that are not lengths."""
        return tuple(name for name in self.names if name[0].islower())

    def __str__(self) -> str:
        said = ""
        for name, scale in sorted(self.terms, key=lambda term: (term[1] < 0, term[0])):
            size = name if abs(scale) == 1 else f"{abs(scale)}*{name}"
            said += ("-" if scale < 0 else "+" if said else "") + size
        if self.constant or not said:
            said += f"{self.constant:+d}" if said else str(self.constant)
        return said


@dataclass(frozen=True)
class Test:
    """`left relation right`; with a modulus `left % modulus relation right`."""

    left: Index
    relation: str
    right: Index
    modulus: int = 0

    __test__ = False  # no test case for pytest

    def holds(self, times: Mapping[str, int]) -> bool:
        a, b = self.left.at(times), self.right.at(times)
        if self.modulus:
            return ((a - b) % self.modulus == 0) == (self.relation == "=")
        return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "=": a == b, "!=": a != b}[self.relation]

    def put(self, values: Mapping[str, Index]) -> Test:
        return replace(self, left=self.left.put(values), right=self.right.put(values))

    @property
    def names(self) -> set[str]:
        return {*self.left.names, *self.right.names}

    def __str__(self) -> str:
        if self.modulus:
            return f"{self.left} % {self.modulus} {self.relation} {self.right}"
        return f"{self.left} {self.relation} {self.right}"


@dataclass(frozen=True)
class Form:
    """A formula: `op` is num, time, ref, neg, .T, call, over, stack or an operator; `data` what it says itself."""

    op: str
    args: tuple[Form, ...] = ()
    data: Any = None

    def __str__(self) -> str:
        return _said(self)


@dataclass(frozen=True)
class Over:
    """What a sum over time runs over: `sum(t < T, ...)`."""

    kind: str
    variable: str
    tests: tuple[Test, ...] = ()

    def __str__(self) -> str:
        return " and ".join(map(str, self.tests)) if self.tests else self.variable


@dataclass(frozen=True)
class Equation:
    """`name[indices] = rhs    for when`; `known` may hold its line in a file."""

    name: str
    indices: tuple[Index, ...]
    rhs: Form
    when: tuple[Test, ...] = ()
    line: int = 0

    @property
    def running(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for index in self.indices for name in index.running))

    @property
    def target(self) -> str:
        return str(ref(self.name, *self.indices))

    def __str__(self) -> str:
        return f"{self.target} = {self.rhs}" + (f"    for {' and '.join(map(str, self.when))}" if self.when else "")


# -- making ---------------------------------------------------------------------------------------------------------
def num(value: float) -> Form:
    if value < 0:
        return Form("neg", (num(-value),))
    return Form("num", data=int(value) if float(value).is_integer() else value)


def ref(name: str, *indices: Index | str | int) -> Form:
    steps = tuple(i if isinstance(i, Index) else Index.read(str(i)) for i in indices)
    return Form("ref", data=(name, steps))


def time(index: Index | str) -> Form:
    return Form("time", data=index if isinstance(index, Index) else Index.read(index))


def call(function: str, *args: Form) -> Form:
    return Form("call", args, function)


def over(variable: str, body: Form, tests: tuple[Test, ...] = (), kind: str = "sum") -> Form:
    return Form("over", (body,), Over(kind, variable, tests))


def is_num(form: Form, value: float) -> bool:
    return form.op == "num" and form.data == value


def add(*terms: Form) -> Form:
    """A sum, its zeros left out; a minus sign becomes a subtraction."""
    result: Form | None = None
    for term in terms:
        if is_num(term, 0):
            continue
        if result is None:
            result = term
        elif term.op == "neg":
            result = Form("-", (result, term.args[0]))
        else:
            result = Form("+", (result, term))
    return num(0) if result is None else result


def sub(a: Form, b: Form) -> Form:
    return Form("-", (a, b))


def neg(a: Form) -> Form:
    return a.args[0] if a.op == "neg" else Form("neg", (a,))


def mul(*factors: Form) -> Form:
    """A product entry by entry, its ones left out and its signs in front."""
    sign, rest = 1, []
    for factor in factors:
        if factor.op == "neg":
            sign, factor = -sign, factor.args[0]
        if not is_num(factor, 1):
            rest.append(factor)
    result = rest[0] if rest else num(1)
    for factor in rest[1:]:
        result = Form("*", (result, factor))
    return result if sign > 0 else neg(result)


def div(a: Form, b: Form) -> Form:
    return Form("/", (a, b))


def mat(a: Form, b: Form) -> Form:
    return Form("@", (a, b))


def power(a: Form, n: Form | int) -> Form:
    n = num(n) if isinstance(n, int) else n
    return a if is_num(n, 1) else Form("**", (a, n))


def tr(a: Form) -> Form:
    return a.args[0] if a.op == ".T" else Form(".T", (a,))


def addends(form: Form) -> list[tuple[int, Form]]:
    """The signed terms of a sum, from left to right."""
    if form.op == "+":
        return addends(form.args[0]) + addends(form.args[1])
    if form.op == "-":
        return addends(form.args[0]) + [(-sign, term) for sign, term in addends(form.args[1])]
    if form.op == "neg":
        return [(-sign, term) for sign, term in addends(form.args[0])]
    return [(1, form)]


def total(terms: list[tuple[int, Form]]) -> Form:
    return add(*(term if sign > 0 else Form("neg", (term,)) for sign, term in terms))


def factors(form: Form, op: str = "*") -> list[Form]:
    """The factors of a chain of products of one kind."""
    return [*factors(form.args[0], op), *factors(form.args[1], op)] if form.op == op else [form]


def chain(parts: list[Form], op: str = "*") -> Form:
    result = parts[0]
    for part in parts[1:]:
        result = Form(op, (result, part))
    return result


# -- walking ----------------------------------------------------------------------------------------------------------
def walk(form: Form, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Form]]:
    """Every part with its path."""
    yield path, form
    for at, arg in enumerate(form.args):
        yield from walk(arg, (*path, at))


def at_path(form: Form, path: tuple[int, ...]) -> Form:
    for step in path:
        form = form.args[step]
    return form


def replaced(form: Form, path: tuple[int, ...], new: Form) -> Form:
    if not path:
        return new
    args = list(form.args)
    args[path[0]] = replaced(args[path[0]], path[1:], new)
    return replace(form, args=tuple(args))


def mapped(form: Form, change: Callable[[Form], Form | None]) -> Form:
    """Every part changed for which `change` has something to say, from the outside in."""
    new = change(form)
    if new is not None:
        return new
    return replace(form, args=tuple(mapped(arg, change) for arg in form.args)) if form.args else form


def put(form: Form, values: Mapping[str, Index]) -> Form:
    """Index variables replaced; a sum hides its own."""

    def change(node: Form) -> Form | None:
        if node.op == "ref":
            return Form("ref", data=(node.data[0], tuple(index.put(values) for index in node.data[1])))
        if node.op == "time":
            index = node.data.put(values)
            return num(index.constant) if not index.terms else time(index)
        if node.op == "over":
            inner = {name: index for name, index in values.items() if name != node.data.variable}
            tests = tuple(test.put(inner) for test in node.data.tests)
            return Form("over", (put(node.args[0], inner),), replace(node.data, tests=tests))
        return None

    return mapped(form, change)


def refs(form: Form) -> Iterator[tuple[str, tuple[Index, ...]]]:
    for _, node in walk(form):
        if node.op == "ref":
            yield node.data


def variables(form: Form) -> set[str]:
    """The index variables it depends on; those of its own sums are not among them."""
    names: set[str] = set()
    if form.op == "ref":
        names = {name for index in form.data[1] for name in index.names}
    elif form.op == "time":
        names = set(form.data.names)
    for arg in form.args:
        names |= variables(arg)
    if form.op == "over":
        names = (names | {n for test in form.data.tests for n in test.names}) - {form.data.variable}
    return {name for name in names if name[0].islower()}


# -- printing ---------------------------------------------------------------------------------------------------------
def _level(form: Form) -> int:
    return LEVELS.get(form.op, ATOM)


def _within(form: Form, least: int) -> str:
    return _said(form) if _level(form) >= least else f"({_said(form)})"


def _said(form: Form) -> str:
    match form.op:
        case "num" | "time":
            return str(form.data)
        case "ref":
            name, indices = form.data
            return f"{name}[{', '.join(map(str, indices))}]" if indices else name
        case "neg":
            return "-" + _within(form.args[0], 4)
        case ".T":
            return _within(form.args[0], ATOM) + ".T"
        case "call":
            return f"{form.data}({', '.join(map(_said, form.args))})"
        case "over":
            return f"{form.data.kind}({form.data}, {_said(form.args[0])})"
        case "stack":
            return "[" + "; ".join(map(_said, form.args)) + "]"
        case "**":
            return f"{_within(form.args[0], ATOM)}**{_within(form.args[1], ATOM)}"
    left, right = form.args
    here = LEVELS[form.op]
    said = _within(left, here)
    if here == 2 and left.op in ("*", "/", "@") and (left.op == "@") != (form.op == "@"):
        said = f"({said})"
    other = f"({_said(right)})" if right.op == "neg" else _within(right, here + 1)
    return f"{said} {form.op} {other}"
