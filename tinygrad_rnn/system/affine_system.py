"""The equations of a model on their domains: which equation says what a quantity is at which steps, for every length.

An equation claims the steps of its target that its ranges and conditions leave. Where two claim a step, the narrower
one has it (`h[0]`, `h[T]`, `t % 2 = 0` before `h[t]`): what narrower equations claim is taken out of wider ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..language.affine import Affine, affine
from ..language.expressions import Equation
from ..language.syntax.indices import Constraint, Range
from .domain import Domain

if TYPE_CHECKING:
    from ..language import Model

Key = tuple[str, bool]


@dataclass(frozen=True)
class Clause:
    """One equation on a domain: `target[indices] = rhs` for the values of `variables` in `domain`.

    What narrower equations leave of a wider one may fall into pieces; each is a clause of its own.
    """

    equation: Equation
    variables: tuple[str, ...]
    domain: Domain

    @property
    def indices(self) -> tuple[Affine, ...]:
        """The steps of the target, in the clause's variables."""
        return self.equation.target.indices

    def claimed(self, indices: Sequence[Affine]) -> tuple[Domain, ...]:
        """Where a quantity at `indices` is one that this clause defines: domains of the variables in `indices`."""
        renamed = {name: affine(f"{name}~") for name in self.variables}
        equal = [
            Constraint("=", index - own.substituted(renamed)) for index, own in zip(indices, self.indices, strict=True)
        ]
        domain = self.domain.substituted(renamed).where(*equal)
        return tuple(
            piece for piece in domain.projected(*(f"{name}~" for name in self.variables)) if not piece.is_empty
        )


@dataclass(frozen=True)
class System:
    """The clauses of every quantity that equations define, forward and under `gradients:`, by name and whether indexed.

    >>> import tinygrad_rnn as tg
    >>> model = tg.load("sizes: h = 2\\nh[0] = s\\nh[t] = W @ h[t-1]\\nh[T] = h[T-1]\\nL = sum(h[T])")
    >>> [str(clause.domain) for clause in System.of(model).forward["h", True]]
    ['everywhere', 'T-t-1 >= 0 and t-1 >= 0', 'everywhere']
    """

    forward: Mapping[Key, tuple[Clause, ...]]
    gradients: Mapping[Key, tuple[Clause, ...]]

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, model: Model) -> System:
        """The system that a model states, made once."""
        defined, stated = model.quantities.defined, model.quantities.stated
        return cls(
            {key: clauses_of(equations) for key, equations in defined.items()},
            {key: clauses_of(equations) for key, equations in stated.items()},
        )


def clauses_of(equations: Iterable[Equation]) -> tuple[Clause, ...]:
    """The equations of one quantity, each on the steps that are left to it; in the order written."""
    own = [claim_of(equation) for equation in equations]
    clauses: list[Clause] = []
    for clause in own:
        narrower = [o for o in own if o.equation.narrowness > clause.equation.narrowness]
        pieces: tuple[Domain, ...] = (clause.domain,)
        for other in narrower:
            for claim in other.claimed(clause.indices):
                pieces = tuple(left for piece in pieces for left in piece.minus(claim))
        clauses += [Clause(clause.equation, clause.variables, piece.simplified()) for piece in pieces]
    return tuple(clauses)


def claim_of(equation: Equation) -> Clause:
    """An equation on all that its own words claim, narrower ones or not."""
    limits = {condition.variable: condition for condition in equation.when}
    constraints: list[Constraint] = []
    for name in equation.running:
        if name in limits:
            constraints += limits[name].constraints
        else:
            constraints += equation.ranges.get(name, Range()).constraints(affine(name))
    return Clause(equation, tuple(equation.running), Domain.of(*constraints))
