"""At which steps a forward quantity exists, for every length at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..language.affine import Affine, affine
from ..language.expressions import Expr, Ref, Sum
from ..language.syntax.indices import Condition, Constraint
from ..language.types.quantities import Key
from .affine_system import Clause
from .domain import Domain


class Existence:
    """The steps of forward quantities: those that an equation defines, and those that one reads."""

    def __init__(self, defined: Mapping[Key, tuple[Clause, ...]]) -> None:
        self._pieces: dict[Key, dict[Domain, None]] = {}
        for key, clauses in defined.items():
            for clause in clauses:
                self._note(key, clause.indices, clause.domain)
                for ref, domain in reads(clause.equation.rhs, clause.domain):
                    self._note(ref.key, ref.indices, domain)

    def _note(self, key: Key, indices: Sequence[Affine], domain: Domain) -> None:
        if key[1]:
            self._pieces.setdefault(key, {}).update(dict.fromkeys(image(indices, domain)))

    def steps(self, key: Key, indices: Sequence[Affine]) -> list[Domain]:
        """Where the quantity exists at some indices: domains, which may overlap, of the variables in the indices."""
        values = {_place(number): form for number, form in enumerate(indices)}
        return [piece.substituted(values) for piece in self._pieces.get(key, ())]


def _place(number: int) -> str:
    return f"p~{number}"


def image(indices: Sequence[Affine], domain: Domain) -> tuple[Domain, ...]:
    """The index tuples that affine forms run through on a domain, as domains of `p~0`, `p~1`, …"""
    equal = (Constraint("=", affine(_place(number)) - form) for number, form in enumerate(indices))
    whole = domain.where(*equal)
    bound = sorted(name for name in whole.variables if not name[0].isupper() and not name.startswith("p~"))
    return whole.projected(*bound)


def uncovered(context: Domain, pieces: Sequence[Domain]) -> tuple[Domain, ...]:
    """What is left of a context without some domains."""
    if any(context.within(piece) for piece in pieces):
        return ()
    rest: tuple[Domain, ...] = (context,)
    for piece in pieces:
        rest = tuple(part for domain in rest for part in domain.minus(piece))
    return rest


def reads(expr: Expr, domain: Domain) -> Iterator[tuple[Ref, Domain]]:
    """The quantities an expression reads, each with the domain of all variables around it."""
    stack: list[tuple[Expr, Domain]] = [(expr, domain)]
    while stack:
        node, around = stack.pop()
        if isinstance(node, Ref):
            yield node, around
        inner = around.where(*node.over.constraints) if isinstance(node, Sum) else around
        stack += [(child, inner) for child in node.children]


def sums(expr: Expr, domain: Domain) -> Iterator[tuple[Condition, Domain]]:
    """The sums in an expression, what each runs over with the domain of that and of all variables around it."""
    stack: list[tuple[Expr, Domain]] = [(expr, domain)]
    while stack:
        node, around = stack.pop()
        if isinstance(node, Sum):
            around = around.where(*node.over.constraints)
            yield node.over, around
        stack += [(child, around) for child in node.children]
