"""Rows that pass, once more: on other probes where those at hand could not have shown a mistake.

What is zero or flat on a probe (`liveness`), and a kink seen from one side only (`kinks`), hides mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from ...language import Equation
from ..results import FAIL, INCONCLUSIVE, PASS, Row, StepVerdict, overall, worst_step
from .budget import WITNESS_SECONDS, Deadline
from .kink_sides import Sides, one_sided, sides, together
from .probe import Drawn, Probe, states
from .trials import Trial

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
                found = worst_step([probe.judge(equation, step) for probe in more]) if more else told
                steps = [found if (old.t, old.T) == (found.t, found.T) else old for old in steps]
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
