"""Judge a document: find its sentences, conventions and models, and give a verdict on every claim in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import combinations, product

import numpy as np

from ..language.syntax.source import Source
from .claim_values import (
    CLASH,
    DIFFERS,
    HOLDS,
    MISSING,
    Alias,
    ClaimValues,
    FreeNames,
    NotDefined,
    Path,
    SideComparison,
    compare,
)
from .document_verdict import (
    CONDITIONAL,
    NOTATION,
    UNATTACHED,
    ClaimVerdict,
    DocumentVerdict,
    FoundModel,
    UnreadFormula,
    VotedConvention,
)
from .formula_values import Calculator, DerivativeLayout, OutOfRange, ShapesClash
from .meaning import (
    Accumulated,
    Derivative,
    Factors,
    FunctionOf,
    GradientName,
    Incomprehensible,
    Known,
    Meaning,
    Named,
    Said,
    Transposed,
    When,
    rebuilt,
    shifted,
    walk,
)
from .mending_edits import mending_edits
from .model_finding import DEFINING, LOSS_NAMES, ModelFinder, Sentence, Side, is_plain, names_in
from .notation import (
    Added,
    BigOperator,
    Differentiation,
    Extent,
    Formula,
    Letters,
    Notation,
    Numeral,
    Pages,
    Prose,
    Statement,
    Title,
)
from .reading.read_document import read_document
from .resolving import DocumentVocabulary, NotationResolver, Survey, parts_of, spelled
from .smooth_functions import KNOWN
from .unrolled_model import Network, Unrolled, parameters
from .worked_numbers import RIGHT, WRONG, GivenValues, NumberJudge, NumberVerdict, given_values, is_number, literal

PASS, FAIL, INCONCLUSIVE, ILL_TYPED, SCALAR = "PASS", "FAIL", "INCONCLUSIVE", "ILL-TYPED", "SCALAR"
ADDING = frozenset({"+=", "\\leftarrow+", "\\xleftarrow{+}", "\\mathrel{+}="})
EQUAL = DEFINING | ADDING | {"\\approx", "\\simeq", "\\leftarrow", "≈"}
MODES = ("total", "step", "direct")
_MODE_SAYS = {
    "total": "",
    "step": "derivatives between states are those within one step",
    "direct": "derivatives between states are direct ones, other names held fixed",
}
STEPS = 4
#: conventions are voted by at most this many claims, and claims are judged for at most this many seconds
SAMPLE = 60
PATIENCE = 7.0
#: so many claims of a model hold for each that fails without a mend, or the model is not understood
TRUSTED = 2


@dataclass
class Claim:
    """One link: its sides, the sides before them in the chain, and where it stands."""

    sentence: Sentence
    number: int
    sides: list[Side]
    sign: str

    @property
    def first(self) -> Side:
        """The far left of the chain."""
        return self.sides[0]

    @property
    def before(self) -> Side:
        """The side left of the link."""
        return self.sides[-2]

    @property
    def right(self) -> Side:
        """The side that is judged."""
        return self.sides[-1]

    @property
    def adds(self) -> bool:
        """Whether the sign adds a share to its left side."""
        return "+" in self.sign

    def trees(self) -> list[Meaning]:
        """The trees of the far left and the right side."""
        return [side.meaning for side in (self.first, self.right) if side.meaning is not None]


@dataclass(frozen=True)
class Assumptions:
    """What a document leaves open and a vote of all its claims settles."""

    rows: bool = False
    layout: DerivativeLayout = field(default_factory=DerivativeLayout)
    choices: tuple[tuple[str, str], ...] = ()
    signs: tuple[tuple[str, str], ...] = ()


Change = Callable[[Assumptions], Assumptions]


@dataclass
class Judge:
    """Everything known of a document while it is judged."""

    pages: Pages
    words: DocumentVocabulary
    sentences: list[Sentence]
    networks: list[Network]
    claims: list[Claim]
    aliases: dict[str, Alias] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)
    assumptions: Assumptions = field(default_factory=Assumptions)
    named_at: set[int] = field(default_factory=set)
    begun: float = field(default_factory=time.monotonic)
    cache: dict[object, Unrolled] = field(default_factory=dict)
    conventions: list[VotedConvention] = field(default_factory=list)
    given: dict[int, GivenValues] = field(default_factory=dict)
    of_numbers: dict[int, bool] = field(default_factory=dict)
    number_judges: dict[tuple[int, int], NumberJudge] = field(default_factory=dict)

    # -- evaluating ---------------------------------------------------------------------------------------------------
    def unrolled(self, network: Network, assumptions: Assumptions, ones: bool = False, seed: int = 0) -> Unrolled:
        """The network with values, made once."""
        slot = (id(network), assumptions.rows, assumptions.choices, ones, seed)
        if slot not in self.cache:
            steps = self.words.final or STEPS
            self.cache[slot] = Unrolled(network, steps, seed, dict(assumptions.choices), assumptions.rows, ones)
        return self.cache[slot]

    def values(
        self,
        claim: Claim,
        network: Network,
        assumptions: Assumptions,
        mode: str = "total",
        ones: bool = False,
        seed: int = 0,
    ) -> ClaimValues:
        """The environment of a claim."""
        ones = ones or self.speaks_of_numbers(claim)
        made = ClaimValues(
            self.unrolled(network, assumptions, ones, seed),
            self.aliases,
            assumptions.layout,
            self.signs | dict(assumptions.signs),
            mode,
        )
        made.step_share = self.is_step_share(claim)
        return made

    def speaks_of_numbers(self, claim: Claim) -> bool:
        """Whether the text gives a parameter a single number under this heading: its letters are numbers there."""
        heading = claim.sentence.heading
        if heading not in self.of_numbers:
            given = self.given.get(heading, GivenValues())
            numbers = {key for key, at in given.values if at is None}  # t = 1 is among them where a text counts on
            bodies = [d.body for network in self.networks for d in network.definitions.values()] if numbers else []
            read = (name.key for body in bodies for name in names_in(body) if name.when is None)
            self.of_numbers[heading] = any(key in numbers for key in read)
        return self.of_numbers[heading]

    def is_step_share(self, claim: Claim) -> bool:
        """Whether a parameter's gradient means the share of one step: `+=`, or dW with a free step on the right."""
        left = claim.first.meaning
        left = left.base if isinstance(left, Transposed) else left
        if claim.adds:
            return True
        if not isinstance(left, GradientName) or left.when is not None:
            return False
        # one gradient that is summed under a heading says that the others there are no shares either
        summed = any(
            _sums_over_time(c.right.meaning)
            and isinstance(c.first.meaning, GradientName)
            and (c.first.meaning == left or c.sentence.heading == claim.sentence.heading)
            for c in self.claims
        )
        if summed or _sums_over_time(claim.right.meaning):
            return False
        alias = self.aliases.get(left.key)
        timeless = (
            alias is not None
            and isinstance(alias.meaning, Derivative)
            and isinstance(alias.meaning.by, Named)
            and alias.meaning.by.when is None
        )
        return timeless

    def network_of(self, claim: Claim) -> list[Network]:
        """The networks a claim may speak of, the nearest first."""
        before = [n for n in self.networks if n.place <= claim.sentence.place]
        after = [n for n in self.networks if n.place > claim.sentence.place]
        return [*reversed(before), *after]

    def compared(
        self, claim: Claim, assumptions: Assumptions, quick: bool = False
    ) -> tuple[SideComparison, str, Network]:
        """The best a claim's side can do as a total derivative: the comparison, the mode and the network."""
        worst: tuple[SideComparison, str, Network] | None = None
        rank = {HOLDS: 0, DIFFERS: 1, CLASH: 2, MISSING: 4}
        for network in self.network_of(claim):
            for mode in MODES:
                left = self.values(claim, network, assumptions)
                right = replace(left, mode=mode)
                assert claim.first.meaning is not None and claim.right.meaning is not None
                found = compare(claim.first.meaning, left, claim.right.meaning, right, quick=quick)
                if found.result == HOLDS:
                    return found, mode, network
                if worst is None or rank.get(found.result, 3) < rank.get(worst[0].result, 3):
                    worst = (found, mode, network)
                if found.result in (MISSING, CLASH):
                    break
            if worst is not None and worst[0].result != MISSING:
                break
        assert worst is not None
        return worst

    # -- conventions --------------------------------------------------------------------------------------------------
    def judged(self) -> list[Claim]:
        """Claims that can be evaluated."""
        return [
            c
            for c in self.claims
            if c.first.meaning is not None and c.right.meaning is not None and not self.introduces(c)
        ]

    def score(self, assumptions: Assumptions) -> tuple[int, int]:
        """How many claims hold, and how many have shapes that fit."""
        holds = typed = 0
        claims = self.judged()
        for claim in claims[:: -(-len(claims) // SAMPLE) or 1]:
            result = self.compared(claim, assumptions, quick=True)[0]
            holds += result.result == HOLDS and not result.vanishes
            typed += result.result != CLASH
        unclear = sum(len(self.unrolled(n, assumptions).inconsistent) for n in self.networks[-1:])
        return holds, typed - 3 * unclear

    def settle(self) -> None:
        """Choose what the document leaves open: each choice by the claims that hold under it."""
        if "function sigma" not in dict(self.assumptions.choices):
            self.assumptions = _chosen("function sigma", "sigmoid")(self.assumptions)
        best, score = self.assumptions, self.score(self.assumptions)
        self.conventions = []
        for about, options in self.options():
            if self.late():
                break  # what is left keeps its default, and the report shows no vote on it
            votes = [
                (describe, self.score(option) if option != best else score, option)
                for describe, option in ((d, change(best)) for d, change in options)
            ]
            name, top, option = max(votes, key=lambda vote: vote[1])
            if top > score:
                best, score = option, top
            else:
                name = next((d for d, s, o in votes if o == best), name)
            self.conventions.append(VotedConvention(about, name, tuple((d, s[0]) for d, s, _ in votes)))
        self.assumptions = best

    def options(self) -> Iterator[tuple[str, list[tuple[str, Change]]]]:
        """What may be chosen: a subject and changes of the assumptions."""
        yield "vectors", [("columns", lambda a: replace(a, rows=False)), ("rows", lambda a: replace(a, rows=True))]
        functions = {
            p.function
            for s in self.sentences
            for side in s.sides
            if side.meaning
            for p in walk(side.meaning)
            if isinstance(p, FunctionOf)
        }
        for letter in sorted(functions & {"sigma", "phi", "g", "f", "theta", "varphi"}):
            known = ["sigmoid", "tanh"] if letter == "sigma" else ["", "tanh"]
            known += [""] if letter == "sigma" else []  # sigma is a sigmoid unless the claims say otherwise
            yield (
                f"function {letter}",
                [(name or "any smooth one", _chosen(f"function {letter}", name)) for name in known],
            )
        yield from self._loss_options()
        used = {
            o for s in self.sentences for side in s.sides if side.meaning for p in walk(side.meaning) for o in _signs(p)
        }
        for sign in sorted(used & {"\\cdot", "*", "\\times"}):
            yield f"sign {sign}", [("by shapes", lambda a: a), ("entrywise", _entrywise(sign))]
        yield (
            "gradients",
            [
                ("shape of the quantity", lambda a: replace(a, layout=replace(a.layout, transposed=False))),
                ("transposed", lambda a: replace(a, layout=replace(a.layout, transposed=True))),
            ],
        )
        yield (
            "Jacobians",
            [
                ("rows for what is differentiated", lambda a: replace(a, layout=replace(a.layout, denominator=False))),
                (
                    "columns for what is differentiated",
                    lambda a: replace(a, layout=replace(a.layout, denominator=True)),
                ),
            ],
        )

    def _loss_options(self) -> Iterator[tuple[str, list[tuple[str, Change]]]]:
        """Losses in words: where a claim has output minus target for a gradient of a loss nobody defines."""
        defined = {slot for n in self.networks for slot in n.definitions}
        sinks = {sink for n in self.networks for sink in n.sinks()}
        pairs: Counter[tuple[str, str]] = Counter()
        for claim in self.claims:
            for part in walk(claim.right.meaning) if claim.right.meaning is not None else ():
                if hasattr(part, "terms") and len(part.terms) == 2 and all(isinstance(t, Named) for t in part.terms):
                    one, two = part.terms
                    if one.key in sinks and (two.key, True) not in defined and two.when is not None:
                        pairs[one.key, two.key] += 1
        for output, target in list(pairs)[:1]:

            def change(a: Assumptions, kind: str, output: str = output, target: str = target) -> Assumptions:
                choices = _with(a.choices, "loss", kind)
                for key, value in (("output", output), ("target", target), ("targets", target)):
                    choices = _with(choices, key, value)
                return replace(a, choices=choices)

            yield (
                "loss",
                [
                    ("any smooth function of the outputs", lambda a: a),
                    ("cross entropy of a softmax", lambda a: change(a, "cross entropy")),
                    ("half the square", lambda a: change(a, "half the square")),
                ],
            )

    # -- names of gradients -------------------------------------------------------------------------------------------
    def introduces(self, claim: Claim) -> bool:
        """Whether a link only gives a name, or a value at the boundary."""
        left, right = claim.first.meaning, claim.right.meaning
        if claim.sentence.place in self.named_at and len(claim.sides) == 2:
            return True
        if isinstance(right, Said):
            return True
        if isinstance(left, GradientName) and isinstance(right, Known) and right.value == 0 and len(claim.sides) == 2:
            return True
        if isinstance(left, Named) and right is not None and not is_plain(right) and not claim.adds:
            return (left.key, left.when is not None) not in {slot for n in self.networks for slot in n.definitions}
        return False

    def name_gradients(self) -> None:
        """Settle what each gradient's name stands for: stated, read off the name, or voted."""
        names = {
            p
            for c in self.claims
            for side in c.sides
            if side.meaning
            for p in walk(side.meaning)
            if isinstance(p, GradientName)
        }
        for claim in self.claims:
            self._stated(claim)
        open_names = sorted({n.key for n in names} - set(self.aliases))
        for key in open_names:
            alias = self._spelled(key)
            if alias is not None:
                self.aliases[key] = alias
        for key in open_names:
            if not self.late() and (
                key not in self.aliases or ":" in key or f"pre {key.removeprefix('d ')}" in self._quantities()
            ):
                self._voted(key)

    def _stated(self, claim: Claim) -> None:
        left, right = claim.first.meaning, claim.right.meaning
        if (
            len(claim.sides) != 2
            or not isinstance(left, GradientName)
            or not isinstance(right, Derivative)
            or left.key in self.aliases
            or claim.adds
        ):
            return
        by = right.by
        if not isinstance(by, Named) or (right.of is not None and not isinstance(right.of, (Named, FunctionOf))):
            return
        meaning: Meaning = right
        if left.when is not None and len(left.when.terms) == 1:
            letter = left.when.terms[0][0]
            meaning = shifted(right, letter, When(((self.words.time, 1),)).plus(When((), left.when.offset), -1))
        if by.index and left.index:
            meaning = Derivative(right.of, replace(by, when=_when(meaning), index=()), right.note, right.sign)
        self.aliases[left.key] = Alias(meaning)
        self.named_at.add(claim.sentence.place)

    def _quantities(self) -> dict[str, bool]:
        """Names of the models' quantities: whether they have a time."""
        found: dict[str, bool] = {}
        for network in self.networks:
            for key, timed in network.definitions:
                if key not in network.losses:
                    found[key] = timed
            bodies = [d.body for d in network.definitions.values()]
            for body in bodies:
                for name in names_in(body):
                    if name.key not in network.losses:
                        found.setdefault(name.key, name.when is not None)
        return found

    def _spelled(self, key: str) -> Alias | None:
        quantities = self._quantities()
        base, _, label = key.removeprefix("d ").partition(":") if key.startswith("d ") else key.partition("_")
        name = base if key.startswith("d ") else label
        share = "handed" if key.startswith("d ") and label else "total"
        if name in quantities:
            return Alias(self._gradient_by(name, quantities[name]), share)
        return None

    def _gradient_by(self, name: str, timed: bool) -> Derivative:
        return Derivative(None, Named(name, When(((self.words.time, 1),)) if timed else None))

    def _voted(self, key: str) -> None:
        quantities = self._quantities()
        mine = [
            c
            for c in self.judged()
            if any(isinstance(p, GradientName) and p.key == key for t in c.trees() for p in walk(t))
        ]
        defining = [c for c in mine if isinstance(c.first.meaning, GradientName) and c.first.meaning.key == key]
        labelled = key.startswith("d ") or "_" in key
        if not defining and ":" not in key and (labelled or len(mine) < 3):
            return
        spelled_alias = self.aliases.get(key)
        inside = f"pre {key.removeprefix('d ')}"
        options = [Alias(self._gradient_by(n, True)) for n, timed in quantities.items() if timed]
        if spelled_alias is not None:
            options = [spelled_alias]
            if ":" in key:
                options += [replace(spelled_alias, share=share) for share in ("handed", "total")]
            if inside in quantities:
                options.append(Alias(self._gradient_by(inside, True)))
        best: tuple[int, int] = (0, 0)
        chosen: Alias | None = spelled_alias
        for rank, option in enumerate(options):
            self.aliases[key] = option
            count = sum(self.compared(c, self.assumptions, quick=True)[0].result == HOLDS for c in mine)
            if (count, -rank) > best and count:
                best, chosen = (count, -rank), option
        if chosen is None and defining and defining[0].right.meaning is not None:
            chosen = None
        if chosen is None:
            self.aliases.pop(key, None)
        else:
            self.aliases[key] = chosen

    # -- slopes -------------------------------------------------------------------------------------------------------
    def settle_slopes(self) -> None:
        """Whether f'(h) is the slope at h, or that of f where its value is h: voted once, by the claims that hold."""
        sloped = [
            c for c in self.judged() if any(isinstance(p, FunctionOf) and p.slopes for t in c.trees() for p in walk(t))
        ]
        mine = [c for c in sloped if self._at_argument(c.right.meaning) != c.right.meaning]
        if not mine:
            return
        at_argument = self._holding(sloped)  # also those that cannot be meant otherwise
        before = [(side, side.meaning) for s in self.sentences for side in s.sides]
        for side, meaning in before:
            side.meaning = self._at_argument(meaning)
        by_output = self._holding(mine)
        if by_output <= at_argument:
            for side, meaning in before:
                side.meaning = meaning
        choice = "the output" if by_output > at_argument else "the argument"
        votes = (("the argument", at_argument), ("the output", by_output))
        self.conventions.append(VotedConvention("f' is written with", choice, votes))

    def _holding(self, claims: Sequence[Claim]) -> int:
        return sum(self.compared(claim, self.assumptions, quick=True)[0].result == HOLDS for claim in claims)

    def _at_argument(self, meaning: Meaning | None) -> Meaning | None:
        """A side with each slope at an output of its function taken at the argument of that output."""
        return None if meaning is None else rebuilt(meaning, self._slope_at_argument)

    def _slope_at_argument(self, part: Meaning) -> Meaning | None:
        if not isinstance(part, FunctionOf) or not part.slopes or len(part.arguments) != 1:
            return None
        (output,) = part.arguments
        if not isinstance(output, Named) or output.when is None:
            return None
        for network in self.networks:
            definition = network.definitions.get((output.key, True))
            body = definition.body if definition is not None else None
            if isinstance(body, FunctionOf) and body.function == part.function and len(body.arguments) == 1:
                return replace(part, arguments=(shifted(body.arguments[0], network.time, output.when),))
        return None

    # -- signs --------------------------------------------------------------------------------------------------------
    def settle_signs(self) -> None:
        """What each sign of multiplication means, by how it is used where shapes leave no doubt."""
        votes: Counter[tuple[str, str]] = Counter()
        for claim in self.judged():
            for network in self.network_of(claim)[:1]:
                values = self.values(claim, network, self.assumptions)
                assert claim.first.meaning is not None and claim.right.meaning is not None
                compare(claim.first.meaning, values, claim.right.meaning, values, quick=True)
                votes.update(dict.fromkeys(values.votes, 1))
        for network in self.networks:
            unrolled = self.unrolled(network, self.assumptions)
            votes.update({vote: -(-count // unrolled.T) for vote, count in unrolled.votes.items()})
        for sign in sorted({sign for sign, _ in votes}):
            matrix, entrywise = votes[sign, "matrix"], votes[sign, "entrywise"]
            choice = "by shapes" if min(matrix, entrywise) > 1 else "matrix" if matrix > entrywise else "entrywise"
            if min(matrix, entrywise) == 1 and max(matrix, entrywise) < 3:
                choice = "by shapes"
            if dict(self.assumptions.signs).get(sign) == "entrywise":
                choice = "entrywise"
            self.signs[sign] = "shapes" if choice == "by shapes" else choice
            self.conventions.append(
                VotedConvention(
                    f"product {sign or 'juxtaposition'}", choice, (("matrix", matrix), ("entrywise", entrywise))
                )
            )

    # -- verdicts -----------------------------------------------------------------------------------------------------
    def late(self) -> bool:
        """Whether voting has taken as long as it may: a long document is judged by the votes there are."""
        return time.monotonic() - self.begun > PATIENCE

    def patient(self, claim: Claim) -> ClaimVerdict:
        """The verdict on one claim, as long as there is time."""
        if self.late():
            return self._told(claim, INCONCLUSIVE, None, explanation="not reached: the document has too many claims")
        return self.verdict(claim)

    def verdict(self, claim: Claim) -> ClaimVerdict:
        """The verdict on one claim."""
        for side in (claim.first, claim.right):
            if side.meaning is None:
                return self._told(claim, INCONCLUSIVE, None, explanation=side.why)
        if self.introduces(claim):
            return self._told(claim, NOTATION, None)
        if is_number(claim.right.meaning) or is_number(claim.first.meaning):
            return self._number(claim)
        if self._is_identity(claim):
            return self._identity(claim)
        comparison, mode, network = self.compared(claim, self.assumptions)
        if comparison.result == HOLDS:
            if comparison.vanishes and not _is_zero(claim.right.meaning):
                return self._told(
                    claim, INCONCLUSIVE, network, explanation="both sides vanish in the model that was found"
                )
            if not self._holds_again(claim, network, mode):
                return self._told(claim, FAIL, network, explanation="the sides differ at some values")
            return self._told(claim, PASS, network, reading=_MODE_SAYS[mode])
        if len(claim.sides) > 2 and claim.before.meaning is not None:
            previous = self._as_before(claim, network)
            if previous is not None:
                return self._told(claim, PASS, network, reading=previous)
        if comparison.result == MISSING:
            return self._told(claim, UNATTACHED, None, explanation=f"{comparison.why} is not defined")
        if comparison.result not in (DIFFERS, CLASH):
            return self._told(claim, INCONCLUSIVE, network, explanation=comparison.why)
        share = self._as_share(claim, network)
        if share is not None:
            return share
        if self._unreached(claim, network):
            return self._told(claim, INCONCLUSIVE, network, explanation="the left side vanishes in the model found")
        ones = self._with_ones(claim, network)
        doubt = self.unrolled(network, self.assumptions).inconsistent
        if doubt and not ones:
            return self._told(claim, INCONCLUSIVE, network, explanation=f"the model is not understood: {doubt[0]}")
        if comparison.result == CLASH:
            return self._wrong(claim, network, SCALAR if ones else ILL_TYPED, comparison.why)
        if ones:
            return self._wrong(claim, network, SCALAR, "it holds only where every size is 1")
        return self._wrong(claim, network, FAIL, f"the sides differ by {comparison.error:.0%} of their values")

    def _mended(self, claim: Claim, network: Network, told: ClaimVerdict) -> ClaimVerdict:
        """The verdict with the right form, where one change of the author's own formula makes it right."""
        text = claim.sentence.page.text
        values = self.values(claim, network, self.assumptions)
        resolver = NotationResolver(self.words)
        names = {
            text[node.extent.start : node.extent.end]: node.name
            for sentence in self.sentences
            if sentence.page is claim.sentence.page
            for side in sentence.sides
            for node in parts_of(side.notation)
            if isinstance(node, Letters) and (node.lower or node.upper) and not node.run
        }
        for edit in mending_edits(claim.right.notation, text, self.words.time, names):
            if time.monotonic() - self.begun > PATIENCE / 2:
                return told
            pages = read_document(Source(f"$${edit.latex}$$", "candidate.md"))
            sides = [s for item in pages.pages[0].items if isinstance(item, Formula) for s in item.statements]
            if len(sides) != 1 or len(sides[0].sides) != 1 or sides[0].sides[0] is None or claim.first.meaning is None:
                continue
            try:
                meaning = resolver.read(sides[0].sides[0])
            except Incomprehensible:
                continue
            if meaning == claim.first.meaning:
                continue  # it says nothing any more
            found = compare(claim.first.meaning, values, meaning, values, quick=True)
            if found.result != HOLDS or found.vanishes:
                continue
            again = self.values(claim, network, self.assumptions, seed=1)
            if compare(claim.first.meaning, again, meaning, again).result == HOLDS:
                change = f"{edit.after} for {edit.before}" if edit.after else f"without {edit.before}"
                return replace(told, explanation=f"{told.explanation}; it holds with {change}", right_form=edit.latex)
        return told

    def _wrong(self, claim: Claim, network: Network, verdict: str, why: str) -> ClaimVerdict:
        """A claim that does not hold, with the change that makes it right, if one change does."""
        return self._mended(claim, network, self._told(claim, verdict, network, explanation=why))

    def without_false_alarms(self, verdicts: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
        """Verdicts with a wrong one taken back where nothing speaks for it but the numbers.

        A claim is wrong where one change makes it right, or where most of what the text says of its model holds, so
        that the model was understood, or where nothing else is said of it; else it is undecided.
        """
        unmended = [v.verdict in (FAIL, ILL_TYPED, SCALAR) and not v.right_form for v in verdicts]
        holds, fails = Counter[str | None](), Counter[str | None]()
        for doubtful, verdict in zip(unmended, verdicts, strict=True):
            holds[verdict.model] += verdict.verdict == PASS
            fails[verdict.model] += doubtful
        why = "it does not follow in the model as it was understood, of which too little else holds to be sure"
        return [
            replace(v, verdict=INCONCLUSIVE, explanation=f"{why}: {v.explanation}")
            if doubtful and v.model is not None and 1 < holds[v.model] + fails[v.model] < (1 + TRUSTED) * fails[v.model]
            else v
            for doubtful, v in zip(unmended, verdicts, strict=True)
        ]

    def _number(self, claim: Claim) -> ClaimVerdict:
        """The verdict on a printed number."""
        assert claim.first.meaning is not None and claim.right.meaning is not None
        given = self.given.get(claim.sentence.heading, GivenValues())
        before = claim.before.meaning or claim.first.meaning
        wrong: NumberVerdict | None = None
        for network in self.network_of(claim):
            slot = (id(network), claim.sentence.heading)
            if slot not in self.number_judges:
                self.number_judges[slot] = NumberJudge(network, given, self.aliases, dict(self.assumptions.choices))
            found = self.number_judges[slot].judged(claim.first.meaning, before, claim.right.meaning)
            if found.result == RIGHT:
                return self._told(claim, PASS, network)
            wrong = wrong or (found if found.result == WRONG else None)
        if wrong is not None:
            return self._told(claim, FAIL, None, explanation=wrong.said)
        return self._told(claim, INCONCLUSIVE, None, explanation="the text does not give the values that it needs")

    def _is_identity(self, claim: Claim) -> bool:
        """Whether a claim is about functions alone: tanh'(x) = 1 - tanh(x)^2 for whatever x is."""
        trees = claim.trees()
        calls = [p for tree in trees for p in walk(tree) if isinstance(p, FunctionOf)]
        about = [p for p in calls if p.slopes or not p.arguments]
        slope = (
            isinstance(trees[0], Derivative) and isinstance(trees[0].of, FunctionOf) and trees[0].of.function in KNOWN
        )
        names = [n for tree in trees for n in names_in(tree)]
        return bool(about or slope) and all(n.when is None and not n.index for n in names)

    def _identity(self, claim: Claim) -> ClaimVerdict:
        """The verdict on an identity of functions, at some numbers."""
        left, right = claim.trees()
        network = self.network_of(claim)[0]
        unrolled = self.unrolled(network, self.assumptions)
        if isinstance(left, Derivative) and isinstance(left.of, FunctionOf) and left.of.arguments == (left.by,):
            left = replace(left.of, slopes=left.of.slopes + 1)
        names = sorted({n.key for tree in (left, right) for n in names_in(tree)})
        output = isinstance(left, FunctionOf) and len(names) == 1
        kept: str | None = None
        try:
            for by_output in (False, True) if output else (False,):
                errors = []
                for x in (-0.7, 0.3, 0.9):
                    values = dict.fromkeys(names, x)
                    seen = values
                    if by_output and isinstance(left, FunctionOf):
                        seen = dict.fromkeys(names, float(unrolled.call(replace(left, slopes=0), (x,))))
                    a = float(Calculator(FreeNames(unrolled, values), {}).array(left))
                    b = float(Calculator(FreeNames(unrolled, seen), {}).array(right))
                    errors.append(abs(a - b) / max(abs(a), abs(b), 1e-300))
                if max(errors) < 1e-9:
                    kept = "the slope as a function of the output" if by_output else ""
                    break
        except (Incomprehensible, ShapesClash, OutOfRange, NotDefined) as why:
            return self._told(claim, INCONCLUSIVE, network, explanation=str(why))
        if kept is None:
            differs = f"the sides differ by {max(errors):.0%} of their values"
            return self._told(claim, FAIL, network, explanation=differs)
        return self._told(claim, PASS, network, reading=kept)

    def _unreached(self, claim: Claim, network: Network) -> bool:
        """Whether the left side is 0 everywhere: what it is about does not reach the loss of this model."""
        values = self.values(claim, network, self.assumptions)
        assert claim.first.meaning is not None
        found = compare(claim.first.meaning, values, Known(Fraction(0)), values)
        return found.result == HOLDS and found.vanishes

    def _holds_again(self, claim: Claim, network: Network, mode: str) -> bool:
        left = self.values(claim, network, self.assumptions, seed=1)
        assert claim.first.meaning is not None and claim.right.meaning is not None
        return compare(claim.first.meaning, left, claim.right.meaning, replace(left, mode=mode)).result == HOLDS

    def _as_before(self, claim: Claim, network: Network) -> str | None:
        values = self.values(claim, network, self.assumptions)
        assert claim.before.meaning is not None and claim.right.meaning is not None
        for one, other in product(MODES, MODES):
            found = compare(
                claim.before.meaning, replace(values, mode=one), claim.right.meaning, replace(values, mode=other)
            )
            if found.result == HOLDS and not (found.vanishes and not _is_zero(claim.right.meaning)):
                return f"equal to the side before{': ' + _MODE_SAYS[one] if _MODE_SAYS[one] else ''}"
        return None

    def _with_ones(self, claim: Claim, network: Network) -> bool:
        try:
            values = self.values(claim, network, self.assumptions, ones=True)
        except (ValueError, TypeError, Incomprehensible):
            return False
        assert claim.first.meaning is not None and claim.right.meaning is not None
        return any(
            compare(claim.first.meaning, values, claim.right.meaning, replace(values, mode=mode)).result == HOLDS
            for mode in MODES
        )

    def _as_share(self, claim: Claim, network: Network) -> ClaimVerdict | None:
        """Whether a side is the derivative through some readers only: a share of one path."""
        left, right = claim.first.meaning, claim.right.meaning
        assert left is not None and right is not None
        values = self.values(claim, network, self.assumptions)
        jacobian = isinstance(left, Derivative) and left.of is not None
        paths = "+" in claim.sign or self._speaks_of_paths(claim)
        for mode in MODES:
            other = replace(values, mode=mode)
            if jacobian and mode != "total" and self._equal(left, other, right, other):
                return self._told(
                    claim,
                    PASS if paths else CONDITIONAL,
                    network,
                    reading=_MODE_SAYS[mode],
                    explanation="it holds if the other names are held fixed",
                )
            for path in self._paths(left, values):
                if self._equal(left, replace(values, path=path), right, other):
                    through = ", ".join(sorted(key.removeprefix("pre ") for key, _ in path))
                    held = sorted(
                        {key.removeprefix("pre ") for full in [self._readers(left, values)] for key, _ in full - path}
                    )
                    reading = f"the share through {through}"
                    if paths:
                        return self._told(claim, PASS, network, reading=reading)
                    return self._told(
                        claim,
                        CONDITIONAL,
                        network,
                        reading=reading,
                        explanation=f"it holds if {', '.join(held)} {'is' if len(held) == 1 else 'are'} held fixed",
                    )
        return None

    def _equal(self, left: Meaning, a: ClaimValues, right: Meaning, b: ClaimValues) -> bool:
        found = compare(left, a, right, b)
        return found.result == HOLDS and not found.vanishes

    def _readers(self, left: Meaning, values: ClaimValues) -> Path:
        """Who reads what is differentiated by, as names and steps from it."""
        by = left
        if isinstance(by, Transposed):
            by = by.base
        if isinstance(by, GradientName) and by.key in self.aliases:
            by = self.aliases[by.key].meaning
        if not isinstance(by, Derivative) or not isinstance(by.by, Named) or by.by.when is None:
            return frozenset()
        point = (by.by.key, 2)
        return frozenset((key, at - 2) for key, at in values.unrolled.readers(point) if at is not None)

    def _paths(self, left: Meaning, values: ClaimValues) -> Iterator[Path]:
        readers = sorted(self._readers(left, values))
        if len(readers) > 7:
            steps = {at for _, at in readers}
            yield from (frozenset(r for r in readers if r[1] == at) for at in steps if len(steps) > 1)
            return
        for count in range(len(readers) - 1, 0, -1):
            yield from (frozenset(some) for some in combinations(readers, count))

    def _speaks_of_paths(self, claim: Claim) -> bool:
        left = claim.first.meaning
        if isinstance(left, GradientName) and ":" in left.key:
            return True
        return isinstance(left, Derivative) and bool(left.note)

    def _told(
        self, claim: Claim, verdict: str, network: Network | None, reading: str = "", explanation: str = ""
    ) -> ClaimVerdict:
        page = claim.sentence.page
        line, column = page.place(claim.sentence.row)
        start = claim.before.notation.extent.start
        end = claim.right.notation.extent.end
        name = None if network is None else network.name
        return ClaimVerdict(
            page.file, page.cell, line, column, start, end, page.text[start:end], verdict, name, reading, explanation
        )


def _with(choices: tuple[tuple[str, str], ...], key: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((dict(choices) | {key: value}).items()))


def _signs(node: Meaning) -> tuple[str, ...]:
    return node.operators if isinstance(node, Factors) else ()


def _entrywise(sign: str) -> Change:
    return lambda a: replace(a, signs=tuple(sorted((dict(a.signs) | {sign: "entrywise"}).items())))


def _chosen(about: str, choice: str) -> Change:
    return lambda assumptions: replace(assumptions, choices=_with(assumptions.choices, about, choice))


def _when(meaning: Meaning) -> When | None:
    return meaning.by.when if isinstance(meaning, Derivative) and isinstance(meaning.by, Named) else None


def _sums_over_time(tree: Meaning | None) -> bool:
    return isinstance(tree, Accumulated) and tree.over == "time"


def _is_zero(node: Meaning | None) -> bool:
    return isinstance(node, Known) and node.value == 0


# -- reading a document -----------------------------------------------------------------------------------------------
def sentences_of(pages: Pages) -> tuple[list[Sentence], DocumentVocabulary]:
    """The statements of a document with their meaning, in order, and its vocabulary."""
    raw: list[Sentence] = []
    heading, words = 0, ""
    last: Sentence | None = None
    for page in pages.pages:
        for item in page.items:
            if isinstance(item, Title):
                heading += 1
            elif isinstance(item, Prose):
                words = item.text
            elif isinstance(item, Formula):
                above: dict[int, Sentence] = {}
                for statement in item.statements:
                    continues = bool(statement.sides) and statement.sides[0] is None
                    sides = [Side(node, None) for node in statement.sides if node is not None]
                    row_above = above.get(statement.column, last)
                    if sides and row_above is not None and _adds_to_row_above(statement, page.text):
                        _extend(row_above, sides[0])
                        continue
                    shown = statement.sides[0] if statement.sides and statement.sides[0] is not None else None
                    row = (
                        shown.extent.start
                        if shown is not None
                        else statement.links[0].extent.start
                        if statement.links
                        else statement.extent.start
                    )
                    made = Sentence(page, statement, heading, len(raw), row, sides, statement.links, None, words)
                    if continues:
                        made.before = above.get(statement.column, last)
                    raw.append(made)
                    if statement.links:
                        above[statement.column] = last = made
    survey = Survey([node for s in raw for node in s.statement.sides if node is not None])
    words_of = survey.vocabulary()
    _prepare(raw, words_of)
    resolver = NotationResolver(words_of)
    for sentence in raw:
        for side in sentence.sides:
            try:
                side.meaning = resolver.read(side.notation)
            except Incomprehensible as why:
                side.why = str(why)
    return raw, words_of


def _adds_to_row_above(statement: Statement, text: str) -> bool:
    """Whether a row goes on with the sum of the row above: it has no equality and begins with a sign."""
    return not statement.links and len(statement.sides) == 1 and text[statement.extent.start] in "+-"


def _extend(sentence: Sentence, more: Side) -> None:
    if not sentence.links:
        return
    last = sentence.sides[-1]
    terms = [part for side in (last, more) for part in _terms(side.notation)]
    extent = Extent(last.notation.extent.start, more.notation.extent.end)
    joined = Added(extent, tuple(term for term, _ in terms), tuple(sign for _, sign in terms))
    sentence.sides[-1] = Side(joined, None)


def _terms(node: Notation) -> list[tuple[Notation, str]]:
    return list(zip(node.terms, node.signs, strict=True)) if isinstance(node, Added) else [(node, "+")]


def _prepare(sentences: list[Sentence], words: DocumentVocabulary) -> None:
    """Which names the document defines, and which it gives to derivatives."""
    plain = NotationResolver(words)
    numerators: Counter[str] = Counter()
    for sentence in sentences:
        for side in sentence.sides:
            for node in parts_of(side.notation):
                if isinstance(node, Differentiation) and isinstance(node.of, Letters):
                    numerators[spelled(node.of)] += 1
                prefixed = isinstance(node, Letters) and node.run and (len(node.name) == 2 or node.name[0] == "d")
                if isinstance(node, Letters) and not prefixed:
                    words.keys.add(spelled(node))
        if not sentence.statement.sides or not isinstance(sentence.statement.sides[0], Letters) or not sentence.links:
            continue
        left = sentence.statement.sides[0]
        if left.run and left.name not in words.timed and len(left.name) > 1 and left.name.startswith("d"):
            continue
        others = list(sentence.sides[1:])
        derived = any(isinstance(node, Differentiation) for side in others for node in parts_of(side.notation))
        prefixed = left.name == "delta"
        uppers = [u for u in left.upper if isinstance(u, Numeral)]
        if uppers and others and not derived:
            words.layered.add(spelled(left))
        summed = any(isinstance(node, BigOperator) for side in others for node in parts_of(side.notation))
        plain.labels_only = not summed
        try:
            named = plain.named(left)
        except Incomprehensible:
            continue
        key = getattr(named, "key", None)
        if key is None or sentence.links[0].sign not in DEFINING:
            continue
        if others and isinstance(others[0].notation, Differentiation) and not prefixed:
            words.gradients.add(key)
        elif (
            not derived
            and not prefixed
            and any(isinstance(node, Letters) for side in others for node in parts_of(side.notation))
        ):
            words.defined.add(key)
    words.gradients -= words.defined
    words.losses |= {name for name in numerators if name in LOSS_NAMES}


def claims_of(sentences: list[Sentence], defining: set[int]) -> list[Claim]:
    """The equality links that say something to be judged."""
    claims: list[Claim] = []
    chains: dict[int, list[Side]] = {}
    for sentence in sentences:
        sides = list(chains.get(sentence.before.place, [])) if sentence.before is not None else []
        new = list(sentence.sides)
        if not sides and new:
            sides.append(new.pop(0))
        for number, link in enumerate(sentence.links):
            if number >= len(new):
                break
            sides.append(new[number])
            if link.sign in EQUAL or "+" in link.sign:
                claim = Claim(sentence, number, list(sides), link.sign)
                if _says_something(claim, defining):
                    claims.append(claim)
        chains[sentence.place] = sides
    return claims


def _says_something(claim: Claim, defining: set[int]) -> bool:
    trees = [side.meaning for side in (claim.first, claim.before, claim.right)]
    noted = [side.notation for side in (claim.first, claim.right)]
    if any(isinstance(node, Differentiation) for tree in noted for node in parts_of(tree)):
        return True
    if any(tree is not None and any(isinstance(p, (Derivative, GradientName)) for p in walk(tree)) for tree in trees):
        return True
    first = claim.first.meaning
    if is_number(claim.right.meaning) and not (
        len(claim.sides) == 2 and literal(claim.right.meaning) is not None and isinstance(first, Named)
    ):
        return True  # what the text gives, as x_1 = 0.5, is no claim
    slopes = first is not None and any(isinstance(p, FunctionOf) and p.slopes for p in walk(first))
    return slopes and claim.sentence.place not in defining


def judge_document(pages: Pages) -> DocumentVerdict:
    """Everything found in a document.

    The verdict on each claim, in the order of the text, the models and conventions it was judged by, and what could
    not be read.
    """
    with np.errstate(all="ignore"):
        return _judged(pages)


def _judged(pages: Pages) -> DocumentVerdict:
    sentences, words = sentences_of(pages)
    finder = ModelFinder(sentences, words.time)
    networks = finder.find()
    judge = Judge(pages, words, sentences, networks, claims_of(sentences, finder.defining))
    judge.given = given_values(sentences)
    for _ in range(2):  # what a name stands for is voted under conventions, and conventions by what holds
        judge.name_gradients()
        judge.settle()
    judge.name_gradients()
    judge.settle_slopes()
    judge.settle_signs()
    judge.begun = time.monotonic()
    verdicts = tuple(judge.without_false_alarms([judge.patient(claim) for claim in judge.claims]))
    unread = tuple(
        UnreadFormula(page.file, page.cell, *page.place(bad.extent.start), item.latex, bad.reason, "=" in item.latex)
        for page in pages.pages
        for item in page.items
        if isinstance(item, Formula)
        for bad in item.unread
    )
    repairs = tuple(
        f"{page.file}:{page.place(r.extent.start)[0]}: {r.seen} read as {r.taken_for}"
        for page in pages.pages
        for r in page.repairs
    )
    models = tuple(_model(network, judge) for network in networks if network.definitions)
    return DocumentVerdict(pages.file, tuple(judge.conventions), models, verdicts, unread, repairs)


def _model(network: Network, judge: Judge) -> FoundModel:
    names = [name for d in network.definitions.values() for name in names_in(d.body)]
    loose, inputs = parameters(network, names)
    sentence = judge.sentences[min(network.place, len(judge.sentences) - 1)]
    states = tuple(key for key, timed in network.definitions if timed and not key.startswith("pre "))
    loss = (
        ()
        if network.loss is not None and (network.loss, False) in network.definitions
        else ("a loss: a smooth function of " + ", ".join(network.sinks()),)
    )
    return FoundModel(
        network.name,
        sentence.page.place(sentence.row)[0],
        sentence.page.cell,
        states,
        tuple(loose),
        tuple(inputs),
        loss,
        "",
    )
