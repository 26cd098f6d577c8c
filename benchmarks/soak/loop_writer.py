"""Random recurrent functions as text, out of the idioms in which people write loops by hand.

Every variable of a step is (B, width); parameters are entries of `p`.
"""

from __future__ import annotations

from random import Random

UNARY = (
    "np.tanh({0})",
    "np.tanh({0})",
    "tg.sigmoid({0})",
    "tg.sigmoid({0})",
    "tg.softplus({0})",
    "tg.relu({0})",
    "np.sin({0})",
    "np.exp(-{0} * {0})",
    "tg.softmax({0}, axis=1)",
    "tg.softmax({0}, axis=-1)",
    "tg.softmax({0})",
    "tg.log_softmax({0}, axis=1)",
    "{0} - tg.logsumexp({0}, axis=1, keepdims=True)",
    "{0} - np.mean({0}, axis=1, keepdims=True)",
    "{0} - np.max({0}, axis=-1, keepdims=True)",
    "{0} / np.sqrt(1.0 + np.sum({0} * {0}, axis=1, keepdims=True))",
    "np.abs({0})",
    "np.sqrt(1.0 + {0}**2)",
    "np.log1p({0}**2)",
    "{0} ** 3",
    "np.clip({0}, -0.5, 0.5)",
    "0.3 * np.cumsum({0}, axis=1)",
    "np.sort({0}, axis=1)",
    "np.roll({0}, 1, axis=1)",
    "np.flip({0}, axis=1)",
    "{0}[:, ::-1]",
    "tg.stop({0})",
    "{0} + tg.stop(np.sign({0}) - {0})",
    "{0} * tg.stop({0})",
    "1.0 - {0}",
    "-{0}",
    "0.5 * {0}",
    "{0} / 2.0",
    "1.0 / (1.5 + {0} * {0})",
    "({0} * {0}) ** 1.5",
    "{0}.T.T",
    "tg.sigmoid({0}) * {0}",
    "np.log(tg.sigmoid({0}))",
    "np.where({0} > 0, {0}, 0.1 * {0})",
)
BINARY = (
    "{0} + {1}",
    "{0} - {1}",
    "{0} * {1}",
    "{0} * {1}",
    "{0} / (1.0 + {1} * {1})",
    "np.maximum({0}, {1})",
    "np.minimum({0}, {1})",
    "np.logaddexp({0}, {1})",
    "tg.sigmoid({0}) * {1}",
    "(1.0 - tg.sigmoid({0})) * {1}",
    "0.5 * {0} + 0.5 * {1}",
    "{0} + tg.stop({1} - {0})",
    "tg.stop({0}) * {1}",
    "tg.add_n([{0}, {1}])",
)
REDUCED = (
    "np.sum({0})",
    "np.sum({0} * {0})",
    "np.mean({0})",
    "np.sum(np.mean({0} * {0}, axis=0))",
    "0.5 * np.sum(np.square({0}))",
    "np.sum(tg.logsumexp({0}, axis=1))",
    "np.mean(np.sum({0}**2, axis=1))",
    "np.sum({0}, axis=(0, 1))",
    "np.sum(np.max({0}, axis=1))",
    "np.sum({0}[0])",
    "np.sum({0}[:, 0])",
)
LENGTH_NUMBERS = (
    "{0} / T",
    "{0} / T",
    "{0} * T",
    "{0} / T**2",
    "{0} * (1.0 / T)",
    "{0} / min(T, 10)",
    "{0} * (T % 2)",
    "{0} * (T // 2)",
    "{0} / len(x)",
    "{0} / (T * x.shape[1])",
    "{0} / x.size",
    "{0} * (1 + T)",
    "{0} / np.sqrt(T)",
    "{0} * 0.9**T",
    "{0} * (2.0 if T > 4 else 1.0)",
    "{0} / max(T - 1, 1)",
    "{0} / x.shape[0]",
)
UPDATES = (
    "np.tanh({0})",
    "np.tanh({0})",
    "tg.sigmoid({0})",
    "tg.softmax({0}, axis=1)",
    "0.5 * {1} + 0.3 * np.tanh({0})",
    "{1} + 0.1 * np.sin({0})",
    "tg.softmax({1} + {0})",
    "np.tanh({1} + {0}) - tg.logsumexp({0}, axis=1, keepdims=True)",
    "np.clip({0}, -1.0, 1.0)",
    "{0} / (1.0 + {0} * {0})",
)
MASKED = ("{0} * {1} + (1.0 - {0}) * {2}", "{0} * {1}", "np.where({0} > 0.5, {1}, {2})")
STEP_NUMBERS = ("0.5**t", "(t % 2)", "(1.0 / (t + 1))", "(t == 0)", "(1.0 / T)", "(t / T)")
#: how the losses of all steps become one number
LISTS = ("sum({0})", "sum({0}) / T", "tg.add_n({0})", "np.mean(np.stack({0}))", "{0}[-1]", "{0}[0] + {0}[-1]")
#: how the states of all steps become one number
STACKS = (
    "np.sum(np.stack({0}) ** 2)",
    "np.mean(np.stack({0}))",
    "np.sum(np.concatenate({0}, axis=0) ** 2)",
    "np.sum(np.stack({0})[-1] ** 2)",
    "np.sum({0}[-1]) + np.sum({0}[0] ** 2)",
    "np.sum(np.stack({0}, axis=1)[:, 0] ** 2)",
    "np.sum({0}[T // 2] ** 2)",
    "np.sum(np.max(np.stack({0}), axis=0))",
)
WEIGHTS = ("0.1 * {}", "{} / T", "{} / T", "SCALE * {}")
PENALTIES = (
    '0.1 * np.sum(p["{0}"] ** 2)',
    '0.01 * np.sum(np.abs(p["{0}"]))',
    '0.1 * np.sum(p["{0}"] ** 2) / T',
    '0.1 * np.sum(tg.stop(p["{0}"]) * p["{0}"])',
)
STARTS = (
    "np.zeros((x.shape[1], {H}), x.dtype)",
    "np.zeros((x.shape[1], {H}), x.dtype)",
    "np.ones((x.shape[1], {H}), x.dtype)",
    "{row} + np.zeros((x.shape[1], {H}), x.dtype)",
    "np.tanh({one}) * np.ones((x.shape[1], 1), x.dtype)",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Writer:
    """One loss function; `parameters` (shapes), `arguments` and `scales` are what it came to read.

    small: one loop with few lines.
    """

    def __init__(self, rng: Random, small: bool = False):
        self.rng, self.small = rng, small
        self.width, self.inputs = rng.choice((1, 2, 3, 4)), rng.choice((1, 2, 3))
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.arguments: list[str] = ["x"]
        self.scales: list[str] = []
        #: whether each step says what the next input is, so that there is one step less
        self.predicts = rng.random() < 0.12
        self.lines: list[str] = []
        self.known: list[tuple[str, int]] = []
        self.numbers = 0

    def function(self) -> str:
        """`def loss(p, x, ...)`, with one loop or two."""
        self.lines.append("    T = len(x)")
        result, given = "", ("x[t]", self.inputs)
        layers = 1 if self.small else self.rng.choice((1, 1, 1, 1, 2, 2, 3))
        for layer in range(layers):
            term = self._loop(str(layer or ""), given, layer + 1 < layers)
            result = f"{result} + {term}" if result else term
            if layer + 1 < layers and self.rng.random() < 0.7:
                given = (f"outs{layer or ''}[t]", self.width)
        if self.rng.random() < 0.4:
            numbers = (*LENGTH_NUMBERS, "{0} / np.sum(m)") if "m" in self.arguments else LENGTH_NUMBERS
            result = self.rng.choice(numbers).format(f"({result})" if layers > 1 else result)
        if self.rng.random() < 0.25:
            result += f" + {self._penalty()}"
        return f"def loss({', '.join(['p', *self.arguments])}):\n" + "\n".join([*self.lines, f"    return {result}"])

    # -- what is read -------------------------------------------------------------------------------------------------
    def _parameter(self, *shape: int) -> str:
        same = [name for name, known in self.parameters.items() if known == shape]
        if same and self.rng.random() < 0.25:
            return f'p["{self.rng.choice(same)}"]'
        number = len(self.parameters)
        name = LETTERS[number % 26] + str(number // 26 or "")
        self.parameters[name] = shape
        return f'p["{name}"]'

    def _argument(self, name: str) -> str:
        if name not in self.arguments:
            self.arguments.append(name)
        return name

    def _scale(self) -> str:
        """A global number, or a global row."""
        numbers = [round(self.rng.uniform(0.2, 0.9), 2) for _ in range(self.width)]
        self.scales.append(f"np.array({numbers})" if self.rng.random() < 0.2 else f"{numbers[0]}")
        return f"SCALE{len(self.scales)}"

    def _some(self) -> str:
        """A value of a state's width, rather a late one."""
        same = [name for name, width in self.known if width == self.width]
        return self.rng.choice(same[-4:] if self.rng.random() < 0.7 else same)

    def _put(self, text: str, width: int | None = None) -> str:
        self.numbers += 1
        name = f"v{self.numbers}"
        self.lines.append(f"        {name} = {text}")
        self.known.append((name, width or self.width))
        return name

    # -- one step -----------------------------------------------------------------------------------------------------
    def _product(self, name: str, size: int, width: int) -> str:
        kind = self.rng.randrange(5)
        if kind == 0:
            return f"{name} @ {self._parameter(size, width)}"
        if kind == 1:
            return f"np.einsum('bi,ij->bj', {name}, {self._parameter(size, width)})"
        if kind == 2:
            return f"np.dot({name}, {self._parameter(width, size)}.T)"
        if kind == 3 and size == width:
            return f"{name} * {self._parameter(width)}"
        return f"tg.linear({name}, {self._parameter(width, size)})"

    def _affine(self, width: int) -> str:
        """A pre-activation of one or two known values."""
        chosen = self.rng.sample(self.known, min(len(self.known), self.rng.choice((1, 2, 2))))
        if len(chosen) == 2 and self.rng.random() < 0.25:
            both = f"np.concatenate([{chosen[0][0]}, {chosen[1][0]}], axis={self.rng.choice((1, -1))})"
            terms = [self._product(both, chosen[0][1] + chosen[1][1], width)]
        else:
            terms = [self._product(name, size, width) for name, size in chosen]
        if self.rng.random() < 0.6:
            terms.insert(self.rng.randrange(len(terms) + 1), self._parameter(width))
        return " + ".join(terms)

    def _gate(self) -> None:
        self._put(self.rng.choice(("np.tanh({})", "tg.sigmoid({})", "{}")).format(self._affine(self.width)))

    def _unary(self) -> None:
        self._put(self.rng.choice(UNARY).format(self._some()))

    def _binary(self) -> None:
        self._put(self.rng.choice(BINARY).format(self._some(), self._some()))

    def _stacked(self) -> None:
        """Several gates of one product."""
        gates, H = self.rng.choice((2, 3, 4)), self.width
        stacked = self._put(self._affine(gates * H), gates * H)
        cuts = [f"{stacked}[:, {gate * H}:{(gate + 1) * H}]" for gate in range(gates)]
        if self.rng.random() < 0.3:
            self.lines.append(f"        parts{stacked} = np.split({stacked}, {gates}, axis=1)")
            cuts = [f"parts{stacked}[{gate}]" for gate in range(gates)]
        for cut in self.rng.sample(cuts, self.rng.choice((1, 2))):
            self._put(self.rng.choice(("tg.sigmoid({})", "np.tanh({})", "{}")).format(cut))

    def _joined(self) -> None:
        """Columns of two values, beside each other."""
        if self.width == 1:
            return self._unary()
        cut = self.rng.randrange(1, self.width)
        parts = [f"{self._some()}[:, :{cut}]", f"{self._some()}[:, {cut - self.width}:]"]
        self._put(f"np.concatenate([{', '.join(self.rng.sample(parts, 2))}], axis={self.rng.choice((1, -1))})")

    def _masked(self) -> None:
        mask = f"{self._argument('m')}[t][:, None]"
        self._put(self.rng.choice(MASKED).format(mask, self._some(), self._some()))

    def _symbol(self) -> None:
        self._put(f"tg.embedding({self._parameter(5, self.width)}, {self._argument('ids')}[t])")

    def _scaled(self) -> None:
        kind = self.rng.random()
        if kind < 0.3:
            self._put(f"{self._some()} * {self.rng.choice(STEP_NUMBERS)}")
        elif kind < 0.55:
            self._put(f"{self._some()} * {self._scale()}")
        elif kind < 0.7:
            self._put(f"{self._some()} * {self._argument('k')}")
        else:
            self._put(f"np.mean({self._some()}, axis=0, keepdims=True) + {self._some()}")

    def _step(self, reads: list[tuple[str, int]], states: list[str]) -> None:
        """The lines of one step; each state is assigned once, at the end."""
        self.known = list(reads)
        kinds = (self._gate, self._gate, self._gate, self._unary, self._unary, self._binary, self._binary)
        kinds += (self._stacked, self._joined, self._masked, self._symbol, self._scaled)
        self._put(f"{self._product(*reads[0], self.width)} + {self._product(*reads[1], self.width)}")
        for _ in range(self.rng.choice((0, 1, 1, 2, 3) if self.small else (0, 1, 2, 3, 4, 6))):
            self.rng.choice(kinds)()
        for state in states:
            self.lines.append(f"        {state} = {self.rng.choice(UPDATES).format(self._some(), state)}")

    # -- a loop and its loss ------------------------------------------------------------------------------------------
    def _loop(self, mark: str, given: tuple[str, int], keep: bool) -> str:
        """One loop; the name of its loss."""
        rng, add = self.rng, self.lines.append
        states = [f"{state}{mark}" for state in ("h", "c", "s")[: rng.choice((1, 1, 2, 2, 3))]]
        for state in states:
            add(f"    {state} = {self._start()}")
        total, kept, losses = f"total{mark}", f"outs{mark}", f"losses{mark}"
        kinds = ["each", "each", "weighted", "last", "list", "stack", "nothing" if mark else "each"]
        kind = rng.choice([kind for kind in kinds if kind != "stack" or not self.predicts])
        keep, back = keep or kind == "stack", rng.random() < 0.15
        add(f"    {total} = 0.0")
        if keep:
            add(f"    {kept} = [None] * T" if back else f"    {kept} = []")
        if kind == "list":
            add(f"    {losses} = []")
        steps = "T - 1" if self.predicts else "T"
        add(f"    for t in tg.steps({f'{steps} - 1, -1, -1' if back else steps}):")
        reads = [given, *((state, self.width) for state in states)]
        if mark and rng.random() < 0.3:
            reads.append(("x[t]", self.inputs))
        if rng.random() < 0.05:
            reads.append(("x[t - 1]", self.inputs))
        self._step(reads, states)
        out = rng.choice(states)
        if keep:
            add(f"        {kept}[t] = {out}" if back else f"        {kept}.append({out})")
        if kind == "each":
            add(f"        {total} = {total} + {self._loss(out)}")
        if kind == "weighted":
            weighted = rng.choice(WEIGHTS).format(self._loss(out))
            scaled = weighted.replace("SCALE", self._scale()) if "SCALE" in weighted else weighted
            add(f"        {total} = {total} + {scaled}")
        if kind == "list":
            add(f"        {losses}.append({self._loss(out)})")
        if rng.random() < 0.1:
            add(f"        {total} = {total} + {self._penalty()}")
        if kind == "list":
            add(f"    {total} = {total} + {rng.choice(LISTS).format(losses)}")
        if kind == "stack":
            add(f"    {total} = {total} + {rng.choice(STACKS).format(kept)}")
        if kind == "last" or rng.random() < 0.2:
            add(f"    {total} = {total} + {rng.choice(REDUCED).format(rng.choice(states))}")
        return total

    def _loss(self, state: str) -> str:
        if self.predicts and self.rng.random() < 0.7:
            return f"np.sum((tg.linear({state}, {self._parameter(self.inputs, self.width)}) - x[t + 1]) ** 2)"
        if self.rng.random() < 0.25:
            logits = f"tg.linear({state}, {self._parameter(4, self.width)})"
            form = self.rng.choice(("np.sum({0})", "np.mean({0})"))
            return form.format(f"tg.cross_entropy({logits}, {self._argument('y')}[t])")
        return self.rng.choice(REDUCED).format(state)

    def _penalty(self) -> str:
        if not self.parameters:
            self._parameter(self.width)
        return self.rng.choice(PENALTIES).format(self.rng.choice(sorted(self.parameters)))

    def _start(self) -> str:
        form = self.rng.choice(STARTS)
        row = self._parameter(self.width) if "{row}" in form else ""
        one = self._parameter(1, self.width) if "{one}" in form else ""
        return form.format(H=self.width, row=row, one=one)
