"""How long a sequence has to be before everything that a file says happens somewhere.

`sum(k > 12 and k < T-12, ...)` is empty up to T = 25, `k % 7 = 0 and k % 5 = 0` up to T = 34, and three helpers that
each look nine steps on see their last step from T = 28 on. Numbers at shorter lengths say nothing of such terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from ...language import Equation, Model
from ...language.affine import Affine, affine
from ...language.expressions import Expr, Ref, Sum, Time, walk
from ...language.syntax.indices import Constraint, Range
from ...system.domain import Domain
from ...system.domain_lengths import LONGEST, Occasion
from ...system.time_limit import Undecided, patience

#: a derivation shows its recurrence, its last and its first step from here on
SHORTEST = 3
#: seconds to find where one condition holds
SECONDS = 0.5


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
    found: dict[str, int] = {}
    for name in helpers:
        _chain(name, (), helpers, found)
    return found


def _chain(name: str, path: tuple[str, ...], helpers: Mapping[str, list[Equation]], found: dict[str, int]) -> int:
    if name not in helpers or name in path:
        return 0
    if name not in found:
        read = [{n.name for n in walk(e.rhs) if isinstance(n, Ref)} for e in helpers[name]]
        inner = max((_chain(other, (*path, name), helpers, found) for names in read for other in names), default=0)
        found[name] = max(map(_offset, helpers[name])) + inner
    return found[name]


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
        with patience(SECONDS):
            occasion = Occasion.of(domain)
            lengths = occasion.least(names)
            return LONGEST + 1 if lengths is None and occasion else max((lengths or {}).values(), default=1)
    except Undecided:
        return 1
