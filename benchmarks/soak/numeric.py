"""Numbers for formulas: forward equations run for any lengths, gradients by the complex step, with its own arithmetic.

Values are arrays (P, rows, columns): P perturbed copies of one run, so that one pass gives the derivative by every
entry of every quantity at every step. The complex step has no rounding to speak of: d f = imag f(x + ih) / h, exact for
h = 1e-30.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np

from benchmarks.soak.forms import Equation, Form, Index, Over, Test
from benchmarks.soak.reading import File, Unread
from benchmarks.soak.shapes import shape_of

H = 1e-30
Step = tuple[int, ...]
Place = tuple[str, Step]
Shape = tuple[int, int]


def _relu(x: np.ndarray) -> np.ndarray:
    return np.where(x.real > 0, x, 0)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.real.max(axis=-2, keepdims=True))
    return e / e.sum(axis=-2, keepdims=True)


def _logsumexp(x: np.ndarray) -> np.ndarray:
    top = x.real.max(axis=-2, keepdims=True)
    return top + np.log(np.exp(x - top).sum(axis=-2, keepdims=True))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _below(x: np.ndarray) -> np.ndarray:
    """-|x|, as an analytic function on each side of 0."""
    return np.where(x.real > 0, -x, x)


def _diag(x: np.ndarray) -> np.ndarray:
    return x * np.eye(x.shape[-2])


def _entries(x: np.ndarray) -> np.ndarray:
    return x.sum(axis=(-2, -1), keepdims=True)


CALLS = {
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "relu": _relu,
    "softplus": lambda x: np.maximum(x.real, 0) + (x - x.real) * (x.real > 0) + np.log(1 + np.exp(_below(x))),
    "exp": np.exp,
    "log": np.log,
    "log1p": lambda x: np.log(1 + x),
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "abs": lambda x: np.where(x.real >= 0, x, -x),
    "sign": lambda x: np.sign(x.real) + 0j,
    "ones_like": lambda x: np.ones(x.shape, complex),
    "stop": lambda x: x.real + 0j,
    "tanh'": lambda x: 1 - np.tanh(x) ** 2,
    "sigmoid'": lambda x: _sigmoid(x) * (1 - _sigmoid(x)),
    "relu'": lambda x: (x.real > 0) + 0j,
    "softplus'": _sigmoid,
    "softmax": _softmax,
    "log_softmax": lambda x: x - _logsumexp(x),
    "logsumexp": _logsumexp,
    "diag": _diag,
    "onehot": lambda y: y,  # labels are held as one-hot columns
    "cross_entropy": lambda o, y: -_entries(y * (o - _logsumexp(o))),
    "squared_error": lambda o, y: 0.5 * _entries((o - y) ** 2),
    "sum": _entries,
    "mean": lambda x: _entries(x) / (x.shape[-1] * x.shape[-2]),
    "norm": lambda x: np.sqrt(_entries(x**2)),
    "maximum": lambda a, b: np.where(a.real >= b.real, a, b),
    "minimum": lambda a, b: np.where(a.real <= b.real, a, b),
    "transpose": lambda a: np.swapaxes(a, -1, -2),
    "outer": lambda v, w: v @ np.swapaxes(w, -1, -2),
    "dot": lambda v, w: np.swapaxes(v, -1, -2) @ w,
}


class World:
    """One run of a file with `lengths`, its leaves drawn from `seed`; `shapes` are rows and columns by name."""

    def __init__(self, file: File, shapes: Mapping[str, Shape], lengths: Mapping[str, int], seed: int = 0) -> None:
        self.file, self.shapes, self.lengths, self.seed = file, shapes, dict(lengths), seed
        self.values: dict[Place, np.ndarray] = {}
        self.bumps: dict[Place, np.ndarray] = {}
        self.forward = _coverage(file, file.forward, self.lengths)
        self.stated = _coverage(file, file.gradients, self.lengths)
        self.helpers: dict[Place, np.ndarray] = {}
        self.ran = False
        self.truth: dict[Place, np.ndarray] | None = None
        self.bounds = _bounds(file.headers.get("bounds", ""))
        self.labels = _labels(file)
        declared = file.headers.get("labels", "")
        self.labels |= set(re.findall(r"(\w+)\s+one-hot", declared))
        self.simplex = set(re.findall(r"(\w+)\s+simplex", declared))

    # -- forward ----------------------------------------------------------------------------------------------------
    def value(self, name: str, step: Step) -> np.ndarray:
        place = (name, step)
        if place not in self.values:
            known = self.forward.get(place)
            if known is None:
                if name in self.file.defined and (self.ran or not self._outside(name, step)):
                    raise Unread(f"{name}{step} is defined by no equation")
                result = self._drawn(name, step)
            else:
                equation, times = known
                result = self.evaluate(equation.rhs, times) + np.zeros(self.shapes[name])
            if place in self.bumps:
                result = result + self.bumps[place]
            self.values[place] = result
        return self.values[place]

    def run(self) -> None:
        """Everything that is defined, in the order of the steps, so that nothing nests deeply."""
        for place in sorted(self.forward, key=lambda place: (not place[1], place[1])):
            self.value(*place)
        self.ran = True  # what no forward equation has read outside the sequence does not exist there

    def ready(self) -> None:
        """Run, unless that is done."""
        if not self.ran:
            self.run()

    def _outside(self, name: str, step: Step) -> bool:
        fixed = [e for e in self.file.forward if e.name == name and e.running]
        return not fixed or any(at < 1 for at in step) or max(step, default=0) > max(self.lengths.values())

    def _drawn(self, name: str, step: Step) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(f"{name}{step}{self.seed}".encode()))
        rows, columns = self.shapes[name]
        if name in self.labels:
            column = np.zeros((1, rows, 1), complex)
            column[0, rng.integers(rows), 0] = 1
            return column
        if name in self.simplex:
            shares = rng.uniform(0.1, 1, (1, rows, columns)) + 0j
            return shares / shares.sum(axis=-2, keepdims=True)
        drawn = rng.normal(0, 0.5, (1, rows, columns)) + 0.05
        low, high = self.bounds.get(name, (None, None))
        if low is not None and high is not None:
            drawn = low + (high - low) * rng.uniform(0.1, 0.9, drawn.shape)
        elif low is not None or high is not None:
            drawn = (low + abs(drawn) + 0.2) if low is not None else (high - abs(drawn) - 0.2)
        return drawn.astype(complex)

    # -- formulas ---------------------------------------------------------------------------------------------------
    def evaluate(self, form: Form, times: Mapping[str, int]) -> np.ndarray:
        match form.op:
            case "num":
                return np.full((1, 1, 1), complex(form.data))
            case "time":
                return np.full((1, 1, 1), complex(form.data.at(times)))
            case "ref":
                name, indices = form.data
                return self.look(name, tuple(index.at(times) for index in indices))
            case "over":
                return self._over(form, times)
            case "call" if form.data == "rows":
                first, last = (int(self.evaluate(arg, times).real.item()) for arg in form.args[1:])
                return self.evaluate(form.args[0], times)[:, first - 1 : last]
        if form.op == "@":
            return self._factor(form.args[0], times) @ self._factor(form.args[1], times)
        args = [self.evaluate(arg, times) for arg in form.args]
        match form.op:
            case "neg":
                return -args[0]
            case "+":
                return args[0] + args[1]
            case "-":
                return args[0] - args[1]
            case "*":
                return args[0] * args[1]
            case "/":
                return args[0] / args[1]
            case "**":
                power = args[1].real.item()
                return args[0] ** (int(power) if power == int(power) else power)
            case ".T":
                return np.swapaxes(args[0], -1, -2)
            case "stack":
                return _stacked(args)
            case "call" if form.data in CALLS:
                return CALLS[form.data](*args)
        raise Unread(f"{form.op} {form.data}")

    def _factor(self, form: Form, times: Mapping[str, int]) -> np.ndarray:
        """A factor of a matrix product, in which a power of a square matrix is a power of the matrix."""
        if form.op == ".T":
            return np.swapaxes(self._factor(form.args[0], times), -1, -2)
        if form.op == "**":
            base, power = (self.evaluate(arg, times) for arg in form.args)
            if base.shape[-1] == base.shape[-2] > 1:
                return np.linalg.matrix_power(base, int(power.real.item()))
        return self.evaluate(form, times)

    def _over(self, form: Form, times: Mapping[str, int]) -> np.ndarray:
        terms = []
        for step in self._steps(form.data, times):
            inner = {**times, form.data.variable: step}
            if all(test.holds(inner) for test in form.data.tests):
                terms.append(self.evaluate(form.args[0], inner))
        if form.data.kind == "prod":
            return self._product(form.args[0], terms)
        whole = sum(terms, np.zeros((1, 1, 1), complex))
        return whole if form.data.kind == "sum" else whole / len(terms)

    def _steps(self, over: Over, times: Mapping[str, int]) -> range:
        """What a sum runs over: from the one bound to the other where it has both, else what its variable runs over."""
        here = Index(((over.variable, 1),))
        bounds = [
            (test.relation, test.right.at(times)) for test in over.tests if test.left == here and not test.modulus
        ]
        lows = [at + (relation == ">") for relation, at in bounds if relation in (">", ">=")]
        highs = [at - (relation == "<") for relation, at in bounds if relation in ("<", "<=")]
        if lows and highs:
            return range(max(lows), min(highs) + 1)
        low, high = self.file.ranges.get(over.variable) or next(iter(self.file.ranges.values()))
        return range(low.at(self.lengths), high.at(self.lengths) + 1)

    def _product(self, body: Form, terms: list[np.ndarray]) -> np.ndarray:
        """Of matrices in the order of the steps, the first on the left; the empty one is the identity."""
        rows, columns = shape_of(body, self.shapes)
        if rows != columns:
            raise Unread("a product over time of what is no square matrix")
        whole = np.eye(rows)[None] + 0j
        for term in terms:
            whole = whole @ term
        return whole

    # -- gradients --------------------------------------------------------------------------------------------------
    def look(self, name: str, step: Step) -> np.ndarray:
        """What a formula reads: a quantity, a true gradient, or a helper by its own equation."""
        place = (name, step)
        if not self.ran:
            return self.value(name, step)
        if name in self.shapes and name not in {e.name for e in self.file.gradients if e.name not in self.file.defined}:
            if place in self.stated and place not in self.forward:
                equation, times = self.stated[place]  # h[T+1] = 0, stated among the gradients
                return self.evaluate(equation.rhs, times) + np.zeros(self.shapes[name])
            return self.value(name, step)
        if name.startswith("d") and name[1:] in self.shapes:
            return self.gradient(name[1:], step)
        if place not in self.helpers:
            if place not in self.stated:
                raise Unread(f"{name}{step} is stated nowhere")
            equation, times = self.stated[place]
            self.helpers[place] = self.evaluate(equation.rhs, times)
        return self.helpers[place]

    def gradient(self, name: str, step: Step) -> np.ndarray:
        """The true derivative of the loss by a quantity at a step; 0 where it does not exist and the file says so."""
        if self.truth is None:
            self.ready()
            self.truth = self.gradients()
        place = (name, step)
        if place in self.truth:
            return self.truth[place]
        if ("d" + name, step) in self.stated:
            return np.zeros((1, *self.shapes[name]), complex)
        raise Unread(f"d{name}{step} does not exist")

    def gradients(self) -> dict[Place, np.ndarray]:
        """The derivative of L by every entry of every quantity at every step that the run has."""
        plain = World(self.file, self.shapes, self.lengths, self.seed)
        plain.run()
        places = [(place, value.shape[-2:]) for place, value in plain.values.items() if place[0] not in self.labels]
        count = sum(rows * columns for _, (rows, columns) in places)
        bumped, at = World(self.file, self.shapes, self.lengths, self.seed), 0
        for place, (rows, columns) in places:
            bump = np.zeros((count, rows, columns), complex)
            for i, j in product(range(rows), range(columns)):
                bump[at, i, j] = 1j * H
                at += 1
            bumped.bumps[place] = bump
        bumped.run()
        slope = np.broadcast_to(bumped.value("L", ()).imag / H, (count, 1, 1)).reshape(count)
        found, at = {}, 0
        for place, (rows, columns) in places:
            found[place] = slope[at : at + rows * columns].reshape(1, rows, columns).astype(complex)
            at += rows * columns
        return found

    def truth_of(self, equation: Equation, times: Mapping[str, int]) -> np.ndarray:
        """What the left-hand side of a gradient equation is."""
        return self.gradient(equation.name[1:], tuple(index.at(times) for index in equation.indices))

    def errors(self, equation: Equation) -> dict[Step, float]:
        """By step that an equation of this file claims, how far it is off, as a share of the largest entry."""
        self.ready()
        found = {}
        for (name, step), (owner, times) in self.stated.items():
            if owner is equation:
                stated, truth = self.evaluate(equation.rhs, times), self.gradient(name[1:], step)
                if stated.shape[-2:] not in ((1, 1), truth.shape[-2:]):
                    return {step: np.inf}  # ill-typed
                size = max(float(np.max(abs(truth))), float(np.max(abs(stated))), 1e-12)
                found[step] = float(np.max(abs(stated - truth))) / size
        return found


def wrong_at(
    file: File,
    shapes: Mapping[str, Shape],
    equation: Equation,
    lengths: Iterable[Mapping[str, int]],
    least: float = 1e-7,
) -> Mapping[str, int] | None:
    """The first lengths at which an equation of a file is numerically wrong; None if it is right at all of them."""
    for these in lengths:
        for seed in range(2):
            if any(
                error > least or error != error for error in World(file, shapes, these, seed).errors(equation).values()
            ):
                return these
    return None


def _stacked(args: list[np.ndarray]) -> np.ndarray:
    most = max(arg.shape[0] for arg in args)
    return np.concatenate([np.broadcast_to(arg, (most, *arg.shape[1:])) for arg in args], axis=-2)


def _coverage(
    file: File, equations: Iterable[Equation], lengths: Mapping[str, int]
) -> dict[Place, tuple[Equation, dict[str, int]]]:
    """Which equation defines which step: the narrower before the wider."""
    found: dict[Place, tuple[Equation, dict[str, int]]] = {}
    for equation in sorted(equations, key=_narrowness, reverse=True):
        for times in _bindings(file, equation.running, lengths):
            if all(test.holds(times) for test in equation.when):
                found.setdefault((equation.name, tuple(i.at(times) for i in equation.indices)), (equation, times))
    return found


def _bindings(file: File, names: tuple[str, ...], lengths: Mapping[str, int]) -> Iterable[dict[str, int]]:
    spans = []
    for name in names:
        low, high = file.ranges[name]
        spans.append(range(low.at(lengths), high.at(lengths) + 1))
    for steps in product(*spans):
        yield {**lengths, **dict(zip(names, steps, strict=True))}


def _narrowness(equation: Equation) -> int:
    scaled = any(scale != 1 for index in equation.indices for _, scale in index.terms)
    if equation.when or not equation.running or scaled:
        return 2
    return int(any(not index.running for index in equation.indices))


def _labels(file: File) -> set[str]:
    """Class labels: what stands in onehot and as target of a cross entropy, with no equation and no declared size."""
    from benchmarks.soak.forms import walk

    sizes = {part.partition("=")[0].strip() for part in file.headers.get("sizes", "").split(",")}
    return (
        {
            node.args[-1].data[0]
            for equation in file.forward
            for _, node in walk(equation.rhs)
            if node.op == "call" and node.data in ("onehot", "cross_entropy") and node.args[-1].op == "ref"
        }
        - file.defined
        - sizes
    )


def _bounds(said: str) -> dict[str, tuple[float | None, float | None]]:
    found: dict[str, tuple[float | None, float | None]] = {}
    for part in filter(str.strip, said.split(",")):
        words = part.replace("<=", "<").replace(">=", ">").replace("<", " < ").replace(">", " > ").split()
        if len(words) == 5:
            found[words[2]] = (
                (float(words[0]), float(words[4])) if words[1] == "<" else (float(words[4]), float(words[0]))
            )
        elif words[1] == ">":
            found[words[0]] = (float(words[2]), None)
        else:
            found[words[0]] = (None, float(words[2]))
    return found


__all__ = ["CALLS", "Index", "Test", "World", "wrong_at"]
