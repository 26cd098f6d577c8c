"""More valid algebra: slopes named, called or spelled out; forward equations put in or taken out; sums over time."""

from __future__ import annotations

from benchmarks.soak.forms import (
    Equation,
    Form,
    Index,
    Test,
    add,
    addends,
    call,
    factors,
    is_num,
    mul,
    num,
    over,
    power,
    put,
    ref,
    sub,
    time,
    total,
    variables,
    walk,
)
from benchmarks.soak.rewritings import Setting, rule, same_shape


# -- slopes -----------------------------------------------------------------------------------------------------------
@rule("slope factored")
def _slope_factored(form: Form, setting: Setting) -> Form | None:
    """`1 - h**2` as `(1 - h) * (1 + h)`, `y * (1 - y)` as `y - y**2`."""
    if form.op == "-" and is_num(form.args[0], 1) and form.args[1].op == "**" and is_num(form.args[1].args[1], 2):
        h = form.args[1].args[0]
        return mul(sub(num(1), h), add(num(1), h))
    if form.op == "*" and form.args[1].op == "-" and is_num(form.args[1].args[0], 1):
        y = form.args[1].args[1]
        parts = factors(form.args[0])
        if parts[-1] == y:
            return mul(*parts[:-1], sub(y, power(y, 2)))
    return None


@rule("slope spelled out")
def _slope_spelled(form: Form, setting: Setting) -> Form | None:
    """The named value in `1 - h**2` or `y * (1 - y)` as the formula it has."""
    name, _ = _slope_of(form, setting)
    if name is None:
        return None
    equation = setting.forward(name.data[0])
    return None if equation is None else _with(form, name, _at(equation, name))


@rule("slope called")
def _slope_called(form: Form, setting: Setting) -> Form | None:
    """`1 - h**2` as `tanh'(a)`, `y * (1 - y)` as `sigmoid'(a)`."""
    name, slope = _slope_of(form, setting)
    if name is None:
        return None
    equation = setting.forward(name.data[0])
    if equation is None or equation.rhs.op != "call" or equation.rhs.data != slope:
        return None
    called = call(slope + "'", _at(equation, name).args[0])
    return called if slope == "tanh" else mul(*factors(form.args[0])[:-1], called)


@rule("slope of a called function spelled out")
def _slope_uncalled(form: Form, setting: Setting) -> Form | None:
    if form.op != "call" or not str(form.data).endswith("'"):
        return None
    function = form.data[:-1]
    y = call(function, form.args[0])
    if function == "tanh":
        return sub(num(1), power(y, 2))
    if function == "sigmoid":
        return mul(y, sub(num(1), y))
    return call("sigmoid", form.args[0]) if function == "softplus" else None


def _slope_of(form: Form, setting: Setting) -> tuple[Form | None, str]:
    if form.op == "-" and is_num(form.args[0], 1) and form.args[1].op == "**" and is_num(form.args[1].args[1], 2):
        if form.args[1].args[0].op == "ref":
            return form.args[1].args[0], "tanh"
    elif form.op == "*" and form.args[1].op == "-" and is_num(form.args[1].args[0], 1):
        y = form.args[1].args[1]
        if y.op == "ref" and factors(form.args[0])[-1] == y:
            return y, "sigmoid"
    return None, ""


def _at(equation: Equation, name: Form) -> Form:
    """The right-hand side of an equation at the indices of a reference to its target."""
    values = {
        index.running[0]: at.moved(-index.constant)
        for index, at in zip(equation.indices, name.data[1], strict=True)
        if index.running
    }
    return put(equation.rhs, values)


def _with(form: Form, old: Form, new: Form) -> Form:
    if form == old:
        return new
    return Form(form.op, tuple(_with(arg, old, new) for arg in form.args), form.data)


# -- forward equations ------------------------------------------------------------------------------------------------
@rule("a forward equation put in")
def _forward_in(form: Form, setting: Setting) -> Form | None:
    if form.op != "ref" or form.data[0] not in setting.file.defined:
        return None
    equation = setting.forward(form.data[0])
    if equation is None or not form.data[1] or not all(_inside(index) for index in form.data[1]):
        return None
    rhs = _at(equation, form)
    clash = variables(form) & {node.data.variable for _, node in walk(equation.rhs) if node.op == "over"}
    return None if clash or setting.shape(rhs) != setting.shape(form) else rhs


def _inside(index: Index) -> bool:
    """Whether a step surely lies in the sequence: t, T, but not t-1."""
    return len(index.terms) == 1 and index.terms[0][1] == 1 and index.constant == 0


@rule("a forward equation taken out")
def _forward_out(form: Form, setting: Setting) -> Form | None:
    """A part that is the right-hand side of a forward equation, by its name."""
    if form.op in ("ref", "num"):
        return None
    for equation in setting.file.forward:
        if equation.name == "L" or setting.forward(equation.name) is None or not equation.running:
            continue
        for step in ({}, {"t": Index.read("T")}, {"t": Index.read("t+1")}):
            if put(equation.rhs, step) == form:
                return put(ref(equation.name, *equation.indices), step)
    return None


