"""Judge a hand derivation: each gradient equation, at each time step, against the engine.

Local mode: the right-hand side sees reference values, so an equation is wrong by its own fault only. A difference
counts as a mistake when rounding cannot explain it (`rounding`); where rounding could explain everything, the verdict
is INCONCLUSIVE. What is proved is right at every length and size; where a number says otherwise, prover or judge are
wrong, and nothing that they say of the file counts. At which lengths and sizes this is tried stands in `trials`, what
cannot be judged by numbers in `claims` and `every_length`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError, LanguageError
from ..core.memory import weakly
from ..derivation.prover.prove import Budget, Proof, prove
from ..language import Document, Equation, Model, read
from ..language.expressions import Size
from ..language.types.quantities import Key, refs
from .claims import Claims, Fault, claims_of, typed_by_a_size
from .diagnosis.diagnose import diagnose
from .diagnosis.helper_gradients import as_written, with_parts
from .diagnosis.other_readings import in_columns, otherwise
from .diagnosis.repairs import Repairs
from .every_length import EveryLength, Usable, in_order, usable
from .measure.budget import FOLLOW_SECONDS, MUTANT_SECONDS, PROOF_SECONDS, Deadline, is_quick
from .measure.probe import Drawn, Probe, states, worst_of
from .measure.trials import LONGEST, Trial, trials
from .measure.witness import Witnesses
from .mutants import certify
from .remarks import remarks
from .report import Report
from .results import (
    FAIL,
    ILL_TYPED,
    INCONCLUSIVE,
    PASS,
    PROVED,
    RIGHT_VERDICTS,
    SCALAR,
    Certificate,
    Row,
    StepVerdict,
    overall,
    trusted,
    worst_step,
)

#: seconds for the proof of an equation that fails: it has none, unless something is wrong here
SECONDS_IF_WRONG = 0.1
#: seconds for all of them
ALL_IF_WRONG = 1.0


class ContradictionError(RuntimeError):
    """An equation is proved, and wrong by a number: a mistake of this program, and no verdict on the file."""


class Proofs:
    """Proofs of one derivation: of `model`, or of the model as it is `written`, where helpers name no expressions."""

    def __init__(self, model: Model, written: Model, asked: EveryLength, budget: Deadline) -> None:
        self.model, self.written, self.asked, self.budget = model, written, asked, budget
        self.seconds = self.if_wrong = 0.0

    def proved(self, equation: Equation, row: Row, wrong: Mapping[Key, int]) -> Row:
        """The row with its proof, if it passes and there is one; what reads a helper that is `wrong` has none."""
        if row.verdict != PASS or row.needs:
            return row
        if id(equation) in self.asked.tangled:
            return replace(row, unproved="whether it reads itself in the end is not decided for every length")
        if self.budget.spent or self.seconds > PROOF_SECONDS:
            return replace(row, unproved=f"none was tried: those above took {self.seconds:.0f} s")
        for ref in refs(equation):
            if ref.key in wrong and ref.name in self.model.document.plays:
                return replace(row, unproved=f"it reads {ref}, which is wrong on line {wrong[ref.key]}")
        start = time.process_time()
        proof = self._of(equation)
        self.seconds += time.process_time() - start
        return replace(row, verdict=PROVED if proof.proved else PASS, proof=proof, unproved=proof.reason)

    def confirm(self, equation: Equation, row: Row, probes: Iterable[Probe]) -> None:
        """Raises `ContradictionError` if an equation that fails can be proved, or one that is proved fails on one of
        the probes.
        """
        if row.verdict == FAIL and self.if_wrong < ALL_IF_WRONG:
            start = time.process_time()
            proof = self._of(equation, Budget(seconds=SECONDS_IF_WRONG))
            self.if_wrong += time.process_time() - start
            for step in row.steps if proof.proved else ():
                _agree(row, step, proof)
        elif row.verdict == PROVED and row.proof is not None:
            for probe in probes:
                for at in probe.model.steps_of(equation, probe.run.lengths) if states(probe.model, equation) else ():
                    _agree(row, probe.judge(equation, at), row.proof)

    def _of(self, equation: Equation, budget: Budget | None = None) -> Proof:
        plays = equation.target.name in self.model.document.plays  # only there an expression has to have a name
        return prove(self.model if plays else self.written, equation, budget)


def _agree(row: Row, step: StepVerdict, proof: Proof) -> None:
    """Raises `ContradictionError` where a step fails that the proof holds for."""
    if step.verdict == FAIL and proof.shortest <= step.T:
        at = "" if step.t is None else f"{row.time} = {step.t}, "
        raise ContradictionError(
            f"{row.name} (line {row.line}) is proved, and differs by {step.error:.1e} at {at}{row.length} = {step.T}"
        )


def judge(
    model: Model | Document | str | Path,
    T: int | None = None,
    seeds: int = 3,
    scale: float = 1.0,
    values: Mapping[Any, Any] | None = None,
    certified: bool = True,
    lengths: Mapping[str, int] | None = None,
) -> Report:
    """See `tinygrad_rnn.verify`; unless `certified`, numbers alone are compared: nothing proved or followed."""
    if seeds < 1:
        raise GraphError(f"a derivation is judged on one random probe or more, not on {seeds}")
    with np.errstate(all="ignore"):  # what is not finite is a verdict, not a warning
        claims, chosen = _prepared(in_columns(model, values), T, lengths, values)
        return _Judge(claims, chosen, seeds, scale, values).report(T is not None, certified)


def _prepared(
    model: Model | Document | str | Path,
    T: int | None,
    lengths: Mapping[str, int] | None,
    values: Mapping[Any, Any] | None,
) -> tuple[Claims, list[Trial]]:
    """What is claimed, and where it is tried. Raises `LanguageError` where nothing is."""
    if isinstance(model, Model):
        document, claims = model.document, Claims(model)
    else:
        document = model if isinstance(model, Document) else read(model)
        claims = claims_of(document)
    claims = replace(claims, model=with_parts(claims.model))
    chosen = trials(claims.model, T, lengths, values, claims.others)
    tried = [trial.lengths for trial in chosen]
    late = EveryLength(claims.model, claims.others).overlaps(tried)
    if late or any(overlaps(claims.model, each) for each in tried):  # from some length on
        claims = claims_of(document, [*tried, *late])
        claims = replace(claims, model=with_parts(claims.model))
        chosen = trials(claims.model, T, lengths, values, claims.others)
    if not (_stated(claims.model) or claims.faults or claims.again or claims.no_quantities):
        hint = "add a section   gradients:   with equations such as   dW = sum(t, ...)"
        raise LanguageError(
            "there is nothing to verify: no gradient equation is stated", document.source.name, hint=hint
        )
    return claims, chosen


def _stated(model: Model) -> list[Equation]:
    """The equations that are judged by value: all but helpers."""
    return [equation for equation in model.gradients if model.role(equation) != "helper"]


class _Judge:
    """One derivation on its probes: of each trial one, then more, one trial after the other."""

    def __init__(
        self,
        claims: Claims,
        chosen: Sequence[Trial],
        seeds: int,
        scale: float = 1.0,
        values: Mapping[Any, Any] | None = None,
    ) -> None:
        self.claims, self.model, self.trials = claims, claims.model, chosen
        self.written = as_written(self.model)
        self.budget, self.asked = Deadline(), EveryLength(claims.model, claims.others)
        self.proofs = Proofs(self.model, self.written, self.asked, self.budget)
        self.seeds, self.scale, self.values = max(seeds, len(chosen)), scale, values
        self.probes = [self._probe(chosen[seed % len(chosen)], seed) for seed in range(self.seeds)]
        self.witnesses = Witnesses(weakly(self._probe), chosen, self.probes, scale)
        #: the probes of each length, in the order of the lengths
        self.groups: list[list[Probe]] = []
        for probe in self.probes:
            same = next((group for group in self.groups if group[0].run.lengths == probe.run.lengths), None)
            self.groups.append([probe]) if same is None else same.append(probe)

    def _probe(self, trial: Trial, seed: int, scale: float | None = None) -> Probe:
        model, main = trial.model, next(iter(trial.lengths.values()))
        scale = self.scale if scale is None else scale
        return Probe(model, model.unroll(main, seed=seed, scale=scale, values=self.values, lengths=trial.lengths))

    def report(self, one_length: bool, certified: bool) -> Report:
        model, equations = self.model, _stated(self.model)
        rows = [self.row(equation) for equation in equations]
        # before the proofs, for to prove what other probes refute takes long
        seen = [self._witnessed(e, row) if row.verdict == PASS else row for e, row in zip(equations, rows, strict=True)]
        rows = [new if new.verdict == FAIL else row for new, row in zip(seen, rows, strict=True)]
        order = self._order([id(e) for e, row in zip(equations, rows, strict=True) if row.verdict == FAIL])
        rows = [in_order(e, row, order) for e, row in zip(equations, rows, strict=True)]
        wrong = {e.target.key: row.line for e, row in zip(equations, rows, strict=True) if row.verdict == FAIL}
        rows = [self.proofs.proved(e, row, wrong) if certified else row for e, row in zip(equations, rows, strict=True)]
        rows = [_as_seen(row, new) for row, new in zip(rows, seen, strict=True)]
        check = worst_of([probe.reference.check(seed) for seed, probe in enumerate(self.probes)])
        certificate = None
        shortest = self.asked.shortest
        T = self.probes[0].run.T
        if certified and shortest <= T:
            certificate, rows = self._certified(equations, rows)
        for e, row in zip(equations, rows, strict=True) if certified and check.ok else ():
            self.proofs.confirm(e, row, self.witnesses.drawn)
        rows += [_faulty(fault, self) for fault in self.claims.faults]
        for left in self.claims.no_quantities:
            rows.append(_told(Row(left.name, left.line, ILL_TYPED, [], left.text, role=""), left.error))
        rows += [_again(equation, instead, self) for equation, instead in self.claims.again]
        for equation in model.gradients:
            if model.role(equation) == "helper" and id(equation) in order.circles:
                rows.append(in_order(equation, self._begun(equation, INCONCLUSIVE, []), order))
        rows = sorted(trusted(rows, check), key=lambda row: row.line)
        # where nothing is wrong by itself, nothing wrong can be carried on
        right = all(row.verdict in RIGHT_VERDICTS for row in rows)
        follow, untold = (rows, []) if right or not certified else self._follow_through(equations)
        return Report(
            model.name,
            model.document.source.name,
            T,
            self.seeds,
            rows,
            check,
            [
                *remarks(model, self.trials, rows, self.asked, shortest, T if one_length else None, order.late),
                *typed_by_a_size(self.written, self.claims.faults),
                *untold,
            ],
            certificate,
            follow,
            subject=self.written,
            shortest=min(shortest, LONGEST),
            lengths=tuple(dict(group[0].run.lengths) for group in self.groups),
            sizes=tuple(trial.sizes for trial in self.trials),
            tried=self.trials[0].model.shapes,
        )

    # -- one equation -------------------------------------------------------------------------------------------------
    def row(self, equation: Equation) -> Row:
        """The verdict on an equation at all its steps, at every length and size."""
        if self.budget.spent:
            said = f"not reached: what stands above took all of {self.budget.seconds:.0f} s"
            return replace(self._begun(equation, INCONCLUSIVE, []), why=said)
        row = self.by_value(equation)
        faults = [fault for trial in self.trials for fault in trial.faults if fault.equation is equation]
        if faults and row.verdict != FAIL:
            return _at_declared_sizes(equation, faults[0], self)
        told = otherwise(equation, self.model, row.verdict, self._in_another_model(equation))
        row = replace(row, why="; ".join(told))
        if row.verdict == FAIL:
            return self._explained(equation, row)
        return row if row.steps else replace(row, why="no step is covered by its condition")

    def _explained(self, equation: Equation, row: Row) -> Row:
        """A row that fails, with what is wrong; the probes at which it shows come first."""
        drawn = [*self.probes, *self.witnesses.drawn]
        probes = [probe for probe in drawn if states(probe.model, equation)]
        diagnosis = diagnose(equation, sorted(probes, key=lambda probe: not probe.fails(equation)))
        if diagnosis is None:
            return row
        parts = {name: getattr(diagnosis, name) for name in ("mistake", "explanation", "terms", "correction")}
        return replace(row, **parts)

    def _in_another_model(self, equation: Equation) -> Callable[[Model], str]:
        def judged(model: Model) -> str:
            again = _Judge(Claims(model), [Trial(model, self.trials[0].lengths)], 1, self.scale, self.values)
            return again.by_value(equation).verdict

        return judged

    def by_value(self, equation: Equation) -> Row:
        """Both sides compared, nothing explained."""
        steps: list[StepVerdict] = []
        for group in self.groups:
            able = [probe for probe in group if states(probe.model, equation)]
            for step in able[0].model.steps_of(equation, able[0].run.lengths) if able else ():
                steps.append(worst_step([probe.judge(equation, step) for probe in able]))
        return self._begun(equation, overall(steps), steps)

    def _begun(self, equation: Equation, verdict: str, steps: list[StepVerdict]) -> Row:
        model = self.model
        axes, length = model.quantities.axes_in(equation), next(iter(model.lengths(1)))
        role = model.role(equation)
        return _row(equation, verdict, steps, role, axes=axes, length=length)

    def _order(self, failing: Collection[int]) -> Usable:
        """The circles and gaps, at every length; what fails by itself makes no circle of those that read it."""
        total, others = Usable(), self.claims.others
        for group in self.groups:
            total = total + usable(group[0].model, group[0].run, failing, others)
        tried = [group[0].run.lengths for group in self.groups]
        for lengths, said in (*self.asked.gaps(tried), *self.asked.circles(failing, tried, total.circles)):
            if is_quick(self.model, lengths):
                run = self.model.unroll(next(iter(lengths.values())), seed=0, lengths=lengths)
                said = usable(self.model, run, failing, others)
            total = total + said.at(lengths)
        return total

    def _witnessed(self, equation: Equation, row: Row) -> Row:
        """A row that passes, judged where a mistake could show: see `witness`."""
        row = self.witnesses.checked(equation, row)
        return self._explained(equation, row) if row.verdict == FAIL else row

    # -- all equations together ---------------------------------------------------------------------------------------
    def _certified(self, equations: list[Equation], rows: list[Row]) -> tuple[Certificate, list[Row]]:
        """Mutants of every equation; two probes of the usual kind decide which of them are really wrong.

        Where some are not noticed, other probes are drawn; what none of them notices leaves its equation undecided,
        unless it is proved.
        """
        trial, probes = self.trials[0], self.groups[0]
        model, lengths = trial.model, trial.lengths
        strong = Drawn(lambda n: Probe(model, model.unroll(probes[0].run.T, seed=1000 + n, lengths=lengths)), 2)
        total, decided = Certificate(), []
        budget = Deadline(MUTANT_SECONDS)
        for equation, row in zip(equations, rows, strict=True):
            if self.model.role(equation) in ("gradient", "copy") and states(model, equation):
                same = [probe for probe in probes if states(probe.model, equation)]
                certificate = certify(equation, same, strong, budget)
                rounds = self.witnesses.rounds(equation, trial)
                while not certificate.ok and (more := next(rounds, None)):
                    certificate = certify(equation, same + more, strong, budget)
                total += certificate
                if not certificate.ok and row.verdict == PASS:
                    row = replace(row, verdict=INCONCLUSIVE, why=f"no probe notices {certificate.survivors[0]}")
            decided.append(row)
        return total, decided

    def _follow_through(self, equations: list[Equation]) -> tuple[list[Row], list[str]]:
        """Every equation again, now with the user's own values on its right-hand side: what a mistake does downstream;
        and what is said where there was not time enough for all.
        """
        rows: list[Row] = []
        budget = Deadline(FOLLOW_SECONDS)
        for equation in equations:
            steps: list[StepVerdict] = []
            for group in self.groups:
                same = [probe for probe in group if states(probe.model, equation)]
                for step in same[0].model.steps_of(equation, same[0].run.lengths) if same else ():
                    if budget.spent:
                        told = f"following your own values takes more than {FOLLOW_SECONDS:.0f} s"
                        return rows, [f"{told}: it ends before {equation.name} (line {equation.line})"]
                    steps.append(worst_step([probe.follow(equation, step) for probe in same]))
            rows.append(_row(equation, overall(steps), steps))
        return rows, []


def _row(equation: Equation, verdict: str, steps: list[StepVerdict], role: str = "gradient", **more: Any) -> Row:
    """The verdict on an equation, with where it stands and what it says."""
    return Row(equation.name, equation.line, verdict, steps, equation.text, role, equation=equation, **more)


# -- equations that no comparison of numbers decides ------------------------------------------------------------------
def _at_declared_sizes(equation: Equation, fault: Fault, judge: _Judge) -> Row:
    """An equation whose shapes fit because two declared sizes happen to be equal: wrong by value, or ill-typed."""
    trial = Trial(judge.model, judge.trials[0].lengths)
    row = _Judge(Claims(judge.model), [trial], 1, judge.scale, judge.values).row(equation)
    why = "its shapes fit only where declared sizes happen to be equal"
    return row if row.verdict == FAIL else replace(_told(row, fault.error), verdict=ILL_TYPED, why=why)


def _faulty(fault: Fault, judge: _Judge) -> Row:
    """An equation without a meaning; SCALAR if it has one, and holds, where every size is 1."""
    equation = fault.equation
    row = _row(equation, fault.verdict, [], role="")
    repairs = Repairs(equation, judge.probes)
    said, correction = repairs.mended(fault.error)
    if fault.verdict == ILL_TYPED and _holds_for_numbers(equation, judge):
        row = replace(row, verdict=SCALAR)
        said, correction = (said, correction) if correction else repairs.typed()
        said = ": ".join(part for part in ("it holds only where every size is 1", said) if part)
    return replace(_told(row, fault.error), explanation=said, correction=correction)


def _told(row: Row, error: LanguageError) -> Row:
    return replace(row, mistake=error.message, explanation=error.hint, excerpt=error.excerpt)


def _holds_for_numbers(equation: Equation, judge: _Judge) -> bool:
    """Whether an equation is right when every size is 1."""
    document = judge.model.document
    sizes = {name: Size(1, size.columns and 1, size.span) for name, size in document.sizes.items()}
    others = tuple(other for other in judge.model.gradients if other.target.key != equation.target.key)
    try:
        model = Model(replace(document, sizes=sizes, gradients=(*others, equation)))
    except LanguageError:
        return False
    if model.role(equation) == "helper":
        return False
    single = _Judge(Claims(model), [Trial(model, trial.lengths) for trial in judge.trials], judge.seeds)
    alive = any(
        np.any(probe.truth(equation, step).value)
        for probe in single.probes
        for step in model.steps_of(equation, probe.run.lengths)
    )
    return alive and single.by_value(equation).verdict == PASS


def _again(equation: Equation, instead: Model, judge: _Judge) -> Row:
    """A second claim about the same steps, in the place of the first; whether the two differ is told."""
    lengths = judge.trials[0].lengths
    chosen = trials(instead, None if len(judge.groups) > 1 else next(iter(lengths.values())), lengths, judge.values)
    single = _Judge(Claims(instead), chosen, judge.seeds, judge.scale, judge.values)
    row = single.row(equation)
    seen = single._witnessed(equation, row) if row.verdict == PASS else row
    row = seen if seen.verdict == FAIL else _as_seen(single.proofs.proved(equation, row, {}), seen)
    first, at = judge.asked.rival(equation, [group[0].run.lengths for group in judge.groups])
    differ = row.verdict == FAIL or judge.row(first).verdict == FAIL
    said = f"stated on line {first.line} too{at}, and the two {'differ' if differ else 'agree'}"
    return replace(row, why=said)


def overlaps(model: Model, lengths: Mapping[str, int]) -> bool:
    """Whether two gradient equations state one step at these lengths."""
    try:
        for equations in model.quantities.stated.values():
            model.quantities.coverage(equations, lengths)
    except LanguageError:
        return True
    return False


def _as_seen(row: Row, seen: Row) -> Row:
    """A row that passes, and is not proved, with what other probes say of it; if it is proved but at kinks, nothing."""
    settled = row.proof is not None and row.proof.but_at_kinks
    if row.verdict != PASS or seen.verdict == PASS or settled:
        return row
    why = "; ".join(dict.fromkeys(part for part in (seen.why, row.why) if part))
    return replace(row, verdict=seen.verdict, steps=seen.steps, why=why)
