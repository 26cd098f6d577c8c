"""At which steps terms stand: written ones that do not belong at some of theirs, right ones that lack at some, and the
corrected equation in pieces, a boundary case more, where a term stands at some steps only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import DerivationError
from ...derivation import HADAMARD
from ...derivation.right_terms import left_to
from ...derivation.writing import EquationWriter
from ...language import Model
from ...language.expressions import Call, Equation, Ref, walk
from ...language.rewriting import substituted
from ...language.syntax.indices import Step
from ...language.text.printer import text
from ...system import EVERYWHERE, Domain
from ...system.affine_system import Clause, clauses_of
from ..results import EXTRA, MISSING, WRONG, TermVerdict
from .terms import ProbeValues, SignedTerm, joined
from .true_terms import RightTerm


def in_pieces(
    equation: Equation, terms: Sequence[SignedTerm], absent: Sequence[RightTerm], model: Model
) -> list[Equation] | None:
    """The equation with these terms, and with the absent ones where they stand; None where no condition says where.

    One equation where all stand at all of its steps; else one for each case, steps that stand alone by themselves.
    """
    if all(true.everywhere for true in absent):
        return [replace(equation, rhs=joined([*terms, *(true.term for true in absent)]))]
    cases = [(domain, list(terms)) for domain in own_domains(equation, model)]
    for true in absent:
        cases = [part for domain, before in cases for part in _cut(domain, before, true)]
    try:
        return [_case(equation, domain, stated, model) for domain, stated in cases]
    except DerivationError:
        return None


def own_domains(equation: Equation, model: Model) -> list[Domain]:
    """The steps that are left to an equation by narrower ones."""
    return [clause.domain for clause in left_to(equation, model)]


def _cut(domain: Domain, terms: list[SignedTerm], true: RightTerm) -> list[tuple[Domain, list[SignedTerm]]]:
    if true.everywhere:
        return [(domain, [*terms, true.term])]
    inside = [domain & stands for stands in true.domains]
    outside = [domain]
    for stands in true.domains:
        outside = [rest for part in outside for rest in part.minus(stands)]
    cases = [(part, [*terms, true.term]) for part in inside if not part.is_empty]
    return cases + [(part, terms) for part in outside]


def _case(equation: Equation, domain: Domain, terms: Sequence[SignedTerm], model: Model) -> Equation:
    """The equation on one domain. Raises `DerivationError` if no condition of the language says it."""
    domain = domain.simplified()
    values = {name: value for name in equation.running if (value := domain.value_of(name)) is not None and value.fixed}
    rhs = substituted(joined(terms), values)
    indices = tuple(index.substituted(values) for index in equation.target.indices)
    target = equation.target.moved_to(indices) if indices else equation.target
    running = [name for name in equation.running if name not in values]
    when = EquationWriter(model, HADAMARD).conditions(domain.substituted(values), running, EVERYWHERE)
    return replace(equation, target=target, rhs=rhs, when=when)


def where(true: RightTerm, model: Model) -> str:
    """Where a term stands, as ` at t = T` or ` for t < T`; nothing where that is wherever its equation holds."""
    if true.everywhere:
        return ""
    names, pieces = true.equation.running, []
    for domain in true.domains:
        values = {name: value for name in names if (value := domain.value_of(name)) is not None and value.fixed}
        at = ", ".join(f"{name} = {value}" for name, value in values.items())
        try:
            rest = [name for name in names if name not in values]
            when = EquationWriter(model, HADAMARD).conditions(domain.substituted(values), rest, EVERYWHERE)
        except DerivationError:
            return " at some steps"
        steps = " and ".join(map(text, when))
        pieces.append(" ".join(part for part in (at and f"at {at}", steps and f"for {steps}") if part))
    return f" {' and '.join(said for said in pieces if said)}".rstrip()


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
    elsewhere: list[Misplaced] = []
    for term, value in written:
        for true, goal in right:
            taken = any(other.true is true for other in elsewhere)
            if taken or true.everywhere or not values.same(_where_it_stands(value, true, values), goal):
                continue
            outside = _outside(true, values.model)
            if outside:
                at = where(replace(true, domains=tuple(outside)), values.model)
                said = f"does not belong{at}{_stopped(true.equation, outside, values.model)}"
                verdict = TermVerdict(term.expr, EXTRA, said, steps=_steps(true, values, stands=False))
                elsewhere.append(Misplaced(term, true, at, verdict))
                break
    return elsewhere


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
        sentences = _joined_sentences(wrong, meant)
    return verdicts, [each.sentence for each in too_often] + sentences, (wrong, lacking)


def missing(true: RightTerm, values: ProbeValues) -> TermVerdict:
    """The verdict on a right term that lacks, with the steps at which it does (none: at all)."""
    steps = () if true.everywhere else _steps(true, values, stands=True)
    return TermVerdict(true.term.expr, MISSING, f"is missing{where(true, values.model)}", steps=steps)


def _where_it_stands(value: np.ndarray, true: RightTerm, values: ProbeValues) -> np.ndarray:
    """A value where a right term stands, and 0 elsewhere."""
    parts = [
        values.part(value, point) * true.stands(probe.run.lengths, step)
        for point, (probe, step) in enumerate(values.points)
    ]
    return np.concatenate(parts) if parts else value


def _steps(true: RightTerm, values: ProbeValues, stands: bool) -> tuple[Step, ...]:
    """The steps of the equation at which a right term stands, or those at which it does not."""
    steps = [step for probe, step in values.points if true.stands(probe.run.lengths, step) is stands]
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


def _joined_sentences(wrong: Sequence[SignedTerm], right: Sequence[str]) -> list[str]:
    """What is wrong and what is right instead (quoted, and where it stands), where one cannot be had from the other."""
    if wrong and right:
        return [f"{', '.join(f'`{term}`' for term in wrong)} should be {', '.join(right)}"]
    return [f"the term `{term}` does not belong here" for term in wrong] + [
        f"the term {meant} is missing" for meant in right
    ]
