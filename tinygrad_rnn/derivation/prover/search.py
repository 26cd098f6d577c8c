"""What a difference becomes when more is put in: gradients one step further, definitions of forward quantities.

Each is an identity, so whatever order they are tried in, what vanishes in the end vanished before. The smallest
difference is taken up first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush

from ...language import Model
from ...language.types.quantities import Key
from ...system.domain import Domain
from ..disguised import disguised
from ..entries.arithmetic import Exhausted, Unprovable, Work, multiplied, of
from ..entries.definitions import Definitions
from ..entries.entry_gradients import EntryGradients
from ..entries.exponentials import mixed, spelled_out
from ..entries.named_functions import FunctionNames
from ..entries.ties import one_sided
from ..entries.units import Applied, Bound, Entry, Factors, Polynomial, Unit
from ..entries.vanishing import Rest, remainder, without_implied
from .wording import left_over

#: so many differences are taken up
MOST_TRIED = 40
#: a difference that has grown to more than so many times its terms is not taken up
MOST_GROWTH = 4


class Tied(Unprovable):
    """Two sides are the same but at a kink, of which each may take another side."""

    def __init__(self, argument: Polynomial) -> None:
        super().__init__("the two sides are the same, but perhaps at a kink")
        self.argument = argument


@dataclass(frozen=True)
class Knowledge:
    """What is known of one model."""

    book: Definitions
    gradients: EntryGradients
    names: FunctionNames
    #: helpers that are gradients by another name, each with the quantity; those that turn out not to be are taken out
    disguised: dict[Key, Key]
    #: those of them for which this is proved, and from which length on
    certain: dict[Key, int] = field(default_factory=dict)


@lru_cache(maxsize=16)
def knowledge_of(model: Model) -> Knowledge:
    """What is known of a model, gathered once."""
    helpers = disguised(model)
    book = Definitions(model, helpers.values())
    return Knowledge(book, EntryGradients(book), FunctionNames(book), helpers)


class Search:
    """Whether a difference is 0 in a context."""

    def __init__(self, knowledge: Knowledge, context: Domain, work: Work) -> None:
        self.book, self.gradients, self.names = knowledge.book, knowledge.gradients, knowledge.names
        self.context, self.work = context, work
        self.first: Rest | str | None = None
        #: what was put in on the way to 0: names, as `dh[t+1]`
        self.put_in: list[str] = []

    def vanishes(self, difference: Polynomial, refuted: Callable[[], str | None]) -> None:
        """Return when a difference is 0. Raises `Unprovable` with what is left of it otherwise.

        `refuted` is asked before anything is put in: it says why that would be in vain.
        """
        start, self.first = self._reduced(difference)
        if not start:
            return
        folded, ties = one_sided(start, self.work)
        if folded != start and not self._reduced(folded)[0]:
            if ties:
                raise Tied(ties[0])
            return
        why = refuted()
        if why is not None:
            raise Unprovable(f"{self._told}; {why}", self._where)
        try:
            self._put_in_more(start)
        except Exhausted as why:
            raise Exhausted(f"{self._told}, and {why}") from None

    def _put_in_more(self, start: Polynomial) -> None:
        waiting: list[tuple[int, int, Polynomial, tuple[str, ...]]] = [(len(start.terms), 0, start, ())]
        seen, count = {start.text}, 0
        while waiting and count < MOST_TRIED:
            _, _, p, path = heappop(waiting)
            count += 1
            for name, better in self._moves(p):
                left, _ = self._reduced(better, frozenset(told.partition("[")[0] for told in (*path, name)))
                if not left:
                    self.put_in = [*path, name]
                    return
                if left.text not in seen and len(left.terms) <= MOST_GROWTH * len(start.terms) + MOST_GROWTH:
                    seen.add(left.text)
                    heappush(waiting, (len(left.terms) + 2 * len(path), len(seen), left, (*path, name)))
        raise Unprovable(self._told, self._where)

    @property
    def _told(self) -> str:
        return left_over(self.first, self.book.model, self.context)

    @property
    def _where(self) -> Domain | None:
        return self.first.domain if isinstance(self.first, Rest) else None

    def _reduced(
        self, difference: Polynomial, spelled: frozenset[str] = frozenset()
    ) -> tuple[Polynomial, Rest | str | None]:
        """A difference in normal form, without what vanishes; what was put in (`spelled`) is not named again."""
        known = without_implied(difference, self.context)
        settled = self.names.settled(known, self.context, self.work, spelled)
        return remainder(without_implied(settled, self.context), self.context, self.work)

    def _moves(self, p: Polynomial) -> Iterator[tuple[str, Polynomial]]:
        """The same difference with something put in, and what that was."""
        for name, place in stances(p):
            try:
                better = self._with_put_in(p, name, place)
            except Exhausted:
                raise
            except Unprovable:  # what cannot be put in is no move
                continue
            if better is not None:
                yield f"{name}{place}", better
        for unit, exponent in divisors(p):
            yield f"times {unit}", multiplied([p, of(unit, exponent)], self.work)
        if mixed(p):
            spelled = spelled_out(p, self.work)
            below = [pair for pair in divisors(spelled) if isinstance(pair[0], Applied) and pair[0].function == "exp"]
            yield "exponentials", multiplied([spelled, *(of(*pair) for pair in below)], self.work)

    def _with_put_in(self, p: Polynomial, name: str, place: str) -> Polynomial | None:
        quantities = self.book.model.quantities
        base = quantities.base((name, bool(place)))
        if base is None and (name, bool(place)) not in self.book.system.forward:
            return None

        def value(unit: Entry) -> Polynomial:
            if base is not None:
                return self.gradients.of(Entry(base[0], unit.times, unit.entries), self.work)
            return self.book.put_in(unit, self.work) or of(unit)

        return self.names.replaced(p, lambda unit: stance(unit) == (name, place), value, name, self.work)


def stance(unit: Entry) -> tuple[str, str]:
    """A name and its indices, with a dot for every variable that is bound."""
    if not unit.times:
        return unit.name, ""
    forms = []
    for form in unit.times:
        parts = [f"{count}*{'·' if name[0] == '_' or '~' in name else name}" for name, count in form.terms]
        forms.append("+".join([*parts, str(form.constant)]))
    return unit.name, f"[{','.join(forms)}]"


def stances(p: Polynomial) -> list[tuple[str, str]]:
    """The entries in a polynomial, inside sums and functions as well; first what tells terms apart, then gradients."""
    counts: dict[tuple[str, str], int] = {}
    for _, factors in p.terms:
        for pair in _stances_in(factors):
            counts[pair] = counts.get(pair, 0) + 1
    everywhere = len(p.terms)
    return sorted(counts, key=lambda pair: (counts[pair] == everywhere, not pair[0].startswith("d"), pair))


def _stances_in(factors: Factors) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    waiting: list[Unit] = [unit for unit, _ in factors]
    while waiting:
        unit = waiting.pop()
        if isinstance(unit, Entry):
            found.add(stance(unit))
        elif isinstance(unit, Applied):
            waiting += unit.argument.units()
        elif isinstance(unit, Bound):
            waiting += [inner for inner, _ in unit.factors]
    return found


def divisors(p: Polynomial) -> list[tuple[Unit, int]]:
    """Units that some terms are divided by, with the largest exponent."""
    most: dict[Unit, int] = {}
    for _, factors in p.terms:
        for unit, exponent in _negative(factors):
            most[unit] = max(most.get(unit, 0), -exponent)
    return sorted(most.items(), key=lambda pair: pair[0].text)


def _negative(factors: Factors) -> list[tuple[Unit, int]]:
    return [(unit, e) for unit, e in factors if isinstance(e, int) and e < 0 and isinstance(unit, Applied | Bound)]
