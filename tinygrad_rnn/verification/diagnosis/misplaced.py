"""At which steps terms stand: written ones that do not belong at some of theirs, and right ones that lack at some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...language import Model
from ...language.expressions import Call, Equation, Ref, walk
from ...language.syntax.indices import Step
from ...system import Domain
from ...system.affine_system import Clause, clauses_of
from ..results import EXTRA, MISSING, WRONG, TermVerdict
from .finding import joined_sentences
from .missing_cases import own_domains
from .missing_cases import said as where
from .terms import ProbeValues, SignedTerm
from .true_terms import RightTerm

WrittenTerm = tuple[SignedTerm, np.ndarray]
LackingTerm = tuple[RightTerm, np.ndarray]


@dataclass(frozen=True)
class Misplaced:
    """A written term that is a right one at some steps, and does not belong at others: at which, in words."""

    term: SignedTerm
    true: RightTerm
    at: str
    verdict: TermVerdict

    @property
    def sentence(self) -> str:
        """What is wrong, in words."""
        return f"the term `{self.term}` {self.verdict.explanation}"


def misplaced(written: Sequence[WrittenTerm], right: Sequence[LackingTerm], values: ProbeValues) -> list[Misplaced]:
    """The written terms that equal a right one wherever this stands, where it does not stand at every step."""
    found: list[Misplaced] = []
    for term, value in written:
        for true, goal in right:
            taken = any(other.true is true for other in found)
            if taken or true.everywhere or not values.same(_where_it_stands(value, true, values), goal):
                continue
            outside = _outside(true, values.model)
            if outside:
                at = where(replace(true, domains=tuple(outside)), values.model)
                said = f"does not belong{at}{_stopped(true.equation, outside, values.model)}"
                verdict = TermVerdict(term.expr, EXTRA, said, steps=_steps(true, values, stands=False))
                found.append(Misplaced(term, true, at, verdict))
                break
    return found


def told(
    written: Sequence[WrittenTerm], right: Sequence[LackingTerm], values: ProbeValues
) -> tuple[list[TermVerdict], list[str], tuple[list[SignedTerm], list[RightTerm]]]:
    """The verdicts and sentences on written terms that are wrong and right ones that lack; and which of them are left
    when those are told that stand at steps too many.
    """
    too_often = misplaced(written, right, values)
    wrong = [term for term, _ in written if all(each.term is not term for each in too_often)]
    lacking = [true for true, _ in right if all(each.true is not true for each in too_often)]
    verdicts = [each.verdict for each in too_often]
    verdicts += [TermVerdict(term.expr, WRONG, "is not a term of the right equation") for term in wrong]
    verdicts += [missing(true, values) for true in lacking]
    places = [where(true, values.model) for true in lacking]
    meant = [f"`{true}`{at}" for true, at in zip(lacking, places, strict=True)]
    if not wrong and len(lacking) == 1 and [each.at for each in too_often] == places:
        return verdicts, [f"`{too_often[0].term}` should be {meant[0]}"], (wrong, lacking)
    if not wrong:
        sentences = [f"the term `{true}` {missing(true, values).explanation}" for true in lacking]
    else:
        sentences = joined_sentences(wrong, meant)
    return verdicts, [each.sentence for each in too_often] + sentences, (wrong, lacking)


def missing(true: RightTerm, values: ProbeValues) -> TermVerdict:
    """The verdict on a right term that lacks, with the steps at which it does (none: at all)."""
    steps = () if true.everywhere else _steps(true, values, stands=True)
    return TermVerdict(true.term.expr, MISSING, f"is missing{where(true, values.model)}", steps=steps)


def _where_it_stands(value: np.ndarray, true: RightTerm, values: ProbeValues) -> np.ndarray:
    """A value where a right term stands, and 0 elsewhere."""
    parts = [
        values.part(value, place) * true.stands(probe.run.lengths, step)
        for place, (probe, step) in enumerate(values.places)
    ]
    return np.concatenate(parts) if parts else value


def _steps(true: RightTerm, values: ProbeValues, stands: bool) -> tuple[Step, ...]:
    """The steps of the equation at which a right term stands, or those at which it does not."""
    steps = [step for probe, step in values.places if true.stands(probe.run.lengths, step) is stands]
    return tuple(dict.fromkeys(step for step in steps if step is not None))


def _outside(true: RightTerm, model: Model) -> list[Domain]:
    """The steps of the equation at which a right term does not stand."""
    left = own_domains(true.equation, model)
    for domain in true.domains:
        left = [rest for part in left for rest in part.minus(domain)]
    return left


def _stopped(equation: Equation, steps: Sequence[Domain], model: Model) -> str:
    """Why nothing flows at these steps of an equation, where a `stop` of the forward equations reads them all."""
    key = model.quantities.base(equation.target.key)
    for clause in (c for defined in model.quantities.defined.values() for c in clauses_of(defined)):
        stops = [n for n in walk(clause.equation.rhs) if isinstance(n, Call) and n.function == "stop"]
        for ref in (node for stop in stops for node in walk(stop) if isinstance(node, Ref) and node.key == key):
            if set(ref.indices) and {n for i in ref.indices for n in i.running} <= set(clause.variables):
                left = list(steps)
                read = Clause(replace(clause.equation, target=ref), clause.variables, clause.domain)
                for domain in read.claimed(equation.target.indices):
                    left = [rest for part in left for rest in part.minus(domain)]
                if not left:
                    return f" (`stop` in line {clause.equation.line})"
    return ""
