"""Random recurrent models: states of several kinds, delays, gates, stacks, masks, two sequences, losses, penalties.

Each kind of state is a few lines of text with its own shapes; a model is one to three of them, an output and a loss.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from benchmarks.soak.reading import File, read

Shape = tuple[int, int]


@dataclass
class Draft:
    """A model in the making: lines, shapes, and the columns of a step that may be read."""

    rng: Random
    lines: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    #: columns with a value at every step t, and their sizes
    columns: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Shape] = field(default_factory=dict)
    used: int = 0

    def size(self) -> int:
        """A size that no other quantity has, while there are any."""
        free = [n for n in (3, 4, 5, 2, 6) if n not in self.columns.values()] or [3, 4, 5]
        return self.rng.choice(free[:3])

    def fresh(self, letter: str) -> str:
        """A name of its own."""
        name = letter if letter not in self.shapes else f"{letter}_{self.used}"
        while name in self.shapes:
            self.used += 1
            name = f"{letter}_{self.used}"
        return name

    def matrix(self, rows: int, columns: int, letter: str = "W") -> str:
        return self.leaf(letter, rows, columns)

    def bias(self, rows: int) -> str:
        return self.leaf("b", rows)

    def leaf(self, letter: str, rows: int, columns: int = 1) -> str:
        name = self.fresh(letter)
        self.shapes[name] = (rows, columns)
        return name

    def column(self, letter: str, rows: int) -> str:
        name = self.leaf(letter, rows)
        self.columns[name] = rows
        return name

    def input(self) -> tuple[str, int]:
        """A column that can be read at step t."""
        columns = list(self.columns.items())
        return columns[-1] if self.rng.random() < 0.6 else self.rng.choice(columns)

    def driven(self, rows: int, *before: str, bias: bool = True) -> str:
        """`b + W @ h[t-1] + U @ x[t]`, its terms in some order."""
        name, width = self.input()
        terms = [*before, f"{self.matrix(rows, width, 'U')} @ {name}[t]"]
        if bias and self.rng.random() < 0.8:
            terms.append(self.bias(rows))
        self.rng.shuffle(terms)
        return " + ".join(terms)

    def says(self, *lines: str) -> None:
        self.lines += lines


SQUASH = ("tanh", "tanh", "sigmoid", "softplus", "sin")


def _vanilla(d: Draft, h: str, n: int) -> None:
    a, f = d.leaf("a", n), d.rng.choice((*SQUASH, "relu"))
    d.says(f"{a}[t] = {d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')}", f"{h}[t] = {f}({a}[t])")


def _inline(d: Draft, h: str, n: int) -> None:
    d.says(f"{h}[t] = {d.rng.choice(SQUASH)}({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")


def _delayed(d: Draft, h: str, n: int) -> None:
    a, k = d.leaf("a", n), d.rng.choice((2, 3))
    d.says(f"{a}[t] = {d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]', f'{d.matrix(n, n, chr(81))} @ {h}[t-{k}]')}")
    d.says(f"{h}[t] = tanh({a}[t])")


def _leaky(d: Draft, h: str, n: int) -> None:
    alpha, v = d.leaf("alpha", d.rng.choice((1, n))), d.leaf("v", n)
    d.says(f"{v}[t] = {d.rng.choice(SQUASH)}({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
    d.says(f"{h}[t] = {alpha} * {h}[t-1] + (1 - {alpha}) * {v}[t]")


def _time_constant(d: Draft, h: str, n: int) -> None:
    tau = d.leaf("tau", n)
    d.headers["bounds"] = ", ".join(filter(None, (d.headers.get("bounds"), f"{tau} >= 1")))
    d.says(f"{h}[t] = (1 - 1 / {tau}) * {h}[t-1] + 1 / {tau} * tanh({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")


def _gated(d: Draft, h: str, n: int) -> None:
    z, v = d.leaf("z", n), d.leaf("n", n)
    d.says(f"{z}[t] = sigmoid({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
    inner = f"{d.matrix(n, n)} @ {h}[t-1]"
    if d.rng.random() < 0.5:
        r = d.leaf("r", n)
        d.says(f"{r}[t] = sigmoid({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
        inner = f"{d.matrix(n, n)} @ ({r}[t] * {h}[t-1])"
    d.says(f"{v}[t] = tanh({d.driven(n, inner)})")
    d.says(f"{h}[t] = (1 - {z}[t]) * {h}[t-1] + {z}[t] * {v}[t]")


def _cell(d: Draft, h: str, n: int) -> None:
    f, i, g, c = (d.leaf(letter, n) for letter in ("f", "i", "g", "c"))
    for gate in (f, i):
        d.says(f"{gate}[t] = sigmoid({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
    d.says(f"{g}[t] = tanh({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
    d.says(f"{c}[t] = {f}[t] * {c}[t-1] + {i}[t] * {g}[t]")
    if d.rng.random() < 0.6:
        q = d.leaf("q", n)
        d.says(f"{q}[t] = sigmoid({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
        d.says(f"{h}[t] = {q}[t] * tanh({c}[t])")
    else:
        d.says(f"{h}[t] = tanh({c}[t])")


def _stacked(d: Draft, h: str, n: int) -> None:
    x, m = d.input()
    d.says(f"{h}[t] = tanh({d.matrix(n, n + m)} @ [{h}[t-1]; {x}[t]] + {d.bias(n)})")


def _entrywise(d: Draft, h: str, n: int) -> None:
    w = d.leaf("w", n)
    d.says(
        f"{h}[t] = tanh({d.driven(n, f'{w} * {h}[t-1]')})"
        if d.rng.random() < 0.5
        else f"{h}[t] = {w} * sin({h}[t-1])**2 + sin({d.driven(n)})"
    )


def _product(d: Draft, h: str, n: int) -> None:
    d.says(f"{h}[t] = tanh({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')}) * sigmoid({d.matrix(n, n, 'Q')} @ {h}[t-1])")


def _residual(d: Draft, h: str, n: int) -> None:
    m = d.leaf("m", n + 1)
    d.says(f"{m}[t] = tanh({d.driven(n + 1, f'{d.matrix(n + 1, n)} @ {h}[t-1]')})")
    d.says(f"{h}[t] = {h}[t-1] + {d.matrix(n, n + 1, 'R')} @ {m}[t]")


def _first(d: Draft, h: str, n: int) -> None:
    x, m = d.input()
    W, U = d.matrix(n, n), d.matrix(n, m, "U")
    d.says(f"{h}[1] = tanh({U} @ {x}[1])", f"{h}[t] = tanh({W} @ {h}[t-1] + {U} @ {x}[t])    for t > 1")


def _clocked(d: Draft, h: str, n: int) -> None:
    k = d.rng.choice((2, 3))
    d.says(f"{h}[t] = tanh({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})    for t % {k} = 0")
    d.says(f"{h}[t] = {h}[t-1]    for t % {k} != 0")


def _masked(d: Draft, h: str, n: int) -> None:
    m, v = d.leaf("m", d.rng.choice((1, n))), d.leaf("v", n)
    d.says(f"{v}[t] = tanh({d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')})")
    d.says(f"{h}[t] = {m}[t] * {v}[t] + (1 - {m}[t]) * {h}[t-1]")


def _normed(d: Draft, h: str, n: int) -> None:
    v = d.leaf("v", n)
    d.says(f"{v}[t] = {d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')}", f"{h}[t] = {v}[t] / (1 + sum({v}[t]**2))")


def _softmax(d: Draft, h: str, n: int) -> None:
    e = d.leaf("e", n)
    d.says(f"{e}[t] = {d.driven(n, f'{d.matrix(n, n)} @ {h}[t-1]')}", f"{h}[t] = softmax({e}[t])")


def _backward(d: Draft, h: str, n: int) -> None:
    d.says(f"{h}[t] = tanh({d.driven(n, f'{d.matrix(n, n)} @ {h}[t+1]')})", f"{h}[T+1] = 0")


def _fast_weights(d: Draft, h: str, n: int) -> None:
    x, m = d.input()
    M, rate, k = d.leaf("M", n, m), d.leaf("rate", 1), d.leaf("k", n)
    d.says(f"{k}[t] = tanh({d.driven(n)})", f"{M}[t] = {rate} * {M}[t-1] + {k}[t] @ {x}[t].T")
    d.says(f"{h}[t] = {M}[t] @ {d.leaf('q', m)}")


STATES: tuple[Callable[[Draft, str, int], None], ...] = (
    _vanilla, _vanilla, _inline, _delayed, _leaky, _time_constant, _gated, _cell, _stacked, _entrywise, _product,
    _residual, _first, _clocked, _masked, _normed, _softmax, _backward, _fast_weights,
)  # fmt: skip


def draw(rng: Random) -> tuple[File, dict[str, Shape]]:
    """A random model and the shapes of its quantities."""
    d = Draft(rng)
    d.column("x", d.size())
    encoder = rng.random()
    if encoder < 0.15:
        _encoder(d, attends=encoder < 0.08)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        n = d.size()
        h = d.leaf(rng.choice(("h", "s", "g")) if encoder >= 0.15 else "u", n)
        rng.choice(STATES)(d, h, n)
        d.columns[h] = n
    _loss(d, h, n)
    said = " ".join(d.lines)
    sizes = [f"{name} = {_sized(shape)}" for name, shape in d.shapes.items() if re.search(rf"\b{name}\b", said)]
    headers = {"sizes": ", ".join(sizes), **d.headers}
    text = "\n".join([*(f"{key}: {value}" for key, value in headers.items()), *d.lines])
    return read(text), {**d.shapes, **d.labels}


def _sized(shape: Shape) -> str:
    return str(shape[0]) if shape[1] == 1 else f"{shape[0]} x {shape[1]}"


def _encoder(d: Draft, attends: bool) -> None:
    """A second sequence s: its last state, or all its states weighed at every step t."""
    n, m = d.size(), d.size()
    z, k = d.leaf("z", m), d.leaf("k", n)
    d.headers["indices"] = "s = 1..S, s1 = 1..S, s2 = 1..S, t = 1..T, t1 = 1..T"
    W, U = d.matrix(n, n), d.matrix(n, m, "U")
    d.says(f"{k}[s] = tanh({W} @ {k}[s-1] + {U} @ {z}[s] + {d.bias(n)})")
    c = d.column("c", n)
    if not attends:
        d.says(f"{c}[t] = {d.matrix(n, n, 'C')} @ {k}[S]")
        return
    e, alpha = d.leaf("e", 1), d.leaf("alpha", 1)
    d.says(f"{e}[t, s] = x[t].T @ {d.matrix(d.columns['x'], n, 'A')} @ {k}[s]")
    d.says(f"{alpha}[t, s] = exp({e}[t, s]) / sum(s1, exp({e}[t, s1]))")
    d.says(f"{c}[t] = sum(s, {alpha}[t, s] * {k}[s])")


def _loss(d: Draft, h: str, n: int) -> None:
    rng = d.rng
    read, m = f"{h}[t]", n
    if rng.random() < 0.6:
        m = d.size()
        o = d.leaf("o", m)
        d.says(f"{o}[t] = {d.matrix(m, n, 'V')} @ {h}[t]" + (f" + {d.bias(m)}" if rng.random() < 0.6 else ""))
        read = f"{o}[t]"
    kind = rng.randrange(9)
    y = d.leaf("y", m) if kind not in (2, 6) else ""
    match kind:
        case 0:
            loss = f"sum(t, squared_error({read}, {y}[t]))"
        case 1:
            del d.shapes[y]  # a class has no declared size
            loss = f"sum(t, cross_entropy({read}, {y}[t]))"
        case 2:
            loss = f"sum(t, sum({read}**2))" if rng.random() < 0.5 else f"sum(t, norm({read}))"
        case 3:
            loss = f"0.5 * sum(t, sum(({read} - {y}[t])**2))"
        case 4:
            loss = f"mean(t, sum(({read} - {y}[t])**2))"
        case 5:
            weight = d.leaf("m", 1)
            loss = f"sum(t, {weight}[t] * squared_error({read}, {y}[t]))"
        case 6:
            loss = f"-sum(t, sum(log(sigmoid({read}))))"
        case 7:
            loss = f"squared_error({read.replace('[t]', '[T]')}, {y}[T])"
        case _:
            loss = f"sum(t > 2, sum({y}[t] * {read}))"
    if kind == 1:
        d.labels[y] = (m, 1)
    if rng.random() < 0.3:
        columns = [name for name, shape in d.shapes.items() if name[0] == "b" and shape[1] == 1]
        if columns:
            loss += f" + 0.1 * sum({rng.choice(columns)}**2)"
    if rng.random() < 0.4 and loss.startswith("sum(t, ") and "+" not in loss:
        d.labels["L"] = (1, 1)
        d.says(f"L[t] = {loss[7:-1]}", "L = sum(t, L[t])")
    else:
        d.labels["L"] = (1, 1)
        d.says(f"L = {loss}")
