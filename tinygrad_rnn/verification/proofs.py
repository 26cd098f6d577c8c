"""The proofs of a derivation, and the numbers as their second witness.

What is proved is right at every length and size. Where a number says otherwise, prover or judge are wrong, and nothing
that they say of the file counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..derivation.prover.prove import Budget, Proof, prove
from ..language import Equation, Model
from ..language.types.quantities import Key, refs
from .every_length import EveryLength
from .measure.budget import PROOF_SECONDS, Deadline
from .measure.probe import Probe, states
from .results import FAIL, PASS, PROVED, Row, StepVerdict

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
