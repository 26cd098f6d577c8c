"""Prove a gradient equation: equal to the derivative at every entry and step, for every length and every size.

Both sides are written entry by entry in one normal form (`entries`, `stated`), and their difference has to vanish on
all steps that the equation claims. If it does not, gradients and forward equations are put in, one by one (`search`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..language import Equation, Model
from ..system.system import Clause
from .entries.arithmetic import Unprovable, Work, added, scaled
from .entries.definitions import Definition
from .entries.units import Entry, Polynomial
from .search import Knowledge, Search, knowledge_of
from .stated import Stated


@dataclass(frozen=True)
class Budget:
    """What one equation may cost: terms made, seconds."""

    terms: int = 200_000
    seconds: float = 2.0


@dataclass(frozen=True)
class Proof:
    """Whether an equation is proved; if not, the reason; what is assumed; the steps."""

    proved: bool
    reason: str = ""
    assumptions: tuple[str, ...] = ()
    steps: tuple[object, ...] = field(default=(), repr=False)


def prove(model: Model, equation: Equation, budget: Budget | None = None) -> Proof:
    """Whether a gradient equation of a model is right for every length and every size.

    >>> from tinygrad_rnn.language import load
    >>> text = "sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]))\\ngradients:\\ndh[T] = ones_like(h[T])"
    >>> model = load(text)
    >>> prove(model, model.gradients[0]).proved
    True
    """
    budget = budget or Budget()
    knowledge = knowledge_of(model)
    work = knowledge.book.work(budget.terms, budget.seconds)
    try:
        return _Attempt(knowledge, work, equation).proof()
    except Unprovable as refusal:
        return Proof(False, str(refusal))


class _Attempt:
    """One attempt to prove one equation."""

    def __init__(self, knowledge: Knowledge, work: Work, equation: Equation) -> None:
        self.knowledge, self.work, self.equation = knowledge, work, equation
        self.book, self.gradients = knowledge.book, knowledge.gradients
        self.stated = Stated(self.book, self.gradients, work)

    def proof(self) -> Proof:
        model, equation = self.book.model, self.equation
        role = model.role(equation)
        if role == "helper":
            raise Unprovable("a helper is a definition: there is nothing to prove")
        if model.quantities.loss is None:
            raise Unprovable("there is no loss")
        clauses = [c for c in self.book.system.gradients[equation.target.key] if c.equation is equation]
        for clause in clauses:
            self._clause(clause, role)
        return Proof(True, "", tuple(self.work.assumptions))

    def _clause(self, clause: Clause, role: str) -> None:
        definition = self.stated.written(clause)
        context = definition.domain
        truth = self._truth(clause, definition, role)
        Search(self.knowledge, context, self.work).vanishes(added([definition.value, scaled(truth, -1)]))

    def _truth(self, clause: Clause, definition: Definition, role: str) -> Polynomial:
        base = self.book.model.quantities.base(clause.equation.target.key)
        if base is None or role == "boundary":
            return Polynomial()
        target = Entry(base[0], clause.indices if base[1] else (), definition.entries)
        if role == "copy":
            return self.gradients.copy(target, clause.indices[0], self.work)
        return self.gradients.of(target, self.work)
