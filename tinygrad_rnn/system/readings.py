"""Which stated equation reads which, at which steps, and what is read that nothing states: for every length at once.

clauses -> readings        reader at its steps -> the equation that states what it reads there
        -> gaps            reader at its steps -> what is stated nowhere
        -> overlaps        steps that two equations state
        -> circles         steps that read themselves in the end (see `circles`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..language.affine import Affine
from ..language.expressions import Equation, Ref
from .affine_system import Clause, claim_of
from .domain import EVERYWHERE, Domain
from .existence import reads, uncovered


@dataclass(frozen=True)
class Reading:
    """`reader` reads what `read` states, at `indices`, on a domain of the reader's variables and those of its sums."""

    reader: Clause
    read: Clause
    indices: tuple[Affine, ...]
    domain: Domain


@dataclass(frozen=True)
class Gap:
    """`reader` reads `ref` on a domain on which nothing states it."""

    reader: Clause
    ref: Ref
    domain: Domain


def readings(clauses: Iterable[Clause], stated: Mapping[tuple[str, bool], Sequence[Clause]]) -> Iterator[Reading]:
    """Who reads whom among stated equations.

    >>> from tinygrad_rnn.language import load
    >>> from tinygrad_rnn.system import System
    >>> text = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\ndh[T] = h[T]\\ndh[t] = W.T @ dh[t+1]"
    >>> stated = System.of(load(text)).gradients
    >>> for r in readings(stated["dh", True], stated):
    ...     print(r.reader.equation.name, "reads", r.read.equation.name, "where", r.domain)
    dh[t] reads dh[T] where T-t-1 = 0 and T-t-1 >= 0 and t-1 >= 0
    dh[t] reads dh[t] where T-t-2 >= 0 and t-1 >= 0
    """
    for clause in clauses:
        for ref, domain in reads(clause.equation.rhs, clause.domain):
            for other in stated.get(ref.key, ()):
                for claim in other.claimed(ref.indices) if ref.key[1] else (EVERYWHERE,):
                    there = domain & claim
                    if not there.is_empty:
                        yield Reading(clause, other, ref.indices, there)


def gaps(clauses: Iterable[Clause], known: Callable[[Ref], Sequence[Domain] | None]) -> Iterator[Gap]:
    """What stated equations read where nothing states it; `known` gives the domains, of the variables in the indices of
    a reference, on which it is known, and None where that is everywhere.
    """
    for clause in clauses:
        for ref, domain in reads(clause.equation.rhs, clause.domain):
            pieces = known(ref)
            for rest in uncovered(domain, pieces) if pieces is not None else ():
                if not rest.is_empty:
                    yield Gap(clause, ref, rest)


def overlaps(equations: Sequence[Equation]) -> Iterator[tuple[Equation, Equation, Domain]]:
    """The pairs of equations that state one step, neither being narrower than the other, with the steps."""
    claims = [claim_of(equation) for equation in equations]
    for place, one in enumerate(claims):
        for other in claims[:place]:
            if one.equation.narrowness == other.equation.narrowness:
                for claim in other.claimed(one.indices):
                    both = one.domain & claim
                    if not both.is_empty:
                        yield other.equation, one.equation, both