# -- sums over time ---------------------------------------------------------------------------------------------------
@rule("a sum of sums")
def _sum_split(form: Form, setting: Setting) -> Form | None:
    if form.op != "over" or form.data.kind != "sum":
        return None
    terms = addends(form.args[0])
    if len(terms) < 2 or len({setting.shape(term) for _, term in terms}) > 1:
        return None
    return total([(sign, Form("over", (term,), form.data)) for sign, term in terms])


@rule("sums joined")
def _sum_joined(form: Form, setting: Setting) -> Form | None:
    terms = addends(form)
    for at in range(len(terms) - 1):
        (s, a), (t, b) = terms[at], terms[at + 1]
        if a.op == b.op == "over" and a.data == b.data and a.data.kind == "sum" and same_shape(setting, a, b):
            joined = Form("over", (total([(s, a.args[0]), (t, b.args[0])]),), a.data)
            return total([*terms[:at], (1, joined), *terms[at + 2 :]])
    return None


@rule("one step of a sum apart")
def _sum_step(form: Form, setting: Setting) -> Form | None:
    if form.op != "over" or form.data.kind != "sum" or form.data.tests:
        return None
    name = form.data.variable
    low, high = setting.file.ranges[name]
    here = Index.read(name)
    if setting.rng.random() < 0.5:
        return add(over(name, form.args[0], (Test(here, "<", high),)), put(form.args[0], {name: high}))
    return add(put(form.args[0], {name: low}), over(name, form.args[0], (Test(here, ">", low),)))


@rule("a sum in two ranges")
def _sum_ranges(form: Form, setting: Setting) -> Form | None:
    if form.op != "over" or form.data.kind != "sum" or form.data.tests:
        return None
    name, here = form.data.variable, Index.read(form.data.variable)
    if setting.rng.random() < 0.5:
        even = Test(here, "=", Index((), 0), 2)
        odd = Test(here, "=", Index((), 1), 2)
        return add(over(name, form.args[0], (even,)), over(name, form.args[0], (odd,)))
    middle = Index((), setting.rng.choice((2, 3)))
    return add(
        over(name, form.args[0], (Test(here, "<=", middle),)), over(name, form.args[0], (Test(here, ">", middle),))
    )


@rule("a sum shifted")
def _sum_shifted(form: Form, setting: Setting) -> Form | None:
    """`sum(t > 1, f(t))` as `sum(t < T, f(t+1))` and back; `sum(t, f(t))` as `sum(t = 0..T-1, f(t+1))`."""
    if form.op != "over" or form.data.kind != "sum" or len(form.data.tests) > 1:
        return None
    if not form.data.tests:
        name = form.data.variable
        low, high = setting.file.ranges[name]
        here, by = Index.read(name), setting.rng.choice((-1, 1))
        both = (Test(here, ">=", low.moved(-by)), Test(here, "<=", high.moved(-by)))
        return over(name, put(form.args[0], {name: here.moved(by)}), both)
    (test,), name = form.data.tests, form.data.variable
    low, high = setting.file.ranges[name]
    here = Index.read(name)
    if (test.left, test.relation, test.right) == (here, ">", low):
        return over(name, put(form.args[0], {name: here.moved(1)}), (Test(here, "<", high),))
    if (test.left, test.relation, test.right) == (here, "<", high):
        return over(name, put(form.args[0], {name: here.moved(-1)}), (Test(here, ">", low),))
    return None


@rule("sums exchanged")
def _sum_exchanged(form: Form, setting: Setting) -> Form | None:
    inner = form.args[0] if form.op == "over" else None
    if inner is None or inner.op != "over" or {form.data.kind, inner.data.kind} != {"sum"}:
        return None
    if any(form.data.variable in test.names for test in inner.data.tests):
        return None
    return Form("over", (Form("over", inner.args, form.data),), inner.data)


@rule("a factor out of a sum")
def _factor_out_of_sum(form: Form, setting: Setting) -> Form | None:
    if form.op != "over" or form.data.kind != "sum" or form.args[0].op not in ("*", "@"):
        return None
    name, (a, b) = form.data.variable, form.args[0].args
    if name not in variables(a):
        return Form(form.args[0].op, (a, Form("over", (b,), form.data)))
    if name not in variables(b):
        return Form(form.args[0].op, (Form("over", (a,), form.data), b))
    return None


@rule("a factor into a sum")
def _factor_into_sum(form: Form, setting: Setting) -> Form | None:
    if form.op not in ("*", "@"):
        return None
    a, b = form.args
    if b.op == "over" and b.data.kind == "sum" and b.data.variable not in variables(a):
        return Form("over", (Form(form.op, (a, b.args[0])),), b.data)
    if a.op == "over" and a.data.kind == "sum" and a.data.variable not in variables(b):
        return Form("over", (Form(form.op, (a.args[0], b)),), a.data)
    return None


@rule("a mean as a sum")
def _mean(form: Form, setting: Setting) -> Form | None:
    if form.op == "over" and form.data.kind == "sum" and not form.data.tests:
        high = setting.file.ranges[form.data.variable][1]
        mean = over(form.data.variable, form.args[0], (), "mean")
        return mul(time(high), mean)
    return None
