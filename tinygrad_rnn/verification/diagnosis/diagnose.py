"""Name the mistake in a wrong equation: match its terms with the right ones, then edit what is left until it fits.

Where the right equation has no textbook form, what lacks is known as numbers, not as terms. Then a mistake is named
when one small change of one term, or one term more or less, makes the equation right; a term that lacks is looked for
in the other equations for the same gradient. An explanation is told only when the equation, so corrected, was put into
the file and passed (`repairs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import TinygradError
from ...language.affine import Affine
from ...language.expressions import Equation, Expr, Ref, walk
from ...language.rewriting import map_indices, names
from ...language.text.printer import text
from ..measure.witness import sides
from ..results import EXTRA, MISSING, RIGHT, WRONG, Diagnosis, TermVerdict
from .corrections import Fix, corrected, pool_of
from .edits import FACTOR, PARENTHESES, SIGN, known_forms, parenthesised
from .misplaced import in_pieces, misplaced, missing, told
from .other_readings import undeclared_label
from .repairs import Repairs, others
from .terms import ProbeValues, SignedTerm, joined, terms_of
from .true_terms import RightTerm, true_terms, vocabularies

if TYPE_CHECKING:
    from ..measure.probe import Probe


@dataclass(frozen=True)
class Story:
    """A possible explanation. `equations` replace the wrong one; None where they cannot be written down."""

    mistake: str
    says: str
    verdicts: list[TermVerdict]
    equations: list[Equation] | None

    def told(self, correction: str | None) -> Diagnosis:
        """The explanation with the correction that was tried."""
        return Diagnosis(self.mistake, self.says, self.verdicts, correction)


def right_terms(terms: Sequence[SignedTerm]) -> list[TermVerdict]:
    """The verdicts on terms that are right."""
    return [TermVerdict(term.expr, RIGHT) for term in terms]


BOUNDARY = "boundary"
#: a way of matching that leaves so many terms open is followed at once
LITTLE = 2
#: so many ways of matching an equation with the right one are followed
MATCHINGS = 4
#: equations with more wrong terms than this are told as a whole
MOST_WRONG = 8
#: so many ways to pair terms off are tried
MOST_PAIRS = 20_000


@dataclass
class Matching:
    """User terms that are right, user terms that are not, right terms that the user does not have."""

    written: list[SignedTerm] = field(default_factory=list)
    agreed: list[tuple[list[SignedTerm], list[RightTerm]]] = field(default_factory=list)
    left: list[tuple[SignedTerm, np.ndarray]] = field(default_factory=list)
    absent: list[tuple[RightTerm, np.ndarray]] = field(default_factory=list)

    @property
    def right(self) -> list[SignedTerm]:
        """The user's terms that are right."""
        return [term for mine, _ in self.agreed for term in mine]

    def but(self, changed: Mapping[int, SignedTerm | None]) -> list[SignedTerm]:
        """The terms as written, some (by their `id`) in another form, or left out."""
        terms = (changed.get(id(term), term) for term in self.written)
        return [term for term in terms if term is not None]

    @property
    def open(self) -> int:
        """How many terms are left on either side."""
        return len(self.left) + len(self.absent)


def diagnose(equation: Equation, probes: Sequence[Probe]) -> Diagnosis | None:
    """The diagnosis of a failed equation, its correction tried on all probes; None for one that covers no step."""
    values = ProbeValues(_witnesses(equation, probes), equation).readable
    if not values.points:
        return None
    if _is_dead(values):
        bent = any(sides(probe, equation) for probe in values.probes)
        more = list(others(probes, 4 if bent else 1))
        lively = [probe for probe in (*more, *probes) if not _is_dead(ProbeValues([probe], equation))]
        alive = next(
            (probe for probe in lively if any(probe is other for other in more) and probe.fails(equation)), None
        )
        if alive is not None:
            values, probes = ProbeValues([alive], equation), [alive, *probes]
        elif lively:  # a forgotten relu' shows only where the truth is 0; what it belongs to, elsewhere
            values = ProbeValues([*values.probes, lively[0]], equation)
    label = undeclared_label(equation, probes)
    if label is not None:
        return label
    repairs = Repairs(equation, probes)
    matchings: list[Matching] = []
    for story in _stories(matchings, values):
        if story.equations is None:
            continue
        correction = repairs.applied(story.equations)
        if correction is not None:
            return story.told(correction)
    return _in_general(matchings, values)


