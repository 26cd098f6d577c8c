"""Rows that pass, once more: on other probes where those at hand could not have shown a mistake.

What is zero or flat on a probe (`alive`), and a kink seen from one side only (`sides`), hides mistakes. A unit that is
on at every probe makes its relu' a factor of 1, and an equation that forgets it agrees with all of them. A side is seen
only where something comes of it: in `relu(a) * relu(b)` that of b is hidden while a is off, and in
`z > maximum(w, s)` that of the maximum where z is larger, or smaller, than both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from ...core.backward import fit, numeric
from ...core.graph import ancestors
from ...core.tensor import Tensor
from ...language import Equation
from ...language.rewriting import names
from ..results import FAIL, INCONCLUSIVE, PASS, Row, StepVerdict, overall, worst_step
from .budget import WITNESS_SECONDS, Deadline
from .probe import Drawn, Probe, states
from .trials import Trial

#: what bends or jumps where its input is zero, or its two inputs are equal
KINKED = frozenset({"relu", "abs", "maximum", "minimum", "greater", "sign"})
#: what is one number on each side of a jump, and has no derivative
JUMPS = frozenset({"greater", "sign"})
#: what moves a gradient by less than this share of itself is hidden
HIDDEN = 1e-9
#: of each kink, named by its form, the signs of its argument, and whether something comes of it there
Sides = dict[int, frozenset[tuple[float, bool]]]


def sides(probe: Probe, equation: Equation) -> Sides:
    """The sides of the kinks that an equation's truth depends on, other than through what its right-hand side reads.

    All steps count together, for a kink looks alike at each. An argument that is zero has no side; of one that stands
    behind a mask nothing comes.

    >>> from tinygrad_rnn.language import load
    >>> forward = "sizes: h = 1\\nh[t] = tanh(w * h[t-1])\\nz = h[T]\\nL = relu(z)\\n"
    >>> model = load(forward + "gradients:\\ndz = 1\\ndh[T] = dz")
    >>> probe = Probe(model, model.unroll(4))
    >>> [[sorted(signs) for signs in sides(probe, equation).values()] for equation in model.gradients]
    [[[(1.0, True)]], []]
    """
    read = _read(probe, equation)
    targets = list(_targets(probe, equation))
    nodes = ancestors({x.id: x for node in targets for x in (node, *node.inputs)}.values(), stop=read)
    if not any(node.op is not None and node.op.name in KINKED for node in nodes):
        return {}
    forms, moves = _named(probe), _moves(targets, nodes, read)
    # where a power is taken of what is negative it has no value: that side of its guard is none
    guarded = {node.inputs[0].id for node in nodes if node.op is not None and node.op.name == "power"}
    signs: dict[int, set[tuple[float, bool]]] = {}
    for node in nodes:
        name = "" if node.op is None else node.op.name
        form = hash((name, *(forms.get(x.id, 0) for x in node.inputs)))
        forms.setdefault(node.id, form if node.inputs else hash(np.asarray(node.value).tobytes()))
        inside = node.id not in read or any(node is target for target in targets)
        if name in KINKED and inside and node.inputs[0].id not in guarded:
            first, *second = (np.real(np.asarray(x.value)) for x in node.inputs)
            side = np.sign(first - second[0] if second else first)
            counts = np.broadcast_to(moves.get(node.id, 0.0) > HIDDEN, np.shape(side))
            pairs = set(zip(np.ravel(side).tolist(), np.ravel(counts).tolist(), strict=True))
            signs.setdefault(form, set()).update((sign, seen) for sign, seen in pairs if sign in (-1.0, 1.0))
    return {form: frozenset(pairs) for form, pairs in signs.items() if pairs}


def together(one: Sides, other: Sides) -> Sides:
    """What two probes see."""
    return {form: one.get(form, frozenset()) | other.get(form, frozenset()) for form in one | other}


def one_sided(seen: Sides) -> bool:
    """Whether something comes of only one side of some kink."""
    return any(len({sign for sign, counts in signs if counts}) < 2 for signs in seen.values())


def _targets(probe: Probe, equation: Equation) -> Iterator[Tensor]:
    """The recorded gradients that the equation states."""
    base = probe.model.quantities.base(equation.target.key)
    for step in probe.model.steps_of(equation, probe.run.lengths) if base else ():
        copy = probe.model.role(equation) == "copy"
        node = probe.reference.recorded(base[0], step, copy) if base else None
        if node is not None:
            yield node


def _read(probe: Probe, equation: Equation) -> set[int]:
    """The ids of what the equation reads, itself and through helpers: quantities, and gradients of them."""
    stated = probe.model.quantities.stated
    reads, helpers = set(names(equation.rhs)), list(probe.model.quantities.helpers)
    for _ in helpers:
        for key in helpers:
            if key[0] in reads:
                reads |= {name for helper in stated[key] for name in names(helper.rhs)}
    bases = (probe.model.quantities.base((name, indexed)) for name in reads for indexed in (False, True))
    differentiated = {base[0] for base in bases if base is not None}
    values = {held.value.id for (name, _), held in probe.run.values.items() if name in reads}
    return values | {node.id for (name, _), node in probe.reference.by_place.items() if name in differentiated}


def _moves(targets: Sequence[Tensor], nodes: Sequence[Tensor], read: set[int]) -> Mapping[int, np.ndarray]:
    """How much each node moves the targets, entry by entry. What is read moves nothing, and a jump hides its argument,
    but for the kinks in it that make it jump.
    """
    rng, ends = np.random.default_rng(0), {node.id for node in targets}
    moves = {node.id: fit(rng.uniform(1.0, 2.0, node.shape), node) for node in targets}
    for node in sorted(nodes, key=lambda node: -node.id):
        g = moves.get(node.id)
        if g is None or node.op is None or (node.id in read and node.id not in ends) or node.op.name in JUMPS:
            continue
        inside = {x.id: Tensor(x.value, None, (), None, None, x.scope, True) for x in node.inputs}
        for own, x in inside.items():
            x.id = own
        for own, part in numeric({**inside, node.id: node}, {node.id: g}, set(inside)).items():
            moves[own] = moves[own] + part if own in moves else part
    sizes = {own: np.abs(np.asarray(part)) for own, part in moves.items()}
    arguments = [x for node in nodes if node.op is not None and node.op.name in JUMPS for x in node.inputs]
    for kink in ancestors(arguments, stop=read - ends):
        if kink.op is not None and kink.op.name in KINKED:
            flipped = _flips(kink, nodes, sizes, read - ends)
            sizes[kink.id] = np.maximum(sizes.get(kink.id, 0.0), flipped)
    return sizes


def _flips(
    kink: Tensor, nodes: Sequence[Tensor], moves: Mapping[int, np.ndarray], read: set[int]
) -> np.ndarray | float:
    """1 where some jump that moves the targets would say something else, were the kink on its other side; else 0.

    All entries of the kink change sides together; a jump of another shape than the kink counts for all of them.
    """
    changed, flips = {kink.id: _other_side(kink)}, np.zeros(kink.shape)
    with np.errstate(all="ignore"):
        for node in nodes:
            follows = node.id > kink.id and any(x.id in changed for x in node.inputs)
            if not follows or node.op is None or node.id in read:
                continue
            now = node.op.forward(*[changed.get(x.id, x.value) for x in node.inputs], **(node.params or {}))
            changed[node.id] = now
            if node.op.name in JUMPS:
                jumped = (np.asarray(now) != np.asarray(node.value)) & (moves.get(node.id, 0.0) > HIDDEN)
                flips = np.maximum(flips, jumped if np.shape(jumped) == kink.shape else np.any(jumped))
    return flips


def _other_side(kink: Tensor) -> np.ndarray:
    """The value that a kink would have, did its other side hold."""
    assert kink.op is not None
    value, *inputs = (np.asarray(x.value) for x in (kink, *kink.inputs))
    match kink.op.name:
        case "greater":
            return 1.0 - value
        case "maximum" | "minimum":
            return inputs[0] + inputs[1] - value
        case "relu":
            return inputs[0] - value
        case _:
            return -value


def _named(probe: Probe) -> dict[int, int]:
    """The forms of what has a name: that name, so that a kink has one form at all steps and on all probes."""
    gradients = {node.id: hash(f"d{name}") for (name, _), node in probe.reference.by_place.items()}
    return gradients | {held.value.id: hash(name) for (name, _), held in probe.run.values.items()}


#: probes that are drawn where the usual ones notice too little
OTHER_SEEDS, OTHER_SCALES = 500, (2.0, 0.5, 1.0, 4.0)
#: and those that are drawn, one by one, where a kink is seen from one side only
MORE_SEEDS, MORE_SCALES = 600, (1.0, 4.0, 8.0, 2.0) * 6


class Witnesses:
    """The probes of a judge, and others, drawn by it where these can tell nothing."""

    def __init__(
        self,
        draw: Callable[[Trial, int, float], Probe],
        trials: Sequence[Trial],
        probes: Sequence[Probe],
        scale: float,
    ) -> None:
        self._draw, self.trials, self.probes, self.scale = draw, trials, probes, scale
        self._others: dict[int, list[Probe]] = {}
        self._more: dict[int, Drawn] = {}
        self.budget: Deadline | None = None  # from when the first of more is drawn

    @property
    def drawn(self) -> list[Probe]:
        """The other probes that were drawn."""
        others = [*self._others.values(), *(more.drawn for more in self._more.values())]
        return [probe for probes in others for probe in probes]

    def checked(self, equation: Equation, row: Row) -> Row:
        """A row that passes, if at each step some probe could have shown a mistake; others are drawn where none could.

        What is zero, saturated or flat on all of them is undecided there.
        """
        steps = list(row.steps)
        for trial in self.trials:
            probes = [p for p in self.probes if p.run.lengths == trial.lengths and states(p.model, equation)]
            for step in trial.model.steps_of(equation, trial.lengths) if states(trial.model, equation) else ():
                if any(probe.witnesses(equation, step) for probe in probes):
                    continue
                more = [probe for probe in self.others(trial) if probe.witnesses(equation, step)]
                more = more or [p for p in self._more_of(trial) if p.witnesses(equation, step)][:1]
                said = "a term is zero or flat on every probe"
                told = StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), said, probes[0].run.T)
                judged = worst_step([probe.judge(equation, step) for probe in more]) if more else told
                steps = [judged if (old.t, old.T) == (judged.t, judged.T) else old for old in steps]
        return self._on_both_sides(equation, replace(row, steps=steps, verdict=overall(steps)))

    def _on_both_sides(self, equation: Equation, row: Row) -> Row:
        """The row, judged on probes at both sides of each kink; INCONCLUSIVE where a side is not reached."""
        seen: Sides = {}
        for probe in self.probes:
            seen = together(seen, sides(probe, equation) if states(probe.model, equation) else {})
        trial = next((trial for trial in self.trials if states(trial.model, equation)), None)
        if trial is None or not one_sided(seen):
            return row
        steps = list(row.steps)
        for probe in chain(self.others(trial), self._more_of(trial)):
            both = together(seen, sides(probe, equation))
            if both == seen:
                continue
            judged = [probe.judge(equation, step) for step in trial.model.steps_of(equation, trial.lengths)]
            if not any(step.verdict in (PASS, FAIL) for step in judged):
                continue
            seen = both
            for wrong in [step for step in judged if step.verdict == FAIL]:
                steps = [wrong if (old.t, old.T) == (wrong.t, wrong.T) else old for old in steps]
            if not one_sided(seen):
                break
        row = replace(row, steps=steps, verdict=overall(steps))
        if row.verdict != PASS or not one_sided(seen):
            return row
        said = "every probe lies on one side of a kink (of relu, abs, maximum or minimum) or jump (sign, relu')"
        return replace(row, verdict=INCONCLUSIVE, why="; ".join(part for part in (row.why, said) if part))

    def others(self, trial: Trial) -> list[Probe]:
        """Probes of other seeds and, where none was asked for, of other scales."""
        if id(trial) not in self._others:
            scales = OTHER_SCALES if self.scale == 1.0 else (self.scale,) * len(OTHER_SCALES)
            drawn = [self._draw(trial, OTHER_SEEDS + seed, scale) for seed, scale in enumerate(scales)]
            self._others[id(trial)] = drawn
        return self._others[id(trial)]

    def rounds(self, equation: Equation, trial: Trial) -> Iterator[list[Probe]]:
        """Other probes of a trial: those that were drawn; then, if the equation depends on kinks, all there are, for
        a mistake in the argument of a relu' shows only where its sign changes.
        """
        yield [*self.others(trial), *self._more_of(trial).drawn]
        if any(sides(probe, equation) for probe in self.others(trial)):
            yield [*self.others(trial), *self._more_of(trial)]

    def _more_of(self, trial: Trial) -> Drawn:
        """More of them, drawn when they are looked at."""
        if id(trial) not in self._more:
            scales = MORE_SCALES if self.scale == 1.0 else (self.scale,) * len(MORE_SCALES)
            self.budget = self.budget or Deadline(WITNESS_SECONDS)
            self._more[id(trial)] = Drawn(
                lambda n: self._draw(trial, MORE_SEEDS + n, scales[n]), len(scales), self.budget
            )
        return self._more[id(trial)]
