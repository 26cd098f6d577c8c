"""Valid ways to state an equation otherwise: cases split or joined, helpers, two steps at once, gradients put in.

Each takes the gradient equations of a file and the place of one of them, and returns them stated anew with the places
of those that are to be judged; or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.soak.forms import (
    Equation,
    Form,
    Index,
    Test,
    at_path,
    mapped,
    put,
    ref,
    refs,
    replaced,
    variables,
    walk,
)
from benchmarks.soak.reading import File
from benchmarks.soak.rewritings import Setting

Restated = tuple[list[Equation], list[int]]
Restating = Callable[[list[Equation], int, Setting], Restated | None]
RESTATINGS: dict[str, Restating] = {}


def restating(name: str) -> Callable[[Restating], Restating]:
    def keep(function: Restating) -> Restating:
        RESTATINGS[name] = function
        return function

    return keep


def _instead(equations: list[Equation], at: int, new: list[Equation]) -> Restated:
    return [*equations[:at], *new, *equations[at + 1 :]], list(range(at, at + len(new)))


def _one_running(equation: Equation) -> str | None:
    """The index of an equation that runs over one index alone, as it is."""
    running = equation.running
    plain = len(equation.indices) == 1 and len(running) == 1 and str(equation.indices[0]) == running[0]
    return running[0] if plain else None


@restating("cases split")
def _split(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    equation = equations[at]
    name = _one_running(equation)
    if name is None:
        return None
    here = Index.read(name)
    if setting.rng.random() < 0.5 and not any(test.modulus for test in equation.when):
        tests = [Test(here, "=", Index((), remainder), 2) for remainder in (0, 1)]
    else:
        middle = Index((), setting.rng.choice((2, 3)))
        tests = [Test(here, "<=", middle), Test(here, ">", middle)]
    return _instead(equations, at, [replace(equation, when=(*equation.when, test)) for test in tests])


@restating("the last step apart")
def _last_apart(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    equation = equations[at]
    name = _one_running(equation)
    if name is None or equation.when or len([e for e in equations if e.name == equation.name]) > 1:
        return None
    last = setting.file.ranges[name][1]
    end = Equation(equation.name, (last,), put(equation.rhs, {name: last}))
    return _instead(equations, at, [end, replace(equation, when=(Test(Index.read(name), "<", last),))])


@restating("a condition written otherwise")
def _condition(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    """`t <= T-1` as `t < T`, `t >= 2` as `t > 1`, `t < T` as `t != T`."""
    equation = equations[at]
    name = _one_running(equation)
    if name is None or not equation.when:
        return None
    last = setting.file.ranges[name][1]
    turned = []
    for test in equation.when:
        if test.relation == "<=" and not test.modulus:
            test = replace(test, relation="<", right=test.right.moved(1))
            if test.right == last and setting.rng.random() < 0.3:
                test = replace(test, relation="!=")
        elif test.relation == ">=" and not test.modulus:
            test = replace(test, relation=">", right=test.right.moved(-1))
        turned.append(test)
    return _instead(equations, at, [replace(equation, when=tuple(turned))])


@restating("a helper put in")
def _helper(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    """A part of the right-hand side gets a name of its own."""
    equation = equations[at]
    parts = [
        (path, node)
        for path, node in walk(equation.rhs)
        if node.op in ("+", "-", "*", "@", "call") and not _under_sum(equation.rhs, path) and node != equation.rhs
    ]
    name = _one_running(equation)
    if not parts or (name is None and equation.indices):
        return None
    path, part = setting.rng.choice(parts)
    if setting.shape(part)[1] != 1 or not variables(part) <= {name}:
        return None  # a matrix as a helper would need a declared size
    label = next(
        f"u{k}" for k in range(1, 99) if f"u{k}" not in setting.shapes and all(e.name != f"u{k}" for e in equations)
    )
    timed = name is not None and bool(variables(part))
    indices = (Index.read(name),) if timed and name else ()
    helper = Equation(label, indices, part, equation.when if timed else ())
    user = replace(equation, rhs=replaced(equation.rhs, path, ref(label, *indices)))
    restated, _ = _instead(equations, at, [helper, user])
    return restated, [at + 1]


def _under_sum(form: Form, path: tuple[int, ...]) -> bool:
    return any(at_path(form, path[:cut]).op == "over" for cut in range(len(path)))


@restating("a slope as a helper")
def _slope_helper(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    """`1 - h[t]**2`, wherever it stands at t, as `S[t]`."""
    slopes = [
        node
        for _, node in walk(equations[at].rhs)
        if node.op == "-" and node.args[1].op == "**" and node.args[1].args[0].op == "ref"
    ]
    if not slopes:
        return None
    slope = setting.rng.choice(slopes)
    indices = slope.args[1].args[0].data[1]
    if len(indices) != 1 or len(indices[0].running) != 1 or "u0" in setting.shapes:
        return None
    axis = indices[0].running[0]
    plain = put(slope, {axis: Index.read(axis).moved(-indices[0].constant)})
    helper = Equation("u0", (Index.read(axis),), plain)
    if any(e.name == "u0" for e in equations):
        return None
    user = replace(
        equations[at], rhs=mapped(equations[at].rhs, lambda node: ref("u0", *indices) if node == slope else None)
    )
    restated, _ = _instead(equations, at, [helper, user])
    return restated, [at + 1]


@restating("a gradient put in")
def _gradient_in(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    """A gradient of the same step, such as da[t] in dW, by its own equation, which holds at all steps."""
    equation = equations[at]
    reads = [
        (name, indices)
        for name, indices in refs(equation.rhs)
        if name.startswith("d") and name[1:] in setting.shapes and indices and name != equation.name
    ]
    setting.rng.shuffle(reads)
    for name, indices in reads:
        own = [e for e in equations if e.name == name]
        if len(own) != 1 or own[0].when or _one_running(own[0]) is None:
            continue
        values = dict(zip(own[0].running, indices, strict=True))
        if any(node.op == "over" for _, node in walk(own[0].rhs)):
            continue
        form = put(own[0].rhs, values)
        wanted = ref(name, *indices)
        rhs = mapped(equation.rhs, lambda node, wanted=wanted, form=form: form if node == wanted else None)
        if setting.shape(form) == setting.shape(wanted):
            return _instead(equations, at, [replace(equation, rhs=rhs)])
    return None


@restating("two steps at once")
def _two_steps(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    """The recurrence put in once more: `dh[t]` by `dh[t+2]`, and the step before the last apart."""
    equation = equations[at]
    name = _one_running(equation)
    if name is None:
        return None
    last = setting.file.ranges[name][1]
    here = Index.read(name)
    if [(t.left, t.relation, t.right) for t in equation.when] != [(here, "<=", last.moved(-1))]:
        return None
    following = ref(equation.name, here.moved(1))
    if not any(node == following for _, node in walk(equation.rhs)):
        return None
    again = put(equation.rhs, {name: here.moved(1)})
    rhs = mapped(equation.rhs, lambda node: again if node == following else None)
    before = Equation(equation.name, (here,), equation.rhs, (Test(here, "=", last.moved(-1)),))
    return _instead(equations, at, [before, replace(equation, rhs=rhs, when=(Test(here, "<", last.moved(-1)),))])


@restating("zero beyond the end")
def _beyond(equations: list[Equation], at: int, setting: Setting) -> Restated | None:
    """`dh[T]` and `dh[t]` for t < T in one equation, what is read of step T+1 being declared zero."""
    equation = equations[at]
    name = _one_running(equation)
    if name is None:
        return None
    last = setting.file.ranges[name][1]
    here, own = Index.read(name), [e for e in equations if e.name == equation.name]
    if [(t.left, t.relation, t.right) for t in equation.when] != [(here, "<=", last.moved(-1))] or len(own) != 2:
        return None
    beyond = {(n, ix) for n, ix in refs(equation.rhs) if any(i == here.moved(1) for i in ix)}
    if any(len(ix) != 1 for _, ix in beyond) or any(
        n in setting.file.defined and _fixed_beyond(n, setting) for n, _ in beyond
    ):
        return None
    if not any(n.startswith("d") and n[1:] in setting.shapes for n, _ in beyond):
        return None
    stated = {e.target for e in equations}
    zeros = [Equation(n, (last.moved(1),), Form("num", data=0)) for n, _ in sorted(beyond, key=str)]
    zeros = [e for e in zeros if e.target not in stated]
    kept = [e for e in equations if e is equation or e.name != equation.name]
    where = kept.index(equation)
    restated, _ = _instead(kept, where, [*zeros, replace(equation, when=())])
    return restated, [where + len(zeros)]


def _fixed_beyond(name: str, setting: Setting) -> bool:
    return any(not e.running and any(i.terms for i in e.indices) for e in setting.file.forward if e.name == name)


def file_with(file: File, equations: list[Equation]) -> File:
    return file.with_gradients(equations)