def _witnesses(equation: Equation, probes: Sequence[Probe]) -> list[Probe]:
    """A probe of each length on which the equation fails: there its terms are compared."""
    chosen: dict[str, Probe] = {}
    for probe in probes:
        if probe.fails(equation):
            chosen.setdefault(str(probe.run.lengths), probe)
    return list(chosen.values()) or [probes[0]]


def _is_dead(values: ProbeValues) -> bool:
    """Whether what is stated, or a term of it or of the right equation, is 0 wherever it stands: such a probe is no
    witness for it.
    """
    terms = [values.of(term.expr) for term in terms_of(values.equation.rhs)]
    for keep in vocabularies(values.model, values.equation):
        try:
            true = true_terms(values.model, values.equation, keep)
        except TinygradError:
            continue
        terms += [values.of(each.term.expr, each.stands) for each in true if _stands_somewhere(each, values)]
        break
    return values.is_zero(values.truth) or any(value is not None and values.is_nothing(value) for value in terms)


def _stands_somewhere(true: RightTerm, values: ProbeValues) -> bool:
    return any(true.stands(probe.run.lengths, step) for probe, step in values.points)


def _stories(matchings: list[Matching], values: ProbeValues) -> Iterator[Story]:
    """Explanations, likeliest first; `matchings` receives the ways of matching that were looked at. One that leaves
    little open is followed at once, so that most mistakes need one vocabulary only.
    """
    for same_words in _matchings(values):
        matchings += same_words
        for matching in sorted(same_words, key=_openness):
            if matching.open <= LITTLE:
                yield from _explanations(matching, values)
    matchings.sort(key=_openness)
    for matching in [matching for matching in matchings if matching.open > LITTLE][:MATCHINGS]:
        yield from _explanations(matching, values)
    yield from stories_by_value(values)
    for matching in matchings[:MATCHINGS]:
        yield _replaced(matching, values)


# -- matching ------------------------------------------------------------------------------------------------------
def _openness(matching: Matching) -> int:
    return matching.open


def _matchings(values: ProbeValues) -> Iterator[list[Matching]]:
    """How the user's terms compare with the right ones, for several choices of the gradients they may name."""
    equation, model = values.equation, values.model
    gradients = frozenset(name for name in names(equation.rhs) if model.quantities.base((name, True)))
    for keep in vocabularies(model, equation):
        same_words = []
        for fine in (False, True):
            try:
                truth = true_terms(model, equation, keep, fine)
            except TinygradError:
                continue
            for split in (frozenset[str](), gradients) if fine else (frozenset[str](),):
                matching = _match(values, terms_of(equation.rhs, split), truth)
                same_words += [matching] if matching is not None else []
        yield same_words


def best_matching(values: ProbeValues) -> Matching | None:
    """How an equation compares with the right one in the words in which the least is left open."""
    return min((matching for same_words in _matchings(values) for matching in same_words), key=_openness, default=None)


def _match(values: ProbeValues, terms: list[SignedTerm], truth: list[RightTerm]) -> Matching | None:
    matching = Matching(terms)
    for term in terms:
        value = values.of(term.expr)
        if value is None:
            return None
        matching.left.append((term, value))
    for true in truth:
        value = values.of(true.term.expr, true.stands)
        if value is None:
            return None
        if not values.is_zero(value):
            matching.absent.append((true, value))
    _pair_off(matching, values)
    return matching


def _pair_off(matching: Matching, values: ProbeValues) -> None:
    """Take away what agrees: one term with one, one with the sum of two or three, either way round; then right terms
    that add up to nothing.
    """
    for few, many in ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (0, 2), (0, 3)):
        while (pair := _agreeing(matching, few, many, values)) is not None:
            mine, theirs = pair
            matching.agreed.append(([matching.left[i][0] for i in mine], [matching.absent[k][0] for k in theirs]))
            matching.left = [pair for i, pair in enumerate(matching.left) if i not in mine]
            matching.absent = [pair for k, pair in enumerate(matching.absent) if k not in theirs]


