"""The right derivation of a generated model: the textbook's rule for each operation, one share for each occurrence.

Every quantity that an equation defines keeps its gradient. Nothing is simplified beyond what the constructors of
`forms` do: the rewritings bring forms of other kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from benchmarks.soak.forms import (
    Equation,
    Form,
    Index,
    Test,
    add,
    call,
    div,
    is_num,
    mat,
    mul,
    neg,
    num,
    over,
    power,
    put,
    ref,
    sub,
    time,
    tr,
    walk,
)
from benchmarks.soak.reading import File, Unread
from benchmarks.soak.shapes import NUMBER, Shape, shape_of

#: a length at which all boundary cases of the generated models are apart
LONG = 40
_ENTRYWISE = ("+", "-", "*", "/")


@dataclass(frozen=True)
class Share:
    """What one occurrence of `name[pattern]` hands back, under `variables` and `tests`."""

    name: str
    pattern: tuple[Index, ...]
    variables: tuple[str, ...]
    tests: tuple[Test, ...]
    form: Form


def derive(file: File, shapes: Mapping[str, Shape]) -> list[Equation]:
    """The gradient of every quantity with an equation and of every parameter, latest first."""
    labels = {n.args[-1].data[0] for e in file.forward for _, n in walk(e.rhs) if n.op == "call" and _labelled(n)}
    shares = [share for equation in file.forward for share in _shares(equation, file, shapes)]
    order = list(dict.fromkeys(reversed([e.name for e in file.forward if e.name != "L"])))
    read = {share.name: share for share in shares}
    order += [name for name, share in read.items() if name not in order and not share.pattern and name not in labels]
    equations: list[Equation] = []
    for name in order:
        own = [share for share in shares if share.name == name]
        if own:
            equations += _assembled(name, own, file)
        elif name in file.defined:  # what nothing reads has a gradient too
            axes = _axes(name, file)
            equations.append(Equation("d" + name, tuple(map(Index.read, axes)), num(0)))
    return equations


def _labelled(node: Form) -> bool:
    return node.data in ("onehot", "cross_entropy") and node.args[-1].op == "ref"


# -- shares ---------------------------------------------------------------------------------------------------------
def _shares(equation: Equation, file: File, shapes: Mapping[str, Shape]) -> Iterator[Share]:
    cotangent = num(1) if equation.name == "L" else ref("d" + equation.name, *equation.indices)
    running = equation.running
    tests = tuple(test for name in running for test in _limits(name, file)) + equation.when
    names = {equation.name: equation}
    yield from _back(equation.rhs, cotangent, running, tests, _Rules(shapes, names, equation, file))


def _limits(name: str, file: File) -> tuple[Test, ...]:
    low, high = file.ranges[name]
    return Test(Index.read(name), ">=", low), Test(Index.read(name), "<=", high)


@dataclass
class _Rules:
    shapes: Mapping[str, Shape]
    names: Mapping[str, Equation]
    equation: Equation
    file: File

    def shape(self, form: Form) -> Shape:
        return shape_of(form, self.shapes)

    def stretched(self, g: Form, form: Form) -> Form:
        """A number that stands for the same cotangent at every entry, written out."""
        return mul(g, call("ones_like", form)) if self.shape(g) == NUMBER and self.shape(form) != NUMBER else g

    def named(self, form: Form) -> Form | None:
        """The quantity that is this formula, if the equation at hand says just that."""
        own = self.equation
        return ref(own.name, *own.indices) if own.rhs == form and own.name != "L" else None


def _back(form: Form, g: Form, variables: tuple[str, ...], tests: tuple[Test, ...], rules: _Rules) -> Iterator[Share]:
    """The shares of all references of `form`, whose cotangent is `g`."""
    if is_num(g, 0):
        return
    if form.op == "ref":
        yield Share(form.data[0], form.data[1], variables, tests, rules.stretched(g, form))
    elif form.op == "over":
        inner, body = form.data, form.args[0]
        if inner.kind == "prod":
            raise Unread("no product over time")
        if inner.kind == "mean":
            if inner.tests:
                raise Unread("a mean over part of the steps")
            g = div(g, time(rules.file.ranges[inner.variable][1]))
        more = _limits(inner.variable, rules.file) + inner.tests
        yield from _back(body, g, (*variables, inner.variable), tests + more, rules)
    else:
        if form.op in ("@", "stack"):
            g = rules.stretched(g, form)
        for arg, cotangent in _rule(form, g, rules):
            if rules.shape(arg) == NUMBER and form.op in _ENTRYWISE:
                cotangent = rules.stretched(cotangent, form)
                cotangent = cotangent if rules.shape(cotangent) == NUMBER else call("sum", cotangent)
            yield from _back(arg, cotangent, variables, tests, rules)


def _rule(form: Form, g: Form, rules: _Rules) -> list[tuple[Form, Form]]:
    args = form.args
    match form.op:
        case "num" | "time":
            return []
        case "neg":
            return [(args[0], neg(g))]
        case "+":
            return [(arg, g) for arg in args]
        case "-":
            return [(args[0], g), (args[1], neg(g))]
        case "*":
            return [(args[0], mul(g, args[1])), (args[1], mul(g, args[0]))]
        case "/":
            return [(args[0], div(g, args[1])), (args[1], neg(div(mul(g, args[0]), power(args[1], 2))))]
        case "**":
            n = args[1].data
            return [(args[0], mul(num(n), g, power(args[0], n - 1)) if n != 2 else mul(num(2), g, args[0]))]
        case ".T":
            return [(args[0], tr(g))]
        case "@":
            if args[0].op == "call" and args[0].data == "diag":
                return [(args[0].args[0], mul(g, args[1])), (args[1], mat(args[0], g))]
            times = mul if rules.shape(g) == NUMBER else mat
            return [(args[0], times(g, tr(args[1]))), (args[1], times(tr(args[0]), g))]
        case "stack":
            found, at = [], 1
            for part in args:
                rows = rules.shape(part)[0]
                found.append((part, call("rows", g, num(at), num(at + rows - 1))))
                at += rows
            return found
    return _call(form, g, rules)


def _call(form: Form, g: Form, rules: _Rules) -> list[tuple[Form, Form]]:
    x, name = form.args[0], form.data
    y = rules.named(form) or form
    match name:
        case "tanh":
            return [(x, mul(g, sub(num(1), power(y, 2))))]
        case "sigmoid":
            return [(x, mul(g, y, sub(num(1), y)))]
        case "exp":
            return [(x, mul(g, y))]
        case "softplus":
            return [(x, mul(g, call("sigmoid", x)))]
        case "relu":
            return [(x, mul(g, call("relu'", x)))]
        case "sin":
            return [(x, mul(g, call("cos", x)))]
        case "cos":
            return [(x, neg(mul(g, call("sin", x))))]
        case "log":
            return [(x, div(g, x))]
        case "abs":
            return [(x, mul(g, call("sign", x)))]
        case "softmax":
            return [(x, sub(mul(y, g), mul(y, mat(tr(y), g))))]
        case "sum":
            return [(x, g)]  # the same number at every entry: stretched where it has to be
        case "mean":
            return [(x, div(g, call("sum", call("ones_like", x))))]  # no number: it has to hold for every size
        case "norm":
            return [(x, mul(g, div(x, y)))]
        case "squared_error":
            return [(x, mul(g, sub(x, form.args[1]))), (form.args[1], mul(g, sub(form.args[1], x)))]
        case "cross_entropy":
            return [(x, mul(g, sub(call("softmax", x), call("onehot", form.args[1]))))]
        case "diag":
            raise Unread("diag elsewhere than beside a column")
        case "stop" | "onehot":
            return []
    raise Unread(name)


# -- from shares to equations -----------------------------------------------------------------------------------------
def _assembled(name: str, shares: list[Share], file: File) -> list[Equation]:
    axes = _axes(name, file)
    if not axes:
        return [Equation("d" + name, (), add(*(_summed(share, {}, file)[0] for share in shares)))]
    found = [_summed(share, dict(zip(axes, share.pattern, strict=True)), file) for share in shares]
    return [
        Equation(
            "d" + name, indices, add(*(put(form, fixed) for form, guards in found if _active(guards, example))), when
        )
        for indices, when, fixed, example in _cells(
            axes, [guard for _, guards in found for guard in guards], name, file
        )
    ]


def _axes(name: str, file: File) -> tuple[str, ...]:
    general = [e for e in file.forward if e.name == name and e.running] or [e for e in file.forward if e.name == name]
    return tuple(index.running[0] for index in general[0].indices) if general else ()


def _summed(share: Share, wanted: Mapping[str, Index], file: File) -> tuple[Form, tuple[Test, ...]]:
    """The share at target indices that are the variables of `wanted`: its form, summed over what is left; guards."""
    fresh = {name: Index.read(name + "_") for name in share.variables}
    form, tests = put(share.form, fresh), [test.put(fresh) for test in share.tests]
    left = [name + "_" for name in share.variables]
    for axis, pattern in wanted.items():
        pattern = pattern.put(fresh)
        here = Index.read(axis)
        if pattern.running and pattern.running[0] in left:
            name = pattern.running[0]
            solved = {name: here.moved(-pattern.constant)}
            form, tests = put(form, solved), [test.put(solved) for test in tests]
            left.remove(name)
        else:
            tests.append(Test(here, "=", pattern))
    for name in left:
        bound = {node.data.variable for _, node in walk(form) if node.op == "over"}
        spare = _spare(name[:-1], {*wanted, *bound, *(n for n in left if n != name)}, file)
        again = {name: Index.read(spare)}
        form, tests = put(form, again), [test.put(again) for test in tests]
        limits = {(t.left, t.relation, t.right) for t in _limits(spare, file)}
        inside = tuple(t for t in tests if spare in t.names and (t.left, t.relation, t.right) not in limits)
        tests = [t for t in tests if spare not in t.names]
        form = over(spare, form, inside)
    return form, tuple(test for test in tests if not _implied(test, file))


def _spare(name: str, taken: set[str], file: File) -> str:
    same = [other for other, span in file.ranges.items() if span == file.ranges[name]]
    free = [other for other in (name, *same) if other not in taken]
    if not free:
        raise Unread(f"one more index over the range of {name} is needed")
    return free[0]


def _implied(test: Test, file: File) -> bool:
    """Whether a guard holds at all steps of the range of its one variable."""
    names = test.left.running
    if test.modulus or len(names) != 1 or test.relation not in ("<=", ">="):
        return False
    low, high = file.ranges[names[0]]
    if test.relation == ">=":
        return not test.right.terms and low.constant + test.left.constant >= test.right.constant
    return test.right.terms == high.terms and high.constant + test.left.constant <= test.right.constant


def _active(guards: tuple[Test, ...], example: Mapping[str, int]) -> bool:
    return all(test.holds(example) for test in guards)


def _cells(
    axes: tuple[str, ...], guards: list[Test], name: str, file: File
) -> Iterator[tuple[tuple[Index, ...], tuple[Test, ...], dict[str, Index], dict[str, int]]]:
    """The cases of a target: its indices, its condition, what is fixed, and one step as an example."""
    lengths = {length: LONG + 3 * at for at, length in enumerate(file.lengths)}
    if len(axes) > 1:
        if guards:
            raise Unread("cases of a quantity with several indices")
        yield tuple(map(Index.read, axes)), (), {}, dict.fromkeys(axes, 5) | lengths
        return
    (axis,) = axes
    own = [e for e in file.forward if e.name == name]
    guards = guards + [test for e in own for test in e.when]
    guards += [Test(Index.read(axis), "=", e.indices[0]) for e in own if not e.running]
    for low, high, residue, times in _intervals(axis, guards, file, lengths):
        claimed = [e for e in own if _claims(e, axis, times)]
        if not claimed:
            continue
        if low == high and not residue:
            yield (low,), (), {axis: low}, times
            continue
        first, last = file.ranges[axis]
        here = Index.read(axis)
        when = () if low == first else (Test(here, ">=", low),)
        when += () if high == last else (Test(here, "<=", high),)
        when += residue
        yield (here,), when, {}, times


def _claims(equation: Equation, axis: str, times: Mapping[str, int]) -> bool:
    if not equation.running:
        return equation.indices[0].at(times) == times[axis]
    return all(test.holds(times) for test in equation.when)


def _intervals(
    axis: str, guards: list[Test], file: File, lengths: Mapping[str, int]
) -> Iterator[tuple[Index, Index, tuple[Test, ...], dict[str, int]]]:
    """The pieces into which the guards cut the axis: first and last step, remainder, an example with lengths."""
    first, last = file.ranges[axis]
    starts = {first.at(lengths): first}
    moduli = {test.modulus: test for test in guards if test.modulus}
    for test in guards:
        if test.modulus:
            continue
        bound = replace(test.right, constant=test.right.constant - test.left.constant)
        for start in {">=": (0,), "<": (0,), "<=": (1,), ">": (1,), "=": (0, 1), "!=": (0, 1)}[test.relation]:
            moved = bound.moved(start)
            if first.at(lengths) < moved.at(lengths) <= last.at(lengths):
                starts[moved.at(lengths)] = moved
    order = sorted(starts)
    for at, start in enumerate(order):
        end = starts[order[at + 1]].moved(-1) if at + 1 < len(order) else last
        if not moduli or (starts[start] == end and not end.terms):
            yield starts[start], end, (), {**lengths, axis: start}
            continue
        if len(moduli) > 1:
            raise Unread("two clocks of different periods")
        (modulus,) = moduli
        for remainder in range(modulus):
            residue = Test(Index.read(axis), "=", Index((), remainder), modulus)
            if starts[start] == end:  # the last step: whether it has this remainder depends on the length
                longer = {name: length + (remainder - start) % modulus for name, length in lengths.items()}
                yield end, end, (residue,), {**longer, axis: end.at(longer)}
            else:
                example = next(t for t in range(start, start + modulus) if t % modulus == remainder)
                if example > end.at(lengths):
                    raise Unread("remainders of a few steps before the end")
                yield starts[start], end, (residue,), {**lengths, axis: example}
