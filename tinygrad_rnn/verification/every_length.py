"""Whether gradient equations can be used: ordered in time, each reading only what the file states or declares given.

Judged on what the equations read, not on any value: an equation that reads itself, alone or through others, agrees with
every reference value and computes nothing. `usable` tells it at the lengths of a run, `EveryLength` for every length:
two equations may state one step from T = 13 on only, a step may be stated by none, and what equations read may go round
from some length on. The domains say at which lengths to look; what is there is then told by a run of such a length.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TypeVar

from ..core.loop.components import components
from ..language import Equation, Evaluator, Model, Run
from ..language.affine import Affine, affine
from ..language.expressions import Expr, Ref, Sum, Time, walk
from ..language.run.resolver import Place
from ..language.syntax.indices import Constraint, Lengths, Range, Step, numbers
from ..language.types.quantities import Key
from ..system import Clause, Domain, System
from ..system.affine_system import claim_of
from ..system.circles import circles, tangles
from ..system.domain_lengths import LONGEST, Occasion
from ..system.existence import Existence, image, sums, uncovered
from ..system.readings import Reading, gaps, overlaps, readings
from ..system.time_limit import Undecided, patience
from .results import CIRCULAR, FAIL, Row, lengths_text

#: so many single steps are named one by one
MOST_NAMED = 3


@dataclass
class Usable:
    """By the id of an equation: the circle it stands in, as `dh[3] <- g[3] <- dh[3]`; and what it reads that is neither
    stated nor given, as `dh[T+1]`.
    """

    circles: dict[int, str] = field(default_factory=dict)
    needs: dict[int, list[str]] = field(default_factory=dict)
    #: what lacks at lengths that were not tried, with the first of them: `dh[9]`, `T = 10`
    late: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Usable) -> Usable:
        both = {key: [*self.needs.get(key, []), *other.needs.get(key, [])] for key in self.needs | other.needs}
        needs = {key: list(dict.fromkeys(names)) for key, names in both.items()}
        return Usable(other.circles | self.circles, needs, other.late | self.late)

    def at(self, lengths: Lengths) -> Usable:
        """The same, said of lengths that were not tried."""
        said = lengths_text(lengths)
        circles = {key: f"{circle}` at `{said}" for key, circle in self.circles.items()}
        return Usable(circles, self.needs, {name: said for names in self.needs.values() for name in names})


def usable(model: Model, run: Run, failing: Collection[int] = (), others: Iterable[Equation] = ()) -> Usable:
    """The circles and the gaps of a model's gradient equations, at the lengths of a run; equations with the ids
    `failing` are wrong in themselves and make no circle, `others` are those of the file that the model leaves out.

    >>> from tinygrad_rnn.language import load
    >>> forward = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\n"
    >>> model = load(forward + "gradients:\\ndh[t] = dh[t]\\ndW = dW + dh[T+1] @ h[0].T")
    >>> found = usable(model, model.unroll(4))
    >>> sorted(found.circles.values()), list(found.needs.values())
    (['dW <- dW', 'dh[1] <- dh[1]'], [['dh[T+1]']])
    """
    evaluator = Evaluator(model, run)
    reads: dict[Place, list[Place]] = {}
    outside = {(equation.target.name, step) for equation in others for step in equation.covers(run.lengths) or [None]}
    stated_by: dict[Place, Equation] = {}
    missing: dict[int, dict[Place, None]] = {}
    for equation in model.gradients:
        for step in model.steps_of(equation, run.lengths):
            here = (equation.target.name, step)
            stated_by[here] = equation
            reads[here] = []
            for read, _, _ in evaluator.needs(equation, step):
                if _is_stated(model, evaluator, read):
                    reads[here] += [] if id(equation) in failing else [read]
                elif read not in run.values and read not in outside and not _is_given(model, evaluator, read):
                    missing.setdefault(id(equation), {})[read] = None
    order = Usable()
    for circle in components(reads):
        if len(circle) == 1 and circle[0] not in reads[circle[0]]:
            continue
        names = [_named(read) for read in circle]
        said = " <- ".join([*names[:4], *(["…"] if len(names) > 4 else []), names[0]])
        for read in circle:
            order.circles.setdefault(id(stated_by[read]), said)
    order.needs = {key: _said(places, model, evaluator) for key, places in missing.items()}
    return order


def _is_stated(model: Model, evaluator: Evaluator, place: Place) -> bool:
    name, step = place
    if place in evaluator.run.values:
        return False
    if step is None:
        return (name, False) in model.quantities.stated
    return step in evaluator.coverage.get((name, True), {})


def _is_given(model: Model, evaluator: Evaluator, place: Place) -> bool:
    """Whether a gradient may be read although nothing states it: declared given, or that of the loss, which is 1."""
    name, step = place
    base = model.quantities.base((name, step is not None))
    if base is None or (step is not None and not evaluator.inside(place)):
        return False
    return name in model.document.given or base == model.quantities.loss


def _said(lacking: Iterable[Place], model: Model, evaluator: Evaluator) -> list[str]:
    """Names of what lacks: from the ends where it lies beyond them, for all steps at once where none is stated."""
    steps_of: dict[str, list[Step]] = {}
    for name, step in lacking:
        steps_of.setdefault(name, []).append(step)
    said: list[str] = []
    for name, steps in steps_of.items():
        beyond = [evaluator.behind((name, step)) or _named((name, step)) for step in steps
                  if step is not None and not evaluator.inside((name, step))]  # fmt: skip
        inside = [step for step in steps if step is None or evaluator.inside((name, step))]
        said += dict.fromkeys(beyond[:MOST_NAMED])
        if not inside:
            continue
        if None in inside:
            said.append(name)
        elif len(inside) > MOST_NAMED or (name, True) not in model.quantities.stated:
            base = model.quantities.base((name, True))
            said.append(f"{name}[{', '.join(model.quantities.axes_named(base[0] if base and base[1] else name))}]")
        else:
            said += [_from_the_end((name, step), evaluator) for step in inside]
    return said


def _from_the_end(place: Place, evaluator: Evaluator) -> str:
    """`dh[T]` for the last step."""
    name, step = place
    ranges = evaluator.shapes.quantities.ranges_of(name)
    pairs = zip(numbers(step), ranges, strict=True)
    at = (str(within.last if at == within.last.at(evaluator.lengths) else at) for at, within in pairs)
    return f"{name}[{', '.join(at)}]"


def _named(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}[{', '.join(map(str, numbers(place[1])))}]"


def in_order(equation: Equation, row: Row, order: Usable) -> Row:
    """A row with what it reads that nothing states, and CIRCULAR where it reads itself."""
    row = replace(row, needs=tuple(order.needs.get(id(equation), ())))
    if row.verdict == FAIL or id(equation) not in order.circles:
        return row
    said = f"it reads itself: `{order.circles[id(equation)]}`"
    return replace(row, verdict=CIRCULAR, mistake="circle", explanation=said)


# -- how long a sequence has to be -------------------------------------------------------------------------------------
#: a derivation shows its recurrence, its last and its first step from here on
SHORTEST = 3
#: seconds to find where one condition holds
CONDITION_SECONDS = 0.5


def reach(model: Model, also: Sequence[Equation] = ()) -> int:
    """The longest delay, the furthest step that an equation names (helpers put in), and the first length at which every
    condition and sum of conditions holds somewhere.
    """
    equations = (*model.forward, *model.gradients, *also)
    chains = _chains(model)
    furthest = [_offset(equation) + _through(equation.rhs, chains) for equation in equations]
    starts = [start for equation in equations for start in _starts(equation)]
    return max([0, model.longest_delay, *furthest, *(start - 1 for start in starts)])


def indices_of(equation: Equation) -> Iterator[Affine]:
    """Every index of an equation: of what it defines and reads, of its conditions and those of its sums."""
    yield from equation.target.indices
    conditions = list(equation.when)
    for node in walk(equation.rhs):
        if isinstance(node, Ref):
            yield from node.indices
        elif isinstance(node, Time):
            yield node.index
        elif isinstance(node, Sum):
            conditions.append(node.over)
    for condition in conditions:
        yield from (test.bound for test in condition.tests)


def _offset(equation: Equation) -> int:
    """How far from its own step, or from an end, an equation looks."""
    beyond = [1 if index.variable is None and index.constant > 0 else 0 for index in indices_of(equation)]
    return max((abs(i.constant) - b for i, b in zip(indices_of(equation), beyond, strict=True)), default=0)


def _chains(model: Model) -> dict[str, int]:
    """How far each helper looks, with the helpers that it reads put in; what goes round is counted once."""
    helpers = {key[0]: equations for key, equations in model.quantities.helpers.items()}
    reaches: dict[str, int] = {}
    for name in helpers:
        _chain(name, (), helpers, reaches)
    return reaches


def _chain(name: str, path: tuple[str, ...], helpers: Mapping[str, list[Equation]], reaches: dict[str, int]) -> int:
    if name not in helpers or name in path:
        return 0
    if name not in reaches:
        read = [{n.name for n in walk(e.rhs) if isinstance(n, Ref)} for e in helpers[name]]
        inner = max((_chain(other, (*path, name), helpers, reaches) for names in read for other in names), default=0)
        reaches[name] = max(map(_offset, helpers[name])) + inner
    return reaches[name]


def _through(expr: Expr, chains: Mapping[str, int]) -> int:
    return max((chains.get(node.name, 0) for node in walk(expr) if isinstance(node, Ref)), default=0)


def _starts(equation: Equation) -> Iterator[int]:
    """For the equation and each nest of its sums the first length at which its conditions hold somewhere."""
    limits = {condition.variable: condition for condition in equation.when}
    own: list[Constraint] = []
    for name in equation.running:
        ranges = equation.ranges.get(name, Range())
        own += limits[name].constraints if name in limits else ranges.constraints(affine(name))
    stack: list[tuple[Expr, list[Constraint], int]] = [(equation.rhs, own, sum(len(c.tests) for c in equation.when))]
    while stack:
        node, constraints, tests = stack.pop()
        if isinstance(node, Sum):
            constraints, tests = [*constraints, *node.over.constraints], tests + len(node.over.tests)
            if tests > 1:
                yield _first(Domain.of(*constraints))
        stack += [(child, constraints, tests) for child in node.children]


@lru_cache(maxsize=1024)
def _first(domain: Domain) -> int:
    """The first length at which a domain has a point; 1 where it has none up to `LONGEST`, or where that takes too long
    to decide, both of which are told elsewhere.
    """
    names = sorted(name for name in domain.variables if name[0].isupper())
    try:
        with patience(CONDITION_SECONDS):
            occasion = Occasion.of(domain)
            lengths = occasion.least(names)
            return LONGEST + 1 if lengths is None and occasion else max((lengths or {}).values(), default=1)
    except Undecided:
        return 1


# -- for every length --------------------------------------------------------------------------------------------------
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
            late += [(other, f", first at {lengths_text(least)}")] if least else []
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