def _agreeing(
    matching: Matching, few: int, many: int, values: ProbeValues
) -> tuple[Sequence[int], Sequence[int]] | None:
    if comb(len(matching.left), few) * comb(len(matching.absent), many) > MOST_PAIRS:
        return None
    for mine in combinations(range(len(matching.left)), few):
        for theirs in combinations(range(len(matching.absent)), many):
            if few:
                agree = values.same(_total(matching.left, mine), _total(matching.absent, theirs))
            else:
                agree = values.same(matching.absent[theirs[0]][1], -_total(matching.absent, theirs[1:]))
            if agree:
                return mine, theirs
    return None


def _total(pairs: Sequence[tuple[Any, np.ndarray]], chosen: Sequence[int] | None = None) -> Any:
    """The sum of the values of some terms (all if None)."""
    return sum(value for i, (_, value) in enumerate(pairs) if chosen is None or i in chosen)


# -- explaining ----------------------------------------------------------------------------------------------------
def _explanations(matching: Matching, values: ProbeValues) -> Iterator[Story]:
    left, absent = matching.left, matching.absent
    if not left and absent:
        yield _missing(matching, values)
    if left and not absent:
        yield _extra(matching, values)
    if not left or not absent:
        return
    if len(misplaced(left, absent, values)) == len(left):
        yield _replaced(matching, values)
    if len(left) > 1 and values.same(-_total(left), _total(absent)):
        turned = [term.opposite for term, _ in left]
        told = text(joined(turned[::-1]))
        said = f"the sign of the right-hand side is wrong: it should be `{told}`"
        verdicts = [
            TermVerdict(term.expr, WRONG, "the sign of the right-hand side is wrong", corrected=term.opposite.expr)
            for term, _ in left
        ]
        terms = matching.but({id(term): term.opposite for term, _ in left})
        yield Story(SIGN, said, right_terms(matching.right) + verdicts, values.with_terms(terms))
    yield from _lost_parentheses(matching, values)
    if len(left) <= MOST_WRONG:
        yield from _one_by_one(matching, values)


def _extra(matching: Matching, values: ProbeValues) -> Story:
    verdicts = [TermVerdict(term.expr, EXTRA, "does not belong here") for term, _ in matching.left]
    says = "; ".join(f"the term `{v.text}` does not belong here" for v in verdicts)
    terms = matching.but({id(term): None for term, _ in matching.left})
    return Story("extra term", says, right_terms(matching.right) + verdicts, values.with_terms(terms))


def _missing(matching: Matching, values: ProbeValues) -> Story:
    verdicts, sentences = right_terms(matching.right), []
    absent = _grouped(matching.absent, values.gradients)
    for true in absent:
        verdicts.append(missing(true, values))
        sentences.append(f"the term `{true}` {verdicts[-1].explanation}")
    at_an_end = all(_at_an_end(true, values) for true in absent)
    kind = BOUNDARY if at_an_end else "missing term"
    return Story(kind, "; ".join(sentences), verdicts, _with(matching.written, absent, values))


def _at_an_end(true: RightTerm, values: ProbeValues) -> bool:
    """Whether a term lacks only at the first or the last of the steps of an equation."""
    if true.everywhere:
        return False
    ends = {id(probe): (steps[0], steps[-1]) for probe in values.probes if (steps := values.steps_on(probe))}
    return all(step in ends[id(p)] for p, step in values.points if true.stands(p.run.lengths, step))


def _with(terms: Sequence[SignedTerm], absent: Sequence[RightTerm], values: ProbeValues) -> list[Equation] | None:
    """The equation with right terms added, in pieces where they stand at some of its steps only."""
    return in_pieces(values.equation, terms, absent, values.model)


def _grouped(absent: Sequence[tuple[RightTerm, np.ndarray]], gradients: frozenset[str]) -> list[RightTerm]:
    """Terms without a gradient (softmax(o) - onehot(y)) belong together; the others stand alone."""
    whole = [true for true, _ in absent if not names(true.term.body) & gradients and true.term.over is None]
    if len(whole) < 2 or any(true.domains != whole[0].domains for true in whole):
        return [true for true, _ in absent]
    together = replace(whole[0], term=SignedTerm(1, joined([true.term for true in whole])))
    return [true for true, _ in absent if true not in whole] + [together]


