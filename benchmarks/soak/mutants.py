"""Wrong versions of a right equation: the slips that people make, and some that nobody would.

A mutant counts as wrong only when numbers say so: see `numeric.wrong_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.soak.forms import (
    Equation,
    Form,
    Index,
    Test,
    addends,
    at_path,
    call,
    chain,
    factors,
    is_num,
    mul,
    neg,
    num,
    power,
    put,
    replaced,
    sub,
    time,
    total,
    tr,
    walk,
)
from benchmarks.soak.reading import Unread
from benchmarks.soak.rewritings import Setting, is_label
from benchmarks.soak.shapes import NUMBER

Mutation = Callable[[Form, Setting], Iterator[Form]]
MUTATIONS: dict[str, Mutation] = {}


def mutation(name: str) -> Callable[[Mutation], Mutation]:
    def keep(function: Mutation) -> Mutation:
        MUTATIONS[name] = function
        return function

    return keep


def mutate(equation: Equation, name: str, setting: Setting) -> Equation | None:
    """The equation with one part changed at random by this kind of slip; None where none fits and types."""
    if is_num(equation.rhs, 0):
        return None
    places = [path for path, _ in walk(equation.rhs) if not is_label(equation.rhs, path)]
    setting.rng.shuffle(places)
    for path in places:
        part = at_path(equation.rhs, path)
        try:
            changed = [new for new in MUTATIONS[name](part, setting) if new != part]
            typed = [new for new in changed if _fits(equation, replaced(equation.rhs, path, new), setting)]
        except Unread:
            continue
        if typed:
            return replace(equation, rhs=replaced(equation.rhs, path, setting.rng.choice(typed)))
    return None


def _fits(equation: Equation, rhs: Form, setting: Setting) -> bool:
    try:
        return setting.shape(rhs) == setting.shapes[equation.name[1:]]
    except Unread:
        return False


@mutation("sign")
def _sign(form: Form, setting: Setting) -> Iterator[Form]:
    terms = addends(form)
    if len(terms) > 1:
        at = setting.rng.randrange(len(terms))
        yield total([(-s if k == at else s, term) for k, (s, term) in enumerate(terms)])
    elif form.op in ("*", "@", "over"):
        yield neg(form)


@mutation("step")
def _step(form: Form, setting: Setting) -> Iterator[Form]:
    """A quantity a step early or late; where that leads out of the sequence, the file cannot be run and is left out."""
    if form.op == "ref" and form.data[1]:
        name, indices = form.data
        at = setting.rng.randrange(len(indices))
        for by in (-1, 1):
            yield Form("ref", data=(name, (*indices[:at], indices[at].moved(by), *indices[at + 1 :])))


@mutation("transpose")
def _transpose(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == ".T":
        yield form.args[0]
    elif (form.op == "ref" and min(setting.shape(form)) > 1) or (
        form.op == "@" and setting.shape(form)[0] == setting.shape(form)[1] > 1
    ):
        yield tr(form)


@mutation("term dropped")
def _term(form: Form, setting: Setting) -> Iterator[Form]:
    terms = addends(form)
    if len(terms) > 1:
        at = setting.rng.randrange(len(terms))
        yield total(terms[:at] + terms[at + 1 :])


@mutation("term doubled")
def _doubled(form: Form, setting: Setting) -> Iterator[Form]:
    terms = addends(form)
    if len(terms) > 1:
        yield total([*terms, setting.rng.choice(terms)])


@mutation("factor dropped")
def _factor(form: Form, setting: Setting) -> Iterator[Form]:
    for op in ("*", "@"):
        parts = factors(form, op)
        if len(parts) > 1:
            at = setting.rng.randrange(len(parts))
            yield chain(parts[:at] + parts[at + 1 :], op)
    if form.op == "/":
        yield form.args[0]


@mutation("factor doubled")
def _squared(form: Form, setting: Setting) -> Iterator[Form]:
    parts = factors(form)
    if len(parts) > 1:
        yield mul(form, setting.rng.choice(parts))


@mutation("factors in another order")
def _order(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "@":
        yield Form("@", (form.args[1], form.args[0]))


@mutation("mean for sum")
def _mean(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "over":
        yield replace(form, data=replace(form.data, kind="mean" if form.data.kind == "sum" else "sum"))
    if form.op == "call" and form.data in ("sum", "mean"):
        yield call("mean" if form.data == "sum" else "sum", *form.args)


@mutation("bounds of a sum")
def _bounds(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "over" and not form.data.tests:
        here, (low, high) = Index.read(form.data.variable), setting.file.ranges[form.data.variable]
        for test in (
            Test(here, "<", high),
            Test(here, ">", low),
            Test(here, "!=", Index((), 2)),
            Test(here, "=", high),
        ):
            yield replace(form, data=replace(form.data, tests=(test,)))
    elif form.op == "over":
        yield replace(form, data=replace(form.data, tests=()))


@mutation("the sum forgotten")
def _summed(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "over":
        yield put(form.args[0], {form.data.variable: setting.file.ranges[form.data.variable][1]})


@mutation("another name")
def _name(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op != "ref":
        return
    name, indices = form.data
    d = name.startswith("d") and name not in setting.shapes
    base = name[1:] if d else name
    timed = {e.name for e in setting.file.forward if e.running}
    for other, shape in setting.shapes.items():
        same = shape == setting.shapes.get(base) and other not in ("L", base)
        if same and (other in timed) == (base in timed) and len(indices) <= 1 and (base in timed or not indices):
            yield Form("ref", data=("d" + other if d else other, indices))
    if d and base in timed:
        yield Form("ref", data=(base, indices))


@mutation("a number")
def _number(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "num":
        yield num(form.data + 1)
        if form.data:
            yield num(form.data * 2)
    elif form.op == "time":
        yield num(setting.rng.choice((3, 4, 5)))
        yield time(form.data.moved(-1))
    elif form.op == "**":
        yield form.args[0]
        yield power(form.args[0], 3)


@mutation("slope")
def _slope(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "-" and form.args[0].op == "num" and form.args[1].op == "**":
        h = form.args[1].args[0]
        yield from (
            power(sub(num(1), h), 2),
            mul(h, sub(num(1), h)),
            sub(num(1), h),
            sub(num(1), power(call("tanh", h), 2)),
        )
    if form.op == "*" and form.args[1].op == "-" and form.args[1].args[0].op == "num":
        y = form.args[1].args[1]
        yield from (sub(num(1), power(y, 2)), mul(form.args[0], sub(num(1), power(y, 2))))


@mutation("a difference turned")
def _difference(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "-":
        yield sub(form.args[1], form.args[0])
        yield Form("+", form.args)


@mutation("a length as a number")
def _length(form: Form, setting: Setting) -> Iterator[Form]:
    """`2 * T` for what has 8 in it when T is 4."""
    if setting.shape(form) == NUMBER or form.op == "ref":
        yield mul(form, Form("/", (time(setting.file.lengths[0]), num(setting.rng.choice((4, 5, 6, 7))))))


@mutation("another function")
def _function(form: Form, setting: Setting) -> Iterator[Form]:
    if form.op == "call" and form.data in ("sigmoid", "tanh", "sin", "cos", "relu'", "softmax"):
        other = {
            "sigmoid": "tanh",
            "tanh": "sigmoid",
            "sin": "cos",
            "cos": "sin",
            "relu'": "relu",
            "softmax": "sigmoid",
        }
        yield call(other[form.data], *form.args)
