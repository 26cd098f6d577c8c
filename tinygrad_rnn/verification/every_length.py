"""What can be known of a derivation for every length, asked of the domains and not of the lengths that are tried.

Two equations may state one step from T = 13 on only, a step may be stated by none, and what equations read may go round
from some length on. The domains say at which lengths to look; what is there is then told by a run of such a length, as
for those that are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from ..language import Equation, Model
from ..language.affine import Affine, affine
from ..language.expressions import Ref
from ..language.syntax.indices import Constraint, Lengths
from ..language.types.quantities import Key
from ..system import Clause, Domain, System
from ..system.affine_system import claim_of
from ..system.circles import circles, tangles
from ..system.domain_lengths import Occasion
from ..system.existence import Existence, image, sums, uncovered
from ..system.readings import Reading, gaps, overlaps, readings
from ..system.time_limit import Undecided, patience
from .measure.reach import SHORTEST, reach
from .usable import Usable, said_lengths

#: seconds for each of the questions
SECONDS = 3.0

Answer = TypeVar("Answer")
What = TypeVar("What")
#: lengths that are not tried
Late = dict[str, int]


@dataclass
class EveryLength:
    """A model's stated equations, for all lengths at which everything that they mention is seen; `others` are those of
    the file that it leaves out.

    >>> from tinygrad_rnn.language import load
    >>> forward = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\ndh[T] = ones_like(h[T])\\n"
    >>> asked = EveryLength(load(forward + "dh[t] = W.T @ dh[t+1] for t < T and t < 9"))
    >>> [lengths for lengths, _ in asked.gaps()], asked.gaps([{"T": 12}])
    ([{'T': 10}], [])
    """

    model: Model
    others: Sequence[Equation] = ()
    #: questions that took too long, or have no answer
    undecided: list[str] = field(default_factory=list)
    #: the ids of equations of which it is not known whether they read themselves
    tangled: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.names = list(self.model.lengths(1))
        self.shortest = max(SHORTEST, reach(self.model, self.others) + 2)
        self.briefest = max(SHORTEST, self.model.longest_delay + 2)
        self.long = Domain.of(*(Constraint(">=", affine(name, -self.shortest)) for name in self.names))
        self._pieces: dict[tuple[Key, tuple[Affine, ...]], list[Domain]] = {}

    # -- questions ----------------------------------------------------------------------------------------------------
    def overlaps(self, tried: Sequence[Lengths] = ()) -> list[Late]:
        """The least lengths at which two equations state one step, where those that are tried do not show it."""

        def found() -> list[Late]:
            stated = self.model.quantities.stated.values()
            shared = ((both, None) for each in stated for *_, both in overlaps(each))
            return [lengths for lengths, _ in self._untried(shared, tried)]

        return self.told("whether two equations state one step", found, [])

    def rival(self, equation: Equation, tried: Sequence[Lengths]) -> tuple[Equation, str]:
        """The equation that states steps of another, left out one; and from which lengths on, if those tried do not
        show it.
        """
        rivals = [other for other in self.model.gradients if other.target.key == equation.target.key]
        late: list[tuple[Equation, str]] = []
        for other in rivals:
            both = Occasion.of(*(domain & self.long for *_, domain in overlaps([other, equation])))
            if any(both.at(lengths) for lengths in tried):
                return other, ""
            least = both.least(self.names, self.shortest)
            late += [(other, f", first at {said_lengths(least)}")] if least else []
        return (*late, (rivals[0], ""))[0]

    def gaps(self, tried: Sequence[Lengths] = ()) -> list[tuple[Late, Usable]]:
        """The least lengths at which an equation reads what nothing states, where those that are tried do not show it;
        each with what can be said of it without a run.
        """

        def found() -> Iterator[tuple[Domain, Usable]]:
            clauses = [clause for each in self.stated.values() for clause in each]
            for gap in gaps(clauses, self._known):
                yield gap.domain, Usable(needs={id(gap.reader.equation): [str(gap.ref)]})

        return self.told("whether everything that is read is stated", lambda: self._untried(found(), tried), [])

    def left_out(self, lengths: Lengths) -> list[tuple[Lengths, list[tuple[str, tuple[int, ...]]]]]:
        """The steps of gradients that no equation states, others being stated: those at these lengths, and those at the
        least lengths at which more are left out.
        """

        def found() -> Iterator[tuple[str, tuple[str, ...], Domain]]:
            for key in self.model.quantities.stated:
                base = self.model.quantities.base(key)
                if base is not None and key[1] and base[1]:
                    axes = self.model.quantities.axes_named(base[0])
                    indices = [affine(axis) for axis in axes]
                    ranges = self.model.quantities.ranges_of(base[0])
                    inside = [c for within, i in zip(ranges, indices, strict=True) for c in within.constraints(i)]
                    claims = self._claims(key, indices)
                    for piece in Existence(self._system.forward).steps(base, indices):
                        yield from ((key[0], axes, rest) for rest in uncovered(piece.where(*inside), claims))

        def listed() -> list[tuple[Lengths, list[tuple[str, tuple[int, ...]]]]]:
            domains = list(found())
            late = self._untried(((domain, None) for *_, domain in domains), [lengths])
            steps = []
            for each in (lengths, *(at for at, _ in late)):
                points = [(name, axes, at) for name, axes, domain in domains for at in domain.points(axes, each)]
                here = [(name, tuple(at[axis] for axis in axes)) for name, axes, at in points]
                steps += [(each, sorted(set(here), key=here.index))] if here else []
            return steps

        return self.told("whether each step is stated", listed, [])

    def unseen(self, tried: Sequence[Lengths]) -> list[tuple[Equation, Late]]:
        """The equations of which a case, a sum or a reading stands at none of the lengths that are tried, with lengths
        at which it does: the least from `shortest` on, or else the greatest below.
        """

        def found() -> Iterator[tuple[Equation, Domain]]:
            for stated in (self._system.forward, self._system.gradients):
                clauses = [clause for each in stated.values() for clause in each]
                for clause in clauses:
                    yield clause.equation, clause.domain
                    yield from ((clause.equation, domain) for _, domain in sums(clause.equation.rhs, clause.domain))
                yield from ((edge.reader.equation, edge.domain) for edge in readings(clauses, stated))

        def least() -> list[tuple[Equation, Late]]:
            unseen: list[tuple[Equation, Late]] = []
            for equation, domain in found():
                occasion = Occasion.of(domain)
                if not any(occasion.at(lengths) for lengths in (*tried, *(lengths for _, lengths in unseen))):
                    long = range(self.shortest, self.briefest - 1, -1)
                    lengths = next((late for n in long if (late := occasion.least(self.names, n))), None)
                    unseen += [(equation, lengths)] if lengths else []
            return unseen

        return self.told("whether everything happens at the lengths tried", least, [])

    def circles(
        self, failing: Collection[int], tried: Sequence[Lengths], known: Collection[int]
    ) -> list[tuple[Late, Usable]]:
        """As `gaps`, for equations that read themselves in the end; those with the ids `failing` count for none, those
        with the ids `known` are known to.
        """
        title = "whether equations read themselves in the end"

        def found() -> Iterator[tuple[Domain, Usable]]:
            edges = [edge for edge in self.readings if id(edge.reader.equation) not in failing]
            for ring in tangles(edges):
                names = {id(edge.reader.equation): edge.reader.equation.name for edge in ring}
                if any(one in known for one in names):
                    continue
                domains, told = circles(ring), " <- ".join(dict.fromkeys(names.values()))
                if not domains:
                    self.undecided.append(f"{title} ({told}) is decided at the lengths tried only")
                    self.tangled |= set(names)
                yield from ((domain, Usable(dict.fromkeys(names, told))) for domain in domains)

        return self.told(title, lambda: self._untried(found(), tried), [])

    def read_at(self, clause: Clause) -> list[Domain]:
        """The steps, in its own variables, at which other stated equations read what a helper states."""
        equation = clause.equation
        places: list[Domain] = []
        for edge in self.readings if self.model.role(equation) == "helper" else ():
            if edge.read.equation is equation and edge.reader.equation is not equation:
                values = {f"p~{number}": index for number, index in enumerate(clause.indices)}
                places += [piece.substituted(values) for piece in image(edge.indices, edge.domain)]
        return places

    # -- what the answers are made of ---------------------------------------------------------------------------------
    @cached_property
    def _system(self) -> System:
        return System.of(self.model)

    @cached_property
    def stated(self) -> dict[Key, tuple[Clause, ...]]:
        """The clauses of stated equations, at these lengths."""
        return self._long(self._system.gradients)

    @cached_property
    def forward(self) -> dict[Key, tuple[Clause, ...]]:
        """The clauses of forward equations, at these lengths."""
        return self._long(self._system.forward)

    @cached_property
    def readings(self) -> list[Reading]:
        """Which stated equation reads which."""
        clauses = [clause for each in self.stated.values() for clause in each]
        return list(readings(clauses, self.stated))

    @cached_property
    def _existence(self) -> Existence:
        return Existence(self.forward)

    def _long(self, clauses: Mapping[Key, Sequence[Clause]]) -> dict[Key, tuple[Clause, ...]]:
        return {
            key: tuple(replace(clause, domain=clause.domain & self.long) for clause in each)
            for key, each in clauses.items()
        }

    def _known(self, ref: Ref) -> list[Domain] | None:
        """The domains on which what is read is a value of the forward equations, stated, or declared given."""
        quantities = self.model.quantities
        name, indexed = ref.key
        base = quantities.base(ref.key)
        given = base is not None and (name in self.model.document.given or base == quantities.loss)
        if not indexed:
            known = ref.key in quantities.used or ref.key in quantities.stated or given
            return None if known or any(e.target.key == ref.key for e in self.others) else []
        if (ref.key, ref.indices) not in self._pieces:
            pieces = self._claims(ref.key, ref.indices)
            if ref.key in quantities.used:
                pieces += self._existence.steps(ref.key, ref.indices)
            if given:
                pairs = zip(quantities.ranges_of(name), ref.indices, strict=True)
                pieces.append(Domain.of(*(c for within, index in pairs for c in within.constraints(index))))
            self._pieces[ref.key, ref.indices] = pieces
        return self._pieces[ref.key, ref.indices]

    def _claims(self, key: Key, indices: Sequence[Affine]) -> list[Domain]:
        """Where a name at some indices is stated, by the model's equations or by those that it leaves out."""
        clauses = self._system.gradients.get(key, ())
        left = [claim_of(other) for other in self.others if other.target.key == key]
        return [claim for clause in (*clauses, *left) for claim in clause.claimed(indices)]

    def _untried(self, domains: Iterable[tuple[Domain, What]], tried: Sequence[Lengths]) -> list[tuple[Late, What]]:
        """The least lengths at which each domain has a point, with what that means; the least first, without those that
        have one at lengths before these or at those that are tried.
        """
        waiting: list[tuple[list[int], Occasion, What]] = []
        for domain, what in domains:
            occasion = Occasion.of(domain & self.long)
            least = (
                None if any(occasion.at(lengths) for lengths in tried) else occasion.least(self.names, self.shortest)
            )
            waiting += [(list(least.values()), occasion, what)] if least else []
        found: list[tuple[Late, What]] = []
        for lengths, occasion, what in sorted(waiting, key=lambda each: each[0]):
            if not any(occasion.at(late) for late, _ in found):
                found.append((dict(zip(self.names, lengths, strict=True)), what))
        return found

    def told(self, question: str, answer: Callable[[], Answer], instead: Answer) -> Answer:
        """The answer to a question, or what is told instead, with a note, when it takes too long."""
        try:
            with patience(SECONDS):
                return answer()
        except Undecided as why:
            self.undecided.append(f"{question} is decided at the lengths tried only: {why}")
            return instead
