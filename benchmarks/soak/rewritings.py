"""Valid algebra at one part of a formula, each rule with its name: what a person may write in place of the textbook.

A rule takes a part and returns another that is equal to it, or None where it has nothing to say. Rules for whole
equations (sums over cases, helpers, steps put in) stand in `restating`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from benchmarks.soak.forms import (
    Equation,
    Form,
    add,
    addends,
    at_path,
    call,
    chain,
    factors,
    is_num,
    mat,
    mul,
    neg,
    num,
    replaced,
    sub,
    total,
    tr,
    walk,
)
from benchmarks.soak.reading import File, Unread
from benchmarks.soak.shapes import NUMBER, Shape, shape_of


@dataclass
class Setting:
    """What a rule may know: the file, the shapes, and chance."""

    file: File
    shapes: Mapping[str, Shape]
    rng: Random

    def shape(self, form: Form) -> Shape:
        return shape_of(form, self.shapes)

    def is_column(self, form: Form) -> bool:
        rows, columns = self.shape(form)
        return columns == 1 and rows > 1

    def forward(self, name: str) -> Equation | None:
        """The one equation of a quantity, if there is just one and it holds at all steps."""
        own = [e for e in self.file.forward if e.name == name]
        plain = [e for e in own if e.running]
        whole = len(plain) == 1 and not plain[0].when and all(_before(e, self.file) for e in own if not e.running)
        return plain[0] if whole else None


def _before(equation: Equation, file: File) -> bool:
    return all(not index.terms and index.constant < 1 for index in equation.indices)


Rule = Callable[[Form, Setting], Form | None]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    def keep(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return keep


def rewrite(form: Form, name: str, setting: Setting) -> Form | None:
    """The formula with one part, chosen at random, rewritten by the rule; None where it fits nowhere."""
    places = changeable(form)
    setting.rng.shuffle(places)
    for path in places:
        try:
            new = RULES[name](at_path(form, path), setting)
        except Unread:
            continue
        if new is not None and new != at_path(form, path):
            return replaced(form, path, new)
    return None


def changeable(form: Form) -> list[tuple[int, ...]]:
    """The places of all parts that are quantities: no label inside onehot, no number of a row."""
    return [path for path, node in walk(form) if node.op != "num" and not is_label(form, path)]


def is_label(form: Form, path: tuple[int, ...]) -> bool:
    """Whether this place holds the label of a one-hot column or the number of a row."""
    parent = at_path(form, path[:-1])
    return bool(path) and parent.op == "call" and (parent.data == "onehot" or (parent.data == "rows" and path[-1] > 0))


# -- sums and products ------------------------------------------------------------------------------------------------
@rule("distribute")
def _distribute(form: Form, setting: Setting) -> Form | None:
    if form.op not in ("*", "@"):
        return None
    left, right = form.args
    for inner, rebuilt in (
        (right, lambda term: Form(form.op, (left, term))),
        (left, lambda term: Form(form.op, (term, right))),
    ):
        terms = addends(inner)
        same = len({setting.shape(term) for _, term in terms}) == 1
        if len(terms) > 1 and (same or form.op == "*"):
            return total([(sign, rebuilt(term)) for sign, term in terms])
    return None


@rule("factor out")
def _factor(form: Form, setting: Setting) -> Form | None:
    """`A @ p + A @ q`, `p * r + q * r`: two neighbours of a sum with a common factor."""
    terms = addends(form)
    for at in range(len(terms) - 1):
        (s, a), (t, b) = terms[at], terms[at + 1]
        if a.op != b.op or a.op not in ("*", "@") or not same_shape(setting, a, b):
            continue
        for own, common in ((0, 1), (1, 0)):
            if a.args[common] == b.args[common] and same_shape(setting, a.args[own], b.args[own]):
                pair = total([(1, a.args[own]), (s * t, b.args[own])])
                args = (pair, a.args[1]) if own == 0 else (a.args[0], pair)
                return total([*terms[:at], (s, Form(a.op, args)), *terms[at + 2 :]])
    return None


def same_shape(setting: Setting, a: Form, b: Form) -> bool:
    return setting.shape(a) == setting.shape(b)


@rule("reorder a sum")
def _reorder_sum(form: Form, setting: Setting) -> Form | None:
    terms = addends(form)
    if len(terms) < 2:
        return None
    mixed = setting.rng.sample(terms, len(terms))
    return None if mixed == terms else total(mixed)


@rule("reorder a product")
def _reorder_product(form: Form, setting: Setting) -> Form | None:
    parts = factors(form, "*")
    return chain(setting.rng.sample(parts, len(parts))) if len(parts) > 1 else None


@rule("move a sign")
def _sign(form: Form, setting: Setting) -> Form | None:
    if form.op == "-":
        return neg(sub(form.args[1], form.args[0]))
    if form.op in ("*", "@"):
        left, right = form.args
        return Form(form.op, (neg(left), neg(right)))
    return None


@rule("a number split")
def _number(form: Form, setting: Setting) -> Form | None:
    if form.op == "ref" and setting.rng.random() < 0.5:
        return add(mul(num(0.5), form), mul(num(0.5), form))
    if form.op == "ref":
        return sub(mul(num(3), form), mul(num(2), form))
    if form.op == "**" and is_num(form.args[1], 2):
        return mul(form.args[0], form.args[0])
    return None


@rule("move a number")
def _number_out(form: Form, setting: Setting) -> Form | None:
    """`s * (A @ v)` as `A @ (s * v)` and back, for a factor that is one number."""
    if form.op == "*":
        for s, other in (form.args, form.args[::-1]):
            if setting.shape(s) == NUMBER and other.op == "@":
                return mat(other.args[0], mul(s, other.args[1]))
    if form.op == "@" and form.args[1].op == "*":
        for s, other in (form.args[1].args, form.args[1].args[::-1]):
            if setting.shape(s) == NUMBER and setting.shape(other) != NUMBER:
                return mul(s, mat(form.args[0], other))
    return None


@rule("a quotient as a product")
def _quotient(form: Form, setting: Setting) -> Form | None:
    if form.op != "/":
        return None
    a, b = form.args
    return mul(a, Form("/", (num(1), b)))


# -- matrices ---------------------------------------------------------------------------------------------------------
@rule("transpose a product")
def _transpose(form: Form, setting: Setting) -> Form | None:
    if form.op == "@":
        a, b = form.args
        if setting.shape(form) == NUMBER:
            return mat(tr(b), tr(a))
        return tr(mat(tr(b), tr(a)))
    if form.op == ".T" and form.args[0].op == "@":
        a, b = form.args[0].args
        return mat(tr(b), tr(a))
    return None


@rule("transpose a number")
def _inner(form: Form, setting: Setting) -> Form | None:
    """`x.T @ y = y.T @ x` for columns."""
    if form.op == "@" and form.args[0].op == ".T" and setting.shape(form) == NUMBER:
        return mat(tr(form.args[1]), form.args[0].args[0])
    return None


@rule("transpose a sum")
def _transpose_sum(form: Form, setting: Setting) -> Form | None:
    if (
        form.op in ("+", "-")
        and NUMBER not in (shapes := {setting.shape(arg) for arg in form.args})
        and len(shapes) == 1
    ):
        return Form(".T", (Form(form.op, tuple(tr(arg) for arg in form.args)),))
    return None


@rule("diag")
def _diag(form: Form, setting: Setting) -> Form | None:
    """`v * x` as `diag(v) @ x`, and `diag(v) @ x` as `v * x`."""
    if form.op == "*" and all(setting.is_column(arg) for arg in form.args):
        first, second = form.args if setting.rng.random() < 0.5 else form.args[::-1]
        return mat(call("diag", first), second)
    if form.op == "@" and form.args[0].op == "call" and form.args[0].data == "diag" and setting.is_column(form.args[1]):
        return mul(form.args[0].args[0], form.args[1])
    return None


@rule("diag beside a matrix")
def _diag_outer(form: Form, setting: Setting) -> Form | None:
    """`(v * x) @ y.T` as `diag(v) @ x @ y.T`, `A.T @ (v * x)` as `(diag(v) @ A).T @ x`."""
    if form.op == "@" and form.args[0].op == "*" and all(setting.is_column(arg) for arg in form.args[0].args):
        v, x = form.args[0].args
        return mat(call("diag", v), mat(x, form.args[1]))
    if form.op == "@" and form.args[0].op == ".T" and form.args[1].op == "*":
        v, x = form.args[1].args
        if setting.is_column(v) and setting.is_column(x):
            return mat(tr(mat(call("diag", v), form.args[0].args[0])), x)
    return None


@rule("regroup a product")
def _regroup(form: Form, setting: Setting) -> Form | None:
    if form.op == "@" and form.args[0].op == "@":
        (a, b), c = form.args[0].args, form.args[1]
        return mat(a, mat(b, c))
    if form.op == "@" and form.args[1].op == "@":
        a, (b, c) = form.args[0], form.args[1].args
        return mat(mat(a, b), c)
    return None


@rule("inner product as a sum")
def _inner_sum(form: Form, setting: Setting) -> Form | None:
    if form.op == "@" and form.args[0].op == ".T" and setting.shape(form) == NUMBER and setting.is_column(form.args[1]):
        return call("sum", mul(form.args[0].args[0], form.args[1]))
    if form.op == "call" and form.data == "sum" and form.args[0].op == "*":
        a, b = form.args[0].args
        if setting.is_column(a) and setting.is_column(b):
            return mat(tr(a), b)
    return None
