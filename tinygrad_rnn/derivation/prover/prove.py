"""Prove a gradient equation: equal to the derivative at every entry and step, for every length and every size.

Both sides are written entry by entry in one normal form (`entries`, `stated`), and their difference has to vanish on
all steps that the equation claims. If it does not, gradients and forward equations are put in, one by one (`search`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...language import Equation, Model
from ...language.affine import affine
from ...language.syntax.indices import Constraint
from ...language.types.quantities import Key
from ...system.affine_system import Clause
from ...system.domain import Domain
from ...system.time_limit import Undecided, patience
from ..disguised import Values, circle
from ..entries.arithmetic import ZERO, Unprovable, Work, added, scaled
from ..entries.definitions import Definition
from ..entries.slopes import key_of
from ..entries.sums import opened
from ..entries.units import Applied, Bound, Entry, Polynomial
from .entry_text import EntryText
from .refute import refuted
from .search import Knowledge, Search, Tied, knowledge_of
from .stated import Stated

#: lengths below this may be left out, if an equation does not hold for them
LONGEST_START = 8


@dataclass(frozen=True)
class Budget:
    """What one equation may cost: terms made, seconds."""

    terms: int = 200_000
    seconds: float = 2.0


@dataclass(frozen=True)
class Proof:
    """Whether an equation of a model is proved; if not, the reason.

    `shortest`: it holds from this length on; `assumptions`: what is taken for granted beside real numbers (`x is not
    0`, sizes that are numbers); `put_in`: what had to be put in before both sides were the same; `but_at_kinks`: it is
    not proved because at ties of maximum and minimum, and nowhere else, the two sides may differ. The steps are written
    down by `proof.written`.
    """

    model: Model = field(repr=False)
    equation: Equation
    proved: bool
    reason: str = ""
    assumptions: tuple[str, ...] = ()
    shortest: int = 1
    put_in: tuple[str, ...] = ()
    but_at_kinks: bool = False


def prove(model: Model, equation: Equation, budget: Budget | None = None) -> Proof:
    """Whether a gradient equation of a model is right for every length and every size.

    >>> from tinygrad_rnn.language import load
    >>> text = "sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]))\\ngradients:\\ndh[T] = ones_like(h[T])"
    >>> model = load(text)
    >>> prove(model, model.gradients[0]).proved
    True
    """
    if model.convention.samples:
        return Proof(model, equation, False, "the number of samples of a file with `batch: columns` has no symbol here")
    budget = budget or Budget()
    try:
        with patience(budget.seconds):
            return _proof(model, equation, budget)
    except Undecided as why:
        return Proof(model, equation, False, str(why))


def _proof(model: Model, equation: Equation, budget: Budget) -> Proof:
    knowledge = knowledge_of(model)
    work = knowledge.book.work(budget.terms, budget.seconds)
    shortest = 1
    while True:
        try:
            return _Attempt(knowledge, work, equation, shortest).proof()
        except Tied as tie:
            said = EntryText(model, Domain.of()).text(tie.argument)
            reason = f"the two sides are the same unless {said} is 0: at this kink each may take another side"
            return Proof(model, equation, False, reason, but_at_kinks=True)
        except Unprovable as refusal:
            where = refusal.where or Domain.of()
            longer = range(shortest + 1, LONGEST_START + 1)
            enough = next((k for k in longer if (where & _longer(model, k)).is_empty), None)
            if enough is None:
                return Proof(model, equation, False, str(refusal))
            shortest = enough


def _longer(model: Model, shortest: int) -> Domain:
    """That every length is so large at least."""
    lengths = [affine(name, -shortest) for name in model.lengths(1)] if shortest > 1 else []
    return Domain.of(*(Constraint(">=", form) for form in lengths))


class _Attempt:
    """One attempt to prove one equation, for lengths from `shortest` on."""

    def __init__(self, knowledge: Knowledge, work: Work, equation: Equation, shortest: int) -> None:
        self.knowledge, self.work, self.equation, self.shortest = knowledge, work, equation, shortest
        self.book, self.gradients = knowledge.book, knowledge.gradients
        lengths = _longer(self.book.model, shortest)
        self.stated = Stated(self.book, self.gradients, work, lengths, knowledge.disguised)

    def proof(self) -> Proof:
        model, equation = self.book.model, self.equation
        role = model.role(equation)
        if role == "helper":
            raise Unprovable("a helper is a definition: there is nothing to prove")
        if model.quantities.loss is None:
            raise Unprovable("there is no loss")
        clauses = [c for c in self.book.system.gradients[equation.target.key] if c.equation is equation]
        if all((clause.domain & self.stated.lengths).is_empty for clause in clauses):
            raise Unprovable("it stands at no step")
        put_in: dict[str, None] = {}
        tie: Tied | None = None
        for clause in clauses:
            try:
                put_in.update(dict.fromkeys(self._clause(clause, role)))
            except Tied as told:
                tie = tie or told
        if tie is not None:
            raise tie
        assumed = (*self._sizes(), *self.work.assumptions)
        return Proof(model, equation, True, "", assumed, self.shortest, tuple(put_in))

    def _sizes(self) -> list[str]:
        """From which lengths on, and for which sizes it is proved."""
        said = [f"{name} >= {self.shortest}" for name in self.book.model.lengths(1)] if self.shortest > 1 else []
        return said + [f"{name} has {size} entries" for name, size in self.book.sizes.fixed.items()]

    def _clause(self, clause: Clause, role: str) -> list[str]:
        """Prove an equation on one of its pieces; what had to be put in."""
        definition = self.stated.written(clause)
        if definition.domain.is_empty:
            return []
        self._check_circle(definition)
        self._prove_disguised()
        truth = truth_of(self.knowledge, clause, definition, role, self.work)
        search = Search(self.knowledge, definition.domain, self.work)
        difference = added([definition.value, scaled(truth, -1)])
        search.vanishes(difference, lambda: refuted(self.book.model, self.equation))
        return search.put_in

    def _prove_disguised(self) -> None:
        """Prove of the helpers that were taken for gradients, and of those that these read, that they are."""
        values: dict[Key, Values] = {}
        while True:
            open_ones = [helper for helper in self.stated.taken if helper not in values]
            helper = next(
                (h for h in open_ones if self.knowledge.certain.get(h, LONGEST_START + 1) > self.shortest), None
            )
            if helper is None:
                break
            values[helper] = self._equal_to_gradient(helper)
        names = circle(values, {helper: f"d{self.knowledge.disguised[helper][0]}" for helper in values})
        if names:
            raise Unprovable(f"what is defined by itself has to read itself at later steps only: {', '.join(names)}")
        self.knowledge.certain.update(dict.fromkeys(values, self.shortest))

    def _equal_to_gradient(self, helper: Key) -> Values:
        """Prove that each equation of a helper is right for the gradient that it has the values of; what they are."""
        base = self.knowledge.disguised[helper]
        values = []
        for clause in self.book.system.gradients[helper]:
            definition = self.stated.written(clause)
            values.append((definition.value, clause.indices, definition.domain))
            truth = self.gradients.of(Entry(base[0], clause.indices, definition.entries), self.work)
            search = Search(self.knowledge, definition.domain, self.work)
            try:
                search.vanishes(added([definition.value, scaled(truth, -1)]), lambda: None)
            except Unprovable as why:
                told = f"the helper {helper[0]} is defined by itself, and not proved to be d{base[0]}"
                raise Unprovable(f"{told}: {why}") from None
        return values

    def _check_circle(self, definition: Definition) -> None:
        """Raise `Unprovable` if an equation reads what it states."""
        target = Entry(self.equation.target.name, definition.clause.indices)
        if self.book.model.quantities.base(key_of(target)) is not None and reads(
            definition.value, target, definition.domain, self.work
        ):
            raise Unprovable(f"it reads {self.equation.name} itself")


def truth_of(knowledge: Knowledge, clause: Clause, definition: Definition, role: str, work: Work) -> Polynomial:
    """What an equation is to be equal to: the derivative, what a step contributes to it, or 0 beyond the ends."""
    base = knowledge.book.model.quantities.base(clause.equation.target.key)
    if base is None or role == "boundary":
        return ZERO
    target = Entry(base[0], clause.indices if base[1] else (), definition.entries)
    if role == "copy":
        return knowledge.gradients.copy(target, clause.indices[0], work)
    return knowledge.gradients.of(target, work)


def reads(p: Polynomial, target: Entry, context: Domain, work: Work) -> bool:
    """Whether a polynomial reads a quantity at the indices of `target`, at some step of a context."""
    waiting = [(unit, context & domain) for domain, factors in p.terms for unit, _ in factors]
    while waiting:
        unit, around = waiting.pop()
        match unit:
            case Entry():
                same = key_of(unit) == key_of(target)
                equal = [Constraint("=", a - b) for a, b in zip(unit.times, target.times, strict=same)]
                if same and not around.where(*equal).is_empty:
                    return True
            case Applied():
                waiting += [(inner, around & domain) for domain, fs in unit.argument.terms for inner, _ in fs]
            case Bound():
                _, domain, factors = opened(unit, work)
                waiting += [(inner, around & domain) for inner, _ in factors]
    return False