def _one_by_one(matching: Matching, values: ProbeValues) -> Iterator[Story]:
    """Correct each wrong term by one edit; what then still lacks is missing, what cannot be corrected stays wrong."""
    fixes: list[tuple[SignedTerm, Fix]] = []
    unexplained: list[SignedTerm] = []
    absent = list(matching.absent)
    pool = pool_of([t.term.body for t, _ in absent], [term.body for term, _ in matching.left], values.gradients)
    last = len(matching.left) - 1
    for n, (term, value) in enumerate(matching.left):
        goals = [v for _, v in absent]
        if last == 0 and len(absent) > 1:
            goals.append(_total(absent))
        elif last:
            goals.append(_total(absent) - (_total(matching.left) - value))
        for fix, reached in corrected(term, goals, values, pool):
            remaining = _without(absent, reached, values)
            if n == last:  # earlier corrections are tried together with the last
                yield _story(matching, [*fixes, (term, fix)], unexplained, remaining, values)
                continue
            fixes.append((term, fix))
            absent = remaining
            break
        else:
            unexplained.append(term)
    if fixes and unexplained:
        yield _story(matching, fixes, unexplained, absent, values)


def _story(
    matching: Matching,
    fixes: Sequence[tuple[SignedTerm, Fix]],
    unexplained: Sequence[SignedTerm],
    absent: Sequence[tuple[RightTerm, np.ndarray]],
    values: ProbeValues,
) -> Story:
    verdicts = right_terms(matching.right) + [fix.verdict(term) for term, fix in fixes]
    wrong = [pair for pair in matching.left if any(pair[0] is term for term in unexplained)]
    others, sentences, _ = told(wrong, absent, values)
    sentences = [fix.sentence for _, fix in fixes] + sentences
    changed: dict[int, SignedTerm | None] = {id(term): None for term in unexplained}
    changed |= {id(term): fix.term for term, fix in fixes}
    equations = _with(matching.but(changed), [true for true, _ in absent], values)
    return Story(fixes[0][1].kind, "; ".join(sentences), verdicts + others, equations)


def _without(
    absent: list[tuple[RightTerm, np.ndarray]], reached: np.ndarray, values: ProbeValues
) -> list[tuple[RightTerm, np.ndarray]]:
    for n in range(1, len(absent) + 1):
        for chosen in combinations(range(len(absent)), n):
            if values.same(_total(absent, chosen), reached):
                return [pair for k, pair in enumerate(absent) if k not in chosen]
    return absent


def _lost_parentheses(matching: Matching, values: ProbeValues) -> Iterator[Story]:
    if len(matching.left) != 2:
        return
    (first, _), (second, _) = matching.left
    for one, two in ((first, second), (second, first)):
        if one.over is not two.over:
            continue
        for edit in parenthesised(one.body, one.sign * two.sign, two.body):
            term = one.with_body(edit.expr)
            if values.reaches(term.expr, [_total(matching.absent)]) is None:
                continue
            says = f"parentheses are missing: `{one}` and `{two}` should be `{term}`"
            short = "parentheses are missing"
            verdicts = [TermVerdict(t.expr, WRONG, short, corrected=term.expr) for t in (one, two)]
            terms = matching.but({id(one): term, id(two): None})
            yield Story(PARENTHESES, says, right_terms(matching.right) + verdicts, values.with_terms(terms))


def _replaced(matching: Matching, values: ProbeValues) -> Story:
    """The wrong terms for the right ones, as a whole."""
    mismatched, sentences, (wrong, absent) = told(matching.left, matching.absent, values)
    verdicts = right_terms(matching.right) + mismatched
    if len(wrong) == 1 and all(true.everywhere for true in absent):
        corrected_to = joined([true.term for true in absent])
        verdicts = [replace(v, corrected=corrected_to) if v.verdict == WRONG else v for v in verdicts]
    kind = BOUNDARY if values.equation.fixed else "wrong term"
    at_an_end = values.equation.fixed and any(values.is_zero(value) for _, value in matching.left)  # 0 is said to stand
    if len(wrong) == len(absent) == 1 and _share_a_factor(wrong[0], absent[0].term) and not at_an_end:
        kind = FACTOR
    elif not wrong and not absent and not values.equation.fixed:
        kind = "extra term"
    terms = matching.but({id(term): None for term, _ in matching.left})
    equations = _with(terms, [true for true, _ in matching.absent], values) if matching.open else []
    return Story(kind, "; ".join(sentences), verdicts, equations)


def _share_a_factor(a: SignedTerm, b: SignedTerm) -> bool:
    mine, theirs = ({text(node) for node in walk(term.body)} for term in (a, b))
    return bool(mine & theirs)


def _in_general(matchings: Sequence[Matching], values: ProbeValues) -> Diagnosis:
    """Nothing that was tried makes the equation right: say which terms are known to be."""
    terms = terms_of(values.equation.rhs)
    right = {str(term) for term in matchings[0].right} if matchings and matchings[0].open else set()
    verdicts = [
        TermVerdict(term.expr, RIGHT) if str(term) in right else TermVerdict(term.expr, WRONG, "may be wrong")
        for term in terms
    ]
    said = "no small change of one term makes this right"
    return Diagnosis("wrong term", said, verdicts)


# -- by value alone ----------------------------------------------------------------------------------------------------
def stories_by_value(values: ProbeValues) -> Iterator[Story]:
    """Explanations of an equation that has a value at each of its steps, none for one that has not."""
    terms = terms_of(values.equation.rhs)
    numbers: list[Any] = [values.of(term.expr) for term in terms]
    if any(value is None for value in numbers):
        return
    rest = values.truth - sum(numbers)
    for term, value in zip(terms, numbers, strict=True):
        if values.same(value, -rest):
            others = [other for other in terms if other is not term]
            verdict = TermVerdict(term.expr, EXTRA, "does not belong here")
            said = f"the term `{term}` does not belong here"
            yield Story("extra term", said, [*right_terms(others), verdict], values.with_terms(others))
    if len(terms) > 1 and values.same(values.truth, -sum(numbers)):
        turned = [term.opposite for term in terms[::-1]]
        said = f"the sign of the right-hand side is wrong: it should be `{text(joined(turned))}`"
        short = "the sign of the right-hand side is wrong"
        verdicts = [TermVerdict(term.expr, WRONG, short, corrected=term.opposite.expr) for term in terms]
        yield Story(SIGN, said, verdicts, values.with_terms(turned))
    for term, value in zip(terms, numbers, strict=True):
        others = [other for other in terms if other is not term]
        for fix, _ in corrected(term, [value + rest], values, _pool(term, values)):
            verdicts = [*right_terms(others), fix.verdict(term)]
            changed = [fix.term if other is term else other for other in terms]
            yield Story(fix.kind, fix.sentence, verdicts, values.with_terms(changed))
    for term in _of_other_steps(values):
        if values.same(values.of(term.expr), rest):
            verdict = TermVerdict(term.expr, MISSING, "is missing")
            said = f"the term `{term}` is missing"
            yield Story("missing term", said, [*right_terms(terms), verdict], values.with_terms([*terms, term]))


def _pool(term: SignedTerm, values: ProbeValues) -> list[Expr]:
    """Factors that stand beside the gradients a term names: what is known of the derivatives of those quantities."""
    quantities = values.model.quantities
    gradients = values.gradients
    pool = pool_of([], [term.body], gradients)
    for node in walk(term.body):
        base = quantities.base(node.key) if isinstance(node, Ref) else None
        if isinstance(node, Ref) and base is not None and base[1]:
            pool += known_forms(Ref(node.span, base[0], node.index, node.more), gradients)
    return list(dict.fromkeys(pool))


def _renamed(moves: Mapping[Affine, Affine], index: Affine) -> Affine:
    return moves.get(index, index)


def _of_other_steps(values: ProbeValues) -> Iterator[SignedTerm]:
    """The terms of the other equations for this gradient, with the indices of this one: what holds at S, at s."""
    target = values.equation.target
    for other in values.model.gradients:
        if other is values.equation or other.target.key != target.key:
            continue
        moves = {a: b for a, b in zip(other.target.indices, target.indices, strict=True) if a != b}
        for term in terms_of(other.rhs):
            yield term.with_body(map_indices(term.body, partial(_renamed, moves)))
